/* SPDX-License-Identifier: BSD-3-Clause
 *
 * How what is typed or piped in is cut into what is sent. */
#ifndef APP_CONNECT_TYPED_H
#define APP_CONNECT_TYPED_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/frame.h>

#include "text/line.h"

enum typed_form {
    TYPED_BYTES, /* as they come */
    TYPED_CRLF,  /* each LF that has no CR before it becomes CRLF */
    TYPED_LINES, /* each line is one message, without its LF or CRLF */
    TYPED_HEX    /* the same, and the line says in hex what the message is; lines without any are none */
};

/* One stream of input. Starts zeroed but for its form; typed_fini frees what it holds. */
struct typed {
    enum typed_form form;
    bool after_cr;         /* CRLF: the last byte was one */
    struct line partial;   /* LINES, HEX: a line whose end has not come yet */
    bool partial_is_taken; /* LINES, HEX: it was handed out, and is to be emptied */
    struct line converted; /* CRLF, HEX: what was handed out last */
    uint64_t lines;        /* LINES, HEX: how many there were, for what is said of the last */
};

enum { TYPED_LINE_BYTES_MAX = 1024 * 1024 };

/* Takes the next thing to send off the start of *bytes; it is valid until the next call, and as long as the bytes are.
 * Returns 1; 0 when there is none, and *bytes is then empty; -EMSGSIZE for a line over TYPED_LINE_BYTES_MAX,
 * -EBADMSG for one that is not hexadecimal, -ENOMEM. */
int typed_take(struct typed *typed, struct weir_bytes *bytes, struct weir_bytes *ret);

/* At the end of the input: the last line, when it had no newline. Returns as above. */
int typed_take_rest(struct typed *typed, struct weir_bytes *ret);

void typed_fini(struct typed *typed);

#endif

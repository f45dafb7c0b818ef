/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app/client/typed.h: how what is typed or piped in is cut into what is sent. */
#ifndef APP_CLIENT_TYPED_H
#define APP_CLIENT_TYPED_H

#include <stdbool.h>

#include <weir/frame.h>

#include "terminal/line.h"

enum typed_form {
    TYPED_BYTES, /* as they come */
    TYPED_CRLF,  /* each LF that has no CR before it becomes CRLF */
    TYPED_LINES  /* each line is one message, without its LF or CRLF */
};

/* One stream of input. Starts zeroed but for its form; typed_fini frees what it holds. */
struct typed {
    enum typed_form form;
    bool after_cr;         /* CRLF: the last byte was one */
    struct line partial;   /* LINES: a line whose end has not come yet */
    bool partial_is_taken; /* LINES: it was handed out, and is to be emptied */
    struct line converted; /* CRLF: what was handed out last */
};

enum { TYPED_LINE_BYTES_MAX = 1024 * 1024 };

/* Takes the next thing to send off the start of *bytes; it is valid until the next call, and as long as the bytes are.
 * Returns 1; 0 when there is none, and *bytes is then empty; -EMSGSIZE for a line over TYPED_LINE_BYTES_MAX, -ENOMEM.
 */
int typed_take(struct typed *typed, struct weir_bytes *bytes, struct weir_bytes *ret);

/* At the end of the input: the last line, when it had no newline. Returns as above. */
int typed_take_rest(struct typed *typed, struct weir_bytes *ret);

void typed_fini(struct typed *typed);

#endif

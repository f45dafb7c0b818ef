/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a client is answered to each of its messages. */
#ifndef APP_ANSWER_REPLY_H
#define APP_ANSWER_REPLY_H

#include <stddef.h>

#include <weir/weir.h>

enum reply_kind { REPLY_NONE, REPLY_ECHO, REPLY_TEXT };

struct reply {
    enum reply_kind kind;
    unsigned char *bytes; /* TEXT: owned, see reply_fini */
    size_t len;
};

/* Reads `none`, `echo` or `text:BYTES` with escapes; NULL is none. Returns 0, or -EINVAL or -ENOMEM with a sentence in
 * error. */
int reply_init(struct reply *reply, const char *spec, char *error, size_t error_size);
void reply_fini(struct reply *reply);

/* Whether an answer that is always the same can be sent in the service's framing: better told now than by closing every
 * client. Returns 0, or -EINVAL or -ENOMEM with a sentence in error. */
int reply_check(const struct reply *reply, const struct weir_service *service, char *error, size_t error_size);

/* The answer to that message; it lives as long as both. Not for NONE. */
struct weir_bytes reply_to(const struct reply *reply, struct weir_bytes message);

/* Sends one answer. When it does not fit, or memory is out, the connection closes with that reason: the client would
 * take the next answer for this one. Returns 0 or a positive number when it was sent. */
int reply_send(struct weir_conn *conn, struct weir_bytes answer);

#endif

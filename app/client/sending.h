/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app/client/sending.h: a file on its way through a connection. */
#ifndef APP_CLIENT_SENDING_H
#define APP_CLIENT_SENDING_H

#include <stdbool.h>

#include <weir/weir.h>

enum { SENDING_TEXT_BYTES_MAX = 400, SENDING_MESSAGE_BYTES_MAX = 1024 * 1024 };

struct sending;

/* Opens an ordinary file. as_message: the whole of it is one message, of SENDING_MESSAGE_BYTES_MAX at most; else its
 * bytes are sent as they are. Returns 0, or a negative code with a sentence in why. */
int sending_begin(const char *name, bool as_message, struct sending **ret, char why[SENDING_TEXT_BYTES_MAX]);

/* Sends until the connection has enough; then on_writable is the time to go on. Returns true when it is over, with what
 * came of it in why. Own thread of the connection. */
bool sending_go_on(struct sending *sending, struct weir_conn *conn, char why[SENDING_TEXT_BYTES_MAX]);

/* What to say of one that the connection's end has cut off. */
void sending_describe_cut(const struct sending *sending, char why[SENDING_TEXT_BYTES_MAX]);

/* Closes the file, over or not. NULL is accepted. */
void sending_end(struct sending *sending);

#endif

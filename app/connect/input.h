/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Standard input, a chunk at a time, for a connection. */
#ifndef APP_CONNECT_INPUT_H
#define APP_CONNECT_INPUT_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/weir.h>

/* A thread that reads a descriptor: a file, a pipe or a terminal, which no event loop takes alike. */
struct input;

/* What was read: on the connection's worker. The bytes stay valid until input_next; none are the end, and error is 0 or
 * the negative code that ended it. conn is NULL when the connection is gone: what was read is
 * lost then. */
typedef void input_callback(struct weir_conn *conn, struct weir_bytes bytes, int error, void *user);

/* Starts reading fd, which stays the caller's, for the connection with that id. The first chunk comes unasked. Returns
 * 0 or a negative code. */
int input_start(int fd, struct weir *weir, uint64_t conn_id, input_callback *callback, void *user, struct input **ret);

/* Asks for the next chunk; the one before is done with. Nothing is read ahead. Any thread. */
void input_next(struct input *input);

/* Stops the thread, also one that waits for a person to type. Before weir_free, which still runs what it has posted.
 * NULL is accepted. */
void input_stop(struct input *input);

/* Whether something is there that was not read, and that nobody will read: after input_stop. NULL is accepted. */
bool input_is_left(const struct input *input);

/* Frees it: after weir_free. NULL is accepted. */
void input_free(struct input *input);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Socket to messages. */
#ifndef WEIR__STREAM_IN_H
#define WEIR__STREAM_IN_H

#include <stdbool.h>

struct weir_conn;

/* What the input came to; the connection's life is the caller's to change. on_message has run in between and may have
 * changed it. */
enum weir__input {
    WEIR__INPUT_GOES_ON,
    WEIR__INPUT_ENDED, /* the peer has ended its side, everything before that has been delivered, and on_end may run */
    WEIR__INPUT_TOO_LONG,
    WEIR__INPUT_MALFORMED,
    WEIR__INPUT_NO_MEMORY,
    WEIR__INPUT_BROKEN /* conn->error says how */
};

/* Whether a message may be delivered and more be read: the connection is open, and neither it, its output nor the
 * engine is stopped. */
bool weir__stream_in_may_go_on(const struct weir_conn *conn);

/* Delivers what is left over, then reads and delivers, until the socket has no more or the connection has had its turn.
 */
enum weir__input weir__stream_in_read(struct weir_conn *conn);

/* Delivers what is left over, without reading. */
enum weir__input weir__stream_in_deliver(struct weir_conn *conn);

/* The message in progress is late: a codec that waits (conn->waits) is asked. */
enum weir__input weir__stream_in_be_late(struct weir_conn *conn);

/* The silence that a codec waits for has passed. When the worker was held up, bytes may lie in the socket: then they
 * are delivered, and there was no silence. */
enum weir__input weir__stream_in_be_silent(struct weir_conn *conn);

#endif

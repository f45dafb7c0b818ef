/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Messages to socket. */
#ifndef WEIR__STREAM_OUT_H
#define WEIR__STREAM_OUT_H

#include <stdbool.h>

#include <weir/weir.h>

struct weir__blob;
struct weir__service;
struct weir__worker;

enum weir__output {
    WEIR__OUTPUT_LEFT,  /* nothing waits any more */
    WEIR__OUTPUT_WAITS, /* the socket takes no more for now: conn->blocked */
    WEIR__OUTPUT_NO_MEMORY,
    WEIR__OUTPUT_BROKEN /* conn->error says how */
};

/* Encodes a message behind what waits. Sends nothing. Returns 0, 1 above the high mark, or the errors of
 * weir_conn_send. */
int weir__stream_out_put(struct weir_conn *conn, struct weir_bytes message);

/* A message encoded as the service's connections send it; the caller is its first user. Returns 0 or the errors of
 * weir_conn_send. */
int weir__stream_out_encode(const struct weir__service *service, struct weir_bytes message, struct weir__blob **ret);
/* Puts a blob behind what waits; otherwise as put. */
int weir__stream_out_put_blob(struct weir_conn *conn, struct weir__blob *blob);

/* Offers what waits to the socket. */
enum weir__output weir__stream_out_flush(struct weir_conn *conn);

/* The socket takes no more: the time for the peer to take something begins. */
void weir__stream_out_begin_wait(struct weir_conn *conn);
/* Whether the peer has taken something meanwhile; if so, its time begins anew. */
bool weir__stream_out_moves(struct weir_conn *conn);
/* How many bytes the kernel holds that the peer's kernel has not acknowledged (SIOCOUTQ). Returns 0, or the system's
 * code. */
int weir__stream_out_unacknowledged(const struct weir_conn *conn, int *ret);
/* Whether the kernel still holds something that the peer has not taken. */
bool weir__stream_out_is_on_its_way(const struct weir_conn *conn);

#endif

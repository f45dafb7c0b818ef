/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a connection's life (conn.c) has for its input and output (conn_io.c). */
#ifndef WEIR__CONN_INTERNAL_H
#define WEIR__CONN_INTERNAL_H

#include <stdbool.h>

#include "conn.h"

/* The one function that changes a state; asserts that the step is in the table. */
void weir__conn_enter(struct weir_conn *conn, enum weir__conn_state state);

/* The reason of an error of the socket, an errno. */
enum weir_reason weir__conn_reason_of(int error);

/* Asks of the socket what the connection's fields say that it wants; to be called after each change of one. */
void weir__conn_update_interest(struct weir_conn *conn);

/* When a connection must not go on as it is, and the reason with which it closes then; WEIR_REASON_NONE: it is the
 * codec that wants to be called. */
struct weir__deadline {
    int64_t at_ms; /* INT64_MAX: never */
    enum weir_reason reason;
};

struct weir__deadline weir__conn_next_deadline(const struct weir_conn *conn);

/* Sets the deadline that is next, if the connection has work. */
void weir__conn_arm(struct weir_conn *conn);

/* Input goes on after a time in which we did not read: the peer, and the message in progress, have their whole time
 * again. */
void weir__conn_restart_clocks(struct weir_conn *conn);

/* An idle timeout is the one thing for which an idle connection must keep its work: somewhere the deadline has to
 * stand. */
bool weir__conn_is_never_idle(const struct weir_conn *conn);

/* With nothing in hand the work goes back, and the connection is as small as it was when it came. */
void weir__conn_settle(struct weir_conn *conn);

/* Bytes that have left the socket, and that read would give without an event. */
bool weir__conn_transport_has_bytes(const struct weir_conn *conn);

/* What is in hand, undecoded or in the transport, and kept back by nothing, is delivered in the next turn: no event
 * would come for it. */
void weir__conn_go_on_with_rest(struct weir_conn *conn);

/* Our side ends, all output having left. If the peer's has ended before, there is nothing left to be open for. */
void weir__conn_end_side(struct weir_conn *conn);

void weir__conn_close_socket(struct weir_conn *conn);
void weir__conn_drop_dial(struct weir_conn *conn);

#endif

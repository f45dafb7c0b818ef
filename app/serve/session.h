/* SPDX-License-Identifier: BSD-3-Clause
 *
 * One client from its coming to its leaving, and the one way of what happens to it. */
#ifndef APP_SERVE_SESSION_H
#define APP_SERVE_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/weir.h>

#include "desk/desk.h"
#include "journal/journal.h"
#include "listeners.h"
#include "parties.h"

/* Its connection's user, from on_open to on_close; only the connection's worker may touch it. The client's name belongs
 * here once there is one. */
struct session {
    struct listener *listener;
    struct weir_conn *conn;
    int64_t since_us;             /* since 1970, like the next one: when the client came */
    int64_t last_message_us;      /* 0: none has come */
    struct journal_client *kept;  /* NULL: nothing is stored */
    struct desk_client at_desk[]; /* one where there is a desk */
};

/* Sets the service's callbacks: they make sessions where anybody but the client itself is told of what happens. */
void session_choose_callbacks(struct listener *listener, struct weir_service *service);

/* An answer is on its way to the client: the parties are told. On its worker. */
static inline void session_answered(struct session *session, struct weir_bytes message, enum answer answer)
{
    const struct listener *listener = session->listener;

    for (unsigned i = 0; listener->on_answered[i]; i++)
        listener->on_answered[i](session, message, answer);
}

/* What the desk asks of a connection. */
extern const struct desk_host session_desk_host;

/* In on_turn: the time is a new one from then on. */
void session_turn(void);

#endif

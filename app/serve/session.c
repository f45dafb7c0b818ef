/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Whatever happens to a client is told to the parties of its listener, which are chosen once, at the start. Must never
 * tell a party of a client that it has not heard of, or not been able to take. */
#include "session.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/debug.h"

static _Thread_local int64_t turn_us; /* of this worker's turn; 0: nobody has asked yet */

/* Not inside now_us, which is called for each message. */
static __attribute__((noinline)) void read_clock(void)
{
    turn_us = clock_wall_us();
}

static int64_t now_us(void)
{
    if (!turn_us) read_clock();
    return turn_us;
}

void session_turn(void)
{
    turn_us = 0;
}

/* ---- What happens to a client ---- */

/* Tells the first ones of those who were told that it has come. */
static void leave(struct session *session, enum weir_reason reason, unsigned count)
{
    const struct party *const *told = session->listener->parties;

    assert(count <= session->listener->party_count);

    while (count-- > 0)
        if (told[count]->on_close) told[count]->on_close(session, reason);
    free(session);
}

/* Returns NULL when a party could not take it, for want of memory. */
static struct session *come(struct weir_conn *conn, struct listener *listener)
{
    struct session *session = calloc(1, sizeof(*session) + (listener->desk ? sizeof(session->at_desk[0]) : 0));

    if (!session) return NULL;
    session->listener = listener;
    session->conn = conn;
    session->since_us = now_us();
    for (unsigned i = 0; i < listener->party_count; i++) {
        if (!listener->parties[i]->on_open || !listener->parties[i]->on_open(session)) continue;
        leave(session, WEIR_REASON_MEMORY, i);
        return NULL;
    }
    return session;
}

static void on_open(struct weir_conn *conn, void *user)
{
    struct session *session = come(conn, user);

    weir_conn_set_user(conn, session);
    if (!session) weir_conn_abort(conn, WEIR_REASON_MEMORY);
}

static void on_message(struct weir_conn *conn, struct weir_bytes message, void *user)
{
    struct session *session = user;
    const struct listener *listener = session->listener;

    DEBUG_ASSERT(session->conn == conn);
    (void)conn;
    session->last_message_us = now_us();
    for (unsigned i = 0; listener->on_message[i]; i++)
        listener->on_message[i](session, message);
}

static void on_end(struct weir_conn *conn, void *user)
{
    struct session *session = user;
    const struct listener *listener = session ? session->listener : NULL;

    (void)conn;
    for (unsigned i = 0; listener && i < listener->party_count; i++)
        if (listener->parties[i]->on_end) listener->parties[i]->on_end(session);
}

static void on_writable(struct weir_conn *conn, void *user)
{
    struct session *session = user;
    const struct listener *listener = session ? session->listener : NULL;

    (void)conn;
    for (unsigned i = 0; listener && i < listener->party_count; i++)
        if (listener->parties[i]->on_writable) listener->parties[i]->on_writable(session);
}

static void on_close(struct weir_conn *conn, enum weir_reason reason, void *user)
{
    struct session *session = user;

    (void)conn;
    if (session) leave(session, reason, session->listener->party_count);
}

/* ---- What the desk asks ---- */

static struct desk_client *find_at_desk(const struct weir_conn *conn)
{
    struct session *session = weir_conn_user(conn);

    return session ? session->at_desk : NULL;
}

static bool has_room(const struct weir_conn *conn)
{
    const struct session *session = weir_conn_user(conn);
    const struct listener *listener = session->listener;

    for (unsigned i = 0; i < listener->party_count; i++)
        if (listener->parties[i]->has_room && !listener->parties[i]->has_room(session)) return false;
    return true;
}

static void on_sent(struct weir_conn *conn, struct weir_bytes message)
{
    struct session *session = weir_conn_user(conn);
    const struct listener *listener = session->listener;

    for (unsigned i = 0; i < listener->party_count; i++)
        if (listener->parties[i]->on_sent) listener->parties[i]->on_sent(session, message);
}

const struct desk_host session_desk_host = { .find = find_at_desk, .has_room = has_room, .on_sent = on_sent };

/* ---- The start ---- */

static void add_party(struct listener *listener, const struct party *party)
{
    unsigned messages = 0;
    unsigned answers = 0;

    assert(listener->party_count < PARTY_COUNT);
    while (listener->on_message[messages])
        messages++;
    while (listener->on_answered[answers])
        answers++;
    listener->parties[listener->party_count++] = party;
    listener->on_message[messages] = party->on_message;
    listener->on_answered[answers] = party->on_answered;
}

void session_choose_callbacks(struct listener *listener, struct weir_service *service)
{
    for (unsigned i = 0; i < PARTY_COUNT; i++)
        if (parties[i].is_wanted(listener)) add_party(listener, &parties[i]);
    service->user = listener;
    if (listener->party_count == 0 || listener->parties[0] == &parties[PARTY_COUNT - 1]) {
        parties_answer_alone(listener, service);
        return;
    }
    service->on_open = on_open;
    service->on_message = on_message;
    service->on_end = on_end;
    service->on_writable = on_writable;
    service->on_close = on_close;
}

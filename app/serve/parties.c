/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The parties: the store, the person who types, the terminal, the answers. Each hands over to its own room; none may
 * wait. */
#include "parties.h"

#include <errno.h>

#include "session.h"

/* ---- The store ---- */

static bool is_stored(const struct listener *listener)
{
    return listener->keeps;
}

static int open_in_store(struct session *session)
{
    struct listener *listener = session->listener;

    session->kept = journal_open(listener->journal, session->conn, &listener->for_journal, session);
    return session->kept ? 0 : -ENOMEM;
}

static void on_acknowledged(struct weir_bytes bytes, void *user)
{
    session_answered(user, bytes, ANSWER_ACKNOWLEDGEMENT);
}

static size_t acknowledge(struct session *session, const struct template_values *values)
{
    const struct listener *listener = session->listener;

    return ack_send(&listener->ack, session->conn, values, listener->on_answered[0] ? on_acknowledged : NULL, session);
}

size_t parties_on_owed(const struct journal_owed *owed, void *user)
{
    struct session *session = user;
    const struct template_values values = { .seq = owed->seq,
                                            .id = owed->id,
                                            .conn = weir_conn_id(owed->conn),
                                            .time_us = owed->time_us,
                                            .message = owed->message };

    return acknowledge(session, &values);
}

static void acknowledge_now(struct session *session, struct weir_bytes message, uint64_t seq, int64_t time_us)
{
    const struct template_values values = {
        .seq = seq, .conn = weir_conn_id(session->conn), .time_us = time_us, .message = message
    };

    acknowledge(session, &values);
}

static void store_message(struct session *session, struct weir_bytes message)
{
    const struct ack *ack = &session->listener->ack;
    struct weir_message_info info;
    bool is_due = false;
    int64_t time_us = 0;

    weir_conn_message(session->conn, &info);
    is_due = ack_is_due(ack, &info);
    time_us = journal_message(session->kept, message, &info, is_due && ack->when == ACK_WHEN_STORED);
    if (is_due && ack->when == ACK_WHEN_RECEIVED && time_us >= 0) acknowledge_now(session, message, info.seq, time_us);
}

static void close_in_store(struct session *session, enum weir_reason reason)
{
    journal_close(session->kept, reason);
}

static bool store_has_room(const struct session *session)
{
    return journal_has_room(session->kept);
}

static void store_sent(struct session *session, struct weir_bytes message)
{
    journal_sent(session->kept, message, false);
}

/* ---- The store, with --store-replies: a party of its own, so that answers cost nothing without ---- */

static bool has_answers_stored(const struct listener *listener)
{
    return listener->keeps && listener->for_journal.store_replies;
}

static void store_answer(struct session *session, struct weir_bytes message, enum answer answer)
{
    (void)answer;
    journal_sent(session->kept, message, true);
}

/* ---- The person who types ---- */

static bool has_desk(const struct listener *listener)
{
    return listener->desk;
}

static int open_at_desk(struct session *session)
{
    const struct listener *listener = session->listener;

    desk_open(listener->desk, session->at_desk, session->conn, &listener->for_desk, session->since_us);
    return 0;
}

static void keep_for_desk(struct session *session, struct weir_bytes message)
{
    desk_message(session->at_desk, session->conn, message);
}

static void tell_desk_writable(struct session *session)
{
    desk_writable(session->at_desk);
}

static void close_at_desk(struct session *session, enum weir_reason reason)
{
    (void)reason;
    desk_close(session->at_desk);
}

/* ---- The terminal, or whatever reads standard output ---- */

static bool is_shown(const struct listener *listener)
{
    return listener->show;
}

static int show_opened(struct session *session)
{
    show_open(session->listener->show, session->conn, session->listener->shown_url);
    return 0;
}

static void show_received(struct session *session, struct weir_bytes message)
{
    const struct listener *listener = session->listener;

    show_message(listener->show, session->conn, listener->shown_url, message);
    if (listener->hints) show_hint_if_lines(listener->show, session->conn, message);
}

static void show_ended(struct session *session)
{
    show_end(session->listener->show, session->conn, session->listener->shown_url);
}

static void show_closed(struct session *session, enum weir_reason reason)
{
    show_close(session->listener->show, session->conn, session->listener->shown_url, reason);
}

/* What a person sends is shown by the desk, with what came of it. */
static void show_answer(struct session *session, struct weir_bytes message, enum answer answer)
{
    if (answer == ANSWER_REPLY)
        show_sent(session->listener->show, session->conn, session->listener->shown_url, message);
}

/* ---- The answers ---- */

static bool is_answered(const struct listener *listener)
{
    return listener->reply.kind != REPLY_NONE;
}

/* An answer that the framing cannot carry ends its connection; once for each listener somebody is told why. */
static void tell_unanswered(struct listener *listener, const struct weir_conn *conn, int err)
{
    if ((err == -EMSGSIZE || err == -EINVAL) && !atomic_exchange(&listener->is_unsendable_told, true))
        log_say(listener->log, WEIR_LOG_WARNING, "reply",
                "#%llu is closed: its answer cannot be sent in this framing (%s); this is said once",
                (unsigned long long)weir_conn_id(conn), weir_strerror(err));
}

static int answer(struct listener *listener, struct weir_conn *conn, struct weir_bytes bytes)
{
    const int result = reply_send(conn, bytes);

    if (result < 0) tell_unanswered(listener, conn, result);
    return result;
}

static void answer_message(struct session *session, struct weir_bytes message)
{
    const struct weir_bytes bytes = reply_to(&session->listener->reply, message);

    if (answer(session->listener, session->conn, bytes) >= 0) session_answered(session, bytes, ANSWER_REPLY);
}

static void on_message_echo(struct weir_conn *conn, struct weir_bytes message, void *user)
{
    answer(user, conn, message);
}

static void on_message_reply(struct weir_conn *conn, struct weir_bytes message, void *user)
{
    struct listener *listener = user;

    answer(listener, conn, reply_to(&listener->reply, message));
}

/* With --half-close keep a connection stays open behind its client's end, told or not. */
static void on_end_unheard(struct weir_conn *conn, void *user)
{
    (void)conn;
    (void)user;
}

void parties_answer_alone(const struct listener *listener, struct weir_service *service)
{
    service->on_end = on_end_unheard;
    if (listener->reply.kind == REPLY_ECHO) service->on_message = on_message_echo;
    if (listener->reply.kind == REPLY_TEXT) service->on_message = on_message_reply;
}

/* ---- All of them ---- */

const struct party parties[PARTY_COUNT] = {
    { .is_wanted = is_stored,
      .on_open = open_in_store,
      .on_message = store_message,
      .on_close = close_in_store,
      .has_room = store_has_room,
      .on_sent = store_sent },
    { .is_wanted = has_answers_stored, .on_answered = store_answer },
    { .is_wanted = has_desk,
      .on_open = open_at_desk,
      .on_message = keep_for_desk,
      .on_writable = tell_desk_writable,
      .on_close = close_at_desk },
    { .is_wanted = is_shown,
      .on_open = show_opened,
      .on_message = show_received,
      .on_end = show_ended,
      .on_close = show_closed,
      .on_answered = show_answer },
    { .is_wanted = is_answered, .on_message = answer_message },
};

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Who is told of what happens to clients. */
#ifndef APP_SERVE_PARTIES_H
#define APP_SERVE_PARTIES_H

#include <stdbool.h>
#include <stddef.h>

#include <weir/weir.h>

struct journal_owed;
struct listener;
struct session;

/* What goes back without a person. */
enum answer { ANSWER_REPLY, ANSWER_ACKNOWLEDGEMENT };

/* What one of them does. All but is_wanted on the client's worker, and NULL where there is nothing to do. */
struct party {
    /* At the start: whether it is told of what happens on a listener. */
    bool (*is_wanted)(const struct listener *listener);
    /* A client has come. Returns 0, or a negative code when it has to leave; the party hears no more of it then. */
    int (*on_open)(struct session *session);
    void (*on_message)(struct session *session, struct weir_bytes message);
    /* Only with --half-close keep: the client has ended its side; it is still there, and hears what is sent. */
    void (*on_end)(struct session *session);
    void (*on_writable)(struct session *session);
    void (*on_close)(struct session *session, enum weir_reason reason);
    /* Whether a person may send something now. */
    bool (*has_room)(const struct session *session);
    /* What a person sends, or an answer, is on its way to the client. */
    void (*on_sent)(struct session *session, struct weir_bytes message);
    void (*on_answered)(struct session *session, struct weir_bytes message, enum answer answer);
};

enum { PARTY_COUNT = 5 };

/* In the order in which they are told; of a client that leaves in the opposite one. The last one answers, so that all
 * others know of a message before its answer. */
extern const struct party parties[PARTY_COUNT];

/* For the journal, whose user is the session: acknowledges a message that is on disk. */
size_t parties_on_owed(const struct journal_owed *owed, void *user);

/* For a listener on which only the last one is wanted, or none: callbacks that need no session. */
void parties_answer_alone(const struct listener *listener, struct weir_service *service);

#endif

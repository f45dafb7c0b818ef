/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app/journal/journal.h: every message is on disk before it is acknowledged. Workers hand over what comes and goes, a
 * turn's worth at a time; the writer stores it; the workers acknowledge. When the store cannot keep up, or fails, the
 * clients wait: nothing is dropped. */
#ifndef APP_JOURNAL_JOURNAL_H
#define APP_JOURNAL_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/weir.h>

#include "journal/retain.h"
#include "journal/store.h"
#include "journal/template.h"
#include "journal/trim.h"

struct journal;
struct journal_client;

enum ack_when { ACK_WHEN_STORED, ACK_WHEN_RECEIVED };

/* What is the same for all connections of a listener. The journal keeps a pointer: it must outlive the connections. */
struct journal_listener {
    const char *url;
    const char *frame;
    const struct template *ack; /* NULL: nothing is acknowledged */
    enum ack_when ack_when;
    bool ack_truncated; /* also what was cut at the longest message's length */
    void *user;         /* the caller's, see journal_client_user */
    bool store_replies; /* the program's own answers and acknowledgements are kept too */
};

struct journal_config {
    const char *path; /* of the store; its folder exists */
    unsigned workers;
    size_t queue_bytes_max; /* between the workers and the disk; 0: 64 MiB */
    /* A sentence for the log: the store has begun to fail, or (is_good) works again. The writer's thread. */
    void (*on_state)(bool is_good, const char *text, void *user);
    /* The same of what is no failure. */
    void (*on_notice)(const char *text, void *user);
    struct retain_limits limits; /* zeroed: everything is kept */
    /* Something was deleted. The writer's thread. */
    void (*on_trimmed)(const struct trim_news *news, void *user);
    void *user;
};

/* Opens the store; store_open's codes and sentences. */
int journal_new(const struct journal_config *config, struct journal **ret, char error[STORE_ERROR_BYTES_MAX]);

/* For weir_config.first_id: goes on where the store ended. */
uint64_t journal_first_id(const struct journal *journal);

/* Before weir_run. */
int journal_start(struct journal *journal, struct weir *weir);

/* ---- On the connection's worker ---- */

/* A connection has come: in on_open. NULL for want of memory. */
struct journal_client *journal_open(struct journal *journal, struct weir_conn *conn,
                                    const struct journal_listener *listener);

/* Inside on_message: the message in delivery is stored, and acknowledged as its listener says. For want of memory the
 * connection is aborted: it is not acknowledged then. */
void journal_message(struct journal_client *client, struct weir_bytes message);

/* Whether what is sent to it should be handed over too, now: false when the queue is full, or an eighth of it waits for
 * this client alone. Answers need not ask, as they come with messages, which wait. */
bool journal_has_room(const struct journal_client *client);

/* What was sent to it, by the program itself (is_answer) or by somebody. */
void journal_sent(struct journal_client *client, struct weir_bytes message, bool is_answer);

/* Its listener's user. */
void *journal_client_user(const struct journal_client *client);

/* In on_close; the client is the journal's from here on. */
void journal_close(struct journal_client *client, enum weir_reason reason);

/* In on_turn: what the turn brought goes to the writer. */
void journal_turn(struct journal *journal, unsigned worker);

/* ---- */

/* After weir_run has returned and before weir_free: stores what is left, and closes the store. Returns how many records
 * could not be stored; none of them was acknowledged, but with ACK_WHEN_RECEIVED. */
uint64_t journal_stop(struct journal *journal);

/* After weir_free. NULL is accepted. */
void journal_free(struct journal *journal);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Every message is on disk before it is acknowledged. Workers hand over what comes and goes, a
 * turn's worth at a time; the writer stores it; the workers hear of it and acknowledge. When the store cannot keep up,
 * or fails, the clients wait: nothing is dropped. */
#ifndef APP_JOURNAL_JOURNAL_H
#define APP_JOURNAL_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/weir.h>

#include "retention.h"
#include "store/store.h"
#include "trim.h"

struct journal;
struct journal_client;

/* A message that is on disk, and for which its client is owed something. */
struct journal_owed {
    struct weir_conn *conn;
    struct journal_client *client;
    uint64_t seq;
    uint64_t id; /* in the store */
    int64_t time_us;
    struct weir_bytes message;
    unsigned flags; /* RECORD_TRUNCATED ... */
};

/* What is the same for all connections of a listener. The journal keeps a pointer: it must outlive the connections. */
struct journal_listener {
    const char *url;
    const char *frame;
    bool store_replies; /* the program's own answers and acknowledgements are kept too */
    /* On the connection's worker: once for each message that was owed, in their order, and the connection is held until
     * it returns; not at all for a connection that has closed. What owed points to is valid until then, and user is
     * journal_open's. Returns the bytes that it has sent. */
    size_t (*on_owed)(const struct journal_owed *owed, void *user);
};

struct journal_config {
    const char *path; /* of the store; its folder exists */
    unsigned workers;
    size_t queue_bytes_max; /* between the workers and the disk; 0: 64 MiB */
    size_t cache_bytes;     /* see writer.h */
    size_t batch_bytes_max; /* that go from a worker to the writer at once; 0: 256 KiB */
    size_t answer_bytes;    /* that on_owed sends before they leave, on one worker; 0: no bound */
    /* A sentence for the log: the store has begun to fail, or (is_good) works again. The writer's thread. */
    void (*on_state)(bool is_good, const char *text, void *user);
    /* The same of what is no failure. */
    void (*on_notice)(const char *text, void *user);
    struct retention_limits limits; /* zeroed: everything is kept */
    /* Something was deleted. The writer's thread. */
    void (*on_trimmed)(const struct trim_news *news, void *user);
    void *user;
};

/* Opens the store; store_open's codes and sentences. */
int journal_new(const struct journal_config *config, struct journal **ret, char error[STORE_ERROR_BYTES_MAX]);

/* For weir_config.first_id: goes on where the store ended. */
uint64_t journal_first_id(const struct journal *journal);

/* Before weir_run. From here on the journal sets the limit of ids (weir_set_id_limit): each is on disk as taken before
 * a connection has it, so that after a kill none comes again. */
int journal_start(struct journal *journal, struct weir *weir);

/* Any thread: messages with an id up to this one are on disk, and so is what was sent; 0: none. It never falls. */
uint64_t journal_stored_id(const struct journal *journal);

/* ---- On the connection's worker ---- */

/* A connection has come: in on_open. It has a row in the store with its first message, within a second once a byte has
 * passed in either direction, or else after 10 s; none when it ends before. The user is the caller's. NULL for want of
 * memory. */
struct journal_client *journal_open(struct journal *journal, struct weir_conn *conn,
                                    const struct journal_listener *listener, void *user);

/* Inside on_message: the message in delivery, with what weir_conn_message says of it, is stored, and on_owed is called
 * then when it is owed. Returns the time that is stored with it; or -ENOMEM, and then the connection is aborted. */
int64_t journal_message(struct journal_client *client, struct weir_bytes message, const struct weir_message_info *info,
                        bool is_owed);

/* Whether what is sent to it should be handed over too, now: false when the queue is full, or an eighth of it waits for
 * this client alone. Answers need not ask, as they come with messages, which wait. */
bool journal_has_room(const struct journal_client *client);

/* What was sent to it, by the program itself (is_answer) or by somebody. */
void journal_sent(struct journal_client *client, struct weir_bytes message, bool is_answer);

/* In on_close; the client is the journal's from here on. */
void journal_close(struct journal_client *client, enum weir_reason reason);

/* In on_turn: what the turn brought goes to the writer. */
void journal_turn(struct journal *journal, unsigned worker);

/* ---- */

/* After weir_run has returned and before weir_free: stores what is left, and closes the store. *ret_left: how many
 * records could not be stored; on_owed was called for none of them. Returns 0; or -ETIMEDOUT when it has not come to
 * its end by the deadline (clock_ms; INT64_MAX: none): neither the journal nor the engine may be freed then. */
int journal_stop(struct journal *journal, int64_t deadline_ms, uint64_t *ret_left);

/* After weir_free. NULL is accepted. */
void journal_free(struct journal *journal);

#endif

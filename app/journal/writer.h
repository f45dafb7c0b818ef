/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The thread that writes to the store. Batches are handed to it from any thread; it commits what
 * waits as one transaction, and hands each batch back once its records are on disk. It never gives one back that is
 * not: while the store refuses, it keeps what it has and tries again each second. */
#ifndef APP_JOURNAL_WRITER_H
#define APP_JOURNAL_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "retention.h"
#include "store/record.h"
#include "store/store.h"
#include "trim.h"

struct writer;

struct writer_config {
    const char *path; /* of the store; must outlive the writer */

    /* On the writer's thread: all of the batch is on disk, and the batch is the callee's. */
    void (*on_stored)(struct batch *batch, void *user);
    /* On the writer's thread: the store has begun to fail, with the reason; or text is NULL: it works again. */
    void (*on_trouble)(const char *text, void *user);
    /* On the writer's thread: something that somebody should know of, though all is stored. */
    void (*on_notice)(const char *text, void *user);
    /* On the writer's thread: numbers of connections below this may be given. May be NULL. */
    void (*on_numbers)(uint64_t limit, void *user);
    /* On the writer's thread: something was deleted. */
    void (*on_trimmed)(const struct trim_news *news, void *user);
    void *user;
    struct retention_limits limits; /* zeroed: everything is kept */
    size_t cache_bytes;             /* of the database, in memory; 0: 16 MiB */

    /* For tests. */
    int64_t log_bytes_named; /* who keeps a log of this length from beginning anew is named; 0: 256 MiB */
    int retry_ms;            /* 0: a second */
    int gather_ms;           /* how long what nobody waits for may be kept for company; 0: 25 */
};

/* Opens the store (store_open's codes and sentences), begins a run (store_begin_run), and starts nothing yet. */
int writer_new(const struct writer_config *config, struct writer **ret, char error[STORE_ERROR_BYTES_MAX]);

/* Before writer_start: see store_next_connection. */
uint64_t writer_next_connection(const struct writer *writer);

/* Before writer_start: numbers from writer_next_connection to below this may be given. After a kill none of them comes
 * again, whether anything of the connection was stored or not. */
uint64_t writer_numbers_limit(const struct writer *writer);

/* Any thread: next is the number that the next connection gets. To be called when there are no more than
 * WRITER_NUMBERS_LOW left below the limit, and before writer_stop, so that the next run goes on there. */
enum { WRITER_NUMBERS_LOW = 5000 };
void writer_note_next_connection(struct writer *writer, uint64_t next);

int writer_start(struct writer *writer);

/* Any thread: messages with an id up to this one are on disk; 0: none. It never falls. */
uint64_t writer_stored_id(const struct writer *writer);

/* Any thread. The batch is the writer's until on_stored. One that nobody waits for (is_awaited) may be kept for some
 * milliseconds, so that more share its sync. */
void writer_put(struct writer *writer, struct batch *batch);

/* Waits until all that was put is stored, and closes the store. While the store is failing it tries once more and gives
 * up. *ret_left: the records that were not stored. Returns 0; or -ETIMEDOUT when that has not come to its end by the
 * deadline (clock_ms; INT64_MAX: none): the thread goes on, and nothing that it uses may be freed before the process
 * ends. */
int writer_stop(struct writer *writer, int64_t deadline_ms, uint64_t *ret_left);

/* After writer_stop: the batches that were not stored, the caller's from here on. */
struct batch *writer_take_left(struct writer *writer);

/* Stops it when that was not done. NULL is accepted. */
void writer_free(struct writer *writer);

#endif

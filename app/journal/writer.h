/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app/journal/writer.h: the thread that writes to the store. Batches are handed to it from any thread; it commits what
 * waits as one transaction, and hands each batch back once its records are on disk. It never gives one back that is
 * not: while the store refuses, it keeps what it has and tries again each second. */
#ifndef APP_JOURNAL_WRITER_H
#define APP_JOURNAL_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "journal/record.h"
#include "journal/retain.h"
#include "journal/store.h"
#include "journal/trim.h"

struct writer;

struct writer_config {
    const char *path; /* of the store; must outlive the writer */

    /* On the writer's thread: all of the batch is on disk, and the batch is the callee's. */
    void (*on_stored)(struct batch *batch, void *user);
    /* On the writer's thread: the store has begun to fail, with the reason; or text is NULL: it works again. */
    void (*on_trouble)(const char *text, void *user);
    /* On the writer's thread: something that somebody should know of, though all is stored. */
    void (*on_notice)(const char *text, void *user);
    /* On the writer's thread: something was deleted. */
    void (*on_trimmed)(const struct trim_news *news, void *user);
    void *user;
    struct retain_limits limits; /* zeroed: everything is kept */

    /* For tests. */
    int64_t log_bytes_named; /* who keeps a log of this length from beginning anew is named; 0: 256 MiB */
    int retry_ms;            /* 0: a second */
    int gather_ms;           /* how long what nobody waits for may be kept for company; 0: 25 */
};

/* Opens the store (store_open's codes and sentences), and starts nothing yet. */
int writer_new(const struct writer_config *config, struct writer **ret, char error[STORE_ERROR_BYTES_MAX]);

/* Before writer_start: see store_next_connection. */
uint64_t writer_next_connection(const struct writer *writer);

int writer_start(struct writer *writer);

/* Any thread. The batch is the writer's until on_stored. One that nobody waits for (is_awaited) may be kept for some
 * milliseconds, so that more share its sync. */
void writer_put(struct writer *writer, struct batch *batch);

/* Waits until all that was put is stored, and closes the store. While the store is failing it tries once more and gives
 * up. Returns the records that were not stored. */
uint64_t writer_stop(struct writer *writer);

/* After writer_stop: the batches that were not stored, the caller's from here on. */
struct batch *writer_take_left(struct writer *writer);

/* Stops it when that was not done. NULL is accepted. */
void writer_free(struct writer *writer);

#endif

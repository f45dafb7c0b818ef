/* SPDX-License-Identifier: BSD-3-Clause
 *
 * How much of what waits for the disk may be one client's. The rules only: numbers in, a verdict out; who is paused,
 * and by what, is the journal's. Who has more than its share waiting is not read from, so that whoever floods is ahead
 * of the others by that much and no more. */
#ifndef APP_JOURNAL_SHARE_H
#define APP_JOURNAL_SHARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SHARE_BYTES_MIN = 64 * 1024, /* that may always wait for one client */
    SHARE_OWED_MAX = 4096        /* messages of one client */
};

/* What all clients have shares of. */
struct share_pool {
    size_t bytes_max;
    _Atomic unsigned clients;
};

/* What one client has waiting, on its worker's thread. Starts zeroed. Batches of the worker are numbered from 1, and
 * come back in that order: back is how many have. */
struct share {
    uint32_t owed;                     /* messages */
    size_t older_bytes, newer_bytes;   /* on their way, see share_waiting */
    uint64_t older_batch, newer_batch; /* the last with any of them */
    int64_t flooded_ms;                /* when it was paused for more than its share; 0: for something else */
    uint64_t switches;                 /* of senders, at that time */
    int64_t others_ms;                 /* the last such time before which others had sent something, too */
};

/* Nothing is counted down record by record when a batch comes back: its records are in the cache of the writer's core
 * by then, and would have to be fetched one by one. A client's bytes are counted in two parts, up to a batch and behind
 * it, and a part counts until its last batch is back. */
static inline size_t share_waiting(const struct share *share, uint64_t back)
{
    return (share->older_batch > back ? share->older_bytes : 0) + (share->newer_batch > back ? share->newer_bytes : 0);
}

/* So many bytes more go with that batch. */
static inline void share_count(struct share *share, uint64_t batch, uint64_t back, size_t bytes)
{
    if (share->older_batch <= back) {
        share->older_batch = share->newer_batch;
        share->older_bytes = share->newer_bytes;
        share->newer_bytes = 0;
    }
    share->newer_batch = batch;
    share->newer_bytes += bytes;
}

/* How much may wait for one client. */
size_t share_bytes(const struct share_pool *pool);

/* Whether more waits for it than its share. */
static inline bool share_is_flood(const struct share *share, const struct share_pool *pool, uint64_t back)
{
    const size_t bytes = share_waiting(share, back);

    return bytes > SHARE_BYTES_MIN && bytes > share_bytes(pool);
}

/* Whether it has to be paused. */
static inline bool share_is_over(const struct share *share, const struct share_pool *pool, uint64_t back)
{
    return share->owed >= SHARE_OWED_MAX || share_is_flood(share, pool, back);
}

/* It is paused now. switches: how often a message on its worker came from another client than the one before. */
void share_note_pause(struct share *share, const struct share_pool *pool, uint64_t back, uint64_t switches,
                      int64_t now_ms);

/* Whether so little waits that it may go on, once share_held_ms is over; bytes: share_bytes. */
bool share_is_low(const struct share *share, size_t bytes, uint64_t back);

/* For how long a paused client is held for the sake of others; 0: no longer. */
int64_t share_held_ms(const struct share *share, int64_t now_ms);

#endif

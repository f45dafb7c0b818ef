/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The fair share of a client: a part of the queue, a number of messages that are owed, and a distance between floods.
 */
#include "share.h"

#include <stdatomic.h>

enum {
    HOLD_MS = 20,    /* whoever had more than its share waits at least so long, for the sake of others */
    OTHERS_MS = 1000 /* others that have sent nothing for so long need no sparing */
};

size_t share_bytes(const struct share_pool *pool)
{
    const unsigned clients = atomic_load_explicit(&pool->clients, memory_order_relaxed);
    const size_t bytes = pool->bytes_max / (clients ? clients : 1);

    return bytes < SHARE_BYTES_MIN ? SHARE_BYTES_MIN : bytes;
}

void share_note_pause(struct share *share, const struct share_pool *pool, uint64_t back, uint64_t switches,
                      int64_t now_ms)
{
    share->flooded_ms = 0;
    if (!share_is_flood(share, pool, back)) return;
    share->flooded_ms = now_ms;
    if (share->switches != switches) share->others_ms = now_ms;
    share->switches = switches;
}

bool share_is_low(const struct share *share, size_t bytes, uint64_t back)
{
    return share_waiting(share, back) <= bytes / 2 && share->owed <= SHARE_OWED_MAX / 2;
}

/* Whoever sends more than its share in each round has the disk to itself as often as the disk is free: each round is a
 * large commit that others wait for, and brings the log sooner to where it has to be moved. So its rounds keep a
 * distance while there are others. */
int64_t share_held_ms(const struct share *share, int64_t now_ms)
{
    const int64_t left_ms = share->flooded_ms + HOLD_MS - now_ms;

    return left_ms <= 0 || now_ms >= share->others_ms + OTHERS_MS ? 0 : left_ms;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What is counted of connections: by each worker for each listener apart, and for those that were dialled. */
#ifndef WEIR__TALLY_H
#define WEIR__TALLY_H

#include <stdatomic.h>
#include <stdint.h>

#include <weir/weir.h>

/* Written by one worker, read by any thread. */
struct weir__tally {
    _Atomic uint64_t accepted, dialled;
    _Atomic uint64_t refused; /* at accept: they never had a connection */
    _Atomic uint64_t messages_in, messages_out, messages_skipped, messages_truncated, skipped_bytes;
    _Atomic uint64_t bytes_in, bytes_out, strangers;
    _Atomic uint64_t closed[WEIR_REASON_COUNT]; /* the refused included */
};

/* A plain add, for the price of a plain add. */
static inline void weir__count(_Atomic uint64_t *counter, uint64_t more)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + more, memory_order_relaxed);
}

static inline uint64_t weir__read_count(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

#endif

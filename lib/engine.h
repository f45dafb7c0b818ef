/* SPDX-License-Identifier: BSD-3-Clause
 *
 * engine.h: struct weir: what all workers share. */
#ifndef WEIR__ENGINE_H
#define WEIR__ENGINE_H

#include <weir/weir.h>

#include "gate/admission.h"
#include "gate/stranger.h"

#include <pthread.h>
#include <stdatomic.h>

struct weir__worker;

/* Owned by the caller of weir_new, freed by weir_free. Members that change while workers run are atomic, or under the
 * lock. */
struct weir {
    struct weir_config config; /* with the defaults filled in; never changes */
    struct weir__worker **workers;
    unsigned workers_count;
    uint64_t memory_bytes_max;

    _Atomic uint64_t next_id;
    _Atomic uint64_t memory_bytes; /* in the buffers of all workers */
    _Atomic unsigned input_pauses; /* weir_input_pause less weir_input_resume */
    struct weir__admission admission;
    int room_is_found; /* clients_max is what descriptors were left, the workers' taken off; listeners take theirs */

    _Atomic int has_run; /* weir_run was called: once in a life */
    _Atomic int stopping;
    _Atomic int64_t stop_deadline_ms; /* by weir__clock_ms; INT64_MAX: none */
    _Atomic uint64_t cut_off;         /* connections that the deadline closed */

    pthread_mutex_t lock; /* of the two below; never held while anything else runs */
    struct weir_listener *listeners;
    struct weir__stranger_memory strangers;
};

/* Milliseconds of the monotonic clock. */
int64_t weir__clock_ms(void);

/* So much later, or at the end of time, where an absurd wait would go beyond it. */
static inline int64_t weir__clock_later(int64_t now_ms, int64_t wait_ms)
{
    return wait_ms < INT64_MAX - now_ms ? now_ms + wait_ms : INT64_MAX;
}

/* The next connection's id. Any thread. */
uint64_t weir__next_id(struct weir *weir);

static inline struct weir__worker *weir__worker_of(const struct weir *weir, uint64_t id)
{
    return weir->workers[id % weir->workers_count];
}

#endif

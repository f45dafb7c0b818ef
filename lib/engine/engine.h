/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Struct weir: what all workers share. */
#ifndef WEIR__ENGINE_H
#define WEIR__ENGINE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <weir/weir.h>

#include "forks.h"
#include "gate/admission.h"
#include "gate/stranger.h"

struct weir__worker;

/* Owned by the caller of weir_new, freed by weir_free. Members that change while workers run are atomic, or under the
 * lock. */
struct weir {
    unsigned forks;            /* weir__forks when it was made; another number: this process has only a copy */
    struct weir_config config; /* with the defaults filled in; never changes */
    struct weir__worker **workers;
    unsigned workers_count;
    uint64_t memory_bytes_max;

    _Atomic uint64_t next_id;
    _Atomic uint64_t id_limit;     /* no id is as high; UINT64_MAX: any may be */
    _Atomic uint64_t memory_bytes; /* in the buffers of all workers */
    _Atomic unsigned input_pauses; /* weir_input_pause less weir_input_resume */
    struct weir__admission admission;
    bool room_is_found; /* clients_max is what descriptors were left, the workers' taken off; listeners take theirs */

    _Atomic bool has_run; /* weir_run was called: once in a life */
    _Atomic bool running; /* and has not returned */
    _Atomic bool stopping;
    _Atomic int64_t stop_deadline_ms; /* by weir__clock_ms; INT64_MAX: none */
    _Atomic uint64_t cut_off;         /* connections that the deadline closed */

    pthread_mutex_t lock; /* of the two below; never held while anything else runs */
    struct weir_listener *listeners;
    struct weir__stranger_memory strangers;
};

/* An engine belongs to the process that called weir_new. One that was forked from it has a copy, whose descriptors lead
 * to what the other one works with. */
static inline bool weir__is_foreign(const struct weir *weir)
{
    return weir->forks != atomic_load_explicit(&weir__forks, memory_order_relaxed);
}

static inline bool weir__is_usable(const struct weir *weir)
{
    return weir && !weir__is_foreign(weir);
}

/* Why a call is refused, as a code with a sentence: the engine is NULL or foreign, or else the argument is NULL. */
int weir__misuse(const struct weir *weir, const char *call, const char *argument);

/* The next connection's id; returns 0 at the limit. Any thread. */
static inline uint64_t weir__take_id(struct weir *weir)
{
    uint64_t id = atomic_load_explicit(&weir->next_id, memory_order_relaxed);

    do {
        if (id >= atomic_load(&weir->id_limit)) return 0;
    } while (!atomic_compare_exchange_weak_explicit(&weir->next_id, &id, id + 1, memory_order_relaxed,
                                                    memory_order_relaxed));
    return id;
}

static inline struct weir__worker *weir__worker_of(const struct weir *weir, uint64_t id)
{
    return weir->workers[id % weir->workers_count];
}

#endif

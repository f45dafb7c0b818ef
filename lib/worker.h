/* SPDX-License-Identifier: BSD-3-Clause
 *
 * worker.h: a worker: one thread, its event_base, and the connections that live there. */
#ifndef WEIR__WORKER_H
#define WEIR__WORKER_H

#include <weir/weir.h>

#include "conn.h"
#include "conn_table.h"
#include "log.h"
#include "mailbox.h"
#include "timeouts.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

struct event;

enum {
    weir__scratch_bytes = 64 * 1024, /* what one read can take in */
    weir__gather_bytes = 64 * 1024   /* what one connection can answer before it must leave */
};

/* Counted by one thread, read by any: a plain add, for the price of a plain add. */
struct weir__worker_counters {
    _Atomic uint64_t accepted, dialled, accept_errors, accept_pauses;
    _Atomic uint64_t messages_in, messages_out, messages_skipped, messages_truncated;
    _Atomic uint64_t bytes_in, bytes_out, strangers, turns;
    _Atomic uint64_t closed[WEIR_REASON_COUNT];
};

static inline void weir__count(_Atomic uint64_t *counter, uint64_t more)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + more, memory_order_relaxed);
}

TAILQ_HEAD(weir__work_list, weir__work);
TAILQ_HEAD(weir__timer_list, weir_timer);

/* Owned by struct weir, from weir_new to weir_free. All but the mailbox and the counters is the worker's thread's
 * alone. */
struct weir__worker {
    struct weir *weir;
    unsigned index;
    struct event_base *base;
    unsigned char *scratch;               /* where reads land */
    struct weir_conn *reading;            /* the connection whose read is being served: it may use the gather chunk */
    struct weir__chunk *gather;           /* where its answers are gathered */
    int gather_lent;                      /* it stands in somebody's queue */
    const struct weir_decode *delivering; /* the message in delivery; NULL: none */

    struct weir__work_list runnable; /* have undecoded bytes, and nothing that keeps them from being delivered */
    struct weir__work_list dirty;    /* have output that was not offered to the socket yet */
    struct weir__work_list held;     /* stopped reading for weir_input_pause */
    size_t runnable_count, dirty_count;
    size_t runnable_before;         /* how many were runnable when this turn began */
    struct weir_conn *dead;         /* closed, on_close not called yet */
    struct weir__work *spare_works; /* kept for reuse, as the next two are */
    struct weir__chunk *spare_chunks;
    unsigned spare_works_count, spare_chunks_count;

    struct weir__conn_table conns;
    struct weir__timeouts timeouts;
    struct weir__timer_list timers;
    struct weir__log_limits log_limits;
    int64_t now_ms;                /* of this callback, once someone asked; 0: not asked yet */
    int busy;                      /* a callback ran, and on_turn has not been called since */
    _Atomic int memory_over;       /* the memory bound was passed, and this worker is to relieve it; set by any */
    _Atomic uint64_t memory_bytes; /* in this worker's buffers; written here, read by all */
    int sleepless;                 /* there was no memory to set a timer of the program's: the loop must not wait */
    int input_paused;              /* what this worker last saw of weir_input_pause */
    int stop_seen;
    int ended; /* its loop is over: mail only frees what it holds */

    struct event *mailbox_event;
    struct event *stop_event; /* the deadline of weir_stop */
    struct weir__worker_counters counters;
    struct weir__mailbox mailbox;
    pthread_t thread;
    int started; /* thread is one of ours, to be joined */
    int result;  /* of its loop, 0 or a code */
};

int weir__worker_new(struct weir *weir, unsigned index, struct weir__worker **ret);
void weir__worker_free(struct weir__worker *worker);

/* Serves until the engine stops and all connections are gone. */
int weir__worker_run(struct weir__worker *worker);

/* Runs the mail that waits, and aborts what is open: for weir_free, after the loop has ended or without it having run.
 */
void weir__worker_finish(struct weir__worker *worker);

/* A callback of the loop begins, or on_close: what is owed at the end of a turn is owed, and the time is to be asked
 * anew. */
static inline void weir__worker_wakes(struct weir__worker *worker)
{
    worker->busy = 1;
    worker->now_ms = 0;
}

/* The time of this callback by weir__clock_ms: asked once, if at all. A turn of many callbacks may be long, and a
 * deadline that counted from its beginning would be early. */
int64_t weir__worker_now(struct weir__worker *worker);

#endif

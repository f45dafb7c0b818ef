/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A worker: one thread, its event_base, and the connections that live there. */
#ifndef WEIR__WORKER_H
#define WEIR__WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/queue.h>

#include <weir/weir.h>

#include "clock.h"
#include "conn/conn.h"
#include "conn/table.h"
#include "conn/tally.h"
#include "conn/timeouts.h"
#include "log.h"
#include "mailbox.h"

struct event;

enum {
    WEIR__SCRATCH_BYTES = 64 * 1024, /* what one read can take in */
    WEIR__GATHER_BYTES = 64 * 1024   /* what one connection can answer before it must leave */
};

/* Counted by one thread, read by any. What is counted of connections is in tallies. */
struct weir__worker_counters {
    _Atomic uint64_t accept_errors, accept_pauses, turns;
};

TAILQ_HEAD(weir__work_list, weir__work);
TAILQ_HEAD(weir__timer_list, weir_timer);

/* Owned by struct weir, from weir_new to weir_free. All but the mailbox and the counters is the worker's thread's
 * alone. */
struct weir__worker {
    struct weir *weir;
    unsigned index;
    struct event_base *base;
    int epoll_fd; /* of the base, as the next; -1: not known */
    int signal_fds[2];
    unsigned char *scratch;               /* where reads land */
    struct weir_conn *reading;            /* the connection whose read is being served: it may use the gather chunk */
    struct weir__chunk *gather;           /* where its answers are gathered */
    bool gather_lent;                     /* it stands in somebody's queue */
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
    bool busy;                     /* a callback ran, and on_turn has not been called since */
    _Atomic bool memory_over;      /* the memory bound was passed, and this worker is to relieve it; set by any */
    _Atomic uint64_t memory_bytes; /* in this worker's buffers; written here, read by all */
    bool sleepless;                /* there was no memory to set a timer of the program's: the loop must not wait */
    bool input_paused;             /* what this worker last saw of weir_input_pause */
    bool stop_seen;
    bool ended;   /* its loop is over: mail only frees what it holds */
    bool is_copy; /* in a forked process: nor does mail call the program's functions */

    int events_own; /* that the loop waits for before anybody has asked for anything */
    struct event *mailbox_event;
    struct event *stop_event; /* the deadline of weir_stop */
    struct weir__worker_counters counters;
    struct weir__tally dialled; /* connections without a listener */
    struct weir__mailbox mailbox;
    pthread_t thread;
    bool started;               /* thread is one of ours, to be joined */
    struct weir__worker *outer; /* of another engine, in whose callback this one runs */
    int result;                 /* of its loop, 0 or a code */
};

int weir__worker_new(struct weir *weir, unsigned index, struct weir__worker **ret);
void weir__worker_free(struct weir__worker *worker);

/* Whether, before the loop runs, nothing is there that it could wait for but mail of another thread. */
bool weir__worker_has_nothing(const struct weir__worker *worker);

/* Serves until the engine stops and all connections are gone. */
int weir__worker_run(struct weir__worker *worker);

/* Runs the mail that waits, and aborts what is open: for weir_free, after the loop has ended or without it having run.
 */
void weir__worker_finish(struct weir__worker *worker);

/* This thread runs the worker from here on, until it leaves it (here.c). */
void weir__here_enter(struct weir__worker *worker);
void weir__here_leave(struct weir__worker *worker);

/* Whether this thread runs it, and so is in a callback of it. */
bool weir__worker_is_here(const struct weir__worker *worker);

/* Whether this thread may touch what is its own: it runs it, also around another engine's that runs inside a callback,
 * or weir_run has not been called or has returned, or this is a forked process. */
bool weir__worker_is_own(const struct weir__worker *worker);

/* For a forked process, whose copy this is (fork.h): cuts it off from what it shares, and frees its mail and
 * connections. */
void weir__worker_let_go(struct weir__worker *worker);

/* The same for a copy that may be torn: only closes its own descriptors. */
void weir__worker_close_descriptors(struct weir__worker *worker);

/* A callback of the loop begins, or on_close: what is owed at the end of a turn is owed, and the time is to be asked
 * anew. */
static inline void weir__worker_wakes(struct weir__worker *worker)
{
    worker->busy = true;
    worker->now_ms = 0;
}

/* The time of this callback by weir__clock_ms: asked once, if at all. A turn of many callbacks may be long, and a
 * deadline that counted from its beginning would be early. */
static inline int64_t weir__worker_now(struct weir__worker *worker)
{
    if (worker->now_ms == 0) worker->now_ms = weir__clock_ms();
    return worker->now_ms;
}

#endif

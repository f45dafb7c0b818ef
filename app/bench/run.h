/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A run from the first connect to the last answer. Private to this folder. */
#ifndef APP_BENCH_RUN_H
#define APP_BENCH_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "load.h"
#include "results.h"

enum run_phase { RUN_CONTACTS, RUN_CONNECTS, RUN_SENDS, RUN_WAITS, RUN_ENDS };

/* How it ended. */
enum run_end {
    RUN_DONE,        /* its time, or its messages, or the server was never there: the results say */
    RUN_INTERRUPTED, /* by a signal */
    RUN_UNANSWERED,  /* nothing was answered at all */
    RUN_STALLED,     /* nothing was answered any more */
    RUN_BROKEN       /* for want of something on this machine: error */
};

struct event;
struct misbehave;

enum { RUN_SIGNALS = 2 };

struct run {
    struct load *load;
    struct misbehave *misbehave; /* NULL: nobody does */
    size_t misbehaving;          /* how many do */
    const struct bench_asked *asked;
    int64_t ramp;        /* connects a second; 0: all at once */
    int64_t duration_ns; /* of the sending; 0: no bound */

    enum run_phase phase;
    enum run_end end;
    int error;
    size_t dialled;      /* clients */
    int64_t since_ns;    /* of the phase */
    int64_t dialled_ns;  /* the last dial */
    uint64_t progress;   /* when it was last looked at, and */
    int64_t progress_ns; /* since when it is the same */
    bool is_interrupted;
    struct event *signals[RUN_SIGNALS];
    struct bench_live live;
    struct bench_results *shown;
    int64_t shown_ns;
};

/* Long before an answer would come from a server that answers; then as much more as one may need that is busy. */
enum { RUN_UNANSWERED_S = 5, RUN_STALLED_S = 30 };

/* Makes it ready, and opens the first connection; weir_run does the rest. Returns 0; what weir_dial does; or another
 * negative code. run_fini in any case, before weir_free. */
int run_start(struct run *run);

/* After weir_run, also twice: takes the live line off. */
void run_fini(struct run *run);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app/bench/pace.h: the open loop: messages are due at fixed times, whatever the answers do. Private to this folder. */
#ifndef APP_BENCH_PACE_H
#define APP_BENCH_PACE_H

#include <stdbool.h>
#include <stdint.h>

struct client;
struct event;
struct load_worker;

/* One worker's share of the rate. Starts zeroed. */
struct pace {
    double interval_ns; /* between two messages of this worker */
    int64_t start_ns;   /* the first one's time */
    int64_t end_ns;     /* nothing is due from here on */
    uint64_t next;      /* the number of the next: those that were due and could not be sent yet stay due */
    int timer_fd;       /* finer than the loop's own timers, which count milliseconds */
    struct event *event;
    bool is_armed;
};

/* Makes and frees its timer. Own thread. Returns 0 or a negative code. */
int pace_open(struct load_worker *worker);
void pace_close(struct load_worker *worker);
/* Ends it: what was due by now and could not be sent is counted. Own thread. */
void pace_end(struct load_worker *worker, int64_t now_ns);

/* From here on messages are due. Own thread. */
void pace_start(struct load_worker *worker);

/* A client could send; or it no longer can. Own thread. */
void pace_add(struct load_worker *worker, struct client *client);
void pace_remove(struct load_worker *worker, struct client *client);

/* Sends all that is due by then, as far as clients can. Own thread. */
void pace_run(struct load_worker *worker, int64_t now_ns);

#endif

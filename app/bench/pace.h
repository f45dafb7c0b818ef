/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The open loop: messages are due at fixed times, whatever the answers do. Private to this folder. */
#ifndef APP_BENCH_PACE_H
#define APP_BENCH_PACE_H

#include <stdint.h>

#include "dial/timetable.h"

struct client;
struct load_worker;

/* One worker's share of the rate. Starts zeroed. */
struct pace {
    struct timetable timetable; /* what was due and could not be sent yet stays due */
    int64_t end_ns;             /* nothing is due from here on */
};

/* Makes its timer, which pace_end frees. Own thread. Returns 0 or a negative code. */
int pace_open(struct load_worker *worker);
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

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The deadlines of a worker's connections. */
#ifndef WEIR__TIMEOUTS_H
#define WEIR__TIMEOUTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct event;
struct event_base;
struct weir__work;

enum { WEIR__TIMEOUT_SLOTS = 512, WEIR__TICK_MS = 10 };

TAILQ_HEAD(weir__timeout_slot, weir__work);

/* A wheel of slots a tick apart. A connection stands in one slot at most, at or before its deadline; when the slot
 * comes up, it is asked what is due, and stands in a later one if nothing is. So moving a deadline further, which every
 * message does, costs nothing, and a deadline beyond the wheel is looked at once a turn of it. The loop's timer is set
 * only while somebody waits. */
struct weir__timeouts {
    struct weir__timeout_slot slots[WEIR__TIMEOUT_SLOTS];
    uint64_t taken[WEIR__TIMEOUT_SLOTS / 64]; /* a bit for each slot that somebody stands in */
    uint64_t tick;                            /* slots up to this one have come up */
    uint64_t timer_tick;                      /* what the timer is set to; 0: not set */
    size_t count;                             /* who stands in it */
    struct event *timer;
};

/* Returns 0 or -ENOMEM. check is called, with the timeouts' owner, for each connection whose slot has come up; it
 * returns when to ask again, by the clock of now_ms, or INT64_MAX. */
int weir__timeouts_init(struct weir__timeouts *timeouts, struct event_base *base,
                        void (*on_timer)(int fd, short what, void *arg), void *arg, int64_t now_ms);
void weir__timeouts_fini(struct weir__timeouts *timeouts);

/* Sees to it that the connection is asked at that time or before it. Never fails. */
void weir__timeouts_arm(struct weir__timeouts *timeouts, struct weir__work *work, int64_t deadline_ms, int64_t now_ms);
void weir__timeouts_disarm(struct weir__timeouts *timeouts, struct weir__work *work);

/* False: somebody waits, and there was no memory for the loop's timer. Then the wheel has to be run without being woken
 * for it, which also tries to set the timer again. */
bool weir__timeouts_will_wake(const struct weir__timeouts *timeouts);

/* Brings the wheel up to now: asks all whose slot has come up. */
void weir__timeouts_run(struct weir__timeouts *timeouts, int64_t now_ms,
                        int64_t (*check)(struct weir__work *work, int64_t now_ms));

#endif

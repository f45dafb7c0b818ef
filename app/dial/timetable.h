/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Things that are due at fixed times, so many a second. The next one's time follows from its
 * number alone, so nothing that comes late moves those behind it. */
#ifndef APP_DIAL_TIMETABLE_H
#define APP_DIAL_TIMETABLE_H

#include <stdbool.h>
#include <stdint.h>

struct event;
struct event_base;

/* Of one thread. Starts zeroed; timetable_close frees what it holds. */
struct timetable {
    double interval_ns;
    int64_t start_ns; /* the first one's time, by clock_ns */
    uint64_t next;    /* the number of the next: whoever does it counts it on */
    int timer_fd;     /* finer than the loop's own timers, which count milliseconds */
    struct event *event;
    bool is_armed;
    void (*on_due)(void *user);
    void *user;
};

/* Makes the timer, which calls on_due from that loop when the next is due, once for each timetable_arm. Returns 0 or a
 * negative code. */
int timetable_open(struct timetable *timetable, struct event_base *base, void (*on_due)(void *user), void *user);
void timetable_close(struct timetable *timetable);

/* The next one's time. */
int64_t timetable_due_ns(const struct timetable *timetable);

/* How many are due by then, and not done. */
uint64_t timetable_due_count(const struct timetable *timetable, int64_t now_ns);

/* For the next. A time that has passed fires at once. Arming twice is arming once. */
void timetable_arm(struct timetable *timetable);

#endif

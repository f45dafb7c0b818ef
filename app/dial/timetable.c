/* SPDX-License-Identifier: BSD-3-Clause
 *
 * When the next is due, and a timer for it. Must never skip one. */
#include "timetable.h"

#include <errno.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

static void on_timer(int fd, short what, void *user)
{
    struct timetable *timetable = user;
    uint64_t times = 0;

    (void)what;
    if (read(fd, &times, sizeof(times)) < 0 && errno == EAGAIN) return;
    timetable->is_armed = false;
    timetable->on_due(timetable->user);
}

int timetable_open(struct timetable *timetable, struct event_base *base, void (*on_due)(void *user), void *user)
{
    timetable->on_due = on_due;
    timetable->user = user;
    timetable->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (timetable->timer_fd < 0) return -errno;
    timetable->event = event_new(base, timetable->timer_fd, EV_READ | EV_PERSIST, on_timer, timetable);
    return timetable->event && !event_add(timetable->event, NULL) ? 0 : -ENOMEM;
}

void timetable_close(struct timetable *timetable)
{
    if (timetable->event) event_free(timetable->event);
    if (timetable->timer_fd > 0) close(timetable->timer_fd);
    *timetable = (struct timetable){ 0 };
}

int64_t timetable_due_ns(const struct timetable *timetable)
{
    return timetable->start_ns + (int64_t)((double)timetable->next * timetable->interval_ns);
}

uint64_t timetable_due_count(const struct timetable *timetable, int64_t now_ns)
{
    const double due = (double)(now_ns - timetable->start_ns) / timetable->interval_ns;
    const uint64_t count = due < 0 ? 0 : (uint64_t)due + 1;

    return count > timetable->next ? count - timetable->next : 0;
}

void timetable_arm(struct timetable *timetable)
{
    const int64_t due = timetable_due_ns(timetable);
    const struct itimerspec when = { .it_value = { due / 1000000000, due % 1000000000 } };

    if (!timetable->is_armed)
        timetable->is_armed = timerfd_settime(timetable->timer_fd, TFD_TIMER_ABSTIME, &when, NULL) == 0;
}

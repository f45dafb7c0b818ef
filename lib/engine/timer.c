/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Timers for the program, on a worker's loop, by the monotonic clock. The loop's own clock is a coarse one, which may
 * run some milliseconds behind: a timer that wakes early goes back to sleep, so that none is ever early. */
#include "timer.h"

#include <assert.h>
#include <errno.h>

#include <event2/event.h>

#include <weir/weir.h>

#include "clock.h"
#include "engine.h"
#include "memory.h"
#include "worker.h"

/* Owned by its worker's list until stopped or weir_free; one whose handle nobody asked for until it has run for its
 * only time. */
struct weir_timer {
    TAILQ_ENTRY(weir_timer) entry;
    struct weir__worker *worker;
    struct event *event;
    void (*fn)(struct weir_timer *timer, void *arg);
    void *arg;
    int64_t due_ms;
    int64_t every_ms;
    bool is_known; /* its handle was asked for, and may be stopped at any time */
    bool is_over;  /* it has run for its only time */
    bool running;  /* its fn is on the stack */
    bool stopped;  /* inside its own fn: freed when that returns */
};

static void free_timer(struct weir_timer *timer)
{
    TAILQ_REMOVE(&timer->worker->timers, timer, entry);
    event_free(timer->event);
    weir__free(timer);
}

static int sleep_until_due(struct weir_timer *timer, int64_t now_ms)
{
    const int64_t wait_ms = timer->due_ms > now_ms ? timer->due_ms - now_ms : 0;
    const struct timeval wait = { .tv_sec = wait_ms / 1000, .tv_usec = wait_ms % 1000 * 1000 };

    if (evtimer_add(timer->event, &wait) == 0) return 0;
    timer->worker->sleepless = true;
    return -ENOMEM;
}

void weir__timer_sleep_all(struct weir__worker *worker)
{
    const int64_t now_ms = weir__clock_ms();

    worker->sleepless = false;
    for (struct weir_timer *timer = TAILQ_FIRST(&worker->timers); timer; timer = TAILQ_NEXT(timer, entry)) {
        if (timer->is_over || evtimer_pending(timer->event, NULL)) continue;
        if (timer->due_ms <= now_ms) {
            event_active(timer->event, EV_TIMEOUT, 1);
        } else {
            sleep_until_due(timer, now_ms);
        }
    }
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct weir_timer *timer = arg;
    const int64_t now_ms = weir__clock_ms();

    (void)fd;
    (void)what;
    weir__worker_wakes(timer->worker);
    if (now_ms < timer->due_ms) {
        sleep_until_due(timer, now_ms);
        return;
    }
    assert(!timer->running && !timer->is_over);
    timer->running = true;
    timer->fn(timer, timer->arg);
    timer->running = false;
    timer->is_over = timer->every_ms == 0;
    if (timer->stopped || (timer->is_over && !timer->is_known)) {
        free_timer(timer);
        return;
    }
    if (timer->is_over) return;
    timer->due_ms = weir__clock_later(timer->due_ms, timer->every_ms);
    if (timer->due_ms < now_ms) timer->due_ms = now_ms; /* late by a whole period: go on from here, without a burst */
    sleep_until_due(timer, now_ms);
}

int weir_timer_start(struct weir *weir, unsigned worker, int64_t after_ms, int64_t every_ms,
                     void (*fn)(struct weir_timer *timer, void *arg), void *arg, struct weir_timer **ret)
{
    struct weir_timer *timer;
    const int64_t now_ms = weir__clock_ms();

    if (!weir__is_usable(weir) || !fn) return weir__misuse(weir, "timer_start", "function");
    if (worker >= weir->workers_count || after_ms < 0 || every_ms < 0) return -EINVAL;
    assert(weir__worker_is_own(weir->workers[worker]));
    timer = weir__zalloc(sizeof(*timer));
    if (!timer) return -ENOMEM;
    *timer = (struct weir_timer){ .worker = weir->workers[worker], .fn = fn, .arg = arg };
    timer->due_ms = weir__clock_later(now_ms, after_ms);
    timer->every_ms = every_ms;
    timer->is_known = ret != NULL;
    timer->event = evtimer_new(timer->worker->base, on_timer, timer);
    if (!timer->event) {
        weir__free(timer);
        return -ENOMEM;
    }
    TAILQ_INSERT_TAIL(&timer->worker->timers, timer, entry);
    if (sleep_until_due(timer, now_ms) != 0) {
        free_timer(timer);
        return -ENOMEM;
    }
    if (ret) *ret = timer;
    return 0;
}

void weir_timer_stop(struct weir_timer *timer)
{
    if (!timer || weir__is_foreign(timer->worker->weir)) return;
    assert(weir__worker_is_own(timer->worker));
    if (timer->running) {
        timer->stopped = true;
        return;
    }
    free_timer(timer);
}

void weir__timer_free_all(struct weir__worker *worker)
{
    while (!TAILQ_EMPTY(&worker->timers))
        free_timer(TAILQ_FIRST(&worker->timers));
}

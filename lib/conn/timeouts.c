/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The wheel of deadlines. It knows when to ask, never what is due. */
#include "timeouts.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include <event2/event.h>

#include "conn.h"
#include "portable.h"

int weir__timeouts_init(struct weir__timeouts *timeouts, struct event_base *base,
                        void (*on_timer)(int fd, short what, void *arg), void *arg, int64_t now_ms)
{
    memset(timeouts, 0, sizeof(*timeouts));
    for (unsigned i = 0; i < WEIR__TIMEOUT_SLOTS; i++)
        TAILQ_INIT(&timeouts->slots[i]);
    timeouts->tick = (uint64_t)now_ms / WEIR__TICK_MS;
    timeouts->timer = evtimer_new(base, on_timer, arg);
    return timeouts->timer ? 0 : -ENOMEM;
}

void weir__timeouts_fini(struct weir__timeouts *timeouts)
{
    if (timeouts->timer) event_free(timeouts->timer);
    timeouts->timer = NULL;
}

static void set_timer(struct weir__timeouts *timeouts, uint64_t tick, int64_t now_ms)
{
    const int64_t wait_ms = (int64_t)tick * WEIR__TICK_MS - now_ms;
    const struct timeval wait = { .tv_sec = wait_ms > 0 ? wait_ms / 1000 : 0,
                                  .tv_usec = wait_ms > 0 ? wait_ms % 1000 * 1000 : 0 };

    timeouts->timer_tick = evtimer_add(timeouts->timer, &wait) == 0 ? tick : 0;
}

static void stand_in(struct weir__timeouts *timeouts, struct weir__work *work, uint64_t tick)
{
    const unsigned slot = (unsigned)(tick % WEIR__TIMEOUT_SLOTS);

    WEIR__DEBUG_ASSERT(work->tick == 0 && tick > timeouts->tick && tick < timeouts->tick + WEIR__TIMEOUT_SLOTS);
    work->tick = tick;
    timeouts->count++;
    TAILQ_INSERT_TAIL(&timeouts->slots[slot], work, timeout_entry);
    timeouts->taken[slot / 64] |= UINT64_C(1) << slot % 64;
}

void weir__timeouts_disarm(struct weir__timeouts *timeouts, struct weir__work *work)
{
    const unsigned slot = (unsigned)(work->tick % WEIR__TIMEOUT_SLOTS);

    if (work->tick == 0) return;
    assert(timeouts->count > 0);
    timeouts->count--;
    TAILQ_REMOVE(&timeouts->slots[slot], work, timeout_entry);
    if (TAILQ_EMPTY(&timeouts->slots[slot])) timeouts->taken[slot / 64] &= ~(UINT64_C(1) << slot % 64);
    work->tick = 0;
}

/* Rounded up, so that nothing is early; no further than the wheel reaches. */
static uint64_t tick_for(const struct weir__timeouts *timeouts, int64_t deadline_ms)
{
    const uint64_t wanted = ((uint64_t)deadline_ms + WEIR__TICK_MS - 1) / WEIR__TICK_MS;

    if (wanted <= timeouts->tick) return timeouts->tick + 1;
    if (wanted > timeouts->tick + WEIR__TIMEOUT_SLOTS - 1) return timeouts->tick + WEIR__TIMEOUT_SLOTS - 1;
    return wanted;
}

bool weir__timeouts_will_wake(const struct weir__timeouts *timeouts)
{
    return timeouts->timer_tick != 0 || timeouts->count == 0;
}

/* An empty wheel stands still; what stands in it from now on is counted from now. */
static void catch_up_if_empty(struct weir__timeouts *timeouts, int64_t now_ms)
{
    if (timeouts->count == 0) timeouts->tick = (uint64_t)now_ms / WEIR__TICK_MS;
}

void weir__timeouts_arm(struct weir__timeouts *timeouts, struct weir__work *work, int64_t deadline_ms, int64_t now_ms)
{
    uint64_t tick;

    if (deadline_ms == INT64_MAX) return;
    if (timeouts->timer_tick == 0) catch_up_if_empty(timeouts, now_ms);
    tick = tick_for(timeouts, deadline_ms);
    if (work->tick != 0 && work->tick <= tick) return;
    weir__timeouts_disarm(timeouts, work);
    stand_in(timeouts, work, tick);
    if (timeouts->timer_tick == 0 || tick < timeouts->timer_tick) set_timer(timeouts, tick, now_ms);
}

/* The first taken slot behind `from`, as a tick, or 0. */
static uint64_t next_taken(const struct weir__timeouts *timeouts, uint64_t from)
{
    for (uint64_t tick = from + 1; tick < from + WEIR__TIMEOUT_SLOTS; tick++) {
        const unsigned slot = (unsigned)(tick % WEIR__TIMEOUT_SLOTS);
        if (timeouts->taken[slot / 64] == 0) {
            tick += 63 - slot % 64; /* the whole word is empty */
            continue;
        }
        if (timeouts->taken[slot / 64] >> slot % 64 & 1) return tick;
    }
    return 0;
}

/* Those who are not due go back in, into this slot too when their time is a whole turn of the wheel away. They stand
 * behind those who came before, so the first whose tick is to come ends the walk. */
static void run_slot(struct weir__timeouts *timeouts, unsigned slot, int64_t now_ms,
                     int64_t (*check)(struct weir__work *work, int64_t now_ms))
{
    struct weir__work *work = TAILQ_FIRST(&timeouts->slots[slot]);

    while (work && work->tick <= timeouts->tick) {
        int64_t again_ms;

        weir__timeouts_disarm(timeouts, work);
        again_ms = check(work, now_ms);
        if (again_ms != INT64_MAX) weir__timeouts_arm(timeouts, work, again_ms, now_ms);
        work = TAILQ_FIRST(&timeouts->slots[slot]);
    }
}

void weir__timeouts_run(struct weir__timeouts *timeouts, int64_t now_ms,
                        int64_t (*check)(struct weir__work *work, int64_t now_ms))
{
    const uint64_t now_tick = (uint64_t)now_ms / WEIR__TICK_MS;
    const uint64_t from = timeouts->tick;
    uint64_t next;

    timeouts->timer_tick = 0;
    if (now_tick > from) timeouts->tick = now_tick;
    for (uint64_t tick = from + 1; tick <= now_tick && tick < from + WEIR__TIMEOUT_SLOTS; tick++)
        run_slot(timeouts, (unsigned)(tick % WEIR__TIMEOUT_SLOTS), now_ms, check);
    next = next_taken(timeouts, timeouts->tick);
    if (next != 0) set_timer(timeouts, next, now_ms);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The wheel of deadlines by a clock that the test moves: nothing is early, nothing is late by more than two ticks,
 * however deadlines move, and the loop's timer is always set for whoever comes next. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <event2/event.h>

#include "clock.h"
#include "conn/timeouts.h"
#include "conn/work.h"
#include "engine/engine.h"

enum { LATE_MAX_MS = 2 * WEIR__TICK_MS, WHEEL_MS = WEIR__TIMEOUT_SLOTS * WEIR__TICK_MS };

/* Somebody with a deadline. work comes first, so that check finds who it is about. */
struct waiter {
    struct weir__work work;
    int64_t due_ms; /* INT64_MAX: nothing is due */
    int64_t fired_ms;
    int64_t every_ms; /* not 0: once fired, due again after so long */
    unsigned asked, fired;
    struct waiter *then_moves; /* when this one fires, that one is armed anew ... */
    int64_t moves_by_ms;       /* ... so much later */
};

static struct weir__timeouts timeouts;
static struct event_base *base;
static int64_t now_ms;
static uint64_t random_state;

static uint64_t next_random(uint64_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % below;
}

static void never_called(int fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
    fail_msg("the loop does not run in this test");
}

static int set_up(void **state)
{
    (void)state;
    base = event_base_new();
    now_ms = 1234567;
    random_state = 88172645463325252u;
    if (!base) return -1;
    return weir__timeouts_init(&timeouts, base, never_called, NULL, now_ms);
}

static int tear_down(void **state)
{
    (void)state;
    weir__timeouts_fini(&timeouts);
    event_base_free(base);
    return 0;
}

static void arm(struct waiter *waiter, int64_t after_ms)
{
    waiter->due_ms = now_ms + after_ms;
    weir__timeouts_arm(&timeouts, &waiter->work, waiter->due_ms, now_ms);
}

static int64_t check(struct weir__work *work, int64_t at_ms)
{
    struct waiter *waiter = (struct waiter *)work;

    assert_int_equal(at_ms, now_ms);
    waiter->asked++;
    if (waiter->due_ms > at_ms) return waiter->due_ms;
    waiter->fired_ms = at_ms;
    waiter->fired++;
    if (waiter->then_moves) arm(waiter->then_moves, waiter->moves_by_ms);
    waiter->due_ms = waiter->every_ms > 0 ? at_ms + waiter->every_ms : INT64_MAX;
    return waiter->due_ms;
}

static void run_at(int64_t at_ms)
{
    now_ms = at_ms;
    weir__timeouts_run(&timeouts, now_ms, check);
}

/* To the moment that the loop's timer is set to, as the loop would; not 0: there is one. */
static int run_at_timer(void)
{
    if (timeouts.timer_tick == 0) return 0;
    assert_true(evtimer_pending(timeouts.timer, NULL));
    run_at((int64_t)timeouts.timer_tick * WEIR__TICK_MS);
    return 1;
}

static void check_fired(const struct waiter *waiter, int64_t due_ms)
{
    assert_int_equal(waiter->fired, 1);
    assert_in_range(waiter->fired_ms, due_ms, due_ms + LATE_MAX_MS);
}

/* ---- One deadline ---- */

static void each_distance_is_kept(void **state)
{
    static const int64_t distances[] = {
        1,    2,    9,    10,   11,   19,   20,   21,    100,   5000,  5090,  5100,
        5101, 5110, 5119, 5120, 5121, 5130, 5200, 10239, 10240, 10241, 30000, 86400000
    };

    (void)state;
    for (size_t i = 0; i < sizeof(distances) / sizeof(distances[0]); i++) {
        for (int64_t phase = 0; phase < WEIR__TICK_MS; phase++) {
            struct waiter waiter = { .work.conn = NULL };
            int64_t due_ms;

            run_at(now_ms + 1);
            arm(&waiter, distances[i]);
            due_ms = waiter.due_ms;
            while (run_at_timer() && waiter.fired == 0) {
            }
            check_fired(&waiter, due_ms);
            assert_int_equal(waiter.work.tick, 0);
        }
    }
}

static void a_deadline_that_has_passed_fires_in_the_next_tick(void **state)
{
    struct waiter waiter = { .work.conn = NULL };

    (void)state;
    arm(&waiter, -5000);
    assert_int_not_equal(timeouts.timer_tick, 0);
    run_at(now_ms + WEIR__TICK_MS);
    assert_int_equal(waiter.fired, 1);
}

/* 30 s are six turns of the wheel: it may look at one who waits once a turn, not more. */
static void waiting_long_costs_a_look_a_turn_of_the_wheel(void **state)
{
    struct waiter waiter = { .work.conn = NULL };

    (void)state;
    arm(&waiter, 600000);
    while (waiter.fired == 0)
        assert_true(run_at_timer());
    assert_in_range(waiter.asked, 2, 600000 / WHEEL_MS + 4);
}

static void off_is_never(void **state)
{
    struct waiter waiter = { .due_ms = INT64_MAX };

    (void)state;
    weir__timeouts_arm(&timeouts, &waiter.work, INT64_MAX, now_ms);
    assert_int_equal(waiter.work.tick, 0);
    assert_int_equal(timeouts.timer_tick, 0);
}

/* ---- A deadline that moves ---- */

static void sooner_takes_effect(void **state)
{
    (void)state;
    for (int64_t far_ms = 200; far_ms < 4 * WHEEL_MS; far_ms += 777) {
        struct waiter waiter = { .work.conn = NULL };
        int64_t due_ms;

        arm(&waiter, far_ms);
        run_at(now_ms + 20);
        arm(&waiter, 50);
        due_ms = waiter.due_ms;
        while (waiter.fired == 0)
            assert_true(run_at_timer());
        check_fired(&waiter, due_ms);
        assert_int_equal(waiter.work.tick, 0);
    }
}

/* What every message does: the deadline moves on while it is kept, and nobody is told before the last one. */
static void later_costs_nothing(void **state)
{
    struct waiter waiter = { .work.conn = NULL };
    int64_t due_ms = 0;

    (void)state;
    arm(&waiter, 100);
    for (int i = 0; i < 5000; i++) {
        run_at(now_ms + 7);
        arm(&waiter, 100);
        due_ms = waiter.due_ms;
    }
    assert_int_equal(waiter.fired, 0);
    assert_in_range(waiter.asked, 1, 5000 * 7 / 80);
    while (waiter.fired == 0)
        assert_true(run_at_timer());
    check_fired(&waiter, due_ms);
}

static void disarmed_is_silent(void **state)
{
    struct waiter waiters[3] = { { .asked = 0 }, { .asked = 0 }, { .asked = 0 } };

    (void)state;
    for (int i = 0; i < 3; i++)
        arm(&waiters[i], 500); /* in one slot */
    weir__timeouts_disarm(&timeouts, &waiters[1].work);
    weir__timeouts_disarm(&timeouts, &waiters[1].work); /* twice is once */
    while (run_at_timer()) {
    }
    assert_int_equal(waiters[0].fired, 1);
    assert_int_equal(waiters[1].asked, 0);
    assert_int_equal(waiters[2].fired, 1);
}

/* A wheel that nobody stands in stands still; whoever comes after a pause is counted from now. */
static void an_empty_wheel_sleeps(void **state)
{
    struct waiter waiter = { .work.conn = NULL };
    int64_t due_ms;

    (void)state;
    arm(&waiter, 30);
    weir__timeouts_disarm(&timeouts, &waiter.work);
    run_at_timer();
    assert_int_equal(timeouts.timer_tick, 0);
    now_ms += 3600000; /* nothing ran */
    arm(&waiter, 40);
    due_ms = waiter.due_ms;
    while (waiter.fired == 0)
        assert_true(run_at_timer());
    check_fired(&waiter, due_ms);
    assert_in_range(waiter.asked, 1, 2);
}

/* ---- Many ---- */

/* Random deadlines up to four turns of the wheel away; random ones move nearer or further, or go. The clock goes by the
 * timer, or now and then by a step of its own. */
static void hundreds_at_random(void **state)
{
    enum { COUNT = 600, ROUNDS = 30000 };
    struct waiter *waiters = calloc(COUNT, sizeof(*waiters));
    uint64_t fired = 0;

    (void)state;
    assert_non_null(waiters);
    for (int i = 0; i < COUNT; i++)
        waiters[i].due_ms = INT64_MAX;
    for (int round = 0; round < ROUNDS; round++) {
        struct waiter *waiter = &waiters[next_random(COUNT)];
        const int64_t before_ms = now_ms;

        if (next_random(8) == 0) {
            weir__timeouts_disarm(&timeouts, &waiter->work);
            waiter->due_ms = INT64_MAX;
        } else {
            arm(waiter, (int64_t)(1 + next_random(next_random(2) ? 200 : 4 * WHEEL_MS)));
        }
        if (next_random(3) == 0) {
            run_at(now_ms + (int64_t)next_random(15));
        } else {
            run_at_timer();
        }
        for (int i = 0; i < COUNT; i++) {
            if (waiters[i].fired == 0) { /* still waits: then it is not due yet, or has been due for a moment only */
                if (waiters[i].due_ms != INT64_MAX) assert_true(waiters[i].due_ms + LATE_MAX_MS > before_ms);
                continue;
            }
            fired += waiters[i].fired;
            assert_int_equal(waiters[i].fired, 1);
            assert_int_equal(waiters[i].work.tick, 0);
            waiters[i].fired = 0;
        }
    }
    assert_true(fired > ROUNDS / 8);
    free(waiters);
}

static void many_in_one_slot(void **state)
{
    enum { COUNT = 5000 };
    struct waiter *waiters = calloc(COUNT, sizeof(*waiters));
    int64_t due_ms;

    (void)state;
    assert_non_null(waiters);
    for (int i = 0; i < COUNT; i++)
        arm(&waiters[i], 300);
    due_ms = waiters[0].due_ms;
    for (int i = 0; i < COUNT; i += 3)
        arm(&waiters[i], 300 + WHEEL_MS); /* comes up with the others, and goes back into the same slot */
    while (run_at_timer()) {
    }
    for (int i = 0; i < COUNT; i++)
        check_fired(&waiters[i], i % 3 == 0 ? due_ms + WHEEL_MS : due_ms);
    free(waiters);
}

/* The process was stopped, or the machine slept: all that is due comes at once, and nothing else does. */
static void after_a_stall_all_that_is_due_fires_at_once(void **state)
{
    enum { COUNT = 400 };
    struct waiter waiters[COUNT];

    (void)state;
    for (int64_t stall_ms = 50; stall_ms < 1000000; stall_ms = stall_ms * 3 / 2) {
        const int64_t start_ms = now_ms;

        memset(waiters, 0, sizeof(waiters));
        for (int i = 0; i < COUNT; i++)
            arm(&waiters[i], 1 + (int64_t)next_random(300000));
        run_at(start_ms + stall_ms);
        for (int i = 0; i < COUNT; i++) {
            if (waiters[i].fired > 0) continue;
            assert_true(waiters[i].due_ms + LATE_MAX_MS > now_ms);
            weir__timeouts_disarm(&timeouts, &waiters[i].work);
        }
        assert_in_range(waiters[0].asked, 0, 2);
    }
}

/* Armed while time stood still for the wheel: the deadline counts from the clock, not from the wheel's last turn. */
static void armed_after_a_stall_before_the_wheel_ran(void **state)
{
    struct waiter first = { .work.conn = NULL }, second = { .work.conn = NULL };
    int64_t due_ms;

    (void)state;
    arm(&first, 1000);
    now_ms += 180000;
    arm(&second, 100);
    due_ms = second.due_ms;
    run_at(now_ms);
    assert_int_equal(first.fired, 1);
    assert_int_equal(second.fired, 0);
    while (second.fired == 0)
        assert_true(run_at_timer());
    check_fired(&second, due_ms);
}

/* ---- From inside check ---- */

static void who_fires_may_stand_in_again(void **state)
{
    static const int64_t periods[] = { 1, 10, 20, 1000, WHEEL_MS - 10, WHEEL_MS, WHEEL_MS + 10, 3 * WHEEL_MS };

    (void)state;
    for (size_t i = 0; i < sizeof(periods) / sizeof(periods[0]); i++) {
        struct waiter waiter = { .every_ms = periods[i] };
        const int64_t start_ms = now_ms;

        arm(&waiter, periods[i]);
        while (waiter.fired < 50)
            assert_true(run_at_timer());
        assert_in_range(now_ms - start_ms, 50 * periods[i], 50 * (periods[i] + LATE_MAX_MS));
        weir__timeouts_disarm(&timeouts, &waiter.work);
    }
}

/* What one deadline does may move another: nearer, further, also one that stands in the slot being run. */
static void who_fires_may_move_another(void **state)
{
    static const int64_t moves[] = { 1, 10, 11, 500, WHEEL_MS - 10, WHEEL_MS, WHEEL_MS + 10 };

    (void)state;
    for (size_t i = 0; i < sizeof(moves) / sizeof(moves[0]); i++) {
        for (int64_t other_ms = 90; other_ms <= WHEEL_MS + 200; other_ms += 10) {
            struct waiter other = { .work.conn = NULL };
            struct waiter first = { .then_moves = &other, .moves_by_ms = moves[i] };
            int64_t due_ms;

            arm(&first, 100);
            arm(&other, other_ms);
            due_ms = first.due_ms;
            while (first.fired == 0)
                assert_true(run_at_timer());
            check_fired(&first, due_ms);
            if (other.fired == 1 && other.due_ms == INT64_MAX) continue; /* it was first */
            due_ms = other.due_ms;
            other.fired = 0;
            while (other.fired == 0)
                assert_true(run_at_timer());
            check_fired(&other, due_ms);
        }
    }
}

/* All of them again and again, in one run after a long stall: it ends. */
static void no_run_is_endless(void **state)
{
    enum { COUNT = 300 };
    struct waiter waiters[COUNT];

    (void)state;
    memset(waiters, 0, sizeof(waiters));
    for (int i = 0; i < COUNT; i++) {
        waiters[i].every_ms = 1;
        arm(&waiters[i], 1 + i * 17);
    }
    for (int i = 0; i < 50; i++)
        run_at(now_ms + 600000);
    for (int i = 0; i < COUNT; i++)
        assert_in_range(waiters[i].fired, 50, 51);
    for (int i = 0; i < COUNT; i++)
        weir__timeouts_disarm(&timeouts, &waiters[i].work);
}

/* ---- On a real loop ---- */

struct loop_test {
    struct weir__timeouts timeouts;
    struct event_base *base;
    int left;
};

static struct loop_test loop_test;

static int64_t check_by_clock(struct weir__work *work, int64_t at_ms)
{
    struct waiter *waiter = (struct waiter *)work;

    assert_true(at_ms >= waiter->work.since_ms);
    waiter->fired++;
    if (--loop_test.left == 0) event_base_loopbreak(loop_test.base);
    return INT64_MAX;
}

static void on_timer(int fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
    weir__timeouts_run(&loop_test.timeouts, weir__clock_ms(), check_by_clock);
}

static void on_deadline(int fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
    fail_msg("not all deadlines came up");
}

static void a_real_loop_wakes_for_each(void **state)
{
    enum { COUNT = 40 };
    const struct timeval patience = { .tv_sec = 20 };
    struct waiter waiters[COUNT];
    struct event *deadline;

    (void)state;
    memset(waiters, 0, sizeof(waiters));
    loop_test.base = base;
    loop_test.left = COUNT;
    assert_int_equal(weir__timeouts_init(&loop_test.timeouts, base, on_timer, NULL, weir__clock_ms()), 0);
    deadline = evtimer_new(base, on_deadline, NULL);
    evtimer_add(deadline, &patience);
    for (int i = 0; i < COUNT; i++) {
        waiters[i].work.since_ms = weir__clock_ms() + i * 5; /* not early by the clock that people have */
        weir__timeouts_arm(&loop_test.timeouts, &waiters[i].work, waiters[i].work.since_ms, weir__clock_ms());
    }
    event_base_dispatch(base);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(waiters[i].fired, 1);
    event_free(deadline);
    weir__timeouts_fini(&loop_test.timeouts);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_distance_is_kept),
        TEST(a_deadline_that_has_passed_fires_in_the_next_tick),
        TEST(waiting_long_costs_a_look_a_turn_of_the_wheel),
        TEST(off_is_never),
        TEST(sooner_takes_effect),
        TEST(later_costs_nothing),
        TEST(disarmed_is_silent),
        TEST(an_empty_wheel_sleeps),
        TEST(hundreds_at_random),
        TEST(many_in_one_slot),
        TEST(after_a_stall_all_that_is_due_fires_at_once),
        TEST(armed_after_a_stall_before_the_wheel_ran),
        TEST(who_fires_may_stand_in_again),
        TEST(who_fires_may_move_another),
        TEST(no_run_is_endless),
        TEST(a_real_loop_wakes_for_each),
    };

    return cmocka_run_group_tests_name("timeouts", tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Clients that do not get in: for want of a place, or because of their address. Who is told, and how often. */
#include "one_client.h"

#include "engine/engine.h"
#include "gate/admission.h"
#include "net/address.h"

enum { MANY = 30, TOLD_A_SECOND = 10 };

static struct {
    unsigned told, entered, left;
    enum weir_reason reason;
    char peer[WEIR_ADDRESS_BYTES_MAX];
    enum weir_reason verdict; /* of the rule */
    uint64_t began_s;
    int clients[MANY];
} seen;

static uint64_t seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec;
}

static void on_refused(struct weir_listener *listener, const char *peer, enum weir_reason reason, void *user)
{
    assert_ptr_equal(listener, test.listener);
    assert_ptr_equal(user, &seen);
    seen.told++;
    seen.reason = reason;
    snprintf(seen.peer, sizeof(seen.peer), "%s", peer);
}

static enum weir_reason rule_enter(const struct weir__peer *peer)
{
    char text[WEIR_ADDRESS_BYTES_MAX];

    assert_string_equal(weir__peer_text(peer, text), "unix");
    seen.entered += seen.verdict == WEIR_REASON_NONE;
    return seen.verdict;
}

static void rule_leave(const struct weir__peer *peer)
{
    char text[WEIR_ADDRESS_BYTES_MAX];

    assert_string_equal(weir__peer_text(peer, text), "unix");
    seen.left++;
}

static const struct weir__admission_rule rule = { rule_enter, rule_leave };

static void set_rule(void)
{
    test.weir->admission.rule = &rule;
}

static int begin(void **state)
{
    (void)state;
    memset(&seen, 0, sizeof(seen));
    before_run = NULL;
    return 0;
}

static uint64_t closed(enum weir_reason reason)
{
    struct weir_counters counters = { .size = sizeof(counters) };

    weir_counters(test.weir, &counters);
    return counters.closed[reason];
}

/* ---- No place ---- */

static void connect_many(void)
{
    if (!test.conn) return;
    for (unsigned i = 0; i < MANY && seen.clients[i] == 0; i++)
        seen.clients[i] = connect_to(test.url);
    if (closed(WEIR_REASON_LIMIT) < MANY) return;
    for (unsigned i = 0; i < MANY; i++)
        close(seen.clients[i]);
    weir_stop(test.weir, 1);
}

static void more_than_there_are_places_for(void **state)
{
    const struct weir_config config = WEIR_CONFIG(.clients_max = 1);
    const struct weir_service service =
        WEIR_SERVICE(.on_open = on_open, .on_close = on_close, .on_refused = on_refused, .user = &seen);

    (void)state;
    seen.began_s = seconds();
    run_with(&config, &service, "x", connect_many);
    assert_int_equal(seen.reason, WEIR_REASON_LIMIT);
    assert_string_equal(seen.peer, "unix");
    assert_in_range(seen.told, TOLD_A_SECOND, TOLD_A_SECOND * (seconds() - seen.began_s + 1));
    assert_int_equal(test.closed, 1);
}

/* ---- The address ---- */

static void stop_when_told(void)
{
    if (seen.told == 0) return;
    assert_int_equal(closed(WEIR_REASON_DENIED), 1);
    weir_stop(test.weir, 1);
}

static void an_address_that_may_not_come_in(void **state)
{
    const struct weir_service service =
        WEIR_SERVICE(.on_open = on_open, .on_close = on_close, .on_refused = on_refused, .user = &seen);

    (void)state;
    seen.verdict = WEIR_REASON_DENIED;
    before_run = set_rule;
    run(&service, "x", stop_when_told);
    assert_int_equal(seen.told, 1);
    assert_int_equal(seen.reason, WEIR_REASON_DENIED);
    assert_null(test.conn);
    assert_int_equal(test.closed, 0); /* it was never there */
    assert_int_equal(seen.entered + seen.left, 0);
}

static void stop_when_open(void)
{
    if (!test.conn) return;
    assert_int_equal(seen.entered, 1);
    assert_int_equal(seen.left, 0);
    weir_stop(test.weir, 1);
}

static void who_enters_leaves_once(void **state)
{
    const struct weir_service service =
        WEIR_SERVICE(.on_open = on_open, .on_close = on_close, .on_refused = on_refused, .user = &seen);

    (void)state;
    before_run = set_rule;
    run(&service, "x", stop_when_open);
    assert_int_equal(seen.entered, 1);
    assert_int_equal(seen.left, 1);
    assert_int_equal(seen.told, 0);
    assert_int_equal(test.closed, 1);
}

/* ---- Without anybody to tell ---- */

static void stop_when_denied(void)
{
    if (closed(WEIR_REASON_DENIED) == 1) weir_stop(test.weir, 1);
}

static void nobody_need_be_told(void **state)
{
    const struct weir_service service = WEIR_SERVICE(.on_open = on_open, .on_close = on_close);

    (void)state;
    seen.verdict = WEIR_REASON_DENIED;
    before_run = set_rule;
    run(&service, "x", stop_when_denied);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(more_than_there_are_places_for, begin),
        cmocka_unit_test_setup(an_address_that_may_not_come_in, begin),
        cmocka_unit_test_setup(who_enters_leaves_once, begin),
        cmocka_unit_test_setup(nobody_need_be_told, begin),
    };

    return cmocka_run_group_tests_name("refused", tests, NULL, NULL);
}

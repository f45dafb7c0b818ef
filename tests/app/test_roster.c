/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Who is connected: in order, and who is chosen when clients come and go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "desk/roster.h"

enum { CLIENTS = 8 };

static struct roster roster;
static struct roster_client clients[CLIENTS + 1];

static int setup(void **state)
{
    (void)state;
    roster = (struct roster){ 0 };
    for (size_t i = 0; i <= CLIENTS; i++)
        clients[i] = (struct roster_client){ .id = i };
    return 0;
}

/* The list has these numbers, forwards and backwards, and the count is right. */
static void expect_ids(const uint64_t *ids, size_t count)
{
    const struct roster_client *client = roster.first;

    assert_int_equal(roster.count, count);
    for (size_t i = 0; i < count; i++, client = client->after) {
        assert_non_null(client);
        assert_int_equal(client->id, ids[i]);
    }
    assert_null(client);
    client = roster.last;
    for (size_t i = count; i; i--, client = client->before) {
        assert_non_null(client);
        assert_int_equal(client->id, ids[i - 1]);
    }
    assert_null(client);
}

static void clients_stand_in_order_however_they_come(void **state)
{
    static const uint64_t all[] = { 1, 2, 3, 4, 5 };
    static const uint64_t some[] = { 2, 4 };
    static const size_t order[] = { 3, 1, 2, 5, 4 };

    (void)state;
    for (size_t i = 0; i < 5; i++)
        roster_add(&roster, &clients[order[i]]);
    expect_ids(all, 5);
    roster_remove(&roster, &clients[3]);
    roster_remove(&roster, &clients[1]);
    roster_remove(&roster, &clients[5]);
    expect_ids(some, 2);
    assert_ptr_equal(roster_find(&roster, 4), &clients[4]);
    assert_null(roster_find(&roster, 3));
    assert_null(roster_find(&roster, 9));
    roster_remove(&roster, &clients[2]);
    roster_remove(&roster, &clients[4]);
    expect_ids(NULL, 0);
}

static void the_first_one_is_chosen_and_stays(void **state)
{
    (void)state;
    assert_int_equal(roster.chosen, 0);
    roster_add(&roster, &clients[2]);
    roster_add(&roster, &clients[1]);
    roster_add(&roster, &clients[3]);
    assert_int_equal(roster.chosen, 2);
    roster_remove(&roster, &clients[1]);
    roster_remove(&roster, &clients[3]);
    assert_int_equal(roster.chosen, 2);
}

static void when_it_leaves_the_next_one_is_chosen(void **state)
{
    (void)state;
    for (size_t i = 1; i <= 4; i++)
        roster_add(&roster, &clients[i]);
    assert_false(roster_choose(&roster, 5));
    assert_true(roster_choose(&roster, 3));
    roster_remove(&roster, &clients[3]);
    assert_int_equal(roster.chosen, 4);
    roster_remove(&roster, &clients[4]);
    assert_int_equal(roster.chosen, 1);
    roster_remove(&roster, &clients[1]);
    roster_remove(&roster, &clients[2]);
    assert_int_equal(roster.chosen, 0);
    roster_add(&roster, &clients[6]);
    assert_int_equal(roster.chosen, 6);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(clients_stand_in_order_however_they_come, setup),
        cmocka_unit_test_setup(the_first_one_is_chosen_and_stays, setup),
        cmocka_unit_test_setup(when_it_leaves_the_next_one_is_chosen, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

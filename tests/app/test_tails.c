/* SPDX-License-Identifier: BSD-3-Clause
 *
 * When an unfinished message is shown: once it has been so for a while, once, and again when it has grown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "serve/tails.h"

static struct tails tails;

/* One look at one connection, a second after the last. */
static bool look(uint64_t conn, uint64_t messages, uint64_t bytes, int64_t seconds)
{
    const bool is_shown = tails_see(&tails, conn, messages, bytes, seconds * 1000);

    tails_end_look(&tails);
    return is_shown;
}

static void it_is_shown_once_after_two_seconds(void **state)
{
    (void)state;
    assert_false(look(1, 0, 5, 10));
    assert_false(look(1, 0, 5, 11));
    assert_true(look(1, 0, 5, 12));
    for (int64_t seconds = 13; seconds < 20; seconds++)
        assert_false(look(1, 0, 5, seconds));
}

static void it_is_shown_again_when_it_has_grown(void **state)
{
    (void)state;
    assert_false(look(1, 3, 5, 10));
    assert_false(look(1, 3, 6, 11));
    assert_true(look(1, 3, 7, 12)); /* though it has not stood still */
    assert_false(look(1, 3, 8, 13));
    assert_true(look(1, 3, 8, 14));
    assert_false(look(1, 3, 8, 15));
    assert_true(look(1, 3, 9, 16));
}

static void the_next_message_is_another(void **state)
{
    (void)state;
    assert_false(look(1, 0, 5, 10));
    assert_false(look(1, 0, 5, 11));
    assert_false(look(1, 1, 7, 12));
    assert_false(look(1, 1, 7, 13));
    assert_true(look(1, 1, 7, 14));
}

static void what_has_gone_is_forgotten(void **state)
{
    (void)state;
    assert_false(look(1, 0, 5, 10));
    tails_end_look(&tails);
    assert_int_equal(tails.before_count, 0);
    assert_false(look(1, 0, 5, 12));
    assert_true(look(1, 0, 5, 14));
}

static void many_have_their_turns_in_any_order(void **state)
{
    enum { CONNS = 1000 };
    unsigned shown[CONNS] = { 0 };
    int64_t seconds = 0;

    (void)state;
    for (; seconds < 2 + (CONNS + TAILS_SHOWN_MAX - 1) / TAILS_SHOWN_MAX; seconds++) {
        unsigned at_once = 0;
        for (uint64_t i = 0; i < CONNS; i++) {
            const uint64_t conn = (i * 7 + (uint64_t)seconds * 13) % CONNS;
            const bool is_shown = tails_see(&tails, conn, 1, 10, seconds * 1000);
            shown[conn] += is_shown;
            at_once += is_shown;
        }
        tails_end_look(&tails);
        assert_true(seconds < 2 ? at_once == 0 : at_once > 0 && at_once <= TAILS_SHOWN_MAX);
    }
    for (size_t i = 0; i < CONNS; i++)
        assert_int_equal(shown[i], 1);
}

static int teardown(void **state)
{
    (void)state;
    tails_fini(&tails);
    return 0;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(it_is_shown_once_after_two_seconds, teardown),
        cmocka_unit_test_teardown(it_is_shown_again_when_it_has_grown, teardown),
        cmocka_unit_test_teardown(the_next_message_is_another, teardown),
        cmocka_unit_test_teardown(what_has_gone_is_forgotten, teardown),
        cmocka_unit_test_teardown(many_have_their_turns_in_any_order, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

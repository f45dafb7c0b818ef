/* SPDX-License-Identifier: BSD-3-Clause
 *
 * How much of what waits for the disk may be one client's, and for how long a flood is held. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "journal/share.h"

enum { KIB = 1024, HOLD_MS = 20, OTHERS_MS = 1000, NOW_MS = 1000000 };

static void a_share_is_a_part_of_the_queue_but_never_small(void **state)
{
    struct share_pool pool = { .bytes_max = 1024 * KIB };

    (void)state;
    assert_int_equal(share_bytes(&pool), 1024 * KIB);
    pool.clients = 4;
    assert_int_equal(share_bytes(&pool), 256 * KIB);
    pool.clients = 1000;
    assert_int_equal(share_bytes(&pool), SHARE_BYTES_MIN);
}

static void bytes_wait_until_their_batch_is_back(void **state)
{
    struct share share = { .owed = 0 };

    (void)state;
    share_count(&share, 1, 0, 10);
    share_count(&share, 1, 0, 20);
    assert_int_equal(share_waiting(&share, 0), 30);
    share_count(&share, 2, 0, 100);
    assert_int_equal(share_waiting(&share, 0), 130);
    assert_int_equal(share_waiting(&share, 2), 0);
    share_count(&share, 3, 2, 7);
    assert_int_equal(share_waiting(&share, 2), 7);
    assert_int_equal(share_waiting(&share, 3), 0);
}

static void it_is_over_with_too_many_bytes_or_too_many_messages_owed(void **state)
{
    const struct share_pool pool = { .bytes_max = 1024 * KIB, .clients = 8 };
    struct share share = { .owed = 0 };

    (void)state;
    share_count(&share, 1, 0, 128 * KIB);
    assert_false(share_is_over(&share, &pool, 0));
    share_count(&share, 1, 0, 1);
    assert_true(share_is_over(&share, &pool, 0));
    assert_false(share_is_over(&share, &pool, 1));
    share.owed = SHARE_OWED_MAX;
    assert_true(share_is_over(&share, &pool, 1));
}

static void it_goes_on_at_half_of_it(void **state)
{
    struct share share = { .owed = SHARE_OWED_MAX / 2 };

    (void)state;
    share_count(&share, 1, 0, 50);
    assert_true(share_is_low(&share, 100, 0));
    share_count(&share, 1, 0, 1);
    assert_false(share_is_low(&share, 100, 0));
    assert_true(share_is_low(&share, 100, 1));
    share.owed++;
    assert_false(share_is_low(&share, 100, 1));
}

static void a_flood_is_held_while_others_send(void **state)
{
    const struct share_pool pool = { .bytes_max = SHARE_BYTES_MIN, .clients = 2 };
    struct share share = { .owed = 0 };

    (void)state;
    share_count(&share, 1, 0, SHARE_BYTES_MIN + 1);
    share_note_pause(&share, &pool, 0, 1, NOW_MS);
    assert_int_equal(share_held_ms(&share, NOW_MS), HOLD_MS);
    assert_int_equal(share_held_ms(&share, NOW_MS + HOLD_MS), 0);
    /* Nobody else has sent anything since. */
    share_note_pause(&share, &pool, 0, 1, NOW_MS + OTHERS_MS);
    assert_int_equal(share_held_ms(&share, NOW_MS + OTHERS_MS), 0);
    share_note_pause(&share, &pool, 0, 2, NOW_MS + OTHERS_MS);
    assert_int_equal(share_held_ms(&share, NOW_MS + OTHERS_MS), HOLD_MS);
    /* A pause for what is owed holds nobody. */
    share_note_pause(&share, &pool, 1, 3, NOW_MS + 2 * OTHERS_MS);
    assert_int_equal(share_held_ms(&share, NOW_MS + 2 * OTHERS_MS), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_share_is_a_part_of_the_queue_but_never_small),
        cmocka_unit_test(bytes_wait_until_their_batch_is_back),
        cmocka_unit_test(it_is_over_with_too_many_bytes_or_too_many_messages_owed),
        cmocka_unit_test(it_goes_on_at_half_of_it),
        cmocka_unit_test(a_flood_is_held_while_others_send),
    };

    return cmocka_run_group_tests_name("share", tests, NULL, NULL);
}

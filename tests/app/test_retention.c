/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What has to go: bounds and how things stand in, a verdict out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <weir/weir.h>

#include "journal/retention.h"

#define KIB 1024LL
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define TIB (1024 * GIB)

static struct retention_limits limits_of(int64_t age_ms, int64_t bytes, int64_t percent, int64_t disk)
{
    const struct retention_wish wish = { age_ms, bytes, percent };
    struct retention_limits limits;

    retention_limits_init(&limits, &wish, disk);
    return limits;
}

/* A database without free pages, on a disk of 100 GiB of which 50 are free. */
static struct retention_numbers numbers_of(int64_t used)
{
    return (struct retention_numbers){ .used_bytes = used,
                                       .file_bytes = used,
                                       .file_bytes_on_disk = used,
                                       .can_shrink = true,
                                       .disk_bytes = 100 * GIB,
                                       .disk_free_bytes = 50 * GIB };
}

static struct retention_verdict judge(const struct retention_limits *limits, const struct retention_numbers *numbers)
{
    struct retention_verdict verdict;

    retention_judge(limits, numbers, false, &verdict);
    return verdict;
}

static void the_default_is_ten_gib_or_a_tenth_of_the_disk(void **state)
{
    (void)state;
    assert_int_equal(limits_of(0, 0, 0, 4 * TIB).bytes_max, 10 * GIB);
    assert_int_equal(limits_of(0, 0, 0, 50 * GIB).bytes_max, 5 * GIB);
    assert_int_equal(limits_of(0, 0, 0, 1 * MIB).bytes_max, 1 * MIB);
    assert_int_equal(limits_of(0, 0, 0, 50 * GIB).free_percent, 5);
    assert_int_equal(limits_of(0, 0, 0, 50 * GIB).age_us_max, 0);
}

static void what_is_asked_for_or_turned_off_is_so(void **state)
{
    const struct retention_limits some = limits_of(1500, 3 * GIB, 20, 50 * GIB);
    const struct retention_limits none = limits_of(WEIR_OFF, WEIR_OFF, WEIR_OFF, 50 * GIB);
    const struct retention_numbers full = { .used_bytes = 100 * TIB, .file_bytes = 100 * TIB, .can_shrink = true };

    (void)state;
    assert_int_equal(some.age_us_max, 1500000);
    assert_int_equal(some.bytes_max, 3 * GIB);
    assert_int_equal(some.free_percent, 20);
    assert_int_equal(none.age_us_max + none.bytes_max + none.free_percent, 0);
    assert_int_equal(judge(&none, &full).delete_bytes, 0);
    assert_int_equal(judge(&none, &full).give_back_bytes, 0);
}

/* Log, reserve and transactions are parts of what may be kept, and never what they cannot work with. */
static void a_small_store_has_small_parts(void **state)
{
    static const int64_t sizes[] = { 1 * MIB, 8 * MIB, 100 * MIB, 10 * GIB, 4 * TIB };

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        const struct retention_limits limits = limits_of(0, sizes[i], 0, 10 * TIB);

        assert_in_range(limits.log_bytes_max, 64 * KIB, 16 * MIB);
        assert_true(limits.log_room_bytes >= limits.log_bytes_max + 2 * limits.transaction_bytes_max);
        assert_true(limits.log_room_bytes + limits.transaction_bytes_max + limits.slack_bytes <= sizes[i] / 4);
        assert_true(limits.reserve_bytes >= limits.log_bytes_max && limits.reserve_bytes <= sizes[i] / 8);
        assert_true(limits.transaction_bytes_max > 0);
    }
}

static void the_log_counts_with_the_database(void **state)
{
    const struct retention_limits limits = limits_of(0, 1 * GIB, WEIR_OFF, 100 * GIB);
    const int64_t most = 1 * GIB - limits.log_room_bytes - limits.transaction_bytes_max;
    struct retention_numbers numbers = numbers_of(most);

    (void)state;
    assert_int_equal(judge(&limits, &numbers).delete_bytes, 0);
    numbers.log_bytes = limits.log_room_bytes; /* which was set aside for it */
    assert_int_equal(judge(&limits, &numbers).delete_bytes, 0);
    numbers.log_bytes += 1 * MIB;
    assert_int_equal(judge(&limits, &numbers).delete_bytes, 1 * MIB + limits.slack_bytes);
    assert_int_equal(judge(&limits, &numbers).reason, RETENTION_SIZE);
    numbers = numbers_of(most + 1);
    assert_int_equal(judge(&limits, &numbers).delete_bytes, 1 + limits.slack_bytes);
}

/* Somebody who reads for hours makes the log grow; that must not eat the store. */
static void a_log_that_is_held_costs_half_of_the_store_at_most(void **state)
{
    const struct retention_limits limits = limits_of(0, 1 * GIB, WEIR_OFF, 100 * GIB);
    struct retention_numbers numbers = numbers_of(600 * MIB);

    (void)state;
    numbers.log_bytes = 5 * GIB;
    assert_int_equal(judge(&limits, &numbers).delete_bytes, 600 * MIB - 512 * MIB);
    numbers = numbers_of(512 * MIB);
    numbers.log_bytes = 5 * GIB;
    assert_int_equal(judge(&limits, &numbers).delete_bytes, 0);
}

static void once_begun_it_goes_on_until_the_slack_is_free(void **state)
{
    const struct retention_limits limits = limits_of(0, 1 * GIB, WEIR_OFF, 100 * GIB);
    const int64_t most = 1 * GIB - limits.log_room_bytes - limits.transaction_bytes_max;
    const struct retention_numbers within = numbers_of(most - limits.slack_bytes / 2);
    const struct retention_numbers below = numbers_of(most - limits.slack_bytes);
    struct retention_verdict verdict;

    (void)state;
    assert_int_equal(judge(&limits, &within).delete_bytes, 0);
    retention_judge(&limits, &within, true, &verdict);
    assert_int_equal(verdict.delete_bytes, limits.slack_bytes / 2);
    retention_judge(&limits, &below, true, &verdict);
    assert_int_equal(verdict.delete_bytes, 0);
}

static void a_disk_that_others_fill_is_given_room(void **state)
{
    const struct retention_limits limits = limits_of(0, 10 * GIB, 5, 100 * GIB);
    struct retention_numbers numbers = numbers_of(8 * GIB);

    (void)state;
    numbers.disk_free_bytes = 5 * GIB;
    assert_int_equal(judge(&limits, &numbers).delete_bytes, 0);
    numbers.disk_free_bytes = 4 * GIB;
    assert_int_equal(judge(&limits, &numbers).delete_bytes, 1 * GIB + limits.slack_bytes);
    assert_int_equal(judge(&limits, &numbers).reason, RETENTION_DISK);
    assert_int_equal(judge(&limits, &numbers).give_back_bytes, 0); /* there is nothing yet */
    assert_false(judge(&limits, &numbers).is_at_floor);
    numbers.used_bytes = 7 * GIB;
    assert_int_equal(judge(&limits, &numbers).delete_bytes, 0);
    assert_int_equal(judge(&limits, &numbers).give_back_bytes, 1 * GIB);
    numbers.file_bytes = 7 * GIB; /* on its way with the next checkpoint */
    assert_int_equal(judge(&limits, &numbers).delete_bytes, 0);
    assert_int_equal(judge(&limits, &numbers).give_back_bytes, 0);
}

static void others_never_cost_more_than_half(void **state)
{
    const struct retention_limits limits = limits_of(0, 10 * GIB, 5, 100 * GIB);
    struct retention_numbers numbers = numbers_of(8 * GIB);

    (void)state;
    numbers.disk_free_bytes = 0;
    assert_int_equal(judge(&limits, &numbers).delete_bytes, 3 * GIB);
    assert_false(judge(&limits, &numbers).is_at_floor);
    numbers = numbers_of(5 * GIB);
    numbers.disk_free_bytes = 0;
    assert_int_equal(judge(&limits, &numbers).delete_bytes, 0);
    assert_true(judge(&limits, &numbers).is_at_floor);
    numbers = numbers_of(100 * MIB); /* all of which is little on this disk */
    numbers.disk_free_bytes = 0;
    assert_int_equal(judge(&limits, &numbers).delete_bytes, 0);
    assert_true(judge(&limits, &numbers).is_at_floor);
}

/* Deleting for the disk would be for nothing. */
static void a_store_that_cannot_shrink_keeps_to_its_size_only(void **state)
{
    const struct retention_limits limits = limits_of(0, 10 * GIB, 5, 100 * GIB);
    struct retention_numbers numbers = numbers_of(8 * GIB);

    (void)state;
    numbers.can_shrink = false;
    numbers.disk_free_bytes = 0;
    assert_int_equal(judge(&limits, &numbers).delete_bytes, 0);
    numbers.used_bytes = numbers.file_bytes = 11 * GIB;
    assert_true(judge(&limits, &numbers).delete_bytes > 1 * GIB);
    numbers.used_bytes = 1 * GIB;
    assert_int_equal(judge(&limits, &numbers).give_back_bytes, 0);
}

static void a_file_that_was_larger_is_cut(void **state)
{
    const struct retention_limits limits = limits_of(0, 1 * GIB, WEIR_OFF, 100 * GIB);
    struct retention_numbers numbers = numbers_of(3 * GIB);

    (void)state;
    numbers.used_bytes = 900 * MIB;
    assert_int_equal(judge(&limits, &numbers).give_back_bytes, 2 * GIB + limits.log_room_bytes);
    numbers.file_bytes = 1 * GIB - limits.log_room_bytes;
    assert_int_equal(judge(&limits, &numbers).give_back_bytes, 0);
}

static void a_reserve_is_for_disks_with_room(void **state)
{
    const struct retention_limits limits = limits_of(0, 10 * GIB, 5, 100 * GIB);
    struct retention_numbers numbers = numbers_of(0);

    (void)state;
    assert_true(judge(&limits, &numbers).has_reserve_room);
    assert_true(judge(&limits, &numbers).is_room_ample);
    numbers.disk_free_bytes = 2 * limits.reserve_bytes;
    assert_true(judge(&limits, &numbers).has_reserve_room);
    assert_false(judge(&limits, &numbers).is_room_ample);
    numbers.disk_free_bytes = limits.reserve_bytes;
    assert_false(judge(&limits, &numbers).has_reserve_room);
}

static void a_reserve_that_was_used_is_wanted_again(void **state)
{
    const struct retention_limits limits = limits_of(0, 10 * GIB, 5, 100 * GIB);
    struct retention_numbers numbers = numbers_of(8 * GIB);

    (void)state;
    numbers.disk_free_bytes = 5 * GIB;
    numbers.lacks_reserve = true;
    assert_int_equal(judge(&limits, &numbers).delete_bytes, 2 * limits.reserve_bytes + limits.slack_bytes);
}

/* However it compares with what is to go: a step is more than came in. */
static void a_step_outruns_what_comes(void **state)
{
    (void)state;
    assert_true(retention_step_bytes(4 * MIB, true) >= 8 * MIB);
    assert_in_range(retention_step_bytes(100, true), 1 * KIB, 1 * MIB);
    assert_true(retention_step_bytes(0, false) >= retention_step_bytes(0, true));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_default_is_ten_gib_or_a_tenth_of_the_disk),
        cmocka_unit_test(what_is_asked_for_or_turned_off_is_so),
        cmocka_unit_test(a_small_store_has_small_parts),
        cmocka_unit_test(the_log_counts_with_the_database),
        cmocka_unit_test(a_log_that_is_held_costs_half_of_the_store_at_most),
        cmocka_unit_test(once_begun_it_goes_on_until_the_slack_is_free),
        cmocka_unit_test(a_disk_that_others_fill_is_given_room),
        cmocka_unit_test(others_never_cost_more_than_half),
        cmocka_unit_test(a_store_that_cannot_shrink_keeps_to_its_size_only),
        cmocka_unit_test(a_file_that_was_larger_is_cut),
        cmocka_unit_test(a_reserve_is_for_disks_with_room),
        cmocka_unit_test(a_reserve_that_was_used_is_wanted_again),
        cmocka_unit_test(a_step_outruns_what_comes),
    };
    return cmocka_run_group_tests_name("retention", tests, NULL, NULL);
}

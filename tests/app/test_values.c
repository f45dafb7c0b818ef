/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Sizes, times, counts, permissions, keepalive, choices, and how near two names are. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/values.h"

struct number_case {
    const char *text;
    int result;
    int64_t number;
};

static void check(int (*parse)(const char *text, int64_t *ret), const struct number_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int64_t number = 77;
        const int result = parse(cases[i].text, &number);
        if (result != cases[i].result || number != (result ? 77 : cases[i].number))
            fail_msg("'%s': %d, %lld", cases[i].text, result, (long long)number);
    }
}

static void sizes_have_binary_units(void **state)
{
    static const struct number_case cases[] = {
        { "0", 0, 0 },
        { "1", 0, 1 },
        { "512B", 0, 512 },
        { "64KiB", 0, 65536 },
        { "1MiB", 0, 1048576 },
        { "2GiB", 0, 2147483648LL },
        { "3TiB", 0, 3298534883328LL },
        { "9223372036854775807", 0, INT64_MAX },
        { "9223372036854775808", -ERANGE, 0 },
        { "9000000TiB", -ERANGE, 0 },
        { "99999999999999999999999999", -ERANGE, 0 },
        { "", -EINVAL, 0 },
        { "KiB", -EINVAL, 0 },
        { "64kb", -EINVAL, 0 },
        { "64 KiB", -EINVAL, 0 },
        { "64KiBs", -EINVAL, 0 },
        { "-1", -EINVAL, 0 },
        { "+1", -EINVAL, 0 },
        { " 1", -EINVAL, 0 },
        { "1.5MiB", -EINVAL, 0 },
        { "0x10", -EINVAL, 0 },
    };

    (void)state;
    check(value_parse_size, cases, sizeof(cases) / sizeof(cases[0]));
}

static void times_default_to_seconds(void **state)
{
    static const struct number_case cases[] = {
        { "500ms", 0, 500 },   { "10s", 0, 10000 },        { "10", 0, 10000 },     { "5m", 0, 300000 },
        { "2h", 0, 7200000 },  { "30d", 0, 2592000000LL }, { "0", 0, 0 },          { "200000000000d", -ERANGE, 0 },
        { "10S", -EINVAL, 0 }, { "ms", -EINVAL, 0 },       { "10 s", -EINVAL, 0 }, { "1m30s", -EINVAL, 0 },
        { "off", -EINVAL, 0 },
    };

    (void)state;
    check(value_parse_time, cases, sizeof(cases) / sizeof(cases[0]));
}

static void short_times_go_down_to_nanoseconds(void **state)
{
    static const struct number_case cases[] = {
        { "1ns", 0, 1 },           { "500us", 0, 500000 },   { "10ms", 0, 10000000 },    { "2", 0, 2000000000 },
        { "2s", 0, 2000000000 },   { "1m", 0, 60000000000 }, { "1h", 0, 3600000000000 }, { "1d", 0, 86400000000000 },
        { "200000d", -ERANGE, 0 }, { "", -EINVAL, 0 },       { "1.5ms", -EINVAL, 0 },    { "10 ms", -EINVAL, 0 },
        { "10msx", -EINVAL, 0 },
    };

    (void)state;
    check(value_parse_short_time, cases, sizeof(cases) / sizeof(cases[0]));
}

static void counts_and_modes_have_no_unit(void **state)
{
    static const struct number_case counts[] = {
        { "4096", 0, 4096 }, { "08", 0, 8 }, { "4k", -EINVAL, 0 }, { "", -EINVAL, 0 }, { "1,000", -EINVAL, 0 },
    };
    static const struct number_case modes[] = {
        { "0600", 0, 0600 }, { "660", 0, 0660 }, { "0o7", -EINVAL, 0 }, { "8", -EINVAL, 0 }, { "u+w", -EINVAL, 0 },
    };

    (void)state;
    check(value_parse_count, counts, sizeof(counts) / sizeof(counts[0]));
    check(value_parse_mode, modes, sizeof(modes) / sizeof(modes[0]));
}

static void shares_are_whole_and_have_their_sign(void **state)
{
    static const struct number_case cases[] = {
        { "5%", 0, 5 },        { "0%", 0, 0 },        { "100%", 0, 100 },     { "5", -EINVAL, 0 },
        { "5 %", -EINVAL, 0 }, { "5%%", -EINVAL, 0 }, { "0.5%", -EINVAL, 0 }, { "%", -EINVAL, 0 },
        { "-1%", -EINVAL, 0 }, { "", -EINVAL, 0 },
    };

    (void)state;
    check(value_parse_percent, cases, sizeof(cases) / sizeof(cases[0]));
}

static void keepalive_is_three_values(void **state)
{
    static const char *const wrong[] = { "",          "60s",        "60s,10s",    "60s,10s,5,", "60s,10s,5,6",
                                         "60s,,5",    "60s,10s,5s", "60s;10s;5",  ",,",         "60s,10s,",
                                         "off,off,1", "60s, 10s,5", "60s,10s,\t5" };
    struct value_keepalive keepalive = { 0 };

    (void)state;
    assert_int_equal(value_parse_keepalive("60s,10s,5", &keepalive), 0);
    assert_int_equal(keepalive.idle_ms, 60000);
    assert_int_equal(keepalive.interval_ms, 10000);
    assert_int_equal(keepalive.count, 5);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        if (value_parse_keepalive(wrong[i], &keepalive) != -EINVAL) fail_msg("'%s' was accepted", wrong[i]);
    assert_int_equal(keepalive.idle_ms, 60000);
}

static void choices_are_whole_words(void **state)
{
    int choice = 77;

    (void)state;
    assert_int_equal(value_parse_choice("close|skip|truncate", "close", &choice), 0);
    assert_int_equal(choice, 0);
    assert_int_equal(value_parse_choice("close|skip|truncate", "truncate", &choice), 0);
    assert_int_equal(choice, 2);
    assert_int_equal(value_parse_choice("close|skip|truncate", "trunc", &choice), -EINVAL);
    assert_int_equal(value_parse_choice("close|skip|truncate", "skip|truncate", &choice), -EINVAL);
    assert_int_equal(value_parse_choice("close|skip|truncate", "", &choice), -EINVAL);
    assert_int_equal(choice, 2);
}

static void distance_counts_edits(void **state)
{
    static const struct {
        const char *one, *other;
        size_t distance;
    } cases[] = {
        { "frame", "frame", 0 },    { "frame", "fram", 1 }, { "frame", "framee", 1 }, { "frame", "frume", 1 },
        { "frame", "farme", 1 },    { "", "frame", 5 },     { "frame", "", 5 },       { "frame", "reply", 5 },
        { "kitten", "sitting", 3 }, { "ab", "ba", 1 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(value_distance(cases[i].one, cases[i].other), cases[i].distance);
        assert_int_equal(value_distance(cases[i].other, cases[i].one), cases[i].distance);
    }
}

static void distance_survives_any_length(void **state)
{
    char name[5000];

    (void)state;
    for (size_t i = 0; i + 1 < sizeof(name); i++)
        name[i] = 'x';
    name[sizeof(name) - 1] = 0;
    assert_int_equal(value_distance(name, "frame"), value_distance("frame", name));
    assert_int_equal(value_distance(name, name), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_are_whole_and_have_their_sign),
        cmocka_unit_test(sizes_have_binary_units),
        cmocka_unit_test(times_default_to_seconds),
        cmocka_unit_test(counts_and_modes_have_no_unit),
        cmocka_unit_test(keepalive_is_three_values),
        cmocka_unit_test(choices_are_whole_words),
        cmocka_unit_test(distance_counts_edits),
        cmocka_unit_test(distance_survives_any_length),
        cmocka_unit_test(short_times_go_down_to_nanoseconds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Percentiles against the sorted values themselves, the ends of the range, adding up and taking apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/histogram.h"

enum { VALUES = 20000 };

static struct histogram histogram;
static struct histogram other;
static struct histogram between;

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static int compare(const void *one, const void *two)
{
    const uint64_t a = *(const uint64_t *)one;
    const uint64_t b = *(const uint64_t *)two;

    return (a > b) - (a < b);
}

static void check_near(uint64_t found, uint64_t exact)
{
    const uint64_t off = found > exact ? found - exact : exact - found;

    if (off * 200 > exact) fail_msg("%llu for %llu", (unsigned long long)found, (unsigned long long)exact);
}

static void check_percentiles(const struct histogram *of, uint64_t *values, size_t count)
{
    static const unsigned permilles[] = { 1, 10, 100, 250, 500, 900, 990, 999 };

    qsort(values, count, sizeof(*values), compare);
    for (size_t i = 0; i < sizeof(permilles) / sizeof(permilles[0]); i++)
        check_near(histogram_percentile(of, permilles[i]), values[(count * permilles[i] + 999) / 1000 - 1]);
    assert_int_equal(histogram_percentile(of, 1000), values[count - 1]);
    assert_int_equal(of->min_ns, values[0]);
    assert_int_equal(of->max_ns, values[count - 1]);
    assert_int_equal(of->count, count);
}

/* As wide as latencies are: each power of two up to 2^39 as often as any other. */
static void percentiles_are_those_of_the_sorted_values(void **state)
{
    static uint64_t values[VALUES];
    uint64_t random = 88172645463325252U;
    double sum = 0;

    (void)state;
    memset(&histogram, 0, sizeof(histogram));
    for (size_t i = 0; i < VALUES; i++) {
        values[i] = next_random(&random) >> (25 + next_random(&random) % 38);
        sum += (double)values[i];
        histogram_record(&histogram, values[i]);
    }
    check_percentiles(&histogram, values, VALUES);
    assert_true(histogram_mean_ns(&histogram) == sum / VALUES);
}

static void short_times_are_exact(void **state)
{
    (void)state;
    for (uint64_t value = 0; value < 256; value++) {
        memset(&histogram, 0, sizeof(histogram));
        histogram_record(&histogram, 0);
        histogram_record(&histogram, value);
        histogram_record(&histogram, 100000);
        assert_int_equal(histogram_percentile(&histogram, 500), value);
    }
}

/* Every slot's ends: what is next to a power of two is where a shift that is off by one shows. */
static void each_power_of_two_and_its_neighbours_are_near(void **state)
{
    (void)state;
    for (unsigned bit = 8; bit < HISTOGRAM_VALUE_BITS; bit++)
        for (uint64_t value = (UINT64_C(1) << bit) - 2; value <= (UINT64_C(1) << bit) + 2; value++) {
            memset(&histogram, 0, sizeof(histogram));
            histogram_record(&histogram, 0);
            histogram_record(&histogram, value);
            histogram_record(&histogram, UINT64_C(1) << 45);
            check_near(histogram_percentile(&histogram, 500), value);
        }
}

static void what_is_too_long_is_the_maximum(void **state)
{
    (void)state;
    memset(&histogram, 0, sizeof(histogram));
    histogram_record(&histogram, 5);
    histogram_record(&histogram, UINT64_MAX / 2);
    assert_int_equal(histogram_percentile(&histogram, 500), 5);
    assert_int_equal(histogram_percentile(&histogram, 990), UINT64_MAX / 2);
    assert_int_equal(histogram.max_ns, UINT64_MAX / 2);
}

static void an_empty_one_is_all_zero(void **state)
{
    (void)state;
    memset(&histogram, 0, sizeof(histogram));
    memset(&other, 0, sizeof(other));
    assert_int_equal(histogram_percentile(&histogram, 500), 0);
    assert_int_equal(histogram_percentile(&histogram, 1000), 0);
    assert_true(histogram_mean_ns(&histogram) == 0);
    histogram_merge(&histogram, &other);
    assert_int_equal(histogram.count, 0);
    histogram_since(&histogram, &other, &between);
    assert_int_equal(histogram_percentile(&between, 990), 0);
}

static void two_together_are_as_if_counted_by_one(void **state)
{
    static uint64_t values[VALUES];
    uint64_t random = 2463534242U;

    (void)state;
    memset(&histogram, 0, sizeof(histogram));
    memset(&other, 0, sizeof(other));
    for (size_t i = 0; i < VALUES; i++) {
        values[i] = 1000 + next_random(&random) % 1000000;
        histogram_record(i % 3 ? &histogram : &other, values[i]);
    }
    histogram_merge(&histogram, &other);
    check_percentiles(&histogram, values, VALUES);
}

static void the_last_second_is_what_came_since(void **state)
{
    (void)state;
    memset(&histogram, 0, sizeof(histogram));
    for (unsigned i = 0; i < 1000; i++)
        histogram_record(&histogram, 50);
    other = histogram;
    for (unsigned i = 1; i <= 100; i++)
        histogram_record(&histogram, UINT64_C(100000) * i);
    histogram_since(&histogram, &other, &between);
    assert_int_equal(between.count, 100);
    check_near(histogram_percentile(&between, 500), 5000000);
    check_near(histogram_percentile(&between, 990), 9900000);
    check_near(between.min_ns, 100000);
    check_near(between.max_ns, 10000000);
    assert_int_equal(between.sum_ns, 5050 * UINT64_C(100000));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentiles_are_those_of_the_sorted_values),
        cmocka_unit_test(short_times_are_exact),
        cmocka_unit_test(each_power_of_two_and_its_neighbours_are_near),
        cmocka_unit_test(what_is_too_long_is_the_maximum),
        cmocka_unit_test(an_empty_one_is_all_zero),
        cmocka_unit_test(two_together_are_as_if_counted_by_one),
        cmocka_unit_test(the_last_second_is_what_came_since),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

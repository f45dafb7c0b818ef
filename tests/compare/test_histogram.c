/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The load's histogram: what is read from it is never too low and at most 0.8 % too high, over all durations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "../../compare/load/histogram.h"

static struct histogram histogram;

static void assert_near(uint64_t read, uint64_t ns)
{
    assert_true(read >= ns);
    assert_true(read - ns <= ns / HISTOGRAM_STEPS);
}

static void any_duration_is_read_back(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 64; bits++) {
        const uint64_t power = UINT64_C(1) << bits;
        const uint64_t values[] = { power - 1, power, power + 1, power + power / 3 };
        for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
            memset(&histogram, 0, sizeof(histogram));
            histogram_add(&histogram, values[i]);
            histogram_add(&histogram, UINT64_MAX); /* so that it is not cut at the highest */
            assert_near(histogram_quantile(&histogram, 0.5), values[i]);
        }
    }
}

static void quantiles_are_those_of_a_sorted_list(void **state)
{
    static const double shares[] = { 0.001, 0.5, 0.9, 0.99, 0.999, 1 };

    (void)state;
    memset(&histogram, 0, sizeof(histogram));
    for (uint64_t ns = 100000; ns > 0; ns--)
        histogram_add(&histogram, ns);
    for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++)
        assert_near(histogram_quantile(&histogram, shares[i]), (uint64_t)(shares[i] * 100000));
}

static void none_is_nothing_and_no_quantile_is_above_the_highest(void **state)
{
    (void)state;
    memset(&histogram, 0, sizeof(histogram));
    assert_int_equal(histogram_quantile(&histogram, 0.99), 0);
    histogram_add(&histogram, 1000001);
    assert_int_equal(histogram_quantile(&histogram, 0.5), 1000001);
    assert_int_equal(histogram_quantile(&histogram, 1), 1000001);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_duration_is_read_back),
        cmocka_unit_test(quantiles_are_those_of_a_sorted_list),
        cmocka_unit_test(none_is_nothing_and_no_quantile_is_above_the_highest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

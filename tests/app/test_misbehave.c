/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The option's words, and how many connections a share is. What the faults do is in
 * tests/flow/bench/test_bench_misbehave.py.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bench/misbehave.h"

static void check(const char *text, enum misbehave_fault fault, unsigned percent)
{
    struct misbehave_spec spec = { .percent = 77 };
    char error[MISBEHAVE_ERROR_BYTES_MAX] = "";

    if (misbehave_parse(text, &spec, error)) fail_msg("%s: %s", text, error);
    assert_int_equal(spec.fault, fault);
    assert_int_equal(spec.percent, percent);
}

static void check_wrong(const char *text)
{
    struct misbehave_spec spec = { .percent = 77 };
    char error[MISBEHAVE_ERROR_BYTES_MAX] = "";

    if (misbehave_parse(text, &spec, error) != -EINVAL) fail_msg("'%s' was accepted", text);
    assert_true(error[0]);
    assert_int_equal(spec.percent, 77);
}

static void faults_have_names_and_shares(void **state)
{
    (void)state;
    check("split", MISBEHAVE_SPLIT, 100);
    check("half", MISBEHAVE_HALF, 100);
    check("reset=1", MISBEHAVE_RESET, 1);
    check("silent=100", MISBEHAVE_SILENT, 100);
    check("slow-read=20", MISBEHAVE_SLOW_READ, 20);
    check("garbage", MISBEHAVE_GARBAGE, 100);
}

static void wrong_words_are_refused(void **state)
{
    (void)state;
    check_wrong("");
    check_wrong("=20");
    check_wrong("|");
    check_wrong("split|half");
    check_wrong("Split");
    check_wrong("slow");
    check_wrong("split=");
    check_wrong("split=0");
    check_wrong("split=101");
    check_wrong("split=20%");
    check_wrong("split=-1");
    check_wrong("split=20=20");
    check_wrong("a fault with a name that is longer than that of any other");
}

static void a_share_is_of_the_connections_and_never_none(void **state)
{
    static const struct {
        unsigned percent;
        size_t connections, count;
    } cases[] = {
        { 100, 50, 50 }, { 20, 50, 10 }, { 1, 50, 1 }, { 50, 3, 1 }, { 99, 1, 1 }, { 33, 1000, 330 }, { 1, 250, 2 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct misbehave_spec spec = { .percent = cases[i].percent };
        assert_int_equal(misbehave_count(&spec, cases[i].connections), cases[i].count);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(faults_have_names_and_shares),
        cmocka_unit_test(wrong_words_are_refused),
        cmocka_unit_test(a_share_is_of_the_connections_and_never_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

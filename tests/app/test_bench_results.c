/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a run came to: units, adding up, the summary, the JSON object, and the limits. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/limits.h"
#include "bench/results.h"

static const struct bench_asked asked = {
    .url = "tcp://127.0.0.1:8000", .frame = "line", .connections = 50, .depth = 2, .message_bytes = 128, .seconds = 10
};
static struct bench_results results;
static struct bench_results other;

/* 1,000 answers of 1 to 1,000 us within 2 s, 50 connections. */
static void make_results(void)
{
    memset(&results, 0, sizeof(results));
    results.seconds = 2;
    results.sent = 1100;
    results.answered = 1000;
    results.bytes_out = 3072;
    results.bytes_in = 2048;
    results.connects_done = 50;
    results.connect_seconds = 0.5;
    for (unsigned i = 1; i <= 1000; i++)
        histogram_record(&results.latency, 1000 * (uint64_t)i);
    for (unsigned i = 0; i < 50; i++)
        histogram_record(&results.connect, 200);
}

static void check_text(struct line *line, const char *expected)
{
    line_add(line, "", 1);
    assert_false(line->failed);
    assert_string_equal(line->bytes, expected);
    line_fini(line);
}

static void times_and_sizes_have_three_digits(void **state)
{
    static const struct {
        double amount;
        const char *text;
    } times[] = {
        { 0, "0 ns" },        { 85, "85 ns" },          { 999, "999 ns" },      { 1000, "1.00 us" },
        { 9994, "9.99 us" },  { 9996, "10.0 us" },      { 99960, "100 us" },    { 999600, "1.00 ms" },
        { 12.34e6, "12.3 ms" }, { 1.2e9, "1.20 s" },    { 3600e9, "3600 s" },   { 999400, "999 us" },
    }, sizes[] = {
        { 0, "0 B" }, { 512, "512 B" }, { 1024, "1.00 KiB" }, { 1.5 * 1024 * 1024, "1.50 MiB" },
        { 118.0 * 1024 * 1024, "118 MiB" }, { 5e12, "4657 GiB" },
    };
    struct line line = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        bench_add_time(&line, times[i].amount);
        check_text(&line, times[i].text);
    }
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        bench_add_size(&line, sizes[i].amount);
        check_text(&line, sizes[i].text);
    }
}

static void the_summary_reads_well(void **state)
{
    struct line line = { 0 };

    (void)state;
    make_results();
    bench_results_add_text(&line, &asked, &results);
    check_text(&line, "50 connections to tcp://127.0.0.1:8000, 128 bytes a message, framing line, 2 in flight\n"
                      "\n"
                      "messages    500/s   1,000 answers to 1,100 messages in 2.00 s\n"
                      "bytes       1.50 KiB/s out   1.00 KiB/s in\n"
                      "latency     p50 501 us   p90 899 us   p99 989 us   p99.9 997 us   max 1.00 ms\n"
                      "connects    p50 200 ns   p99 200 ns   max 200 ns   50 at 100/s\n"
                      "errors      none\n");
}

static void only_errors_that_happened_are_told(void **state)
{
    struct line line = { 0 };

    (void)state;
    memset(&results, 0, sizeof(results));
    results.connects_failed = 1012;
    results.errors[BENCH_ERROR_REFUSED] = 1000;
    results.errors[BENCH_ERROR_UNREACHABLE] = 12;
    bench_results_add_text(&line, &asked, &results);
    check_text(&line, "50 connections to tcp://127.0.0.1:8000, 128 bytes a message, framing line, 2 in flight\n"
                      "\n"
                      "messages    0/s   0 answers to 0 messages in 0 ns\n"
                      "bytes       0 B/s out   0 B/s in\n"
                      "connects    0, 1,012 failed\n"
                      "errors      1,000 x connection refused\n"
                      "            12 x host or network unreachable\n");
}

static void the_json_has_every_figure(void **state)
{
    struct line line = { 0 };

    (void)state;
    make_results();
    results.errors[BENCH_ERROR_RESET] = 3;
    bench_results_add_json(&line, &asked, &results);
    check_text(&line,
               "\"messages_per_second\":500.000,\"bytes_per_second\":2560.000,\"seconds\":2.000000,"
               "\"sent\":1100,\"answered\":1000,\"bytes_out\":3072,\"bytes_in\":2048,"
               "\"latency_us\":{\"p50\":500.736,\"p90\":899.072,\"p99\":989.184,\"p99_9\":997.376,\"max\":1000.000,"
               "\"mean\":500.500,\"count\":1000},\"connects\":50,\"connects_failed\":0,"
               "\"connect_us\":{\"p50\":0.200,\"p90\":0.200,\"p99\":0.200,\"p99_9\":0.200,\"max\":0.200,"
               "\"mean\":0.200,\"count\":50},"
               "\"errors\":{\"refused\":0,\"unreachable\":0,\"connect_timeout\":0,\"connect\":0,\"closed\":0,"
               "\"reset\":3,\"lost\":0,\"timeout\":0,\"malformed\":0,\"too_long\":0,\"unanswered\":0,"
               "\"unsent\":0,\"unasked\":0,\"other\":0,"
               "\"total\":3},"
               "\"asked\":{\"url\":\"tcp://127.0.0.1:8000\",\"frame\":\"line\",\"connections\":50,\"depth\":2,"
               "\"message_bytes\":128,\"rate\":0.000,\"seconds\":10.000,\"messages\":0,\"one_way\":false}");
}

static void what_was_not_measured_is_null(void **state)
{
    struct line line = { 0 };

    (void)state;
    memset(&results, 0, sizeof(results));
    bench_results_add_json(&line, &asked, &results);
    line_add(&line, "", 1);
    assert_non_null(strstr(line.bytes, "\"latency_us\":{\"p50\":null,\"p90\":null,\"p99\":null,\"p99_9\":null,"
                                       "\"max\":null,\"mean\":null,\"count\":0}"));
    line_fini(&line);
}

static void workers_add_up(void **state)
{
    (void)state;
    make_results();
    other = results;
    other.seconds = 1;
    other.errors[BENCH_ERROR_LOST] = 2;
    results.errors[BENCH_ERROR_LOST] = 1;
    bench_results_merge(&results, &other);
    assert_int_equal(results.answered, 2000);
    assert_int_equal(results.latency.count, 2000);
    assert_int_equal(bench_results_errors(&results), 3);
    assert_true(bench_results_rate(&asked, &results) == 1000);
}

static void an_end_has_its_kind_of_error(void **state)
{
    (void)state;
    assert_int_equal(bench_error_of(WEIR_REASON_REFUSED, false), BENCH_ERROR_REFUSED);
    assert_int_equal(bench_error_of(WEIR_REASON_FAILED, false), BENCH_ERROR_CONNECT);
    assert_int_equal(bench_error_of(WEIR_REASON_RESET, true), BENCH_ERROR_RESET);
    assert_int_equal(bench_error_of(WEIR_REASON_RESET, false), BENCH_ERROR_CONNECT);
    assert_int_equal(bench_error_of(WEIR_REASON_PEER_CLOSED, true), BENCH_ERROR_CLOSED);
    assert_int_equal(bench_error_of(WEIR_REASON_WRITE_TIMEOUT, true), BENCH_ERROR_TIMEOUT);
    assert_int_equal(bench_error_of(WEIR_REASON_FAILED, true), BENCH_ERROR_OTHER);
}

/* ---- Limits ---- */

static void check_judged(const char *text, const char *expected)
{
    char error[LIMITS_ERROR_BYTES_MAX];
    struct limits limits = { 0 };
    struct line line = { 0 };
    size_t lines = 0;

    if (limits_parse(text, &limits, error)) fail_msg("%s: %s", text, error);
    for (const char *at = expected; *at; at++)
        lines += *at == '\n';
    assert_int_equal(limits_judge(&limits, &asked, &results, &line), lines);
    check_text(&line, expected);
}

static void limits_compare_with_what_was_measured(void **state)
{
    (void)state;
    make_results();
    results.errors[BENCH_ERROR_RESET] = 3;
    results.errors[BENCH_ERROR_CLOSED] = 1;
    check_judged(NULL, "");
    check_judged("p99>10ms", "");
    check_judged("p99>500us,errors>0", "p99>500us: it was 989 us\nerrors>0: it was 4\n");
    check_judged("p99.9>10ms,max>=1ms,mean<1ms", "max>=1ms: it was 1.00 ms\nmean<1ms: it was 500 us\n");
    check_judged("max>1ms,max<1ms,max<=1ms", "max<=1ms: it was 1.00 ms\n");
    check_judged("rate<500,rate<=500,rate<501", "rate<=500: it was 500.0\nrate<501: it was 500.0\n");
    check_judged("reset>2,closed>=1,lost>0,refused>0", "reset>2: it was 3\nclosed>=1: it was 1\n");
    check_judged("connect.p99>100ns,connect.p99>1", "connect.p99>100ns: it was 200 ns\n");
    check_judged("p50>1", "");
}

static void a_limit_of_what_was_not_measured_is_met(void **state)
{
    (void)state;
    memset(&results, 0, sizeof(results));
    check_judged("p99>10ms,errors>0", "p99>10ms: nothing was measured\n");
    check_judged("connect.max<1us,rate>0", "connect.max<1us: nothing was measured\n");
}

static void check_wrong(const char *text, const char *sentence)
{
    char error[LIMITS_ERROR_BYTES_MAX] = "";
    struct limits limits = { .count = 77 };

    if (limits_parse(text, &limits, error) != -EINVAL) fail_msg("'%s' was accepted", text);
    if (strcmp(error, sentence) != 0) fail_msg("'%s': %s", text, error);
    assert_int_equal(limits.count, 77);
}

static void wrong_limits_are_named(void **state)
{
    (void)state;
    check_wrong("", "'' is not a limit as in p99>10ms");
    check_wrong("p99", "'p99' is not a limit as in p99>10ms");
    check_wrong("p99=10ms", "'p99=10ms' is not a limit as in p99>10ms");
    check_wrong("errors>0,", "'' is not a limit as in p99>10ms");
    check_wrong("p98>1ms", "'p98' is not one of p50, p90, p99, p99.9, max, mean, rate, connect.p50, connect.p90, "
                           "connect.p99, connect.p99.9, connect.max, connect.mean, errors, refused, unreachable, "
                           "connect_timeout, connect, closed, reset, lost, timeout, malformed, too_long, unanswered, "
                           "unsent, unasked, "
                           "other");
    check_wrong("p99>10kg", "'p99>10kg': p99 is compared with a time as in 500us, 10ms, 1s");
    check_wrong("p99>", "'p99>': p99 is compared with a time as in 500us, 10ms, 1s");
    check_wrong("errors>10ms", "'errors>10ms': errors is compared with a number");
    check_wrong("errors>-1", "'errors>-1': errors is compared with a number");
    check_wrong("p99>>1s", "'p99>>1s': p99 is compared with a time as in 500us, 10ms, 1s");
    check_wrong("p99>=,errors>0", "'p99>=': p99 is compared with a time as in 500us, 10ms, 1s");
    check_wrong("p99<\xff", "'p99<\xff': p99 is compared with a time as in 500us, 10ms, 1s");
}

static void there_is_a_bound_to_limits_and_to_what_is_shown_of_them(void **state)
{
    char text[4000];

    (void)state;
    for (size_t i = 0; i + 9 < sizeof(text); i += 9)
        memcpy(text + i, "errors>0,", 10);
    check_wrong(text, "more than 32 limits");
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = 0;
    check_wrong(text, "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' is not a limit as in p99>10ms");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_and_sizes_have_three_digits),
        cmocka_unit_test(the_summary_reads_well),
        cmocka_unit_test(only_errors_that_happened_are_told),
        cmocka_unit_test(the_json_has_every_figure),
        cmocka_unit_test(what_was_not_measured_is_null),
        cmocka_unit_test(workers_add_up),
        cmocka_unit_test(an_end_has_its_kind_of_error),
        cmocka_unit_test(limits_compare_with_what_was_measured),
        cmocka_unit_test(a_limit_of_what_was_not_measured_is_met),
        cmocka_unit_test(wrong_limits_are_named),
        cmocka_unit_test(there_is_a_bound_to_limits_and_to_what_is_shown_of_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

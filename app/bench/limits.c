/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Reads limits, one metric, one operator, one value each, and compares. Must never let a limit pass
 * for want of a figure. */
#include "limits.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cli/values.h"

/* ---- The metrics ---- */

enum { MEAN = 0, ANY_ERROR = BENCH_ERROR_COUNT };

/* What a metric is of; the number says which: a permille, or an enum bench_error. */
enum metric_kind { METRIC_LATENCY, METRIC_CONNECT, METRIC_RATE, METRIC_ERROR };

struct metric {
    const char *name;
    enum metric_kind kind;
    unsigned which;
};

static const struct metric metrics[] = { { "p50", METRIC_LATENCY, 500 },
                                         { "p90", METRIC_LATENCY, 900 },
                                         { "p99", METRIC_LATENCY, 990 },
                                         { "p99.9", METRIC_LATENCY, 999 },
                                         { "max", METRIC_LATENCY, 1000 },
                                         { "mean", METRIC_LATENCY, MEAN },
                                         { "rate", METRIC_RATE, 0 },
                                         { "connect.p50", METRIC_CONNECT, 500 },
                                         { "connect.p90", METRIC_CONNECT, 900 },
                                         { "connect.p99", METRIC_CONNECT, 990 },
                                         { "connect.p99.9", METRIC_CONNECT, 999 },
                                         { "connect.max", METRIC_CONNECT, 1000 },
                                         { "connect.mean", METRIC_CONNECT, MEAN },
                                         { "errors", METRIC_ERROR, ANY_ERROR },
#define BENCH_ERROR_METRIC(name, key, text) { key, METRIC_ERROR, BENCH_ERROR_##name },
                                         BENCH_ERRORS(BENCH_ERROR_METRIC)
#undef BENCH_ERROR_METRIC
};

enum { METRIC_COUNT = sizeof(metrics) / sizeof(metrics[0]) };

static bool is_time(const struct metric *metric)
{
    return metric->kind == METRIC_LATENCY || metric->kind == METRIC_CONNECT;
}

/* False where nothing was counted. */
static bool measure_time(const struct histogram *histogram, unsigned which, double *ret)
{
    if (!histogram->count) return false;
    *ret = which == MEAN ? histogram_mean_ns(histogram) : (double)histogram_percentile(histogram, which);
    return true;
}

static bool measure(const struct metric *metric, const struct bench_asked *asked, const struct bench_results *results,
                    double *ret)
{
    switch (metric->kind) {
    case METRIC_LATENCY:
        return measure_time(&results->latency, metric->which, ret);
    case METRIC_CONNECT:
        return measure_time(&results->connect, metric->which, ret);
    case METRIC_RATE:
        *ret = bench_results_rate(asked, results);
        return true;
    case METRIC_ERROR:
        *ret = (double)(metric->which == ANY_ERROR ? bench_results_errors(results) : results->errors[metric->which]);
        return true;
    }
    return false;
}

/* ---- Reading ---- */

static int find_metric(const char *name, size_t len, size_t *ret)
{
    for (size_t i = 0; i < METRIC_COUNT; i++) {
        if (strlen(metrics[i].name) != len || memcmp(metrics[i].name, name, len) != 0) continue;
        *ret = i;
        return 0;
    }
    return -EINVAL;
}

static void add_metric_names(char *text, size_t room)
{
    for (size_t i = 0; i < METRIC_COUNT; i++) {
        const size_t len = strlen(text);
        snprintf(text + len, room - len, "%s%s", i ? ", " : "", metrics[i].name);
    }
}

static size_t read_operator(const char *text, enum limit_operator *ret)
{
    const bool is_equal_too = text[0] && text[1] == '=';

    if (text[0] == '>')
        *ret = is_equal_too ? LIMIT_AT_LEAST : LIMIT_OVER;
    else if (text[0] == '<')
        *ret = is_equal_too ? LIMIT_AT_MOST : LIMIT_UNDER;
    else
        return 0;
    return is_equal_too ? 2 : 1;
}

static int read_value(const struct metric *metric, const char *text, size_t len, double *ret)
{
    char value[32];
    int64_t number = 0;
    int err = 0;

    if (len >= sizeof(value)) return -EINVAL;
    memcpy(value, text, len);
    value[len] = 0;
    err = is_time(metric) ? value_parse_short_time(value, &number) : value_parse_count(value, &number);
    if (!err) *ret = (double)number;
    return err;
}

/* What is shown of a limit that is wrong: the sentence must have room for the names too. */
enum { SHOWN_BYTES_MAX = 60 };

static int parse_one(const char *text, size_t len, struct limit *ret, char error[LIMITS_ERROR_BYTES_MAX])
{
    const size_t name_len = strcspn(text, "<>,");
    const int shown = (int)(len < SHOWN_BYTES_MAX ? len : SHOWN_BYTES_MAX);
    size_t operator_len = 0;

    *ret = (struct limit){ .text = text, .text_len = len };
    if (name_len < len) operator_len = read_operator(text + name_len, &ret->operator);
    if (!operator_len) {
        snprintf(error, LIMITS_ERROR_BYTES_MAX, "'%.*s' is not a limit as in p99>10ms", shown, text);
        return -EINVAL;
    }
    if (find_metric(text, name_len, &ret->metric)) {
        snprintf(error, LIMITS_ERROR_BYTES_MAX, "'%.*s' is not one of ",
                 (int)(name_len < SHOWN_BYTES_MAX ? name_len : SHOWN_BYTES_MAX), text);
        add_metric_names(error, LIMITS_ERROR_BYTES_MAX);
        return -EINVAL;
    }
    if (read_value(&metrics[ret->metric], text + name_len + operator_len, len - name_len - operator_len, &ret->bound)) {
        snprintf(error, LIMITS_ERROR_BYTES_MAX, "'%.*s': %s is compared with a %s", shown, text,
                 metrics[ret->metric].name, is_time(&metrics[ret->metric]) ? "time as in 500us, 10ms, 1s" : "number");
        return -EINVAL;
    }
    return 0;
}

int limits_parse(const char *text, struct limits *ret, char error[LIMITS_ERROR_BYTES_MAX])
{
    struct limits parsed = { 0 };

    while (text) {
        const size_t len = strcspn(text, ",");
        int err = 0;

        if (parsed.count == LIMITS_MAX) {
            snprintf(error, LIMITS_ERROR_BYTES_MAX, "more than %d limits", LIMITS_MAX);
            return -EINVAL;
        }
        err = parse_one(text, len, &parsed.limits[parsed.count], error);
        if (err) return err;
        parsed.count++;
        text = text[len] ? text + len + 1 : NULL;
    }
    *ret = parsed;
    return 0;
}

/* ---- Judging ---- */

static bool is_met(enum limit_operator operator, double value, double bound)
{
    switch (operator) {
    case LIMIT_OVER:
        return value > bound;
    case LIMIT_UNDER:
        return value < bound;
    case LIMIT_AT_LEAST:
        return value >= bound;
    case LIMIT_AT_MOST:
        return value <= bound;
    }
    return true;
}

size_t limits_judge(const struct limits *limits, const struct bench_asked *asked, const struct bench_results *results,
                    struct line *line)
{
    size_t met = 0;

    for (size_t i = 0; i < limits->count; i++) {
        const struct limit *limit = &limits->limits[i];
        const struct metric *metric = &metrics[limit->metric];
        double value = 0;
        const bool is_measured = measure(metric, asked, results, &value);

        if (is_measured && !is_met(limit->operator, value, limit->bound)) continue;
        met++;
        line_add(line, limit->text, limit->text_len);
        line_add_text(line, is_measured ? ": it was " : ": nothing was measured");
        if (is_measured && is_time(metric))
            bench_add_time(line, value);
        else if (is_measured)
            line_addf(line, metric->kind == METRIC_RATE ? "%.1f" : "%.0f", value);
        line_add_text(line, "\n");
    }
    return met;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What --fail-if asks for, `p99>10ms,errors>0`: read before anything runs, judged at the end. */
#ifndef APP_BENCH_LIMITS_H
#define APP_BENCH_LIMITS_H

#include <stddef.h>

#include "results.h"

enum { LIMITS_MAX = 32, LIMITS_ERROR_BYTES_MAX = 512 };

enum limit_operator { LIMIT_OVER, LIMIT_UNDER, LIMIT_AT_LEAST, LIMIT_AT_MOST };

struct limit {
    const char *text; /* in what was parsed, of text_len bytes: "p99>10ms" */
    size_t text_len;
    size_t metric; /* a row of the table in limits.c */
    enum limit_operator operator;
    double bound; /* a time in ns, or a number */
};

struct limits {
    struct limit limits[LIMITS_MAX];
    size_t count;
};

/* Reads `METRIC OPERATOR VALUE[,...]`. text must live as long as *ret; NULL is no limits. Returns 0, or -EINVAL with a
 * sentence in error, which names the metrics that there are when one is unknown. */
int limits_parse(const char *text, struct limits *ret, char error[LIMITS_ERROR_BYTES_MAX]);

/* Adds a line for each limit that was met, with what was measured: "p99>10ms: it was 14.2 ms". A time nothing was
 * measured for fails its limits: a run without answers has no p99 that could be trusted. Returns how many there are. */
size_t limits_judge(const struct limits *limits, const struct bench_asked *asked, const struct bench_results *results,
                    struct line *line);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app/bench/clock.h: the one clock of the bench: monotonic, in nanoseconds, so that what one part notes another can
 * subtract. */
#ifndef APP_BENCH_CLOCK_H
#define APP_BENCH_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t bench_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

#endif

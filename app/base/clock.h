/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What time it is. Monotonic, so that what one part notes another can subtract; or as people tell it. */
#ifndef APP_BASE_CLOCK_H
#define APP_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Monotonic, in nanoseconds. */
static inline int64_t clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* The same in milliseconds. */
static inline int64_t clock_ms(void)
{
    return clock_ns() / 1000000;
}

/* Since 1970, UTC. */
static inline struct timespec clock_wall(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return now;
}

/* The same in microseconds. */
static inline int64_t clock_wall_us(void)
{
    const struct timespec now = clock_wall();

    return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

#endif

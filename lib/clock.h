/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The time that deadlines count by. */
#ifndef WEIR__CLOCK_H
#define WEIR__CLOCK_H

#include <stdint.h>

/* Milliseconds of the monotonic clock. */
int64_t weir__clock_ms(void);

/* So much later, or at the end of time, where an absurd wait would go beyond it. */
static inline int64_t weir__clock_later(int64_t now_ms, int64_t wait_ms)
{
    return wait_ms < INT64_MAX - now_ms ? now_ms + wait_ms : INT64_MAX;
}

#endif

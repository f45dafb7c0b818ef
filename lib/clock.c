/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The monotonic clock (clock_gettime(2)). */
#include "clock.h"

#include <time.h>

int64_t weir__clock_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

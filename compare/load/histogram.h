/* SPDX-License-Identifier: BSD-3-Clause
 *
 * How often each duration came, in fixed memory: below 128 ns exactly, above in 128 equal steps for each doubling, so
 * that what is read from it is at most 0.8 % too high. */
#ifndef COMPARE_HISTOGRAM_H
#define COMPARE_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_STEP_BITS = 7, HISTOGRAM_STEPS = 1 << HISTOGRAM_STEP_BITS };

struct histogram {
    uint64_t count;
    uint64_t max_ns;
    uint64_t counts[(64 - HISTOGRAM_STEP_BITS + 1) * HISTOGRAM_STEPS];
};

void histogram_add(struct histogram *histogram, uint64_t ns);
/* The least duration that at least this share (0.99) of all do not exceed; 0 when there are none. */
uint64_t histogram_quantile(const struct histogram *histogram, double share);

#endif

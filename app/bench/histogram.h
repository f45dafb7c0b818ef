/* SPDX-License-Identifier: BSD-3-Clause
 *
 * How long things took, in fixed memory. */
#ifndef APP_BENCH_HISTOGRAM_H
#define APP_BENCH_HISTOGRAM_H

#include <stdint.h>

/* Each power of two is cut into 128 equal parts, so a value read back is off by less than half a percent; values under
 * 256 ns are exact. What is longer than 2^40 ns (18 minutes) is counted in the last part; max has it as it was. */
enum { HISTOGRAM_PART_BITS = 7, HISTOGRAM_PARTS = 1 << HISTOGRAM_PART_BITS, HISTOGRAM_VALUE_BITS = 40 };
enum { HISTOGRAM_SLOTS = (HISTOGRAM_VALUE_BITS - HISTOGRAM_PART_BITS + 1) * HISTOGRAM_PARTS };

/* Starts zeroed. 34 KiB; one thread's. */
struct histogram {
    uint64_t count;
    uint64_t sum_ns;
    uint64_t min_ns; /* of an empty one: 0 */
    uint64_t max_ns;
    uint64_t slots[HISTOGRAM_SLOTS];
};

/* Counts a value: on the data path, so no loop and no division. The slot is the number of the power of two and the
 * seven bits behind the value's highest one; below 256 that is the value itself. */
static inline void histogram_record_times(struct histogram *histogram, uint64_t value_ns, uint64_t times)
{
    const uint64_t most = (UINT64_C(1) << HISTOGRAM_VALUE_BITS) - 1;
    const uint64_t value = value_ns < most ? value_ns : most;
    const unsigned shift = 63U - HISTOGRAM_PART_BITS - (unsigned)__builtin_clzll(value | HISTOGRAM_PARTS);

    histogram->slots[((uint64_t)shift << HISTOGRAM_PART_BITS) + (value >> shift)] += times;
    if (value_ns > histogram->max_ns) histogram->max_ns = value_ns;
    if (value_ns < histogram->min_ns || histogram->count == 0) histogram->min_ns = value_ns;
    histogram->sum_ns += value_ns * times;
    histogram->count += times;
}

static inline void histogram_record(struct histogram *histogram, uint64_t value_ns)
{
    histogram_record_times(histogram, value_ns, 1);
}

/* Adds what other has counted. */
void histogram_merge(struct histogram *histogram, const struct histogram *other);

/* What was counted from before to now, where before is an earlier copy of now. Its min and max are as near as a
 * percentile. */
void histogram_since(const struct histogram *now, const struct histogram *before, struct histogram *ret);

/* The value that so many of a thousand are at or under: 999 is p99.9, 1000 the maximum. 0 when nothing was counted. */
uint64_t histogram_percentile(const struct histogram *histogram, unsigned permille);

double histogram_mean_ns(const struct histogram *histogram);

#endif

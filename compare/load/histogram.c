/* SPDX-License-Identifier: BSD-3-Clause
 *
 * compare/load/histogram.c: durations by their upper bits. It must never allocate or lose one, however long. */
#include "histogram.h"

#include <stddef.h>

/* Below HISTOGRAM_STEPS each value has its own place; from there on a value's place is its doubling and its upper
 * HISTOGRAM_STEP_BITS bits below the leading one. */
static size_t place_of(uint64_t ns)
{
    if (ns < HISTOGRAM_STEPS) return ns;
    const unsigned doubling = 63U - (unsigned)__builtin_clzll(ns) - HISTOGRAM_STEP_BITS;
    return ((size_t)doubling << HISTOGRAM_STEP_BITS) + (ns >> doubling);
}

/* The highest value with that place. */
static uint64_t value_of(size_t place)
{
    if (place < 2 * HISTOGRAM_STEPS) return place;
    const unsigned doubling = (unsigned)(place >> HISTOGRAM_STEP_BITS) - 1;
    const uint64_t upper_bits = HISTOGRAM_STEPS + place % HISTOGRAM_STEPS;
    return ((upper_bits + 1) << doubling) - 1;
}

void histogram_add(struct histogram *histogram, uint64_t ns)
{
    histogram->count++;
    histogram->counts[place_of(ns)]++;
    if (ns > histogram->max_ns) histogram->max_ns = ns;
}

uint64_t histogram_quantile(const struct histogram *histogram, double share)
{
    const double wanted = share * (double)histogram->count;
    uint64_t seen = 0;
    size_t place = 0;

    if (histogram->count == 0) return 0;
    for (;; place++) {
        seen += histogram->counts[place];
        if (seen > 0 && (double)seen >= wanted) break;
    }
    const uint64_t value = value_of(place);
    return value < histogram->max_ns ? value : histogram->max_ns;
}

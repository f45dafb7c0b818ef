/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Reads a histogram. What it gives back must lie between the least and the most that was
 * counted, however coarse the slots are. */
#include "histogram.h"

#include <stddef.h>

/* The middle of a slot: what was counted there is off by half its width at most. */
static uint64_t value_of(uint64_t slot)
{
    const uint64_t shift = slot < 2 * HISTOGRAM_PARTS ? 0 : (slot >> HISTOGRAM_PART_BITS) - 1;
    const uint64_t least = (slot - (shift << HISTOGRAM_PART_BITS)) << shift;

    return least + ((UINT64_C(1) << shift) >> 1);
}

void histogram_merge(struct histogram *histogram, const struct histogram *other)
{
    if (!other->count) return;
    if (!histogram->count || other->min_ns < histogram->min_ns) histogram->min_ns = other->min_ns;
    if (other->max_ns > histogram->max_ns) histogram->max_ns = other->max_ns;
    histogram->count += other->count;
    histogram->sum_ns += other->sum_ns;
    for (size_t i = 0; i < HISTOGRAM_SLOTS; i++)
        histogram->slots[i] += other->slots[i];
}

void histogram_since(const struct histogram *now, const struct histogram *before, struct histogram *ret)
{
    uint64_t least = HISTOGRAM_SLOTS;
    uint64_t most = 0;

    *ret = (struct histogram){ .count = now->count - before->count, .sum_ns = now->sum_ns - before->sum_ns };
    for (uint64_t i = 0; i < HISTOGRAM_SLOTS; i++) {
        ret->slots[i] = now->slots[i] - before->slots[i];
        if (!ret->slots[i]) continue;
        if (least == HISTOGRAM_SLOTS) least = i;
        most = i;
    }
    if (!ret->count) return;
    ret->min_ns = value_of(least);
    ret->max_ns = value_of(most);
}

uint64_t histogram_percentile(const struct histogram *histogram, unsigned permille)
{
    const uint64_t rank = (histogram->count * permille + 999) / 1000;
    uint64_t seen = 0;
    uint64_t slot = 0;
    uint64_t value = 0;

    if (permille >= 1000) return histogram->max_ns;
    if (rank <= 1) return histogram->min_ns;
    while (slot < HISTOGRAM_SLOTS && (seen += histogram->slots[slot]) < rank)
        slot++;
    if (slot >= HISTOGRAM_SLOTS - 1) return histogram->max_ns;
    value = value_of(slot);
    if (value > histogram->max_ns) return histogram->max_ns;
    return value < histogram->min_ns ? histogram->min_ns : value;
}

double histogram_mean_ns(const struct histogram *histogram)
{
    return histogram->count ? (double)histogram->sum_ns / (double)histogram->count : 0;
}

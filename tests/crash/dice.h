/* SPDX-License-Identifier: BSD-3-Clause
 *
 * tests/crash/dice.h: chance that comes again: the same seed throws the same numbers (splitmix64, by Sebastiano Vigna,
 * https://prng.di.unimi.it/splitmix64.c). */
#ifndef TESTS_CRASH_DICE_H
#define TESTS_CRASH_DICE_H

#include <stdbool.h>
#include <stdint.h>

struct dice {
    uint64_t state;
};

static inline uint64_t dice_next(struct dice *dice)
{
    uint64_t mixed = dice->state += 0x9e3779b97f4a7c15;

    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
    return mixed ^ mixed >> 31;
}

/* 0 to sides - 1. */
static inline uint64_t dice_roll(struct dice *dice, uint64_t sides)
{
    return dice_next(dice) % sides;
}

static inline bool dice_one_in(struct dice *dice, uint64_t sides)
{
    return dice_roll(dice, sides) == 0;
}

#endif

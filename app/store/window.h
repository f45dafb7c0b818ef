/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Between which ids the messages of a time lie. Ids go up as messages come, and times do not: a
 * clock that is set back has the same time pass again. So one time may lie in several stretches of ids. */
#ifndef APP_STORE_WINDOW_H
#define APP_STORE_WINDOW_H

#include <stddef.h>
#include <stdint.h>

#include "reader.h"

enum { WINDOW_STRETCHES_MAX = 1024 };

struct window_query {
    uint64_t after;   /* messages with a higher id */
    uint64_t until;   /* up to and with this */
    int64_t since_us; /* since 1970; INT64_MIN: from the first */
    int64_t until_us; /* messages before; INT64_MAX: to the last */
};

struct window_stretch {
    uint64_t after; /* as above */
    uint64_t until;
};

struct window {
    struct window_stretch stretches[WINDOW_STRETCHES_MAX];
    size_t count;
    /* Of steps of the clock that had a part of the time pass twice, or will: how many, and the last one. */
    uint64_t steps;
    struct stored_step last_step;
    uint64_t searched_until; /* so far all is in a stretch, since the order of times is unknown; 0: it is not so */
};

/* Every message of that time lies in one of the stretches, which come in the order of their ids and do not overlap;
 * messages of other times are there as well. Returns 0, or reader's negative code. */
int window_find(struct reader *reader, const struct window_query *query, struct window *ret);

#endif

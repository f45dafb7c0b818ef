/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Goes from step to step. Between two steps no message is earlier than the highest time before it
 * by more than SCHEMA_JITTER_SECONDS, so a message that is earlier than a time by more than that has none of that time
 * before it, and one that is later by more has none behind it; halving the ids finds such messages. What is taken for
 * an end was seen to be one: an order that is not as it should be makes a stretch longer, and loses nothing. */
#include "window.h"

#include <stdbool.h>

#include "schema.h"

/* The messages between two steps. */
struct span {
    uint64_t first, last;
};

/* The seconds that are asked for, the last one included. */
struct seconds {
    int64_t first, last;
};

/* The last message of the span whose second is below a limit, as far as halving finds it; or the one before the span.
 */
static int find_below(struct reader *reader, const struct span *span, int64_t limit, uint64_t *ret)
{
    uint64_t low = span->first - 1, high = span->last + 1;

    while (high - low > 1) {
        const uint64_t middle = low + (high - low) / 2;
        uint64_t id = 0;
        int64_t time_us = 0;
        const int err = reader_time(reader, middle, &id, &time_us);

        if (err) return err;
        if (id && id < high && time_us / 1000000 < limit)
            low = id;
        else
            high = middle;
    }
    *ret = low;
    return 0;
}

/* One that begins where the last one ends is the same; without a place for another one the last one goes on. */
static void add_stretch(struct window *window, uint64_t after, uint64_t until)
{
    struct window_stretch *last = window->count ? &window->stretches[window->count - 1] : NULL;

    if (after >= until) return;
    if (last && (last->until == after || window->count == WINDOW_STRETCHES_MAX))
        last->until = until;
    else
        window->stretches[window->count++] = (struct window_stretch){ after, until };
}

/* Where the order is unknown, it is known all the same when each new highest second came. */
static int search_unordered(struct reader *reader, const struct seconds *seconds, const struct stored_step *step,
                            const struct span *span, struct window *window)
{
    uint64_t first = 0;
    int err = 0;

    if (seconds->first > step->before) return 0;
    if (seconds->first > INT64_MIN / 1000000)
        err = reader_find_second(reader, seconds->first, step->first_message, &first);
    if (err) return err;
    if (first < span->first) first = span->first;
    if (seconds->last < step->before && first <= span->last) window->searched_until = span->last;
    add_stretch(window, first - 1, span->last);
    return 0;
}

static int search_span(struct reader *reader, const struct seconds *seconds, const struct span *span,
                       struct window *window)
{
    uint64_t after = span->first - 1, until = span->last;
    int err = 0;

    /* Messages of these seconds may stand among others that are as far from them as times are out of order. */
    if (seconds->first > INT64_MIN / 1000000)
        err = find_below(reader, span, seconds->first - SCHEMA_JITTER_SECONDS, &after);
    if (!err && seconds->last < INT64_MAX / 1000000)
        err = find_below(reader, &(struct span){ after + 1, span->last }, seconds->last + SCHEMA_JITTER_SECONDS + 1,
                         &until);
    if (!err) add_stretch(window, after, until);
    return err;
}

/* Whether the step had some of these seconds pass again, or will, when the clock comes to where it was. */
static void note_step(const struct seconds *seconds, const struct stored_step *step, struct window *window)
{
    if (step->is_from_unknown || seconds->first > step->before || seconds->last < step->after) return;
    window->steps++;
    window->last_step = *step;
}

/* The span from that message on, up to the next step. */
static int search_next(struct reader *reader, const struct seconds *seconds, struct span *span, uint64_t until,
                       struct window *window)
{
    struct stored_step step;
    int err = reader_next_step(reader, span->first, &step);
    const bool ends_with_step = !err && step.first_message && step.first_message <= until;

    if (err) return err;
    span->last = ends_with_step ? step.first_message - 1 : until;
    if (step.is_from_unknown)
        err = search_unordered(reader, seconds, &step, span, window);
    else if (!step.first_message || seconds->first <= step.before)
        err = search_span(reader, seconds, span, window);
    if (ends_with_step) note_step(seconds, &step, window);
    return err;
}

int window_find(struct reader *reader, const struct window_query *query, struct window *ret)
{
    const struct seconds seconds = { query->since_us / 1000000, query->until_us / 1000000 };
    const bool is_of_any_time = query->since_us == INT64_MIN && query->until_us == INT64_MAX;
    struct span span = { query->after + 1, query->until };
    uint64_t oldest = 0;
    int64_t time_us = 0;
    int err = reader_time(reader, span.first, &oldest, &time_us);

    ret->count = 0;
    ret->steps = ret->searched_until = 0;
    if (is_of_any_time) add_stretch(ret, query->after, query->until);
    if (is_of_any_time) return err;
    if (oldest > span.first) span.first = oldest; /* a step before it matters no more */
    for (; !err && span.first <= query->until; span.first = span.last + 1)
        err = search_next(reader, &seconds, &span, query->until, ret);
    return err;
}

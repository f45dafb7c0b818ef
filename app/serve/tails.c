/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Remembers from one look to the next which messages were unfinished. Pure: no clock, no
 * connections. Must never cost anything for a connection that is in the middle of nothing, nor fail for want of memory:
 * a tail that cannot be remembered is not shown. */
#include "tails.h"

#include <stdlib.h>

struct tail {
    uint64_t conn;
    uint64_t messages;    /* before it: tells it from another of the same connection */
    uint64_t shown_bytes; /* the connection's when it was shown last; 0: it was not */
    int64_t since_ms;     /* when it was seen first, or shown last */
};

static int compare(const void *one, const void *other)
{
    const uint64_t a = ((const struct tail *)one)->conn;
    const uint64_t b = ((const struct tail *)other)->conn;

    return (a > b) - (a < b);
}

/* The same message at the look before, or NULL. */
static const struct tail *find_before(const struct tails *tails, uint64_t conn, uint64_t messages)
{
    const struct tail key = { .conn = conn };
    const struct tail *found = NULL;

    if (tails->before_count) found = bsearch(&key, tails->before, tails->before_count, sizeof(key), compare);
    return found && found->messages == messages ? found : NULL;
}

static struct tail *add(struct tails *tails)
{
    if (tails->now_count == tails->now_room) {
        const size_t room = tails->now_room ? 2 * tails->now_room : 16;
        struct tail *grown = reallocarray(tails->now, room, sizeof(*grown));
        if (!grown) return NULL;
        tails->now = grown;
        tails->now_room = room;
    }
    return &tails->now[tails->now_count++];
}

bool tails_see(struct tails *tails, uint64_t conn, uint64_t messages, uint64_t bytes, int64_t now_ms)
{
    const struct tail *before = find_before(tails, conn, messages);
    struct tail *tail = add(tails);

    if (!tail) return false;
    *tail = before ? *before : (struct tail){ .conn = conn, .messages = messages, .since_ms = now_ms };
    if (tail->shown_bytes == bytes || now_ms - tail->since_ms < TAIL_AGE_MS) return false;
    if (tails->shown_count == TAILS_SHOWN_MAX) return false;
    tails->shown_count++;
    tail->shown_bytes = bytes;
    tail->since_ms = now_ms;
    return true;
}

void tails_end_look(struct tails *tails)
{
    free(tails->before);
    if (tails->now_count) qsort(tails->now, tails->now_count, sizeof(*tails->now), compare);
    *tails = (struct tails){ .before = tails->now, .before_count = tails->now_count };
}

void tails_fini(struct tails *tails)
{
    free(tails->before);
    free(tails->now);
    *tails = (struct tails){ 0 };
}

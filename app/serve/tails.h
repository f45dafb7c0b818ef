/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Messages that were begun and do not end: which of them it is time to show. */
#ifndef APP_SERVE_TAILS_H
#define APP_SERVE_TAILS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TAIL_AGE_MS = 2000,  /* so long it has to be unfinished, or have grown since it was shown */
    TAILS_SHOWN_MAX = 16 /* at one look: the others have their turn at the next */
};

struct tail;

/* What was seen of the unfinished messages of one thread's connections. Starts zeroed; tails_fini frees what it holds.
 * It holds nothing of connections that are in the middle of nothing. */
struct tails {
    struct tail *before; /* of the look before, by connection */
    size_t before_count;
    struct tail *now;
    size_t now_count;
    size_t now_room;
    size_t shown_count; /* at this look */
};

/* Sees an unfinished message: the connection's number, how many messages it had before and bytes in all, at that time.
 * Returns whether it is to be shown: it has been so for TAIL_AGE_MS and was not shown yet, or has grown since. */
bool tails_see(struct tails *tails, uint64_t conn, uint64_t messages, uint64_t bytes, int64_t now_ms);

/* All have been seen for this time: what was not is forgotten. */
void tails_end_look(struct tails *tails);

void tails_fini(struct tails *tails);

#endif

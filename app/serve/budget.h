/* SPDX-License-Identifier: BSD-3-Clause
 *
 * --max-memory is what the process takes in all: this is who may have how much of it. */
#ifndef APP_SERVE_BUDGET_H
#define APP_SERVE_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/options.h"

/* All in bytes. The process stays within 1.5 times of all and 16 MiB, which the program itself and its libraries need,
 * and what the allocator cannot use. */
struct budget {
    size_t all;
    size_t clients;     /* the engine's: input and output of connections */
    size_t store_queue; /* 0, as the next one: nothing is stored */
    size_t store_cache;
    size_t output;       /* lines for standard output; 0: there are none */
    size_t output_queue; /* no more of them are taken when so much waits */
    size_t long_lines;   /* with long ones: for an instant the spare is theirs, too */
    size_t spare;        /* what is copied on the way, and what the allocator keeps */
    size_t mailbox;      /* of each worker */
    size_t batch;        /* of messages for the store */
    size_t last_message; /* that a worker keeps whole, for the one who types */
    size_t answers;      /* that a worker gives in one go to messages that are stored */
};

enum { BUDGET_ERROR_BYTES_MAX = 300 };

/* is_stored: whether messages are. Returns 0, or -EINVAL with a sentence when --store-queue does not fit. */
int budget_init(struct budget *ret, const struct options *options, bool is_stored, unsigned workers,
                char error[BUDGET_ERROR_BYTES_MAX]);

/* Before threads are started: where memory is short, the C library keeps less of it. */
void budget_set_allocator(const struct budget *budget);

#endif

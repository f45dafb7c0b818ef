/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Clients that do one thing wrong, on purpose, beside those that do everything right; and what
 * the server did about it. */
#ifndef APP_BENCH_MISBEHAVE_H
#define APP_BENCH_MISBEHAVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/weir.h>

#include "text/line.h"

/* What is done: name, and its name in the option and in JSON. */
#define MISBEHAVE_FAULTS(X)                                                          \
    X(SPLIT, "split")         /* messages in pieces, each in a send of its own */    \
    X(HALF, "half")           /* half of a message, then the end of our side */      \
    X(RESET, "reset")         /* half of a message, then a reset */                  \
    X(SILENT, "silent")       /* nothing */                                          \
    X(SLOW_READ, "slow-read") /* messages without end, whose answers are not read */ \
    X(GARBAGE, "garbage")     /* random bytes */

enum misbehave_fault {
#define MISBEHAVE_FAULT_ENUM(name, key) MISBEHAVE_##name,
    MISBEHAVE_FAULTS(MISBEHAVE_FAULT_ENUM)
#undef MISBEHAVE_FAULT_ENUM
        MISBEHAVE_FAULT_COUNT
};

enum { MISBEHAVE_ERROR_BYTES_MAX = 200 };

/* `--misbehave FAULT[=PERCENT]`. */
struct misbehave_spec {
    enum misbehave_fault fault;
    unsigned percent; /* of the connections, 1 to 100; 100 unless told */
};

/* Returns 0, or -EINVAL with a sentence in error. */
int misbehave_parse(const char *text, struct misbehave_spec *ret, char error[MISBEHAVE_ERROR_BYTES_MAX]);

/* How many of the connections do it: at least 1. */
size_t misbehave_count(const struct misbehave_spec *spec, size_t connections);

struct misbehave_config {
    struct misbehave_spec spec;
    const char *url;
    const struct weir_service
        *service;              /* framing, limits, timeouts; its callbacks are not used. Copied, less its strings */
    struct weir_bytes message; /* what well-behaved clients send, without framing. Must outlive it */
    size_t connections;        /* that do it: misbehave_count */
    uint64_t depth;            /* whole messages that half sends first */
    uint64_t seed;             /* of split's cuts and of garbage's bytes; 0: made up */
    bool one_way;              /* answers are not waited for */
};

/* Owns its connections' records; theirs from misbehave_new to misbehave_free, which must come after weir_free. */
struct misbehave;

/* Returns 0; -EINVAL with a sentence in error when the message cannot be sent in that framing; -ENOMEM. */
int misbehave_new(struct weir *weir, const struct misbehave_config *config, struct misbehave **ret,
                  char error[MISBEHAVE_ERROR_BYTES_MAX]);

/* Dials connection number index, 0 to connections - 1, each once; when one has done its fault and is closed, it dials
 * again by itself, not more than 1,000 times a second in all. Returns what weir_dial does. Any worker's thread. */
int misbehave_dial(struct misbehave *misbehave, size_t index);

/* The time is over: nothing new is begun, and what is open from here on was open at the end. Call it right before
 * weir_stop; weir_stop then closes them. Any thread. */
void misbehave_stop(struct misbehave *misbehave);

/* After weir_run: why no connection was ever open; WEIR_REASON_NONE: one was. */
enum weir_reason misbehave_why_nobody(const struct misbehave *misbehave, int *ret_error);

/* After weir_run: whole lines of what the server did, and a member of the JSON object, `"misbehave":{...}`. */
void misbehave_add_text(struct line *line, const struct misbehave *misbehave);
void misbehave_add_json(struct line *line, const struct misbehave *misbehave);

void misbehave_free(struct misbehave *misbehave);

#endif

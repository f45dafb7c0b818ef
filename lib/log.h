/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Lines for the program's log, limited by kind. */
#ifndef WEIR__LOG_H
#define WEIR__LOG_H

#include <stdbool.h>

#include <weir/weir.h>

#include "portable.h"

struct event;
struct weir__worker;

/* When each kind last had a line, and how many have been swallowed since. */
struct weir__log_limits {
    int64_t last_ms[WEIR_LOG_KIND_COUNT];
    uint64_t swallowed[WEIR_LOG_KIND_COUNT];
    enum weir_log_level level[WEIR_LOG_KIND_COUNT]; /* of what was swallowed */
    struct event *timer;                            /* tells of it when no next line does */
};

/* Returns 0 or -ENOMEM. */
int weir__log_init(struct weir__worker *worker);
void weir__log_fini(struct weir__worker *worker);
/* The worker ends: tells of all that was swallowed. */
void weir__log_finish(struct weir__worker *worker);

/* Hands a line to on_log: at most one a second of a kind (WEIR_LOG_STATE excepted), and the next one says how many were
 * swallowed. The worker's thread. */
void weir__log(struct weir__worker *worker, enum weir_log_level level, enum weir_log_kind kind, const char *format, ...)
    WEIR__PRINTF(4, 5);

/* Whether a line of that level would be handed on: for those that cost something to make. */
bool weir__log_wants(const struct weir__worker *worker, enum weir_log_level level);
/* Whether a line of that kind would not be swallowed now. The worker's thread. */
bool weir__log_has_room(struct weir__worker *worker, enum weir_log_kind kind);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The library never prints: it hands lines to the program, and not more of them than a person can read. */
#include "log.h"

#include "engine.h"
#include "worker.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { interval_ms = 1000 };

int weir__log_wants(const struct weir__worker *worker, enum weir_log_level level)
{
    const struct weir_config *config = &worker->weir->config;

    return config->on_log != NULL && level <= config->log_level;
}

int weir__log_has_room(struct weir__worker *worker, enum weir_log_kind kind)
{
    const int64_t last_ms = worker->log_limits.last_ms[kind];

    return kind == WEIR_LOG_STATE || last_ms == 0 || weir__worker_now(worker) - last_ms >= interval_ms;
}

/* 0: swallow this one. Else *ret_swallowed says how many were since the last. */
static int may_log(struct weir__worker *worker, enum weir_log_kind kind, uint64_t *ret_swallowed)
{
    struct weir__log_limits *limits = &worker->log_limits;

    *ret_swallowed = 0;
    if (!weir__log_has_room(worker, kind)) {
        limits->swallowed[kind]++;
        return 0;
    }
    *ret_swallowed = limits->swallowed[kind];
    limits->swallowed[kind] = 0;
    limits->last_ms[kind] = weir__worker_now(worker);
    return 1;
}

void weir__log(struct weir__worker *worker, enum weir_log_level level, enum weir_log_kind kind, const char *format, ...)
{
    const struct weir_config *config = &worker->weir->config;
    uint64_t swallowed;
    char text[512];
    va_list args;

    if (!weir__log_wants(worker, level) || !may_log(worker, kind, &swallowed)) return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (swallowed > 0) {
        const size_t len = strlen(text);
        snprintf(text + len, sizeof text - len, " (and %" PRIu64 " more like this)", swallowed);
    }
    config->on_log(level, kind, text, config->user);
}

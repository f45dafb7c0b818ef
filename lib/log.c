/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The library never prints: it hands lines to the program, and not more of them than a person can read. */
#include "log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <event2/event.h>

#include "engine/engine.h"
#include "engine/worker.h"

enum { INTERVAL_MS = 1000 };

bool weir__log_wants(const struct weir__worker *worker, enum weir_log_level level)
{
    const struct weir_config *config = &worker->weir->config;

    return config->on_log && level <= config->log_level;
}

bool weir__log_has_room(struct weir__worker *worker, enum weir_log_kind kind)
{
    const int64_t last_ms = worker->log_limits.last_ms[kind];

    return kind == WEIR_LOG_STATE || last_ms == 0 || weir__worker_now(worker) - last_ms >= INTERVAL_MS;
}

/* So that a flood does not look like one event: what was swallowed is told a while later, if no next line tells it.
 * Without memory for the timer, the next line or the end does. */
static void tell_later(struct weir__worker *worker)
{
    const struct timeval wait = { .tv_sec = INTERVAL_MS / 1000, .tv_usec = INTERVAL_MS % 1000 * 1000 };

    if (!evtimer_pending(worker->log_limits.timer, NULL)) evtimer_add(worker->log_limits.timer, &wait);
}

/* False: swallow this one. Else *ret_swallowed says how many were since the last. */
static bool may_log(struct weir__worker *worker, enum weir_log_level level, enum weir_log_kind kind,
                    uint64_t *ret_swallowed)
{
    struct weir__log_limits *limits = &worker->log_limits;

    *ret_swallowed = 0;
    if (!weir__log_has_room(worker, kind)) {
        limits->swallowed[kind]++;
        limits->level[kind] = level;
        tell_later(worker);
        return false;
    }
    *ret_swallowed = limits->swallowed[kind];
    limits->swallowed[kind] = 0;
    limits->last_ms[kind] = weir__worker_now(worker);
    return true;
}

void weir__log(struct weir__worker *worker, enum weir_log_level level, enum weir_log_kind kind, const char *format, ...)
{
    const struct weir_config *config = &worker->weir->config;
    uint64_t swallowed;
    char text[512];
    va_list args;

    if (!weir__log_wants(worker, level) || !may_log(worker, level, kind, &swallowed)) return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (swallowed > 0) {
        const size_t len = strlen(text);
        snprintf(text + len, sizeof(text) - len, " (and %" PRIu64 " more like this)", swallowed);
    }
    config->on_log(level, kind, text, config->user);
}

/* ---- What was swallowed, and no next line told ---- */

static void tell_swallowed(struct weir__worker *worker, enum weir_log_kind kind)
{
    static const char *const subjects[WEIR_LOG_KIND_COUNT] = { [WEIR_LOG_ACCEPT] = "accepting",
                                                               [WEIR_LOG_LIMIT] = "refused clients",
                                                               [WEIR_LOG_MEMORY] = "clients closed for memory",
                                                               [WEIR_LOG_STRANGER] =
                                                                   "clients that speak something else",
                                                               [WEIR_LOG_STATE] = "states" };
    struct weir__log_limits *limits = &worker->log_limits;
    const struct weir_config *config = &worker->weir->config;
    char text[128];

    snprintf(text, sizeof(text), "%" PRIu64 " more line%s about %s", limits->swallowed[kind],
             limits->swallowed[kind] == 1 ? "" : "s", subjects[kind]);
    limits->swallowed[kind] = 0;
    limits->last_ms[kind] = weir__worker_now(worker);
    config->on_log(limits->level[kind], kind, text, config->user);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct weir__worker *worker = arg;

    (void)fd;
    (void)what;
    weir__worker_wakes(worker);
    for (int kind = 0; kind < WEIR_LOG_KIND_COUNT; kind++) {
        if (worker->log_limits.swallowed[kind] == 0) continue;
        if (weir__log_has_room(worker, (enum weir_log_kind)kind)) {
            tell_swallowed(worker, (enum weir_log_kind)kind);
        } else {
            tell_later(worker);
        }
    }
}

int weir__log_init(struct weir__worker *worker)
{
    worker->log_limits.timer = evtimer_new(worker->base, on_timer, worker);
    return worker->log_limits.timer ? 0 : -ENOMEM;
}

void weir__log_fini(struct weir__worker *worker)
{
    if (worker->log_limits.timer) event_free(worker->log_limits.timer);
    worker->log_limits.timer = NULL;
}

void weir__log_finish(struct weir__worker *worker)
{
    for (int kind = 0; kind < WEIR_LOG_KIND_COUNT; kind++) {
        if (worker->log_limits.swallowed[kind] > 0) tell_swallowed(worker, (enum weir_log_kind)kind);
    }
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Looks now and then how much a connection has received. Must never call a server silent while it
 * is we who do not read: what came and is being shown breaks the silence when it has been. */
#include "silence.h"

#include "base/clock.h"

enum { LOOKS = 16, LOOK_MS_MAX = 1000 };

static void look(struct weir_timer *timer, void *arg)
{
    struct silence *silence = arg;
    struct weir_conn_counters counters = { 0 };

    if (silence->conn) weir_conn_counters(silence->conn, &counters);
    if (counters.bytes_in != silence->bytes_in) silence_break(silence);
    silence->bytes_in = counters.bytes_in;
    if (clock_ms() - silence->since_ms < silence->limit_ms) return;
    weir_timer_stop(timer);
    silence->on_silence(silence->user);
}

int silence_start(struct silence *silence, struct weir *weir, int64_t limit_ms, void (*on_silence)(void *user),
                  void *user)
{
    const int64_t look_ms = limit_ms / LOOKS < LOOK_MS_MAX ? limit_ms / LOOKS + 1 : LOOK_MS_MAX;

    *silence = (struct silence){ .limit_ms = limit_ms, .since_ms = clock_ms(), .on_silence = on_silence, .user = user };
    return weir_timer_start(weir, 0, look_ms, look_ms, look, silence, NULL);
}

void silence_set_conn(struct silence *silence, struct weir_conn *conn)
{
    silence->conn = conn;
    silence_break(silence);
}

void silence_break(struct silence *silence)
{
    if (silence->limit_ms) silence->since_ms = clock_ms();
}

void silence_end(struct silence *silence)
{
    silence->conn = NULL;
    silence->limit_ms = INT64_MAX;
}

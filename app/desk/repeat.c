/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Sends one thing again and again, by a timer of the client's worker. Must never go on when a client
 * does not take what is sent, nor outlive it. */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "desk_internal.h"

/* Of one client, on whose worker it lives and dies. */
struct desk_repeat {
    struct desk *desk;
    struct desk_client *client; /* NULL until it has begun */
    struct weir_conn *conn;
    struct weir_timer *timer;
    uint64_t id;
    int64_t interval_ms;
    long long count;
    long long sent;
    size_t len;
    unsigned char bytes[];
};

static void end_repeat(struct desk_repeat *repeat)
{
    repeat->client->repeat = NULL;
    weir_timer_stop(repeat->timer);
    free(repeat);
}

static void tell_sent(const struct desk_repeat *repeat, const char *why)
{
    desk_tell(repeat->desk, "#%llu: %s; %lld of %lld sent", (unsigned long long)repeat->id, why, repeat->sent,
              repeat->count);
}

static void on_timer(struct weir_timer *timer, void *arg)
{
    struct desk_repeat *repeat = arg;
    const struct weir_bytes message = { repeat->bytes, repeat->len };
    const int result = desk_pass(repeat->desk, repeat->conn, message);

    (void)timer;
    if (result < 0) {
        desk_tell_unsent(repeat->desk, repeat->id, result);
        tell_sent(repeat, "no longer repeated");
        end_repeat(repeat);
        return;
    }
    repeat->sent++;
    show_typed(repeat->desk->show, repeat->id, message, NULL);
    if (repeat->sent < repeat->count) return;
    tell_sent(repeat, "repeated");
    end_repeat(repeat);
}

/* On the client's worker. */
static void start(struct weir_conn *conn, void *arg)
{
    struct desk_repeat *repeat = arg;
    struct desk_client *client = conn ? repeat->desk->host->find(conn) : NULL;
    int err = client ? 0 : -ENOENT;

    if (!err && desk_file_is_between(repeat->desk->file, repeat->id)) err = -EBUSY;
    if (!err)
        err = weir_timer_start(repeat->desk->weir, weir_conn_worker(conn), 0, repeat->interval_ms, on_timer, repeat,
                               &repeat->timer);
    if (err) {
        desk_tell_unsent(repeat->desk, repeat->id, err);
        free(repeat);
        return;
    }
    if (client->repeat) {
        tell_sent(client->repeat, "no longer repeated");
        end_repeat(client->repeat);
    }
    repeat->client = client;
    repeat->conn = conn;
    client->repeat = repeat;
}

void desk_repeat_start(struct desk *desk, uint64_t id, const struct command_line *line)
{
    struct desk_repeat *repeat = calloc(1, sizeof(*repeat) + line->len);
    int err = -ENOMEM;

    if (repeat) {
        repeat->desk = desk;
        repeat->id = id;
        repeat->interval_ms = line->interval_ms;
        repeat->count = line->count;
        repeat->len = line->len;
        memcpy(repeat->bytes, line->bytes, line->len);
        err = weir_post_conn(desk->weir, id, start, repeat);
    }
    if (!err) return;
    free(repeat);
    desk_tell_unsent(desk, id, err);
}

void desk_repeat_close(struct desk_client *client)
{
    if (!client->repeat) return;
    tell_sent(client->repeat, "it has left");
    end_repeat(client->repeat);
}

/* ---- The end of all of them ---- */

struct stopping {
    struct desk *desk;
    atomic_bool has_stopped;
};

/* On the client's worker. */
static bool stop_one(struct weir_conn *conn, void *user)
{
    struct stopping *stopping = user;
    struct desk_client *client = stopping->desk->host->find(conn);

    if (!client || !client->repeat) return false;
    tell_sent(client->repeat, "no longer repeated");
    end_repeat(client->repeat);
    atomic_store(&stopping->has_stopped, true);
    return false;
}

static void on_stopped(uint64_t sent, void *user)
{
    struct stopping *stopping = user;

    (void)sent;
    if (!atomic_load(&stopping->has_stopped)) desk_tell(stopping->desk, "nothing is being repeated");
    free(stopping);
}

/* A broadcast asks every client, and is sent to none. */
void desk_repeat_stop_all(struct desk *desk)
{
    struct stopping *stopping = calloc(1, sizeof(*stopping));
    const struct weir_filter filter = WEIR_FILTER(.match = stop_one, .done = on_stopped, .user = stopping);
    int err = -ENOMEM;

    if (stopping) {
        stopping->desk = desk;
        err = weir_broadcast(desk->weir, &filter, (struct weir_bytes){ NULL, 0 });
    }
    if (!err) return;
    free(stopping);
    desk_tell(desk, "%s; try again", weir_strerror(err));
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app/desk/repeat.c: sends one thing again and again, by a timer of the client's worker. Must never go on when a client
 * does not take what is sent, nor outlive it. */
#include "desk_internal.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

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
    struct desk_repeat *const repeat = arg;
    const struct weir_bytes message = { repeat->bytes, repeat->len };
    const int result = desk_pass(repeat->conn, message);

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
    struct desk_repeat *const repeat = arg;
    struct desk_client *const client = conn ? weir_conn_user(conn) : NULL;
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
    struct desk_repeat *const repeat = calloc(1, sizeof(*repeat) + line->len);
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
    atomic_uint workers; /* that are not done yet */
    atomic_uint stopped;
};

static void stop_one(struct weir_conn *conn, void *arg)
{
    struct stopping *const stopping = arg;
    struct desk_client *const client = weir_conn_user(conn);

    if (!client || !client->repeat) return;
    tell_sent(client->repeat, "no longer repeated");
    end_repeat(client->repeat);
    atomic_fetch_add(&stopping->stopped, 1);
}

/* So many workers are done, or were never asked. */
static void finish_workers(struct stopping *stopping, unsigned count)
{
    if (atomic_fetch_sub(&stopping->workers, count) > count) return;
    if (!atomic_load(&stopping->stopped)) desk_tell(stopping->desk, "nothing is being repeated");
    free(stopping);
}

struct stop_order {
    struct stopping *stopping;
    unsigned worker;
};

static void stop_on_worker(struct weir *weir, void *arg)
{
    struct stop_order *const order = arg;

    weir_conn_each(weir, order->worker, stop_one, order->stopping);
    finish_workers(order->stopping, 1);
    free(order);
}

void desk_repeat_stop_all(struct desk *desk)
{
    struct stopping *const stopping = calloc(1, sizeof(*stopping));
    unsigned unasked = 1;

    if (!stopping) {
        desk_tell(desk, "%s", weir_strerror(-ENOMEM));
        return;
    }
    stopping->desk = desk;
    atomic_init(&stopping->workers, desk->workers + unasked); /* one is ours, until all are asked */
    for (unsigned worker = 0; worker < desk->workers; worker++) {
        struct stop_order *const order = malloc(sizeof(*order));
        int err = -ENOMEM;
        if (order) {
            *order = (struct stop_order){ .stopping = stopping, .worker = worker };
            err = weir_post(desk->weir, worker, stop_on_worker, order);
        }
        if (!err) continue;
        free(order);
        desk_tell(desk, "%s; try again", weir_strerror(err));
        unasked++;
    }
    finish_workers(stopping, unasked);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Looks through each worker's connections for messages that do not end. Costs a message nothing,
 * and an idle connection a glance a second: must never be told of what happens on a connection. */
#include "watch.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "tails.h"

enum { LOOK_EVERY_MS = 1000 };

/* One worker's look. */
struct look {
    struct watch *watch;
    unsigned worker;
    int64_t now_ms;
    struct tails tails;
};

struct watch {
    struct weir *weir;
    struct show *show;
    const char *(*missing)(const struct weir_listener *listener, void *user);
    void *user;
    unsigned workers;
    struct look looks[];
};

static void look_at(struct weir_conn *conn, void *arg)
{
    struct look *look = arg;
    struct watch *watch = look->watch;
    const struct weir_bytes bytes = weir_conn_unfinished(conn);
    struct weir_conn_counters counters;

    if (!bytes.len) return;
    weir_conn_counters(conn, &counters);
    if (!tails_see(&look->tails, weir_conn_id(conn), counters.messages_in, counters.bytes_in, look->now_ms)) return;
    show_unfinished(watch->show, conn, bytes, watch->missing(weir_conn_listener(conn), watch->user));
}

static void look_at_all(struct weir_timer *timer, void *arg)
{
    struct look *look = arg;

    (void)timer;
    look->now_ms = clock_ms();
    weir_conn_each(look->watch->weir, look->worker, look_at, look);
    tails_end_look(&look->tails);
}

/* On the worker. Without memory for this, or for the timer, less is seen, and no harm is done. */
static void start_on_worker(struct weir *weir, void *arg)
{
    struct look *look = arg;

    weir_timer_start(weir, look->worker, LOOK_EVERY_MS, LOOK_EVERY_MS, look_at_all, look, NULL);
}

int watch_start(struct weir *weir, struct show *show,
                const char *(*missing)(const struct weir_listener *listener, void *user), void *user,
                struct watch **ret)
{
    const unsigned workers = weir_workers(weir);
    struct watch *watch = calloc(1, sizeof(*watch) + workers * sizeof(watch->looks[0]));

    if (!watch) return -ENOMEM;
    watch->weir = weir;
    watch->show = show;
    watch->missing = missing;
    watch->user = user;
    watch->workers = workers;
    for (unsigned i = 0; i < workers; i++) {
        watch->looks[i] = (struct look){ .watch = watch, .worker = i };
        weir_post(weir, i, start_on_worker, &watch->looks[i]);
    }
    *ret = watch;
    return 0;
}

void watch_free(struct watch *watch)
{
    if (!watch) return;
    for (unsigned i = 0; i < watch->workers; i++)
        tails_fini(&watch->looks[i].tails);
    free(watch);
}

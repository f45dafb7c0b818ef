/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Keeps the last message of each worker, whole, for whoever wants to see more of it than fits a line.
 * A worker must wait here for nobody but a person who looks at that very moment. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "desk_internal.h"

struct desk_last {
    pthread_mutex_t lock;
    uint64_t conn; /* 0: none has come yet */
    struct timespec time;
    int64_t order_ns; /* by the monotonic clock: which of the workers' is the last */
    struct weir_message_info info;
    unsigned char *bytes; /* as long as the longest so far that was kept */
    size_t room;
    size_t len;
    size_t bytes_max;
    size_t left_out; /* the length of a message that was longer, and is not in bytes; 0: it is */
};

int desk_last_new(unsigned workers, size_t bytes_max, struct desk_last **ret)
{
    struct desk_last *last = calloc(workers, sizeof(*last));

    if (!last) return -ENOMEM;
    for (unsigned i = 0; i < workers; i++) {
        last[i].bytes_max = bytes_max;
        pthread_mutex_init(&last[i].lock, NULL);
    }
    *ret = last;
    return 0;
}

void desk_last_free(struct desk_last *last_of_worker, unsigned workers)
{
    if (!last_of_worker) return;
    for (unsigned i = 0; i < workers; i++) {
        pthread_mutex_destroy(&last_of_worker[i].lock);
        free(last_of_worker[i].bytes);
    }
    free(last_of_worker);
}

static bool make_room(struct desk_last *last, size_t len)
{
    unsigned char *bytes = NULL;

    if (len <= last->room) return true;
    bytes = realloc(last->bytes, len);
    if (!bytes) return false;
    last->bytes = bytes;
    last->room = len;
    return true;
}

/* Copies a message over the one that is kept. Without memory the older one stays. */
static void keep(struct desk_last *last, uint64_t conn, struct weir_bytes message, const struct weir_message_info *info)
{
    last->left_out = 0;
    if (message.len > last->bytes_max) {
        last->left_out = message.len;
        message.len = 0;
    } else if (!make_room(last, message.len)) {
        return;
    }
    last->conn = conn;
    last->info = *info;
    last->len = message.len;
    if (message.len) memcpy(last->bytes, message.data, message.len);
}

void desk_last_keep(struct desk *desk, struct weir_conn *conn, struct weir_bytes message)
{
    struct desk_last *last = &desk->last_of_worker[weir_conn_worker(conn)];
    struct weir_message_info info;

    weir_conn_message(conn, &info);
    pthread_mutex_lock(&last->lock);
    last->time = clock_wall();
    last->order_ns = clock_ns();
    keep(last, weir_conn_id(conn), message, &info);
    pthread_mutex_unlock(&last->lock);
}

static bool is_later(const struct desk_last *one, const struct desk_last *other)
{
    if (!one->conn || !other->conn) return one->conn != 0;
    return one->order_ns > other->order_ns;
}

void desk_last_show(struct desk *desk)
{
    struct desk_last newest = { .bytes_max = SIZE_MAX };
    bool has_memory = true;

    for (unsigned i = 0; i < desk->workers; i++) {
        struct desk_last *last = &desk->last_of_worker[i];
        pthread_mutex_lock(&last->lock);
        if (is_later(last, &newest)) {
            has_memory = make_room(&newest, last->len);
            newest.time = last->time;
            newest.order_ns = last->order_ns;
            if (has_memory) keep(&newest, last->conn, (struct weir_bytes){ last->bytes, last->len }, &last->info);
            newest.left_out = last->left_out;
        }
        pthread_mutex_unlock(&last->lock);
    }
    if (!has_memory)
        desk_tell(desk, "there is not enough memory to show it");
    else if (!newest.conn)
        desk_tell(desk, "no message has come yet");
    else if (newest.left_out)
        desk_tell(desk, "it has %zu bytes, and --max-memory leaves room to keep %zu of a message", newest.left_out,
                  desk->last_of_worker[0].bytes_max);
    else
        show_whole(desk->show, newest.conn, newest.time, (struct weir_bytes){ newest.bytes, newest.len }, &newest.info);
    free(newest.bytes);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app/desk/last.c: keeps the last message of each worker, whole, for whoever wants to see more of it than fits a line.
 * A worker must wait here for nobody but a person who looks at that very moment. */
#include "desk_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct desk_last {
    pthread_mutex_t lock;
    uint64_t conn; /* 0: none has come yet */
    struct timespec time;
    struct timespec order; /* by the monotonic clock: which of the workers' is the last */
    struct weir_message_info info;
    unsigned char *bytes; /* as long as the longest so far, which the listener's limit bounds */
    size_t room;
    size_t len;
};

int desk_last_new(unsigned workers, struct desk_last **ret)
{
    struct desk_last *const last = calloc(workers, sizeof(*last));

    if (!last) return -ENOMEM;
    for (unsigned i = 0; i < workers; i++)
        pthread_mutex_init(&last[i].lock, NULL);
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
    if (!make_room(last, message.len)) return;
    last->conn = conn;
    last->info = *info;
    last->len = message.len;
    if (message.len) memcpy(last->bytes, message.data, message.len);
}

void desk_last_keep(struct desk *desk, struct weir_conn *conn, struct weir_bytes message)
{
    struct desk_last *const last = &desk->last_of_worker[weir_conn_worker(conn)];
    struct weir_message_info info;

    weir_conn_message(conn, &info);
    pthread_mutex_lock(&last->lock);
    clock_gettime(CLOCK_REALTIME, &last->time);
    clock_gettime(CLOCK_MONOTONIC, &last->order);
    keep(last, weir_conn_id(conn), message, &info);
    pthread_mutex_unlock(&last->lock);
}

static bool is_later(const struct desk_last *one, const struct desk_last *other)
{
    if (!one->conn || !other->conn) return one->conn != 0;
    if (one->order.tv_sec != other->order.tv_sec) return one->order.tv_sec > other->order.tv_sec;
    return one->order.tv_nsec > other->order.tv_nsec;
}

void desk_last_show(struct desk *desk)
{
    struct desk_last newest = { .conn = 0 };
    bool has_memory = true;

    for (unsigned i = 0; i < desk->workers; i++) {
        struct desk_last *const last = &desk->last_of_worker[i];
        pthread_mutex_lock(&last->lock);
        if (is_later(last, &newest)) {
            has_memory = make_room(&newest, last->len);
            newest.time = last->time;
            newest.order = last->order;
            if (has_memory) keep(&newest, last->conn, (struct weir_bytes){ last->bytes, last->len }, &last->info);
        }
        pthread_mutex_unlock(&last->lock);
    }
    if (!has_memory)
        desk_tell(desk, "there is not enough memory to show it");
    else if (!newest.conn)
        desk_tell(desk, "no message has come yet");
    else
        show_whole(desk->show, newest.conn, newest.time, (struct weir_bytes){ newest.bytes, newest.len }, &newest.info);
    free(newest.bytes);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Who is connected, as a table. Each client's worker fills in its row, and the last one shows the
 * table: it must stay short, however many clients there are. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "desk_internal.h"
#include "text/render.h"

enum { ROWS_MAX = 200, CELL_BYTES = 32 };

struct list_row {
    struct list *list;
    uint64_t id;
    bool is_there; /* it had not left before its row was filled in */
    const char *listener;
    time_t since;
    struct weir_conn_counters counters;
    char peer[WEIR_ADDRESS_BYTES_MAX];
};

struct list {
    struct desk *desk;
    uint64_t chosen;
    size_t clients;      /* in all */
    atomic_size_t empty; /* rows */
    size_t count;
    struct list_row rows[];
};

/* ---- The table ---- */

static const char *since_text(time_t since, char ret[CELL_BYTES])
{
    const time_t now = time(NULL);
    struct tm then = { 0 };
    struct tm today = { 0 };

    localtime_r(&since, &then);
    localtime_r(&now, &today);
    strftime(ret, CELL_BYTES, then.tm_yday == today.tm_yday && then.tm_year == today.tm_year ? "%H:%M:%S" : "%F %T",
             &then);
    return ret;
}

static void add_row(struct line *line, const struct list *list, const struct list_row *row, int peer_width)
{
    char number[CELL_BYTES];
    char since[CELL_BYTES];

    snprintf(number, sizeof(number), "#%llu", (unsigned long long)row->id);
    line_addf(line, "%s%-8s %-*s", row->id == list->chosen ? "> " : "  ", number, peer_width, row->peer);
    line_addf(line, " %9llu %11llu %11llu  %s", (unsigned long long)row->counters.messages_in,
              (unsigned long long)row->counters.bytes_in, (unsigned long long)row->counters.bytes_out,
              since_text(row->since, since));
    if (row->listener) {
        line_add_text(line, "  ");
        render_sentence(line, row->listener, strlen(row->listener));
    }
    line_add_text(line, "\n");
}

static void show_list(struct list *list)
{
    static const char peer_title[] = "peer";
    struct line line = { 0 };
    int peer_width = (int)sizeof(peer_title);

    for (size_t i = 0; i < list->count; i++)
        if ((int)strlen(list->rows[i].peer) > peer_width) peer_width = (int)strlen(list->rows[i].peer);
    line_addf(&line, "  %-8s %-*s %9s %11s %11s  %s\n", "client", peer_width, peer_title, "messages", "bytes in",
              "bytes out", list->count && list->rows[0].listener ? "since     listener" : "since");
    for (size_t i = 0; i < list->count; i++)
        if (list->rows[i].is_there) add_row(&line, list, &list->rows[i], peer_width);
    if (list->clients > list->count) line_addf(&line, "  and %zu more\n", list->clients - list->count);
    if (!line.failed) printer_add(list->desk->lines, line.bytes, line.len);
    line_fini(&line);
    free(list);
}

/* ---- Its rows ---- */

/* So many rows are as full as they will be. With the last one the list is shown, and gone. */
static void finish_rows(struct list *list, size_t count)
{
    if (atomic_fetch_sub(&list->empty, count) == count) show_list(list);
}

/* On the client's worker. */
static void fill_row(struct weir_conn *conn, void *arg)
{
    struct list_row *row = arg;
    const struct desk_client *client = conn ? row->list->desk->host->find(conn) : NULL;

    if (client) {
        row->is_there = true;
        row->listener = client->listener->url;
        row->since = (time_t)(client->since_us / 1000000);
        weir_conn_counters(conn, &row->counters);
        weir_conn_peer(conn, row->peer);
    }
    finish_rows(row->list, 1);
}

/* Begins the list with the numbers of those who are there. */
static struct list *new_list(struct desk *desk)
{
    const size_t size = sizeof(struct list) + ROWS_MAX * sizeof(struct list_row);
    struct list *list = calloc(1, size);
    const struct roster_client *client = NULL;

    if (!list) return NULL;
    list->desk = desk;
    pthread_mutex_lock(&desk->lock);
    list->chosen = desk->roster.chosen;
    list->clients = desk->roster.count;
    for (client = desk->roster.first; client && list->count < ROWS_MAX; client = client->after)
        list->rows[list->count++] = (struct list_row){ .list = list, .id = client->id };
    pthread_mutex_unlock(&desk->lock);
    return list;
}

void desk_list(struct desk *desk)
{
    struct list *list = new_list(desk);
    const size_t count = list ? list->count : 0;
    size_t unasked = 1;

    if (!list || !count) {
        desk_tell(desk, "%s", list ? "nobody is connected" : weir_strerror(-ENOMEM));
        free(list);
        return;
    }
    atomic_init(&list->empty, count + unasked); /* one is ours, until all are asked */
    for (size_t i = 0; i < count; i++)
        unasked += weir_post_conn(desk->weir, list->rows[i].id, fill_row, &list->rows[i]) != 0;
    finish_rows(list, unasked);
}

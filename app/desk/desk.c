/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Clients come and go, and the prompt names one of them. The workers tell of it: they must never wait
 * here for anything but the one lock, and whoever holds that does not wait for the terminal, a file or the engine. */
#include "desk_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "text/utf8.h"

/* ---- What is said ---- */

void desk_tell(struct desk *desk, const char *format, ...)
{
    char text[600];
    va_list arguments;
    size_t len = 0;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text) - 1, format, arguments);
    va_end(arguments);
    utf8_make_printable(text);
    len = strlen(text);
    text[len] = '\n';
    printer_add(desk->lines, text, len + 1);
}

void desk_tell_unsent(struct desk *desk, uint64_t id, int err)
{
    const unsigned long long number = id;

    if (!id)
        desk_tell(desk, "nobody is connected; nothing was sent");
    else if (err == -ENOENT)
        desk_tell(desk, "#%llu has left; nothing was sent", number);
    else if (err == WEIR_ECLOSING)
        desk_tell(desk, "#%llu is about to leave; nothing was sent", number);
    else if (err == -EBUSY)
        desk_tell(desk, "a file is still on its way to #%llu; nothing was sent between", number);
    else if (err == -ENOBUFS)
        desk_tell(desk, "#%llu reads too slowly, and too much waits for it already; nothing was sent", number);
    else if (err == -EMSGSIZE)
        desk_tell(desk, "#%llu: too long for one message of its framing; nothing was sent", number);
    else if (err == -EINVAL)
        desk_tell(desk, "#%llu: its framing cannot carry these bytes; nothing was sent", number);
    else if (err == -ENOSPC)
        desk_tell(desk, "#%llu: too much waits to be stored already; nothing was sent", number);
    else if (err == -EAGAIN)
        desk_tell(desk, "too much waits for the server's threads already; nothing was sent");
    else
        desk_tell(desk, "#%llu: %s; nothing was sent", number, weir_strerror(err));
}

/* ---- Who is there ---- */

/* Under the lock, so that of two workers' news the last one stands. */
static void set_prompt(struct desk *desk)
{
    char text[EDITOR_PROMPT_BYTES_MAX] = "> ";

    if (desk->roster.chosen) snprintf(text, sizeof(text), "#%llu> ", (unsigned long long)desk->roster.chosen);
    editor_set_prompt(desk->editor, text, desk->roster.chosen);
}

const struct desk_listener *desk_find(struct desk *desk, uint64_t id)
{
    const struct desk_listener *listener = NULL;
    const struct roster_client *client = NULL;

    pthread_mutex_lock(&desk->lock);
    client = roster_find(&desk->roster, id);
    if (client) listener = ((const struct desk_client *)client)->listener; /* its place is its first member */
    pthread_mutex_unlock(&desk->lock);
    return listener;
}

bool desk_choose(struct desk *desk, uint64_t id)
{
    bool is_there = false;

    pthread_mutex_lock(&desk->lock);
    is_there = roster_choose(&desk->roster, id);
    if (is_there) set_prompt(desk);
    pthread_mutex_unlock(&desk->lock);
    return is_there;
}

void desk_open(struct desk *desk, struct desk_client *client, const struct weir_conn *conn,
               const struct desk_listener *listener, int64_t since_us)
{
    *client = (struct desk_client){
        .place.id = weir_conn_id(conn), .desk = desk, .listener = listener, .since_us = since_us
    };
    pthread_mutex_lock(&desk->lock);
    roster_add(&desk->roster, &client->place);
    if (desk->roster.chosen == client->place.id) set_prompt(desk);
    pthread_mutex_unlock(&desk->lock);
}

void desk_message(struct desk_client *client, struct weir_conn *conn, struct weir_bytes message)
{
    desk_last_keep(client->desk, conn, message);
}

void desk_writable(struct desk_client *client)
{
    desk_file_writable(client->desk->file, client->place.id);
}

int desk_pass(struct desk *desk, struct weir_conn *conn, struct weir_bytes message)
{
    int result = WEIR_ECLOSING; /* there was no memory for it when it came */

    if (desk->host->find(conn)) result = desk->host->has_room(conn) ? weir_conn_send(conn, message) : -ENOSPC;
    if (result >= 0) desk->host->on_sent(conn, message);
    return result;
}

void desk_close(struct desk_client *client)
{
    struct desk *desk = client->desk;
    uint64_t chosen = 0;

    desk_repeat_close(client);
    desk_file_close(desk->file, client->place.id);
    pthread_mutex_lock(&desk->lock);
    chosen = desk->roster.chosen;
    roster_remove(&desk->roster, &client->place);
    if (desk->roster.chosen != chosen) set_prompt(desk);
    pthread_mutex_unlock(&desk->lock);
}

/* ---- Its life ---- */

static void on_end(int error, void *user)
{
    struct desk *desk = user;

    if (!error) desk_tell(desk, "nothing more is taken from here; the server goes on, and Ctrl-C stops it");
}

int desk_new(struct weir *weir, const struct desk_host *host, struct show *show, struct printer *lines,
             size_t last_bytes_max, struct desk **ret)
{
    struct desk *desk = calloc(1, sizeof(*desk));
    const struct editor_config config = { .on_line = desk_on_line, .on_end = on_end, .user = desk };
    int err = 0;

    if (!desk) return -ENOMEM;
    desk->weir = weir;
    desk->host = host;
    desk->show = show;
    desk->lines = lines;
    desk->workers = weir_workers(weir);
    pthread_mutex_init(&desk->lock, NULL);
    err = editor_new(&config, "> ", 0, &desk->editor);
    if (!err) err = desk_file_new(desk, &desk->file);
    if (!err) err = desk_last_new(desk->workers, last_bytes_max, &desk->last_of_worker);
    if (err) {
        desk_free(desk);
        return err;
    }
    *ret = desk;
    return 0;
}

static void begin_output(void *user)
{
    editor_begin_output(user);
}

static void end_output(void *user)
{
    editor_end_output(user);
}

void desk_share(struct desk *desk, struct printer *printer)
{
    const struct printer_around around = { .begin = begin_output, .end = end_output, .user = desk->editor };

    printer_set_around(printer, &around);
}

int desk_start(struct desk *desk)
{
    return editor_start(desk->editor);
}

void desk_resize(struct desk *desk)
{
    editor_resize(desk->editor);
}

void desk_stop(struct desk *desk)
{
    editor_stop(desk->editor);
    desk_file_stop(desk->file);
}

bool desk_finish(struct desk *desk, int wait_ms)
{
    bool has_ended = false;

    desk_stop(desk);
    has_ended = editor_finish(desk->editor, wait_ms);
    return desk_file_finish(desk->file, wait_ms) && has_ended;
}

void desk_free(struct desk *desk)
{
    if (!desk) return;
    editor_free(desk->editor);
    desk_file_free(desk->file);
    desk_last_free(desk->last_of_worker, desk->workers);
    pthread_mutex_destroy(&desk->lock);
    free(desk);
}

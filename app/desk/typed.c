/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Does what a typed line says. Must never send a line to another client than the one that the prompt
 * named when it was begun, and never say that something was sent before the engine has taken it. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "desk_internal.h"
#include "text/utf8.h"

/* One line, and whom it is for. */
struct typed_line {
    struct desk *desk;
    uint64_t target; /* 0: nobody was there when it was begun */
    const char *text;
    const struct command_line *command;
};

/* Shows the line as it was typed, above what it leads to. Messages are shown as they are sent instead. */
static void show_line(const struct typed_line *typed)
{
    struct line line = { 0 };

    if (typed->target) line_addf(&line, "#%llu", (unsigned long long)typed->target);
    line_add_text(&line, "> ");
    line_add(&line, typed->text, strlen(typed->text) + 1);
    if (!line.failed) {
        utf8_make_printable(line.bytes);
        line.bytes[line.len - 1] = '\n';
        printer_add(typed->desk->lines, line.bytes, line.len);
    }
    line_fini(&line);
}

/* ---- To one client ---- */

struct parcel {
    struct desk *desk;
    uint64_t id;
    char note[120];
    size_t len;
    unsigned char bytes[];
};

/* On the client's worker. */
static void deliver(struct weir_conn *conn, void *arg)
{
    struct parcel *parcel = arg;
    const struct weir_bytes message = { parcel->bytes, parcel->len };
    int result = -ENOENT;

    if (conn && desk_file_is_between(parcel->desk->file, parcel->id)) /* it has begun since this was typed */
        result = -EBUSY;
    else if (conn)
        result = desk_pass(parcel->desk, conn, message);
    if (result < 0)
        desk_tell_unsent(parcel->desk, parcel->id, result);
    else if (parcel->note[0])
        show_typed(parcel->desk->show, parcel->id, (struct weir_bytes){ NULL, 0 }, parcel->note);
    else
        show_typed(parcel->desk->show, parcel->id, message, NULL);
    free(parcel);
}

void desk_send(struct desk *desk, uint64_t id, struct weir_bytes message, const char *note)
{
    struct parcel *parcel = malloc(sizeof(*parcel) + message.len);
    int err = -ENOMEM;

    if (parcel) {
        *parcel = (struct parcel){ .desk = desk, .id = id, .len = message.len };
        if (note) snprintf(parcel->note, sizeof(parcel->note), "%s", note);
        memcpy(parcel->bytes, message.data, message.len);
        err = weir_post_conn(desk->weir, id, deliver, parcel);
    }
    if (!err) return;
    free(parcel);
    desk_tell_unsent(desk, id, err);
}

/* The listener of the client that the line is for; NULL when it cannot be sent now, which has been said. */
static const struct desk_listener *find_target(const struct typed_line *typed)
{
    const struct desk_listener *listener = desk_find(typed->desk, typed->target);

    if (listener && !desk_file_is_between(typed->desk->file, typed->target)) return listener;
    if (typed->command->kind == DO_SEND) show_line(typed);
    desk_tell_unsent(typed->desk, typed->target, listener ? -EBUSY : -ENOENT);
    return NULL;
}

static void do_send(const struct typed_line *typed)
{
    const struct weir_bytes message = { typed->command->bytes, typed->command->len };

    if (message.len && find_target(typed)) desk_send(typed->desk, typed->target, message, NULL);
}

static void do_file(const struct typed_line *typed)
{
    const struct desk_listener *listener = find_target(typed);

    if (listener) desk_file_start(typed->desk->file, typed->target, listener, typed->command->name);
}

static void do_repeat(const struct typed_line *typed)
{
    if (find_target(typed)) desk_repeat_start(typed->desk, typed->target, typed->command);
}

static void do_repeat_off(const struct typed_line *typed)
{
    desk_repeat_stop_all(typed->desk);
}

/* ---- To all ---- */

struct shout {
    struct desk *desk;
    atomic_ullong clients;
    atomic_ullong busy;    /* the client that was left out, as it is in the middle of a file; 0: none */
    atomic_bool is_behind; /* one was left out, as too much waits to be stored */
    size_t len;
    unsigned char bytes[];
};

/* On the client's worker: a file that begins now comes behind what is sent here. */
static bool count_client(struct weir_conn *conn, void *user)
{
    struct shout *shout = user;
    const struct desk_host *host = shout->desk->host;
    const uint64_t id = weir_conn_id(conn);

    if (!host->find(conn)) return false; /* it could not be opened for want of memory */
    atomic_fetch_add(&shout->clients, 1);
    if (desk_file_is_between(shout->desk->file, id))
        atomic_store(&shout->busy, id);
    else if (!host->has_room(conn))
        atomic_store(&shout->is_behind, true);
    else
        return true;
    return false;
}

static void on_sent_to_one(struct weir_conn *conn, void *user)
{
    const struct shout *shout = user;

    shout->desk->host->on_sent(conn, (struct weir_bytes){ shout->bytes, shout->len });
}

/* On the worker that is done last. */
static void on_shouted(uint64_t sent, void *user)
{
    struct shout *shout = user;
    const unsigned long long clients = atomic_load(&shout->clients);
    const unsigned long long busy = atomic_load(&shout->busy);
    char count[COUNT_TEXT_BYTES_MAX];
    char note[COUNT_TEXT_BYTES_MAX + 100];

    count_text(clients, "client", count);
    if (sent == clients)
        snprintf(note, sizeof(note), "(%s)", count);
    else if (busy)
        snprintf(note, sizeof(note), "(%llu of %s; #%llu is in the middle of a file)", (unsigned long long)sent, count,
                 busy);
    else if (atomic_load(&shout->is_behind))
        snprintf(note, sizeof(note), "(%llu of %s; too much waits to be stored already)", (unsigned long long)sent,
                 count);
    else
        snprintf(note, sizeof(note), "(%llu of %s)", (unsigned long long)sent, count);
    if (clients)
        show_typed(shout->desk->show, 0, (struct weir_bytes){ shout->bytes, shout->len }, note);
    else
        desk_tell_unsent(shout->desk, 0, -ENOENT);
    free(shout);
}

static void do_all(const struct typed_line *typed)
{
    const struct weir_bytes message = { typed->command->bytes, typed->command->len };
    struct shout *shout = calloc(1, sizeof(*shout) + message.len);
    const struct weir_filter filter =
        WEIR_FILTER(.match = count_client, .done = on_shouted, .user = shout, .sent = on_sent_to_one);
    int err = -ENOMEM;

    if (shout) {
        shout->desk = typed->desk;
        shout->len = message.len;
        memcpy(shout->bytes, message.data, message.len);
        err = weir_broadcast(typed->desk->weir, &filter, message);
    }
    if (!err) return;
    free(shout);
    if (err == -EAGAIN)
        desk_tell(typed->desk, "too much waits for the server's threads already; nothing was sent");
    else
        desk_tell(typed->desk, "%s; nothing was sent", weir_strerror(err));
}

/* ---- Other commands ---- */

static void do_target(const struct typed_line *typed)
{
    const uint64_t client = typed->command->client;

    if (!desk_choose(typed->desk, client))
        desk_tell(typed->desk, "#%llu is not connected; /list shows who is", (unsigned long long)client);
}

static void do_list(const struct typed_line *typed)
{
    desk_list(typed->desk);
}

struct kick {
    struct desk *desk;
    uint64_t id;
};

static void kick(struct weir_conn *conn, void *arg)
{
    struct kick *who = arg;

    if (conn)
        weir_conn_abort(conn, WEIR_REASON_KICKED);
    else
        desk_tell(who->desk, "#%llu is not connected; /list shows who is", (unsigned long long)who->id);
    free(who);
}

static void do_kick(const struct typed_line *typed)
{
    const uint64_t id = typed->command->client ? typed->command->client : typed->target;
    struct kick *who = malloc(sizeof(*who));
    int err = -ENOMEM;

    if (!id) {
        desk_tell(typed->desk, "nobody is connected");
        free(who);
        return;
    }
    if (who) {
        *who = (struct kick){ .desk = typed->desk, .id = id };
        err = weir_post_conn(typed->desk->weir, id, kick, who);
    }
    if (!err) return;
    free(who);
    desk_tell(typed->desk, "#%llu: %s; it was not closed", (unsigned long long)id, weir_strerror(err));
}

static void do_show(const struct typed_line *typed)
{
    desk_last_show(typed->desk);
}

static void do_help(const struct typed_line *typed)
{
    struct line line = { 0 };

    command_add_help(&line, AT_SERVE);
    if (!line.failed) printer_add(typed->desk->lines, line.bytes, line.len);
    line_fini(&line);
}

static void (*const doers[])(const struct typed_line *typed) = {
    [DO_SEND] = do_send,     [DO_FILE] = do_file, [DO_REPEAT] = do_repeat, [DO_REPEAT_OFF] = do_repeat_off,
    [DO_TARGET] = do_target, [DO_ALL] = do_all,   [DO_LIST] = do_list,     [DO_KICK] = do_kick,
    [DO_SHOW] = do_show,     [DO_HELP] = do_help,
};

void desk_on_line(const char *text, uint64_t tag, void *user)
{
    struct desk *desk = user;
    struct command_line command;
    struct typed_line typed = { .desk = desk, .target = tag, .text = text, .command = &command };
    char error[COMMAND_ERROR_BYTES_MAX];

    if (command_parse(text, AT_SERVE, show_encoding(desk->show), &command, error)) {
        show_line(&typed);
        desk_tell(desk, "%s", error);
        return;
    }
    if (command.kind != DO_SEND && command.kind != DO_ALL) show_line(&typed);
    doers[command.kind](&typed);
    command_fini(&command);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app/client/typist.c: lines are typed on the editor's thread, and done on the connection's worker, one after the
 * other. Must never send a part of a line, nor anything between the parts of a file, and never drop what cannot be sent
 * without saying so. */
#include "typist.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/sending.h"
#include "terminal/command.h"
#include "terminal/utf8.h"

enum { LAST_KEYS_MS = 300 };

/* The same thing, again and again. */
struct repeat {
    struct weir_timer *timer; /* NULL: nothing is repeated */
    struct line message;
    long long count;
    long long sent;
};

struct typist {
    struct typist_config config;
    struct weir *weir;
    uint64_t conn_id;
    struct editor *editor;

    /* Of the connection's worker. */
    struct weir_conn *conn; /* NULL: it is gone */
    struct repeat repeat;
    struct sending *file; /* NULL: none is on its way */
    bool has_ended;       /* nothing more will be typed */
    int end_error;
};

/* ---- What is said ---- */

void typist_say(struct typist *typist, const char *format, ...)
{
    char text[600];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    utf8_make_printable(text);
    editor_begin_output(typist->editor);
    fprintf(stderr, "%s\n", text);
    editor_end_output(typist->editor);
}

static void say_unsent(struct typist *typist, int err)
{
    if (err == WEIR_ECLOSING) return; /* the end will say why */
    if (err == -ENOBUFS)
        typist_say(typist, "the server takes too little of what waits for it already; nothing was sent");
    else if (err == -EMSGSIZE)
        typist_say(typist, "too long for one message of this framing; nothing was sent");
    else if (err == -EINVAL)
        typist_say(typist, "this framing cannot carry these bytes; nothing was sent");
    else
        typist_say(typist, "%s; nothing was sent", weir_strerror(err));
}

/* ---- Lines, and what is repeated ---- */

/* What a line says, as it is sent. */
static void add_message(const struct typist *typist, const struct command_line *command, struct line *ret)
{
    line_add(ret, command->bytes, command->len);
    if (command->is_text) line_add_text(ret, typist->config.line_end);
}

static int send_message(struct typist *typist, const struct line *message)
{
    if (message->failed) return -ENOMEM;
    return weir_conn_send(typist->conn, (struct weir_bytes){ (const unsigned char *)message->bytes, message->len });
}

static void do_send(struct typist *typist, const struct command_line *command)
{
    struct line message = { 0 };
    int result = 0;

    add_message(typist, command, &message);
    result = send_message(typist, &message);
    if (result < 0) say_unsent(typist, result);
    line_fini(&message);
}

static void end_repeat(struct typist *typist, const char *why)
{
    struct repeat *const repeat = &typist->repeat;

    if (!repeat->timer) return;
    if (why) typist_say(typist, "%s: %lld of %lld sent", why, repeat->sent, repeat->count);
    weir_timer_stop(repeat->timer);
    line_fini(&repeat->message);
    *repeat = (struct repeat){ 0 };
}

static void on_repeat(struct weir_timer *timer, void *arg)
{
    struct typist *const typist = arg;
    const int result = send_message(typist, &typist->repeat.message);

    (void)timer;
    if (result < 0) {
        say_unsent(typist, result);
        end_repeat(typist, "no longer repeated");
        return;
    }
    if (++typist->repeat.sent == typist->repeat.count) end_repeat(typist, "repeated");
}

static void do_repeat(struct typist *typist, const struct command_line *command)
{
    struct repeat *const repeat = &typist->repeat;
    int err = 0;

    end_repeat(typist, "no longer repeated");
    repeat->count = command->count;
    add_message(typist, command, &repeat->message);
    err = weir_timer_start(typist->weir, weir_conn_worker(typist->conn), 0, command->interval_ms, on_repeat, typist,
                           &repeat->timer);
    if (!err) return;
    line_fini(&repeat->message);
    say_unsent(typist, err);
}

static void do_repeat_off(struct typist *typist, const struct command_line *command)
{
    (void)command;
    if (!typist->repeat.timer) typist_say(typist, "nothing is being repeated");
    end_repeat(typist, "no longer repeated");
}

/* ---- Files ---- */

static void end_if_all_is_sent(struct typist *typist)
{
    if (typist->has_ended && !typist->file && typist->conn)
        typist->config.on_end(typist->conn, typist->end_error, typist->config.user);
}

static void go_on_with_file(struct typist *typist)
{
    char why[SENDING_TEXT_BYTES_MAX];

    if (!typist->file || !sending_go_on(typist->file, typist->conn, why)) return;
    if (why[0]) typist_say(typist, "%s", why);
    sending_end(typist->file);
    typist->file = NULL;
    end_if_all_is_sent(typist);
}

static void do_file(struct typist *typist, const struct command_line *command)
{
    char why[SENDING_TEXT_BYTES_MAX];

    if (sending_begin(command->name, typist->config.is_framed, &typist->file, why))
        typist_say(typist, "%s", why);
    else
        go_on_with_file(typist);
}

/* ---- Other commands ---- */

static void do_help(struct typist *typist, const struct command_line *command)
{
    struct line line = { 0 };

    (void)command;
    command_add_help(&line, AT_CONNECT);
    editor_begin_output(typist->editor);
    if (!line.failed) fwrite(line.bytes, 1, line.len, stderr);
    editor_end_output(typist->editor);
    line_fini(&line);
}

static void do_quit(struct typist *typist, const struct command_line *command)
{
    (void)command;
    end_repeat(typist, NULL);
    typist->config.on_quit(typist->conn, typist->config.user);
}

/* serve's own commands do not come here. */
static const struct {
    void (*fn)(struct typist *typist, const struct command_line *command);
    bool sends;
} doers[] = {
    [DO_SEND] = { do_send, true },       [DO_FILE] = { do_file, true }, [DO_REPEAT] = { do_repeat, true },
    [DO_REPEAT_OFF] = { do_repeat_off }, [DO_HELP] = { do_help },       [DO_QUIT] = { do_quit },
};

/* ---- From the editor's thread to the worker ---- */

struct typed_line {
    struct typist *typist;
    char text[];
};

static void do_line(struct typist *typist, const char *text)
{
    struct command_line command;
    char error[COMMAND_ERROR_BYTES_MAX];

    if (typist->config.is_hex && !text[0]) return;
    if (command_parse(text, typist->config.is_hex ? AT_CONNECT_IN_HEX : AT_CONNECT, typist->config.encoding, &command,
                      error)) {
        typist_say(typist, "%s", error);
        return;
    }
    if (doers[command.kind].sends && typist->file)
        typist_say(typist, "a file is still on its way; nothing was sent between");
    else
        doers[command.kind].fn(typist, &command);
    command_fini(&command);
}

static void take_line(struct weir_conn *conn, void *arg)
{
    struct typed_line *const line = arg;

    if (conn) do_line(line->typist, line->text);
    free(line);
}

static void on_line(const char *text, uint64_t tag, void *user)
{
    struct typist *const typist = user;
    const size_t size = strlen(text) + 1;
    struct typed_line *const line = malloc(sizeof(*line) + size);
    int err = -ENOMEM;

    (void)tag;
    if (line) {
        line->typist = typist;
        memcpy(line->text, text, size);
        err = weir_post_conn(typist->weir, typist->conn_id, take_line, line);
    }
    if (!err) return;
    free(line);
    typist_say(typist, "%s; nothing was sent", weir_strerror(err));
}

static void take_end(struct weir_conn *conn, void *arg)
{
    struct typist *const typist = arg;

    if (!conn) return;
    end_repeat(typist, "no longer repeated");
    typist->has_ended = true;
    end_if_all_is_sent(typist);
}

static void on_end(int error, void *user)
{
    struct typist *const typist = user;

    typist->end_error = error;
    /* Without memory for this, nobody would ever be told. */
    if (weir_post_conn(typist->weir, typist->conn_id, take_end, typist)) weir_stop(typist->weir, 1);
}

/* ---- Its life ---- */

int typist_start(const struct typist_config *config, struct weir_conn *conn, struct typist **ret)
{
    struct typist *const typist = calloc(1, sizeof(*typist));
    const struct editor_config editor = { .on_line = on_line, .on_end = on_end, .user = typist, .keeps_lines = true };
    int err = 0;

    if (!typist) return -ENOMEM;
    typist->config = *config;
    typist->weir = weir_conn_weir(conn);
    typist->conn_id = weir_conn_id(conn);
    typist->conn = conn;
    err = editor_new(&editor, "> ", 0, &typist->editor);
    if (!err) err = editor_start(typist->editor);
    if (err) {
        typist_free(typist);
        return err;
    }
    *ret = typist;
    return 0;
}

struct editor *typist_editor(const struct typist *typist)
{
    return typist->editor;
}

void typist_writable(struct typist *typist)
{
    if (typist) go_on_with_file(typist);
}

bool typist_close(struct typist *typist)
{
    char why[SENDING_TEXT_BYTES_MAX];
    const bool cuts = typist && typist->file;

    if (!typist) return false;
    end_repeat(typist, "no longer repeated");
    if (cuts) {
        sending_describe_cut(typist->file, why);
        typist_say(typist, "%s", why);
    }
    sending_end(typist->file);
    typist->file = NULL;
    typist->conn = NULL;
    return cuts;
}

void typist_resize(struct typist *typist)
{
    if (typist) editor_resize(typist->editor);
}

bool typist_finish(struct typist *typist)
{
    return !typist || editor_finish(typist->editor, LAST_KEYS_MS);
}

void typist_free(struct typist *typist)
{
    if (!typist) return;
    editor_free(typist->editor);
    free(typist);
}

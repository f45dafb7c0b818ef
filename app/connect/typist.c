/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Lines are typed on the editor's thread, and done on the connection's worker, one after the
 * other. Must never send a part of a line, nor anything between the parts of a file, and never drop what cannot be sent
 * without saying so. */
#include "typist.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/utf8.h"
#include "typing/command.h"
#include "typing/sent_file.h"

enum {
    LAST_KEYS_MS = 300,
    FILE_NAME_BYTES = 201, /* of a name as it is shown */
    FILE_MESSAGE_BYTES_MAX = 1024 * 1024
};

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
    struct sent_file *file; /* NULL: none is on its way */
    char file_name[FILE_NAME_BYTES];
    uint64_t file_sent;
    bool has_ended; /* nothing more will be typed */
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
    struct repeat *repeat = &typist->repeat;

    if (!repeat->timer) return;
    if (why) typist_say(typist, "%s: %lld of %lld sent", why, repeat->sent, repeat->count);
    weir_timer_stop(repeat->timer);
    line_fini(&repeat->message);
    *repeat = (struct repeat){ 0 };
}

static void on_repeat(struct weir_timer *timer, void *arg)
{
    struct typist *typist = arg;
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
    struct repeat *repeat = &typist->repeat;
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

static void say_no_file(struct typist *typist, const char *reason)
{
    typist_say(typist, "/file %s: %s; nothing was sent", typist->file_name, reason);
}

static void end_file(struct typist *typist)
{
    sent_file_free(typist->file);
    typist->file = NULL;
}

/* Says what came of it. */
static void say_file(struct typist *typist, int err)
{
    char count[COUNT_TEXT_BYTES_MAX];

    count_text(typist->file_sent, "byte", count);
    if (err == WEIR_ECLOSING) return; /* the end of the connection says why */
    if (err && typist->file_sent)
        typist_say(typist, "/file %s: %s; %s of it were sent", typist->file_name, weir_strerror(err), count);
    else if (err)
        say_no_file(typist, err == -EMSGSIZE ? "too long for one message" : weir_strerror(err));
    else if (!typist->file_sent)
        say_no_file(typist, "it is empty");
    else
        typist_say(typist, "%s of %s sent", count, typist->file_name);
}

/* Sends until the connection has enough, and returns 1: on_writable is the time to go on. Returns 0 once all is sent,
 * or a negative code. */
static int send_file(struct typist *typist)
{
    struct sent_file *file = typist->file;
    ssize_t len = 0;

    while ((len = sent_file_read(file)) > 0) {
        const int result = weir_conn_send(typist->conn, (struct weir_bytes){ file->bytes, file->len });
        if (result < 0) return result;
        typist->file_sent += file->len;
        if (file->message_bytes_max) return 0;
        if (result > 0) return 1;
    }
    return (int)len;
}

static void go_on_with_file(struct typist *typist)
{
    const int result = typist->file ? send_file(typist) : 1;

    if (result > 0) return;
    say_file(typist, result);
    end_file(typist);
    end_if_all_is_sent(typist);
}

static void do_file(struct typist *typist, const struct command_line *command)
{
    const char *reason = NULL;

    snprintf(typist->file_name, sizeof(typist->file_name), "%s", command->name);
    typist->file_sent = 0;
    if (sent_file_open(command->name, typist->config.is_framed ? FILE_MESSAGE_BYTES_MAX : 0, &typist->file, &reason))
        say_no_file(typist, reason);
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
    struct typed_line *line = arg;

    if (conn) do_line(line->typist, line->text);
    free(line);
}

static void on_line(const char *text, uint64_t tag, void *user)
{
    struct typist *typist = user;
    const size_t size = strlen(text) + 1;
    struct typed_line *line = malloc(sizeof(*line) + size);
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
    struct typist *typist = arg;

    if (!conn) return;
    end_repeat(typist, "no longer repeated");
    typist->has_ended = true;
    end_if_all_is_sent(typist);
}

static void on_end(int error, void *user)
{
    struct typist *typist = user;

    typist->end_error = error;
    /* Without memory for this, nobody would ever be told. */
    if (weir_post_conn(typist->weir, typist->conn_id, take_end, typist)) weir_stop(typist->weir, 1);
}

/* ---- Its life ---- */

int typist_start(const struct typist_config *config, struct weir_conn *conn, struct typist **ret)
{
    struct typist *typist = calloc(1, sizeof(*typist));
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
    const bool cuts = typist && typist->file;
    char count[COUNT_TEXT_BYTES_MAX];

    if (!typist) return false;
    end_repeat(typist, "no longer repeated");
    if (cuts) {
        count_text(typist->file_sent, "byte", count);
        typist_say(typist, "/file %s: the connection has ended; %s of it were on the way at most", typist->file_name,
                   count);
    }
    end_file(typist);
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

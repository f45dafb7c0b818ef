/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app/client/connect.c: one connection outward: standard input to it, its answers to standard output. On a terminal
 * answers go through the renderer, elsewhere they leave byte for byte and nothing else does. Everything but the reading
 * of standard input runs on the engine's one worker. Must never hold more input than one chunk: while the server does
 * not read, neither does the client.
 *
 * Writing to standard output may wait, and the connection then waits with it: that is what a pipe is for. SIGINT and
 * SIGPIPE keep their default: they end the client at once, whatever it waits for. */
#include "connect.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/input.h"
#include "client/typed.h"
#include "client/verdict.h"
#include "terminal/render.h"
#include "terminal/terminal.h"

struct session {
    const char *url_text;
    struct weir_url url;
    struct weir *weir;

    /* Input. */
    struct input *input;
    struct typed typed;
    struct weir_bytes rest; /* of the chunk in hand: not sent yet */
    bool blocked;           /* the connection has enough; on_writable goes on */
    bool input_ended;

    /* Output. */
    bool by_message; /* --frame was given: what is shown are messages, not whatever a read returned */
    bool out_is_terminal;
    bool is_interactive; /* somebody types, and sees the answers: there is a prompt */
    bool prompt_is_shown;
    const char *clear_line; /* what takes the prompt off the screen */
    struct render_style style;
    struct line out;

    /* The end. */
    bool failed;       /* a sentence has been said, and the connection is on its way out */
    bool is_cut_short; /* not all that was read could be sent */
    enum status status;
    char sentence[VERDICT_BYTES_MAX]; /* that goes with it; empty for an ordinary end */
};

/* ---- Output ---- */

static int write_all(const char *bytes, size_t len)
{
    while (len) {
        const ssize_t written = write(STDOUT_FILENO, bytes, len);
        if (written >= 0) {
            bytes += written;
            len -= (size_t)written;
        } else if (errno == EAGAIN) { /* another program has made the terminal non-blocking */
            struct pollfd room = { .fd = STDOUT_FILENO, .events = POLLOUT };
            poll(&room, 1, -1);
        } else if (errno != EINTR) {
            return -errno;
        }
    }
    return 0;
}

/* Says why and gives the connection up. */
static void __attribute__((format(printf, 3, 4)))
fail(struct session *session, struct weir_conn *conn, const char *format, ...)
{
    va_list arguments;

    if (session->failed) return;
    session->failed = true;
    session->status = STATUS_FAILED;
    if (session->prompt_is_shown) fputs(session->clear_line, stderr);
    fputs("weir: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    weir_conn_abort(conn, WEIR_REASON_KICKED);
}

/* Writes what has been gathered in session->out. */
static void flush_out(struct session *session, struct weir_conn *conn)
{
    int err = session->out.failed ? -ENOMEM : 0;

    if (!err) err = write_all(session->out.bytes, session->out.len);
    line_clear(&session->out);
    if (err) fail(session, conn, "standard output: %s", weir_strerror(err));
}

static void add_prompt(struct session *session)
{
    session->prompt_is_shown = session->is_interactive && !session->input_ended;
    if (session->prompt_is_shown) line_add_text(&session->out, "> ");
}

static void remove_prompt(struct session *session)
{
    if (session->prompt_is_shown) line_add_text(&session->out, session->clear_line);
    session->prompt_is_shown = false;
}

/* Text that came unframed is shown by its own lines; a last one without a newline is shown too, as it may be a question
 * that waits for an answer. */
static void add_text_lines(struct session *session, struct weir_bytes bytes)
{
    struct render_style style = session->style;

    style.form = RENDER_TEXT;
    while (bytes.len) {
        const unsigned char *const newline = memchr(bytes.data, '\n', bytes.len);
        const size_t len = newline ? (size_t)(newline - bytes.data) : bytes.len;
        struct weir_bytes text = { bytes.data, len };
        if (newline && text.len && text.data[text.len - 1] == '\r') text.len--;
        render_bytes(&session->out, &style, text, 0);
        line_add_text(&session->out, "\n");
        bytes.data += len + (newline != NULL);
        bytes.len -= len + (newline != NULL);
    }
}

static void show_answer(struct session *session, struct weir_bytes message)
{
    remove_prompt(session);
    if (!session->by_message && render_is_text(session->style.encoding, message)) {
        add_text_lines(session, message);
    } else {
        render_bytes(&session->out, &session->style, message, 0);
        line_add_text(&session->out, "\n");
    }
    add_prompt(session);
}

/* ---- Input ---- */

static void send_failed(struct session *session, struct weir_conn *conn, int err)
{
    session->is_cut_short = true;
    if (err == WEIR_ECLOSING) return; /* on_close says why */
    if (err == -EMSGSIZE)
        fail(session, conn, "standard input: a line is too long for one message");
    else
        fail(session, conn, "cannot send: %s", weir_strerror(err));
}

static void end_input(struct session *session, struct weir_conn *conn)
{
    session->input_ended = true;
    if (session->is_interactive) {
        session->prompt_is_shown = false;
        line_add_text(&session->out, "\n");
        flush_out(session, conn);
    }
    weir_conn_end(conn);
}

/* Sends what is left of the chunk in hand, until the connection has enough, and then asks for the next chunk. */
static void send_rest(struct session *session, struct weir_conn *conn)
{
    struct weir_bytes message;
    int result = 0;

    while (!session->blocked && (result = typed_take(&session->typed, &session->rest, &message)) > 0) {
        result = weir_conn_send(conn, message);
        if (result < 0) break;
        session->blocked = result > 0;
    }
    if (result < 0) {
        send_failed(session, conn, result);
        return;
    }
    if (session->blocked || session->failed) return;
    if (session->is_interactive) {
        add_prompt(session);
        flush_out(session, conn);
    }
    input_next(session->input);
}

static void on_input(struct weir_conn *conn, struct weir_bytes bytes, int error, void *user)
{
    struct session *const session = user;
    struct weir_bytes message;
    int result = 0;

    if (!conn) {
        session->is_cut_short |= bytes.len > 0;
        return;
    }
    if (error) {
        fail(session, conn, "standard input: %s", weir_strerror(error));
        return;
    }
    session->rest = bytes;
    if (bytes.len) {
        session->prompt_is_shown = false; /* what was typed has ended its line */
        send_rest(session, conn);
        return;
    }
    result = typed_take_rest(&session->typed, &message);
    if (result > 0) result = weir_conn_send(conn, message);
    if (result < 0)
        send_failed(session, conn, result);
    else
        end_input(session, conn);
}

/* ---- The connection ---- */

static void on_open(struct weir_conn *conn, void *user)
{
    struct session *const session = user;
    char peer[WEIR_ADDRESS_BYTES_MAX];
    int err = 0;

    if (isatty(STDERR_FILENO)) {
        if (session->url.kind == WEIR_URL_UNIX)
            fprintf(stderr, "connected to unix:%s\n", session->url.path);
        else
            fprintf(stderr, "connected to tcp://%s\n", weir_conn_peer(conn, peer));
    }
    add_prompt(session);
    flush_out(session, conn);
    err = input_start(STDIN_FILENO, session->weir, weir_conn_id(conn), on_input, session, &session->input);
    if (err) fail(session, conn, "standard input: %s", weir_strerror(err));
}

static void on_message(struct weir_conn *conn, struct weir_bytes message, void *user)
{
    struct session *const session = user;
    int err = 0;

    if (session->failed) return;
    if (session->out_is_terminal) {
        show_answer(session, message);
        flush_out(session, conn);
        return;
    }
    err = write_all((const char *)message.data, message.len);
    if (err) fail(session, conn, "standard output: %s", weir_strerror(err));
}

static void on_writable(struct weir_conn *conn, void *user)
{
    struct session *const session = user;

    if (!session->blocked) return;
    session->blocked = false;
    send_rest(session, conn);
}

static void on_close(struct weir_conn *conn, enum weir_reason reason, void *user)
{
    struct session *const session = user;
    struct weir_conn_counters counters;

    weir_stop(session->weir, 0);
    weir_conn_counters(conn, &counters);
    session->is_cut_short |= session->blocked || counters.output_bytes;
    if (session->failed) return;
    session->status = verdict(reason, weir_conn_error(conn), &session->url, session->sentence);
}

/* ---- From start to end ---- */

/* Answers that go to a file or a pipe stay as the server sent them, so only what is sent is framed then; and a framing
 * that cannot be reversed frames only what is received. */
static void choose_framing(struct session *session, const char *spec, struct weir_service *service)
{
    struct weir_frame *frame = NULL;

    session->by_message = spec != NULL;
    if (!spec || weir_frame_new(spec, &frame, NULL, 0)) return;
    service->frame = session->out_is_terminal ? spec : "raw";
    service->send_frame = weir_frame_is_reversible(frame) ? spec : "raw";
    session->typed.form = TYPED_LINES;
    weir_frame_free(frame);
}

static void prepare(struct session *session, const struct options *options, struct weir_service *service)
{
    session->out_is_terminal = isatty(STDOUT_FILENO);
    session->is_interactive = session->out_is_terminal && isatty(STDIN_FILENO);
    session->clear_line = terminal_is_capable(STDOUT_FILENO) ? "\r\033[K" : "\n";
    session->style.utf8 = terminal_has_utf8();
    session->typed.form = options->crlf ? TYPED_CRLF : TYPED_BYTES;
    choose_framing(session, service->frame, service);
    service->on_open = on_open;
    service->on_message = on_message;
    service->on_writable = on_writable;
    service->on_close = on_close;
    service->user = session;
    /* A person, or a pipe, has all the time in the world. */
    service->write_timeout_ms = WEIR_OFF;
    service->frame_timeout_ms = WEIR_OFF;
}

/* Says how it ended, once nothing can change it any more. */
static enum status say_end(struct session *session)
{
    char target[TARGET_BYTES_MAX];

    if (session->failed) return session->status;
    verdict_target(&session->url, target);
    if (session->prompt_is_shown) fputs(session->clear_line, stderr);
    if (session->sentence[0]) {
        fprintf(stderr, "weir: %s\n", session->sentence);
    } else if (session->is_cut_short) {
        fprintf(stderr, "weir: %s closed the connection before it had taken all that was sent\n", target);
        session->status = STATUS_FAILED;
    } else if (isatty(STDERR_FILENO)) {
        fprintf(stderr, "%s closed the connection\n", target);
    }
    return session->status;
}

static enum status run(struct session *session, const struct weir_service *service)
{
    int err = weir_new(NULL, &session->weir);

    if (err) return status_error(COMMAND_CONNECT, err, weir_error_text(NULL));
    err = weir_dial(session->weir, session->url_text, service, NULL, NULL);
    if (err) {
        const enum status status = status_error(COMMAND_CONNECT, err, weir_error_text(session->weir));
        return err == WEIR_ERESOLVE ? STATUS_NO_ROUTE : status;
    }
    err = weir_run(session->weir);
    input_stop(session->input);
    session->is_cut_short |= !session->is_interactive && input_is_left(session->input);
    if (!err || session->failed || session->status != STATUS_DONE) return STATUS_DONE;
    return status_error(COMMAND_CONNECT, err, weir_error_text(session->weir));
}

enum status connect_run(const struct options *options)
{
    struct session session = { .status = STATUS_DONE };
    struct weir_service service;
    enum status status = STATUS_DONE;

    if (!options->endpoint_count) return status_usage(COMMAND_CONNECT, "connect where? As in: weir connect 8000");
    service = options->endpoints[0].service;
    if (options->crlf && service.frame)
        return status_usage(COMMAND_CONNECT, "-C and --frame exclude each other; write: --frame line:crlf");
    session.url_text = options->endpoints[0].url;
    weir_url_parse(session.url_text, &session.url, NULL, 0);
    if (session.url.kind == WEIR_URL_TCP && !session.url.port)
        return status_usage(COMMAND_CONNECT, "connect to which port? 0 is only for listening, and takes a free one");
    prepare(&session, options, &service);
    status = run(&session, &service);
    weir_free(session.weir);
    if (status == STATUS_DONE) status = say_end(&session);
    input_free(session.input);
    typed_fini(&session.typed);
    line_fini(&session.out);
    return status;
}

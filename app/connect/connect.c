/* SPDX-License-Identifier: BSD-3-Clause
 *
 * One connection outward: what is typed or piped in goes to it, its answers to standard output,
 * and what there is to say of either to standard error. Everything but the reading of standard input runs on the
 * engine's one worker. Must never hold more piped input than one chunk: while the server does not read, neither does
 * the client. Must never take the end of the server's side for the end of ours: piped input is sent on.
 *
 * Writing to standard output may wait, and the connection then waits with it: that is what a pipe is for. SIGINT and
 * SIGPIPE end the client at once, whatever it waits for. */
#include "connect.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "answers.h"
#include "dial/verdict.h"
#include "input.h"
#include "silence.h"
#include "terminal/tty.h"
#include "text/encoding.h"
#include "typed.h"
#include "typist.h"

struct session {
    const struct options *options;
    const char *url_text;
    struct weir_url url;
    struct weir *weir;
    struct weir_conn *conn; /* NULL: not there yet, or no longer */
    struct encoding *encoding;
    struct silence silence;
    struct event *resize_event;

    /* Somebody types, and sees the answers. */
    bool is_interactive;
    struct typist *typist;

    /* Else input is piped. */
    struct input *input;
    struct typed typed;
    struct weir_bytes rest; /* of the chunk in hand: not sent yet */
    bool blocked;           /* the connection has enough; on_writable goes on */

    struct answers answers;

    /* The end. */
    bool failed;       /* a sentence has been said, and the connection is on its way out */
    bool has_quit;     /* we were told to end */
    bool is_cut_short; /* not all that was read could be sent */
    bool has_all_sent; /* the input has ended, and our side with it */
    enum status status;
    char sentence[VERDICT_BYTES_MAX]; /* that goes with it; empty for an ordinary end */
};

/* ---- The end before the connection's ---- */

/* Says why and gives the connection up, or the attempt at one. */
static void __attribute__((format(printf, 3, 4)))
fail_with(struct session *session, enum status status, const char *format, ...)
{
    char text[VERDICT_BYTES_MAX];
    va_list arguments;

    if (session->failed) return;
    session->failed = true;
    session->status = status;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (session->typist)
        typist_say(session->typist, "weir: %s", text);
    else
        status_say_error(text);
    if (session->conn)
        weir_conn_abort(session->conn, WEIR_REASON_KICKED);
    else
        weir_stop(session->weir, 1);
}

#define fail(session, ...) fail_with(session, STATUS_FAILED, __VA_ARGS__)

static void on_silence(void *user)
{
    struct session *session = user;
    const long long limit_ms = session->options->silence_ms;
    char target[TARGET_BYTES_MAX];
    char sentence[VERDICT_BYTES_MAX];

    if (!session->conn) {
        verdict(WEIR_REASON_CONNECT_TIMEOUT, 0, &session->url, sentence);
        fail_with(session, STATUS_TIMED_OUT, "%s", sentence);
        return;
    }
    verdict_target(&session->url, target);
    fail_with(session, STATUS_TIMED_OUT, "timed out: nothing has come from %s for %lld%s", target,
              limit_ms % 1000 ? limit_ms : limit_ms / 1000, limit_ms % 1000 ? "ms" : "s");
}

/* ---- Answers ---- */

static void show_answer(struct session *session, struct weir_bytes message)
{
    const int err = answers_take(&session->answers, message);

    if (err) fail(session, "standard output: %s", weir_strerror(err));
    silence_break(&session->silence);
}

static void flush_answers(struct session *session)
{
    const int err = answers_flush(&session->answers);

    if (err) fail(session, "standard output: %s", weir_strerror(err));
}

/* Whatever a turn brought is written together. */
static void on_turn(struct weir *weir, unsigned worker, void *user)
{
    (void)weir;
    (void)worker;
    flush_answers(user);
}

/* ---- Piped input ---- */

static void send_failed(struct session *session, int err)
{
    session->is_cut_short = true;
    if (err == WEIR_ECLOSING) return; /* on_close says why */
    if (err == -EMSGSIZE)
        fail(session, "standard input: a line is too long for one message");
    else if (err == -EBADMSG)
        fail(session, "standard input, line %llu: not hexadecimal; as in: 01 03 ff",
             (unsigned long long)session->typed.lines);
    else
        fail(session, "cannot send: %s", weir_strerror(err));
}

/* Sends what is left of the chunk in hand, until the connection has enough, and then asks for the next chunk. */
static void send_rest(struct session *session)
{
    struct weir_bytes message;
    int result = 0;

    while (!session->blocked && (result = typed_take(&session->typed, &session->rest, &message)) > 0) {
        result = weir_conn_send(session->conn, message);
        if (result < 0) break;
        session->blocked = result > 0;
    }
    if (result < 0)
        send_failed(session, result);
    else if (!session->blocked && !session->failed)
        input_next(session->input);
}

static void on_input(struct weir_conn *conn, struct weir_bytes bytes, int error, void *user)
{
    struct session *session = user;
    struct weir_bytes message;
    int result = 0;

    if (!conn) {
        session->is_cut_short |= bytes.len > 0;
        return;
    }
    if (error) {
        fail(session, "standard input: %s", weir_strerror(error));
        return;
    }
    session->rest = bytes;
    if (bytes.len) {
        send_rest(session);
        return;
    }
    result = typed_take_rest(&session->typed, &message);
    if (result > 0) result = weir_conn_send(conn, message);
    if (result < 0) {
        send_failed(session, result);
        return;
    }
    session->has_all_sent = true;
    weir_conn_end(conn);
}

/* ---- Typed input ---- */

static void on_typed_end(struct weir_conn *conn, int error, void *user)
{
    if (error)
        fail((struct session *)user, "standard input: %s", weir_strerror(error));
    else
        weir_conn_end(conn);
}

static void on_quit(struct weir_conn *conn, void *user)
{
    struct session *session = user;

    session->has_quit = true;
    weir_conn_close(conn);
}

static int start_typist(struct session *session, struct weir_conn *conn)
{
    const struct typist_config config = { .encoding = session->encoding,
                                          .line_end = session->typed.form == TYPED_LINES ? ""
                                                      : session->options->crlf           ? "\r\n"
                                                                                         : "\n",
                                          .is_framed = session->typed.form == TYPED_LINES,
                                          .is_hex = session->options->hex,
                                          .on_end = on_typed_end,
                                          .on_quit = on_quit,
                                          .user = session };
    const int err = typist_start(&config, conn, &session->typist);

    if (!err) session->answers.editor = typist_editor(session->typist);
    return err;
}

static void on_resize(int number, short what, void *user)
{
    struct session *session = user;

    (void)number;
    (void)what;
    typist_resize(session->typist);
}

/* ---- The connection ---- */

static void on_open(struct weir_conn *conn, void *user)
{
    struct session *session = user;
    char peer[WEIR_ADDRESS_BYTES_MAX];
    char text[VERDICT_BYTES_MAX];
    int err = 0;

    session->conn = conn;
    silence_set_conn(&session->silence, conn);
    if (isatty(STDERR_FILENO)) {
        if (session->url.kind == WEIR_URL_UNIX)
            snprintf(text, sizeof(text), "connected to unix:%s", session->url.path);
        else
            snprintf(text, sizeof(text), "connected to tcp://%s", weir_conn_peer(conn, peer));
        status_say(text);
    }
    err = session->is_interactive
              ? start_typist(session, conn)
              : input_start(STDIN_FILENO, session->weir, weir_conn_id(conn), on_input, session, &session->input);
    if (err) fail(session, "standard input: %s", weir_strerror(err));
}

static void on_message(struct weir_conn *conn, struct weir_bytes message, void *user)
{
    struct session *session = user;

    (void)conn;
    if (!session->failed) show_answer(session, message);
}

static void on_writable(struct weir_conn *conn, void *user)
{
    struct session *session = user;

    (void)conn;
    typist_writable(session->typist);
    if (!session->blocked) return;
    session->blocked = false;
    send_rest(session);
}

/* Part of a message is never shown: that there was one is not to be missed. */
static enum status say_left_over(struct session *session, uint64_t left_bytes)
{
    char target[TARGET_BYTES_MAX];
    char count[COUNT_TEXT_BYTES_MAX];

    verdict_target(&session->url, target);
    count_text(left_bytes, "byte", count);
    snprintf(session->sentence, sizeof(session->sentence), "%s ended inside a message: %s %s left over", target, count,
             left_bytes == 1 ? "was" : "were");
    return STATUS_FAILED;
}

/* The reader of a pipe learns that no more will come, as it may be what feeds us. */
static void close_output(struct session *session)
{
    const int nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);
    const bool is_closed = nothing >= 0 && dup2(nothing, STDOUT_FILENO) >= 0;
    const int err = is_closed ? 0 : -errno;

    if (nothing >= 0) close(nothing);
    if (err) fail(session, "standard output: %s", weir_strerror(err));
}

static void end_answers(struct session *session)
{
    if (answers_end(&session->answers)) fail(session, "standard output: %s", weir_strerror(-ENOMEM));
    flush_answers(session);
}

/* The server has nothing more to say, and may still take what we have to send. */
static void on_end(struct weir_conn *conn, void *user)
{
    struct session *session = user;

    (void)conn;
    end_answers(session);
    close_output(session);
}

static void on_close(struct weir_conn *conn, enum weir_reason reason, void *user)
{
    struct session *session = user;
    struct weir_conn_counters counters;

    session->conn = NULL;
    silence_end(&session->silence);
    session->is_cut_short |= typist_close(session->typist);
    end_answers(session);
    weir_stop(session->weir, 0);
    weir_conn_counters(conn, &counters);
    session->is_cut_short |= session->blocked || counters.output_bytes;
    if (session->failed) return;
    if (reason == WEIR_REASON_PEER_CLOSED && !isatty(STDIN_FILENO) && (session->is_cut_short || !session->has_all_sent))
        reason = WEIR_REASON_RESET; /* there is nobody any more who could take the rest: TCP says so by a reset */
    session->status = verdict(reason, weir_conn_error(conn), &session->url, session->sentence);
    if (reason == WEIR_REASON_PEER_CLOSED && answers_are_rendered(&session->answers) && counters.input_bytes)
        session->status = say_left_over(session, counters.input_bytes);
}

/* ---- From start to end ---- */

/* Answers that leave as the server sent them are not framed, only what is sent is then; and a framing that cannot be
 * sent in frames only what is received. */
static void choose_framing(struct session *session, struct weir_service *service)
{
    const char *spec = service->frame;
    const char *send_spec =
        service->send_frame && strcmp(service->send_frame, "same") != 0 ? service->send_frame : spec;
    struct weir_frame *frame = NULL;

    session->answers.by_message = spec != NULL;
    if (!send_spec || weir_frame_new(send_spec, &frame, NULL, 0)) return;
    if (!answers_are_rendered(&session->answers)) service->frame = "raw";
    service->send_frame = weir_frame_is_sendable(frame) ? send_spec : "raw";
    session->typed.form = TYPED_LINES;
    weir_frame_free(frame);
}

static void prepare(struct session *session, struct weir_service *service)
{
    const struct options *options = session->options;

    answers_init(&session->answers, (enum answer_mode)options->answers, session->encoding);
    session->is_interactive = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && tty_is_ours() >= 0;
    session->typed.form = options->crlf ? TYPED_CRLF : TYPED_BYTES;
    choose_framing(session, service);
    if (options->hex && !session->is_interactive) session->typed.form = TYPED_HEX;
    service->on_open = on_open;
    service->on_message = on_message;
    service->on_writable = on_writable;
    /* On a terminal the server's end ends the session: a person would otherwise type to nobody. */
    if (!isatty(STDIN_FILENO)) service->on_end = on_end;
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
    char text[VERDICT_BYTES_MAX];

    if (session->failed) return session->status;
    verdict_target(&session->url, target);
    if (session->sentence[0]) {
        status_say_error(session->sentence);
    } else if (session->is_cut_short) {
        snprintf(text, sizeof(text), "%s closed the connection before it had taken all that was sent", target);
        status_say_error(text);
        session->status = STATUS_FAILED;
    } else if (isatty(STDERR_FILENO)) {
        snprintf(text, sizeof(text), session->has_quit ? "the connection to %s is closed" : "%s closed the connection",
                 target);
        status_say(text);
    }
    return session->status;
}

/* What has to be there before the engine runs. Returns 0 or a negative code. */
static int start_events(struct session *session)
{
    const int64_t silence_ms = session->options->silence_ms;
    int err = silence_ms > 0 ? silence_start(&session->silence, session->weir, silence_ms, on_silence, session) : 0;

    if (err || !session->is_interactive) return err;
    session->resize_event = evsignal_new(weir_worker_base(session->weir, 0), SIGWINCH, on_resize, session);
    return session->resize_event && !event_add(session->resize_event, NULL) ? 0 : -ENOMEM;
}

static enum status run(struct session *session, const struct weir_service *service)
{
    const struct weir_config config = WEIR_CONFIG(.on_turn = on_turn, .user = session);
    int err = weir_new(&config, &session->weir);

    if (err) return status_error(COMMAND_CONNECT, err, weir_error_text(NULL));
    err = start_events(session);
    if (err) return status_error(COMMAND_CONNECT, err, weir_strerror(err));
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

static enum status fail_usage(const char *sentence)
{
    return status_usage(COMMAND_CONNECT, sentence);
}

/* What the options ask for together, or that they cannot be together. */
static enum status check(struct session *session)
{
    const struct options *options = session->options;
    const struct weir_service *service = &options->endpoints[0].service;

    if (options->crlf && (service->frame || service->send_frame))
        return fail_usage("-C and --frame exclude each other; write: --frame line:crlf");
    if (options->crlf && options->hex)
        return fail_usage("-C and --hex exclude each other; write 0d 0a behind the bytes");
    if (options->answers == ANSWER_RAW && isatty(STDOUT_FILENO))
        return fail_usage("--print raw would let the server steer this terminal; send it through a pipe: | cat -v");
    if (session->url.kind == WEIR_URL_TCP && !session->url.port)
        return fail_usage("connect to which port? 0 is only for listening, and takes a free one");
    return STATUS_DONE;
}

static enum status open_encoding(struct session *session)
{
    char error[OPTIONS_ERROR_BYTES_MAX];
    const int err = options_open_encoding(session->options, &session->encoding, error);

    return err ? status_error(COMMAND_CONNECT, err, error) : STATUS_DONE;
}

static void end(struct session *session)
{
    input_free(session->input);
    typed_fini(&session->typed);
    answers_fini(&session->answers);
    encoding_close(session->encoding);
}

enum status connect_run(const struct options *options)
{
    struct session session = { .options = options, .status = STATUS_DONE };
    struct weir_service service;
    enum status status = STATUS_DONE;
    bool is_quiet = true;

    if (!options->endpoint_count) return fail_usage("connect where? As in: weir connect 8000");
    service = options->endpoints[0].service;
    session.url_text = options->endpoints[0].url;
    weir_url_parse(session.url_text, &session.url, NULL, 0);
    status = check(&session);
    if (status == STATUS_DONE) status = open_encoding(&session);
    if (status != STATUS_DONE) return status;
    prepare(&session, &service);
    status = run(&session, &service);
    is_quiet = typist_finish(session.typist);
    if (session.resize_event) event_free(session.resize_event);
    weir_free(session.weir);
    if (status == STATUS_DONE) status = say_end(&session);
    if (status == STATUS_DONE) status = status_stdout();
    if (is_quiet) typist_free(session.typist); /* else the terminal stands still, and it goes with the process */
    end(&session);
    return status;
}

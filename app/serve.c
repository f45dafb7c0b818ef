/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app/serve.c: the server: wires the engine, the answers, the log and the terminal together, and turns signals into a
 * stop. What a connection does is the callbacks' business, and they are chosen once, at the start: none is installed
 * that has nothing to do. Must never wait for standard output or error while it serves. */
#include "serve.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include <event2/event.h>

#include "ack.h"
#include "announce.h"
#include "clients/framing.h"
#include "clients/reply.h"
#include "descriptors.h"
#include "desk/desk.h"
#include "journal/journal.h"
#include "journal/template.h"
#include "keep.h"
#include "log.h"
#include "notify.h"
#include "terminal/encoding.h"
#include "terminal/printer.h"
#include "terminal/show.h"
#include "terminal/terminal.h"
#include "terminal/watch.h"

enum {
    WORKERS_MAX = 256,
    LAST_KEYS_MS = 300,  /* at the exit, for the one who types; then */
    LAST_LINES_MS = 700, /* at the exit, for what still waits to be shown, and to be logged */
    LAST_LOG_MS = 300,
    SAME_SIGNAL_MS = 100,                   /* a second signal so soon is the first one again */
    DEFAULT_MESSAGE_BYTES_MAX = 1024 * 1024 /* the engine's */
};

static const int stop_signals[] = { SIGINT, SIGTERM, SIGHUP };

enum { STOP_SIGNAL_COUNT = sizeof(stop_signals) / sizeof(stop_signals[0]) };

/* One listener: the user of its connections' callbacks. */
struct serve_listener {
    struct show *show; /* NULL: nothing is shown */
    struct desk *desk; /* NULL: nobody types */
    struct desk_listener for_desk;
    struct reply reply;
    bool keeps;
    struct journal *journal; /* once it is open; only with keeps */
    struct journal_listener for_journal;
    struct template *ack;
    struct log *log;
    atomic_bool is_unsendable_told;
    const char *shown_url; /* as in show.h: NULL where it goes without saying */
    const char *missing;   /* of a message that has not ended: what */
    bool hints;            /* what comes may be lines that nobody has asked to see as messages */
    char url[WEIR_ADDRESS_BYTES_MAX];
};

struct serve {
    const struct options *options;
    unsigned workers;
    struct log *log;
    struct printer *lines; /* standard output; NULL: nothing is shown */
    struct encoding *encoding;
    struct show *show;
    struct watch *watch; /* NULL: nobody looks */
    struct desk *desk;   /* NULL: nobody types */
    struct keep *keep;   /* NULL: nothing is kept */
    struct weir *weir;
    struct serve_listener *listeners; /* as many as engine_listeners; owned */
    struct weir_listener **engine_listeners;
    size_t listener_count;
    struct event *stop_events[STOP_SIGNAL_COUNT];
    struct event *resize_event;
    bool stopping;
};

/* Why it could not start. */
static enum status fail(struct serve *serve, int err, const char *text)
{
    if (serve->options->log_format == LOG_FORMAT_TEXT || !serve->log) return status_error(COMMAND_SERVE, err, text);
    log_fail(serve->log, text);
    return status_of(err);
}

/* ---- Connections: what happens on them. On the workers ---- */

/* An answer that the framing cannot carry ends its connection; once for each listener somebody is told why. */
static int answer(struct serve_listener *listener, struct weir_conn *conn, struct weir_bytes bytes)
{
    const int result = reply_send(conn, bytes);

    if ((result == -EMSGSIZE || result == -EINVAL) && !atomic_exchange(&listener->is_unsendable_told, true))
        log_say(listener->log, WEIR_LOG_WARNING, "reply",
                "#%llu is closed: its answer cannot be sent in this framing (%s); this is said once",
                (unsigned long long)weir_conn_id(conn), weir_strerror(result));
    return result;
}

static void on_message_echo(struct weir_conn *conn, struct weir_bytes message, void *user)
{
    answer(user, conn, message);
}

static void on_message_reply(struct weir_conn *conn, struct weir_bytes message, void *user)
{
    struct serve_listener *const listener = user;

    answer(listener, conn, reply_to(&listener->reply, message));
}

/* What happens in any case: kept is the journal's client, or NULL when nothing is stored. */

static void arrive(struct weir_conn *conn, const struct serve_listener *listener)
{
    if (listener->show) show_open(listener->show, conn, listener->shown_url);
}

static void take(struct weir_conn *conn, struct weir_bytes message, struct serve_listener *listener,
                 struct journal_client *kept)
{
    struct weir_bytes bytes;

    if (kept) journal_message(kept, message);
    if (listener->show) show_message(listener->show, conn, listener->shown_url, message);
    if (listener->hints) show_hint_if_lines(listener->show, conn, message);
    if (listener->reply.kind == REPLY_NONE) return;
    bytes = reply_to(&listener->reply, message);
    if (answer(listener, conn, bytes) < 0) return;
    if (kept) journal_sent(kept, bytes, true);
    if (listener->show) show_sent(listener->show, conn, listener->shown_url, bytes);
}

static void leave(struct weir_conn *conn, enum weir_reason reason, const struct serve_listener *listener,
                  struct journal_client *kept)
{
    if (listener->show) show_close(listener->show, conn, listener->shown_url, reason);
    if (kept) journal_close(kept, reason);
}

/* What is only shown: the user is the listener. */

static void on_open_shown(struct weir_conn *conn, void *user)
{
    arrive(conn, user);
}

static void on_message_shown(struct weir_conn *conn, struct weir_bytes message, void *user)
{
    take(conn, message, user, NULL);
}

static void on_close_shown(struct weir_conn *conn, enum weir_reason reason, void *user)
{
    leave(conn, reason, user, NULL);
}

/* With a desk the user of a connection is the desk's client, from on_open on; NULL for want of memory, and then it is
 * on its way out already. */

static void on_open_desk(struct weir_conn *conn, void *user)
{
    struct serve_listener *const listener = user;
    struct desk_client *const client = desk_open(listener->desk, conn, &listener->for_desk, listener);

    weir_conn_set_user(conn, client);
    if (client)
        arrive(conn, listener);
    else
        weir_conn_abort(conn, WEIR_REASON_MEMORY);
}

static void on_message_desk(struct weir_conn *conn, struct weir_bytes message, void *user)
{
    desk_message(user, conn, message);
    take(conn, message, desk_user(user), NULL);
}

static void on_writable_desk(struct weir_conn *conn, void *user)
{
    (void)conn;
    if (user) desk_writable(user);
}

static void on_close_desk(struct weir_conn *conn, enum weir_reason reason, void *user)
{
    if (!user) return;
    leave(conn, reason, desk_user(user), NULL);
    desk_close(user);
}

/* With a store it is the journal's client, or with a desk as well the desk's, whose user that is; NULL again for want
 * of memory. */

static void on_open_kept(struct weir_conn *conn, void *user)
{
    struct serve_listener *const listener = user;
    struct journal_client *const kept = journal_open(listener->journal, conn, &listener->for_journal);
    void *client = kept;

    if (kept && listener->desk) client = desk_open(listener->desk, conn, &listener->for_desk, kept);
    if (kept && !client) journal_close(kept, WEIR_REASON_MEMORY);
    weir_conn_set_user(conn, client);
    if (client)
        arrive(conn, listener);
    else
        weir_conn_abort(conn, WEIR_REASON_MEMORY);
}

static void on_message_kept(struct weir_conn *conn, struct weir_bytes message, void *user)
{
    take(conn, message, journal_client_user(user), user);
}

static void on_message_kept_desk(struct weir_conn *conn, struct weir_bytes message, void *user)
{
    desk_message(user, conn, message);
    on_message_kept(conn, message, desk_user(user));
}

static void on_close_kept(struct weir_conn *conn, enum weir_reason reason, void *user)
{
    if (user) leave(conn, reason, journal_client_user(user), user);
}

static void on_close_kept_desk(struct weir_conn *conn, enum weir_reason reason, void *user)
{
    if (!user) return;
    on_close_kept(conn, reason, desk_user(user));
    desk_close(user);
}

/* For the desk, whose user is the journal's client then. */

static bool has_room_kept(const void *user)
{
    return journal_has_room(user);
}

static void on_sent_kept(struct weir_bytes message, void *user)
{
    journal_sent(user, message, false);
}

static void choose_kept_callbacks(struct serve_listener *listener, struct weir_service *service)
{
    service->on_open = on_open_kept;
    service->on_message = listener->desk ? on_message_kept_desk : on_message_kept;
    service->on_close = listener->desk ? on_close_kept_desk : on_close_kept;
    if (listener->desk) service->on_writable = on_writable_desk;
    listener->for_desk.has_room = has_room_kept;
    listener->for_desk.on_sent = on_sent_kept;
}

static void choose_callbacks(struct serve_listener *listener, struct weir_service *service)
{
    service->user = listener;
    if (listener->keeps) {
        choose_kept_callbacks(listener, service);
        return;
    }
    if (listener->desk) {
        service->on_open = on_open_desk;
        service->on_message = on_message_desk;
        service->on_writable = on_writable_desk;
        service->on_close = on_close_desk;
    } else if (listener->show) {
        service->on_open = on_open_shown;
        service->on_message = on_message_shown;
        service->on_close = on_close_shown;
    } else if (listener->reply.kind == REPLY_ECHO) {
        service->on_message = on_message_echo;
    } else if (listener->reply.kind == REPLY_TEXT) {
        service->on_message = on_message_reply;
    }
}

/* ---- The start ---- */

static unsigned available_processors(void)
{
    cpu_set_t set;
    const int count = sched_getaffinity(0, sizeof(set), &set) ? 1 : CPU_COUNT(&set);

    return count > WORKERS_MAX ? WORKERS_MAX : (unsigned)count;
}

/* Makes the way out for what is shown, and does not start it yet: nothing runs before all addresses are bound. */
static int prepare_output(struct serve *serve)
{
    static const enum render_form forms[] = { [PRINT_AUTO] = RENDER_AUTO,
                                              [PRINT_TEXT] = RENDER_TEXT,
                                              [PRINT_HEX] = RENDER_HEX,
                                              [PRINT_BOTH] = RENDER_BOTH,
                                              [PRINT_JSON] = RENDER_AUTO };
    const int print = serve->options->print;
    const bool json = print == PRINT_JSON;
    int err = 0;

    if (print == PRINT_OFF || (print == PRINT_AUTO && !isatty(STDOUT_FILENO))) return 0;
    err = printer_new(STDOUT_FILENO, "standard output", log_printer(serve->log), &serve->lines);
    if (err) return err;
    if (json) printer_set_notes_only(serve->lines);
    err = show_new(serve->lines, json, forms[print], serve->workers, &serve->show);
    if (!err) show_set_encoding(serve->show, serve->encoding);
    return err;
}

static enum status open_encoding(struct serve *serve)
{
    const char *const name = serve->options->encoding;
    char reason[256];
    char text[OPTIONS_ERROR_BYTES_MAX];
    const int err = name ? encoding_open(name, &serve->encoding, reason, sizeof(reason)) : 0;

    if (!err) return STATUS_DONE;
    snprintf(text, sizeof(text), "--encoding %s: %s", name, reason);
    return fail(serve, err == -EINVAL ? WEIR_ECONFIG : err, text);
}

/* Whether somebody watches, who is helped by more than what happens. */
static bool is_watched(const struct serve *serve)
{
    return serve->show && serve->options->print != PRINT_JSON && isatty(STDOUT_FILENO);
}

/* What people are told of the listener's framing while they watch. */
static void choose_hints(struct serve *serve, struct serve_listener *listener, const char *spec)
{
    struct weir_frame *frame = NULL;
    const char *name = "";

    if (!is_watched(serve) || weir_frame_new(spec ? spec : "raw", &frame, NULL, 0)) return;
    name = weir_frame_codec(frame)->name;
    listener->hints = strcmp(name, "raw") == 0;
    listener->missing = strcmp(name, "line") == 0 ? "no newline yet" : "no end yet";
    weir_frame_free(frame);
}

/* Somebody can type where everything is shown to him, and what he types does not come from elsewhere. */
static int prepare_desk(struct serve *serve)
{
    int err = 0;

    if (!serve->show || serve->options->print == PRINT_JSON) return 0;
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) return 0;
    err = desk_new(serve->weir, serve->show, serve->lines, &serve->desk);
    if (err) return err;
    desk_share(serve->desk, serve->lines);
    if (isatty(STDERR_FILENO)) desk_share(serve->desk, log_printer(serve->log));
    return 0;
}

/* Whether what is sent leaves as it is. */
static bool sends_raw(const struct weir_service *service)
{
    struct weir_frame *const frame = framing_of_sent(service);

    weir_frame_free(frame);
    return !frame;
}

static enum status prepare_keeping(struct serve *serve, struct serve_listener *listener,
                                   const struct endpoint_options *options)
{
    char text[OPTIONS_ERROR_BYTES_MAX];
    int err = 0;

    listener->keeps = keep_is_wanted(serve->options);
    err = keep_check(serve->options, options, text, sizeof(text));
    if (!err) err = ack_new(options, listener->keeps, &listener->ack, text, sizeof(text));
    if (err) return fail(serve, err == -EINVAL ? WEIR_ECONFIG : err, text);
    listener->for_journal = (struct journal_listener){ .ack = listener->ack,
                                                       .ack_when = (enum ack_when)options->ack_when,
                                                       .ack_truncated = options->ack_truncated != 0,
                                                       .store_replies = options->store_replies != 0,
                                                       .frame = options->service.frame ? options->service.frame : "raw",
                                                       .url = listener->url,
                                                       .user = listener };
    return STATUS_DONE;
}

static enum status start_listener(struct serve *serve, const struct endpoint_options *options, size_t index)
{
    struct serve_listener *const listener = &serve->listeners[index];
    struct weir_service service = options->service;
    const char *const url = options->url ? options->url : SERVE_ADDRESS;
    char reason[256];
    char text[OPTIONS_ERROR_BYTES_MAX];
    enum status status = STATUS_DONE;
    int err = reply_init(&listener->reply, options->reply, reason, sizeof(reason));

    if (!err) err = reply_check(&listener->reply, &service, reason, sizeof(reason));
    if (err) {
        snprintf(text, sizeof(text), "--reply %s: %s", options->reply, reason);
        return fail(serve, err == -EINVAL ? WEIR_ECONFIG : err, text);
    }
    status = prepare_keeping(serve, listener, options);
    if (status != STATUS_DONE) return status;
    listener->show = serve->show;
    listener->log = serve->log;
    choose_hints(serve, listener, service.frame);
    listener->desk = serve->desk;
    listener->for_desk.sends_raw = sends_raw(&service);
    listener->for_desk.message_bytes_max =
        service.message_bytes_max ? (size_t)service.message_bytes_max : DEFAULT_MESSAGE_BYTES_MAX;
    choose_callbacks(listener, &service);
    err = weir_listen(serve->weir, url, &service, &serve->engine_listeners[index]);
    if (err) return fail(serve, err, weir_error_text(serve->weir));
    weir_listener_address(serve->engine_listeners[index], 0, listener->url);
    if (serve->options->print == PRINT_JSON || serve->options->endpoint_count > 1) listener->shown_url = listener->url;
    listener->for_desk.url = listener->shown_url;
    return STATUS_DONE;
}

static enum status start_listeners(struct serve *serve)
{
    const struct options *const options = serve->options;
    const size_t count = options->endpoint_count ? options->endpoint_count : 1;
    enum status status = STATUS_DONE;

    serve->listeners = calloc(count, sizeof(*serve->listeners));
    serve->engine_listeners = calloc(count, sizeof(struct weir_listener *));
    if (!serve->listeners || !serve->engine_listeners) return fail(serve, -ENOMEM, weir_strerror(-ENOMEM));
    for (size_t i = 0; i < count && status == STATUS_DONE; i++) {
        serve->listener_count = i + 1;
        status = start_listener(serve, options->endpoint_count ? &options->endpoints[i] : &options->common, i);
    }
    return status;
}

/* Ids go on where the store ended; nobody has one before weir_run. */
static enum status open_store(struct serve *serve)
{
    char error[KEEP_ERROR_BYTES_MAX];
    struct journal *journal = NULL;
    int err = keep_open(serve->options, serve->engine_listeners[0], serve->workers, serve->log, &serve->keep, error);

    if (err) return fail(serve, err, error);
    journal = keep_journal(serve->keep);
    if (!journal) return STATUS_DONE;
    err = weir_set_first_id(serve->weir, journal_first_id(journal));
    if (err) return fail(serve, err, weir_error_text(serve->weir));
    for (size_t i = 0; i < serve->listener_count; i++)
        serve->listeners[i].journal = journal;
    err = journal_start(journal, serve->weir);
    return err ? fail(serve, err, weir_strerror(err)) : STATUS_DONE;
}

static void on_turn(struct weir *weir, unsigned worker, void *user)
{
    const struct serve *const serve = user;
    struct journal *const journal = keep_journal(serve->keep);

    (void)weir;
    if (journal) journal_turn(journal, worker);
}

static void on_log(enum weir_log_level level, enum weir_log_kind kind, const char *text, void *user)
{
    const struct serve *const serve = user;

    log_on_engine(level, kind, text, serve->log);
}

static const char *missing_of(const struct weir_listener *listener, void *user)
{
    const struct serve *const serve = user;

    for (size_t i = 0; i < serve->listener_count; i++)
        if (serve->engine_listeners[i] == listener) return serve->listeners[i].missing;
    return "no end yet";
}

static void announce(struct serve *serve)
{
    const unsigned long long limit = descriptors_limit();
    struct weir_counters counters = { .size = sizeof(counters) };
    struct line line = { 0 };

    for (size_t i = 0; i < serve->listener_count; i++)
        announce_addresses(&line, serve->engine_listeners[i]);
    if (isatty(STDERR_FILENO)) announce_hints(&line, serve->engine_listeners, serve->listener_count);
    log_announce(serve->log, "start", &line);
    line_fini(&line);
    if (serve->keep) keep_announce(serve->keep);
    weir_counters(serve->weir, &counters);
    if (counters.clients_max >= limit) /* as was asked for: a client more waits until one has gone */
        log_say(serve->log, WEIR_LOG_WARNING, "start",
                "room for fewer than %llu clients: the descriptor limit is %llu, whatever --max-clients asks for",
                limit, limit);
    else
        log_say(serve->log, WEIR_LOG_INFO, "start", "room for %llu clients (descriptor limit %llu)",
                (unsigned long long)counters.clients_max, limit);
    if (serve->desk && isatty(STDERR_FILENO))
        log_say(serve->log, WEIR_LOG_INFO, "start",
                "what you type goes to the client that the prompt names; /help says more");
}

/* ---- Signals: on the first worker ---- */

/* The next one does what it does to any program: end it at once. A signal handler and no timer of the worker's, because
 * a worker without connections ends before the others do. */
static void let_next_signal_end_it(int number)
{
    (void)number;
    for (size_t i = 0; i < STOP_SIGNAL_COUNT; i++)
        if (stop_signals[i] != SIGHUP) signal(stop_signals[i], SIG_DFL);
}

static void on_stop_signal(int number, short what, void *user)
{
    struct serve *const serve = user;
    struct weir_counters counters = { .size = sizeof(counters) };
    const struct itimerval same_signal = { .it_value.tv_usec = SAME_SIGNAL_MS * 1000 };

    (void)number;
    (void)what;
    if (serve->stopping) return; /* SIGHUP again: a terminal that goes away sends more than one */
    serve->stopping = true;
    if (serve->desk) desk_stop(serve->desk);
    notify("STOPPING=1");
    weir_counters(serve->weir, &counters);
    log_say(serve->log, WEIR_LOG_INFO, "stop", "stopping: %llu connection%s to drain",
            (unsigned long long)counters.clients, counters.clients == 1 ? "" : "s");
    weir_stop(serve->weir, serve->options->drain_timeout_ms);
    /* timeout(1) sends its signal twice, to the process and to its group: that is one wish to stop. */
    signal(SIGALRM, let_next_signal_end_it);
    if (setitimer(ITIMER_REAL, &same_signal, NULL)) let_next_signal_end_it(SIGALRM);
}

static void on_resize(int number, short what, void *user)
{
    struct serve *const serve = user;

    (void)number;
    (void)what;
    show_set_columns(serve->show, terminal_columns(STDOUT_FILENO));
    if (serve->desk) desk_resize(serve->desk);
}

/* nohup(1) leaves SIGHUP ignored: whoever started the server so wants it to outlive the terminal. */
static bool is_ignored(int number)
{
    struct sigaction action;

    return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

static int start_signals(struct serve *serve)
{
    struct event_base *const base = weir_worker_base(serve->weir, 0);

    for (size_t i = 0; i < STOP_SIGNAL_COUNT; i++) {
        if (stop_signals[i] == SIGHUP && is_ignored(SIGHUP)) continue;
        serve->stop_events[i] = evsignal_new(base, stop_signals[i], on_stop_signal, serve);
        if (!serve->stop_events[i] || event_add(serve->stop_events[i], NULL)) return -ENOMEM;
    }
    if (!serve->show || !isatty(STDOUT_FILENO)) return 0;
    serve->resize_event = evsignal_new(base, SIGWINCH, on_resize, serve);
    return serve->resize_event && !event_add(serve->resize_event, NULL) ? 0 : -ENOMEM;
}

/* With their events go our handlers. A terminal that has gone may send SIGHUP until the very end: that must not turn a
 * good end into a bad one. */
static void end_signals(struct serve *serve)
{
    sigset_t hangup;

    sigemptyset(&hangup);
    sigaddset(&hangup, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &hangup, NULL);
    for (size_t i = 0; i < STOP_SIGNAL_COUNT; i++)
        if (serve->stop_events[i]) event_free(serve->stop_events[i]);
    if (serve->resize_event) event_free(serve->resize_event);
}

/* ---- From start to end ---- */

static enum status start(struct serve *serve)
{
    const struct options *const options = serve->options;
    const enum weir_log_level level = (enum weir_log_level)(options->log_level + WEIR_LOG_ERROR);
    struct weir_config config = WEIR_CONFIG(.workers = serve->workers, .clients_max = options->clients_max,
                                            .memory_bytes_max = options->memory_bytes_max, .on_turn = on_turn,
                                            .on_log = on_log, .log_level = level);
    enum status status = STATUS_DONE;
    int err = log_new((enum log_format)options->log_format, level, &serve->log);

    if (err) return fail(serve, err, weir_strerror(err));
    status = open_encoding(serve);
    if (status != STATUS_DONE) return status;
    err = prepare_output(serve);
    if (err) return fail(serve, err, weir_strerror(err));
    config.user = serve;
    err = weir_new(&config, &serve->weir);
    if (err) return fail(serve, err, weir_error_text(NULL));
    err = prepare_desk(serve);
    if (err) return fail(serve, err, weir_strerror(err));
    status = start_listeners(serve);
    if (status == STATUS_DONE) status = open_store(serve);
    if (status != STATUS_DONE) return status;
    err = start_signals(serve);
    if (!err) err = log_start(serve->log);
    if (!err && serve->lines) err = printer_start(serve->lines);
    if (!err && is_watched(serve)) err = watch_start(serve->weir, serve->show, missing_of, serve, &serve->watch);
    if (err) return fail(serve, err, weir_strerror(err));
    announce(serve);
    err = serve->desk ? desk_start(serve->desk) : 0;
    if (err) return fail(serve, err, weir_strerror(err));
    notify("READY=1");
    return STATUS_DONE;
}

static enum status run(struct serve *serve)
{
    struct weir_counters counters = { .size = sizeof(counters) };
    const int err = weir_run(serve->weir);
    const bool is_stored = !serve->keep || keep_stop(serve->keep);

    if (!err) return is_stored ? STATUS_DONE : STATUS_FAILED;
    weir_counters(serve->weir, &counters);
    if (err == -ETIMEDOUT)
        log_say(serve->log, WEIR_LOG_WARNING, "stop", "stopped: %llu connection%s cut off at the deadline",
                (unsigned long long)counters.closed[WEIR_REASON_DRAIN_TIMEOUT],
                counters.closed[WEIR_REASON_DRAIN_TIMEOUT] == 1 ? "" : "s");
    else
        log_fail(serve->log, weir_error_text(serve->weir));
    return STATUS_FAILED;
}

/* Returns false when a thread is stuck in a write or a read: what it uses then goes with the process. */
static bool end(struct serve *serve)
{
    bool is_quiet = true;

    end_signals(serve);
    if (serve->desk) is_quiet = desk_finish(serve->desk, LAST_KEYS_MS);
    weir_free(serve->weir);
    keep_close(serve->keep);
    for (size_t i = 0; i < serve->listener_count; i++) {
        reply_fini(&serve->listeners[i].reply);
        template_free(serve->listeners[i].ack);
    }
    free(serve->listeners);
    free(serve->engine_listeners);
    watch_free(serve->watch);
    if (is_quiet) {
        show_free(serve->show);
        encoding_close(serve->encoding);
    }
    if (serve->lines) is_quiet = printer_finish(serve->lines, LAST_LINES_MS) && is_quiet;
    is_quiet = log_finish(serve->log, LAST_LOG_MS) && is_quiet;
    if (!is_quiet) return false;
    desk_free(serve->desk);
    printer_free(serve->lines);
    log_free(serve->log);
    return true;
}

enum status serve(const struct options *options)
{
    struct serve serve = { .options = options };
    enum status status = STATUS_DONE;

    descriptors_raise_limit();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    serve.workers = options->workers ? (unsigned)options->workers : available_processors();
    status = start(&serve);
    if (status == STATUS_DONE) status = run(&serve);
    /* exit(3) would write what the stream of a terminal that stands still has in its buffer, and wait with it. */
    if (!end(&serve)) _exit((int)status);
    return status;
}

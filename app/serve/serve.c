/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The server from its start to its end: wires the engine, the listeners, the store, the log and the terminal together.
 * Must never wait for standard output or error while it serves. */
#include "serve.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "announce.h"
#include "base/clock.h"
#include "base/descriptors.h"
#include "desk/desk.h"
#include "journal/journal.h"
#include "listeners.h"
#include "log.h"
#include "notify.h"
#include "output.h"
#include "plan.h"
#include "session.h"
#include "signals.h"
#include "storage.h"
#include "terminal/terminal.h"
#include "terminal/tty.h"
#include "watch.h"

enum {
    DRAIN_MS = 10000,     /* weir_stop's default */
    CLOSE_STORE_MS = 500, /* at least, for what is left and for closing it */
    LAST_KEYS_MS = 300,   /* at the exit, for the one who types; then */
    LAST_LINES_MS = 700,  /* at the exit, for what still waits to be shown, and to be logged */
    LAST_LOG_MS = 300
};

struct serve {
    const struct options *options;
    struct plan *plan;
    struct log *log;
    struct output output;
    struct watch *watch;     /* NULL: nobody looks */
    struct desk *desk;       /* NULL: nobody types */
    struct storage *storage; /* NULL: nothing is stored */
    struct weir *weir;
    struct listeners listeners;
    struct signals signals;
    atomic_bool stopping;
    pthread_mutex_t lock;
    bool is_running;    /* under lock: weir can be stopped */
    int64_t stop_by_ms; /* --drain-timeout, on clock_ms */
    bool is_store_late; /* its thread goes on beyond that */
};

/* Why it could not start. */
static enum status fail(struct serve *serve, int err, const char *text)
{
    if (serve->options->log_format == LOG_FORMAT_TEXT || !serve->log) return status_error(COMMAND_SERVE, err, text);
    log_fail(serve->log, text);
    return status_of(err);
}

/* ---- The start ---- */

/* Somebody can type where everything is shown to him, and what he types does not come from elsewhere. */
static int prepare_desk(struct serve *serve)
{
    int err = 0;

    if (!serve->output.show || serve->options->print == PRINT_JSON) return 0;
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || tty_is_ours() < 0) return 0;
    err = desk_new(serve->weir, &session_desk_host, serve->output.show, serve->output.lines,
                   serve->plan->budget.last_message, &serve->desk);
    if (err) return err;
    desk_share(serve->desk, serve->output.lines);
    if (isatty(STDERR_FILENO)) desk_share(serve->desk, log_printer(serve->log));
    return 0;
}

static enum status start_listeners(struct serve *serve)
{
    const struct listeners_config config = { .plan = serve->plan,
                                             .weir = serve->weir,
                                             .log = serve->log,
                                             .show = serve->output.show,
                                             .desk = serve->desk,
                                             .is_watched = output_is_watched(&serve->output) };
    char error[OPTIONS_ERROR_BYTES_MAX];
    const int err = listeners_start(&serve->listeners, &config, error);

    return err ? fail(serve, err, error) : STATUS_DONE;
}

/* Ids go on where the store ended; nobody has one before weir_run. */
static enum status open_store(struct serve *serve)
{
    char error[STORAGE_ERROR_BYTES_MAX];
    struct journal *journal = NULL;
    int err = storage_open(serve->plan, serve->listeners.of_engine[0], serve->log, &serve->storage, error);

    if (err == -ECANCELED) {
        log_say(serve->log, WEIR_LOG_INFO, "stop", "%s", error);
        serve->stopping = true;
        return STATUS_DONE;
    }
    if (err) return fail(serve, err, error);
    journal = storage_journal(serve->storage);
    if (!journal) return STATUS_DONE;
    err = weir_set_first_id(serve->weir, journal_first_id(journal));
    if (err) return fail(serve, err, weir_error_text(serve->weir));
    listeners_set_journal(&serve->listeners, journal);
    err = journal_start(journal, serve->weir);
    return err ? fail(serve, err, weir_strerror(err)) : STATUS_DONE;
}

static void on_turn(struct weir *weir, unsigned worker, void *user)
{
    const struct serve *serve = user;
    struct journal *journal = storage_journal(serve->storage);

    (void)weir;
    session_turn();
    if (journal) journal_turn(journal, worker);
}

static void on_log(enum weir_log_level level, enum weir_log_kind kind, const char *text, void *user)
{
    const struct serve *serve = user;

    log_on_engine(level, kind, text, serve->log);
}

static void announce(struct serve *serve)
{
    const unsigned long long limit = descriptors_limit();
    struct weir_counters counters = { .size = sizeof(counters) };
    struct line line = { 0 };

    for (size_t i = 0; i < serve->listeners.count; i++)
        announce_addresses(&line, serve->listeners.of_engine[i]);
    if (isatty(STDERR_FILENO)) announce_hints(&line, serve->listeners.of_engine, serve->listeners.count);
    log_announce(serve->log, "start", &line);
    line_fini(&line);
    if (serve->storage) storage_announce(serve->storage);
    weir_counters(serve->weir, &counters);
    if (counters.clients_max >= limit) /* as was asked for: a client more waits until one has gone */
        log_say(serve->log, WEIR_LOG_WARNING, "start",
                "room for fewer than %llu clients: the descriptor limit is %llu, whatever --max-clients asks for",
                limit, limit);
    else
        log_say(serve->log, WEIR_LOG_INFO, "start", "room for %llu clients (descriptor limit %llu)",
                (unsigned long long)counters.clients_max, limit);
    if (serve->desk && isatty(STDERR_FILENO) && tty_is_ours() == 1)
        log_say(serve->log, WEIR_LOG_INFO, "start",
                "what you type goes to the client that the prompt names; /help says more");
}

/* ---- Signals: on the first worker ---- */

/* As weir_stop takes it. */
static int64_t stop_by_ms(int64_t drain_timeout_ms)
{
    if (drain_timeout_ms == WEIR_OFF) return INT64_MAX;
    return clock_ms() + (drain_timeout_ms ? drain_timeout_ms : DRAIN_MS);
}

static void on_stop(void *user)
{
    struct serve *serve = user;
    struct weir_counters counters = { .size = sizeof(counters) };

    serve->stopping = true;
    if (serve->desk) desk_stop(serve->desk);
    notify("STOPPING=1");
    weir_counters(serve->weir, &counters);
    log_say(serve->log, WEIR_LOG_INFO, "stop", "stopping: %llu connection%s to drain",
            (unsigned long long)counters.clients, counters.clients == 1 ? "" : "s");
    serve->stop_by_ms = stop_by_ms(serve->options->drain_timeout_ms);
    weir_stop(serve->weir, serve->options->drain_timeout_ms);
}

static void on_resize(void *user)
{
    struct serve *serve = user;

    show_set_columns(serve->output.show, terminal_columns(STDOUT_FILENO));
    if (serve->desk) desk_resize(serve->desk);
}

static int start_signals(struct serve *serve)
{
    serve->signals.on_stop = on_stop;
    if (serve->output.show && isatty(STDOUT_FILENO)) serve->signals.on_resize = on_resize;
    serve->signals.user = serve;
    return signals_start(&serve->signals, weir_worker_base(serve->weir, 0));
}

/* ---- From start to end ---- */

/* On any thread. */
static void on_output_failed(const char *text, void *user)
{
    struct serve *serve = user;

    log_fail(serve->log, text);
    notify("STOPPING=1");
    pthread_mutex_lock(&serve->lock);
    if (serve->is_running) weir_stop(serve->weir, serve->options->drain_timeout_ms);
    pthread_mutex_unlock(&serve->lock);
}

static enum status make_plan(struct serve *serve)
{
    char error[OPTIONS_ERROR_BYTES_MAX];
    const int err = plan_new(serve->options, &serve->plan, error);

    if (err) return fail(serve, err, error);
    budget_set_allocator(&serve->plan->budget);
    return STATUS_DONE;
}

static enum status start(struct serve *serve)
{
    const struct options *options = serve->options;
    const enum weir_log_level level = (enum weir_log_level)(options->log_level + WEIR_LOG_ERROR);
    struct weir_config config =
        WEIR_CONFIG(.clients_max = options->clients_max, .on_turn = on_turn, .on_log = on_log, .log_level = level);
    enum status status = STATUS_DONE;
    int err = log_new((enum log_format)options->log_format, level, &serve->log);

    if (err) return fail(serve, err, weir_strerror(err));
    status = make_plan(serve);
    if (status != STATUS_DONE) return status;
    err = output_open(&serve->output, serve->plan, serve->log);
    if (err) return fail(serve, err, weir_strerror(err));
    config.user = serve;
    config.workers = serve->plan->workers;
    config.memory_bytes_max = (int64_t)serve->plan->budget.clients;
    config.mailbox_bytes_max = (int64_t)serve->plan->budget.mailbox;
    err = weir_new(&config, &serve->weir);
    if (err) return fail(serve, err, weir_error_text(NULL));
    err = prepare_desk(serve);
    if (err) return fail(serve, err, weir_strerror(err));
    status = start_listeners(serve);
    if (status == STATUS_DONE) status = open_store(serve);
    if (status != STATUS_DONE || atomic_load(&serve->stopping)) return status;
    serve->is_running = true;
    err = start_signals(serve);
    if (!err) err = output_watch(&serve->output, weir_worker_base(serve->weir, 0));
    if (!err) err = log_start(serve->log);
    if (!err && serve->output.lines) err = printer_start(serve->output.lines);
    if (!err && output_is_watched(&serve->output))
        err = watch_start(serve->weir, serve->output.show, listeners_missing, &serve->listeners, &serve->watch);
    if (err) return fail(serve, err, weir_strerror(err));
    announce(serve);
    err = serve->desk ? desk_start(serve->desk) : 0;
    if (err) return fail(serve, err, weir_strerror(err));
    notify("READY=1");
    return STATUS_DONE;
}

/* --drain-timeout is for the whole stop: the connections' time is the store's as well. A store that works needs
 * milliseconds, and gets those in any case. */
static int64_t time_to_close(const struct serve *serve)
{
    const int64_t least_ms = clock_ms() + CLOSE_STORE_MS;

    return serve->stop_by_ms > least_ms ? serve->stop_by_ms : least_ms;
}

static enum status run(struct serve *serve)
{
    struct weir_counters counters = { .size = sizeof(counters) };
    const int err = weir_run(serve->weir);
    const int unstored = serve->storage ? storage_stop(serve->storage, time_to_close(serve)) : 0;

    serve->is_store_late = unstored == -ETIMEDOUT;
    if (!err) return unstored ? STATUS_FAILED : STATUS_DONE;
    weir_counters(serve->weir, &counters);
    if (err == -ETIMEDOUT)
        log_say(serve->log, WEIR_LOG_WARNING, "stop", "stopped: %llu connection%s cut off at the deadline",
                (unsigned long long)counters.closed[WEIR_REASON_DRAIN_TIMEOUT],
                counters.closed[WEIR_REASON_DRAIN_TIMEOUT] == 1 ? "" : "s");
    else
        log_fail(serve->log, weir_error_text(serve->weir));
    return STATUS_FAILED;
}

/* Returns false when a thread is stuck in a write, a read or a sync: what it uses then goes with the process. */
static bool end(struct serve *serve)
{
    bool is_quiet = true;

    signals_stop(&serve->signals);
    output_unwatch(&serve->output);
    pthread_mutex_lock(&serve->lock);
    serve->is_running = false;
    pthread_mutex_unlock(&serve->lock);
    if (serve->desk) is_quiet = desk_finish(serve->desk, LAST_KEYS_MS);
    if (serve->is_store_late) {
        if (serve->output.lines) printer_finish(serve->output.lines, LAST_LINES_MS);
        log_finish(serve->log, LAST_LOG_MS);
        return false;
    }
    weir_free(serve->weir);
    storage_close(serve->storage);
    listeners_fini(&serve->listeners);
    watch_free(serve->watch);
    if (is_quiet) show_free(serve->output.show);
    if (serve->output.lines) is_quiet = printer_finish(serve->output.lines, LAST_LINES_MS) && is_quiet;
    is_quiet = log_finish(serve->log, LAST_LOG_MS) && is_quiet;
    if (!is_quiet) return false;
    desk_free(serve->desk);
    printer_free(serve->output.lines);
    log_free(serve->log);
    plan_free(serve->plan);
    return true;
}

enum status serve(const struct options *options)
{
    struct serve serve = { .options = options, .lock = PTHREAD_MUTEX_INITIALIZER };
    enum status status = STATUS_DONE;
    bool is_quiet = true;

    serve.output = (struct output){ .is_stopping = &serve.stopping, .on_failed = on_output_failed, .user = &serve };
    descriptors_raise_limit();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    status = start(&serve);
    if (status == STATUS_DONE && !atomic_load(&serve.stopping)) status = run(&serve);
    is_quiet = end(&serve);
    if (status == STATUS_DONE && atomic_load(&serve.output.error)) status = STATUS_FAILED;
    /* exit(3) would write what the stream of a terminal that stands still has in its buffer, and wait with it. */
    if (!is_quiet) _exit((int)status);
    return status;
}

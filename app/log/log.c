/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Weir log: finds the store, then where to begin in it, and shows messages from there on, a page
 * at a time. However much is shown, what it holds is bounded: a page, the ids of the newest messages that were asked
 * for, and what is known of some thousand connections. Must never write to a store, nor open its files but through
 * SQLite once that has them. */
#include "log.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "format.h"
#include "selection.h"
#include "store/damage.h"
#include "store/locate.h"
#include "store/newest.h"
#include "store/window.h"
#include "terminal/progress.h"
#include "terminal/terminal.h"
#include "text/encoding.h"
#include "when.h"

enum {
    LAST_DEFAULT = 100,
    CHAINED_MAX =
        65536, /* a client with fewer messages is followed along its chain, one with more found by reading on */
    WRITE_BYTES = 64 * 1024,
    LOOK_EVERY_MS = 100,
    SECOND_TEXT_BYTES = 32
};

struct history {
    const struct options *options;
    const char *path;
    struct selection_config wanted;
    struct reader *reader; /* NULL: the store is away, and looked for again */
    struct selection *selection;
    struct format format;
    struct line output; /* not written yet */
    struct progress progress;
    uint64_t until;       /* what comes behind this is shown by --follow */
    struct window window; /* what is to be shown, as far as it is stored */
    uint64_t shown, damaged;
    int output_error; /* of the write that failed; -EINTR: somebody who does not read was given up */
};

static volatile sig_atomic_t is_interrupted;

/* The first Ctrl-C ends the reading after a whole line, a second one the process. */
static void interrupt(int number)
{
    is_interrupted = 1;
    signal(number, SIG_DFL);
}

/* A write or a wait that one comes into ends early: no SA_RESTART. */
static void catch_signals(void)
{
    static const int numbers[] = { SIGINT, SIGTERM };

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        struct sigaction action = { .sa_handler = interrupt };
        struct sigaction before;

        sigaction(numbers[i], NULL, &before);
        if (before.sa_handler != SIG_IGN) sigaction(numbers[i], &action, NULL);
    }
}

/* ---- Output ---- */

/* What follows returns 0, OUTPUT_FAILED, or the reader's negative code, whose sentence the reader has. */
enum { OUTPUT_FAILED = 1 };

/* Whether PIPE_BUF bytes can be written without a wait. */
static bool is_taken_at_once(void)
{
    struct pollfd output = { .fd = STDOUT_FILENO, .events = POLLOUT };

    return poll(&output, 1, 0) == 1 && output.revents & POLLOUT;
}

/* When interrupted, it does not wait for a reader any more. */
static int write_output(struct history *history)
{
    const struct line *output = &history->output;

    if (output->failed) history->output_error = -ENOMEM;
    for (size_t at = 0; !history->output_error && at < output->len;) {
        const size_t left = output->len - at;
        const ssize_t len =
            is_interrupted && !is_taken_at_once()
                ? -1
                : write(STDOUT_FILENO, output->bytes + at, is_interrupted && left > PIPE_BUF ? PIPE_BUF : left);

        if (len >= 0)
            at += (size_t)len;
        else if (is_interrupted)
            history->output_error = -EINTR;
        else if (errno != EINTR)
            history->output_error = -errno;
    }
    line_clear(&history->output);
    return history->output_error ? OUTPUT_FAILED : 0;
}

static int show(struct history *history, const struct stored_message *message)
{
    format_add(&history->output, &history->format, message, selection_place(history->selection, message->connection));
    history->shown++;
    history->damaged += message->is_damaged;
    progress_at(&history->progress, message->id, history->shown);
    return history->output.len >= WRITE_BYTES || history->output.failed ? write_output(history) : 0;
}

/* ---- What is in the store ---- */

static int show_range(struct history *history, uint64_t after, uint64_t until)
{
    struct reader_range range = {
        .after = after, .until = until, .wants = selection_wants, .user = history->selection
    };
    struct reader_page page;
    int err = 0;

    while (range.after < range.until && !is_interrupted) {
        err = reader_read(history->reader, &range, &page);
        if (err) return err;
        for (size_t i = 0; i < page.count && !is_interrupted; i++) {
            err = show(history, &page.messages[i]);
            if (err) return err;
        }
        progress_at(&history->progress, range.after, history->shown);
    }
    return 0;
}

/* What is asked for, from behind that message on. */
static int show_window(struct history *history, uint64_t after)
{
    int err = 0;

    for (size_t i = 0; i < history->window.count && !err; i++) {
        const struct window_stretch *stretch = &history->window.stretches[i];

        err = show_range(history, after > stretch->after ? after : stretch->after, stretch->until);
    }
    return err;
}

/* Those of these ids, the newest first, that are still there. */
static int show_ids(struct history *history, const uint64_t *ids, size_t count)
{
    struct stored_message message;
    int err = 0;

    while (count > 0 && !is_interrupted) {
        err = reader_message(history->reader, ids[--count], &message);
        if (err == -ENOENT) continue;
        if (err) return err;
        err = show(history, &message);
        if (err) return err;
    }
    return 0;
}

/* The chains of clients lead through all stretches; of all clients each stretch has what is next to it. */
static int64_t find_newest(const struct history *history, uint64_t *ids, size_t limit)
{
    const struct window *window = &history->window;
    const bool has_all = selection_has_all(history->selection);
    struct newest_query query = { .connection = selection_connection(history->selection),
                                  .is_of = has_all ? NULL : selection_is_of,
                                  .wants = selection_wants,
                                  .user = history->selection };
    size_t found = 0;

    for (size_t left = window->count; left > 0 && found < limit; left = has_all ? left - 1 : 0) {
        int64_t count = 0;

        query.after = window->stretches[has_all ? left - 1 : 0].after;
        query.until = window->stretches[left - 1].until;
        count = newest_find(history->reader, &query, ids + found, limit - found);
        if (count < 0) return count;
        found += (size_t)count;
    }
    return (int64_t)found;
}

/* So many of the newest. When is_all_or_none, and there are more, nothing is shown, and *ret_is_shown false. */
static int show_newest(struct history *history, size_t limit, bool is_all_or_none, bool *ret_is_shown)
{
    uint64_t *ids = calloc(limit, sizeof(*ids));
    const int64_t count = ids ? find_newest(history, ids, limit) : -ENOMEM;
    int err = count < 0 ? (int)count : 0;

    *ret_is_shown = !err && !(is_all_or_none && (size_t)count == limit);
    if (*ret_is_shown && count > 0) {
        if (selection_has_all(history->selection)) /* they lie together */
            err = show_window(history, ids[count - 1] - 1);
        else
            err = show_ids(history, ids, (size_t)count);
    }
    free(ids);
    return err;
}

/* 0: all. */
static size_t find_limit(const struct history *history)
{
    const struct log_options *asked = &history->options->log;

    if (asked->last == WEIR_OFF) return 0;
    if (asked->last) return (size_t)asked->last;
    if (asked->since || asked->until || asked->after >= 0) return 0;
    return asked->follow || isatty(STDOUT_FILENO) ? LAST_DEFAULT : 0;
}

static int show_stored(struct history *history)
{
    const size_t limit = find_limit(history);
    bool is_shown = false;
    int err = 0;

    if (history->window.count)
        progress_start(&history->progress, history->window.stretches[0].after,
                       history->window.stretches[history->window.count - 1].until, !isatty(STDOUT_FILENO));
    format_add_header(&history->output, &history->format);
    if (limit)
        err = show_newest(history, limit, false, &is_shown);
    else if (!selection_has_all(history->selection))
        err = show_newest(history, CHAINED_MAX, true, &is_shown);
    if (!err && !limit && !is_shown) err = show_window(history, 0);
    progress_end(&history->progress);
    return err;
}

/* Where to begin, and where to end. */
static int find_bounds(struct history *history)
{
    struct window_query query = { .after = history->options->log.after > 0 ? (uint64_t)history->options->log.after : 0,
                                  .since_us = history->wanted.since_us,
                                  .until_us = history->wanted.until_us };
    int err = reader_newest(history->reader, &query.until);

    if (err) return err;
    history->until = query.until < query.after ? query.after : query.until;
    return window_find(history->reader, &query, &history->window);
}

static void write_second(int64_t second, char ret[SECOND_TEXT_BYTES])
{
    const time_t time = (time_t)second;
    struct tm day;

    if (gmtime_r(&time, &day))
        strftime(ret, SECOND_TEXT_BYTES, "%Y-%m-%dT%H:%M:%SZ", &day);
    else
        snprintf(ret, SECOND_TEXT_BYTES, "%" PRId64, second);
}

/* Whoever reads times as an order would take what is shown for a fault. */
static void warn_of_steps(const struct history *history)
{
    const struct window *window = &history->window;
    char before[SECOND_TEXT_BYTES], after[SECOND_TEXT_BYTES], count[COUNT_TEXT_BYTES_MAX];

    if (window->steps > 0) {
        write_second(window->last_step.before, before);
        write_second(window->last_step.after, after);
        count_text(window->steps, "time", count);
        fprintf(
            stderr,
            "weir: store %s: the clock was set back %s over the time that is asked for, at last from %s to %s before "
            "message %" PRIu64 "; messages are shown in the order in which they were stored\n",
            history->path, count, before, after, window->last_step.first_message);
    }
    if (window->searched_until > 0)
        fprintf(stderr,
                "weir: store %s: messages up to %" PRIu64
                " were stored by an older weir, which did not note when the clock "
                "was set back: more of them are looked at\n",
                history->path, window->searched_until);
}

/* ---- What comes ---- */

/* Waits a moment. Returns whether to go on: not when nobody can read what we write. */
static bool wait_a_moment(void)
{
    struct pollfd output = { .fd = STDOUT_FILENO };

    poll(&output, 1, LOOK_EVERY_MS);
    return !is_interrupted && !(output.revents & (POLLERR | POLLNVAL));
}

static int open_store(struct history *history, char error[READER_ERROR_BYTES_MAX])
{
    int err = reader_open(history->path, &history->reader, error);

    if (err) return err;
    err = selection_new(history->reader, &history->wanted, &history->selection);
    if (err)
        snprintf(error, READER_ERROR_BYTES_MAX, "%s", err == -ENOMEM ? strerror(ENOMEM) : reader_text(history->reader));
    return err;
}

static void close_store(struct history *history)
{
    selection_free(history->selection);
    reader_close(history->reader);
    history->selection = NULL;
    history->reader = NULL;
}

/* The file has gone, or another one is in its place. What is not there yet, or being made, is looked for again; a store
 * that is the same one, copied or brought back, goes on where we were. */
static int open_replacement(struct history *history, char *store_id, size_t store_id_size)
{
    char error[READER_ERROR_BYTES_MAX];
    const int err = open_store(history, error);

    if (err) {
        close_store(history);
        return err == -ENOMEM ? err : 0;
    }
    if (strcmp(store_id, reader_store_id(history->reader)) != 0) history->until = 0;
    snprintf(store_id, store_id_size, "%s", reader_store_id(history->reader));
    return 0;
}

/* Shows what has come since. */
static int show_new(struct history *history)
{
    const uint64_t after = history->until;
    uint64_t newest = 0;
    int err = reader_newest(history->reader, &newest);

    if (err == -EBUSY) return 0; /* a server begins or ends: next time */
    if (err || newest <= after) return err;
    history->until = newest;
    err = show_range(history, after, newest);
    return err ? err : write_output(history);
}

static int follow(struct history *history)
{
    char store_id[READER_STORE_ID_BYTES_MAX];
    int err = 0;

    snprintf(store_id, sizeof(store_id), "%s", reader_store_id(history->reader));
    while (!err && wait_a_moment()) {
        const bool is_replaced = history->reader && reader_is_replaced(history->reader);

        if (!history->reader) err = open_replacement(history, store_id, sizeof(store_id));
        if (!err && history->reader) err = show_new(history);
        if (!err && is_replaced) close_store(history); /* all that came before is shown */
    }
    return err;
}

/* ---- From start to end ---- */

static enum status fail(int err, const char *text)
{
    return status_error(COMMAND_LOG, err, text);
}

/* A closed pipe, where SIGPIPE is ignored, is how whoever reads says that it is enough. */
static enum status fail_to_write(int err)
{
    char text[128];

    if (err == -EPIPE) return STATUS_DONE;
    snprintf(text, sizeof(text), "standard output: %s", weir_strerror(err));
    return fail(err, text);
}

/* The last words: what was asked for is not all there. */
static enum status conclude(const struct history *history)
{
    char text[2 * READER_ERROR_BYTES_MAX];
    char count[COUNT_TEXT_BYTES_MAX];

    if (history->damaged > 0) {
        count_text(history->damaged, "message", count);
        snprintf(text, sizeof(text), "store %.1000s: %s damaged: the bytes are not those that were stored",
                 history->path, count);
        return fail(-EIO, text);
    }
    if (history->options->log.follow) return STATUS_DONE; /* it has no other end */
    if (is_interrupted) {
        count_text(history->shown, "message", count);
        snprintf(text, sizeof(text), "interrupted after %s", count);
        return fail(-EINTR, text);
    }
    if (history->shown || selection_has_all(history->selection) || selection_has_found(history->selection))
        return STATUS_DONE;
    snprintf(text, sizeof(text), "store %.1000s: it has no client %.200s", history->path, history->wanted.client);
    return fail(-ENOENT, text);
}

static void note_connection(const struct stored_connection *connection, void *user)
{
    selection_is_of(connection, user);
}

/* One that has sent nothing, or nothing in that time, is a client all the same. */
static void look_for_connection(struct history *history)
{
    struct stored_connection connection;
    const uint64_t number = selection_connection(history->selection);

    if (selection_has_all(history->selection) || selection_has_found(history->selection)) return;
    if (!number)
        reader_each_connection(history->reader, note_connection, history->selection);
    else if (reader_connection(history->reader, number, &connection) == 0)
        note_connection(&connection, history->selection);
}

static enum status run(struct history *history)
{
    int err = find_bounds(history);

    if (!err) warn_of_steps(history);
    if (!err) err = show_stored(history);
    if (!history->output_error) write_output(history); /* also what came before the store failed */
    if (!err && !history->output_error && history->options->log.follow) err = follow(history);
    if (history->output_error == -EINTR) return conclude(history);
    if (history->output_error) return fail_to_write(history->output_error);
    if (err) return fail(err, history->reader ? reader_text(history->reader) : weir_strerror(err));
    if (history->reader) look_for_connection(history);
    return conclude(history);
}

/* Damaged files of a store that nobody writes to: what SQLite will not find in them is not shown, and that is said.
 * While a server writes, the log changes under the walk, and the server has walked it itself. Returns whether it is so.
 */
static bool warn_of_damage(const char *path)
{
    char text[DAMAGE_TEXT_BYTES_MAX], sentence[FOLDER_PATH_BYTES_MAX + DAMAGE_TEXT_BYTES_MAX + 128];
    struct damage damage;

    if (damage_find(path, &damage) || damage.kind == DAMAGE_NONE || folder_is_locked(path)) return false;
    damage_describe(&damage, text);
    snprintf(sentence, sizeof(sentence),
             "store %s: %s; what cannot be read is not shown, and weir check --store says more", path, text);
    status_say_error(sentence);
    return true;
}

static enum status run_store(struct history *history)
{
    char error[READER_ERROR_BYTES_MAX];
    enum status status = STATUS_DONE;
    const bool is_damaged = warn_of_damage(history->path);
    const int err = open_store(history, error);

    if (err)
        status = fail(err, error);
    else
        status = run(history);
    if (is_damaged && status == STATUS_DONE) status = STATUS_FAILED; /* the reason stands above */
    close_store(history);
    line_fini(&history->output);
    return status;
}

static enum status parse_time(const char *option, const char *text, int64_t *ret_us)
{
    char error[OPTIONS_ERROR_BYTES_MAX];

    if (!text || !when_parse(text, clock_wall_us(), ret_us)) return STATUS_DONE;
    snprintf(error, sizeof(error), "%s %.200s: not a time; write how long ago, as 10m, or when, as 2026-11-23T10:00",
             option, text);
    return status_usage(COMMAND_LOG, error);
}

static struct format choose_format(const struct options *options, struct encoding *encoding)
{
    const bool is_terminal = isatty(STDOUT_FILENO);

    return (struct format){ .kind = (enum format_kind)options->log.format,
                            .style = { .columns = is_terminal ? terminal_columns(STDOUT_FILENO) : 0,
                                       .colour = terminal_has_colour(STDOUT_FILENO),
                                       .utf8 = !is_terminal || terminal_has_utf8(),
                                       .encoding = encoding } };
}

enum status log_run(const struct options *options)
{
    const struct log_options *asked = &options->log;
    struct history history = { .options = options, .wanted = { asked->client, INT64_MIN, INT64_MAX } };
    char path[FOLDER_PATH_BYTES_MAX];
    char error[LOCATE_ERROR_BYTES_MAX];
    struct encoding *encoding = NULL;
    enum status status = parse_time("--since", asked->since, &history.wanted.since_us);
    int err = 0;

    if (status == STATUS_DONE) status = parse_time("--until", asked->until, &history.wanted.until_us);
    if (status != STATUS_DONE) return status;
    if (asked->follow && asked->until) return status_usage(COMMAND_LOG, "--follow and --until exclude each other");
    err = locate_store(options->store, path, error);
    if (err == -EINVAL) return status_usage(COMMAND_LOG, error);
    if (err) return fail(err, error);
    err = options_open_encoding(options, &encoding, error);
    if (err) return fail(err, error);
    history.path = path;
    history.format = choose_format(options, encoding);
    catch_signals();
    status = run_store(&history);
    if (status == STATUS_DONE) status = status_stdout();
    encoding_close(encoding);
    return status;
}

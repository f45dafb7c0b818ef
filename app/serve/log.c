/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Puts what the server has to say into lines, as text, as JSON or for journald, and hands them to a printer.
 * Must never wait for standard error once it has started, never let a sentence become two lines, and never let what it
 * quotes steer a terminal. */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/journald.h"
#include "text/json.h"
#include "text/render.h"

struct log {
    enum log_format format;
    enum weir_log_level level;
    bool is_journal;
    bool started;
    struct printer *printer;
};

/* ---- Lines ---- */

/* One sentence in words and what it is about. */
struct sentence {
    enum weir_log_level level;
    const char *kind;
    const char *before; /* it, in text for people: "warning: " */
    const char *text;
    size_t len;
};

static void add_json(struct line *line, const struct sentence *sentence)
{
    static const char *const levels[] = {
        [WEIR_LOG_ERROR] = "error", [WEIR_LOG_WARNING] = "warning", [WEIR_LOG_INFO] = "info", [WEIR_LOG_DEBUG] = "debug"
    };
    const struct timespec now = clock_wall();

    line_add_text(line, "{\"time\":");
    json_add_time(line, &now);
    line_addf(line, ",\"level\":\"%s\",\"kind\":\"%s\",\"text\":", levels[sentence->level], sentence->kind);
    json_add_string(line, NULL, (struct weir_bytes){ (const unsigned char *)sentence->text, sentence->len });
    line_add_text(line, "}\n");
}

static void add_sentence(const struct log *log, struct line *line, const struct sentence *sentence)
{
    if (log->is_journal) line_add_text(line, journald_prefix(sentence->level));
    if (log->format == LOG_FORMAT_JSON) {
        add_json(line, sentence);
        return;
    }
    line_add_text(line, sentence->before);
    render_sentence(line, sentence->text, sentence->len);
    line_add_text(line, "\n");
}

static void print(struct log *log, struct line *line)
{
    if (line->failed)
        printer_count_lost(log->printer);
    else
        printer_add(log->printer, line->bytes, line->len);
    line_fini(line);
}

static void say(struct log *log, const struct sentence *sentence)
{
    struct line line = { 0 };

    if (sentence->level > log->level) return;
    add_sentence(log, &line, sentence);
    print(log, &line);
}

/* What a printer says of itself: its own words, in a line like the others. */
static void wrap(struct line *line, const char *text, size_t len, void *user)
{
    static const char program[] = "weir: ";
    const struct log *log = user;
    struct sentence sentence = { .level = WEIR_LOG_WARNING, .kind = "output", .before = "", .text = text, .len = len };

    if (log->format == LOG_FORMAT_JSON && strncmp(text, program, strlen(program)) == 0) {
        sentence.text += strlen(program);
        sentence.len -= strlen(program);
    }
    add_sentence(log, line, &sentence);
}

/* ---- Saying ---- */

static const char *word_before(enum weir_log_level level)
{
    static const char *const words[] = { [WEIR_LOG_ERROR] = "error: ",
                                         [WEIR_LOG_WARNING] = "warning: ",
                                         [WEIR_LOG_INFO] = "",
                                         [WEIR_LOG_DEBUG] = "debug: " };

    return words[level];
}

void log_say(struct log *log, enum weir_log_level level, const char *kind, const char *format, ...)
{
    struct sentence sentence = { .level = level, .kind = kind, .before = word_before(level) };
    char text[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    sentence.text = text;
    sentence.len = strlen(text);
    say(log, &sentence);
}

void log_announce(struct log *log, const char *kind, const struct line *lines)
{
    struct line line = { .failed = lines->failed };
    size_t begin = 0;

    for (size_t i = 0; i < lines->len; i++) {
        const struct sentence sentence = {
            .level = WEIR_LOG_INFO, .kind = kind, .before = "", .text = lines->bytes + begin, .len = i - begin
        };
        if (lines->bytes[i] != '\n') continue;
        add_sentence(log, &line, &sentence);
        begin = i + 1;
    }
    print(log, &line);
}

void log_fail(struct log *log, const char *sentence)
{
    const struct sentence failure = {
        .level = WEIR_LOG_ERROR, .kind = "fail", .before = "weir: ", .text = sentence, .len = strlen(sentence)
    };
    struct line line = { 0 };

    if (log->started) {
        say(log, &failure);
        return;
    }
    add_sentence(log, &line, &failure);
    if (line.len) fwrite(line.bytes, 1, line.len, stderr);
    line_fini(&line);
}

void log_on_engine(enum weir_log_level level, enum weir_log_kind kind, const char *text, void *user)
{
    static const char *const kinds[WEIR_LOG_KIND_COUNT] = { [WEIR_LOG_ACCEPT] = "accept",
                                                            [WEIR_LOG_LIMIT] = "limit",
                                                            [WEIR_LOG_MEMORY] = "memory",
                                                            [WEIR_LOG_STRANGER] = "stranger",
                                                            [WEIR_LOG_STATE] = "state" };
    const struct sentence sentence = {
        .level = level, .kind = kinds[kind], .before = word_before(level), .text = text, .len = strlen(text)
    };

    say(user, &sentence);
}

/* ---- Its life ---- */

int log_new(enum log_format format, enum weir_log_level level, struct log **ret)
{
    struct log *log = calloc(1, sizeof(*log));
    const int err = log ? printer_new(STDERR_FILENO, "standard error", NULL, &log->printer) : -ENOMEM;

    if (err) {
        free(log);
        return err;
    }
    log->format = format;
    log->level = level;
    log->is_journal = journald_is_stderr();
    printer_set_wrap(log->printer, wrap, log);
    *ret = log;
    return 0;
}

int log_start(struct log *log)
{
    const int err = log->started ? 0 : printer_start(log->printer);

    log->started = !err;
    return err;
}

struct printer *log_printer(struct log *log)
{
    return log->printer;
}

bool log_finish(struct log *log, int wait_ms)
{
    return !log || printer_finish(log->printer, wait_ms);
}

void log_free(struct log *log)
{
    if (!log) return;
    printer_free(log->printer);
    free(log);
}

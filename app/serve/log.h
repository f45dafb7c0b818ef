/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the server says on standard error. */
#ifndef APP_SERVE_LOG_H
#define APP_SERVE_LOG_H

#include <stdbool.h>

#include <weir/weir.h>

#include "cli/options.h"
#include "terminal/printer.h"
#include "text/line.h"

/* The one way to standard error while the server runs: text, or JSON objects, one a line; under journald each line
 * begins with its level as sd-daemon(3) writes it. */
struct log;

/* level is the least urgent that is said. Lines can be added at once; before log_start they are kept, but for
 * log_fail's. Returns 0 or -ENOMEM. */
int log_new(enum log_format format, enum weir_log_level level, struct log **ret);

/* From now on lines are written by a thread of their own, and whoever adds one never waits. Returns 0 or a code. */
int log_start(struct log *log);

/* One sentence, without a newline. kind is one word for programs: what it is about. Any thread. */
void log_say(struct log *log, enum weir_log_level level, const char *kind, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Lines that belong together, each with its newline, whatever the level: what other programs wait for. */
void log_announce(struct log *log, const char *kind, const struct line *lines);

/* Why the server cannot go on. Before log_start it is written at once. */
void log_fail(struct log *log, const char *sentence);

/* The engine's on_log; user is the log. */
void log_on_engine(enum weir_log_level level, enum weir_log_kind kind, const char *text, void *user);

/* The queue that the lines go through, for what another printer has to say of itself. */
struct printer *log_printer(struct log *log);

/* As printer_finish and printer_free. NULL is accepted. */
bool log_finish(struct log *log, int wait_ms);
void log_free(struct log *log);

#endif

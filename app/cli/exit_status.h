/* SPDX-License-Identifier: BSD-3-Clause
 *
 * How the program ends. The numbers are part of the command line's contract. */
#ifndef APP_CLI_EXIT_STATUS_H
#define APP_CLI_EXIT_STATUS_H

#include "options.h"

enum status {
    STATUS_DONE = 0,
    STATUS_FAILED = 1,
    STATUS_USAGE = 2,
    STATUS_REFUSED = 3,
    STATUS_RESET = 4,
    STATUS_TIMED_OUT = 5,
    STATUS_NO_ROUTE = 6,
    STATUS_NOT_STORED = 7 /* verify --check */
};

/* A sentence on standard error, as it is; and one that begins with the program's name, as it says what went wrong. What
 * it quotes may be anything. */
void status_say(const char *text);
void status_say_error(const char *text);

/* Says what is wrong with a command line, and where to read how it is right. Returns STATUS_USAGE. */
enum status status_usage(enum command command, const char *text);

/* The same of a command line that names no command. */
enum status status_no_command(const char *text);

/* STATUS_FAILED, or STATUS_USAGE when err is one that the caller's words caused. */
enum status status_of(int err);

/* Says why it cannot go on. Returns STATUS_FAILED, or STATUS_USAGE when err is one that the caller's words caused. */
enum status status_error(enum command command, int err, const char *text);

/* What was printed may not have arrived: a full disk, a reader that is gone. Says so. Returns STATUS_DONE or
 * STATUS_FAILED. */
enum status status_stdout(void);

#endif

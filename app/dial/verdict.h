/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the end of a dialled connection means to the person who dialled. */
#ifndef APP_DIAL_VERDICT_H
#define APP_DIAL_VERDICT_H

#include <stddef.h>

#include <weir/weir.h>

#include "cli/exit_status.h"

enum { TARGET_BYTES_MAX = 300, VERDICT_BYTES_MAX = 1024 };

/* The server's address for sentences: "tcp://127.0.0.1:8000", "unix:/run/x". */
void verdict_target(const struct weir_url *url, char ret[TARGET_BYTES_MAX]);

/* The exit status for that reason and errno, and a sentence that names the server and says what to do, without a
 * newline; empty for an ordinary end. A refusal on loopback looks whether something listens on the byte-swapped port,
 * which takes half a second at most. */
enum status verdict(enum weir_reason reason, int error, const struct weir_url *url, char ret[VERDICT_BYTES_MAX]);

/* Says it on standard error. */
enum status verdict_say(enum weir_reason reason, int error, const struct weir_url *url);

/* Says that of the server, and returns the status. */
enum status verdict_say_text(enum status status, const char *target, const char *text);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Standard error that journald reads (systemd.exec(5)). */
#ifndef APP_BASE_JOURNALD_H
#define APP_BASE_JOURNALD_H

#include <stdbool.h>

#include <weir/weir.h>

/* Whether standard error is journald's. */
bool journald_is_stderr(void);

/* The mark of a level in front of a line, as sd-daemon(3) writes it. */
const char *journald_prefix(enum weir_log_level level);

/* The same, and "" when somebody else reads standard error. */
const char *journald_stderr_prefix(enum weir_log_level level);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * `weir log`: what is in a store, and what comes. */
#ifndef APP_LOG_LOG_H
#define APP_LOG_LOG_H

#include "cli/exit_status.h"
#include "cli/options.h"

enum status log_run(const struct options *options);

#endif

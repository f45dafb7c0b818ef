/* SPDX-License-Identifier: BSD-3-Clause
 *
 * `weir bench`. */
#ifndef APP_BENCH_BENCH_H
#define APP_BENCH_BENCH_H

#include "cli/exit_status.h"
#include "cli/options.h"

/* Loads the server that the options name until their time or number of messages is reached, or somebody presses Ctrl-C,
 * and prints what came of it. Returns the exit status. */
enum status bench_run(const struct options *options);

#endif

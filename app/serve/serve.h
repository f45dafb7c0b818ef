/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Weir serve. */
#ifndef APP_SERVE_SERVE_H
#define APP_SERVE_SERVE_H

#include "cli/exit_status.h"
#include "cli/options.h"

/* Serves until it is told to stop. */
enum status serve(const struct options *options);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Weir connect. */
#ifndef APP_CONNECT_CONNECT_H
#define APP_CONNECT_CONNECT_H

#include "cli/exit_status.h"
#include "cli/options.h"

/* Connects, sends what comes from standard input, shows what is answered, until the server ends. */
enum status connect_run(const struct options *options);

#endif

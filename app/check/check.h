/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Weir check. */
#ifndef APP_CHECK_CHECK_H
#define APP_CHECK_CHECK_H

#include "cli/exit_status.h"
#include "cli/options.h"

/* Prints what the options mean, or what the bytes that they give are cut into. Binds and resolves nothing. */
enum status check_run(const struct options *options);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Weir verify. */
#ifndef APP_VERIFY_VERIFY_H
#define APP_VERIFY_VERIFY_H

#include "cli/exit_status.h"
#include "cli/options.h"

/* Sends numbered messages until all are acknowledged; or, with --check, compares the ledger with a store. */
enum status verify_run(const struct options *options);

#endif

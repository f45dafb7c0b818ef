/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Weir verify --check. Private to this folder. */
#ifndef APP_VERIFY_AUDIT_H
#define APP_VERIFY_AUDIT_H

#include "cli/exit_status.h"
#include "cli/options.h"

/* Compares the ledger with the store, and prints what came of it: STATUS_NOT_STORED when what was acknowledged is not
 * there as it was sent. */
enum status audit_run(const struct options *options);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Weir check of a store: is all of it as it was stored, and if not, going on without the rest. */
#ifndef APP_CHECK_STORED_H
#define APP_CHECK_STORED_H

#include <stdbool.h>

#include "cli/exit_status.h"
#include "cli/options.h"

/* Whether the options ask for this and not for what a configuration means: --store with a path, and nothing else but
 * what is to be done with the store. */
bool check_is_of_store(const struct options *options);

/* Looks at the log, and at the checksum of each message; prints what is there. With accept_loss what cannot be read is
 * given up, after all files were copied aside; with backup the store is copied, see backup.h; with new_id alone it is
 * given another identity. The store: as locate_store takes it, and no word of its own. Returns STATUS_DONE when all is
 * well, at the end. */
enum status check_stored(const struct options *options);

#endif

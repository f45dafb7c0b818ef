/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app/check/stored.h: weir check of a store: is all of it as it was stored, and if not, going on without the rest. */
#ifndef APP_CHECK_STORED_H
#define APP_CHECK_STORED_H

#include <stdbool.h>

#include "status.h"

/* Whether the options ask for this and not for what a configuration means: --store with a path
 * and nothing else. */
bool check_is_of_store(const struct options *options);

/* Looks at the log, and at the checksum of each message; prints what is there. With accept_loss what cannot be read is
 * given up, after all files were copied aside. wanted: as locate_store takes it, and no word of its own. Returns
 * STATUS_DONE when all is well, at the end. */
enum status check_stored(const char *wanted, bool accept_loss);

#endif

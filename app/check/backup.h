/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Weir check --store PATH --backup FILE. */
#ifndef APP_CHECK_BACKUP_H
#define APP_CHECK_BACKUP_H

#include <stdbool.h>

#include "cli/exit_status.h"

/* Copies the store at path to file, which is not there yet, and checks the copy; prints what is in it. With gives_id
 * the copy gets an identity of its own. A failure leaves nothing behind. Returns STATUS_DONE when all is well; else
 * there is no copy, or it has messages that were damaged before, and a sentence says which. */
enum status backup_make(const char *path, const char *file, bool gives_id);

#endif

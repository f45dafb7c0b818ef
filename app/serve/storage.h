/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The store of weir serve: where it lies, whose it is, and what is said of it. */
#ifndef APP_SERVE_STORAGE_H
#define APP_SERVE_STORAGE_H

#include <weir/weir.h>

#include "journal/journal.h"
#include "log.h"
#include "plan.h"

struct storage;

enum { STORAGE_ERROR_BYTES_MAX = 1400 };

/* Opens the store of the plan: the lock is taken, the log seen through. One that is named after the first listener has
 * its folder made. Where a store that is there cannot be opened because the disk is full or somebody locks it, this
 * waits. *ret is NULL when nothing is to be stored. Returns 0, or a negative code with a sentence; -ECANCELED: while it
 * waited, a signal asked the process to end. */
int storage_open(const struct plan *plan, const struct weir_listener *first, struct log *log, struct storage **ret,
                 char error[STORAGE_ERROR_BYTES_MAX]);

struct journal *storage_journal(struct storage *storage);

/* Says where it lies, and how much of it is kept. */
void storage_announce(struct storage *storage);

/* After weir_run: what is left is stored. Returns 0; -EIO when some of it was not, or the store is not well; or
 * -ETIMEDOUT when the store was not closed by the deadline (clock_ms; INT64_MAX: none), and then the process has to end
 * without storage_close and weir_free. The log says so. */
int storage_stop(struct storage *storage, int64_t deadline_ms);

/* After weir_free. NULL is accepted. */
void storage_close(struct storage *storage);

#endif

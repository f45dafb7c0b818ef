/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app/keep.h: the store of weir serve: where it lies, whose it is, and what is said of it. */
#ifndef APP_KEEP_H
#define APP_KEEP_H

#include <weir/weir.h>

#include "journal/journal.h"
#include "log.h"
#include "options/options.h"

struct keep;

enum { KEEP_ERROR_BYTES_MAX = 1400 };

/* Opens the store that the options ask for, named after the listener when none is named: the folder is made, the lock
 * taken, the log seen through. *ret is NULL when nothing is to be kept. Returns 0, or a negative code with a sentence;
 * -EINVAL: the options are wrong. */
int keep_open(const struct options *options, const struct weir_listener *first, unsigned workers, struct log *log,
              struct keep **ret, char error[KEEP_ERROR_BYTES_MAX]);

struct journal *keep_journal(struct keep *keep);

/* Says where it lies, and how much of it is kept. */
void keep_announce(struct keep *keep);

/* After weir_run: what is left is stored. Returns whether all of it was; the log says so otherwise. */
bool keep_stop(struct keep *keep);

/* After weir_free. NULL is accepted. */
void keep_close(struct keep *keep);

#endif

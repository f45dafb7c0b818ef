/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app/keep.h: the store of weir serve: where it lies, whose it is, and what is said of it. */
#ifndef APP_KEEP_H
#define APP_KEEP_H

#include <weir/weir.h>

#include "journal/folder.h"
#include "journal/journal.h"
#include "log.h"
#include "options/options.h"

struct keep;

enum { KEEP_ERROR_BYTES_MAX = 1400 };

/* Whether anything is: unless it was turned off. */
bool keep_is_wanted(const struct options *options);

/* Where the store lies: where the options say, else named after an address, which is the first one that is bound (the
 * name has PORT in it when the port is not known yet). Not when nothing is kept. Returns 0, or a negative code with a
 * sentence. */
int keep_find_path(const struct options *options, const char *address, char ret[FOLDER_PATH_BYTES_MAX],
                   char error[KEEP_ERROR_BYTES_MAX]);

/* Whether all that a listener with these options may take can be stored. Returns 0, or -EINVAL with a sentence. */
int keep_check(const struct options *options, const struct endpoint_options *endpoint, char *error, size_t error_size);

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

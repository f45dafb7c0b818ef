/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app/check/effect.h: what is in effect, and where it comes from. */
#ifndef APP_CHECK_EFFECT_H
#define APP_CHECK_EFFECT_H

#include "options/options.h"
#include "terminal/line.h"

/* Adds a line for each option of `serve`: for each listener, and then for the server. Four columns: whose, the option,
 * where its value comes from, and the value, which alone may have blanks in it (but for a file whose name has: it is in
 * quotes). The store is shown by its path; NULL: as it was asked for. */
void effect_add(struct line *line, const struct options *options, const char *store_path);

#endif

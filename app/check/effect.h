/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What is in effect, and where it comes from. */
#ifndef APP_CHECK_EFFECT_H
#define APP_CHECK_EFFECT_H

#include "serve/plan.h"
#include "text/line.h"

/* Adds a line for each option of `serve`: for each listener, and then for the server; and for each part of the memory.
 * Four columns: whose, the option, where its value comes from, and the value, which alone may have blanks in it (but
 * for a file whose name has: it is in quotes). A store is shown by its path. */
void effect_add(struct line *line, const struct plan *plan);

#endif

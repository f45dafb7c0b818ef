/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Where a line that is typed ends up on the screen. */
#ifndef APP_TERMINAL_WRAP_H
#define APP_TERMINAL_WRAP_H

#include <stddef.h>
#include <wchar.h>

/* A place on the screen, counted from where the prompt begins. Starts zeroed. */
struct wrap {
    unsigned row;
    unsigned column;
};

/* Moves the place behind a text as libedit draws it on a terminal so many columns wide: a character that does not fit
 * goes to the next row whole, and behind the last column is the next row. */
void wrap_text(struct wrap *wrap, const wchar_t *text, size_t len, unsigned columns);

/* Moves a cursor that stands before this character: to the next row, where the character will be, when it does not fit.
 */
void wrap_before(struct wrap *wrap, wchar_t character, unsigned columns);

#endif

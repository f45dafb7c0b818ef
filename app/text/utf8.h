/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Characters in bytes, and how many columns a terminal gives them. */
#ifndef APP_TEXT_UTF8_H
#define APP_TEXT_UTF8_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/frame.h>

enum { UTF8_INVALID = -1, UTF8_CUT = -2, UTF8_BYTES_MAX = 4 };

/* The length (1 to 4) of the character that bytes begin with, and its code point in *ret; UTF8_INVALID; or UTF8_CUT
 * when the bytes end inside a character that is right so far, or are none. Overlong forms and surrogates are invalid.
 */
int utf8_decode(struct weir_bytes bytes, uint32_t *ret);

/* How many of the first bytes are printable ASCII: for most text, all of them, and they are found a good deal faster
 * than one by one. */
size_t utf8_plain_len(struct weir_bytes bytes);

/* Writes a character. Returns its length. */
size_t utf8_encode(uint32_t character, char ret[UTF8_BYTES_MAX]);

/* To be called once, before utf8_columns: takes the character tables of the C library. Without it, or where the system
 * has no UTF-8 tables, every character beyond ASCII counts as unprintable. */
void utf8_init(void);

/* Columns of a character: 0 (joins the one before it), 1, 2; or -1 when it must not be shown as it is: controls, what
 * changes the direction of text or cannot be seen, and what is no character. */
int utf8_columns(uint32_t character);

/* Makes question marks of what must not be shown as it is, in place: for what a person has typed. */
void utf8_make_printable(char *text);

#endif

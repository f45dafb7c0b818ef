/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Which characters bytes stand for, where that is not UTF-8. It is for what is shown and typed
 * only: bytes on the wire are never changed. */
#ifndef APP_TEXT_ENCODING_H
#define APP_TEXT_ENCODING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/frame.h>

#include "line.h"

/* An encoding by name. Everywhere here NULL stands for UTF-8. Any thread may use it, several at once. */
struct encoding;

/* Opens one by a name that iconv(1) knows; *ret is NULL for UTF-8. Returns 0; or -EINVAL when there is none of that
 * name, or one in which a character's bytes depend on those before it (UTF-7, ISO-2022), or -ENOMEM, with a sentence in
 * error that does not name the encoding. */
int encoding_open(const char *name, struct encoding **ret, char *error, size_t error_size);
void encoding_close(struct encoding *encoding);

/* A character in bytes. */
struct character {
    int result;    /* 0: there is one; UTF8_INVALID; or UTF8_CUT, when the bytes end inside it, or are none */
    uint32_t code; /* its code point, when there is one */
    size_t len;    /* its bytes; or those that are no character, after which to go on: 0 only when there are none */
};

/* The character that bytes begin with. */
struct character encoding_decode(struct encoding *encoding, struct weir_bytes bytes);

/* Whether all of it is whole characters. */
bool encoding_is_valid(struct encoding *encoding, struct weir_bytes bytes);

/* Whether that can be read in whatever shows it, and is harmless there: printable characters, tabs and line ends. */
bool encoding_is_readable(struct encoding *encoding, struct weir_bytes bytes);

/* The length of the first line in bytes, its newline included: as many bytes as *ret_newline says, 0 when the last line
 * has none. */
size_t encoding_line_len(struct encoding *encoding, struct weir_bytes bytes, size_t *ret_newline);

/* Adds a character. Returns 0, or -EILSEQ when the encoding has no such character. */
int encoding_add(struct encoding *encoding, uint32_t character, struct line *line);

/* Adds what a text in UTF-8 with the escapes of weir_unescape stands for: characters in the encoding, escapes as the
 * bytes they are; what is no UTF-8 stays as it is in UTF-8. Returns 0; or -EINVAL, at what is no escape or no UTF-8, or
 * -EILSEQ, at a character that the encoding does not have, with the place in text in *ret_offset. */
int encoding_add_typed(struct encoding *encoding, const char *text, struct line *line, size_t *ret_offset);

#endif

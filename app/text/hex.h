/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Bytes as people write them, in hex. */
#ifndef APP_TEXT_HEX_H
#define APP_TEXT_HEX_H

#include <stddef.h>

#include <weir/frame.h>

#include "line.h"

enum { HEX_ERROR_BYTES_MAX = 128 };

/* Reads two digits a byte; between bytes there may be blanks, newlines, colons and commas, and 0x before them. `ret`
 * has room for half as many bytes as text has characters, and may be text itself. Returns 0, or -EINVAL with a sentence
 * that names the place. */
int hex_parse(const char *text, unsigned char *ret, size_t *ret_len, char error[HEX_ERROR_BYTES_MAX]);

/* Adds two digits a byte, and between bytes that character; 0: none. */
void hex_add(struct line *line, struct weir_bytes bytes, char between);

#endif

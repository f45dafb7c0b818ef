/* SPDX-License-Identifier: BSD-3-Clause
 *
 * text.h: for targets whose input is a text. */
#ifndef WEIR__FUZZ_TEXT_H
#define WEIR__FUZZ_TEXT_H

#include <string.h>

#include "fuzz.h"

/* The input as a C string in a block of exactly its size; it ends at the first NUL. To be freed. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
    size_t len = strnlen((const char *)data, size);
    char *text = (char *)fuzz_block(len + 1);

    if (len > 0) memcpy(text, data, len);
    text[len] = '\0';
    return text;
}

#endif

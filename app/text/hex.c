/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Bytes in hex. Reads them as they are copied from a manual, a log or another program. Must
 * never guess: a digit alone is an error, not a byte. */
#include "hex.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SEPARATORS " \t\r\n:,"

static int digit_value(char digit)
{
    if (digit >= '0' && digit <= '9') return digit - '0';
    if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
    return -1;
}

/* What stands between bytes. */
static size_t skip_separators(const char *text)
{
    size_t len = 0;

    for (;;) {
        len += strspn(text + len, SEPARATORS);
        if (text[len] != '0' || (text[len + 1] != 'x' && text[len + 1] != 'X')) return len;
        len += 2;
        /* 0x stands before a byte: two in a row, or a separator behind one, are a slip. */
        if (digit_value(text[len]) < 0 || text[len + 1] == 'x' || text[len + 1] == 'X') return len;
    }
}

static int fail_at(const char *text, size_t offset, char error[HEX_ERROR_BYTES_MAX])
{
    const char letter = text[offset];

    if (!letter)
        snprintf(error, HEX_ERROR_BYTES_MAX, "it ends in the middle of a byte: a byte has two digits");
    else if (offset && digit_value(text[offset - 1]) >= 0 && strchr(SEPARATORS, letter))
        snprintf(error, HEX_ERROR_BYTES_MAX, "a digit alone at character %zu: a byte has two", offset);
    else if (letter > ' ' && letter < 0x7f)
        snprintf(error, HEX_ERROR_BYTES_MAX, "'%c' at character %zu is no hex digit", letter, offset + 1);
    else
        snprintf(error, HEX_ERROR_BYTES_MAX, "character %zu is no hex digit", offset + 1);
    return -EINVAL;
}

int hex_parse(const char *text, unsigned char *ret, size_t *ret_len, char error[HEX_ERROR_BYTES_MAX])
{
    size_t at = skip_separators(text);
    size_t len = 0;

    while (text[at] || (at >= 2 && (text[at - 1] == 'x' || text[at - 1] == 'X'))) {
        const int high = digit_value(text[at]);
        const int low = high < 0 ? -1 : digit_value(text[at + 1]);
        if (low < 0) return fail_at(text, high < 0 ? at : at + 1, error);
        ret[len++] = (unsigned char)(high << 4 | low);
        at += 2;
        at += skip_separators(text + at);
    }
    *ret_len = len;
    return 0;
}

void hex_add(struct line *line, struct weir_bytes bytes, char between)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < bytes.len; i++) {
        const char text[] = { between, digits[bytes.data[i] >> 4], digits[bytes.data[i] & 15] };
        const size_t begin = i == 0 || !between;
        line_add(line, text + begin, sizeof(text) - begin);
    }
}

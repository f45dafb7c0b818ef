/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Escapes: how bytes that cannot be typed are written, in SPECs, in templates and at the prompt. It must never write
 * ahead of what it has read, because the bytes may replace the text they are made from. */
#include <errno.h>
#include <string.h>

#include <weir/frame.h>

/* The escapes of one character and what they stand for. */
static const char letters[] = "nrt0abefv\\\"'";
static const char meanings[] = "\n\r\t\0\a\b\033\f\v\\\"'";

_Static_assert(sizeof(letters) == sizeof(meanings), "each escape has a meaning");

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* The escape behind a backslash: its length, with the byte in *ret, or 0 when there is no such escape. */
static size_t escape_read(const char *text, unsigned char *ret)
{
    const char *letter;

    if (text[0] == '\0') return 0;
    if (text[0] == 'x') {
        int high = hex_digit(text[1]);
        int low = high < 0 ? -1 : hex_digit(text[2]);
        if (low < 0) return 0;
        *ret = (unsigned char)(high * 16 + low);
        return 3;
    }
    letter = strchr(letters, text[0]);
    if (!letter) return 0;
    *ret = (unsigned char)meanings[letter - letters];
    return 1;
}

int weir_unescape(const char *text, unsigned char *ret, size_t room, size_t *ret_len)
{
    size_t at = 0, len = 0;

    if (!text || (!ret && room > 0) || !ret_len) {
        if (ret_len) *ret_len = 0;
        return -EINVAL;
    }
    while (text[at] != '\0') {
        unsigned char byte = (unsigned char)text[at];
        size_t used = 1;

        if (byte == '\\') {
            size_t escape = escape_read(text + at + 1, &byte);
            if (escape == 0) {
                *ret_len = at;
                return -EINVAL;
            }
            used += escape;
        }
        if (len == room) return -ENOBUFS;
        ret[len++] = byte;
        at += used;
    }
    *ret_len = len;
    return 0;
}

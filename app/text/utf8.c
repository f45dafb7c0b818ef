/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Decodes UTF-8 and says which characters are safe to show and how wide they are. Must never read
 * past the bytes it was given, and never call a character safe that could steer a terminal or hide or turn round the
 * text beside it. */
#include "utf8.h"

#include <locale.h>
#include <stddef.h>
#include <string.h>
#include <wchar.h>

/* By first byte: how long a character is, and the bounds of its second byte (Unicode, table 3-7). They rule out
 * overlong forms, surrogates and what lies beyond U+10FFFF. */
static const struct {
    unsigned char first_min, first_max, len, second_min, second_max;
} forms[] = {
    { 0x00, 0x7f, 1, 0, 0 },       { 0xc2, 0xdf, 2, 0x80, 0xbf }, { 0xe0, 0xe0, 3, 0xa0, 0xbf },
    { 0xe1, 0xec, 3, 0x80, 0xbf }, { 0xed, 0xed, 3, 0x80, 0x9f }, { 0xee, 0xef, 3, 0x80, 0xbf },
    { 0xf0, 0xf0, 4, 0x90, 0xbf }, { 0xf1, 0xf3, 4, 0x80, 0xbf }, { 0xf4, 0xf4, 4, 0x80, 0x8f },
};

static int decode_as(struct weir_bytes bytes, size_t form, uint32_t *ret)
{
    static const unsigned char first_bits[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
    const int len = forms[form].len;
    uint32_t character = bytes.data[0] & first_bits[len];

    for (int i = 1; i < len; i++) {
        const unsigned char min = i == 1 ? forms[form].second_min : 0x80;
        const unsigned char max = i == 1 ? forms[form].second_max : 0xbf;
        if ((size_t)i == bytes.len) return UTF8_CUT;
        if (bytes.data[i] < min || bytes.data[i] > max) return UTF8_INVALID;
        character = character << 6 | (bytes.data[i] & 0x3f);
    }
    *ret = character;
    return len;
}

int utf8_decode(struct weir_bytes bytes, uint32_t *ret)
{
    if (!bytes.len) return UTF8_CUT;
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
        if (bytes.data[0] >= forms[i].first_min && bytes.data[0] <= forms[i].first_max) return decode_as(bytes, i, ret);
    return UTF8_INVALID;
}

size_t utf8_plain_len(struct weir_bytes bytes)
{
    size_t len = 0;

    while (len < bytes.len && bytes.data[len] >= 0x20 && bytes.data[len] < 0x7f)
        len++;
    return len;
}

size_t utf8_encode(uint32_t character, char ret[UTF8_BYTES_MAX])
{
    static const unsigned char first_marks[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
    const size_t len = character < 0x80 ? 1 : character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;

    for (size_t i = len - 1; i > 0; i--, character >>= 6)
        ret[i] = (char)(0x80 | (character & 0x3f));
    ret[0] = (char)(first_marks[len] | character);
    return len;
}

void utf8_init(void)
{
    setlocale(LC_CTYPE, "C.UTF-8");
}

/* Characters that the C library calls printable, and that hide or turn round what stands beside them. */
static bool is_deceptive(uint32_t character)
{
    static const struct {
        uint32_t min, max;
    } ranges[] = {
        { 0x00ad, 0x00ad },   /* soft hyphen */
        { 0x034f, 0x034f },   /* combining grapheme joiner */
        { 0x061c, 0x061c },   /* Arabic letter mark: direction */
        { 0x115f, 0x1160 },   /* Hangul fillers: look like nothing */
        { 0x17b4, 0x17b5 },   /* Khmer inherent vowels: look like nothing */
        { 0x180b, 0x180f },   /* Mongolian selectors */
        { 0x200b, 0x200b },   /* zero width space; the joiners behind it are ordinary parts of words and emoji */
        { 0x200e, 0x200f },   /* direction marks */
        { 0x2028, 0x202e },   /* line and paragraph separators, direction embeddings and overrides */
        { 0x2060, 0x206f },   /* word joiner, invisible operators, direction isolates */
        { 0x3164, 0x3164 },   /* Hangul filler */
        { 0xfeff, 0xfeff },   /* byte order mark */
        { 0xffa0, 0xffa0 },   /* halfwidth Hangul filler */
        { 0xfff0, 0xfffb },   /* annotation anchors */
        { 0x1bca0, 0x1bca3 }, /* shorthand format controls */
        { 0x1d173, 0x1d17a }, /* musical format controls */
        { 0xe0000, 0xe0fff }, /* tags */
    };

    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
        if (character >= ranges[i].min && character <= ranges[i].max) return true;
    return false;
}

int utf8_columns(uint32_t character)
{
    if (character < 0x20 || (character >= 0x7f && character < 0xa0)) return -1;
    if (character < 0x7f) return 1;
    if (is_deceptive(character)) return -1;
    return wcwidth((wchar_t)character);
}

void utf8_make_printable(char *text)
{
    struct weir_bytes rest = { (const unsigned char *)text, strlen(text) };

    while (rest.len) {
        uint32_t character = 0;
        const int len = utf8_decode(rest, &character);
        const size_t step = len > 0 ? (size_t)len : 1;
        if (len < 0 || utf8_columns(character) < 0) memset(text, '?', step);
        text += step;
        rest.data += step;
        rest.len -= step;
    }
}

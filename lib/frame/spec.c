/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What SPECs are made of: words, numbers and bytes, and the sentence about one that cannot be read. It must never know
 * which framings there are, nor change a result before the whole of its text has been understood. */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frame_internal.h"

/* ---- What is wrong with a SPEC ---- */

#define WORD_BYTES_MAX 32 /* longer ones are not compared; nothing we know is as long */

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* How many letters have to be added, removed, changed or swapped with their neighbour to turn one word into the other
 * (the "optimal string alignment" distance): what a slip of the fingers counts as one. */
static size_t word_distance(struct weir_bytes a, const char *b)
{
    size_t b_len = strlen(b);
    size_t rows[3][WORD_BYTES_MAX + 1];

    for (size_t j = 0; j <= b_len; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t *now = rows[i % 3], *last = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            char c = (char)a.data[i - 1];
            now[j] = smaller(last[j - 1] + (c != b[j - 1]), smaller(last[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && c == b[j - 2] && (char)a.data[i - 2] == b[j - 1]) {
                now[j] = smaller(now[j], before[j - 2] + 1);
            }
        }
    }
    return rows[a.len % 3][b_len];
}

/* The word that was probably meant: at most half of its letters may differ. NULL when there is none. */
static const char *nearest_word(struct weir_bytes word, const char *const known[])
{
    const char *nearest = NULL;
    size_t best = WORD_BYTES_MAX;

    if (word.len > WORD_BYTES_MAX) return NULL;
    for (size_t i = 0; known[i]; i++) {
        size_t distance = word_distance(word, known[i]);
        if (distance < best && distance * 2 <= strlen(known[i])) {
            best = distance;
            nearest = known[i];
        }
    }
    return nearest;
}

int weir__spec_fail(const struct weir__spec *spec, const char *format, ...)
{
    va_list args;
    int prefix;

    if (!spec->error || spec->error_size == 0) return WEIR_EFRAME;
    prefix = snprintf(spec->error, spec->error_size, "frame \"%.100s\": ", spec->text);
    if (prefix < 0 || (size_t)prefix >= spec->error_size) return WEIR_EFRAME;
    va_start(args, format);
    vsnprintf(spec->error + prefix, spec->error_size - (size_t)prefix, format, args);
    va_end(args);
    return WEIR_EFRAME;
}

int weir__spec_fail_unknown(const struct weir__spec *spec, const char *what, struct weir_bytes word,
                            const char *const known[])
{
    const char *nearest = nearest_word(word, known);
    char list[256] = "";

    for (size_t i = 0, used = 0; known[i] && used < sizeof(list); i++) {
        used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s", i > 0 ? ", " : "", known[i]);
    }
    return weir__spec_fail(spec, "unknown %s \"%.*s\"%s%s%s known: %s", what, (int)smaller(word.len, 100),
                           (const char *)word.data, nearest ? "; did you mean \"" : ";", nearest ? nearest : "",
                           nearest ? "\"?" : "", list);
}

/* ---- What is in it ---- */

struct weir_bytes weir__spec_word(const char *text, const char *stops)
{
    return (struct weir_bytes){ (const unsigned char *)text, strcspn(text, stops) };
}

bool weir__spec_word_is(struct weir_bytes word, const char *name)
{
    return strlen(name) == word.len && memcmp(word.data, name, word.len) == 0;
}

int weir__spec_option(const struct weir__spec *spec, const char *text, const char *const known[],
                      struct weir_bytes *ret_value)
{
    struct weir_bytes name = weir__spec_word(text, "=,");
    int i = 0;

    while (known[i] && !weir__spec_word_is(name, known[i]))
        i++;
    if (!known[i]) return weir__spec_fail_unknown(spec, "option", name, known);
    *ret_value = (struct weir_bytes){ NULL, 0 };
    if (text[name.len] == '=') *ret_value = weir__spec_word(text + name.len + 1, ",");
    return i;
}

int weir__spec_number(const struct weir__spec *spec, const char *what, struct weir_bytes word, int32_t min, int32_t max,
                      int32_t *ret)
{
    const char *text = (const char *)word.data;
    size_t minus = min < 0 && text[0] == '-';
    size_t digits = strspn(text + minus, "0123456789");
    long long value = strtoll(text, NULL, 10); /* or the nearest that it can say */

    if (digits == 0 || minus + digits != word.len || value < min || value > max) {
        return weir__spec_fail(spec, "%s%.*s is not a number from %d to %d", what, (int)smaller(word.len, 100), text,
                               (int)min, (int)max);
    }
    *ret = (int32_t)value;
    return 0;
}

#define BYTES_MAX 64 /* of one word */

int weir__spec_bytes(const struct weir__spec *spec, const char *what, struct weir_bytes word, unsigned char *ret,
                     size_t room, size_t *ret_len)
{
    char text[BYTES_MAX * sizeof("\\xHH")]; /* the longest way to write a byte */
    unsigned char bytes[BYTES_MAX];
    size_t len = 0;
    int err = -ENOBUFS;

    if (word.len < sizeof(text)) {
        memcpy(text, word.data, word.len);
        text[word.len] = '\0';
        err = weir_unescape(text, bytes, smaller(room, BYTES_MAX), &len);
    }
    if (err == -ENOBUFS) return weir__spec_fail(spec, "%s has more than %zu bytes", what, room);
    if (err) {
        return weir__spec_fail(
            spec, "bad escape at \"%.4s\"; known: \\n \\r \\t \\0 \\a \\b \\e \\f \\v \\\\ \\\" \\' \\xHH", text + len);
    }
    memcpy(ret, bytes, len);
    *ret_len = len;
    return 0;
}

/* The number that a word of digits or 0xHH is; -1 for other words, more than 255 for too large a number. */
static long byte_number(const char *text)
{
    size_t hex = strncmp(text, "0x", 2) == 0 ? 2 : 0;

    if (text[hex] == '\0' || text[hex + strspn(text + hex, hex ? "0123456789abcdefABCDEF" : "0123456789")] != '\0') {
        return -1;
    }
    return strtol(text + hex, NULL, hex ? 16 : 10);
}

int weir__spec_byte(const struct weir__spec *spec, const char *what, struct weir_bytes word, unsigned char *ret)
{
    char text[sizeof("0xHH")] = "";
    unsigned char byte;
    size_t len = 0;
    long number;

    if (word.len < sizeof(text)) memcpy(text, word.data, word.len);
    number = byte_number(text);
    if (number >= 0 && number <= UCHAR_MAX) {
        *ret = (unsigned char)number;
        return 0;
    }
    if (number < 0 && text[0] != '\0' && weir_unescape(text, &byte, 1, &len) == 0) {
        *ret = byte;
        return 0;
    }
    return weir__spec_fail(spec, "%s%.*s is not a byte: \\x7e, 0x7e, 126 or the character itself", what,
                           (int)smaller(word.len, 100), (const char *)word.data);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A text that grows as it is added to. Must never know what it says. */
#include "line.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A line that needed more than this once gives it back: each worker keeps one line for good. */
enum { KEEP_BYTES_MAX = 64 * 1024 };

static bool make_room(struct line *line, size_t len)
{
    size_t room = line->room ? line->room : 256;
    size_t need = 0;
    char *bytes = NULL;

    if (line->failed || __builtin_add_overflow(line->len, len, &need)) return false;
    if (line->len_max && need > line->len_max) return false;
    if (need <= line->room) return true;
    while (room < need)
        if (__builtin_mul_overflow(room, 2, &room)) return false;
    bytes = realloc(line->bytes, room);
    if (!bytes) return false;
    line->bytes = bytes;
    line->room = room;
    return true;
}

void line_add(struct line *line, const void *bytes, size_t len)
{
    if (!len) return;
    if (!make_room(line, len)) {
        line->failed = true;
        return;
    }
    memcpy(line->bytes + line->len, bytes, len);
    line->len += len;
}

void line_add_text(struct line *line, const char *text)
{
    line_add(line, text, strlen(text));
}

void line_addf(struct line *line, const char *format, ...)
{
    char text[256];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    line_add_text(line, text);
}

static size_t write_number(uint64_t number, char ret[COUNT_TEXT_BYTES_MAX])
{
    char digits[24];
    const size_t len = (size_t)snprintf(digits, sizeof(digits), "%llu", (unsigned long long)number);
    size_t written = 0;

    for (size_t i = 0; i < len; i++) {
        if (i && (len - i) % 3 == 0) ret[written++] = ',';
        ret[written++] = digits[i];
    }
    return written;
}

size_t count_text(uint64_t count, const char *noun, char ret[COUNT_TEXT_BYTES_MAX])
{
    const size_t written = write_number(count, ret);

    snprintf(ret + written, COUNT_TEXT_BYTES_MAX - written, " %s%s", noun, count == 1 ? "" : "s");
    return strlen(ret);
}

void line_add_count(struct line *line, uint64_t count, const char *noun)
{
    char text[COUNT_TEXT_BYTES_MAX];

    line_add(line, text, count_text(count, noun, text));
}

void line_add_number(struct line *line, uint64_t number)
{
    char text[COUNT_TEXT_BYTES_MAX];

    line_add(line, text, write_number(number, text));
}

void line_clear(struct line *line)
{
    if (line->room > KEEP_BYTES_MAX) {
        line_fini(line);
        return;
    }
    line->len = 0;
    line->len_max = 0;
    line->failed = false;
}

void line_fini(struct line *line)
{
    free(line->bytes);
    *line = (struct line){ 0 };
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A text that grows. */
#ifndef APP_TEXT_LINE_H
#define APP_TEXT_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/frame.h>

/* Starts zeroed; line_fini frees what it holds. When memory is out, or it would become longer than it may, what is
 * added from then on is lost and failed says so, until line_clear. */
struct line {
    char *bytes; /* not ended with NUL */
    size_t len;
    size_t room;
    size_t len_max; /* 0: none; until line_clear */
    bool failed;
};

void line_add(struct line *line, const void *bytes, size_t len);
void line_add_text(struct line *line, const char *text);
/* For short pieces, up to 255 bytes; what is longer is cut. */
void line_addf(struct line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* "1 message", "1,234 messages": the number and its noun, with an s when it is not one. */
void line_add_count(struct line *line, uint64_t count, const char *noun);
/* "1,234". */
void line_add_number(struct line *line, uint64_t number);

/* Empties it; keeps its memory for the next one, unless that is large. */
void line_clear(struct line *line);
void line_fini(struct line *line);

/* Room for any number and a noun of up to 24 letters. */
enum { COUNT_TEXT_BYTES_MAX = 64 };

/* The same as a C string, for where there is no line. Returns its length. */
size_t count_text(uint64_t count, const char *noun, char ret[COUNT_TEXT_BYTES_MAX]);

#endif

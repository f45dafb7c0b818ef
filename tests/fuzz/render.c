/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Bytes as people see them: whatever they are, in whatever encoding they are read, what reaches a terminal are
 * printable characters of UTF-8, no wider than there is room; and whole characters are text in JSON too. The first byte
 * of an input chooses the encoding, the second how much room there is. */
#include <string.h>

#include "fuzz.h"

#include "text/encoding.h"
#include "text/json.h"
#include "text/render.h"
#include "text/utf8.h"

static const char *const names[] = { "utf-8",  "gbk",    "gb18030",  "big5-hkscs", "shift_jis",
                                     "euc-jp", "latin1", "utf-16le", "utf-32be",   "tscii" };

enum { ENCODINGS = sizeof(names) / sizeof(names[0]) };

static struct encoding *encodings[ENCODINGS];

static void open_encodings(void)
{
    static int are_open;
    char error[256];

    if (are_open) return;
    are_open = 1;
    utf8_init();
    for (size_t i = 0; i < ENCODINGS; i++)
        REQUIRE(encoding_open(names[i], &encodings[i], error, sizeof(error)) == 0);
}

/* The columns of a text that may be shown. */
static size_t measure(const struct line *line)
{
    struct weir_bytes rest = { (const unsigned char *)line->bytes, line->len };
    size_t columns = 0;

    while (rest.len > 0) {
        const struct character character = encoding_decode(NULL, rest);
        REQUIRE(character.result == 0 && utf8_columns(character.code) >= 0);
        columns += (size_t)utf8_columns(character.code);
        rest.data += character.len;
        rest.len -= character.len;
    }
    return columns;
}

static void check_shown(struct encoding *encoding, struct weir_bytes bytes, size_t columns)
{
    struct render_style style = { .utf8 = true, .encoding = encoding };
    struct line line = { 0 };

    for (int form = RENDER_AUTO; form <= RENDER_BOTH; form++) {
        style.form = (enum render_form)form;
        render_bytes(&line, &style, bytes, columns);
        REQUIRE(!line.failed && measure(&line) <= columns);
        line_clear(&line);
        render_bytes(&line, &style, bytes, 0);
        measure(&line);
        line_clear(&line);
    }
    line_fini(&line);
}

static void check_decoded(struct encoding *encoding, struct weir_bytes bytes)
{
    const bool is_valid = encoding_is_valid(encoding, bytes);
    struct weir_bytes rest = bytes;
    struct line json = { 0 };
    bool was_valid = true;
    size_t newline = 0;

    while (rest.len > 0) {
        const struct character character = encoding_decode(encoding, rest);
        REQUIRE(character.len > 0 && character.len <= rest.len);
        REQUIRE(character.result || character.code < 0x110000);
        was_valid = was_valid && !character.result;
        rest.data += character.len;
        rest.len -= character.len;
    }
    REQUIRE(was_valid == is_valid);
    json_add_string(&json, encoding, bytes);
    measure(&json);
    line_fini(&json);
    for (rest = bytes; rest.len > 0;) {
        const size_t len = encoding_line_len(encoding, rest, &newline);
        REQUIRE(len > 0 && len <= rest.len && newline <= len);
        rest.data += len;
        rest.len -= len;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned char *block;
    struct weir_bytes bytes;

    open_encodings();
    if (size < 2) return 0;
    block = fuzz_block(size - 2);
    memcpy(block, data + 2, size - 2);
    bytes = (struct weir_bytes){ block, size - 2 };
    check_shown(encodings[data[0] % ENCODINGS], bytes, 24 + (size_t)data[1]);
    check_decoded(encodings[data[0] % ENCODINGS], bytes);
    free(block);
    return 0;
}

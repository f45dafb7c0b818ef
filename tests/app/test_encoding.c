/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Characters in encodings: what iconv makes of whole texts is what comes out one by one, and what is no character costs
 * nothing but itself. */
#include <errno.h>
#include <iconv.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "text/encoding.h"
#include "text/json.h"
#include "text/render.h"
#include "text/utf8.h"

#define BYTES(text) ((struct weir_bytes){ (const unsigned char *)(text), sizeof(text) - 1 })

static struct encoding *open_encoding(const char *name)
{
    struct encoding *encoding = NULL;
    char error[256] = "";

    if (encoding_open(name, &encoding, error, sizeof(error))) fail_msg("%s: %s", name, error);
    return encoding;
}

static void expect_line(struct line *line, const char *expected)
{
    line_add(line, "", 1);
    if (strcmp(line->bytes, expected) != 0) fail_msg("'%s', not '%s'", line->bytes, expected);
    line_clear(line);
}

static void expect_shown(const char *name, struct weir_bytes bytes, const char *expected)
{
    struct encoding *encoding = open_encoding(name);
    const struct render_style style = { .form = RENDER_TEXT, .utf8 = true, .encoding = encoding };
    struct line line = { 0 };

    render_bytes(&line, &style, bytes, 0);
    expect_line(&line, expected);
    line_fini(&line);
    encoding_close(encoding);
}

static void characters_are_shown_in_utf8(void **state)
{
    (void)state;
    expect_shown("utf-8", BYTES("\xe4\xbd\xa0"), "\xe4\xbd\xa0");
    expect_shown("gbk", BYTES("25\xa1\xe6 \xc4\xe3\xba\xc3"), "25\xe2\x84\x83 \xe4\xbd\xa0\xe5\xa5\xbd");
    expect_shown("GB18030", BYTES("\x94\x39\xda\x35 \xc4\xe3"), "\xf0\x9f\x92\xab \xe4\xbd\xa0");
    expect_shown("big5", BYTES("\xa5\x5c"), "\xe5\x8a\x9f"); /* its second byte is a backslash elsewhere */
    expect_shown("shift_jis", BYTES("\x83\x5c\x5c~"), "\xe3\x82\xbd\\\\~");
    expect_shown("latin1", BYTES("caf\xe9 \xff"), "caf\xc3\xa9 \xc3\xbf");
    expect_shown("utf-16le", BYTES("h\0i\0`O"), "hi\xe4\xbd\xa0");
    expect_shown("utf-16be", BYTES("\xd8\x3d\xde\xb0"), "\xf0\x9f\x9a\xb0");
}

static void what_is_no_character_costs_itself_only(void **state)
{
    (void)state;
    expect_shown("gbk",
                 BYTES("a\xff"
                       "b\xc4\xe3"),
                 "a\\xffb\xe4\xbd\xa0");
    expect_shown("gbk", BYTES("\xc4 \xc4\xe3"), "\\xc4 \xe4\xbd\xa0");        /* the blank is no second byte */
    expect_shown("gbk", BYTES("\xfe\xfe\xc4\xe3"), "\\xfe\\xfe\xe4\xbd\xa0"); /* a pair that stands for nothing */
    expect_shown("gbk", BYTES("\xc4\xe3\xc4"), "\xe4\xbd\xa0\\xc4");          /* cut off */
    expect_shown("gbk", BYTES("\xff\xff\xff\xff\xff\xc4\xe3"), "\\xffx5\xe4\xbd\xa0");
    expect_shown("utf-16le", BYTES("a\0\n\0\0\xd8z\0"), "a\\n\\0\\0\\xd8z"); /* a surrogate alone */
    expect_shown("utf-16le",
                 BYTES("\0\0\0\0\0\0"
                       "7\0x\0"),
                 "\\0x6\\x37\\0x");
    expect_shown("utf-16le", BYTES("a\0b"), "a\\x62");
}

static void controls_of_any_encoding_are_escaped(void **state)
{
    (void)state;
    expect_shown("latin1",
                 BYTES("\033[31m \x9b"
                       "31m"),
                 "\\x1b[31m \\x9b31m");
    expect_shown("ibm037", BYTES("\xc1\x27\xc2"), "A\\x27B");      /* EBCDIC has its escape there */
    expect_shown("utf-16le", BYTES("\x2e\x20x\0"), "\\x2e\\x20x"); /* U+202E */
}

/* Each of these is refused, with these words. */
static void what_cannot_be_shown_message_by_message_is_refused(void **state)
{
    static const char *const names[] = { "utf-7", "iso-2022-jp", "iso-2022-kr", "utf-16", "utf-32", "ibm933" };
    static const char *const unknown[] = { "", "nosuch", "gbk//TRANSLIT", "/" };
    struct encoding *encoding = NULL;
    char error[256];

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_int_equal(encoding_open(names[i], &encoding, error, sizeof(error)), -EINVAL);
        if (!strstr(error, "depend")) fail_msg("%s: %s", names[i], error);
    }
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        assert_int_equal(encoding_open(unknown[i], &encoding, error, sizeof(error)), -EINVAL);
        if (!strstr(error, "not an encoding")) fail_msg("%s: %s", unknown[i], error);
    }
}

/* A whole text through iconv at once, as its own reading. */
static size_t convert(const char *to, const char *from, const char *text, size_t len, char *ret, size_t room)
{
    iconv_t conversion = iconv_open(to, from);
    char *in = (char *)(uintptr_t)text;
    char *out = ret;
    size_t left = room;

    assert_true(conversion != (iconv_t)-1);
    assert_int_equal(iconv(conversion, &in, &len, &out, &left), 0);
    iconv_close(conversion);
    return room - left;
}

static void whole_texts_go_both_ways(void **state)
{
    static const struct {
        const char *name, *text;
    } cases[] = {
        { "gbk", "\xe6\xb8\xa9\xe5\xba\xa6 25\xe2\x84\x83, \xe9\x98\x80\xe9\x97\xa8\xe5\xb7\xb2\xe5\xbc\x80; ok\\ ~" },
        { "gb18030", "\xe6\xb8\xa9\xe5\xba\xa6 \xf0\x9f\x9a\xb0 \xea\xb0\x80" },
        { "big5", "\xe5\x8a\x9f\xe8\x83\xbd \xe8\xa8\xb1\xe5\x8f\xaf\\" },
        { "euc-jp", "\xe6\xb8\xa9\xe5\xba\xa6 \xef\xbe\x83 \xe4\xb8\x82" },
        { "euc-kr", "\xea\xb0\x80\xeb\x82\x98 xyz" },
        { "koi8-r", "\xd0\x96\xd1\x83\xd0\xba" },
        { "cp1258", "caf\xc3\xa9" },
        { "utf-32be", "a\xf0\x9f\x9a\xb0" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct encoding *encoding = open_encoding(cases[i].name);
        char encoded[256];
        const size_t len =
            convert(cases[i].name, "UTF-8", cases[i].text, strlen(cases[i].text), encoded, sizeof(encoded));
        const struct weir_bytes bytes = { (const unsigned char *)encoded, len };
        struct line line = { 0 };
        struct line json = { 0 };
        struct weir_bytes rest = { (const unsigned char *)cases[i].text, strlen(cases[i].text) };

        assert_true(encoding_is_valid(encoding, bytes));
        assert_true(render_is_text(encoding, bytes));
        for (uint32_t character = 0; rest.len;) {
            const int step = utf8_decode(rest, &character);
            assert_int_equal(encoding_add(encoding, character, &line), 0);
            rest.data += step;
            rest.len -= (size_t)step;
        }
        assert_int_equal(line.len, len);
        assert_memory_equal(line.bytes, encoded, len);
        line_clear(&line);
        json_add_string(&json, encoding, bytes);
        json_add_string(&line, NULL,
                        (struct weir_bytes){ (const unsigned char *)cases[i].text, strlen(cases[i].text) });
        line_add(&line, "", 1);
        expect_line(&json, line.bytes);
        line_fini(&line);
        line_fini(&json);
        encoding_close(encoding);
    }
}

/* Any bytes: never read past their end, always a step forward, and nothing that steers a terminal. */
static void any_bytes_are_gone_through(void **state)
{
    static const char *const names[] = { "gbk",    "gb18030", "big5-hkscs", "shift_jis",
                                         "euc-jp", "latin1",  "utf-16le",   "utf-32le" };
    struct encoding *current = NULL;
    uint32_t seed = 7;

    (void)state;
    for (size_t round = 0; round < 4000; round++) {
        struct render_style style = { .form = RENDER_TEXT, .utf8 = true };
        const size_t len = seed % 40;
        /* Of its exact size, so that a checker sees any byte read past it. */
        unsigned char *bytes = malloc(len ? len : 1);
        struct line line = { 0 };

        if (round % 500 == 0) {
            encoding_close(current);
            current = open_encoding(names[round / 500]);
        }
        style.encoding = current;
        assert_non_null(bytes);
        for (size_t i = 0; i < len; i++) {
            seed = seed * 1664525 + 1013904223;
            bytes[i] = (unsigned char)(seed >> 24);
        }
        render_bytes(&line, &style, (struct weir_bytes){ bytes, len }, 0);
        for (size_t i = 0; i < line.len; i++)
            assert_true((unsigned char)line.bytes[i] >= 0x20 && line.bytes[i] != 0x7f);
        assert_true(encoding_is_valid(NULL, (struct weir_bytes){ (unsigned char *)line.bytes, line.len }));
        encoding_is_valid(current, (struct weir_bytes){ bytes, len });
        render_is_text(current, (struct weir_bytes){ bytes, len });
        free(bytes);
        line_fini(&line);
    }
    encoding_close(current);
}

static void expect_typed(const char *name, const char *text, struct weir_bytes expected)
{
    struct encoding *encoding = open_encoding(name);
    struct line line = { 0 };
    size_t offset = 0;

    assert_int_equal(encoding_add_typed(encoding, text, &line, &offset), 0);
    assert_int_equal(line.len, expected.len);
    assert_memory_equal(line.bytes, expected.data, expected.len);
    line_fini(&line);
    encoding_close(encoding);
}

static void expect_typed_error(const char *name, const char *text, int expected, size_t expected_offset)
{
    struct encoding *encoding = open_encoding(name);
    struct line line = { 0 };
    size_t offset = 0;

    assert_int_equal(encoding_add_typed(encoding, text, &line, &offset), expected);
    assert_int_equal(offset, expected_offset);
    line_fini(&line);
    encoding_close(encoding);
}

static void typed_characters_are_encoded_and_escapes_are_bytes(void **state)
{
    (void)state;
    expect_typed("gbk", "\xe4\xbd\xa0\\x41\\xe4\\n!\\\\", BYTES("\xc4\xe3\x41\xe4\n!\\"));
    expect_typed("big5", "\xe5\x8a\x9f\\n", BYTES("\xa5\\\n")); /* the backslash inside a character begins nothing */
    expect_typed("shift_jis", "\\\\~", BYTES("\\~"));
    expect_typed("utf-16le", "hi\\x00", BYTES("h\0i\0\0"));
    expect_typed("utf-8", "\xe4\xbd\xa0\\xff\xff\\0", BYTES("\xe4\xbd\xa0\xff\xff\0"));
    expect_typed_error("gbk", "ab\xea\xb0\x80", -EILSEQ, 2);
    expect_typed_error("gbk", "ab\xff", -EINVAL, 2);
    expect_typed_error("gbk", "\xe4\xbd\xa0\\q", -EINVAL, 3);
    expect_typed_error("utf-8", "\\x4", -EINVAL, 0);
    expect_typed_error("utf-8", "a\\", -EINVAL, 1);
}

static void lines_end_at_whole_characters(void **state)
{
    static const unsigned char utf16[] = "\x0a\x4e\n\0x";
    struct encoding *encoding = open_encoding("utf-16le");
    size_t newline = 9;

    (void)state;
    assert_int_equal(encoding_line_len(encoding, (struct weir_bytes){ utf16, 5 }, &newline), 4);
    assert_int_equal(newline, 2);
    assert_int_equal(encoding_line_len(encoding, (struct weir_bytes){ utf16 + 4, 1 }, &newline), 1);
    assert_int_equal(newline, 0);
    assert_int_equal(encoding_line_len(NULL, BYTES("one\ntwo"), &newline), 4);
    assert_int_equal(newline, 1);
    assert_int_equal(encoding_line_len(NULL, BYTES("two"), &newline), 3);
    assert_int_equal(newline, 0);
    encoding_close(encoding);
}

static int setup(void **state)
{
    (void)state;
    utf8_init();
    return 0;
}

/* Text is compared in blocks: an odd byte is seen at each place of each length. */
static void one_odd_byte_makes_text_unreadable(void **state)
{
    static const unsigned char odd[] = { 0x00, 0x1f, 0x7f, 0x80, 0xff };
    unsigned char text[50];

    (void)state;
    memset(text, '~', sizeof(text));
    for (size_t len = 0; len <= sizeof(text); len++) {
        assert_true(encoding_is_readable(NULL, (struct weir_bytes){ text, len }));
        for (size_t i = 0; i < len * sizeof(odd); i++) {
            text[i / sizeof(odd)] = odd[i % sizeof(odd)];
            assert_false(encoding_is_readable(NULL, (struct weir_bytes){ text, len }));
            text[i / sizeof(odd)] = i % 2 ? ' ' : '\n';
            assert_true(encoding_is_readable(NULL, (struct weir_bytes){ text, len }));
            text[i / sizeof(odd)] = '~';
        }
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(characters_are_shown_in_utf8),
        cmocka_unit_test(what_is_no_character_costs_itself_only),
        cmocka_unit_test(controls_of_any_encoding_are_escaped),
        cmocka_unit_test(what_cannot_be_shown_message_by_message_is_refused),
        cmocka_unit_test(whole_texts_go_both_ways),
        cmocka_unit_test(any_bytes_are_gone_through),
        cmocka_unit_test(typed_characters_are_encoded_and_escapes_are_bytes),
        cmocka_unit_test(lines_end_at_whole_characters),
        cmocka_unit_test(one_odd_byte_makes_text_unreadable),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}

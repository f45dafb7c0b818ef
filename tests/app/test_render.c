/* SPDX-License-Identifier: BSD-3-Clause
 *
 * How bytes look on a terminal: whatever a client sends, only printable characters come out, no wider than there is
 * room, and an uncut text can be read back to the very bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "text/render.h"
#include "text/utf8.h"

#define BYTES(text) ((struct weir_bytes){ (const unsigned char *)(text), sizeof(text) - 1 })

static const struct render_style text_style = { .form = RENDER_TEXT, .utf8 = true };

static void expect(const struct render_style *style, struct weir_bytes bytes, size_t columns, const char *expected)
{
    struct line line = { 0 };

    render_bytes(&line, style, bytes, columns);
    line_add(&line, "", 1);
    if (strcmp(line.bytes, expected) != 0) fail_msg("'%s', not '%s'", line.bytes, expected);
    line_fini(&line);
}

/* ---- The rules, checked by an own reading ---- */

/* How many columns a rendered text takes; fails for whatever must not reach a terminal. */
static size_t measure(const char *text, size_t len)
{
    struct weir_bytes rest = { (const unsigned char *)text, len };
    size_t columns = 0;

    while (rest.len) {
        uint32_t character = 0;
        const int size = utf8_decode(rest, &character);
        if (size < 0) fail_msg("not UTF-8: %02x", rest.data[0]);
        if (character < 0x20 || (character >= 0x7f && character <= 0x9f)) fail_msg("a control: %x", character);
        if ((character >= 0x202a && character <= 0x202e) || (character >= 0x2066 && character <= 0x2069))
            fail_msg("a change of direction: %x", character);
        assert_true(utf8_columns(character) >= 0);
        columns += (size_t)utf8_columns(character);
        rest.data += size;
        rest.len -= (size_t)size;
    }
    return columns;
}

static int hex_digit(char digit)
{
    static const char digits[] = "0123456789abcdef";
    const char *found = digit ? strchr(digits, digit) : NULL;

    assert_non_null(found);
    return (int)(found - digits);
}

/* Reads a rendered text back, by the rules in render.h. */
static size_t read_back(const char *text, size_t len, unsigned char *ret, size_t room)
{
    size_t written = 0;

    for (size_t i = 0; i < len;) {
        size_t count = 1;
        unsigned char byte = (unsigned char)text[i++];
        if (byte == '\\') {
            const char name = text[i++];
            if (name == '\\') {
                assert_true(written < room);
                ret[written++] = '\\';
                continue;
            }
            byte = name == 'n' ? '\n' : name == 'r' ? '\r' : name == 't' ? '\t' : 0;
            if (name == 'x') {
                byte = (unsigned char)(hex_digit(text[i]) << 4 | hex_digit(text[i + 1]));
                i += 2;
            } else {
                assert_non_null(strchr("nrt0", name));
            }
            if (i + 1 < len && text[i] == 'x' && text[i + 1] >= '0' && text[i + 1] <= '9') {
                char *end = NULL;
                count = strtoul(text + i + 1, &end, 10);
                i = (size_t)(end - text);
            }
        }
        assert_true(written + count <= room);
        memset(ret + written, byte, count);
        written += count;
    }
    return written;
}

static void check_round_trip(const unsigned char *data, size_t len, bool utf8)
{
    const struct render_style style = { .form = RENDER_TEXT, .utf8 = utf8 };
    struct line line = { 0 };
    unsigned char back[4096];

    render_bytes(&line, &style, (struct weir_bytes){ data, len }, 0);
    measure(line.bytes, line.len);
    line_add(&line, "", 1);
    assert_int_equal(read_back(line.bytes, line.len - 1, back, sizeof(back)), len);
    assert_memory_equal(back, data, len);
    line_fini(&line);
}

static void check_cut(const unsigned char *data, size_t len, enum render_form form, size_t columns)
{
    const struct render_style style = { .form = form, .utf8 = true };
    struct line line = { 0 };

    render_bytes(&line, &style, (struct weir_bytes){ data, len }, columns);
    if (measure(line.bytes, line.len) > columns) fail_msg("%zu bytes are wider than %zu", len, columns);
    line_fini(&line);
}

/* A generator of our own, so that a failure can be repeated. */
static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 8;
}

/* ---- The tests ---- */

static void text_is_shown_as_it_is(void **state)
{
    (void)state;
    expect(&text_style, BYTES("hello, 100%"), 0, "hello, 100%");
    expect(&text_style, BYTES("gr\xc3\xbc\xc3\x9f \xe4\xbd\xa0\xe5\xa5\xbd \xf0\x9f\x9a\xb0"), 0,
           "gr\xc3\xbc\xc3\x9f \xe4\xbd\xa0\xe5\xa5\xbd \xf0\x9f\x9a\xb0");
    expect(&text_style, BYTES(""), 0, "");
}

static void controls_are_escaped(void **state)
{
    (void)state;
    expect(&text_style, BYTES("a\r\n\tb\0c\033[31m\007\x7f"), 0, "a\\r\\n\\tb\\0c\\x1b[31m\\x07\\x7f");
    expect(&text_style, BYTES("C:\\new"), 0, "C:\\\\new");
    expect(&text_style,
           BYTES("\xc2\x9b"
                 "31m"),
           0,
           "\\xc2\\x9b"
           "31m"); /* C1: a CSI in one character */
    expect(&text_style,
           BYTES("a\xe2\x80\xae"
                 "b"),
           0, "a\\xe2\\x80\\xaeb"); /* U+202E turns round what follows */
    expect(&text_style, BYTES("\xff\xc0\x80\xed\xa0\x80"), 0, "\\xff\\xc0\\x80\\xed\\xa0\\x80"); /* not UTF-8 */
    expect(&text_style, BYTES("\xe4\xbd"), 0, "\\xe4\\xbd");                                     /* cut off */
}

static void runs_of_a_control_collapse(void **state)
{
    unsigned char tutorial[128] = "hello ";

    (void)state;
    expect(&text_style, (struct weir_bytes){ tutorial, sizeof(tutorial) }, 0, "hello \\0x122");
    expect(&text_style, BYTES("\n\n\n"), 0, "\\n\\n\\n");
    expect(&text_style, BYTES("\n\n\n\n"), 0, "\\nx4");
    expect(&text_style, BYTES("\xff\xff\xff\xff\xff"), 0, "\\xffx5");
    expect(&text_style, BYTES("aaaaaaaa"), 0, "aaaaaaaa");
    expect(&text_style, BYTES("\\\\\\\\\\"), 0, "\\\\\\\\\\\\\\\\\\\\");
    expect(&text_style, BYTES("\0x5"), 0, "\\0\\x785"); /* a real x5 is not a count */
    expect(&text_style, BYTES("\0xy"), 0, "\\0xy");
    expect(&text_style, BYTES("\n\n\n\n7"), 0, "\\nx4\\x37"); /* nor is a real 7 part of one */
}

static void a_long_line_is_cut_with_its_length(void **state)
{
    char text[5000];

    (void)state;
    memset(text, 'a', sizeof(text));
    expect(&text_style, (struct weir_bytes){ (unsigned char *)text, sizeof(text) }, 30,
           "aaaaaaaaaaaaaa ... 5,000 bytes");
    expect(&text_style, (struct weir_bytes){ (unsigned char *)text, 30 }, 30, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    expect(&text_style, (struct weir_bytes){ (unsigned char *)text, 31 }, 30, "aaaaaaaaaaaaaaaaa ... 31 bytes");
}

static void wide_and_combining_characters_are_measured(void **state)
{
    (void)state;
    assert_int_equal(utf8_columns(0x4f60), 2);
    assert_int_equal(utf8_columns(0x0301), 0);
    assert_int_equal(utf8_columns('a'), 1);
    /* Ten characters of two columns in 19 columns: cut. In 20: not. */
    expect(&text_style,
           BYTES("\xe4\xbd\xa0\xe4\xbd\xa0\xe4\xbd\xa0\xe4\xbd\xa0\xe4\xbd\xa0\xe4\xbd\xa0\xe4\xbd\xa0"
                 "\xe4\xbd\xa0\xe4\xbd\xa0\xe4\xbd\xa0"),
           19, "\xe4\xbd\xa0\xe4\xbd\xa0\xe4\xbd\xa0 ... 30 bytes");
    expect(&text_style,
           BYTES("\xe4\xbd\xa0\xe4\xbd\xa0\xe4\xbd\xa0\xe4\xbd\xa0\xe4\xbd\xa0\xe4\xbd\xa0\xe4\xbd\xa0"
                 "\xe4\xbd\xa0\xe4\xbd\xa0\xe4\xbd\xa0"),
           20,
           "\xe4\xbd\xa0\xe4\xbd\xa0\xe4\xbd\xa0\xe4\xbd\xa0\xe4\xbd\xa0\xe4\xbd\xa0\xe4\xbd\xa0"
           "\xe4\xbd\xa0\xe4\xbd\xa0\xe4\xbd\xa0");
    /* A mark costs no column, but a pile of them does not grow for ever. */
    expect(&text_style, BYTES("e\xcc\x81"), 1, "e\xcc\x81");
    expect(&text_style,
           BYTES("e\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81"
                 "f"),
           0,
           "e\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81\\xcc\\x81"
           "f");
}

static void without_utf8_all_beyond_ascii_is_escaped(void **state)
{
    const struct render_style style = { .form = RENDER_TEXT, .utf8 = false };

    (void)state;
    expect(&style, BYTES("\xc4\x9b"), 0, "\\xc4\\x9b"); /* its second byte is a CSI where bytes are characters */
}

static void every_byte_is_safe(void **state)
{
    unsigned char all[256];

    (void)state;
    for (size_t i = 0; i < 256; i++) {
        const unsigned char alone[3] = { (unsigned char)i, (unsigned char)i, 'x' };
        all[i] = (unsigned char)i;
        check_round_trip(alone, 1, true);
        check_round_trip(alone, 2, true);
        check_round_trip(alone, 3, false);
    }
    check_round_trip(all, sizeof(all), true);
    check_round_trip(all, sizeof(all), false);
}

static void random_bytes_are_safe_and_can_be_read_back(void **state)
{
    /* Bytes that meet the rules more often than chance would. */
    static const char rich[] = "\0\0\0\0\n\r\tx0123456789\\\033\x7f\xc2\x9b\xe2\x80\xae\xcc\x81\xe4\xbd\xa0\xff ab";
    uint32_t seed = 1;
    unsigned char data[200];

    (void)state;
    for (size_t round = 0; round < 20000; round++) {
        const size_t len = next_random(&seed) % sizeof(data);
        const bool is_rich = round % 2;
        for (size_t i = 0; i < len; i++)
            data[i] = is_rich ? (unsigned char)rich[next_random(&seed) % (sizeof(rich) - 1)]
                              : (unsigned char)next_random(&seed);
        check_round_trip(data, len, round % 3 != 0);
        check_cut(data, len, RENDER_TEXT, 24 + round % 60);
        check_cut(data, len, RENDER_AUTO, 24 + round % 60);
        check_cut(data, len, RENDER_HEX, 24 + round % 60);
        check_cut(data, len, RENDER_BOTH, 24 + round % 60);
    }
}

static void hex_has_a_gutter_when_asked(void **state)
{
    const struct render_style hex = { .form = RENDER_HEX };
    const struct render_style both = { .form = RENDER_BOTH };
    unsigned char long_one[300] = { 0 };

    (void)state;
    expect(&hex, BYTES("hi\n\xff"), 0, "68 69 0a ff");
    expect(&hex, BYTES(""), 0, "");
    expect(&both, BYTES("hi\n\xff"), 0, "68 69 0a ff  |hi..|");
    expect(&both, BYTES("hi\n\xff"), 19, "68 69 0a ff  |hi..|");
    expect(&both, BYTES("hi\n\xff!"), 24, "68 69 0a ff 21  |hi..!|");
    expect(&hex, (struct weir_bytes){ long_one, sizeof(long_one) }, 30, "00 00 00 00 00 ... 300 bytes");
    expect(&both, (struct weir_bytes){ long_one, sizeof(long_one) }, 30, "00 00 00  |...| ... 300 bytes");
}

static void auto_tells_text_from_other_bytes(void **state)
{
    unsigned char tutorial[128] = "hi";

    (void)state;
    assert_true(render_is_text(NULL, BYTES("plain")));
    assert_true(render_is_text(NULL, BYTES("")));
    assert_true(render_is_text(NULL, BYTES("\r\n")));
    assert_true(render_is_text(NULL, BYTES("gr\xc3\xbc\xc3\x9f")));
    assert_true(render_is_text(NULL, BYTES("cut \xe4\xbd")));
    assert_true(render_is_text(NULL, BYTES("\x02"
                                           "ABC\x03")));
    assert_true(render_is_text(NULL, (struct weir_bytes){ tutorial, sizeof(tutorial) }));
    assert_false(render_is_text(NULL, BYTES("\x01\x03\0\0\0\x0a\xc5\xcd")));
    assert_false(render_is_text(NULL, BYTES("\0\0\0\0")));
    assert_false(render_is_text(NULL, BYTES("\x01\x02\x03"
                                            "a")));
    assert_false(render_is_text(NULL, BYTES("latin \xe9 one")));
}

/* ---- Whole lines ---- */

static const struct conn_event event = { .time = { .tv_sec = 1795420800, .tv_nsec = 7000000 },
                                         .conn = 3,
                                         .peer = "127.0.0.1:53412" };

static void expect_line(struct line *line, const char *expected)
{
    line_add(line, "", 1);
    assert_string_equal(line->bytes, expected);
    line_clear(line);
}

static void sentences_are_shown_as_they_are_but_for_what_steers(void **state)
{
    static const struct {
        const char *text, *shown;
    } cases[] = {
        { "store a b\\x.db: \xe6\xb8\xa9 \"it\"", "store a b\\x.db: \xe6\xb8\xa9 \"it\"" },
        { "x\033[31m\n\r\t\x7f", "x\\x1b[31m\\x0a\\x0d\\x09\\x7f" },
        { "\x9b\xc2\x9b\xe2\x80\xae\xe6\xb8", "\\x9b\\xc2\\x9b\\xe2\\x80\\xae\\xe6\\xb8" },
        { "", "" },
    };
    struct line line = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        render_sentence(&line, cases[i].text, strlen(cases[i].text));
        expect_line(&line, cases[i].shown);
    }
    line_fini(&line);
}

static void lines_say_what_happened(void **state)
{
    const struct weir_message_info whole = { .seq = 1, .original_len = 5 };
    const struct weir_message_info truncated = { .seq = 1, .original_len = 5000000, .flags = WEIR_MESSAGE_TRUNCATED };
    const struct weir_message_info unfinished = { .seq = 2, .original_len = 5, .flags = WEIR_MESSAGE_UNFINISHED };
    const struct weir_conn_counters counters = {
        .messages_in = 1, .bytes_in = 1234567, .bytes_out = 2, .input_bytes = 3
    };
    struct conn_event with_listener = event;
    struct line line = { 0 };

    (void)state;
    with_listener.listener = "tcp://127.0.0.1:8000";
    render_open(&line, &text_style, &event);
    expect_line(&line, "08:00:00.007 #3 127.0.0.1:53412 connected\n");
    render_open(&line, &text_style, &with_listener);
    expect_line(&line, "08:00:00.007 #3 127.0.0.1:53412 connected to tcp://127.0.0.1:8000\n");
    render_message(&line, &text_style, &event, BYTES("he\nlo"), &whole);
    expect_line(&line, "08:00:00.007 #3 he\\nlo\n");
    render_message(&line, &text_style, &event, BYTES(""), &whole);
    expect_line(&line, "08:00:00.007 #3 (0 bytes)\n");
    render_message(&line, &text_style, &event, BYTES("hello"), &truncated);
    expect_line(&line, "08:00:00.007 #3 hello (truncated from 5,000,000 bytes)\n");
    render_message(&line, &text_style, &event, BYTES("hello"), &unfinished);
    expect_line(&line, "08:00:00.007 #3 hello (unfinished)\n");
    render_close(&line, &text_style, &event, WEIR_REASON_RESET, 104, &counters);
    expect_line(&line, "08:00:00.007 #3 reset by peer: 1 message, 1,234,567 bytes in, 2 bytes out, 3 bytes left that "
                       "made no message\n");
    line_fini(&line);
}

static void what_is_sent_is_marked(void **state)
{
    const struct render_style narrow = { .form = RENDER_TEXT, .columns = 48, .utf8 = true };
    struct conn_event to_all = event;
    struct line line = { 0 };

    (void)state;
    to_all.conn = 0;
    render_sent(&line, &text_style, &event, BYTES("he\nlo"), NULL);
    expect_line(&line, "08:00:00.007 #3 < he\\nlo\n");
    render_sent(&line, &text_style, &to_all, BYTES("hello"), "(2 clients)");
    expect_line(&line, "08:00:00.007 all < hello (2 clients)\n");
    render_sent(&line, &text_style, &event, BYTES(""), "(a.bin, 5 bytes)");
    expect_line(&line, "08:00:00.007 #3 < (a.bin, 5 bytes)\n");
    render_sent(&line, &narrow, &event, BYTES("0123456789012345678901234567890"), NULL);
    expect_line(&line, "08:00:00.007 #3 < 01234567890123456 ... 31 bytes\n");
    line_fini(&line);
}

static void a_whole_message_is_shown_by_its_rows(void **state)
{
    static const struct render_style style = { .form = RENDER_AUTO, .columns = 40, .utf8 = true };
    const struct weir_message_info info = { .seq = 5, .original_len = 17 };
    const struct weir_message_info truncated = { .seq = 6, .original_len = 90, .flags = WEIR_MESSAGE_TRUNCATED };
    struct line line = { 0 };

    (void)state;
    render_whole(&line, &style, &event,
                 BYTES("GET / HTTP/1.0\r\nA: longer than the terminal is, as such lines may be\n\nrest\033[2J"), &info);
    expect_line(&line, "08:00:00.007 #3 message 5, 78 bytes:\n"
                       "  GET / HTTP/1.0\\r\\n\n"
                       "  A: longer than the terminal is, as such lines may be\\n\n"
                       "  \\n\n"
                       "  rest\\x1b[2J\n");
    render_whole(&line, &style, &event, BYTES("\0\1\2\3\4\5\6\7\x08\x09\x0a\x0b\x0c\x0d\x0eZ\xff"), &info);
    expect_line(&line, "08:00:00.007 #3 message 5, 17 bytes:\n"
                       "  00000000  00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 5a  |...............Z|\n"
                       "  00000010  ff                                               |.|\n");
    render_whole(&line, &style, &event, BYTES("x"), &truncated);
    expect_line(&line, "08:00:00.007 #3 message 6, 1 byte (truncated from 90 bytes):\n  x\n");
    render_whole(&line, &style, &event, BYTES(""), &info);
    expect_line(&line, "08:00:00.007 #3 message 5, 0 bytes\n");
    line_fini(&line);
}

static void a_line_fits_the_terminal(void **state)
{
    const struct weir_message_info info = { .seq = 1, .original_len = 90000, .flags = WEIR_MESSAGE_TRUNCATED };
    unsigned char data[2000];
    uint32_t seed = 7;

    (void)state;
    for (unsigned columns = 90; columns < 200; columns += 7) {
        const struct render_style style = { .form = RENDER_AUTO, .columns = columns, .utf8 = true };
        struct line line = { 0 };
        for (size_t i = 0; i < sizeof(data); i++)
            data[i] = (unsigned char)('a' + next_random(&seed) % 26);
        render_message(&line, &style, &event, (struct weir_bytes){ data, sizeof(data) }, &info);
        assert_int_equal(line.bytes[line.len - 1], '\n');
        assert_int_equal(measure(line.bytes, line.len - 1), columns);
        line_fini(&line);
    }
}

/* There the time, which can be done without, makes way. */
static void a_line_fits_a_narrow_terminal(void **state)
{
    const struct weir_message_info info = { .seq = 1, .original_len = 2000 };
    unsigned char data[2000];

    (void)state;
    memset(data, 'x', sizeof(data));
    for (unsigned columns = 20; columns < 90; columns++) {
        const struct render_style style = { .form = RENDER_AUTO, .columns = columns, .utf8 = true };
        struct line line = { 0 };
        render_message(&line, &style, &event, (struct weir_bytes){ data, sizeof(data) }, &info);
        assert_int_equal(measure(line.bytes, line.len - 1), columns);
        line_fini(&line);
    }
}

/* Colours are our own escape codes: with them taken out, what is left is the line without colour. */
static void colour_adds_codes_and_nothing_else(void **state)
{
    const struct weir_message_info info = { .seq = 1, .original_len = 9, .flags = WEIR_MESSAGE_UNFINISHED };
    const struct weir_conn_counters counters = { .messages_in = 1 };
    struct render_style style = text_style;
    struct line plain = { 0 };
    struct line coloured = { 0 };
    size_t at = 0;

    (void)state;
    for (int pass = 0; pass < 2; pass++) {
        struct line *line = pass ? &coloured : &plain;
        style.colour = pass == 1;
        render_open(line, &style, &event);
        render_message(line, &style, &event, BYTES("\033[31mred"), &info);
        render_sent(line, &style, &event, BYTES("\033[31mred"), "(note)");
        render_whole(line, &style, &event, BYTES("\033[31mred"), &info);
        render_close(line, &style, &event, WEIR_REASON_IDLE, 0, &counters);
    }
    assert_true(coloured.len > plain.len);
    for (size_t i = 0; i < coloured.len;) {
        if (coloured.bytes[i] == '\033') {
            assert_int_equal(coloured.bytes[i + 1], '[');
            while (coloured.bytes[i] != 'm')
                i++;
            i++;
            continue;
        }
        assert_true(at < plain.len);
        assert_int_equal(coloured.bytes[i++], plain.bytes[at++]);
    }
    assert_int_equal(at, plain.len);
    line_fini(&plain);
    line_fini(&coloured);
}

static int setup(void **state)
{
    (void)state;
    setenv("TZ", "UTC", 1);
    utf8_init();
    return 0;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_shown_as_it_is),
        cmocka_unit_test(controls_are_escaped),
        cmocka_unit_test(runs_of_a_control_collapse),
        cmocka_unit_test(a_long_line_is_cut_with_its_length),
        cmocka_unit_test(wide_and_combining_characters_are_measured),
        cmocka_unit_test(without_utf8_all_beyond_ascii_is_escaped),
        cmocka_unit_test(every_byte_is_safe),
        cmocka_unit_test(random_bytes_are_safe_and_can_be_read_back),
        cmocka_unit_test(hex_has_a_gutter_when_asked),
        cmocka_unit_test(auto_tells_text_from_other_bytes),
        cmocka_unit_test(sentences_are_shown_as_they_are_but_for_what_steers),
        cmocka_unit_test(lines_say_what_happened),
        cmocka_unit_test(what_is_sent_is_marked),
        cmocka_unit_test(a_whole_message_is_shown_by_its_rows),
        cmocka_unit_test(a_line_fits_the_terminal),
        cmocka_unit_test(a_line_fits_a_narrow_terminal),
        cmocka_unit_test(colour_adds_codes_and_nothing_else),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}

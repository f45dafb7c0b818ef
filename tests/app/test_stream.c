/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A stream without a connection: its messages, what is left of it, and that it is the same however it is cut. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "check/stream.h"

#define BYTES(text) ((struct weir_bytes){ (const unsigned char *)(text), sizeof(text) - 1 })

struct stream_case {
    const char *frame;
    int64_t max;
    enum weir_too_long too_long;
    struct weir_bytes bytes;
    enum stream_state state;
    const char *shown;
};

/* Puts what comes out into line, as a C string, when the bytes come in pieces of that size. */
static enum stream_state show(const struct stream_case *one, size_t piece, bool is_quiet, struct line *line)
{
    const struct weir_service service =
        WEIR_SERVICE(.frame = one->frame, .message_bytes_max = one->max, .too_long = one->too_long);
    const struct render_style style = { .utf8 = true };
    struct stream *stream = NULL;
    enum stream_state state = STREAM_GOES_ON;

    assert_int_equal(stream_new(&service, &style, is_quiet, &stream), 0);
    for (size_t at = 0; at < one->bytes.len && state == STREAM_GOES_ON; at += piece) {
        const size_t left = one->bytes.len - at;
        state = stream_add(stream, (struct weir_bytes){ one->bytes.data + at, left < piece ? left : piece }, line);
    }
    state = stream_end(stream, line);
    stream_free(stream);
    line_add(line, "", 1);
    assert_false(line->failed);
    return state;
}

static const struct stream_case cases[] = {
    { "line",
      0,
      0,
      { (const unsigned char *)"one\n\ntw\to\r\nthr", 14 },
      STREAM_GOES_ON,
      "message 1, 3 bytes: one\nmessage 2, 0 bytes\nmessage 3, 4 bytes: tw\\to\nmessage 4, 3 bytes, unfinished: thr\n"
      "4 messages in 14 bytes\n" },
    { "length:u16be",
      0,
      0,
      { (const unsigned char *)"\0\3abc\0\5de", 9 },
      STREAM_GOES_ON,
      "message 1, 3 bytes: abc\nleft over, from byte 6 on, 4 bytes: \\0\\x05de\n1 message in 9 bytes\n" },
    { "netstring",
      0,
      0,
      { (const unsigned char *)"1:a,x", 5 },
      STREAM_MALFORMED,
      "message 1, 1 byte: a\nmalformed, from byte 5 on, 1 byte: x\n1 message in 5 bytes\n" },
    { "line",
      4,
      WEIR_TOO_LONG_TRUNCATE,
      { (const unsigned char *)"ab\nabcdefgh\ncd\n", 15 },
      STREAM_GOES_ON,
      "message 1, 2 bytes: ab\nmessage 2, 4 bytes, truncated from 8 bytes: abcd\nmessage 3, 2 bytes: cd\n"
      "3 messages in 15 bytes\n" },
    { "line",
      4,
      WEIR_TOO_LONG_SKIP,
      { (const unsigned char *)"ab\nabcdefgh\ncd\n", 15 },
      STREAM_GOES_ON,
      "message 1, 2 bytes: ab\nmessage 2 skipped, 8 bytes: the longest may have 4 bytes\nmessage 3, 2 bytes: cd\n"
      "3 messages in 15 bytes\n" },
    { "length:u8",
      4,
      WEIR_TOO_LONG_SKIP,
      { (const unsigned char *)"\1a\7bcdefgh\2ij\5", 14 },
      STREAM_GOES_ON,
      "message 1, 1 byte: a\nmessage 2 skipped, 7 bytes: the longest may have 4 bytes\nmessage 3, 2 bytes: ij\n"
      "left over, from byte 14 on, 1 byte: 05  |.|\n3 messages in 14 bytes\n" },
    { "slip",
      0,
      0,
      { (const unsigned char *)"\xc0"
                               "a\xdb\xdc\xc0",
        5 },
      STREAM_GOES_ON,
      "message 1, 2 bytes: 61 c0  |a.|\n1 message in 5 bytes\n" },
    { "line", 0, 0, { NULL, 0 }, STREAM_GOES_ON, "0 messages in 0 bytes\n" },
};

static void messages_and_what_is_left_are_shown(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (size_t piece = 1; piece <= cases[i].bytes.len + 1; piece++) {
            struct line line = { 0 };
            const enum stream_state result = show(&cases[i], piece, false, &line);
            if (result != cases[i].state || strcmp(line.bytes, cases[i].shown) != 0)
                fail_msg("case %zu in pieces of %zu: %d, %s", i, piece, (int)result, line.bytes);
            line_fini(&line);
        }
}

static void the_usual_policy_ends_the_stream(void **state)
{
    const struct stream_case long_one = { .frame = "line", .max = 4, .bytes = BYTES("ab\nabcdefgh\ncd\n") };
    struct line line = { 0 };

    (void)state;
    assert_int_equal(show(&long_one, 100, false, &line), STREAM_TOO_LONG);
    assert_string_equal(line.bytes,
                        "message 1, 2 bytes: ab\ntoo long, and the connection would be closed, from byte 4 on, "
                        "12 bytes: abcdefgh\\ncd\\n\n1 message in 15 bytes\n");
    line_fini(&line);
}

static void quiet_leaves_the_messages_out(void **state)
{
    struct line line = { 0 };

    (void)state;
    assert_int_equal(show(&cases[1], 100, true, &line), STREAM_GOES_ON);
    assert_string_equal(line.bytes, "left over, from byte 6 on, 4 bytes: \\0\\x05de\n1 message in 9 bytes\n");
    line_fini(&line);
}

static void a_bad_framing_is_an_error(void **state)
{
    const struct weir_service service = WEIR_SERVICE(.frame = "bogus");
    const struct render_style style = { .utf8 = true };
    struct stream *stream = NULL;

    (void)state;
    assert_int_equal(stream_new(&service, &style, false, &stream), WEIR_EFRAME);
    assert_null(stream);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_and_what_is_left_are_shown),
        cmocka_unit_test(the_usual_policy_ends_the_stream),
        cmocka_unit_test(quiet_leaves_the_messages_out),
        cmocka_unit_test(a_bad_framing_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

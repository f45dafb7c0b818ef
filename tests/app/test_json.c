/* SPDX-License-Identifier: BSD-3-Clause
 *
 * JSON lines: the members of the contract, and strings that stay one line of UTF-8 whatever is in them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "text/json.h"
#include "text/utf8.h"

#define BYTES(text) ((struct weir_bytes){ (const unsigned char *)(text), sizeof(text) - 1 })

static const struct conn_event event = { .time = { .tv_sec = 1795420800, .tv_nsec = 1999 },
                                         .conn = 1,
                                         .peer = "127.0.0.1:53412",
                                         .listener = "tcp://127.0.0.1:8000" };

#define HEAD(name)                                                                                      \
    "{\"event\":\"" name "\",\"time\":\"2026-11-23T08:00:00.000001Z\",\"conn\":1,\"listener\":\"tcp://" \
    "127.0.0.1:8000\",\"peer\":\"127.0.0.1:53412\""

static void expect(struct line *line, const char *expected)
{
    line_add(line, "", 1);
    if (strcmp(line->bytes, expected) != 0) fail_msg("%s, not %s", line->bytes, expected);
    line_clear(line);
}

static void events_have_the_members_of_the_contract(void **state)
{
    const struct weir_message_info info = { .seq = 7, .original_len = 5 };
    const struct weir_message_info odd = { .seq = 8,
                                           .original_len = 900,
                                           .flags = WEIR_MESSAGE_TRUNCATED | WEIR_MESSAGE_UNFINISHED };
    const struct weir_conn_counters counters = {
        .messages_in = 1, .messages_out = 2, .bytes_in = 3, .bytes_out = 4, .input_bytes = 5, .output_bytes = 6
    };
    struct line line = { 0 };

    (void)state;
    json_open(&line, &event);
    expect(&line, HEAD("open") "}\n");
    json_message(&line, &event, NULL, BYTES("hello"), &info);
    expect(&line, HEAD("message") ",\"seq\":7,\"len\":5,\"text\":\"hello\"}\n");
    json_message(&line, &event, NULL, BYTES("\xff\0"), &odd);
    expect(&line,
           HEAD("message") ",\"seq\":8,\"len\":2,\"base64\":\"/wA=\",\"original_len\":900,\"unfinished\":true}\n");
    json_sent(&line, &event, NULL, BYTES(""));
    expect(&line, HEAD("sent") ",\"len\":0,\"text\":\"\"}\n");
    json_end(&line, &event);
    expect(&line, HEAD("end") "}\n");
    json_close(&line, &event, WEIR_REASON_PEER_CLOSED, 0, &counters);
    expect(&line, HEAD("close") ",\"reason\":\"peer closed\",\"messages_in\":1,\"messages_out\":2,\"bytes_in\":3,"
                                "\"bytes_out\":4,\"input_bytes\":5,\"output_bytes\":6}\n");
    json_missed(&line, &event.time, 75767);
    expect(&line, "{\"event\":\"missed\",\"time\":\"2026-11-23T08:00:00.000001Z\",\"count\":75767}\n");
    line_fini(&line);
}

static void strings_are_escaped(void **state)
{
    static const struct {
        struct weir_bytes text;
        const char *json;
    } cases[] = {
        { { (const unsigned char *)"a\"b\\c/d", 7 }, "\"a\\\"b\\\\c/d\"" },
        { { (const unsigned char *)"\n\r\t\0\033\x7f", 6 }, "\"\\n\\r\\t\\u0000\\u001b\\u007f\"" },
        { { (const unsigned char *)"\xe4\xbd\xa0\xf0\x9f\x9a\xb0", 7 }, "\"\xe4\xbd\xa0\xf0\x9f\x9a\xb0\"" },
        { { (const unsigned char *)"\xc2\x9b\xe2\x80\xae", 5 }, "\"\\u009b\\u202e\"" },
        { { (const unsigned char *)"\xf3\xa0\x80\x81\xf4\x8f\xbf\xbf", 8 }, "\"\\udb40\\udc01\\udbff\\udfff\"" },
        { { (const unsigned char *)"a\xff", 2 }, "\"a\\ufffd\"" },
    };
    struct line line = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        json_add_string(&line, NULL, cases[i].text);
        expect(&line, cases[i].json);
    }
    line_fini(&line);
}

static void base64_pads(void **state)
{
    static const struct {
        const char *text, *json;
    } cases[] = { { "", "\"\"" },
                  { "f", "\"Zg==\"" },
                  { "fo", "\"Zm8=\"" },
                  { "foo", "\"Zm9v\"" },
                  { "foob", "\"Zm9vYg==\"" },
                  { "fooba", "\"Zm9vYmE=\"" },
                  { "foobar", "\"Zm9vYmFy\"" } };
    struct line line = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        json_add_base64(&line, (struct weir_bytes){ (const unsigned char *)cases[i].text, strlen(cases[i].text) });
        expect(&line, cases[i].json);
    }
    line_fini(&line);
}

/* Whatever the bytes, a message is one line, of UTF-8, without a control. */
static void a_line_stays_a_line(void **state)
{
    const struct weir_message_info info = { .seq = 1 };
    uint32_t seed = 1;

    (void)state;
    for (size_t round = 0; round < 5000; round++) {
        unsigned char data[64];
        struct line line = { 0 };
        for (size_t i = 0; i < sizeof(data); i++) {
            seed = seed * 1664525 + 1013904223;
            data[i] = (unsigned char)(round % 2 ? seed >> 24 : (seed >> 24) & 0x7f);
        }
        json_message(&line, &event, NULL, (struct weir_bytes){ data, sizeof(data) }, &info);
        assert_int_equal(line.bytes[line.len - 1], '\n');
        assert_true(encoding_is_valid(NULL, (struct weir_bytes){ (unsigned char *)line.bytes, line.len }));
        for (size_t i = 0; i + 1 < line.len; i++)
            assert_true((unsigned char)line.bytes[i] >= 0x20 && line.bytes[i] != 0x7f);
        line_fini(&line);
    }
}

static void decoding_follows_the_table_of_unicode(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        int result;
        uint32_t character;
    } cases[] = {
        { "", 0, UTF8_CUT, 0 },
        { "a", 1, 1, 'a' },
        { "\0", 1, 1, 0 },
        { "\xc2\x80", 2, 2, 0x80 },
        { "\xdf\xbf", 2, 2, 0x7ff },
        { "\xe0\xa0\x80", 3, 3, 0x800 },
        { "\xef\xbf\xbf", 3, 3, 0xffff },
        { "\xf0\x90\x80\x80", 4, 4, 0x10000 },
        { "\xf4\x8f\xbf\xbf", 4, 4, 0x10ffff },
        { "\x80", 1, UTF8_INVALID, 0 },
        { "\xc0\x80", 2, UTF8_INVALID, 0 },
        { "\xc1\xbf", 2, UTF8_INVALID, 0 },
        { "\xe0\x9f\xbf", 3, UTF8_INVALID, 0 },
        { "\xed\xa0\x80", 3, UTF8_INVALID, 0 },
        { "\xf0\x8f\xbf\xbf", 4, UTF8_INVALID, 0 },
        { "\xf4\x90\x80\x80", 4, UTF8_INVALID, 0 },
        { "\xf5\x80\x80\x80", 4, UTF8_INVALID, 0 },
        { "\xff", 1, UTF8_INVALID, 0 },
        { "\xe4", 1, UTF8_CUT, 0 },
        { "\xe4\xbd", 2, UTF8_CUT, 0 },
        { "\xe4\x41", 2, UTF8_INVALID, 0 },
        { "\xf0\x9f\x9a", 3, UTF8_CUT, 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint32_t character = 0;
        const int result =
            utf8_decode((struct weir_bytes){ (const unsigned char *)cases[i].bytes, cases[i].len }, &character);
        if (result != cases[i].result || character != cases[i].character)
            fail_msg("case %zu: %d, %x", i, result, character);
    }
}

static int setup(void **state)
{
    (void)state;
    utf8_init();
    return 0;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_have_the_members_of_the_contract),
        cmocka_unit_test(strings_are_escaped),
        cmocka_unit_test(base64_pads),
        cmocka_unit_test(a_line_stays_a_line),
        cmocka_unit_test(decoding_follows_the_table_of_unicode),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}

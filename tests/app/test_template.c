/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The text of an acknowledgement: what its fields become, and what is refused. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "answer/template.h"

static const struct template_values usual = {
    .seq = 7,
    .id = 1234567890123,
    .conn = 42,
    .time_us = 1763856000000123,
    .message = { (const unsigned char *)"123456789", 9 },
};

/* The template becomes these bytes, in room of exactly the size that it asks for. */
static void expect_bytes(const char *text, const struct template_values *values, const void *bytes, size_t len)
{
    char error[200] = "";
    struct template *template = NULL;
    unsigned char *written = NULL;
    size_t room = 0;

    if (template_new(text, &template, error, sizeof(error))) fail_msg("%s: %s", text, error);
    room = template_bytes_max(template);
    assert_true(len <= room);
    written = malloc(room + 1);
    assert_non_null(written);
    written[room] = 0xa5;
    assert_int_equal(template_write(template, values, written), len);
    assert_memory_equal(written, bytes, len);
    assert_int_equal(written[room], 0xa5);
    free(written);
    template_free(template);
}

static void expect_text(const char *text, const struct template_values *values, const char *expected)
{
    expect_bytes(text, values, expected, strlen(expected));
}

/* The template is refused, with a sentence that has this in it. */
static void expect_error(const char *text, const char *sentence)
{
    char error[200] = "";
    struct template *template = NULL;

    assert_int_equal(template_new(text, &template, error, sizeof(error)), -EINVAL);
    assert_null(template);
    if (!strstr(error, sentence)) fail_msg("%s: %s", text, error);
}

static void every_field_is_text(void **state)
{
    (void)state;
    expect_text("{seq}", &usual, "7");
    expect_text("{id}", &usual, "1234567890123");
    expect_text("{conn}", &usual, "42");
    expect_text("{len}", &usual, "9");
    expect_text("{time}", &usual, "2025-11-23T00:00:00.000123Z");
    expect_text("{crc32}", &usual, "cbf43926");
    expect_text("OK {seq}/{id} of {conn}: {len}.", &usual, "OK 7/1234567890123 of 42: 9.");
    expect_text("{seq}{seq}", &usual, "77");
    expect_text("", &usual, "");
}

static void every_field_has_every_form(void **state)
{
    static const unsigned char big[8] = { 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88 };
    static const char *const fields[] = { "seq", "id", "conn" };
    const struct template_values values = { .seq = 0x1122334455667788, .id = values.seq, .conn = values.seq };

    (void)state;
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        char text[32];

        snprintf(text, sizeof(text), "{%s:u8}", fields[i]);
        expect_bytes(text, &values, "\x88", 1);
        snprintf(text, sizeof(text), "{%s:u16be}", fields[i]);
        expect_bytes(text, &values, "\x77\x88", 2);
        snprintf(text, sizeof(text), "{%s:u16le}", fields[i]);
        expect_bytes(text, &values, "\x88\x77", 2);
        snprintf(text, sizeof(text), "{%s:u32be}", fields[i]);
        expect_bytes(text, &values, "\x55\x66\x77\x88", 4);
        snprintf(text, sizeof(text), "{%s:u32le}", fields[i]);
        expect_bytes(text, &values, "\x88\x77\x66\x55", 4);
        snprintf(text, sizeof(text), "{%s:u64be}", fields[i]);
        expect_bytes(text, &values, big, 8);
        snprintf(text, sizeof(text), "{%s:u64le}", fields[i]);
        expect_bytes(text, &values, "\x88\x77\x66\x55\x44\x33\x22\x11", 8);
    }
    expect_bytes("{len:u16be}", &usual, "\0\x09", 2);
    expect_bytes("{len:u16le}", &usual, "\x09\0", 2);
    expect_bytes("{crc32:u32be}", &usual, "\xcb\xf4\x39\x26", 4);
    expect_bytes("{crc32:u32le}", &usual, "\x26\x39\xf4\xcb", 4);
    expect_bytes("{crc32:u64be}", &usual, "\0\0\0\0\xcb\xf4\x39\x26", 8);
    expect_bytes("{time:u32be}", &usual, "\x69\x22\x4e\x80", 4); /* seconds */
    expect_bytes("\\x06{seq:u8}{seq:u16le}\\0", &usual, "\x06\x07\x07\0\0", 5);
}

static void the_largest_values_have_room(void **state)
{
    const struct template_values values = {
        .seq = UINT64_MAX, .id = UINT64_MAX, .conn = UINT64_MAX, .time_us = INT64_MAX, .message = { NULL, 0 }
    };

    (void)state;
    expect_text("{seq}", &values, "18446744073709551615");
    expect_text("{time}", &values, "294247-01-10T04:00:54.775807Z");
    expect_text("{seq}{id}{conn}{time}a", &values,
                "184467440737095516151844674407370955161518446744073709551615294247-01-10T04:00:54.775807Za");
    expect_text("{len} {crc32}", &values, "0 00000000");
}

static void the_time_has_all_its_digits(void **state)
{
    struct template_values values = { .time_us = 0 };

    (void)state;
    expect_text("{time}", &values, "1970-01-01T00:00:00.000000Z");
    values.time_us = 951868799999999;
    expect_text("{time}", &values, "2000-02-29T23:59:59.999999Z");
    values.time_us = 1000001;
    expect_text("{time}", &values, "1970-01-01T00:00:01.000001Z");
}

static void doubled_braces_are_braces(void **state)
{
    (void)state;
    expect_text("{{seq}}", &usual, "{seq}");
    expect_text("{{{seq}}}", &usual, "{7}");
    expect_text("{{}}", &usual, "{}");
    expect_text("{{\"n\":{seq},\"crc\":\"{crc32}\"}}", &usual, "{\"n\":7,\"crc\":\"cbf43926\"}");
    expect_text("{seq}}}{{{seq}", &usual, "7}{7");
}

static void escapes_are_bytes(void **state)
{
    (void)state;
    expect_bytes("\\0\\x01\\r\\n\\\\", &usual, "\0\1\r\n\\", 5);
    expect_bytes("a\\0{seq}\\0b", &usual, "a\0007\0b", 5);
    expect_text("\\x7bseq\\x7d", &usual, "{seq}"); /* a brace that was an escape opens no field */
}

static void what_is_unknown_is_refused(void **state)
{
    (void)state;
    expect_error("{sequence}", "{sequence}");
    expect_error("{se}", "{seq}");
    expect_error("{}", "there is no field {}");
    expect_error("{ seq}", "there is no field");
    expect_error("{SEQ}", "there is no field");
    expect_error("{seq:}", "u32be");
    expect_error("{seq:u32}", "{seq:u32}");
    expect_error("{seq:u24be}", "u16le");
    expect_error("{seq:u8:u8}", "no such form");
    expect_error("{:u8}", "there is no field");
    expect_error("ok \\q", "not an escape: \\q");
    expect_error("{seq}\\", "not an escape");
    expect_error("\\{seq}", "not an escape");
    expect_error("\\x4{seq}1", "not an escape"); /* not across a field */
}

static void unbalanced_braces_are_refused(void **state)
{
    (void)state;
    expect_error("{", "a brace is written {{");
    expect_error("{seq", "a { without its }");
    expect_error("{{{seq", "a { without its }");
    expect_error("}", "a brace is written }}");
    expect_error("seq}", "a } without its {");
    expect_error("{seq}}", "a } without its {");
    expect_error("{{seq}", "a } without its {");
    expect_error("}}}", "a } without its {");
}

/* What is written never needs more than it said, whatever the text. */
static void random_templates_keep_within_their_room(void **state)
{
    static const char *const pieces[] = { "{seq}",   "{id}",     "{conn}",     "{len}",        "{time}",
                                          "{crc32}", "{seq:u8}", "{id:u64be}", "{time:u16le}", "{{",
                                          "}}",      "a",        "\\x7b",      "\\n",          "some text " };
    const struct template_values values = {
        .seq = UINT64_MAX, .id = UINT64_MAX, .conn = UINT64_MAX, .time_us = INT64_MAX, .message = { NULL, 0 }
    };
    uint32_t random = 1;

    (void)state;
    for (int round = 0; round < 1000; round++) {
        char text[200] = "", error[200];
        struct template *template = NULL;
        unsigned char *written = NULL;
        size_t len = 0;

        for (int i = 0; i < 10; i++) {
            random = random * 1664525 + 1013904223;
            len += (size_t)snprintf(text + len, sizeof(text) - len, "%s",
                                    pieces[(random >> 16) % (sizeof(pieces) / sizeof(pieces[0]))]);
        }
        assert_int_equal(template_new(text, &template, error, sizeof(error)), 0);
        written = malloc(1000);
        assert_non_null(written);
        assert_true(template_write(template, &values, written) <= template_bytes_max(template));
        assert_int_equal(template_needs_store(template), strstr(text, "{id") != NULL);
        free(written);
        template_free(template);
    }
}

static void only_the_id_needs_the_store(void **state)
{
    static const struct {
        const char *text;
        bool needs_store;
    } cases[] = {
        { "", false },    { "ok", false },     { "{seq}{conn}{len}{time}{crc32}", false },
        { "{id}", true }, { "{{id}}", false }, { "ok {seq} {id:u32be}", true },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct template *template = NULL;
        char error[200];

        assert_int_equal(template_new(cases[i].text, &template, error, sizeof(error)), 0);
        assert_int_equal(template_needs_store(template), cases[i].needs_store);
        template_free(template);
    }
    template_free(NULL);
}

static void a_shape_says_what_each_byte_can_be(void **state)
{
    static const char expected[] = "a000b 0000-00-00T00:00:00.000000Z 00000000 \0\0{000}000";
    static const char kinds_expected[] = "gdddggddddgddgddgddgddgddgddddddgghhhhhhhhgaagdddgddd";
    static const char kind_names[] = {
        [TEMPLATE_BYTE_GIVEN] = 'g', [TEMPLATE_BYTE_DIGIT] = 'd', [TEMPLATE_BYTE_HEX] = 'h', [TEMPLATE_BYTE_ANY] = 'a'
    };
    struct template *template = NULL;
    char error[200];
    unsigned char bytes[512], kinds[512];

    (void)state;
    assert_int_equal(template_new("a{seq}b {time} {crc32} {len:u16le}{{{id}}}{conn}", &template, error, sizeof(error)),
                     0);
    assert_in_range(template_bytes_max(template), sizeof(expected) - 1, sizeof(bytes));
    assert_int_equal(template_write_shape(template, 3, bytes, kinds), sizeof(expected) - 1);
    assert_memory_equal(bytes, expected, sizeof(expected) - 1);
    assert_int_equal(sizeof(kinds_expected), sizeof(expected));
    for (size_t i = 0; i < sizeof(expected) - 1; i++)
        assert_int_equal(kind_names[kinds[i]], kinds_expected[i]);
    assert_int_equal(template_write_shape(template, 1, bytes, kinds), sizeof(expected) - 1 - 6);
    template_free(template);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_is_text),
        cmocka_unit_test(every_field_has_every_form),
        cmocka_unit_test(the_largest_values_have_room),
        cmocka_unit_test(the_time_has_all_its_digits),
        cmocka_unit_test(doubled_braces_are_braces),
        cmocka_unit_test(escapes_are_bytes),
        cmocka_unit_test(what_is_unknown_is_refused),
        cmocka_unit_test(unbalanced_braces_are_refused),
        cmocka_unit_test(random_templates_keep_within_their_room),
        cmocka_unit_test(only_the_id_needs_the_store),
        cmocka_unit_test(a_shape_says_what_each_byte_can_be),
    };
    return cmocka_run_group_tests_name("template", tests, NULL, NULL);
}

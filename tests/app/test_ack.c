/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Which acknowledgements a listener starts with. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "answer/ack.h"
#include "journal/journal.h"

static struct endpoint_options options_of(const char *frame, const char *send_frame, const char *ack)
{
    struct endpoint_options options = { .ack = ack };

    options.service.size = sizeof(options.service);
    options.service.frame = frame;
    options.service.send_frame = send_frame;
    return options;
}

static void expect_taken(const char *frame, const char *send_frame, const char *ack)
{
    const struct endpoint_options options = options_of(frame, send_frame, ack);
    struct template *template = NULL;
    char error[600] = "";

    if (ack_new(&options, true, &template, error, sizeof(error))) fail_msg("%s, %s: %s", frame, ack, error);
    assert_non_null(template);
    template_free(template);
}

static void expect_refused(const char *frame, const char *send_frame, const char *ack, const char *reason)
{
    const struct endpoint_options options = options_of(frame, send_frame, ack);
    struct template *template = NULL;
    char error[600] = "";

    if (ack_new(&options, true, &template, error, sizeof(error)) != -EINVAL) fail_msg("%s, %s: taken", frame, ack);
    assert_null(template);
    if (!strstr(error, reason) || strncmp(error, "--ack ", 6) || strncmp(error + 6, ack, strnlen(ack, 200)))
        fail_msg("%s, %s: %s", frame, ack, error);
}

static void without_an_acknowledgement_there_is_nothing_to_refuse(void **state)
{
    const struct endpoint_options options = options_of(NULL, NULL, NULL);
    struct template *template = NULL;
    char error[600] = "";

    (void)state;
    assert_int_equal(ack_new(&options, false, &template, error, sizeof(error)), 0);
    assert_null(template);
}

static void it_says_what_is_so(void **state)
{
    struct endpoint_options options = options_of("line", NULL, "{id}");
    struct template *template = NULL;
    char error[600] = "";

    (void)state;
    assert_int_equal(ack_new(&options, false, &template, error, sizeof(error)), -EINVAL);
    assert_non_null(strstr(error, "nothing is on disk"));
    options.ack_when = ACK_WHEN_RECEIVED;
    assert_int_equal(ack_new(&options, true, &template, error, sizeof(error)), -EINVAL);
    assert_non_null(strstr(error, "{id} is known once"));
    expect_refused(NULL, NULL, "ok", "is not a message");
    expect_refused("line", NULL, "{number}", "there is no field {number}");
}

static void what_is_too_long_is_refused(void **state)
{
    static const char eighty[] = "01234567890123456789012345678901234567890123456789012345678901234567890123456789";
    char text[sizeof(eighty) * 3 + 16];

    (void)state;
    expect_taken("line", "fixed:23,pad=x", "OK {seq}");
    expect_refused("line", "fixed:22,pad=x", "OK {seq}", "it is too long once its numbers are");
    expect_refused("line", "fixed:3,pad=x", "OK {seq}", "it is too long");
    expect_refused("line", "fixed:26,pad=x", "{time}", "it is too long");
    expect_taken("line", "fixed:27,pad=x", "{time}");
    expect_refused("line", "fixed:7,pad=x", "{crc32}", "it is too long");
    expect_refused("line", "fixed:3,pad=x", "{seq:u32be}", "it is too long");
    expect_taken("line", "fixed:1048576,pad=x", "{seq:u32be}{id}");
    expect_taken("line", "fixed:67108864,pad=x", "{seq:u32be}"); /* and is not tried with every byte */
    snprintf(text, sizeof(text), "%s%s%s{seq}", eighty, eighty, eighty);
    expect_refused("length:u8", NULL, text, "it is too long once its numbers are");
    snprintf(text, sizeof(text), "%s%s%.75s{seq}", eighty, eighty, eighty);
    expect_taken("length:u8", NULL, text);
}

static void what_has_not_the_length_of_each_message_is_refused(void **state)
{
    (void)state;
    expect_refused("fixed:4", NULL, "{seq}", "each message has the same length");
    expect_refused("fixed:4", NULL, "longer than four bytes", "each message has the same length");
    expect_refused("fixed:4", NULL, "OK {seq}", "each message has the same length"); /* up to number 9 it has */
    expect_taken("fixed:4", NULL, "{seq:u32be}");
    expect_taken("fixed:4", NULL, "\\x06{seq:u16be}\n");
    expect_taken("fixed:4", "raw", "\\x06");
    expect_taken("fixed:27", NULL, "{time}");
}

static void what_never_arrives_as_one_message_is_refused(void **state)
{
    (void)state;
    expect_refused("line", NULL, "OK\\n{seq}", "would not arrive as one message");
    expect_taken("line", NULL, "OK {seq}\\n"); /* it gets no second newline */
    expect_taken("line:crlf", NULL, "OK {seq}\\r\\n");
    expect_refused("delimiter:\\x03", NULL, "a\\x03b", "would not arrive as one message");
    expect_refused("delimiter:T", NULL, "{time}", "would not arrive as one message");
    expect_refused("between:\\x02,\\x03", NULL, "{seq}\\x03", "could not be read back");
    expect_taken("between:\\x02,\\x03,escape=\\x10", NULL, "{seq}\\x03");
    expect_taken("between:\\x7e,\\x7e,escape=\\x7d,xor=\\x20", NULL, "{seq}\\x7e");
    expect_taken("slip", NULL, "\\xc0{seq}");
    expect_taken("length:u16be,offset=2", NULL, "OK\\n");
}

static void what_is_empty_is_refused_where_nothing_would_leave(void **state)
{
    (void)state;
    expect_taken("line", NULL, "");
    expect_taken("netstring", NULL, "");
    expect_refused("raw", NULL, "", "it is empty");
    expect_refused("octet-count", NULL, "", "it is empty");
}

/* Lists end with NULL. */
static const char *const binary_fields[] = { "{seq:u8}",   "{seq:u32be}",    "{time:u64le}",
                                             "{crc32:u8}", "OK {id:u16le}.", NULL };
static const char *const text_fields[] = { "{seq}", "{id}", "{conn}", "{len}", "{time} {seq}", NULL };

static void expect_each_taken(const char *const *frames, const char *const *acks)
{
    for (; *frames; frames++)
        for (size_t i = 0; acks[i]; i++)
            expect_taken(*frames, NULL, acks[i]);
}

static void expect_each_refused(const char *const *frames, const char *const *acks, const char *reason)
{
    for (; *frames; frames++)
        for (size_t i = 0; acks[i]; i++)
            expect_refused(*frames, NULL, acks[i], reason);
}

static void a_field_that_can_end_a_message_is_refused(void **state)
{
    static const char *const no_binary[] = { "line",
                                             "delimiter:\\x03",
                                             "delimiter:\\x00",
                                             "between:\\x02,\\x03",
                                             "between:1,2",
                                             "between:\\x02,\\x03,escape=\\x10,map=\\x03:\\x01",
                                             NULL };
    static const char *const no_digit[] = { "delimiter:0",  "delimiter:1", "delimiter:9",
                                            "delimiter:11", "between:1,2", NULL };

    (void)state;
    expect_each_refused(no_binary, binary_fields, "a field in binary can hold what ends");
    expect_each_refused(no_digit, text_fields, "a field can hold what ends");
    expect_refused("delimiter:f", NULL, "{crc32}", "a field can hold what ends");
    expect_taken("delimiter:f", NULL, "{seq} {time}");
}

/* What ends a message may be longer than a field, in several, or reach from one into what is given. */
static void a_mark_of_several_bytes_is_found(void **state)
{
    static const char field[] = "a field in binary can hold what ends";

    (void)state;
    expect_refused("line:crlf", NULL, "{seq:u16be}", field);
    expect_refused("delimiter:\\x01\\x02", NULL, "{seq:u16be}", field);
    expect_refused("delimiter:\\x01\\x02", NULL, "{seq:u8}{conn:u8}", field);
    expect_refused("delimiter:\\x01\\x02", NULL, "\\x01{seq:u8}", field);
    expect_refused("delimiter:\\x01\\x02", NULL, "{seq:u8}\\x02", field);
    expect_refused("delimiter:\\x01\\x01", NULL, "{seq:u8}", field); /* with the delimiter behind it */
    expect_taken("delimiter:\\x01\\x02", NULL, "{seq:u8}");
    expect_taken("delimiter:\\x01\\x02\\x03", NULL, "{seq:u16be}.{id:u16be}");
    expect_refused("between:\\x02,\\x03\\x04", NULL, "{seq:u16be}", field);
    expect_refused("between:ab,ab", NULL, "{seq:u16be}", field);
    expect_refused("between:xx,xx", NULL, "{seq:u16be}", field);
    expect_refused("delimiter:12", NULL, "{seq}", "a field can hold what ends");
    expect_refused("delimiter:a123b", NULL, "a{seq}b", "a field can hold what ends"); /* with three digits only */
    expect_refused("between:\\x02,a123b", NULL, "a{seq}b", "a field can hold what ends");
    expect_taken("delimiter:1x", NULL, "{seq}");
}

static void what_any_field_can_be_sent_in_is_taken(void **state)
{
    static const char *const framings[] = { "length:u8",
                                            "length:u16be",
                                            "length:u32le,adjust=-4",
                                            "varint",
                                            "octet-count",
                                            "netstring",
                                            "slip",
                                            "fixed:64,pad=\\x20",
                                            "between:\\x02,\\x03,escape=\\x10",
                                            "between:\\x7e,\\x7e,escape=\\x7d,xor=\\x20",
                                            "between:\\x10\\x02,\\x10\\x03,escape=\\x10",
                                            "length:u16be,offset=2",
                                            "raw",
                                            NULL };
    static const char *const lines[] = {
        "line", "line:crlf", "delimiter:\\x03", "delimiter:\\r\\n", "between:\\x02,\\x03", NULL
    };

    (void)state;
    expect_each_taken(framings, binary_fields);
    expect_each_taken(framings, text_fields);
    expect_each_taken(lines, text_fields);
    expect_taken("line", "length:u16be", "{seq:u32be}");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_an_acknowledgement_there_is_nothing_to_refuse),
        cmocka_unit_test(it_says_what_is_so),
        cmocka_unit_test(what_is_too_long_is_refused),
        cmocka_unit_test(what_has_not_the_length_of_each_message_is_refused),
        cmocka_unit_test(what_never_arrives_as_one_message_is_refused),
        cmocka_unit_test(what_is_empty_is_refused_where_nothing_would_leave),
        cmocka_unit_test(a_field_that_can_end_a_message_is_refused),
        cmocka_unit_test(a_mark_of_several_bytes_is_found),
        cmocka_unit_test(what_any_field_can_be_sent_in_is_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

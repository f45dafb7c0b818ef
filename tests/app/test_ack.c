/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Which acknowledgements a listener starts with. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ack.h"
#include "journal/journal.h"

static struct endpoint_options options_of(const char *frame, const char *send_frame, const char *ack)
{
    struct endpoint_options options = { .ack = ack };

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

static void what_is_too_long_for_every_message_is_refused(void **state)
{
    static const char longest[] = "01234567890123456789012345678901234567890123456789012345678901234567890123456789"
                                  "01234567890123456789012345678901234567890123456789012345678901234567890123456789"
                                  "01234567890123456789012345678901234567890123456789012345678901234567890123456789"
                                  "01234567890123";
    char text[sizeof(longest) + 16];

    (void)state;
    expect_taken("line", "fixed:4,pad=x", "OK {seq}");
    expect_refused("line", "fixed:4,pad=x", "OKAY {seq}", "it is too long");
    expect_refused("line", "fixed:26,pad=x", "{time}", "it is too long");
    expect_taken("line", "fixed:27,pad=x", "{time}");
    expect_refused("line", "fixed:7,pad=x", "{crc32}", "it is too long");
    expect_refused("line", "fixed:3,pad=x", "{seq:u32be}", "it is too long");
    expect_taken("fixed:4", NULL, "longer than four bytes"); /* without a pad bytes leave as given */
    strcpy(text, longest);
    strcat(text, "{seq}");
    expect_taken("length:u8", NULL, text); /* 255 bytes, up to message 9 */
    strcat(text, ".");
    expect_refused("length:u8", NULL, text, "it is too long");
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

/* Whether a field holds what ends a message depends on the message: only what is certain is refused. */
static void what_depends_on_the_message_is_taken(void **state)
{
    static const char *const framings[] = { "delimiter:1",     "delimiter:9",     "delimiter:11",    "delimiter:0",
                                            "delimiter:\\x00", "delimiter:\\x01", "delimiter:\\x09", "line",
                                            "between:1,2" };
    static const char *const fields[] = { "{seq}",   "{id}",        "{conn}",       "{len}",
                                          "{crc32}", "{seq:u32be}", "{time:u64le}", "{crc32:u8}" };

    (void)state;
    for (size_t i = 0; i < sizeof(framings) / sizeof(framings[0]); i++)
        for (size_t j = 0; j < sizeof(fields) / sizeof(fields[0]); j++)
            expect_taken(framings[i], NULL, fields[j]);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_an_acknowledgement_there_is_nothing_to_refuse),
        cmocka_unit_test(it_says_what_is_so),
        cmocka_unit_test(what_is_too_long_for_every_message_is_refused),
        cmocka_unit_test(what_never_arrives_as_one_message_is_refused),
        cmocka_unit_test(what_is_empty_is_refused_where_nothing_would_leave),
        cmocka_unit_test(what_depends_on_the_message_is_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

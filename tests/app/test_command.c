/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Typed lines: text with escapes, commands with their arguments, and a sentence for whatever is neither. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "text/utf8.h"
#include "typing/command.h"

static void parse(const char *text, enum command_place place, struct command_line *ret)
{
    char error[COMMAND_ERROR_BYTES_MAX] = "";

    if (command_parse(text, place, NULL, ret, error)) fail_msg("%s: %s", text, error);
}

/* The line means that these bytes are to be sent, to whom kind says. */
static void expect_bytes(const char *text, enum command_kind kind, const char *bytes, size_t len)
{
    struct command_line line;

    parse(text, AT_SERVE, &line);
    assert_int_equal(line.kind, kind);
    if (line.len != len) fail_msg("%s: %zu bytes, not %zu", text, line.len, len);
    assert_memory_equal(line.bytes, bytes, len);
    command_fini(&line);
}

static void expect_error(const char *text, enum command_place place, const char *expected)
{
    char error[COMMAND_ERROR_BYTES_MAX] = "";
    struct command_line line;

    assert_int_equal(command_parse(text, place, NULL, &line, error), -EINVAL);
    assert_string_equal(error, expected);
}

static void text_is_sent_with_its_escapes(void **state)
{
    (void)state;
    expect_bytes("hello", DO_SEND, "hello", 5);
    expect_bytes("  two  blanks  ", DO_SEND, "  two  blanks  ", 15);
    expect_bytes("a\\x00\\n\\\\n\\0", DO_SEND, "a\0\n\\n\0", 6);
    expect_bytes("\xe4\xbd\xa0\xe5\xa5\xbd", DO_SEND, "\xe4\xbd\xa0\xe5\xa5\xbd", 6);
    expect_bytes("", DO_SEND, "", 0);
    expect_bytes(" /list", DO_SEND, " /list", 6);
}

static void text_is_sent_in_the_encoding(void **state)
{
    struct encoding *encoding = NULL;
    struct command_line line;
    char error[COMMAND_ERROR_BYTES_MAX] = "";

    (void)state;
    assert_int_equal(encoding_open("gbk", &encoding, error, sizeof(error)), 0);
    assert_int_equal(command_parse("/all \xe4\xbd\xa0\\x41", AT_SERVE, encoding, &line, error), 0);
    assert_int_equal(line.len, 3);
    assert_memory_equal(line.bytes, "\xc4\xe3\x41", 3);
    assert_true(line.is_text);
    command_fini(&line);
    assert_int_equal(command_parse("/hex 41", AT_SERVE, encoding, &line, error), 0);
    assert_false(line.is_text);
    command_fini(&line);
    assert_int_equal(command_parse("/file \xe4\xbd\xa0", AT_SERVE, encoding, &line, error), 0);
    assert_string_equal(line.name, "\xe4\xbd\xa0"); /* a file's name is not sent */
    command_fini(&line);
    assert_int_equal(command_parse("ok \xea\xb0\x80", AT_SERVE, encoding, &line, error), -EINVAL);
    assert_string_equal(error, "\xea\xb0\x80: not a character of the encoding");
    encoding_close(encoding);
}

static void two_slashes_are_text_with_one(void **state)
{
    (void)state;
    expect_bytes("//etc/passwd", DO_SEND, "/etc/passwd", 11);
    expect_bytes("//", DO_SEND, "/", 1);
    expect_bytes("///", DO_SEND, "//", 2);
    expect_bytes("/all //x", DO_ALL, "/x", 2);
}

static void bad_escapes_are_named(void **state)
{
    (void)state;
    expect_error("cost: \\q5 each", AT_SERVE,
                 "not an escape: \\q5  (there are \\n \\r \\t \\0 \\a \\b \\e \\f \\v \\\\ \\\" \\' \\xHH)");
    expect_error("/all \\x4", AT_SERVE,
                 "not an escape: \\x4 (there are \\n \\r \\t \\0 \\a \\b \\e \\f \\v \\\\ \\\" \\' \\xHH)");
}

static void hex_is_read_however_it_is_written(void **state)
{
    (void)state;
    expect_bytes("/hex 01 03", DO_SEND, "\x01\x03", 2);
    expect_bytes("/hex 01:03:fF", DO_SEND, "\x01\x03\xff", 3);
    expect_bytes("/hex 0103ff", DO_SEND, "\x01\x03\xff", 3);
    expect_bytes("/hex 0x01, 0X03 0xff00", DO_SEND, "\x01\x03\xff\x00", 4);
    expect_bytes("/hex   01\t03 ", DO_SEND, "\x01\x03", 2);
    expect_bytes("/all /hex ab", DO_ALL, "\xab", 1);
    expect_error("/hex", AT_SERVE, "which bytes? As in: 01 03 ff");
    expect_error("/hex : ", AT_SERVE, "which bytes? As in: 01 03 ff");
    expect_error("/hex 01 123", AT_SERVE, "it ends in the middle of a byte: a byte has two digits; as in: 01 03 ff");
    expect_error("/hex 01 g1", AT_SERVE, "'g' at character 4 is no hex digit; as in: 01 03 ff");
    expect_error("/hex 0x", AT_SERVE, "it ends in the middle of a byte: a byte has two digits; as in: 01 03 ff");
}

static void repeat_has_count_interval_and_text(void **state)
{
    struct command_line line;

    (void)state;
    parse("/repeat 10 500ms ping  pong ", AT_CONNECT, &line);
    assert_int_equal(line.kind, DO_REPEAT);
    assert_int_equal(line.count, 10);
    assert_int_equal(line.interval_ms, 500);
    assert_int_equal(line.len, 11);
    assert_memory_equal(line.bytes, "ping  pong ", 11);
    command_fini(&line);
    parse("/repeat 1 2 /hex 00", AT_SERVE, &line);
    assert_int_equal(line.interval_ms, 2000);
    assert_int_equal(line.len, 1);
    command_fini(&line);
    parse("/repeat off", AT_SERVE, &line);
    assert_int_equal(line.kind, DO_REPEAT_OFF);
    command_fini(&line);
    for (size_t i = 0; i < 4; i++) {
        static const char *const cut[] = { "/repeat", "/repeat 10", "/repeat 10 500ms", "/repeat 10 500ms  " };
        expect_error(cut[i], AT_SERVE, "/repeat needs a count, an interval and a text, as in: /repeat 10 500ms ping");
    }
    expect_error("/repeat 0 1s x", AT_SERVE, "/repeat 0: not a count of 1 to 1,000,000,000");
    expect_error("/repeat ten 1s x", AT_SERVE, "/repeat ten: not a count of 1 to 1,000,000,000");
    expect_error("/repeat 10 0ms x", AT_SERVE, "/repeat 10 0ms: not an interval of 1ms to 30d; write 500ms, 10s, 5m");
    expect_error("/repeat 10 soon x", AT_SERVE, "/repeat 10 soon: not an interval of 1ms to 30d; write 500ms, 10s, 5m");
    expect_error("/repeat 10 1s /list", AT_SERVE,
                 "/list: only text or /hex can be sent this way; text that begins with a slash has two: //list");
}

static void other_commands_have_their_arguments(void **state)
{
    struct command_line line;

    (void)state;
    parse("/file  my readings.bin ", AT_SERVE, &line);
    assert_int_equal(line.kind, DO_FILE);
    assert_string_equal(line.name, "my readings.bin");
    command_fini(&line);
    parse("/3", AT_SERVE, &line);
    assert_int_equal(line.kind, DO_TARGET);
    assert_int_equal(line.client, 3);
    parse("/kick", AT_SERVE, &line);
    assert_int_equal(line.kind, DO_KICK);
    assert_int_equal(line.client, 0);
    parse("/kick #12 ", AT_SERVE, &line);
    assert_int_equal(line.client, 12);
    parse("/list ", AT_SERVE, &line);
    assert_int_equal(line.kind, DO_LIST);
    parse("/show", AT_SERVE, &line);
    assert_int_equal(line.kind, DO_SHOW);
    parse("/help", AT_CONNECT, &line);
    assert_int_equal(line.kind, DO_HELP);
    parse("/quit", AT_CONNECT, &line);
    assert_int_equal(line.kind, DO_QUIT);
    expect_error("/file ", AT_SERVE, "/file which? As in: /file reading.bin");
    expect_error("/all", AT_SERVE, "/all what? As in: /all hello");
    expect_error("/kick 1 2", AT_SERVE, "/kick one at a time");
    expect_error("/kick all", AT_SERVE, "all: not a client's number; /list shows them");
    expect_error("/0", AT_SERVE, "0: not a client's number; /list shows them");
    expect_error("/99999999999999999999", AT_SERVE, "99999999999999999999: not a client's number; /list shows them");
    expect_error("/3 hello", AT_SERVE, "/3 chooses whom you type to; the text comes in a line of its own");
    expect_error("/list all", AT_SERVE, "/list takes nothing behind it");
}

static void unknown_commands_name_the_nearest(void **state)
{
    (void)state;
    expect_error("/lsit", AT_SERVE, "unknown command /lsit; the nearest is /list");
    expect_error("/hepl", AT_SERVE, "unknown command /hepl; the nearest is /help");
    expect_error("/usr/bin/env", AT_SERVE,
                 "unknown command /usr/bin/env; /help lists them, and text that begins with a slash has two: "
                 "//usr/bin/env");
    expect_error("/", AT_SERVE, "unknown command /; /help lists them, and text that begins with a slash has two: //");
    expect_error("/kick 3", AT_CONNECT, "/kick is a command of weir serve");
    expect_error("/quit", AT_SERVE, "/quit is a command of weir connect");
    expect_error("/3", AT_CONNECT,
                 "unknown command /3; /help lists them, and text that begins with a slash has two: //3");
}

static void errors_are_safe_to_print(void **state)
{
    (void)state;
    expect_error("/a\x1b[2J\xff\xe2\x80\xae", AT_SERVE,
                 "unknown command /a?[2J????; /help lists them, and text that begins with a slash has two: "
                 "//a?[2J????");
}

static void help_names_what_can_be_typed_there(void **state)
{
    struct line line = { 0 };

    (void)state;
    command_add_help(&line, AT_CONNECT);
    line_add(&line, "", 1);
    assert_false(line.failed);
    assert_non_null(strstr(line.bytes, "  /repeat COUNT INTERVAL TEXT  send it so many times"));
    assert_non_null(strstr(line.bytes, "  /quit "));
    assert_null(strstr(line.bytes, "/kick"));
    line_clear(&line);
    command_add_help(&line, AT_SERVE);
    line_add(&line, "", 1);
    assert_non_null(strstr(line.bytes, "  /kick [N] "));
    assert_null(strstr(line.bytes, "/quit"));
    line_fini(&line);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_sent_with_its_escapes),
        cmocka_unit_test(text_is_sent_in_the_encoding),
        cmocka_unit_test(two_slashes_are_text_with_one),
        cmocka_unit_test(bad_escapes_are_named),
        cmocka_unit_test(hex_is_read_however_it_is_written),
        cmocka_unit_test(repeat_has_count_interval_and_text),
        cmocka_unit_test(other_commands_have_their_arguments),
        cmocka_unit_test(unknown_commands_name_the_nearest),
        cmocka_unit_test(errors_are_safe_to_print),
        cmocka_unit_test(help_names_what_can_be_typed_there),
    };

    utf8_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

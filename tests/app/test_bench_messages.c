/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the bench sends, framed beforehand, and the addresses that it comes from. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bench/messages.h"
#include "bench/sources.h"

/* ---- Messages ---- */

static void assert_bytes(struct weir_bytes bytes, const char *expected)
{
    assert_int_equal(bytes.len, strlen(expected));
    assert_memory_equal(bytes.data, expected, bytes.len);
}

/* Reads a file with that text. Returns what messages_read does. */
static int read_text(const char *text, const char *frame, struct messages *messages, char *error)
{
    const struct weir_service service = WEIR_SERVICE(.frame = frame);
    char path[] = "/tmp/weir-messages-XXXXXX";
    const int fd = mkstemp(path);
    int err = 0;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    *messages = (struct messages){ 0 };
    err = messages_read(messages, &service, path, error);
    unlink(path);
    return err;
}

static void made_up_ones_have_their_size_and_framing(void **state)
{
    const struct weir_service raw = WEIR_SERVICE(.frame = NULL);
    const struct weir_service line = WEIR_SERVICE(.frame = "line");
    const struct weir_service mixed = WEIR_SERVICE(.frame = "line", .send_frame = "netstring");
    struct messages messages = { 0 };
    char error[MESSAGES_ERROR_BYTES_MAX];
    size_t cursor = 0;
    size_t count = 0;

    (void)state;
    assert_int_equal(messages_make(&messages, &raw, 3, error), 0);
    assert_bytes(messages_take(&messages, &cursor, 2, &count), "abcabc");
    assert_int_equal(count, 2);
    messages_fini(&messages);

    assert_int_equal(messages_make(&messages, &line, 3, error), 0);
    assert_bytes(messages_take(&messages, &cursor, 3, &count), "abc\nabc\nabc\n");
    assert_int_equal(messages_bytes(&messages, 0), 4);
    assert_int_equal(messages_bytes(&messages, 1), 4);
    assert_int_equal(messages.unframed_bytes / messages.count, 3);
    messages_fini(&messages);

    assert_int_equal(messages_make(&messages, &mixed, 3, error), 0);
    assert_bytes(messages_take(&messages, &cursor, 1, &count), "3:abc,");
    messages_fini(&messages);
}

static void many_leave_in_pieces_of_bounded_size(void **state)
{
    const struct weir_service raw = WEIR_SERVICE(.frame = NULL);
    struct messages messages = { 0 };
    char error[MESSAGES_ERROR_BYTES_MAX];
    size_t cursor = 0;
    size_t count = 0;

    (void)state;
    assert_int_equal(messages_make(&messages, &raw, 1000, error), 0);
    assert_int_equal(messages_take(&messages, &cursor, 1000000, &count).len, 16000);
    assert_int_equal(count, 16);
    messages_fini(&messages);
    assert_int_equal(messages_make(&messages, &raw, 100000, error), 0);
    assert_int_equal(messages_take(&messages, &cursor, 1000000, &count).len, 100000);
    assert_int_equal(count, 1);
    messages_fini(&messages);
}

static void lines_of_a_file_are_taken_in_turn(void **state)
{
    struct messages messages;
    char error[MESSAGES_ERROR_BYTES_MAX];
    size_t cursor = 0;
    size_t count = 0;

    (void)state;
    assert_int_equal(read_text("one\r\n\n\r\ntwo\nthree", "line", &messages, error), 0);
    assert_int_equal(messages.count, 3);
    assert_int_equal(messages.unframed_bytes, 11);
    assert_memory_equal(messages.sample, "one", 3);
    assert_bytes(messages_take(&messages, &cursor, 2, &count), "one\ntwo\n");
    assert_bytes(messages_take(&messages, &cursor, 2, &count), "three\n"); /* not past the end */
    assert_int_equal(count, 1);
    assert_bytes(messages_take(&messages, &cursor, 1, &count), "one\n");
    assert_int_equal(messages_bytes(&messages, 2), 6);
    messages_fini(&messages);
}

static void what_cannot_be_sent_is_said(void **state)
{
    const struct weir_service byte = WEIR_SERVICE(.frame = "length:u8");
    struct messages messages = { 0 };
    char error[MESSAGES_ERROR_BYTES_MAX];
    char text[400];

    (void)state;
    assert_int_equal(messages_make(&messages, &byte, 256, error), -EMSGSIZE);
    assert_string_equal(error, "messages of 256 bytes: too long for one message in this framing");
    messages_fini(&messages);

    snprintf(text, sizeof(text), "short\n%0300d\n", 0);
    assert_int_equal(read_text(text, "length:u8", &messages, error), -EMSGSIZE);
    assert_non_null(strstr(error, ":2: too long for one message in this framing"));
    messages_fini(&messages);
    assert_int_equal(read_text("\n\r\n", "line", &messages, error), -ENODATA);
    assert_non_null(strstr(error, "no line that could be sent"));
    messages_fini(&messages);
    assert_int_equal(messages_read(&messages, &byte, "/no/such/file", error), -ENOENT);
    assert_non_null(strstr(error, "/no/such/file: "));
    messages_fini(&messages);
}

/* ---- Sources ---- */

static void expect_source(const char *text, uint64_t turn, const char *expected)
{
    struct sources sources;
    char error[SOURCES_ERROR_BYTES_MAX];
    char address[SOURCE_BYTES_MAX];

    assert_int_equal(sources_parse(text, &sources, error), 0);
    assert_string_equal(sources_text(&sources, turn, address), expected);
}

static void sources_are_taken_in_turn(void **state)
{
    (void)state;
    expect_source("127.0.0.5", 0, "127.0.0.5");
    expect_source("127.0.0.5", 7, "127.0.0.5");
    expect_source("127.0.0.254-127.0.1.1", 0, "127.0.0.254");
    expect_source("127.0.0.254-127.0.1.1", 2, "127.0.1.0");
    expect_source("127.0.0.254-127.0.1.1", 3, "127.0.1.1");
    expect_source("127.0.0.254-127.0.1.1", 4, "127.0.0.254");
    expect_source("fd00::fffe-fd00::1:1", 3, "fd00::1:1");
}

static void expect_no_source(const char *text, const char *expected)
{
    struct sources sources;
    char error[SOURCES_ERROR_BYTES_MAX];

    assert_int_equal(sources_parse(text, &sources, error), -EINVAL);
    assert_non_null(strstr(error, expected));
}

static void what_is_no_source_is_said(void **state)
{
    (void)state;
    expect_no_source("", ": not an IPv4 or IPv6 address");
    expect_no_source("localhost", "localhost: not an IPv4 or IPv6 address");
    expect_no_source("127.0.0.1:80", "not an IPv4 or IPv6 address");
    expect_no_source("127.0.0.1-", ": not an IPv4 address");
    expect_no_source("127.0.0.1-::1", "::1: not an IPv4 address");
    expect_no_source("::1-127.0.0.1", "127.0.0.1: not an IPv6 address");
    expect_no_source("127.0.0.2-127.0.0.1", "from the lower address to the higher");
    expect_no_source("10.0.0.0-11.0.0.0", "from the lower address to the higher, up to 1048576");
    expect_no_source("fd00::-fe00::", "from the lower address to the higher");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(made_up_ones_have_their_size_and_framing),
        cmocka_unit_test(many_leave_in_pieces_of_bounded_size),
        cmocka_unit_test(lines_of_a_file_are_taken_in_turn),
        cmocka_unit_test(what_cannot_be_sent_is_said),
        cmocka_unit_test(sources_are_taken_in_turn),
        cmocka_unit_test(what_is_no_source_is_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a service asks for, and whether it can have it, before anything listens. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <weir/weir.h>

static enum weir_decoded take_nothing(const void *config, void *state, struct weir_decode *decode)
{
    (void)config;
    (void)state;
    (void)decode;
    return WEIR_DECODED_MORE;
}

/* The check says what weir_listen says, in its words. */
static void expect_refusal(const struct weir_service *service, int code, const char *sentence)
{
    struct weir *weir = NULL;
    char error[256] = "";

    assert_int_equal(weir_service_check(service, error, sizeof(error)), code);
    assert_non_null(strstr(error, sentence));
    assert_int_equal(weir_service_check(service, NULL, 0), code);
    assert_int_equal(weir_new(NULL, &weir), 0);
    assert_int_equal(weir_listen(weir, "127.0.0.1:0", service, NULL), code);
    assert_string_equal(weir_error_text(weir), error);
    weir_free(weir);
}

static void good_services_pass(void **state)
{
    const struct weir_codec codec = WEIR_CODEC(.name = "none", .decode = take_nothing);
    const struct weir_service services[] = {
        WEIR_SERVICE(.frame = "raw"),
        WEIR_SERVICE(.frame = "line", .send_frame = "same", .idle_timeout_ms = WEIR_OFF),
        WEIR_SERVICE(.frame = "fixed:16", .send_frame = "line"),
        WEIR_SERVICE(.frame = "length:u16be,offset=2"),
        WEIR_SERVICE(.codec = &codec, .send_frame = "raw"),
        WEIR_SERVICE(.source = "127.0.0.1", .unix_mode = 0660, .backlog = 5),
    };
    char error[64] = "untouched";

    (void)state;
    assert_int_equal(weir_service_check(NULL, error, sizeof(error)), 0);
    for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++)
        assert_int_equal(weir_service_check(&services[i], error, sizeof(error)), 0);
    assert_string_equal(error, "untouched");
}

static void bad_ones_are_refused_as_weir_listen_does(void **state)
{
    const struct weir_codec no_decode = WEIR_CODEC(.name = "none");
    const struct weir_codec large =
        WEIR_CODEC(.name = "large", .decode = take_nothing, .state_bytes = WEIR_CODEC_STATE_BYTES_MAX + 1);
    struct weir_service sizeless = { 0 };
    static const struct {
        struct weir_service service;
        int code;
        const char *sentence;
    } rows[] = {
        { WEIR_SERVICE(.frame = "lines"), WEIR_EFRAME, "did you mean \"line\"" },
        { WEIR_SERVICE(.frame = "line", .send_frame = "fixed:8"), WEIR_ECONFIG, "could not be read back" },
        { WEIR_SERVICE(.send_frame = "raw:1"), WEIR_EFRAME, "raw takes no options" },
        { WEIR_SERVICE(.message_bytes_max = -7), WEIR_ECONFIG, "message_bytes_max" },
        { WEIR_SERVICE(.keepalive_count = WEIR_OFF), WEIR_ECONFIG, "cannot be off" },
        { WEIR_SERVICE(.too_long = (enum weir_too_long)77), WEIR_ECONFIG, "is no policy" },
        { WEIR_SERVICE(.source = "example"), WEIR_EADDRESS, "not an IPv4 or IPv6 address" },
        { WEIR_SERVICE(.backlog = 1 << 30), WEIR_ECONFIG, "backlog" },
        { WEIR_SERVICE(.unix_mode = 01000), WEIR_ECONFIG, "unix_mode" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        expect_refusal(&rows[i].service, rows[i].code, rows[i].sentence);
    expect_refusal(&sizeless, WEIR_ECONFIG, "use WEIR_SERVICE");
    expect_refusal(&(struct weir_service)WEIR_SERVICE(.codec = &no_decode), WEIR_ECONFIG, "has no decode");
    expect_refusal(&(struct weir_service)WEIR_SERVICE(.codec = &large), WEIR_ECONFIG, "4097 bytes");
    expect_refusal(&(struct weir_service)WEIR_SERVICE(.codec = &no_decode, .frame = "line"), WEIR_ECONFIG,
                   "give one of the two");
}

static const char *sent_in(struct weir_service service)
{
    static char name[32];
    struct weir_frame *frame = NULL;

    assert_int_equal(weir_service_send_frame(&service, &frame, NULL, 0), 0);
    snprintf(name, sizeof(name), "%s%s", frame ? weir_frame_codec(frame)->name : "none",
             weir_frame_is_sendable(frame) ? "" : ", not sendable");
    weir_frame_free(frame);
    return name;
}

static void the_framing_of_what_is_sent_is_told(void **state)
{
    const struct weir_codec codec = WEIR_CODEC(.name = "own", .decode = take_nothing);
    struct weir_frame *frame = NULL;
    char error[128];

    (void)state;
    assert_string_equal(sent_in((struct weir_service)WEIR_SERVICE(.frame = "line")), "line");
    assert_string_equal(sent_in((struct weir_service)WEIR_SERVICE(.frame = "line", .send_frame = "same")), "line");
    assert_string_equal(sent_in((struct weir_service)WEIR_SERVICE(.frame = "line", .send_frame = "slip")), "slip");
    assert_string_equal(sent_in((struct weir_service)WEIR_SERVICE(.frame = "fixed:8")), "fixed, not sendable");
    assert_string_equal(sent_in((struct weir_service)WEIR_SERVICE(.frame = "line", .send_frame = "raw")),
                        "none, not sendable");
    assert_string_equal(sent_in((struct weir_service)WEIR_SERVICE(.codec = &codec)), "none, not sendable");
    assert_int_equal(weir_service_send_frame(NULL, &frame, NULL, 0), 0);
    assert_null(frame);
    assert_int_equal(
        weir_service_send_frame(&(struct weir_service)WEIR_SERVICE(.frame = "lin"), &frame, error, sizeof(error)),
        WEIR_EFRAME);
    assert_non_null(strstr(error, "did you mean"));
    assert_int_equal(weir_service_send_frame(NULL, NULL, error, sizeof(error)), -EINVAL);
    assert_string_equal(error, "the place for the frame is NULL");
}

/* ---- Whether a message arrives as one ---- */

static int check(const char *spec, const char *message, size_t *ret_len)
{
    struct weir_frame *frame = NULL;
    int err;

    assert_int_equal(weir_frame_new(spec, &frame, NULL, 0), 0);
    err = weir_frame_check(frame, (struct weir_bytes){ (const unsigned char *)message, strlen(message) }, ret_len);
    weir_frame_free(frame);
    return err;
}

static void a_message_that_arrives_as_one_is_good(void **state)
{
    static const struct {
        const char *spec, *message;
        int result;
        size_t len;
    } rows[] = {
        { "line", "hello", 0, 5 },
        { "line", "hello\n", 0, 5 }, /* text that ends in a line end gets no second one */
        { "line", "two\nlines", -EBADMSG, 0 },
        { "delimiter:\\x03",
          "a\x03"
          "b",
          -EBADMSG, 0 },
        { "fixed:8,pad=\\x20", "short", 0, 8 },
        { "fixed:8,pad=\\x20", "much too long", -EMSGSIZE, 0 },
        { "length:u8", "hello", 0, 5 },
        { "netstring", "", 0, 0 },
        { "octet-count", "", -EMSGSIZE, 0 },
        { "slip", "\xc0\xdb", 0, 2 },
        { "between:\\x02,\\x03,escape=\\x10", "\x02\x03\x10", 0, 3 },
        { "raw", "x", -ENOTSUP, 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t len = 0;

        assert_int_equal(check(rows[i].spec, rows[i].message, &len), rows[i].result);
        assert_int_equal(len, rows[i].len);
        assert_int_equal(check(rows[i].spec, rows[i].message, NULL), rows[i].result);
    }
    assert_int_equal(weir_frame_check(NULL, (struct weir_bytes){ NULL, 0 }, NULL), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_services_pass),
        cmocka_unit_test(bad_ones_are_refused_as_weir_listen_does),
        cmocka_unit_test(the_framing_of_what_is_sent_is_told),
        cmocka_unit_test(a_message_that_arrives_as_one_is_good),
    };

    return cmocka_run_group_tests_name("service", tests, NULL, NULL);
}

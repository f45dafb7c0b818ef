/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a client is answered. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "answer/reply.h"

static void specs_are_read(void **state)
{
    char error[200] = "";
    struct reply reply;

    (void)state;
    assert_int_equal(reply_init(&reply, NULL, error, sizeof(error)), 0);
    assert_int_equal(reply.kind, REPLY_NONE);
    assert_int_equal(reply_init(&reply, "none", error, sizeof(error)), 0);
    assert_int_equal(reply.kind, REPLY_NONE);
    assert_int_equal(reply_init(&reply, "echo", error, sizeof(error)), 0);
    assert_int_equal(reply.kind, REPLY_ECHO);
    assert_int_equal(reply_init(&reply, "text:OK\\r\\n\\x00\\0{}", error, sizeof(error)), 0);
    assert_int_equal(reply.kind, REPLY_TEXT);
    assert_int_equal(reply.len, 8);
    assert_memory_equal(reply.bytes, "OK\r\n\0\0{}", 8);
    reply_fini(&reply);
    assert_int_equal(reply_init(&reply, "text:", error, sizeof(error)), 0);
    assert_int_equal(reply.len, 0);
    reply_fini(&reply);
}

static void wrong_specs_are_explained(void **state)
{
    char error[200] = "";
    struct reply reply;

    (void)state;
    assert_int_equal(reply_init(&reply, "ecco", error, sizeof(error)), -EINVAL);
    assert_non_null(strstr(error, "none, echo or text:BYTES"));
    assert_int_equal(reply_init(&reply, "text:OK\\q", error, sizeof(error)), -EINVAL);
    assert_non_null(strstr(error, "not an escape: \\q"));
    assert_int_equal(reply_init(&reply, "text:\\x1", error, sizeof(error)), -EINVAL);
    reply_fini(&reply);
}

static void echo_is_the_message_and_text_is_not(void **state)
{
    const struct weir_bytes message = { (const unsigned char *)"ping", 4 };
    char error[200] = "";
    struct reply reply;

    (void)state;
    assert_int_equal(reply_init(&reply, "echo", error, sizeof(error)), 0);
    assert_ptr_equal(reply_to(&reply, message).data, message.data);
    assert_int_equal(reply_to(&reply, message).len, 4);
    assert_int_equal(reply_init(&reply, "text:pong", error, sizeof(error)), 0);
    assert_memory_equal(reply_to(&reply, message).data, "pong", 4);
    reply_fini(&reply);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(specs_are_read),
        cmocka_unit_test(wrong_specs_are_explained),
        cmocka_unit_test(echo_is_the_message_and_text_is_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

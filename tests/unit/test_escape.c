/* SPDX-License-Identifier: BSD-3-Clause
 *
 * weir_unescape: each escape, what is no escape, and room that is too small by one. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <weir/frame.h>

#define BYTES(text)                                     \
    {                                                   \
        (const unsigned char *)(text), sizeof(text) - 1 \
    }

static const struct {
    const char *text;
    struct weir_bytes bytes;
} good[] = {
    { "", BYTES("") },
    { "plain text, 100%", BYTES("plain text, 100%") },
    { "\\n\\r\\t\\a\\b\\f\\v", BYTES("\n\r\t\a\b\f\v") },
    { "\\e[0m", BYTES("\033[0m") },
    { "\\0", BYTES("\0") },
    { "\\012", BYTES("\0"
                     "12") }, /* not octal: NUL and two digits */
    { "\\\\", BYTES("\\") },
    { "\\\\n", BYTES("\\n") },
    { "\\\"\\'", BYTES("\"'") },
    { "\\x00\\x7f\\x80\\xff\\xFF\\xaB", BYTES("\0\x7f\x80\xff\xff\xab") },
    { "\\x414", BYTES("A4") },
    { "x\\x2cy", BYTES("x,y") },
    { "caf\xc3\xa9", BYTES("caf\xc3\xa9") },
};

/* Into memory of exactly the size needed, so that the sanitizer sees a byte too many. */
static void escapes_become_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        unsigned char *ret = malloc(good[i].bytes.len);
        size_t len = 99;

        assert_int_equal(weir_unescape(good[i].text, ret, good[i].bytes.len, &len), 0);
        assert_int_equal(len, good[i].bytes.len);
        if (len > 0) assert_memory_equal(ret, good[i].bytes.data, len);
        if (len > 0) assert_int_equal(weir_unescape(good[i].text, ret, len - 1, &len), -ENOBUFS);
        free(ret);
    }
}

static void bytes_may_replace_their_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        char *text = strdup(good[i].text);
        size_t len = 99;

        assert_int_equal(weir_unescape(text, (unsigned char *)text, strlen(text), &len), 0);
        assert_int_equal(len, good[i].bytes.len);
        if (len > 0) assert_memory_equal(text, good[i].bytes.data, len);
        free(text);
    }
}

static const struct {
    const char *text;
    size_t offset;
} bad[] = {
    { "\\", 0 },    { "ab\\", 2 },     { "\\q", 0 },    { "\\N", 0 },     { "\\1", 0 },   { "a\\n\\z", 3 },
    { "\\x", 0 },   { "\\x4", 0 },     { "\\x4g", 0 },  { "\\xg4", 0 },   { "\\X41", 0 }, { "\\x 1", 0 },
    { "\\x+1", 0 }, { "\\x41\\x", 4 }, { "\\\\\\", 2 }, { "\\u0041", 0 },
};

static void what_is_no_escape_is_pointed_at(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char *text = strdup(bad[i].text); /* an exact copy: its NUL is the last byte that may be read */
        unsigned char ret[16];
        size_t offset = 99;

        assert_int_equal(weir_unescape(text, ret, sizeof(ret), &offset), -EINVAL);
        assert_int_equal(offset, bad[i].offset);
        free(text);
    }
}

static void every_byte_can_be_written(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        unsigned char ret[1];
        char text[8];
        size_t len = 0;

        if (byte % 2) snprintf(text, sizeof(text), "\\x%02x", byte);
        if (byte % 2 == 0) snprintf(text, sizeof(text), "\\x%02X", byte);
        assert_int_equal(weir_unescape(text, ret, sizeof(ret), &len), 0);
        assert_int_equal(len, 1);
        assert_int_equal(ret[0], byte);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escapes_become_bytes),
        cmocka_unit_test(bytes_may_replace_their_text),
        cmocka_unit_test(what_is_no_escape_is_pointed_at),
        cmocka_unit_test(every_byte_can_be_written),
    };

    return cmocka_run_group_tests_name("escape", tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Bytes written in hex: every way that people copy them, and a slip is named with its place. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "text/hex.h"

static void what_people_copy_is_read(void **state)
{
    static const char *const texts[] = {
        "78 78 05 aB", "787805AB",      " 78\t78\r\n05\nab ", "78:78:05:ab",        "0x78 0x78 0x05 0xab",
        "0x787805ab",  "0X78 0X7805AB", "0x78780x05ab",       "0x78,0x78, 0x05,ab",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char error[HEX_ERROR_BYTES_MAX] = "";
        unsigned char bytes[64];
        size_t len = 0;
        const int result = hex_parse(texts[i], bytes, &len, error);
        if (result || len != 4 || memcmp(bytes, "\x78\x78\x05\xab", 4) != 0) fail_msg("%s: %s", texts[i], error);
    }
}

static void nothing_is_no_bytes(void **state)
{
    static const char *const texts[] = { "", " ", "\n:\n" };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char error[HEX_ERROR_BYTES_MAX];
        unsigned char bytes[8];
        size_t len = 7;
        assert_int_equal(hex_parse(texts[i], bytes, &len, error), 0);
        assert_int_equal(len, 0);
    }
}

static void a_slip_is_named_with_its_place(void **state)
{
    static const struct {
        const char *text, *error;
    } cases[] = {
        { "78 7g", "'g' at character 5 is no hex digit" },
        { "78; 78", "';' at character 3 is no hex digit" },
        { "zz", "'z' at character 1 is no hex digit" },
        { "78 7 05", "a digit alone at character 4: a byte has two" },
        { "78 7", "it ends in the middle of a byte: a byte has two digits" },
        { "78 0x", "it ends in the middle of a byte: a byte has two digits" },
        { "0x 78", "character 3 is no hex digit" },
        { "0x0x78", "'x' at character 4 is no hex digit" },
        { "78\033[31m", "character 3 is no hex digit" },
        { "78 \xc3\xa9", "character 4 is no hex digit" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char error[HEX_ERROR_BYTES_MAX] = "";
        unsigned char bytes[64];
        size_t len = 0;
        assert_int_equal(hex_parse(cases[i].text, bytes, &len, error), -EINVAL);
        assert_string_equal(error, cases[i].error);
    }
}

static void bytes_are_written(void **state)
{
    const struct weir_bytes bytes = { (const unsigned char *)"\x00\xffz", 3 };
    struct line line = { 0 };

    (void)state;
    hex_add(&line, bytes, ' ');
    hex_add(&line, bytes, 0);
    hex_add(&line, (struct weir_bytes){ NULL, 0 }, ' ');
    assert_int_equal(line.len, 14);
    assert_memory_equal(line.bytes, "00 ff 7a00ff7a", 14);
    line_fini(&line);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_people_copy_is_read),
        cmocka_unit_test(nothing_is_no_bytes),
        cmocka_unit_test(a_slip_is_named_with_its_place),
        cmocka_unit_test(bytes_are_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

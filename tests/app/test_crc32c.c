/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The checksum of stored messages, against the definition: a bit at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/crc32c.h"

enum { LEN_MAX = 64, ALIGNMENTS = 8 };

static uint32_t slow(const unsigned char *bytes, size_t len)
{
    uint32_t sum = ~0U;

    for (size_t i = 0; i < len; i++) {
        sum ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            sum = sum >> 1 ^ (sum & 1 ? 0x82f63b78 : 0);
    }
    return ~sum;
}

static void the_check_value_is_right(void **state)
{
    (void)state;
    assert_int_equal(crc32c((const unsigned char *)"123456789", 9), 0xe3069283);
    assert_int_equal(crc32c((const unsigned char *)"", 0), 0);
}

/* RFC 3720, appendix B.4. */
static void the_examples_of_the_standard_are_right(void **state)
{
    unsigned char bytes[32] = { 0 };

    (void)state;
    assert_int_equal(crc32c(bytes, sizeof(bytes)), 0x8a9136aa);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = 0xff;
    assert_int_equal(crc32c(bytes, sizeof(bytes)), 0x62a8ab43);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)i;
    assert_int_equal(crc32c(bytes, sizeof(bytes)), 0x46dd794e);
}

static void every_length_is_right_wherever_it_begins(void **state)
{
    unsigned char bytes[LEN_MAX + ALIGNMENTS];
    uint32_t random = 1;

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        random = random * 1664525 + 1013904223;
        bytes[i] = (unsigned char)(random >> 24);
    }
    for (size_t begin = 0; begin < ALIGNMENTS; begin++)
        for (size_t len = 0; len <= LEN_MAX; len++)
            assert_int_equal(crc32c(bytes + begin, len), slow(bytes + begin, len));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_check_value_is_right),
        cmocka_unit_test(the_examples_of_the_standard_are_right),
        cmocka_unit_test(every_length_is_right_wherever_it_begins),
    };
    return cmocka_run_group_tests_name("crc32c", tests, NULL, NULL);
}

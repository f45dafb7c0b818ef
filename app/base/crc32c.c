/* SPDX-License-Identifier: BSD-3-Clause
 *
 * By the processor's own instruction where it has one, and else four bits at a time by a table.
 * The one file here that knows the processor. */
#include "crc32c.h"

#include <string.h>

/* What four bits add to the sum; the polynomial is 0x82f63b78, its bits in reverse. */
static const uint32_t nibbles[16] = {
    0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
    0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
};

static uint32_t by_table(uint32_t sum, const unsigned char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        sum ^= bytes[i];
        sum = sum >> 4 ^ nibbles[sum & 15];
        sum = sum >> 4 ^ nibbles[sum & 15];
    }
    return sum;
}

#if defined(__x86_64__)

#include <nmmintrin.h>

__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t sum, const unsigned char *bytes, size_t len)
{
    uint64_t wide = sum;

    for (; len >= sizeof(uint64_t); bytes += sizeof(uint64_t), len -= sizeof(uint64_t)) {
        uint64_t word;

        memcpy(&word, bytes, sizeof(word));
        wide = _mm_crc32_u64(wide, word);
    }
    sum = (uint32_t)wide;
    for (; len > 0; bytes++, len--)
        sum = _mm_crc32_u8(sum, *bytes);
    return sum;
}

uint32_t crc32c(const unsigned char *bytes, size_t len)
{
    return ~(__builtin_cpu_supports("sse4.2") ? by_instruction(~0U, bytes, len) : by_table(~0U, bytes, len));
}

#else

uint32_t crc32c(const unsigned char *bytes, size_t len)
{
    return ~by_table(~0U, bytes, len);
}

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Numbers as SQLite's files have them. */
#ifndef APP_BASE_BYTES_H
#define APP_BASE_BYTES_H

#include <stdint.h>

static inline uint32_t bytes_big_endian16(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] << 8 | bytes[1];
}

static inline uint32_t bytes_big_endian32(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static inline void bytes_put_big_endian32(unsigned char *ret, uint32_t number)
{
    for (int i = 0; i < 4; i++)
        ret[i] = (unsigned char)(number >> (24 - 8 * i));
}

#endif

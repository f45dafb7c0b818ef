/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Makes and reads numbered messages. The padding differs from message to message, so that one
 * whose bytes are another's is noticed. */
#include "numbered.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { RUN_DIGITS = 8, HEAD_BYTES_MAX = 48 };

static size_t write_head(const struct numbered *numbered, char ret[HEAD_BYTES_MAX])
{
    return (size_t)snprintf(ret, HEAD_BYTES_MAX, "%08" PRIx32 " %" PRIu32 " %" PRIu64 " ", numbered->run,
                            numbered->connection, numbered->number);
}

size_t numbered_bytes_min(const struct numbered *numbered)
{
    char head[HEAD_BYTES_MAX];

    return write_head(numbered, head);
}

/* SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators): 16 letters a step. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t value = *state += UINT64_C(0x9e3779b97f4a7c15);

    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

void numbered_write(const struct numbered *numbered, unsigned char *ret, size_t bytes)
{
    uint64_t state = ((uint64_t)numbered->run << 32 | numbered->connection) ^ numbered->number << 20;
    char head[HEAD_BYTES_MAX];
    size_t at = write_head(numbered, head);

    memcpy(ret, head, at < bytes ? at : bytes);
    while (at < bytes) {
        uint64_t random = next_random(&state);
        for (size_t i = 0; i < 16 && at < bytes; i++, random >>= 4)
            ret[at++] = (unsigned char)('a' + (random & 15));
    }
}

/* ---- Reading ---- */

static bool read_run(struct weir_bytes *rest, uint32_t *ret)
{
    *ret = 0;
    if (rest->len < RUN_DIGITS) return false;
    for (size_t i = 0; i < RUN_DIGITS; i++) {
        const unsigned char byte = rest->data[i];
        const bool is_digit = byte >= '0' && byte <= '9';

        if (!is_digit && (byte < 'a' || byte > 'f')) return false;
        *ret = *ret << 4 | (uint32_t)(is_digit ? byte - '0' : byte - 'a' + 10);
    }
    rest->data += RUN_DIGITS;
    rest->len -= RUN_DIGITS;
    return true;
}

/* A blank and a number that does not begin with 0. */
static bool read_number(struct weir_bytes *rest, uint64_t max, uint64_t *ret)
{
    size_t at = 1;

    *ret = 0;
    if (rest->len < 2 || rest->data[0] != ' ' || rest->data[1] == '0') return false;
    for (; at < rest->len && rest->data[at] >= '0' && rest->data[at] <= '9'; at++) {
        const uint64_t digit = (uint64_t)(rest->data[at] - '0');

        if (*ret > (max - digit) / 10) return false;
        *ret = *ret * 10 + digit;
    }
    rest->data += at;
    rest->len -= at;
    return at > 1;
}

bool numbered_read(struct weir_bytes message, struct numbered *ret)
{
    uint64_t connection = 0;

    if (!read_run(&message, &ret->run) || !read_number(&message, UINT32_MAX, &connection) ||
        !read_number(&message, UINT64_MAX, &ret->number))
        return false;
    ret->connection = (uint32_t)connection;
    return message.len > 0 && message.data[0] == ' ';
}

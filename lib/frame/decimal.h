/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What octet-count and netstring share: a message's length stands before it in decimal digits, with
 * one other byte behind them. A length is written in one way only, without leading zeros, and has at most 10 digits. */
#ifndef WEIR__DECIMAL_H
#define WEIR__DECIMAL_H

#include <stdbool.h>
#include <string.h>

#include <weir/frame.h>

#include "counted.h"

#define WEIR__DECIMAL_DIGITS_MAX 10
#define WEIR__DECIMAL_MAX UINT64_C(9999999999)

/* How many bytes it takes to write a length, with the byte behind it. */
static inline size_t weir__decimal_bytes(uint64_t len)
{
    size_t bytes = 2;

    for (; len >= 10; len /= 10)
        bytes++;
    return bytes;
}

/* Reads on in the header, which ends with `stop`: 0 when it is malformed. The length is known once it has come whole.
 * A lone 0 is a length here; what it means is for the framing to say. */
static inline bool weir__decimal_read(struct weir__counted *counted, const struct weir_decode *decode,
                                      unsigned char stop)
{
    while (!counted->is_known && counted->done < decode->len) {
        unsigned digits = counted->done & 0xf;
        unsigned char byte = decode->bytes[digits];

        if (byte == stop && digits > 0) {
            weir__counted_start(counted, counted->message_len);
            return true;
        }
        if (byte < '0' || byte > '9' || digits == WEIR__DECIMAL_DIGITS_MAX) return false;
        if (digits > 0 && counted->message_len == 0) return false;
        counted->message_len = counted->message_len * 10 + (unsigned)(byte - '0');
        counted->done++;
    }
    return true;
}

/* Writes the header of a message to ret, and the message behind it; returns the bytes written. There is room. */
static inline size_t weir__decimal_write(struct weir_bytes message, unsigned char stop, unsigned char *ret)
{
    size_t bytes = weir__decimal_bytes(message.len);
    size_t at = bytes - 1;
    size_t left = message.len;

    ret[at] = stop;
    do {
        ret[--at] = (unsigned char)('0' + left % 10);
        left /= 10;
    } while (at > 0);
    if (message.len > 0) memcpy(ret + bytes, message.data, message.len);
    return bytes + message.len;
}

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The messages of weir verify: `RUN CONNECTION NUMBER PADDING`. Each follows from its run,
 * connection, number and length alone, so that it can be made again to be compared with what was stored. */
#ifndef APP_VERIFY_NUMBERED_H
#define APP_VERIFY_NUMBERED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/weir.h>

struct numbered {
    uint32_t run;        /* at random, so that those of one store do not mix; 8 hex digits */
    uint32_t connection; /* of the run: 1, 2, 3; stays the same when it is connected anew */
    uint64_t number;     /* on that connection: 1, 2, 3 */
};

/* The least bytes that such a message has. */
size_t numbered_bytes_min(const struct numbered *numbered);

/* Writes it with so many bytes, at least the least. Letters, digits and blanks only: hardly a framing ends a message at
 * one. */
void numbered_write(const struct numbered *numbered, unsigned char *ret, size_t bytes);

/* Reads which message this says that it is; the padding is not looked at. */
bool numbered_read(struct weir_bytes message, struct numbered *ret);

#endif

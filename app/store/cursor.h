/* SPDX-License-Identifier: BSD-3-Clause
 *
 * How far somebody who takes what is stored elsewhere has come: kept in the store itself, so that a copy of it goes on
 * from there. */
#ifndef APP_STORE_CURSOR_H
#define APP_STORE_CURSOR_H

#include <stdint.h>

#include <weir/frame.h>

enum { CURSOR_STATE_BYTES_MAX = 256 };

struct cursor {
    uint64_t row;            /* the message up to which all is done */
    int64_t at_us;           /* since when, since 1970, UTC */
    struct weir_bytes state; /* its own, up to CURSOR_STATE_BYTES_MAX */
};

#endif

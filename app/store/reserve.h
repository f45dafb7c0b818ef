/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A file beside the store that takes up room and is good for nothing, until the disk is full:
 * deleting takes room first, and this is where it comes from. */
#ifndef APP_STORE_RESERVE_H
#define APP_STORE_RESERVE_H

#include <stdbool.h>
#include <stdint.h>

/* Makes the reserve of the store at path, or finds it there. Returns 0, or a negative code, and then there is none. */
int reserve_make(const char *path, int64_t bytes);

/* Gives its room to whoever needs it. Returns whether there was one. */
bool reserve_give_up(const char *path);

#endif

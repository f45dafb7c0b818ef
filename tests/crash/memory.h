/* SPDX-License-Identifier: BSD-3-Clause
 *
 * tests/crash/memory.h: arrays that grow. A test without memory ends: there is nothing it could still prove. */
#ifndef TESTS_CRASH_MEMORY_H
#define TESTS_CRASH_MEMORY_H

#include <stdio.h>
#include <stdlib.h>

static inline void *grow(void *items, size_t count, size_t item_bytes)
{
    void *grown = realloc(items, count * item_bytes);

    if (grown) return grown;
    fprintf(stderr, "no memory\n");
    abort();
}

/* Room for one more behind `count` items; room doubles. */
static inline void *make_room(void *items, size_t count, size_t *room, size_t item_bytes)
{
    if (count < *room) return items;
    *room = *room ? *room * 2 : 16;
    return grow(items, *room, item_bytes);
}

#endif

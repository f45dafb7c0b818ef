/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Where the library's memory comes from. Running out of it is an error that the caller hands on, never an exit. */
#include "memory.h"

#include <stdlib.h>

static bool (*gate)(size_t size);

void weir__memory_set_gate(bool (*may)(size_t size))
{
    gate = may;
}

static bool may(size_t size)
{
    return !gate || gate(size);
}

void *weir__zalloc(size_t size)
{
    return may(size) ? calloc(1, size) : NULL;
}

void *weir__malloc(size_t size)
{
    return may(size) ? malloc(size) : NULL;
}

void *weir__malloc_aligned(size_t size)
{
    return may(size) ? aligned_alloc(64, size) : NULL;
}

void *weir__realloc(void *memory, size_t size)
{
    return may(size) ? realloc(memory, size) : NULL;
}

void weir__free(void *memory)
{
    free(memory);
}

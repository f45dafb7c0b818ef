/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The seam through which the library allocates, so that a test can make any allocation fail. */
#ifndef WEIR__MEMORY_H
#define WEIR__MEMORY_H

#include <stdbool.h>
#include <stddef.h>

/* Zeroed memory, or NULL. */
void *weir__zalloc(size_t size);
/* Memory as it comes, or NULL: for buffers. */
void *weir__malloc(size_t size);
void *weir__realloc(void *memory, size_t size);
/* At the start of a cache line, where the string functions are fastest; size is a multiple of 64. */
void *weir__malloc_aligned(size_t size);
/* NULL is accepted. */
void weir__free(void *memory);

/* For tests: each allocation asks `may` first, and fails when it says 0. NULL: all may. Set it before any thread is
 * started. */
void weir__memory_set_gate(bool (*may)(size_t size));

#endif

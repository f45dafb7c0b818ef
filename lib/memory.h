/* SPDX-License-Identifier: BSD-3-Clause
 *
 * memory.h: the seam through which the library allocates, so that a test can make any allocation fail. */
#ifndef WEIR__MEMORY_H
#define WEIR__MEMORY_H

#include <stddef.h>

/* Zeroed memory, or NULL. */
void *weir__zalloc(size_t size);
/* Memory as it comes, or NULL: for buffers. */
void *weir__malloc(size_t size);
void *weir__realloc(void *memory, size_t size);
char *weir__strdup(const char *text);
/* NULL is accepted. */
void weir__free(void *memory);

/* For tests: each allocation asks `may` first, and fails when it says 0. NULL: all may. Set it before any thread is
 * started. */
void weir__memory_set_gate(int (*may)(size_t size));

#endif

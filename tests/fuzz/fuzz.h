/* SPDX-License-Identifier: BSD-3-Clause
 *
 * fuzz.h: what the targets share. Each is one function, which libFuzzer calls with inputs that it makes up, and
 * replay.c with those that are kept. */
#ifndef WEIR__FUZZ_H
#define WEIR__FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Returns 0; what it finds wrong ends the process. The name is libFuzzer's. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(holds) ((holds) ? (void)0 : fuzz_fail(__FILE__, __LINE__, #holds))

static inline void fuzz_fail(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
    abort();
}

/* A block of exactly len bytes, so that the sanitizer sees a byte too many. Never NULL; to be freed. */
static inline unsigned char *fuzz_block(size_t len)
{
    unsigned char *block = malloc(len > 0 ? len : 1);

    REQUIRE(block);
    return block;
}

#endif

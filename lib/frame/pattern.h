/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Finding a sequence of bytes in a stream without looking at a byte twice. A sequence can begin inside
 * a failed attempt at itself ("aab" in "aaab"), so how much of it has been matched follows the bytes by the table of
 * Knuth, Morris and Pratt. */
#ifndef WEIR__PATTERN_H
#define WEIR__PATTERN_H

#include <stddef.h>
#include <string.h>

#define WEIR__PATTERN_BYTES_MAX 64

struct weir__pattern {
    size_t len; /* at least 1 */
    unsigned char bytes[WEIR__PATTERN_BYTES_MAX];
    /* fallback[n]: when n bytes are matched and the next does not fit, how many of them still are */
    unsigned char fallback[WEIR__PATTERN_BYTES_MAX];
};

/* With n of the pattern's bytes matched, and not all: how many are once `byte` has followed. */
static inline size_t weir__pattern_advance(const struct weir__pattern *pattern, size_t n, unsigned char byte)
{
    while (pattern->bytes[n] != byte) {
        if (n == 0) return 0;
        n = pattern->fallback[n];
    }
    return n + 1;
}

/* Fills the table, once bytes and len are there. */
static inline void weir__pattern_init(struct weir__pattern *pattern)
{
    size_t n = 0;

    for (size_t i = 1; i < pattern->len; i++) {
        pattern->fallback[i] = (unsigned char)n;
        n = weir__pattern_advance(pattern, n, pattern->bytes[i]);
    }
}

/* Looks at the bytes from `at` to `len`, with the first *matched of the pattern right before them. Returns the offset
 * behind the pattern, or 0 when they end first; *matched is then what their end matches. */
static inline size_t weir__pattern_find(const struct weir__pattern *pattern, const unsigned char *bytes, size_t at,
                                        size_t len, size_t *matched)
{
    size_t n = *matched;

    while (n < pattern->len && at < len) {
        if (n == 0) {
            const unsigned char *first = memchr(bytes + at, pattern->bytes[0], len - at);
            if (!first) break;
            at = (size_t)(first - bytes) + 1;
            n = 1;
        } else {
            n = weir__pattern_advance(pattern, n, bytes[at++]);
        }
    }
    *matched = n;
    return n == pattern->len ? at : 0;
}

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The local addresses that connections come from, taken in turn. */
#ifndef APP_BENCH_SOURCES_H
#define APP_BENCH_SOURCES_H

#include <stddef.h>
#include <stdint.h>

enum { SOURCE_BYTES_MAX = 48, SOURCES_ERROR_BYTES_MAX = 200 };

/* Neighbours: the first, as on the wire, and how many. Zeroed: none, the system chooses. */
struct sources {
    int family; /* AF_INET, AF_INET6 */
    unsigned char first[16];
    uint64_t count;
};

/* Reads `ADDR` or `ADDR-ADDR`, both IPv4 or both IPv6. Returns 0, or -EINVAL with a sentence in error. */
int sources_parse(const char *text, struct sources *ret, char error[SOURCES_ERROR_BYTES_MAX]);

/* Writes the address whose turn it is; there must be one. Returns ret. */
const char *sources_text(const struct sources *sources, uint64_t turn, char ret[SOURCE_BYTES_MAX]);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Reads and counts addresses. Must never ask whether this machine has them: connecting does. */
#include "sources.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* More than any machine will have; a range longer than that is a mistake. */
enum { SOURCES_MAX = 1 << 20 };

static size_t address_bytes(int family)
{
    return family == AF_INET ? 4 : 16;
}

/* Returns the family, or 0. */
static int parse_one(const char *text, size_t len, unsigned char ret[16])
{
    char copy[SOURCE_BYTES_MAX];

    if (len >= sizeof(copy)) return 0;
    memcpy(copy, text, len);
    copy[len] = 0;
    if (inet_pton(AF_INET, copy, ret) == 1) return AF_INET;
    return inet_pton(AF_INET6, copy, ret) == 1 ? AF_INET6 : 0;
}

/* How many addresses from first to last, both counted; 0 when last comes first or is too far. */
static uint64_t count_between(const unsigned char *first, const unsigned char *last, size_t bytes)
{
    int64_t distance = 0;

    for (size_t i = 0; i < bytes; i++) {
        distance = distance * 256 + last[i] - first[i];
        if (distance > SOURCES_MAX || distance < -SOURCES_MAX) return 0;
    }
    return distance < 0 || distance >= SOURCES_MAX ? 0 : (uint64_t)distance + 1;
}

int sources_parse(const char *text, struct sources *ret, char error[SOURCES_ERROR_BYTES_MAX])
{
    const size_t first_len = strcspn(text, "-");
    struct sources sources = { .count = 1 };
    unsigned char last[16];

    sources.family = parse_one(text, first_len, sources.first);
    if (!sources.family) {
        snprintf(error, SOURCES_ERROR_BYTES_MAX, "%.*s: not an IPv4 or IPv6 address; as in 127.0.0.1-127.0.0.9",
                 (int)(first_len < 60 ? first_len : 60), text);
        return -EINVAL;
    }
    if (text[first_len]) {
        const char *behind = text + first_len + 1;
        if (parse_one(behind, strlen(behind), last) != sources.family) {
            snprintf(error, SOURCES_ERROR_BYTES_MAX, "%.60s: not an %s address", behind,
                     sources.family == AF_INET ? "IPv4" : "IPv6");
            return -EINVAL;
        }
        sources.count = count_between(sources.first, last, address_bytes(sources.family));
    }
    if (!sources.count) {
        snprintf(error, SOURCES_ERROR_BYTES_MAX, "%.100s: from the lower address to the higher, up to %d of them", text,
                 SOURCES_MAX);
        return -EINVAL;
    }
    *ret = sources;
    return 0;
}

const char *sources_text(const struct sources *sources, uint64_t turn, char ret[SOURCE_BYTES_MAX])
{
    unsigned char address[16];
    uint64_t carry = turn % sources->count;

    memcpy(address, sources->first, sizeof(address));
    for (size_t i = address_bytes(sources->family); i-- > 0 && carry;) {
        carry += address[i];
        address[i] = (unsigned char)carry;
        carry >>= 8;
    }
    inet_ntop(sources->family, address, ret, SOURCE_BYTES_MAX);
    return ret;
}

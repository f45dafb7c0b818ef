/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app/retention.h: what is said of what the store deletes: at the start by which bounds, and then that it does. */
#ifndef APP_RETENTION_H
#define APP_RETENTION_H

#include <stdint.h>

#include "journal/retain.h"
#include "journal/trim.h"
#include "log.h"
#include "options/options.h"

/* Of one store. One thread at a time. */
struct retention {
    struct log *log;
    const char *path;
    struct retain_limits limits;
    int64_t disk_bytes;   /* of its file system */
    int64_t told_floor_s; /* when; 0: never */
    struct {
        uint64_t messages, told_messages; /* deleted, and of these told */
        int64_t bytes;
        int64_t told_s; /* when; 0: never */
    } sums[RETAIN_REASON_COUNT];
};

enum { RETENTION_TEXT_BYTES_MAX = 300 };

/* Reads the wish from the options and the size of the file system; path is the store's, and must outlive it. Returns 0
 * or a code. */
int retention_init(struct retention *ret, const struct options *options, const char *path, struct log *log);

/* The bounds, as a clause. */
void retention_describe(const struct retention *retention, char ret[RETENTION_TEXT_BYTES_MAX]);

/* Says that something was deleted, but not over and over. */
void retention_tell(struct retention *retention, const struct trim_news *news);

/* Says what was deleted since the last word. */
void retention_sum_up(struct retention *retention);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What is said of what the store deletes: at the start by which bounds, and then that it does. */
#ifndef APP_SERVE_RETENTION_LOG_H
#define APP_SERVE_RETENTION_LOG_H

#include <stdint.h>

#include "journal/retention.h"
#include "journal/trim.h"
#include "log.h"

/* Of one store. One thread at a time. */
struct retention_log {
    struct log *log;
    const char *path;
    struct retention_limits limits;
    int64_t disk_bytes;   /* of its file system */
    int64_t told_floor_s; /* when; 0: never */
    struct {
        uint64_t messages, told_messages; /* deleted, and of these told */
        int64_t bytes;
        int64_t told_s; /* when; 0: never */
    } sums[RETENTION_REASON_COUNT];
};

enum { RETENTION_LOG_TEXT_BYTES_MAX = 300 };

/* The limits follow from the wish and the size of the file system; path is the store's, and must outlive it. Returns 0
 * or a code. */
int retention_log_init(struct retention_log *ret, const struct retention_wish *wish, const char *path, struct log *log);

/* The bounds, as a clause. */
void retention_log_describe(const struct retention_log *retention, char ret[RETENTION_LOG_TEXT_BYTES_MAX]);

/* Says that something was deleted, but not over and over. */
void retention_log_tell(struct retention_log *retention, const struct trim_news *news);

/* Says what was deleted since the last word. */
void retention_log_sum_up(struct retention_log *retention);

#endif

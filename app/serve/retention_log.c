/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The words for what the store deletes. A store at its bound deletes all the time, so each reason is
 * said when it begins, and after that now and then with the sum. */
#include "retention_log.h"

#include <stdio.h>

#include "base/clock.h"
#include "store/folder.h"
#include "text/line.h"

enum { TELL_EVERY_S = 3600, TELL_OF_DISK_EVERY_S = 60, SIZE_BYTES_MAX = 32 };

static int64_t now_s(void)
{
    return clock_ms() / 1000 + 1; /* never 0 */
}

static const char *size_text(int64_t bytes, char ret[SIZE_BYTES_MAX])
{
    static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB" };
    double number = (double)bytes;
    size_t unit = 0;

    for (; number >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0]); unit++)
        number /= 1024;
    snprintf(ret, SIZE_BYTES_MAX, "%.*f %s", number < 10 && unit > 0 ? 1 : 0, number, units[unit]);
    return ret;
}

static const char *age_text(int64_t us, char ret[SIZE_BYTES_MAX])
{
    const int64_t seconds = us / 1000000;

    if (seconds % 86400 == 0)
        snprintf(ret, SIZE_BYTES_MAX, "%lldd", (long long)(seconds / 86400));
    else if (seconds % 3600 == 0)
        snprintf(ret, SIZE_BYTES_MAX, "%lldh", (long long)(seconds / 3600));
    else
        snprintf(ret, SIZE_BYTES_MAX, "%llds", (long long)seconds);
    return ret;
}

int retention_log_init(struct retention_log *ret, const struct retention_wish *wish, const char *path, struct log *log)
{
    int64_t disk_bytes = 0, disk_free_bytes = 0;
    const int err = folder_space(path, &disk_bytes, &disk_free_bytes);

    if (err) return err;
    *ret = (struct retention_log){ .log = log, .path = path, .disk_bytes = disk_bytes };
    retention_limits_init(&ret->limits, wish, disk_bytes);
    return 0;
}

void retention_log_describe(const struct retention_log *retention, char ret[RETENTION_LOG_TEXT_BYTES_MAX])
{
    const struct retention_limits *limits = &retention->limits;
    char size[64] = "", age[64] = "", disk[64] = "", small[96] = "", number[SIZE_BYTES_MAX];

    if (limits->bytes_max) snprintf(size, sizeof(size), ", beyond %s", size_text(limits->bytes_max, number));
    if (limits->age_us_max) snprintf(age, sizeof(age), ", after %s", age_text(limits->age_us_max, number));
    if (limits->free_percent)
        snprintf(disk, sizeof(disk), ", when less than %d%% of the disk is free", (int)limits->free_percent);
    if (limits->bytes_max > retention->disk_bytes / 2)
        snprintf(small, sizeof(small), "; the disk has %s, and when it is full before that clients wait",
                 size_text(retention->disk_bytes, number));
    if (size[0] || age[0] || disk[0])
        snprintf(ret, RETENTION_LOG_TEXT_BYTES_MAX, "the oldest are deleted%s%s%s%s", size, age, disk, small);
    else
        snprintf(ret, RETENTION_LOG_TEXT_BYTES_MAX, "none is ever deleted");
}

/* Why, as a clause. */
static void reason_text(const struct retention_log *retention, enum retention_reason reason,
                        char ret[RETENTION_LOG_TEXT_BYTES_MAX])
{
    const struct retention_limits *limits = &retention->limits;
    char number[SIZE_BYTES_MAX];

    switch (reason) {
    case RETENTION_SIZE:
        snprintf(ret, RETENTION_LOG_TEXT_BYTES_MAX, "it has reached %s (--keep-bytes)",
                 size_text(limits->bytes_max, number));
        return;
    case RETENTION_AGE:
        snprintf(ret, RETENTION_LOG_TEXT_BYTES_MAX, "messages are older than %s (--keep-for)",
                 age_text(limits->age_us_max, number));
        return;
    case RETENTION_DISK:
    case RETENTION_REASON_COUNT:
        snprintf(ret, RETENTION_LOG_TEXT_BYTES_MAX, "less than %d%% of the disk is free (--keep-free)",
                 (int)limits->free_percent);
        return;
    }
}

static enum weir_log_level level_of(enum retention_reason reason)
{
    return reason == RETENTION_DISK ? WEIR_LOG_WARNING : WEIR_LOG_INFO;
}

static void tell_floor(struct retention_log *retention)
{
    char reason[RETENTION_LOG_TEXT_BYTES_MAX], size[SIZE_BYTES_MAX];

    if (retention->told_floor_s && now_s() < retention->told_floor_s + TELL_OF_DISK_EVERY_S) return;
    retention->told_floor_s = now_s();
    reason_text(retention, RETENTION_DISK, reason);
    log_say(
        retention->log, WEIR_LOG_WARNING, "store",
        "store %s: %s, and that will not be mended here: it keeps its newest %s in any case (half of --keep-bytes); "
        "on a full disk clients wait",
        retention->path, reason, size_text(retention->limits.floor_bytes, size));
}

static void tell_sum(struct retention_log *retention, enum retention_reason why)
{
    char reason[RETENTION_LOG_TEXT_BYTES_MAX], size[SIZE_BYTES_MAX], count[COUNT_TEXT_BYTES_MAX];

    reason_text(retention, why, reason);
    count_text(retention->sums[why].messages, "message", count);
    log_say(retention->log, level_of(why), "store", "store %s: %s: deleted since the start: the oldest %s (%s)",
            retention->path, reason, count, size_text(retention->sums[why].bytes, size));
    retention->sums[why].told_messages = retention->sums[why].messages;
    retention->sums[why].told_s = now_s();
}

static void tell_begin(struct retention_log *retention, enum retention_reason why)
{
    char reason[RETENTION_LOG_TEXT_BYTES_MAX];

    reason_text(retention, why, reason);
    log_say(retention->log, level_of(why), "store", "store %s: %s: the oldest are being deleted", retention->path,
            reason);
    retention->sums[why].told_s = now_s();
}

void retention_log_tell(struct retention_log *retention, const struct trim_news *news)
{
    const enum retention_reason why = news->reason;
    const int64_t every_s = why == RETENTION_DISK ? TELL_OF_DISK_EVERY_S : TELL_EVERY_S;

    if (news->is_at_floor) {
        tell_floor(retention);
        return;
    }
    retention->sums[why].messages += news->messages;
    retention->sums[why].bytes += news->bytes;
    if (!retention->sums[why].told_s)
        tell_begin(retention, why);
    else if (now_s() >= retention->sums[why].told_s + every_s)
        tell_sum(retention, why);
}

void retention_log_sum_up(struct retention_log *retention)
{
    for (int i = 0; i < RETENTION_REASON_COUNT; i++)
        if (retention->sums[i].messages > retention->sums[i].told_messages)
            tell_sum(retention, (enum retention_reason)i);
}

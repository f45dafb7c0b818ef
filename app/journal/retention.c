/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The rules of what is kept, as arithmetic. Must never look at a clock, a file or a store. */
#include "retention.h"

#include <weir/weir.h>

#define KIB 1024LL
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

enum { FREE_PERCENT = 5 };

/* Of the default. A store smaller than the least of them would be little more than its empty tables. */
static const int64_t bytes_least = 1 * MIB;
static const int64_t bytes_most = 10 * GIB;

/* While it is moved to the database, acknowledgements wait: 4 MiB take some 10 ms. */
static const int64_t log_most = 4 * MIB;

static int64_t clamp(int64_t value, int64_t least, int64_t most)
{
    return value < least ? least : value > most ? most : value;
}

static int64_t max_of(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t min_of(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

void retention_limits_init(struct retention_limits *ret, const struct retention_wish *wish, int64_t disk_bytes)
{
    const int64_t usual = clamp(disk_bytes / 10, bytes_least, bytes_most);
    const int64_t base = wish->bytes_max > 0 ? wish->bytes_max : usual;
    const bool keeps_all = wish->bytes_max == WEIR_OFF && wish->free_percent == WEIR_OFF && wish->age_ms_max <= 0;
    const int64_t log = keeps_all ? log_most : clamp(base / 16, 64 * KIB, log_most);

    *ret = (struct retention_limits){
        .age_us_max = wish->age_ms_max > 0 ? wish->age_ms_max * 1000 : 0,
        .bytes_max = wish->bytes_max == WEIR_OFF ? 0 : base,
        .free_percent = wish->free_percent == WEIR_OFF ? 0
                        : wish->free_percent           ? wish->free_percent
                                                       : FREE_PERCENT,
        .floor_bytes = base / 2,
        .slack_bytes = clamp(base / 64, 16 * KIB, 64 * MIB),
        .log_bytes_max = log,
        .transaction_bytes_max = log / 4,
        .log_room_bytes = 2 * log,
        .reserve_bytes = log + log / 2,
    };
}

/* What the database may use for the size's sake. */
static int64_t size_limit(const struct retention_limits *limits, const struct retention_numbers *numbers)
{
    if (!limits->bytes_max) return INT64_MAX;
    return max_of(limits->bytes_max - max_of(limits->log_room_bytes, numbers->log_bytes) -
                      limits->transaction_bytes_max,
                  limits->floor_bytes);
}

/* What the disk lacks; a reserve that was given up counts as well. */
static int64_t shortage(const struct retention_limits *limits, const struct retention_numbers *numbers)
{
    const int64_t reserve = numbers->lacks_reserve ? 2 * limits->reserve_bytes : 0;
    const int64_t wanted = numbers->disk_bytes / 100 * limits->free_percent + reserve;

    if (!limits->free_percent || !numbers->can_shrink) return 0;
    return max_of(wanted - numbers->disk_free_bytes, 0);
}

void retention_judge(const struct retention_limits *limits, const struct retention_numbers *numbers, bool is_deleting,
                     struct retention_verdict *ret)
{
    const int64_t lacks = shortage(limits, numbers);
    const int64_t by_size = size_limit(limits, numbers);
    const int64_t disk_allows = lacks ? numbers->file_bytes_on_disk - lacks : INT64_MAX;
    const int64_t by_disk = max_of(disk_allows, limits->floor_bytes);
    const int64_t limit = min_of(by_size, by_disk);
    const int64_t low = max_of(limit - limits->slack_bytes, limits->floor_bytes);
    const int64_t unallocated = max_of(numbers->file_bytes - numbers->file_bytes_allocated, 0);
    const int64_t file_limit =
        min_of(limits->bytes_max ? limits->bytes_max - limits->log_room_bytes : INT64_MAX, disk_allows);

    *ret = (struct retention_verdict){
        .reason = by_disk < by_size ? RETENTION_DISK : RETENTION_SIZE,
        .give_back_bytes = clamp(numbers->file_bytes - file_limit, 0, numbers->file_bytes - numbers->used_bytes),
        .is_at_floor = disk_allows < limits->floor_bytes && numbers->used_bytes <= limits->floor_bytes,
        .has_reserve_room = numbers->disk_free_bytes >= 2 * limits->reserve_bytes,
        .is_room_ample = numbers->disk_free_bytes - unallocated >= 8 * limits->reserve_bytes,
    };
    if (numbers->used_bytes > (is_deleting ? low : limit)) ret->delete_bytes = numbers->used_bytes - low;
    if (!numbers->can_shrink) ret->give_back_bytes = 0;
}

int64_t retention_step_bytes(int64_t stored_bytes, bool is_waited_for)
{
    return max_of(2 * stored_bytes, is_waited_for ? 256 * KIB : 1 * MIB);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Looks how things stand, has retention.c judge, and does a step of it: deletes, or gives pages back
 * to the file system. Must never delete anything that no bound asks for. */
#include "trim.h"

#include <sys/stat.h>

#include <weir/weir.h>

#include "base/clock.h"
#include "store/folder.h"
#include "store/reserve.h"

enum { LOOK_EVERY_MS = 1000, CONNECTIONS_A_STEP = 256, STEPS_TO_RECOVER_MAX = 64 };

static int64_t min_of(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* ---- How things stand ---- */

/* What cannot be found out asks for nothing. The file is asked for its length by its name: see store.c for what closing
 * a descriptor of it would do. */
static void look(const struct trim *trim, const struct store *store, struct retention_numbers *ret)
{
    struct store_size size;
    struct stat status;

    store_size(store, &size);
    *ret = (struct retention_numbers){ .used_bytes = size.used_bytes,
                                       .file_bytes = size.file_bytes,
                                       .file_bytes_on_disk = size.file_bytes,
                                       .file_bytes_allocated = size.file_bytes,
                                       .log_bytes = store_log_bytes(store),
                                       .lacks_reserve = !trim->has_reserve,
                                       .can_shrink = size.can_shrink };
    if (folder_space(trim->config.path, &ret->disk_bytes, &ret->disk_free_bytes)) ret->can_shrink = false;
    if (stat(trim->config.path, &status) != 0) return;
    ret->file_bytes_on_disk = status.st_size;
    ret->file_bytes_allocated = (int64_t)status.st_blocks * 512;
}

static bool keeps_everything(const struct retention_limits *limits)
{
    return !limits->age_us_max && !limits->bytes_max && !limits->free_percent;
}

static void tell(struct trim *trim, const struct trim_news *news)
{
    if (trim->config.on_trimmed) trim->config.on_trimmed(news, trim->config.user);
}

static void tell_if_at_floor(struct trim *trim, bool is_at_floor)
{
    if (is_at_floor && !trim->is_at_floor)
        tell(trim, &(struct trim_news){ .reason = RETENTION_DISK, .is_at_floor = true });
    trim->is_at_floor = is_at_floor;
}

/* ---- The reserve ---- */

static void make_reserve(struct trim *trim)
{
    trim->has_reserve = reserve_make(trim->config.path, trim->config.limits.reserve_bytes) == 0;
    trim->is_reserve_refused = !trim->has_reserve;
}

static bool give_up_reserve(struct trim *trim)
{
    trim->has_reserve = false;
    return reserve_give_up(trim->config.path);
}

bool trim_make_room_to_open(struct trim *trim)
{
    return give_up_reserve(trim);
}

void trim_init(struct trim *trim, const struct trim_config *config)
{
    const struct retention_wish everything = { WEIR_OFF, WEIR_OFF, WEIR_OFF };

    *trim = (struct trim){ .config = *config, .looked_ms = clock_ms() };
    if (!config->limits.log_bytes_max) retention_limits_init(&trim->config.limits, &everything, INT64_MAX);
}

void trim_begin(struct trim *trim)
{
    struct retention_numbers numbers = { 0 };
    struct retention_verdict verdict;

    if (keeps_everything(&trim->config.limits)) return;
    if (folder_space(trim->config.path, &numbers.disk_bytes, &numbers.disk_free_bytes)) return;
    retention_judge(&trim->config.limits, &numbers, false, &verdict);
    if (verdict.has_reserve_room) make_reserve(trim);
}

/* ---- A step ---- */

static enum store_outcome delete_some(struct trim *trim, struct store *store, const struct store_deletion *what,
                                      enum retention_reason reason, bool *ret_has_deleted)
{
    struct store_deleted deleted = { 0 };
    const enum store_outcome outcome = store_delete(store, what, &deleted);

    *ret_has_deleted = deleted.messages > 0 || deleted.connections > 0;
    if (deleted.messages > 0)
        tell(trim, &(struct trim_news){ .reason = reason, .messages = deleted.messages, .bytes = deleted.bytes });
    return outcome;
}

/* Whoever holds the log keeps the file from being cut: it will be, with a later checkpoint. */
static enum store_outcome give_back(struct store *store, int64_t bytes)
{
    enum store_outcome outcome = store_give_back(store, bytes);
    int64_t left = 0;

    if (outcome == STORE_STORED) outcome = store_checkpoint(store, &left);
    return outcome;
}

/* Whether something is to be deleted for its age's sake, which is asked for once a second, and then until nothing is.
 */
static bool is_age_due(const struct trim *trim)
{
    return trim->config.limits.age_us_max && (trim->is_old_left || clock_ms() >= trim->looked_ms + LOOK_EVERY_MS);
}

static enum store_outcome delete_due(struct trim *trim, struct store *store, const struct retention_verdict *verdict,
                                     int64_t step_bytes, bool *ret_has_deleted)
{
    struct store_deletion what = { .now_us = clock_wall_us(),
                                   .connections_max = CONNECTIONS_A_STEP + 2 * (unsigned)trim->stored_records };
    enum store_outcome outcome = STORE_STORED;

    *ret_has_deleted = false;
    if (verdict->delete_bytes > 0) {
        what.is_for_space = true;
        what.bytes_max = min_of(verdict->delete_bytes, step_bytes);
        outcome = delete_some(trim, store, &what, verdict->reason, ret_has_deleted);
    }
    if (outcome == STORE_STORED && !*ret_has_deleted && is_age_due(trim)) {
        what.is_for_space = false;
        what.bytes_max = step_bytes;
        what.before_us = what.now_us - trim->config.limits.age_us_max;
        outcome = delete_some(trim, store, &what, RETENTION_AGE, ret_has_deleted);
        trim->is_old_left = *ret_has_deleted;
    }
    return outcome;
}

static enum store_outcome step(struct trim *trim, struct store *store, int64_t bytes_max, bool *ret_goes_on)
{
    struct retention_numbers numbers;
    struct retention_verdict verdict;
    enum store_outcome outcome = STORE_STORED;

    look(trim, store, &numbers);
    retention_judge(&trim->config.limits, &numbers, trim->is_deleting, &verdict);
    store_set_room(store, trim->has_reserve && verdict.is_room_ample);
    tell_if_at_floor(trim, verdict.is_at_floor);
    trim->is_deleting = verdict.delete_bytes > 0;

    outcome = delete_due(trim, store, &verdict, bytes_max, ret_goes_on);
    if (outcome == STORE_STORED && !*ret_goes_on && verdict.give_back_bytes > 0) {
        outcome = give_back(store, min_of(verdict.give_back_bytes, bytes_max));
        *ret_goes_on = outcome == STORE_STORED;
    }
    if (clock_ms() >= trim->looked_ms + LOOK_EVERY_MS) {
        trim->looked_ms = clock_ms();
        trim->is_reserve_refused = false;
    }
    if (!trim->has_reserve && !trim->is_reserve_refused && verdict.has_reserve_room) make_reserve(trim);
    if (outcome != STORE_STORED) return outcome;
    trim->stored_bytes = 0;
    trim->stored_records = 0;
    return outcome;
}

void trim_note_stored(struct trim *trim, uint64_t records, int64_t bytes)
{
    trim->stored_records += records;
    trim->stored_bytes += bytes;
}

int64_t trim_next_ms(const struct trim *trim)
{
    const struct retention_limits *limits = &trim->config.limits;

    return limits->age_us_max || limits->free_percent ? trim->looked_ms + LOOK_EVERY_MS : INT64_MAX;
}

static bool is_full(const struct store *store, enum store_outcome outcome)
{
    return outcome == STORE_REFUSED && store_is_full(store);
}

enum store_outcome trim_move_log(struct trim *trim, struct store *store)
{
    int64_t left = 0;
    const enum store_outcome outcome = store_checkpoint(store, &left);

    trim->is_log_stuck = is_full(store, outcome);
    return outcome;
}

/* Moves all of the log, and has it begin anew in the room that it has. A log that a reader has made long gives most of
 * that back. */
static enum store_outcome restart_log(struct trim *trim, struct store *store)
{
    const bool is_long = store_log_file_bytes(store) > 2 * trim->config.limits.log_bytes_max;
    const enum store_outcome outcome = store_restart_log(store, is_long);

    trim->is_log_stuck = is_full(store, outcome);
    trim->is_log_held = outcome == STORE_REFUSED && store_is_busy(store);
    return outcome;
}

/* What is deleted is written to the log as well: no more than the reserve has room for. */
static enum store_outcome step_in_reserve(struct trim *trim, struct store *store, bool *ret_goes_on)
{
    const int64_t bytes_max = trim->config.limits.log_bytes_max / 4;
    enum store_outcome outcome = step(trim, store, bytes_max, ret_goes_on);

    if (is_full(store, outcome) && give_up_reserve(trim)) outcome = step(trim, store, bytes_max, ret_goes_on);
    return outcome;
}

/* The disk is full, and everything takes room in the log first: so that is moved, which lets it begin anew in the room
 * it has, or in the reserve's. Then what is due goes, until what that leaves free has made a new reserve: whatever else
 * was stored first could take up the room without which the log can never be moved. While somebody reads the log none
 * of this makes room, and the reserve stays for later. *ret_has_room: there is a reserve, or nothing more is due. */
static enum store_outcome recover(struct trim *trim, struct store *store, bool *ret_has_gone, bool *ret_has_room)
{
    const bool has_log = store_log_file_bytes(store) > 0;
    enum store_outcome outcome = restart_log(trim, store);
    bool goes_on = !keeps_everything(&trim->config.limits);

    if (is_full(store, outcome) && give_up_reserve(trim)) outcome = restart_log(trim, store);
    *ret_has_gone = has_log && outcome == STORE_STORED;
    for (int i = 0; i < STEPS_TO_RECOVER_MAX && goes_on && outcome == STORE_STORED; i++) {
        outcome = step_in_reserve(trim, store, &goes_on);
        *ret_has_gone |= goes_on;
        if (outcome == STORE_STORED && goes_on) outcome = restart_log(trim, store);
        if (trim->has_reserve) break;
    }
    *ret_has_room = outcome == STORE_STORED && (trim->has_reserve || !goes_on);
    return outcome;
}

enum store_outcome trim_step(struct trim *trim, struct store *store, bool is_waited_for, bool *ret_goes_on)
{
    enum store_outcome outcome = STORE_STORED;
    bool has_room = false;

    *ret_goes_on = false;
    if (keeps_everything(&trim->config.limits)) return STORE_STORED;
    outcome = step(trim, store, retention_step_bytes(trim->stored_bytes, is_waited_for), ret_goes_on);
    return is_full(store, outcome) ? recover(trim, store, ret_goes_on, &has_room) : outcome;
}

enum store_outcome trim_make_room(struct trim *trim, struct store *store, bool *ret_is_worth_a_try)
{
    bool has_gone = false, has_room = false;
    const enum store_outcome outcome = recover(trim, store, &has_gone, &has_room);

    *ret_is_worth_a_try = has_gone && has_room;
    return outcome;
}

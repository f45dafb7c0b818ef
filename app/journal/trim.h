/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Keeps a store within its bounds, a small step at a time. The writer's, on the writer's thread:
 * between two of its transactions it has a step done, and as many as there are to do when nobody waits. */
#ifndef APP_JOURNAL_TRIM_H
#define APP_JOURNAL_TRIM_H

#include <stdbool.h>
#include <stdint.h>

#include "retention.h"
#include "store/store.h"

/* What a step has done. */
struct trim_news {
    enum retention_reason reason;
    uint64_t messages; /* that were deleted */
    int64_t bytes;     /* of these */
    bool is_at_floor;  /* DISK, without messages: no more is deleted for it, though it would need more */
};

struct trim_config {
    const char *path;               /* of the store; must outlive it */
    struct retention_limits limits; /* zeroed: everything is kept */
    void (*on_trimmed)(const struct trim_news *news, void *user);
    void *user;
};

struct trim {
    struct trim_config config;
    bool has_reserve;
    bool is_reserve_refused; /* the last try failed, and is repeated when looked_ms is */
    bool is_log_stuck;       /* the last try to move it met a full disk */
    bool is_log_held;        /* on a full disk: somebody reads it, and nothing can be done before he ends */
    bool is_deleting;        /* for space; see retention_judge */
    bool is_at_floor;        /* told */
    bool is_old_left;        /* the last step found messages that are too old, and there may be more */
    int64_t stored_bytes;    /* since the last step */
    uint64_t stored_records; /* the same */
    int64_t looked_ms;       /* for what is too old, and whether a reserve can be made again */
};

/* Before the store is opened: its limits count from the beginning. */
void trim_init(struct trim *trim, const struct trim_config *config);

/* Once it is open: takes the reserve, if there is room for one. Not before, since a file that turns out to be no store
 * is left without one. */
void trim_begin(struct trim *trim);

/* A transaction was stored. */
void trim_note_stored(struct trim *trim, uint64_t records, int64_t bytes);

/* When it is next to be asked for a step, though nothing comes: on the monotonic clock; INT64_MAX: never. */
int64_t trim_next_ms(const struct trim *trim);

/* The store cannot be opened because the disk is full. Returns whether the reserve was given up for it: it may open
 * now.
 */
bool trim_make_room_to_open(struct trim *trim);

/* Does one step, if there is one to do. *ret_goes_on: there was, and there may be another. */
enum store_outcome trim_step(struct trim *trim, struct store *store, bool is_waited_for, bool *ret_goes_on);

/* Moves the log to the database. While is_log_stuck is set after it, what else is stored would only be in its way: see
 * trim_make_room. */
enum store_outcome trim_move_log(struct trim *trim, struct store *store);

/* A transaction was refused because the disk is full, or would be in the way: moves the log, and deletes what has to go
 * by the bounds. *ret_is_worth_a_try: there may be room now. */
enum store_outcome trim_make_room(struct trim *trim, struct store *store, bool *ret_is_worth_a_try);

#endif

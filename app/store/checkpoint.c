/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Moving the write-ahead log to the database. */
#include "store_internal.h"

#include <inttypes.h>
#include <stdio.h>

#include <sqlite3.h>

void store_set_cache_bytes(struct store *store, size_t bytes)
{
    store_set_cache(store, bytes);
}

enum store_outcome store_set_log_bytes_max(struct store *store, int64_t bytes)
{
    char text[64];
    int code = SQLITE_OK;

    snprintf(text, sizeof(text), "PRAGMA journal_size_limit = %" PRId64, bytes);
    code = sqlite3_exec(store->db, text, NULL, NULL, NULL);
    return code == SQLITE_OK ? STORE_STORED : store_fail(store, code);
}

enum store_outcome store_checkpoint(struct store *store, int64_t *ret_left)
{
    const enum store_outcome outcome = store_begin_move(store);
    int pages = 0, moved = 0;
    int code = SQLITE_OK;

    if (outcome != STORE_STORED) return outcome;
    code = sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &pages, &moved);
    store_end_move(store, code == SQLITE_OK && pages == moved);
    if ((code & 0xff) == SQLITE_BUSY) { /* somebody else is at it */
        *ret_left = store_log_bytes(store);
        return STORE_STORED;
    }
    if (code != SQLITE_OK) return store_fail(store, code);
    *ret_left = (int64_t)(pages - moved) * store->page_bytes;
    return STORE_STORED;
}

enum store_outcome store_restart_log(struct store *store, bool is_cut)
{
    const int mode = is_cut ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_RESTART;
    const enum store_outcome outcome = store_begin_move(store);
    int code = SQLITE_OK;

    if (outcome != STORE_STORED) return outcome;
    code = sqlite3_wal_checkpoint_v2(store->db, NULL, mode, NULL, NULL);
    store_end_move(store, code == SQLITE_OK);
    return code == SQLITE_OK ? STORE_STORED : store_fail(store, code);
}

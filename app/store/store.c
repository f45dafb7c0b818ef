/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Rows in, and a word about each transaction. SQLite does the rest: a transaction is a stretch of
 * the write-ahead log with checksums, and counts once its last frame is there; with synchronous=FULL the log is synced
 * before COMMIT returns. Nothing here, or elsewhere in the process, may open or close the database's files by another
 * route: closing any descriptor of such a file drops all of the process's locks on it (fcntl(2)). What SQLite believes
 * of the log, an index in memory says; so a log that somebody else has cut or written over must never be moved: that
 * would write what is there now over the database. */
#include "store.h"

#include <sqlite3.h>

#include "schema.h"
#include "store_internal.h"

uint64_t store_next_connection(const struct store *store)
{
    return store->next_connection;
}

int64_t store_log_bytes(const struct store *store)
{
    return (int64_t)store->log_pages * store->page_bytes;
}

const char *store_text(const struct store *store)
{
    return store->text;
}

uint64_t store_last_message(const struct store *store)
{
    return store->last_message;
}

/* ---- A transaction ---- */

/* Nobody has touched the log since our last transaction. */
enum store_outcome store_begin(struct store *store)
{
    enum store_outcome outcome = store_execute(store, SQL_BEGIN);

    if (outcome == STORE_STORED) outcome = store_check_foreign_writer(store);
    return outcome == STORE_STORED ? store_check_log(store) : outcome;
}

/* Before COMMIT: it is known which generation the log is, and it has not been cut. (A large transaction has written to
 * it by now.) */
static enum store_outcome prepare_log(struct store *store, uint32_t *ret_generation)
{
    *ret_generation = store->generation;
    if (!store->is_stamped) {
        const int code = store_set_generation(store, ret_generation);

        if (code != SQLITE_OK) return store_fail(store, code);
    }
    return store_check_log_length(store);
}

/* Behind COMMIT and before anything is acknowledged: what is stored in a file without a name, or in one that somebody
 * writes over, is not stored. */
static enum store_outcome check_stored(struct store *store, int frames_before)
{
    struct place_news news;
    enum store_outcome outcome = store_check_written(store, frames_before);

    if (outcome != STORE_STORED) return outcome;
    if (!store_note_frame(store)) return store_fail_for_cut_log(store);
    if (frames_before == 0)
        store->log_moved = store_read_log_moved(store); /* it may have begun anew: with nothing moved */
    place_note_change(&store->place, PLACE_LOG, store_log_end_bytes(store));
    outcome = store_look(store, &news);
    if (outcome == STORE_STORED) store_mark(store);
    return outcome;
}

static enum store_outcome commit(struct store *store, bool secures_room)
{
    const int frames_before = store->log_pages; /* 0: all of it was moved, and it may begin anew */
    int64_t pages = 0, free_pages = 0;
    uint32_t generation = 0;
    const int code = store_count_pages(store, &pages, &free_pages); /* while it costs nothing to look */
    enum store_outcome outcome = code == SQLITE_OK ? STORE_STORED : store_fail(store, code);

    if (outcome == STORE_STORED && secures_room) outcome = store_secure_room(store, pages);
    if (outcome == STORE_STORED) outcome = prepare_log(store, &generation);
    if (outcome == STORE_STORED) outcome = store_execute(store, SQL_COMMIT);
    if (outcome != STORE_STORED) return outcome;
    store->pages = pages;
    store->free_pages = free_pages;
    store->generation = generation;
    store->is_stamped = true;
    if (store->next_message > store->last_message + 1) store->newest_first = store->last_message + 1;
    store->last_message = store->next_message - 1;
    store->times_stored = store->times;
    return check_stored(store, frames_before);
}

enum store_outcome store_commit(struct store *store)
{
    return commit(store, true);
}

/* ---- A run ---- */

static enum store_outcome close_killed_run(struct store *store, uint64_t first, uint64_t end)
{
    enum store_outcome outcome = store_begin(store);

    if (outcome == STORE_STORED) outcome = store_execute(store, SQL_CLOSE_KILLED);
    if (outcome == STORE_STORED) outcome = store_set_meta(store, "run_begins", (int64_t)first);
    if (outcome == STORE_STORED) outcome = store_set_meta(store, "numbers_taken", (int64_t)end);
    return outcome == STORE_STORED ? store_commit(store) : outcome;
}

enum store_outcome store_give_id(struct store *store)
{
    const enum store_outcome outcome = store_begin(store);
    const int code = outcome == STORE_STORED ? schema_give_id(store->db) : SQLITE_OK;

    if (code != SQLITE_OK) return store_fail(store, code);
    return outcome == STORE_STORED ? store_commit(store) : outcome;
}

/* On a full disk there may still be room in the log, once that has been moved, for a row that is there already. */
static enum store_outcome take_numbers_of_full(struct store *store, uint64_t next)
{
    int64_t left = 0;
    enum store_outcome outcome = store_checkpoint(store, &left);

    if (outcome == STORE_STORED) outcome = store_begin(store);
    if (outcome == STORE_STORED) outcome = store_set_meta(store, "numbers_taken", (int64_t)next);
    return outcome == STORE_STORED ? commit(store, false) : outcome;
}

enum store_outcome store_begin_run(struct store *store, uint64_t numbers, bool *ret_are_all_closed)
{
    const uint64_t first = store->next_connection;
    enum store_outcome outcome = STORE_STORED;

    sqlite3_busy_timeout(store->db, OPEN_BUSY_MS); /* as of opening, of which this is the end */
    outcome = close_killed_run(store, first, first + numbers);
    *ret_are_all_closed = outcome == STORE_STORED;
    if (outcome == STORE_REFUSED && store->is_full) outcome = take_numbers_of_full(store, first + numbers);
    sqlite3_busy_timeout(store->db, 0);
    return outcome;
}

enum store_outcome store_take_numbers(struct store *store, uint64_t next)
{
    enum store_outcome outcome = store_begin(store);

    if (outcome == STORE_STORED) outcome = store_set_meta(store, "numbers_taken", (int64_t)next);
    return outcome == STORE_STORED ? store_commit(store) : outcome;
}

enum store_outcome store_seal(struct store *store, uint64_t next, bool are_all_closed)
{
    const int64_t taken = (int64_t)(next > store->next_row ? next : store->next_row);
    enum store_outcome outcome = store_begin(store);

    if (outcome == STORE_STORED) outcome = store_set_heads_until(store);
    if (outcome == STORE_STORED) outcome = store_set_meta(store, "numbers_taken", taken);
    if (outcome == STORE_STORED && are_all_closed) outcome = store_set_meta(store, "run_begins", taken);
    return outcome == STORE_STORED ? store_commit(store) : outcome;
}

/* ---- What is stored ---- */

bool store_has(struct store *store, const struct record *record)
{
    sqlite3_stmt *statement = store->statements[SQL_FIND_MESSAGE];
    bool has = false;

    sqlite3_bind_int64(statement, 1, (int64_t)record->id);
    if (sqlite3_step(statement) == SQLITE_ROW)
        has = sqlite3_column_int64(statement, 0) == (int64_t)record->head->connection &&
              sqlite3_column_int64(statement, 1) == (int64_t)record->seq &&
              sqlite3_column_int64(statement, 2) == record->crc32c;
    sqlite3_reset(statement);
    return has;
}

void store_rollback(struct store *store)
{
    store_execute(store, SQL_ROLLBACK);
    store_note_log(store);
    store_forget_transaction(store);
}

bool store_is_busy(const struct store *store)
{
    return store->is_busy;
}

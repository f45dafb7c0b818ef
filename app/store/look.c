/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Are the files, and the log's last commit, as we left them? Looked at before each transaction and each move of the
 * log, and behind each commit before anything is acknowledged. */
#include "store_internal.h"

#include <sqlite3.h>

#include "header.h"
#include "schema.h"

/* Somebody else's checkpoint, which is his right, though we do without: he has moved what we had synced. */
static bool has_been_moved(struct store *store)
{
    const uint32_t moved = store_read_log_moved(store);
    const bool is_other = moved != store->log_moved;

    store->log_moved = moved;
    return is_other;
}

static enum store_outcome fail_for_news(struct store *store)
{
    const struct place_news news = store->news;

    store_fail(store, SQLITE_ERROR);
    store->news = news;
    place_describe(&news, store->text, sizeof(store->text));
    return STORE_UNKNOWN;
}

void store_news(const struct store *store, struct place_news *ret)
{
    *ret = store->news;
}

enum store_outcome store_check_file(struct store *store, enum place_file file)
{
    struct place_news *news = &store->news;

    if (place_look(&store->place, file, news)) return STORE_STORED;
    if (file == PLACE_DATABASE && (news->change == PLACE_CUT || news->change == PLACE_CHANGED) &&
        has_been_moved(store)) {
        place_note_change(&store->place, PLACE_DATABASE, -1);
        store->is_stamped = store->is_marked = false;
        news->change = PLACE_KEPT;
        return STORE_STORED;
    }
    return fail_for_news(store);
}

enum store_outcome store_look(struct store *store, struct place_news *ret)
{
    enum store_outcome outcome = STORE_STORED;

    for (int file = PLACE_DATABASE; file < PLACE_FILES && outcome == STORE_STORED; file++)
        outcome = store_check_file(store, (enum place_file)file);
    *ret = store->news;
    return outcome;
}

enum store_outcome store_check_log_length(struct store *store)
{
    const int64_t end = store_log_end_bytes(store), bytes = store_log_file_bytes(store);

    if (bytes >= end && store_has_frame(store)) return STORE_STORED;
    store->news = (struct place_news){ .file = PLACE_LOG, .change = PLACE_CUT, .bytes = bytes, .bytes_before = end };
    return fail_for_news(store);
}

enum store_outcome store_check_log(struct store *store)
{
    const enum store_outcome outcome = store_check_log_length(store);

    if (outcome != STORE_STORED || place_is_lost(&store->place, PLACE_LOG)) return outcome;
    return store_check_file(store, PLACE_LOG);
}

enum store_outcome store_begin_move(struct store *store)
{
    enum store_outcome outcome = STORE_STORED;

    if (!store->is_open) return outcome;
    outcome = store_check_foreign_writer(store);
    if (outcome == STORE_STORED && !place_is_lost(&store->place, PLACE_DATABASE))
        outcome = store_check_file(store, PLACE_DATABASE);
    return outcome == STORE_STORED ? store_check_log(store) : outcome;
}

void store_mark(struct store *store)
{
    sqlite3_file *file = store_database_file(store);
    unsigned char bytes[HEADER_STAMP_BYTES];
    struct schema_stamp stamp;

    if (store->is_marked || !store->is_stamped || !file) return;
    if (file->pMethods->xRead(file, bytes, sizeof(bytes), HEADER_STAMP_OFFSET) != SQLITE_OK) return;
    schema_read_stamp(header_user_version(bytes), &stamp);
    stamp.generation = store->generation;
    stamp.has_log = true;
    stamp.is_cut = false;
    header_set_stamp(bytes, schema_user_version(&stamp), SCHEMA_APPLICATION_ID);
    store->is_marked = file->pMethods->xWrite(file, bytes, sizeof(bytes), HEADER_STAMP_OFFSET) == SQLITE_OK;
    place_note_change(&store->place, PLACE_DATABASE, -1);
}

void store_end_move(struct store *store, bool is_all)
{
    const uint32_t moved_before = store->log_moved;

    store->pages_secured = 0; /* the file may have been cut */
    if (is_all) store->log_pages = store->frame_pages = 0;
    if (!store->is_open) return;
    place_note_change(&store->place, PLACE_DATABASE, -1);
    store_note_log(store);
    if (is_all || store->log_moved != moved_before) store->is_stamped = store->is_marked = false;
}

enum store_outcome store_fail_for_cut_log(struct store *store)
{
    store_fail(store, SQLITE_ERROR);
    store_say(store, "its log (-wal) has been cut or written over");
    return STORE_UNKNOWN;
}

enum store_outcome store_check_written(struct store *store, int frames_before)
{
    const uint64_t before = store->log_salts, salts = store_read_log_salts(store);
    const bool is_anew = before && salts != before;

    if (store->log_pages == 0) return STORE_STORED; /* nothing was written */
    if (!salts) return store_fail_for_cut_log(store);
    store->log_salts = salts;
    if (is_anew && frames_before > 0) {
        store_fail(store, SQLITE_ERROR);
        store_say(store, "another program has moved its log to the database");
        return STORE_UNKNOWN;
    }
    if (!is_anew && !store_has_frame(store)) return store_fail_for_cut_log(store);
    return store_has_first_frame(store, is_anew ? 0 : store->frame_pages) ? STORE_STORED
                                                                          : store_fail_for_cut_log(store);
}

/* Somebody else's commit since ours: what we know of the tables may be wrong. (Or his checkpoint that began the log
 * anew, which is as little his to do.) */
enum store_outcome store_check_foreign_writer(struct store *store)
{
    sqlite3_stmt *statement = store->statements[SQL_DATA_VERSION];
    const int code = sqlite3_step(statement);
    const int64_t version = code == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : store->data_version;

    sqlite3_reset(statement);
    if (code != SQLITE_ROW) return store_fail(store, code);
    if (version == store->data_version) return STORE_STORED;
    store_fail(store, SQLITE_ERROR);
    store_say(store, "another program has written to it, or moved its log to the database");
    return STORE_UNKNOWN;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Opening a store and closing it. */
#include "store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "schema.h"
#include "wal.h"

enum { CACHE_BYTES_AT_OPEN = 1024 * 1024 };

/* A pragma is a wish: what became of it is read back. */
static int set_pragma(struct store *store, const char *name, const char *value, const char *expected)
{
    sqlite3_stmt *statement = NULL;
    const char *found = NULL;
    char text[128];
    int code = SQLITE_OK;

    snprintf(text, sizeof(text), "PRAGMA %s = %s", name, value);
    code = sqlite3_exec(store->db, text, NULL, NULL, NULL);
    snprintf(text, sizeof(text), "PRAGMA %s", name);
    if (code == SQLITE_OK) code = sqlite3_prepare_v2(store->db, text, -1, &statement, NULL);
    if (code == SQLITE_OK) code = sqlite3_step(statement);
    if (code == SQLITE_ROW) found = (const char *)sqlite3_column_text(statement, 0);
    if (code == SQLITE_ROW && !found) code = SQLITE_NOMEM;
    if (code == SQLITE_ROW && strcmp(found, expected) != 0) {
        store_say(store, "cannot set %s to %s here: it is %s", name, value, found);
        code = SQLITE_MISUSE;
    }
    sqlite3_finalize(statement);
    return code == SQLITE_ROW ? SQLITE_OK : code;
}

int store_set_cache(struct store *store, size_t bytes)
{
    char cache[32];

    snprintf(cache, sizeof(cache), "-%zu", bytes / 1024);
    return set_pragma(store, "cache_size", cache, cache);
}

/* The layout counts for a new database only. Checkpoints are ours: one that a commit runs into
 * holds it up. What was deleted is not overwritten where that would be one more write (Debian's default). */
static int set_pragmas(struct store *store)
{
    static const struct {
        const char *name, *value, *expected;
    } pragmas[] = {
        { "journal_mode", "WAL", "wal" },       { "synchronous", "FULL", "2" }, { "wal_autocheckpoint", "0", "0" },
        { "locking_mode", "NORMAL", "normal" }, { "foreign_keys", "0", "0" },   { "cell_size_check", "1", "1" },
        { "secure_delete", "FAST", "2" },
    };
    int code = schema_lay_out(store->db);

    for (size_t i = 0; i < sizeof(pragmas) / sizeof(pragmas[0]) && code == SQLITE_OK; i++)
        code = set_pragma(store, pragmas[i].name, pragmas[i].value, pragmas[i].expected);
    return code == SQLITE_OK ? store_set_cache(store, CACHE_BYTES_AT_OPEN) : code;
}

/* The highest second that was written with the heads is that of another run when a step came behind them. */
static int read_times(struct store *store)
{
    int64_t first = 0, highest = 0, again = 0, unordered = 0;
    int code = store_read_number(store, "SELECT coalesce(max(first_message), 0) FROM step", &first);

    if (code == SQLITE_OK)
        code = store_read_number(
            store,
            "WITH run(first) AS (SELECT coalesce(max(first_message), 0) FROM step),"
            " written(until) AS (SELECT coalesce((SELECT value FROM meta WHERE key = 'heads_until'), 0))"
            " SELECT max(coalesce((SELECT max(time) / 1000000 FROM message"
            "  WHERE id > (SELECT until FROM written) AND id >= (SELECT first FROM run)), 0),"
            " coalesce((SELECT value FROM meta, run, written"
            "  WHERE key = 'highest_second' AND until >= first), 0))",
            &highest);
    if (code == SQLITE_OK) code = store_read_number(store, "SELECT EXISTS (SELECT 1 FROM again)", &again);
    if (code == SQLITE_OK)
        code = store_read_number(store, "SELECT coalesce(max(first_message), 1) - 1 FROM step WHERE after IS NULL",
                                 &unordered);
    if (code != SQLITE_OK) return code;
    store->times = store->times_stored = (struct run_of_times){ (uint64_t)first, highest, again != 0 };
    store->unordered_until = (uint64_t)unordered;
    store_forget_seconds(store);
    return SQLITE_OK;
}

static int read_state(struct store *store)
{
    int64_t deleted = 0, auto_vacuum = 0;
    int64_t message = 0, connection = 0, taken = 0, heads = 0, page_bytes = 0;
    /* First: whoever writes between these readings is noticed later. */
    int code = store_read_number(store, "PRAGMA data_version", &store->data_version);

    if (code == SQLITE_OK) code = store_read_number(store, "SELECT coalesce(max(id), 0) FROM message", &message);
    if (code == SQLITE_OK) code = store_read_number(store, "SELECT coalesce(max(id), 0) FROM connection", &connection);
    if (code == SQLITE_OK)
        code = store_read_number(store, "SELECT coalesce((SELECT value FROM meta WHERE key = 'numbers_taken'), 1)",
                                 &taken);
    if (code == SQLITE_OK)
        code =
            store_read_number(store, "SELECT coalesce((SELECT value FROM meta WHERE key = 'heads_until'), 0)", &heads);
    if (code == SQLITE_OK) code = store_read_number(store, "PRAGMA page_size", &page_bytes);
    if (code == SQLITE_OK) code = store_read_number(store, "SELECT coalesce(min(id), 1) - 1 FROM message", &deleted);
    if (code == SQLITE_OK) code = store_read_number(store, "PRAGMA auto_vacuum", &auto_vacuum);
    if (code == SQLITE_OK) code = read_times(store);
    if (code != SQLITE_OK) return code;
    store->deleted_until = (uint64_t)deleted;
    store->can_shrink = auto_vacuum == 2;
    store->heads_until = (uint64_t)heads;
    store->last_message = (uint64_t)message;
    store->newest_first = store->last_message;
    store->next_message = store->last_message + 1;
    store->next_row = (uint64_t)connection + 1;
    store->next_connection = (uint64_t)(connection + 1 > taken ? connection + 1 : taken);
    store->page_bytes = (int)page_bytes;
    return SQLITE_OK;
}

/* The heads of a second at most are behind after a kill. */
static int rebuild_heads(struct store *store)
{
    static const char text[] =
        "UPDATE connection SET last_message = newer.id FROM"
        " (SELECT connection, max(id) AS id FROM message"
        "  WHERE id > coalesce((SELECT value FROM meta WHERE key = 'heads_until'), 0) GROUP BY connection) AS newer"
        " WHERE connection.id = newer.connection";

    return sqlite3_exec(store->db, text, NULL, NULL, NULL);
}

static int on_commit(void *user, sqlite3 *db, const char *name, int pages)
{
    struct store *store = user;

    (void)db;
    (void)name;
    store->log_pages = pages;
    return SQLITE_OK;
}

/* As far as no reader is in the way, so that what is written next begins the log anew. What the log holds, the walk
 * before has seen whole (damage.h). */
static int move_log_at_opening(struct store *store)
{
    int pages = 0, moved = 0;
    const int code = sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &pages, &moved);

    if ((code & 0xff) == SQLITE_BUSY) pages = 1; /* somebody else is at it */
    store->log_pages = pages > 0 && pages == moved ? 0 : pages;
    return (code & 0xff) == SQLITE_BUSY ? SQLITE_OK : code;
}

static int prepare_tables(struct store *store)
{
    struct schema_stamp stamp = { .version = 0 };
    int code = move_log_at_opening(store);

    if (code == SQLITE_OK) code = schema_stamp_of(store->db, &stamp);
    if (code == SQLITE_OK && stamp.has_log) {
        store_say(store, "its write-ahead log (-wal) is missing");
        code = SQLITE_CORRUPT;
    }
    if (code == SQLITE_OK) code = schema_prepare(store->db, store->text, sizeof(store->text));
    if (code == SQLITE_OK) code = schema_stamp_of(store->db, &stamp);
    store->generation = stamp.generation;
    return code;
}

static int begin_log(struct store *store)
{
    uint32_t generation = 0;
    int code = sqlite3_exec(store->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);

    if (code == SQLITE_OK) code = store_set_generation(store, &generation);
    if (code == SQLITE_OK) code = rebuild_heads(store);
    if (code == SQLITE_OK) code = read_state(store);
    if (code == SQLITE_OK) code = sqlite3_exec(store->db, "COMMIT", NULL, NULL, NULL);
    if (code != SQLITE_OK) return code;
    store->generation = generation;
    store->is_stamped = true;
    return code;
}

static int prepare(struct store *store)
{
    int code = sqlite3_extended_result_codes(store->db, 1);

    if (code == SQLITE_OK) code = schema_check(store->db, store->text, sizeof(store->text));
    if (code == SQLITE_OK) code = set_pragmas(store);
    sqlite3_wal_hook(store->db, on_commit, store); /* wal_autocheckpoint, whatever its value, takes its place */
    if (code == SQLITE_OK) code = prepare_tables(store);
    if (code == SQLITE_OK) code = batch_table_add(store->db, &store->adding);
    if (code == SQLITE_OK) code = store_prepare_statements(store);
    if (code == SQLITE_OK) code = begin_log(store);
    return code == SQLITE_OK ? store_count_pages(store, &store->pages, &store->free_pages) : code;
}

/* SQLite tries to open a file that it cannot make once more, for reading, and says what came of that. Returns what the
 * system says of making it; 0: nothing. */
static int error_of_making(const char *path, char *ret_name, size_t size)
{
    static const char *const ends[] = { "-wal", "-shm" };

    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        snprintf(ret_name, size, "%.400s%s", path, ends[i]);
        const int file = open(ret_name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (file < 0 && errno != EEXIST) return errno;
        if (file < 0) continue;
        close(file);
        unlink(ret_name);
    }
    return 0;
}

/* Returns the code of what has failed at opening, with the sentence in store->text. */
static int explain(struct store *store, const char *path, int code)
{
    char name[TEXT_BYTES_MAX + sizeof("-wal")];
    int error = store_system_error(store, code);

    if (!store->text[0]) store_say_error(store, code);
    if ((code & 0xff) == SQLITE_CANTOPEN && (error = error_of_making(path, name, sizeof(name))) != 0)
        store_say(store, "%.300s cannot be made: %s%s", name, strerror(error),
                  error == ENOSPC ? " (no blocks or no inodes are left)" : "");
    switch (code & 0xff) {
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    default:
        return error == ENOSPC || error == EDQUOT ? -ENOSPC : -EIO;
    }
}

static int note_files(struct store *store, const char *path)
{
    const int err = place_note(&store->place, path);

    if (err) {
        store_say(store, "one of its files is gone: %s", strerror(-err));
        return err;
    }
    store->is_open = true;
    store->log_salts = store_read_log_salts(store);
    store_note_frame(store);
    store_note_log(store);
    store_mark(store);
    return 0;
}

int store_open(const char *path, struct store **ret, char error[STORE_ERROR_BYTES_MAX])
{
    struct store *store = calloc(1, sizeof(*store));
    int code = SQLITE_OK, err = 0;

    if (!store) {
        snprintf(error, STORE_ERROR_BYTES_MAX, "store %s: %s", path, strerror(ENOMEM));
        return -ENOMEM;
    }
    store->descriptor = -1;
    code = sqlite3_open_v2(path, &store->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (code == SQLITE_OK) code = sqlite3_busy_timeout(store->db, OPEN_BUSY_MS);
    if (code == SQLITE_OK) code = prepare(store);
    err = code == SQLITE_OK ? note_files(store, path) : store->db ? explain(store, path, code) : -ENOMEM;
    if (err) {
        snprintf(error, STORE_ERROR_BYTES_MAX, "store %s: %s", path, store->db ? store->text : strerror(ENOMEM));
        store_close(store);
        return err;
    }
    sqlite3_busy_timeout(store->db, 0); /* from now on nobody waits, and the writer tries again */
    *ret = store;
    return 0;
}

void store_close(struct store *store)
{
    if (!store) return;
    if (store->is_open && store_begin_move(store) != STORE_STORED)
        sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    for (int i = 0; i < STATEMENT_COUNT; i++)
        sqlite3_finalize(store->statements[i]);
    sqlite3_close(store->db);
    free(store->frame);
    free(store);
}

void store_abandon(struct store *store)
{
    if (store) store->is_open = false;
    if (store) sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    store_close(store);
}

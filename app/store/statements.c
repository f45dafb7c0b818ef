/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What is asked of SQLite, prepared once, and what it says when it refuses. */
#include "store_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <sqlite3.h>

#include "schema.h"

static const char find_sweep_end[] = "SELECT max(id), max(opened) FROM"
                                     " (SELECT id, opened FROM connection WHERE id > ? ORDER BY id LIMIT ?)";
static const char delete_connections[] = "DELETE FROM connection WHERE id > ?1 AND id <= ?2 AND last_message <= ?3"
                                         " AND closed <= ?4";
static const char insert_connection[] =
    "INSERT OR IGNORE INTO connection (id, opened, listener, frame, peer, device, proxy, tls_subject)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
/* No index leads to what is open: the numbers of one run are looked through. */
static const char close_killed[] =
    "UPDATE connection SET reason = 'killed',"
    " closed = coalesce((SELECT time FROM message WHERE id = connection.last_message), opened)"
    " WHERE id >= coalesce((SELECT value FROM meta WHERE key = 'run_begins'), 0) AND closed IS NULL";

/* ?1: a second; ?2: its message; ?3: the first one of the run. A row for each run that comes to a second that has one.
 */
static const char add_again[] = "INSERT OR IGNORE INTO again SELECT ?1, ?2 FROM second"
                                " WHERE time = ?1 AND first_message < ?3 AND NOT EXISTS"
                                " (SELECT 1 FROM again WHERE time = ?1 AND first_message >= ?3)";

static const char insert_client[] = "INSERT INTO client (name, first_seen, last_seen) VALUES (?1, ?2, ?2)"
                                    " ON CONFLICT (name) DO UPDATE SET last_seen = excluded.last_seen RETURNING id";
static const char set_client[] = "UPDATE connection SET client = ?1, previous_connection ="
                                 " (SELECT last_connection FROM client WHERE id = ?1) WHERE id = ?2";

/* ?1: a client; ?2: one of its connections, which takes another name, and is the newest of it. */
static const char unlink_newest[] = "UPDATE client SET last_connection = previous_connection FROM connection"
                                    " WHERE client.id = ?1 AND last_connection = ?2 AND connection.id = ?2";

/* The same of any other one: what points to it points to the one before it. */
static const char unlink_older[] =
    "WITH RECURSIVE chain(id, previous) AS"
    " (SELECT connection.id, previous_connection FROM client JOIN connection ON connection.id = last_connection"
    "  WHERE client.id = ?1 UNION ALL"
    "  SELECT connection.id, previous_connection FROM chain JOIN connection ON connection.id = chain.previous"
    "  WHERE chain.previous <> ?2)"
    " UPDATE connection SET previous_connection = (SELECT previous_connection FROM connection WHERE id = ?2)"
    " WHERE id = (SELECT id FROM chain WHERE previous = ?2)";

/* ?1: the last message that goes. The first one's second, and the highest of the run that goes on behind it. */
static const char find_edge[] =
    "SELECT (SELECT time / 1000000 FROM message ORDER BY id LIMIT 1), max(time) / 1000000 FROM message WHERE id <= ?1 "
    "+ 1"
    " AND id >= coalesce((SELECT max(first_message) FROM step WHERE first_message <= ?1 + 1), 0)";

/* The seconds of the messages that go, and those between ?2 and ?3, which the step before may have left. */
#define GOING_SECONDS(left)                                                \
    "time IN (SELECT time / 1000000 FROM message WHERE id <= ?1 UNION ALL" \
    " SELECT time FROM " left " WHERE time BETWEEN ?2 AND ?3)"
static const char delete_seconds[] =
    "DELETE FROM second WHERE " GOING_SECONDS("second") " AND first_message <= ?1 AND time NOT BETWEEN ?4 AND ?5";
static const char promote_again[] = "INSERT OR IGNORE INTO second SELECT time, min(first_message) FROM again"
                                    " WHERE " GOING_SECONDS("again") " AND first_message > ?1 GROUP BY time";
static const char delete_again[] = "DELETE FROM again WHERE " GOING_SECONDS(
    "again") " AND first_message <="
             " max(?1, coalesce((SELECT first_message FROM second WHERE second.time = again.time), 0))";

static const char *const statement_texts[STATEMENT_COUNT] = {
    [SQL_BEGIN] = "BEGIN IMMEDIATE",
    [SQL_COMMIT] = "COMMIT",
    [SQL_ROLLBACK] = "ROLLBACK",
    /* Without an id a row is put behind the last one, which needs no search for its place. The newest row must stay for
     * that. OR ROLLBACK: a transaction is given up whole, so nothing is noted down for giving up this part of it. */
    [SQL_ADD_MESSAGES] = "INSERT OR ROLLBACK INTO message SELECT NULL, * FROM batch",
    [SQL_ADD_SECOND] = "INSERT OR IGNORE INTO second VALUES (?, ?)",
    [SQL_ADD_AGAIN] = add_again,
    [SQL_ADD_STEP] = "INSERT OR IGNORE INTO step VALUES (?, ?, ?)",
    [SQL_ADD_CONNECTION] = insert_connection,
    [SQL_ADD_CLIENT] = insert_client,
    [SQL_CLIENT_OF] = "SELECT client FROM connection WHERE id = ?",
    [SQL_UNLINK_NEWEST] = unlink_newest,
    [SQL_UNLINK_OLDER] = unlink_older,
    [SQL_SET_CLIENT] = set_client,
    [SQL_SET_NEWEST] = "UPDATE client SET last_connection = ?2 WHERE id = ?1",
    [SQL_SET_LAST_SEEN] = "UPDATE client SET last_seen = ?2 WHERE id = ?1",
    [SQL_SET_CURSOR] = "INSERT OR REPLACE INTO cursor VALUES (?, ?, ?, ?)",
    [SQL_CLOSE_CONNECTION] = "UPDATE connection SET closed = ?, reason = ?, last_message = ? WHERE id = ?",
    [SQL_SET_HEAD] = "UPDATE connection SET last_message = ? WHERE id = ?",
    [SQL_SET_META] = "INSERT OR REPLACE INTO meta VALUES (?, ?)",
    [SQL_CLOSE_KILLED] = close_killed,
    [SQL_DATA_VERSION] = "PRAGMA data_version",
    [SQL_FIND_MESSAGE] = "SELECT connection, seq, crc32c FROM message WHERE id = ?",
    [SQL_OLDEST_MESSAGES] = "SELECT id, time, length(bytes) FROM message WHERE id < ? ORDER BY id",
    [SQL_DELETE_MESSAGES] = "DELETE FROM message WHERE id <= ?",
    [SQL_DELETE_LOWER_SECONDS] = "DELETE FROM second WHERE time < ?",
    [SQL_FIND_EDGE] = find_edge,
    [SQL_DELETE_SECONDS] = delete_seconds,
    [SQL_PROMOTE_AGAIN] = promote_again,
    [SQL_DELETE_AGAIN] = delete_again,
    [SQL_DELETE_STEPS] = "DELETE FROM step WHERE first_message <= ?",
    [SQL_FIND_SWEEP_END] = find_sweep_end,
    [SQL_DELETE_CONNECTIONS] = delete_connections,
    [SQL_COUNT_PAGES] = "PRAGMA page_count",
    [SQL_COUNT_FREE_PAGES] = "PRAGMA freelist_count",
};

void __attribute__((format(printf, 2, 3))) store_say(struct store *store, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(store->text, sizeof(store->text), format, arguments);
    va_end(arguments);
}

/* Whether a failed call leaves no doubt that nothing was stored: SQLite knew it before it wrote, or has undone it. */
static bool is_refusal(int code)
{
    switch (code & 0xff) {
    case SQLITE_FULL:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_NOMEM:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_TOOBIG:
        return true;
    default:
        return false;
    }
}

void store_forget_seconds(struct store *store)
{
    store->second_us = NO_SECOND;
    for (size_t i = 0; i < KNOWN_SECONDS; i++)
        store->known_seconds[i] = NO_SECOND;
}

void store_forget_transaction(struct store *store)
{
    store->next_message = store->last_message + 1;
    store->times = store->times_stored;
    store_forget_seconds(store);
}

/* What the system said last of a file that has failed; 0: nothing. */
static int file_error(struct store *store)
{
    sqlite3_file *log = NULL;
    int error = 0;

    if (sqlite3_file_control(store->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log) == SQLITE_OK && log->pMethods)
        log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &error);
    if (!error) sqlite3_file_control(store->db, "main", SQLITE_FCNTL_LAST_ERRNO, &error);
    return error;
}

/* SQLite takes a read that fails for a database that is malformed. */
static bool is_failed_read(int code, int error)
{
    return (code & 0xff) == SQLITE_CORRUPT && (error == EIO || error == ENXIO);
}

int store_system_error(struct store *store, int code)
{
    int error = sqlite3_system_errno(store->db);

    if (((code & 0xff) == SQLITE_IOERR && !error) || (code & 0xff) == SQLITE_CORRUPT) error = file_error(store);
    return (code & 0xff) != SQLITE_CORRUPT || is_failed_read(code, error) ? error : 0;
}

void store_say_error(struct store *store, int code)
{
    const int system = store_system_error(store, code);
    const char *text = is_failed_read(code, system) ? sqlite3_errstr(SQLITE_IOERR) : sqlite3_errmsg(store->db);

    store_say(store, "%s%s%s", text, system ? ": " : "", system ? strerror(system) : "");
}

enum store_outcome store_fail(struct store *store, int code)
{
    store_say_error(store, code);
    if (!sqlite3_get_autocommit(store->db)) sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    store_forget_transaction(store);
    store->is_full = (code & 0xff) == SQLITE_FULL;
    store->is_busy = (code & 0xff) == SQLITE_BUSY;
    store->news = (struct place_news){ .change = PLACE_KEPT };
    if (!is_refusal(code)) return STORE_UNKNOWN;
    store_note_log(store);
    return STORE_REFUSED;
}

enum store_outcome store_execute(struct store *store, enum statement which)
{
    sqlite3_stmt *statement = store->statements[which];
    const int code = sqlite3_step(statement);
    enum store_outcome outcome = STORE_STORED;

    if (code != SQLITE_DONE && code != SQLITE_ROW) outcome = store_fail(store, code);
    sqlite3_reset(statement);
    return outcome;
}

int store_prepare_statements(struct store *store)
{
    int code = SQLITE_OK;

    for (int i = 0; i < STATEMENT_COUNT && code == SQLITE_OK; i++)
        code = sqlite3_prepare_v3(store->db, statement_texts[i], -1, SQLITE_PREPARE_PERSISTENT, &store->statements[i],
                                  NULL);
    return code;
}

int store_read_number(struct store *store, const char *sql, int64_t *ret)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL);

    if (code == SQLITE_OK) code = sqlite3_step(statement);
    if (code == SQLITE_ROW) *ret = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return code == SQLITE_ROW ? SQLITE_OK : code;
}

int store_count_pages(const struct store *store, int64_t *ret_pages, int64_t *ret_free_pages)
{
    static const enum statement which[] = { SQL_COUNT_PAGES, SQL_COUNT_FREE_PAGES };
    int64_t *const counts[] = { ret_pages, ret_free_pages };
    int code = SQLITE_ROW;

    for (size_t i = 0; i < 2 && code == SQLITE_ROW; i++) {
        sqlite3_stmt *statement = store->statements[which[i]];

        code = sqlite3_step(statement);
        if (code == SQLITE_ROW) *counts[i] = sqlite3_column_int64(statement, 0);
        sqlite3_reset(statement);
    }
    return code == SQLITE_ROW ? SQLITE_OK : code;
}

enum store_outcome store_set_meta(struct store *store, const char *key, int64_t value)
{
    sqlite3_stmt *statement = store->statements[SQL_SET_META];

    sqlite3_bind_text(statement, 1, key, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 2, value);
    return store_execute(store, SQL_SET_META);
}

int store_set_generation(struct store *store, uint32_t *ret_generation)
{
    const bool is_kept = store->log_pages > 0 && store->generation > 0;

    *ret_generation = is_kept ? store->generation : schema_next_generation(store->generation);
    return schema_set_generation(store->db, *ret_generation);
}

enum store_outcome store_execute_for_number(struct store *store, enum statement which, uint64_t *ret)
{
    sqlite3_stmt *statement = store->statements[which];
    const int code = sqlite3_step(statement);

    if (code == SQLITE_ROW) *ret = (uint64_t)sqlite3_column_int64(statement, 0);
    sqlite3_reset(statement);
    return code == SQLITE_ROW || code == SQLITE_DONE ? STORE_STORED : store_fail(store, code);
}

enum store_outcome store_execute_with(struct store *store, enum statement which, uint64_t client, int64_t other)
{
    sqlite3_stmt *statement = store->statements[which];

    sqlite3_bind_int64(statement, 1, (int64_t)client);
    sqlite3_bind_int64(statement, 2, other);
    return store_execute(store, which);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Rows from one database to another. Whoever lets SQLite copy a store in use has the choice between
 * its backup (sqlite3_backup), which begins anew with each commit and need not end, and one long transaction (VACUUM
 * INTO), which keeps the server's log from beginning anew for as long as the copy takes: the log grows by all that is
 * stored meanwhile. A store is simpler than a database: no message is ever changed, each comes behind the last one, and
 * only the oldest go. So one transaction copies all but the messages, which is little, and says which message is the
 * newest; then the messages up to that one follow, a page in a transaction. Together that is the store as of the first
 * transaction, but for what retention has deleted since.
 *
 * That may be missing at the old end only. When the oldest message that is left is behind all that are copied, these
 * have gone, and would leave a gap: they go from the copy, too.
 *
 * Of the schema nothing is known here but `message`, its numbered rows and their checksum: every other table is copied
 * row by row, whatever version of weir has made it. Must never write to the original, nor wait for the copy's disk
 * while a transaction on the original is open; the first one may, when there are more connections than the cache holds.
 */
#include "copy.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "base/crc32c.h"
#include "folder.h"
#include "schema.h"

enum {
    PAGE_BYTES_MAX = 8 * 1024 * 1024, /* of messages in one transaction, and synced in one go: the server has the disk
                                         between two of them */
    PAGE_ROWS_MAX = 65536
};

/* A page stays in memory until the original's transaction is over. */
#define CACHE_PRAGMA "PRAGMA cache_size = -16384"

struct copy {
    sqlite3 *from, *to;
    sqlite3_stmt *read_messages, *add_message;
    int id_column, time_column, crc32c_column, bytes_column;
    struct copy_counts counts;
    char text[COPY_ERROR_BYTES_MAX];
};

/* ---- What SQLite says ---- */

static int __attribute__((format(printf, 3, 4))) fail_with(struct copy *copy, int err, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(copy->text, sizeof(copy->text), format, arguments);
    va_end(arguments);
    return err;
}

/* db: which of the two has failed. */
static int fail(struct copy *copy, sqlite3 *db, int code)
{
    const int system = sqlite3_system_errno(db);
    const int err = (code & 0xff) == SQLITE_NOMEM       ? -ENOMEM
                    : (code & 0xff) == SQLITE_FULL      ? -ENOSPC
                    : (code & 0xff) == SQLITE_INTERRUPT ? -EINTR
                                                        : -EIO;

    return fail_with(copy, err, "%s%s%s%s", db == copy->from ? "what is to be copied cannot be read: " : "",
                     sqlite3_errmsg(db), system ? ": " : "", system ? strerror(system) : "");
}

static int run(struct copy *copy, sqlite3 *db, const char *sql)
{
    const int code = sqlite3_exec(db, sql, NULL, NULL, NULL);

    return code == SQLITE_OK ? 0 : fail(copy, db, code);
}

static int read_number(struct copy *copy, sqlite3 *db, const char *sql, int64_t *ret)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    int err = 0;

    if (code == SQLITE_OK) code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        *ret = sqlite3_column_int64(statement, 0);
    else
        err = fail(copy, db, code);
    sqlite3_finalize(statement);
    return err;
}

/* ---- Rows ---- */

/* The statement that adds a row as that one reads it. */
static int prepare_adding(struct copy *copy, const char *table, sqlite3_stmt *reading, sqlite3_stmt **ret)
{
    sqlite3_str *text = sqlite3_str_new(copy->to);
    char *sql = NULL;
    int code = SQLITE_NOMEM;

    sqlite3_str_appendf(text, "INSERT INTO \"%w\" VALUES (?", table);
    for (int i = 1; i < sqlite3_column_count(reading); i++)
        sqlite3_str_appendall(text, ", ?");
    sqlite3_str_appendall(text, ")");
    sql = sqlite3_str_finish(text);
    if (sql) code = sqlite3_prepare_v2(copy->to, sql, -1, ret, NULL);
    sqlite3_free(sql);
    return code == SQLITE_OK ? 0 : fail(copy, copy->to, code);
}

static int add_row(struct copy *copy, sqlite3_stmt *reading, sqlite3_stmt *adding)
{
    int code = SQLITE_OK;

    for (int i = 0; i < sqlite3_column_count(reading) && code == SQLITE_OK; i++)
        code = sqlite3_bind_value(adding, i + 1, sqlite3_column_value(reading, i));
    if (code == SQLITE_OK) code = sqlite3_step(adding);
    sqlite3_reset(adding);
    return code == SQLITE_DONE ? 0 : fail(copy, copy->to, code);
}

static int prepare_reading(struct copy *copy, const char *table, sqlite3_stmt **ret)
{
    char *sql = sqlite3_mprintf("SELECT * FROM \"%w\"", table);
    const int code = sql ? sqlite3_prepare_v2(copy->from, sql, -1, ret, NULL) : SQLITE_NOMEM;

    sqlite3_free(sql);
    return code == SQLITE_OK ? 0 : fail(copy, copy->from, code);
}

static int copy_table(struct copy *copy, const char *table)
{
    sqlite3_stmt *reading = NULL, *adding = NULL;
    const bool is_of_connections = strcmp(table, "connection") == 0;
    int err = prepare_reading(copy, table, &reading);
    int code = SQLITE_ROW;

    if (!err) err = prepare_adding(copy, table, reading, &adding);
    while (!err && (code = sqlite3_step(reading)) == SQLITE_ROW) {
        err = add_row(copy, reading, adding);
        copy->counts.connections += is_of_connections;
    }
    if (!err && code != SQLITE_DONE) err = fail(copy, copy->from, code);
    sqlite3_finalize(reading);
    sqlite3_finalize(adding);
    return err;
}

/* All but the messages. */
static int copy_tables(struct copy *copy)
{
    static const char tables[] = "SELECT name FROM sqlite_schema WHERE type = 'table'"
                                 " AND name <> 'message' AND substr(name, 1, 7) <> 'sqlite_'";
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(copy->from, tables, -1, &statement, NULL);
    int err = 0;

    while (!err && (code == SQLITE_OK || code == SQLITE_ROW) && (code = sqlite3_step(statement)) == SQLITE_ROW)
        err = copy_table(copy, (const char *)sqlite3_column_text(statement, 0));
    if (!err && code != SQLITE_DONE) err = fail(copy, copy->from, code);
    sqlite3_finalize(statement);
    return err;
}

/* ---- The beginning ---- */

/* Nobody else has the file, and a copy that fails is thrown away: it needs no journal and no lock. A trigger has done
 * what it does when the row came to the original. */
static int open_copy(struct copy *copy, const char *path)
{
    int code = sqlite3_open_v2(path, &copy->to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);

    if (code == SQLITE_OK) code = sqlite3_extended_result_codes(copy->to, 1);
    if (code == SQLITE_OK) code = sqlite3_db_config(copy->to, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_exec(copy->to,
                            "PRAGMA trusted_schema = 0; PRAGMA foreign_keys = 0; PRAGMA locking_mode = EXCLUSIVE;"
                            "PRAGMA journal_mode = OFF; PRAGMA synchronous = FULL; " CACHE_PRAGMA,
                            NULL, NULL, NULL);
    if (code == SQLITE_OK) code = schema_lay_out(copy->to);
    if (code == SQLITE_OK) return 0;
    return copy->to ? fail(copy, copy->to, code) : fail_with(copy, -ENOMEM, "%s", strerror(ENOMEM));
}

/* A disk that the copy fills may be the server's. */
static int check_room(struct copy *copy, const char *path)
{
    int64_t pages = 0, free_pages = 0, page_bytes = 0, all = 0, free_bytes = 0;
    int err = read_number(copy, copy->from, "PRAGMA page_count", &pages);

    if (!err) err = read_number(copy, copy->from, "PRAGMA freelist_count", &free_pages);
    if (!err) err = read_number(copy, copy->from, "PRAGMA page_size", &page_bytes);
    if (err) return err;
    copy->counts.bytes = (pages - free_pages) * page_bytes;
    if (folder_space(path, &all, &free_bytes) || free_bytes >= copy->counts.bytes) return 0;
    return fail_with(copy, -ENOSPC, "it needs %" PRId64 " bytes, and no more than %" PRId64 " are free there",
                     copy->counts.bytes, free_bytes);
}

static int copy_schema(struct copy *copy)
{
    const int code = schema_copy(copy->from, copy->to);

    if (code == SQLITE_OK) return 0;
    return fail(copy, (sqlite3_errcode(copy->to) & 0xff) == (code & 0xff) ? copy->to : copy->from, code);
}

/* The reader, which is open, would not be without it. */
static int column_of(sqlite3_stmt *statement, const char *name)
{
    int i = 0;

    while (i < sqlite3_column_count(statement) && strcmp(sqlite3_column_name(statement, i), name) != 0)
        i++;
    assert(i < sqlite3_column_count(statement));
    return i;
}

static int prepare_messages(struct copy *copy)
{
    static const char text[] = "SELECT * FROM message WHERE id > ? AND id <= ? ORDER BY id";
    const int code = sqlite3_prepare_v2(copy->from, text, -1, &copy->read_messages, NULL);

    if (code != SQLITE_OK) return fail(copy, copy->from, code);
    copy->id_column = column_of(copy->read_messages, "id");
    copy->time_column = column_of(copy->read_messages, "time");
    copy->crc32c_column = column_of(copy->read_messages, "crc32c");
    copy->bytes_column = column_of(copy->read_messages, "bytes");
    return prepare_adding(copy, "message", copy->read_messages, &copy->add_message);
}

/* Both transactions stay open, for the first page: a small store is copied in one. */
static int begin(struct copy *copy, const char *path)
{
    int64_t until = 0;
    int err = open_copy(copy, path);

    if (!err) err = run(copy, copy->from, "BEGIN");
    if (!err) err = read_number(copy, copy->from, "SELECT coalesce(max(id), 0) FROM message", &until);
    if (!err) err = check_room(copy, path);
    if (!err) err = run(copy, copy->to, "BEGIN");
    if (!err) err = copy_schema(copy);
    if (!err) err = copy_tables(copy);
    copy->counts.until = (uint64_t)until;
    return err ? err : prepare_messages(copy);
}

int copy_begin(struct reader *reader, const char *path, struct copy **ret, char error[COPY_ERROR_BYTES_MAX])
{
    struct copy *copy = calloc(1, sizeof(*copy));
    int err = 0;

    if (!copy) {
        snprintf(error, COPY_ERROR_BYTES_MAX, "%s", strerror(ENOMEM));
        return -ENOMEM;
    }
    copy->from = reader_database(reader);
    err = begin(copy, path);
    if (err) {
        snprintf(error, COPY_ERROR_BYTES_MAX, "%s", copy->text);
        copy_free(copy);
        return err;
    }
    *ret = copy;
    return 0;
}

/* ---- Messages ---- */

static void count_message(struct copy *copy)
{
    struct copy_counts *counts = &copy->counts;
    const void *bytes = sqlite3_column_blob(copy->read_messages, copy->bytes_column);
    const size_t len = bytes ? (size_t)sqlite3_column_bytes(copy->read_messages, copy->bytes_column) : 0;
    const int64_t expected = sqlite3_column_int64(copy->read_messages, copy->crc32c_column);

    counts->last = (uint64_t)sqlite3_column_int64(copy->read_messages, copy->id_column);
    counts->last_time_us = sqlite3_column_int64(copy->read_messages, copy->time_column);
    if (counts->messages++ == 0) counts->first = counts->last;
    if (expected == crc32c(bytes, len)) return;
    if (counts->damaged++ == 0) counts->first_damaged = counts->last;
}

/* Returns 1 when more may follow, 0 at the end, or a negative code. */
static int copy_page(struct copy *copy)
{
    int code = SQLITE_ROW, err = 0;
    int64_t bytes = 0;

    sqlite3_bind_int64(copy->read_messages, 1, (int64_t)copy->counts.last);
    sqlite3_bind_int64(copy->read_messages, 2, (int64_t)copy->counts.until);
    for (int rows = 0; !err && rows < PAGE_ROWS_MAX && bytes < PAGE_BYTES_MAX; rows++) {
        code = sqlite3_step(copy->read_messages);
        if (code != SQLITE_ROW) break;
        bytes += sqlite3_column_bytes(copy->read_messages, copy->bytes_column);
        err = add_row(copy, copy->read_messages, copy->add_message);
        if (!err) count_message(copy);
    }
    if (!err && code != SQLITE_ROW && code != SQLITE_DONE) err = fail(copy, copy->from, code);
    sqlite3_reset(copy->read_messages);
    return err ? err : code == SQLITE_ROW && copy->counts.last < copy->counts.until;
}

/* What is copied has gone from the original, and perhaps more behind it. */
static int drop_messages(struct copy *copy)
{
    const struct copy_counts none = { .until = copy->counts.until,
                                      .last = copy->counts.last,
                                      .connections = copy->counts.connections,
                                      .bytes = copy->counts.bytes };
    const int err = run(copy, copy->to, "DELETE FROM message");

    if (!err) copy->counts = none;
    return err;
}

static int begin_page(struct copy *copy)
{
    int64_t oldest = 0;
    int err = run(copy, copy->from, "BEGIN");

    if (!err) err = run(copy, copy->to, "BEGIN");
    if (!err) err = read_number(copy, copy->from, "SELECT coalesce(min(id), 0) FROM message", &oldest);
    if (err) return err;
    if (oldest == 0 || (uint64_t)oldest > copy->counts.until)
        return fail_with(copy, -ESTALE,
                         "all of its messages were deleted while they were copied: retention is faster than the copy; "
                         "copy to a faster disk, or keep more");
    return (uint64_t)oldest > copy->counts.last + 1 ? drop_messages(copy) : 0;
}

int copy_go_on(struct copy *copy)
{
    int more = sqlite3_get_autocommit(copy->from) ? begin_page(copy) : 0;
    int err = 0;

    if (more == 0) more = copy_page(copy);
    if (!sqlite3_get_autocommit(copy->from)) sqlite3_exec(copy->from, "ROLLBACK", NULL, NULL, NULL);
    if (more >= 0) err = run(copy, copy->to, "COMMIT");
    return err ? err : more;
}

int copy_give_id(struct copy *copy)
{
    const int code = schema_give_id(copy->to);

    return code == SQLITE_OK ? 0 : fail(copy, copy->to, code);
}

const struct copy_counts *copy_counts(const struct copy *copy)
{
    return &copy->counts;
}

const char *copy_text(const struct copy *copy)
{
    return copy->text;
}

void copy_free(struct copy *copy)
{
    if (!copy) return;
    sqlite3_finalize(copy->read_messages);
    sqlite3_finalize(copy->add_message);
    if (!sqlite3_get_autocommit(copy->from)) sqlite3_exec(copy->from, "ROLLBACK", NULL, NULL, NULL);
    sqlite3_close(copy->to);
    free(copy);
}

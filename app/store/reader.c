/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Rows out, a page at a time. What a page holds is copied before the transaction ends, and the
 * transaction ends before anybody sees it: the writer cannot begin its log anew while one reads. Must never write, and
 * never open or close a file of the store but through SQLite (see store.c). */
#include "reader.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <sqlite3.h>

#include "base/crc32c.h"
#include "folder.h"
#include "record.h"
#include "schema.h"

enum {
    BUSY_MS = 5000,               /* while a server opens or ends, or another reader puts its log in order */
    PAGE_ROWS_MAX = 8192,         /* looked at in one transaction */
    PAGE_MESSAGES_MAX = 1024,     /* of these, in the page */
    PAGE_BYTES_MAX = 1024 * 1024, /* of theirs; a longer message is a page of its own */
    STOP_STEPS = 10000,           /* of SQLite's, between two looks at whether to stop: a millisecond or so */
    URI_BYTES_MAX = 3 * FOLDER_PATH_BYTES_MAX + 32
};

#define MESSAGE_COLUMNS "id, connection, direction, seq, time, previous, flags, original_len, crc32c, bytes"
#define CONNECTION_COLUMNS "id, client, previous_connection, last_message, listener, peer"

enum statement {
    NEWEST,
    HEADS_UNTIL,
    FIND_TIME,
    NEXT_STEP,
    FIND_SECOND,
    FIND_CLIENT,
    ONE_CONNECTION,
    ALL_CONNECTIONS,
    DETAILS,
    ONE_CLIENT,
    CURSOR,
    ONE_MESSAGE,
    FORWARD,
    BACKWARD,
    STATEMENT_COUNT
};

static const char *const statement_texts[STATEMENT_COUNT] = {
    [NEWEST] = "SELECT coalesce(max(id), 0) FROM message",
    [HEADS_UNTIL] = "SELECT coalesce((SELECT value FROM meta WHERE key = 'heads_until'), 0)",
    [FIND_TIME] = "SELECT id, time FROM message WHERE id >= ? ORDER BY id LIMIT 1",
    [NEXT_STEP] =
        "SELECT first_message, before, after FROM step WHERE first_message > ? ORDER BY first_message LIMIT 1",
    [FIND_SECOND] = "SELECT first_message FROM second WHERE time >= ? AND first_message < ? ORDER BY time LIMIT 1",
    [FIND_CLIENT] = "SELECT id FROM client WHERE name = ?",
    [ONE_CONNECTION] = "SELECT " CONNECTION_COLUMNS " FROM connection WHERE id = ?",
    [ALL_CONNECTIONS] = "SELECT " CONNECTION_COLUMNS " FROM connection WHERE id > ? ORDER BY id LIMIT ?",
    [DETAILS] = "SELECT device, proxy, tls_subject FROM connection WHERE id = ?",
    [ONE_CLIENT] = "SELECT name, first_seen, last_seen, last_connection FROM client WHERE id = ?",
    [CURSOR] = "SELECT row, at, state FROM cursor WHERE name = ?",
    [ONE_MESSAGE] = "SELECT " MESSAGE_COLUMNS " FROM message WHERE id = ?",
    [FORWARD] = "SELECT " MESSAGE_COLUMNS " FROM message WHERE id > ? AND id <= ? ORDER BY id",
    [BACKWARD] = "SELECT " MESSAGE_COLUMNS " FROM message WHERE id > ? AND id <= ? ORDER BY id DESC",
};

/* Of stores from before version 3: what was not stored is NULL. */
static const char *const older_texts[STATEMENT_COUNT] = {
    [DETAILS] = "SELECT NULL, NULL, NULL FROM connection WHERE id = ?",
    [ONE_CLIENT] = "SELECT name, NULL, NULL, NULL FROM client WHERE id = ?",
    [CURSOR] = "SELECT NULL WHERE ? IS NULL",
};

struct reader {
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENT_COUNT];
    const char *path; /* behind the struct */
    dev_t device;     /* of the file that is open */
    ino_t inode;
    bool is_immutable; /* opened as what nobody writes to */
    char store_id[READER_STORE_ID_BYTES_MAX];
    char text[READER_ERROR_BYTES_MAX];

    struct stored_message messages[PAGE_MESSAGES_MAX]; /* the page */
    unsigned char *bytes;                              /* theirs */
    size_t bytes_len;
    size_t bytes_room;
};

/* ---- What SQLite says ---- */

static int __attribute__((format(printf, 3, 4))) fail_with(struct reader *reader, int err, const char *format, ...)
{
    char reason[READER_ERROR_BYTES_MAX / 2];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(reason, sizeof(reason), format, arguments);
    va_end(arguments);
    snprintf(reader->text, sizeof(reader->text), "store %.600s: %s", reader->path, reason);
    return err;
}

static int error_of(int code)
{
    switch (code & 0xff) {
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    case SQLITE_NOTADB:
        return -EINVAL;
    case SQLITE_INTERRUPT:
        return -EINTR;
    default:
        return -EIO;
    }
}

static int fail(struct reader *reader, int code)
{
    const int system = sqlite3_system_errno(reader->db);

    if ((code & 0xff) == SQLITE_READONLY || (code & 0xff) == SQLITE_CANTOPEN)
        return fail_with(
            reader, -EACCES,
            "it cannot be read: besides the file, SQLite needs the -wal and -shm beside it, or the right to "
            "make them there");
    return fail_with(reader, error_of(code), "%s%s%s", sqlite3_errmsg(reader->db), system ? ": " : "",
                     system ? strerror(system) : "");
}

/* The row of a statement whose parameters are bound. Returns 1, 0 when there is none, or a negative code; the statement
 * is to be reset. */
static int step(struct reader *reader, sqlite3_stmt *statement)
{
    const int code = sqlite3_step(statement);

    if (code == SQLITE_ROW) return 1;
    return code == SQLITE_DONE ? 0 : fail(reader, code);
}

/* ---- Opening ---- */

static int prepare(struct reader *reader)
{
    char reason[READER_ERROR_BYTES_MAX / 2] = "";
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_extended_result_codes(reader->db, 1);
    int row = 0;

    sqlite3_busy_timeout(reader->db, BUSY_MS);
    sqlite3_db_config(reader->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_exec(reader->db, "PRAGMA query_only = 1; PRAGMA trusted_schema = 0; PRAGMA cell_size_check = 1",
                            NULL, NULL, NULL);
    if (code == SQLITE_OK) code = schema_check(reader->db, reason, sizeof(reason));
    if (code == -EINVAL) return fail_with(reader, code, "%s", reason);
    if (code == SQLITE_OK)
        code = sqlite3_prepare_v2(reader->db, "SELECT count(*) FROM sqlite_schema", -1, &statement, NULL);
    row = code == SQLITE_OK ? step(reader, statement) : fail(reader, code);
    if (row == 1 && sqlite3_column_int(statement, 0) == 0) row = fail_with(reader, -ENODATA, "nothing is in it yet");
    sqlite3_finalize(statement);
    return row < 0 ? row : 0;
}

static int prepare_statements(struct reader *reader)
{
    char unordered[256];
    struct schema_stamp stamp = { .version = 0 };
    int code = schema_stamp_of(reader->db, &stamp);

    snprintf(unordered, sizeof(unordered), "SELECT * FROM (%s) WHERE first_message > ?", schema_unordered_sql);
    for (int i = 0; i < STATEMENT_COUNT && code == SQLITE_OK; i++) {
        const char *text = statement_texts[i];

        if (i == NEXT_STEP && stamp.version < SCHEMA_WITH_STEPS) text = unordered;
        if (older_texts[i] && stamp.version < SCHEMA_WITH_NAMES) text = older_texts[i];
        code = sqlite3_prepare_v3(reader->db, text, -1, SQLITE_PREPARE_PERSISTENT, &reader->statements[i], NULL);
    }
    return code == SQLITE_OK ? 0 : fail(reader, code);
}

static int read_store_id(struct reader *reader)
{
    sqlite3_stmt *statement = NULL;
    const int code = sqlite3_prepare_v2(reader->db, "SELECT value FROM meta WHERE key = 'store'", -1, &statement, NULL);
    const int row = code == SQLITE_OK ? step(reader, statement) : fail(reader, code);

    if (row == 1) {
        const char *id = (const char *)sqlite3_column_text(statement, 0);
        snprintf(reader->store_id, sizeof(reader->store_id), "%s", id ? id : "");
    }
    sqlite3_finalize(statement);
    return row < 0 ? row : 0;
}

/* Read-only as the file is opened, SQLite still makes the log's index beside it when no server has: it could not read
 * the log else. */
static int open_file(struct reader *reader, const char *name, int flags)
{
    struct stat status;
    int code = SQLITE_OK;

    if (stat(reader->path, &status) != 0)
        return fail_with(reader, -errno, "%s", errno == ENOENT ? "there is none" : strerror(errno));
    reader->device = status.st_dev;
    reader->inode = status.st_ino;
    code = sqlite3_open_v2(name, &reader->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | flags, NULL);
    return code == SQLITE_OK ? 0 : fail(reader, code);
}

static int open_and_prepare(struct reader *reader, const char *name, int flags)
{
    int err = open_file(reader, name, flags);

    if (!err) err = prepare(reader);
    if (!err) err = prepare_statements(reader);
    return err ? err : read_store_id(reader);
}

static void close_file(struct reader *reader)
{
    for (int i = 0; i < STATEMENT_COUNT; i++) {
        sqlite3_finalize(reader->statements[i]);
        reader->statements[i] = NULL;
    }
    sqlite3_close(reader->db);
    reader->db = NULL;
}

/* Of the file that a link leads to, beside which SQLite looks for it. */
static int64_t log_bytes(const char *path)
{
    char error[FOLDER_ERROR_BYTES_MAX], name[FOLDER_PATH_BYTES_MAX];

    snprintf(name, sizeof(name), "%s", path);
    return folder_follow(name, error) ? 0 : folder_bytes_beside(name, "-wal");
}

/* A path as SQLite takes it with parameters behind it: https://www.sqlite.org/uri.html. */
static void write_uri(const char *path, char ret[URI_BYTES_MAX])
{
    size_t len = (size_t)snprintf(ret, URI_BYTES_MAX, "file:%s", *path == '/' ? "//" : "");

    for (; *path; path++)
        len += (size_t)snprintf(ret + len, URI_BYTES_MAX - len, strchr("%?#", *path) ? "%%%02x" : "%c", *path);
    snprintf(ret + len, URI_BYTES_MAX - len, "?immutable=1");
}

/* Where SQLite may not make its index, nobody who may not either is writing; and without a log all is in the file. */
static int open_immutable(struct reader *reader)
{
    char path[FOLDER_PATH_BYTES_MAX], error[FOLDER_ERROR_BYTES_MAX], uri[URI_BYTES_MAX];

    if (snprintf(path, sizeof(path), "%s", reader->path) >= (int)sizeof(path)) return -EACCES;
    if (folder_follow(path, error) || folder_is_locked(path)) return -EACCES;
    if (log_bytes(path) > 0)
        return fail_with(reader, -EACCES,
                         "its log (-wal) holds messages, and is read only where files may be written: copy %.200s and "
                         "%.200s-wal to a folder of yours, and name that copy",
                         path, path);
    close_file(reader);
    write_uri(path, uri);
    reader->is_immutable = true;
    return open_and_prepare(reader, uri, SQLITE_OPEN_URI);
}

int reader_open(const char *path, struct reader **ret, char error[READER_ERROR_BYTES_MAX])
{
    const size_t path_size = strlen(path) + 1;
    struct reader *reader = calloc(1, sizeof(*reader) + path_size);
    int err = 0;

    if (!reader) {
        snprintf(error, READER_ERROR_BYTES_MAX, "%s", strerror(ENOMEM));
        return -ENOMEM;
    }
    reader->path = memcpy(reader + 1, path, path_size);
    err = open_and_prepare(reader, path, 0);
    if (err == -EACCES) err = open_immutable(reader);
    if (err) {
        snprintf(error, READER_ERROR_BYTES_MAX, "%s", reader->text);
        reader_close(reader);
        return err;
    }
    *ret = reader;
    return 0;
}

void reader_close(struct reader *reader)
{
    if (!reader) return;
    close_file(reader);
    free(reader->bytes);
    free(reader);
}

const char *reader_text(const struct reader *reader)
{
    return reader->text;
}

const char *reader_store_id(const struct reader *reader)
{
    return reader->store_id;
}

void reader_stop_when(struct reader *reader, int (*is_stopped)(void *user), void *user)
{
    sqlite3_progress_handler(reader->db, STOP_STEPS, is_stopped, user);
}

struct sqlite3 *reader_database(const struct reader *reader)
{
    return reader->db;
}

bool reader_is_replaced(const struct reader *reader)
{
    struct stat status;

    if (reader->is_immutable && log_bytes(reader->path) > 0) return true; /* its owner has begun to write after all */
    return stat(reader->path, &status) != 0 || status.st_dev != reader->device || status.st_ino != reader->inode;
}

/* ---- Single values ---- */

/* The first column of the first row; 0: there is no row. */
static int read_number(struct reader *reader, sqlite3_stmt *statement, uint64_t *ret)
{
    const int row = step(reader, statement);

    if (row >= 0) *ret = row ? (uint64_t)sqlite3_column_int64(statement, 0) : 0;
    sqlite3_reset(statement);
    return row < 0 ? row : 0;
}

int reader_check_structure(struct reader *reader)
{
    sqlite3_stmt *statement = NULL;
    const int code = sqlite3_prepare_v2(reader->db, "PRAGMA quick_check(1)", -1, &statement, NULL);
    int row = code == SQLITE_OK ? step(reader, statement) : fail(reader, code);

    if (row == 1) {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        if (text && strcmp(text, "ok") != 0) row = fail_with(reader, -EIO, "its database is damaged: %s", text);
    }
    sqlite3_finalize(statement);
    return row < 0 ? row : 0;
}

int reader_newest(struct reader *reader, uint64_t *ret_id)
{
    return read_number(reader, reader->statements[NEWEST], ret_id);
}

int reader_heads_until(struct reader *reader, uint64_t *ret_id)
{
    return read_number(reader, reader->statements[HEADS_UNTIL], ret_id);
}

int reader_time(struct reader *reader, uint64_t id, uint64_t *ret_id, int64_t *ret_time_us)
{
    sqlite3_stmt *statement = reader->statements[FIND_TIME];
    int row = 0;

    sqlite3_bind_int64(statement, 1, (int64_t)id);
    row = step(reader, statement);
    if (row >= 0) *ret_id = row ? (uint64_t)sqlite3_column_int64(statement, 0) : 0;
    if (row >= 0) *ret_time_us = row ? sqlite3_column_int64(statement, 1) : 0;
    sqlite3_reset(statement);
    return row < 0 ? row : 0;
}

int reader_next_step(struct reader *reader, uint64_t message, struct stored_step *ret)
{
    sqlite3_stmt *statement = reader->statements[NEXT_STEP];
    int row = 0;

    sqlite3_bind_int64(statement, 1, (int64_t)message);
    row = step(reader, statement);
    if (row == 0) *ret = (struct stored_step){ 0 };
    if (row == 1)
        *ret = (struct stored_step){ .first_message = (uint64_t)sqlite3_column_int64(statement, 0),
                                     .before = sqlite3_column_int64(statement, 1),
                                     .after = sqlite3_column_int64(statement, 2),
                                     .is_from_unknown = sqlite3_column_type(statement, 2) == SQLITE_NULL };
    sqlite3_reset(statement);
    return row < 0 ? row : 0;
}

int reader_find_second(struct reader *reader, int64_t second, uint64_t before, uint64_t *ret_id)
{
    sqlite3_stmt *statement = reader->statements[FIND_SECOND];

    sqlite3_bind_int64(statement, 1, second);
    sqlite3_bind_int64(statement, 2, (int64_t)before);
    return read_number(reader, statement, ret_id);
}

int reader_find_client(struct reader *reader, const char *name, uint64_t *ret_client)
{
    sqlite3_stmt *statement = reader->statements[FIND_CLIENT];
    int err = 0;

    sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
    err = read_number(reader, statement, ret_client);
    sqlite3_clear_bindings(statement); /* the name is the caller's */
    return err;
}

/* ---- Connections ---- */

static void copy_text(sqlite3_stmt *statement, int column, char *ret, size_t size)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);

    snprintf(ret, size, "%s", text ? text : "");
}

static void take_connection(sqlite3_stmt *statement, struct stored_connection *ret)
{
    ret->number = (uint64_t)sqlite3_column_int64(statement, 0);
    ret->client = (uint64_t)sqlite3_column_int64(statement, 1);
    ret->previous = (uint64_t)sqlite3_column_int64(statement, 2);
    ret->last_message = (uint64_t)sqlite3_column_int64(statement, 3);
    copy_text(statement, 4, ret->listener, sizeof(ret->listener));
    copy_text(statement, 5, ret->peer, sizeof(ret->peer));
}

int reader_connection(struct reader *reader, uint64_t number, struct stored_connection *ret)
{
    sqlite3_stmt *statement = reader->statements[ONE_CONNECTION];
    int row = 0;

    sqlite3_bind_int64(statement, 1, (int64_t)number);
    row = step(reader, statement);
    if (row == 1) take_connection(statement, ret);
    sqlite3_reset(statement);
    return row == 0 ? -ENOENT : row < 0 ? row : 0;
}

int reader_each_connection(struct reader *reader,
                           void (*on_connection)(const struct stored_connection *connection, void *user), void *user)
{
    sqlite3_stmt *statement = reader->statements[ALL_CONNECTIONS];
    struct stored_connection connection = { .number = 0 };
    int rows = PAGE_ROWS_MAX, row = 1;

    while (rows == PAGE_ROWS_MAX && row >= 0) {
        sqlite3_bind_int64(statement, 1, (int64_t)connection.number);
        sqlite3_bind_int(statement, 2, PAGE_ROWS_MAX);
        for (rows = 0; (row = step(reader, statement)) == 1; rows++) {
            take_connection(statement, &connection);
            on_connection(&connection, user);
        }
        sqlite3_reset(statement);
    }
    return row;
}

int reader_details(struct reader *reader, uint64_t number, struct stored_details *ret)
{
    sqlite3_stmt *statement = reader->statements[DETAILS];
    int row = 0;

    sqlite3_bind_int64(statement, 1, (int64_t)number);
    row = step(reader, statement);
    if (row == 1) {
        copy_text(statement, 0, ret->device, sizeof(ret->device));
        copy_text(statement, 1, ret->proxy, sizeof(ret->proxy));
        copy_text(statement, 2, ret->tls_subject, sizeof(ret->tls_subject));
    }
    sqlite3_reset(statement);
    return row == 0 ? -ENOENT : row < 0 ? row : 0;
}

int reader_client(struct reader *reader, uint64_t client, struct stored_client *ret)
{
    sqlite3_stmt *statement = reader->statements[ONE_CLIENT];
    int row = 0;

    sqlite3_bind_int64(statement, 1, (int64_t)client);
    row = step(reader, statement);
    if (row == 1) {
        copy_text(statement, 0, ret->name, sizeof(ret->name));
        ret->first_seen_us = sqlite3_column_int64(statement, 1);
        ret->last_seen_us = sqlite3_column_int64(statement, 2);
        ret->last_connection = (uint64_t)sqlite3_column_int64(statement, 3);
    }
    sqlite3_reset(statement);
    return row == 0 ? -ENOENT : row < 0 ? row : 0;
}

int reader_cursor(struct reader *reader, const char *name, struct cursor *ret,
                  unsigned char ret_state[CURSOR_STATE_BYTES_MAX])
{
    sqlite3_stmt *statement = reader->statements[CURSOR];
    int row = 0;

    sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
    row = step(reader, statement);
    if (row == 1) {
        const void *state = sqlite3_column_blob(statement, 2);
        const size_t len = state ? (size_t)sqlite3_column_bytes(statement, 2) : 0;

        *ret = (struct cursor){ .row = (uint64_t)sqlite3_column_int64(statement, 0),
                                .at_us = sqlite3_column_int64(statement, 1),
                                .state = { ret_state, len < CURSOR_STATE_BYTES_MAX ? len : CURSOR_STATE_BYTES_MAX } };
        if (state) memcpy(ret_state, state, ret->state.len);
    }
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement); /* the name is the caller's */
    return row == 0 ? -ENOENT : row < 0 ? row : 0;
}

/* ---- Messages ---- */

static void take_message(sqlite3_stmt *statement, struct stored_message *ret)
{
    const uint64_t flags = (uint64_t)sqlite3_column_int64(statement, 6);
    const uint64_t back = flags >> RECORD_ANSWERS_SHIFT;

    *ret = (struct stored_message){
        .id = (uint64_t)sqlite3_column_int64(statement, 0),
        .connection = (uint64_t)sqlite3_column_int64(statement, 1),
        .is_sent = sqlite3_column_int(statement, 2) != 0,
        .seq = (uint64_t)sqlite3_column_int64(statement, 3),
        .time_us = sqlite3_column_int64(statement, 4),
        .previous = (uint64_t)sqlite3_column_int64(statement, 5),
        .flags = (unsigned)(flags & RECORD_FLAGS_MASK),
        .verdict = (unsigned)(flags >> RECORD_VERDICT_SHIFT & RECORD_VERDICT_MAX),
        .rule = (unsigned)(flags >> RECORD_RULE_SHIFT & RECORD_RULE_MAX),
        .original_len = (uint64_t)sqlite3_column_int64(statement, 7), /* 0 for now: it may be NULL, all of it */
    };
    if (back) ret->answers = ret->id - back;
}

/* Room for so many bytes more without moving those that are there, unless there are none. */
static bool has_room(struct reader *reader, size_t len)
{
    const size_t room = len > PAGE_BYTES_MAX ? len : PAGE_BYTES_MAX;
    unsigned char *bytes = NULL;

    if (reader->bytes_len > 0) return reader->bytes_len + len <= PAGE_BYTES_MAX;
    if (reader->bytes_room >= room) return true;
    bytes = realloc(reader->bytes, room);
    if (!bytes) return false;
    reader->bytes = bytes;
    reader->bytes_room = room;
    return true;
}

/* Copies the row's bytes behind those of the page. Returns 1; 0 when the page has no room for them; or -ENOMEM. */
static int take_bytes(struct reader *reader, sqlite3_stmt *statement, struct stored_message *message)
{
    const void *blob = sqlite3_column_blob(statement, 9);
    const size_t len = blob ? (size_t)sqlite3_column_bytes(statement, 9) : 0;
    unsigned char *bytes = NULL;

    if (!blob && sqlite3_errcode(reader->db) == SQLITE_NOMEM) return fail(reader, SQLITE_NOMEM);
    if (!has_room(reader, len)) return reader->bytes_len > 0 ? 0 : fail_with(reader, -ENOMEM, "%s", strerror(ENOMEM));
    bytes = reader->bytes + reader->bytes_len;
    if (len > 0) memcpy(bytes, blob, len);
    reader->bytes_len += len;
    message->bytes = (struct weir_bytes){ bytes, len };
    if (sqlite3_column_type(statement, 7) == SQLITE_NULL) message->original_len = len;
    message->is_damaged = sqlite3_column_int64(statement, 8) != crc32c(bytes, len);
    return 1;
}

int reader_message(struct reader *reader, uint64_t id, struct stored_message *ret)
{
    sqlite3_stmt *statement = reader->statements[ONE_MESSAGE];
    struct stored_message message;
    int row = 0;

    reader->bytes_len = 0;
    sqlite3_bind_int64(statement, 1, (int64_t)id);
    row = step(reader, statement);
    if (row == 1) {
        take_message(statement, &message);
        row = take_bytes(reader, statement, &message);
        if (row == 1) *ret = message;
    } else if (row == 0) {
        row = -ENOENT;
    }
    sqlite3_reset(statement);
    return row < 0 ? row : 0;
}

/* Fills the page. *ret_last: the last row that was looked at. Returns 1 when more rows may follow it, 0 at the end, or
 * a negative code. */
static int fill_page(struct reader *reader, sqlite3_stmt *statement, const struct reader_range *range,
                     size_t *ret_count, uint64_t *ret_last)
{
    size_t count = 0;
    int row = 1;

    for (int rows = 0; rows < PAGE_ROWS_MAX && count < PAGE_MESSAGES_MAX; rows++) {
        struct stored_message *message = &reader->messages[count];
        int taken = 1;

        row = step(reader, statement);
        if (row != 1) break;
        take_message(statement, message);
        if (!range->wants || range->wants(message, range->user)) {
            if (!range->is_without_bytes) taken = take_bytes(reader, statement, message);
            if (taken < 0) row = taken;
            if (taken != 1) break;
            count++;
        }
        *ret_last = message->id;
    }
    *ret_count = count;
    return row;
}

int reader_read(struct reader *reader, struct reader_range *range, struct reader_page *ret)
{
    sqlite3_stmt *statement = reader->statements[range->is_backward ? BACKWARD : FORWARD];
    uint64_t last = 0;
    size_t count = 0;
    int row = 0;

    reader->bytes_len = 0;
    sqlite3_bind_int64(statement, 1, (int64_t)range->after);
    sqlite3_bind_int64(statement, 2, (int64_t)range->until);
    row = fill_page(reader, statement, range, &count, &last);
    sqlite3_reset(statement);
    if (row < 0) return row;
    if (range->is_backward)
        range->until = row ? last - 1 : range->after;
    else
        range->after = row ? last : range->until;
    *ret = (struct reader_page){ reader->messages, count };
    return 0;
}

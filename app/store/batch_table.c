/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Goes through the records of a batch for SQLite. Reads only; the bytes are not copied
 * before they are put into a row. */
#include "batch_table.h"

#include <assert.h>
#include <stdlib.h>

struct view {
    sqlite3_vtab base;
    const struct batch_table *table;
};

struct cursor {
    sqlite3_vtab_cursor base;
    const struct record *record; /* NULL: behind the last */
};

/* The columns of `message`, but for id: the store counts on from the last row by itself. */
enum column { CONNECTION, DIRECTION, SEQ, TIME, PREVIOUS, FLAGS, ORIGINAL_LEN, CRC32C, BYTES };

static const char declaration[] = "CREATE TABLE batch (connection, direction, seq, time, previous, flags,"
                                  " original_len, crc32c, bytes)";

static int connect(sqlite3 *db, void *user, int argc, const char *const *argv, sqlite3_vtab **ret, char **error)
{
    struct view *view = calloc(1, sizeof(*view));
    const int code = view ? sqlite3_declare_vtab(db, declaration) : SQLITE_NOMEM;

    (void)argc;
    (void)argv;
    (void)error;
    if (code != SQLITE_OK) {
        free(view);
        return code;
    }
    view->table = user;
    *ret = &view->base;
    return SQLITE_OK;
}

static int disconnect(sqlite3_vtab *view)
{
    free(view);
    return SQLITE_OK;
}

/* There is one way to read it: from the beginning to the end. */
static int plan(sqlite3_vtab *view, sqlite3_index_info *info)
{
    (void)view;
    (void)info;
    return SQLITE_OK;
}

static int open_cursor(sqlite3_vtab *view, sqlite3_vtab_cursor **ret)
{
    struct cursor *cursor = calloc(1, sizeof(*cursor));

    (void)view;
    if (!cursor) return SQLITE_NOMEM;
    *ret = &cursor->base;
    return SQLITE_OK;
}

static int close_cursor(sqlite3_vtab_cursor *cursor)
{
    free(cursor);
    return SQLITE_OK;
}

static struct batch *batch_of(const struct cursor *cursor)
{
    return ((const struct view *)cursor->base.pVtab)->table->batch;
}

static int begin(sqlite3_vtab_cursor *base, int plan_number, const char *plan_text, int argc, sqlite3_value **argv)
{
    struct cursor *cursor = (struct cursor *)base;

    (void)plan_number;
    (void)plan_text;
    (void)argc;
    (void)argv;
    cursor->record = batch_next_message(batch_of(cursor), NULL);
    return SQLITE_OK;
}

static int go_on(sqlite3_vtab_cursor *base)
{
    struct cursor *cursor = (struct cursor *)base;

    cursor->record = batch_next_message(batch_of(cursor), cursor->record);
    return SQLITE_OK;
}

static int is_at_end(sqlite3_vtab_cursor *base)
{
    return !((const struct cursor *)base)->record;
}

/* Too far back: none. */
static int64_t add_answers(const struct record *record)
{
    const uint64_t back = record->id - record->answers;

    assert(record->answers < record->id);
    return (int64_t)(back >> RECORD_ANSWERS_BITS ? record->flags : back << RECORD_ANSWERS_SHIFT | record->flags);
}

static int get_column(sqlite3_vtab_cursor *base, sqlite3_context *context, int column)
{
    const struct record *record = ((const struct cursor *)base)->record;

    switch ((enum column)column) {
    case CONNECTION:
        sqlite3_result_int64(context, (int64_t)record->head->connection);
        break;
    case DIRECTION:
        sqlite3_result_int(context, record->kind == RECORD_SENT);
        break;
    case SEQ:
        sqlite3_result_int64(context, (int64_t)record->seq);
        break;
    case TIME:
        sqlite3_result_int64(context, record->time_us);
        break;
    case PREVIOUS:
        sqlite3_result_int64(context, (int64_t)record->previous);
        break;
    case FLAGS:
        sqlite3_result_int64(context, record->answers ? add_answers(record) : record->flags);
        break;
    case ORIGINAL_LEN: /* else NULL, which it is already */
        if (record->original_len != record->len) sqlite3_result_int64(context, (int64_t)record->original_len);
        break;
    case CRC32C:
        sqlite3_result_int64(context, record->crc32c);
        break;
    case BYTES:
        sqlite3_result_blob(context, record->bytes, (int)record->len, SQLITE_STATIC);
        break;
    }
    return SQLITE_OK;
}

static int get_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *ret)
{
    *ret = (int64_t)((const struct cursor *)base)->record->id;
    return SQLITE_OK;
}

int batch_table_add(sqlite3 *db, struct batch_table *table)
{
    static const sqlite3_module module = {
        .xConnect = connect, /* and no xCreate: it is there without being made */
        .xBestIndex = plan,
        .xDisconnect = disconnect,
        .xOpen = open_cursor,
        .xClose = close_cursor,
        .xFilter = begin,
        .xNext = go_on,
        .xEof = is_at_end,
        .xColumn = get_column,
        .xRowid = get_rowid,
    };

    return sqlite3_create_module(db, "batch", &module, table);
}

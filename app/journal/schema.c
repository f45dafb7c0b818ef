/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app/journal/schema.c: what is kept, as SQL. Messages have no index but their id: a secondary index costs the writer
 * several times its work. Instead each message points to the one before it on its connection, and each connection to
 * its last message, so that the newest of one connection are found without looking at others; and `second` finds a
 * time.
 *
 * message.direction 0 is from the client, 1 is to it; flags are those of journal/record.h; original_len is NULL where
 * the bytes are all of it. Times are microseconds since 1970, UTC. */
#include "schema.h"

#include <errno.h>
#include <stdio.h>

static const char first_version[] =
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;"
    "CREATE TABLE client (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
    "CREATE TABLE connection ("
    " id INTEGER PRIMARY KEY, client INTEGER REFERENCES client, previous_connection INTEGER, listener TEXT NOT NULL,"
    " frame TEXT NOT NULL, peer TEXT NOT NULL, opened INTEGER NOT NULL, closed INTEGER, reason TEXT,"
    " last_message INTEGER NOT NULL DEFAULT 0);"
    "CREATE TABLE message ("
    " id INTEGER PRIMARY KEY, connection INTEGER NOT NULL, direction INTEGER NOT NULL, seq INTEGER NOT NULL,"
    " time INTEGER NOT NULL, previous INTEGER NOT NULL, flags INTEGER NOT NULL, original_len INTEGER,"
    " crc32c INTEGER NOT NULL, bytes BLOB NOT NULL);"
    "CREATE TABLE second (time INTEGER PRIMARY KEY, first_message INTEGER NOT NULL);"
    "CREATE VIEW recent AS"
    " SELECT id, connection, CASE direction WHEN 0 THEN 'in' ELSE 'out' END AS direction, seq,"
    "  strftime('%Y-%m-%dT%H:%M:%S', time / 1000000, 'unixepoch') || printf('.%06dZ', time % 1000000) AS time,"
    "  length(bytes) AS len, CASE WHEN flags & 4 THEN CAST(bytes AS TEXT) ELSE hex(bytes) END AS bytes"
    " FROM message ORDER BY id DESC LIMIT 100;"
    "INSERT INTO meta VALUES ('store', lower(hex(randomblob(16))));";

/* From version i to i + 1. */
static const char *const upgrades[SCHEMA_VERSION] = { first_version };

static int read_number(sqlite3 *db, const char *sql, int *ret)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);

    if (code == SQLITE_OK) code = sqlite3_step(statement);
    if (code == SQLITE_ROW) *ret = sqlite3_column_int(statement, 0);
    sqlite3_finalize(statement);
    return code == SQLITE_ROW ? SQLITE_OK : code;
}

static int upgrade(sqlite3 *db, int version)
{
    char stamp[96];
    int code = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);

    for (; code == SQLITE_OK && version < SCHEMA_VERSION; version++)
        code = sqlite3_exec(db, upgrades[version], NULL, NULL, NULL);
    snprintf(stamp, sizeof(stamp), "PRAGMA user_version = %d; PRAGMA application_id = %d; COMMIT", SCHEMA_VERSION,
             SCHEMA_APPLICATION_ID);
    if (code == SQLITE_OK) code = sqlite3_exec(db, stamp, NULL, NULL, NULL);
    if (code != SQLITE_OK) sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return code;
}

int schema_check(sqlite3 *db, char *error, size_t error_size)
{
    int application = 0, version = 0, tables = 0;
    int code = read_number(db, "PRAGMA application_id", &application);

    if (code == SQLITE_OK) code = read_number(db, "PRAGMA user_version", &version);
    if (code == SQLITE_OK) code = read_number(db, "SELECT count(*) FROM sqlite_schema", &tables);
    if (code != SQLITE_OK) return code;
    if (tables > 0 && application != SCHEMA_APPLICATION_ID) {
        snprintf(error, error_size, "this is a database of another program");
        return -EINVAL;
    }
    if (version > SCHEMA_VERSION) {
        snprintf(error, error_size, "it was written by a newer weir (schema %d, this one knows %d)", version,
                 SCHEMA_VERSION);
        return -EINVAL;
    }
    return SQLITE_OK;
}

int schema_prepare(sqlite3 *db)
{
    int version = 0;
    const int code = read_number(db, "PRAGMA user_version", &version);

    return code == SQLITE_OK && version < SCHEMA_VERSION ? upgrade(db, version) : code;
}

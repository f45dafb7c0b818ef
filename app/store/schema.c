/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What is kept, as SQL. Messages have no index but their id: a secondary index costs the writer
 * several times its work. Instead each message points to the one before it on its connection, and each connection to
 * its last message, so that the newest of one connection are found without looking at others. A time is found by
 * halving the ids, which works where times go up: `step` has the messages where they go back.
 *
 * `second` is for other programs. A second that comes again after a step has further rows in `again`: each takes the
 * place of the one before when the messages of that have gone.
 *
 * message.direction 0 is from the client, 1 is to it; flags are as in record.h; original_len is NULL where
 * the bytes are all of it. Times are microseconds since 1970, UTC; those of `second`, `again` and `step` are seconds.
 * step.after is NULL where what came before it is of unknown order, since version 1 kept no steps. */
#include "schema.h"

#include <errno.h>
#include <stdio.h>

#include "cursor.h"
#include "record.h"

#define NEW_ID "lower(hex(randomblob(16)))"

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
    "INSERT INTO meta VALUES ('store', " NEW_ID ");";

/* Its rows of `second` are those of each new highest second. */
#define UNORDERED                                                                                   \
    "SELECT id + 1 AS first_message, coalesce((SELECT max(time) FROM second), 9223372036854), NULL" \
    " FROM message ORDER BY id DESC LIMIT 1"
const char schema_unordered_sql[] = UNORDERED;

static const char second_version[] =
    "CREATE TABLE step (first_message INTEGER PRIMARY KEY, before INTEGER NOT NULL, after INTEGER);"
    "CREATE TABLE again (time INTEGER NOT NULL, first_message INTEGER NOT NULL, PRIMARY KEY (time, first_message))"
    " WITHOUT ROWID;"
    "INSERT INTO step " UNORDERED ";";

/* Nothing here may look at rows: a column without a constraint and a default, and a table that is empty, do not,
 * however large the store is. */
static const char third_version[] =
    "ALTER TABLE client ADD COLUMN first_seen INTEGER;"
    "ALTER TABLE client ADD COLUMN last_seen INTEGER;"
    "ALTER TABLE client ADD COLUMN last_connection INTEGER;"
    "ALTER TABLE connection ADD COLUMN device TEXT;"
    "ALTER TABLE connection ADD COLUMN proxy TEXT;"
    "ALTER TABLE connection ADD COLUMN tls_subject TEXT;"
    "CREATE TABLE cursor (name TEXT PRIMARY KEY, row INTEGER NOT NULL, at INTEGER NOT NULL,"
    " state BLOB CHECK (length(state) <= 256)) WITHOUT ROWID;"
    "CREATE VIEW conversation AS"
    " SELECT message.id, connection, client.name AS client, direction, seq, time, previous, flags & 255 AS flags,"
    "  original_len, crc32c, nullif(flags >> 8 & 15, 0) AS verdict,"
    "  nullif(flags >> 12 & 65535, 0) AS rule, message.id - nullif(flags >> 28, 0) AS answers, bytes"
    " FROM message LEFT JOIN connection ON connection.id = message.connection"
    " LEFT JOIN client ON client.id = connection.client;";

_Static_assert(RECORD_FLAGS_MASK == 255 && RECORD_VERDICT_SHIFT == 8 && RECORD_VERDICT_MAX == 15 &&
                   RECORD_RULE_SHIFT == 12 && RECORD_RULE_MAX == 65535 && RECORD_ANSWERS_SHIFT == 28 &&
                   CURSOR_STATE_BYTES_MAX == 256,
               "a store has them");

/* From version i to i + 1. */
static const char *const upgrades[SCHEMA_VERSION] = { first_version, second_version, third_version };

static int read_number(sqlite3 *db, const char *sql, int *ret)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);

    if (code == SQLITE_OK) code = sqlite3_step(statement);
    if (code == SQLITE_ROW) *ret = sqlite3_column_int(statement, 0);
    sqlite3_finalize(statement);
    return code == SQLITE_ROW ? SQLITE_OK : code;
}

/* ---- The stamp ---- */

enum { VERSION_BITS = 8, GENERATION_BITS = 21 };

static const uint32_t version_mask = (1U << VERSION_BITS) - 1;
static const uint32_t generation_mask = (1U << GENERATION_BITS) - 1;
static const uint32_t cut_bit = 1U << 29;
static const uint32_t log_bit = 1U << 30; /* and never the sign: an older weir takes it for a newer version */

void schema_read_stamp(uint32_t user_version, struct schema_stamp *ret)
{
    *ret = (struct schema_stamp){ .version = user_version & version_mask,
                                  .generation = user_version >> VERSION_BITS & generation_mask,
                                  .has_log = user_version & log_bit,
                                  .is_cut = user_version & cut_bit };
}

uint32_t schema_user_version(const struct schema_stamp *stamp)
{
    return stamp->version | stamp->generation << VERSION_BITS | (stamp->has_log ? log_bit : 0) |
           (stamp->is_cut ? cut_bit : 0);
}

uint32_t schema_next_generation(uint32_t generation)
{
    if (generation == 0) sqlite3_randomness(sizeof(generation), &generation);
    return generation % generation_mask + 1;
}

int schema_stamp_of(sqlite3 *db, struct schema_stamp *ret)
{
    int user_version = 0;
    const int code = read_number(db, "PRAGMA user_version", &user_version);

    schema_read_stamp((uint32_t)user_version, ret);
    return code;
}

static int write_stamp(sqlite3 *db, const struct schema_stamp *stamp)
{
    char text[96];

    snprintf(text, sizeof(text), "PRAGMA user_version = %u; PRAGMA application_id = %d", schema_user_version(stamp),
             SCHEMA_APPLICATION_ID);
    return sqlite3_exec(db, text, NULL, NULL, NULL);
}

int schema_set_generation(sqlite3 *db, uint32_t generation)
{
    return write_stamp(db, &(struct schema_stamp){ .version = SCHEMA_VERSION, .generation = generation });
}

/* ---- The tables ---- */

static int upgrade(sqlite3 *db, const struct schema_stamp *stamp, char *error, size_t error_size)
{
    int code = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);

    for (unsigned version = stamp->version; code == SQLITE_OK && version < SCHEMA_VERSION; version++)
        code = sqlite3_exec(db, upgrades[version], NULL, NULL, NULL);
    if (code == SQLITE_OK) code = schema_set_generation(db, schema_next_generation(stamp->generation));
    if (code == SQLITE_OK) code = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    if (code == SQLITE_OK) return code;
    snprintf(error, error_size, "%s", sqlite3_errmsg(db));
    if (!sqlite3_get_autocommit(db)) sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return code;
}

int schema_check(sqlite3 *db, char *error, size_t error_size)
{
    int application = 0, tables = 0;
    struct schema_stamp stamp = { .version = 0 };
    int code = read_number(db, "PRAGMA application_id", &application);

    if (code == SQLITE_OK) code = schema_stamp_of(db, &stamp);
    if (code == SQLITE_OK) code = read_number(db, "SELECT count(*) FROM sqlite_schema", &tables);
    if (code != SQLITE_OK) return code;
    if (tables > 0 && application != SCHEMA_APPLICATION_ID) {
        snprintf(error, error_size, "this is a database of another program");
        return -EINVAL;
    }
    if (stamp.version > SCHEMA_VERSION) {
        snprintf(error, error_size, "it was written by a newer weir (schema %u, this one knows %d)", stamp.version,
                 SCHEMA_VERSION);
        return -EINVAL;
    }
    return SQLITE_OK;
}

int schema_prepare(sqlite3 *db, char *error, size_t error_size)
{
    struct schema_stamp stamp = { .version = 0 };
    const int code = schema_stamp_of(db, &stamp);

    if (code != SQLITE_OK) snprintf(error, error_size, "%s", sqlite3_errmsg(db));
    return code == SQLITE_OK && stamp.version < SCHEMA_VERSION ? upgrade(db, &stamp, error, error_size) : code;
}

int schema_lay_out(sqlite3 *db)
{
    return sqlite3_exec(db, "PRAGMA page_size = 8192; PRAGMA auto_vacuum = INCREMENTAL", NULL, NULL, NULL);
}

int schema_give_id(sqlite3 *db)
{
    return sqlite3_exec(db, "INSERT OR REPLACE INTO meta VALUES ('store', " NEW_ID ")", NULL, NULL, NULL);
}

/* Of the text the first statement only: a file that somebody has made up may hold more. */
static int run_first(sqlite3 *db, const char *text)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, text, -1, &statement, NULL);

    if (code == SQLITE_OK) code = sqlite3_step(statement);
    sqlite3_finalize(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

/* As the database has it written down, in the order in which it was made: an index comes behind its table. What SQLite
 * keeps for itself has no SQL, or a name that nobody else may give. */
int schema_copy(sqlite3 *from, sqlite3 *to)
{
    static const char objects[] = "SELECT sql FROM sqlite_schema"
                                  " WHERE sql IS NOT NULL AND substr(name, 1, 7) <> 'sqlite_' ORDER BY rowid";
    sqlite3_stmt *statement = NULL;
    struct schema_stamp stamp = { .version = 0 };
    int code = schema_stamp_of(from, &stamp);

    stamp.generation = 0; /* the copy has no log, and will count its own */
    if (code == SQLITE_OK) code = sqlite3_prepare_v2(from, objects, -1, &statement, NULL);
    while (code == SQLITE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW)
        code = run_first(to, (const char *)sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
    return code == SQLITE_DONE ? write_stamp(to, &stamp) : code;
}

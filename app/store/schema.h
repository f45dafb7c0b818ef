/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The tables of a store, and the way from each older version of them to today's. */
#ifndef APP_STORE_SCHEMA_H
#define APP_STORE_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>

enum { SCHEMA_VERSION = 3 };

/* A message's second is at most so many before the highest one since the last row of `step`; with one that is further
 * back a row is noted. Wide enough for workers that were held up on their way to the store, which would look as if the
 * clock had been set. Stores rest on it: another number is another version. */
enum { SCHEMA_JITTER_SECONDS = 10 };

/* The first version with what a reader may not find in an older store. */
enum { SCHEMA_WITH_STEPS = 2, SCHEMA_WITH_NAMES = 3 };

/* What of a store of version 1 takes the place of `step`: which messages are of unknown order. */
extern const char schema_unordered_sql[];

/* "weir" in the database's header, so that file(1) and we know it
 * (https://www.sqlite.org/pragma.html#pragma_application_id). */
enum { SCHEMA_APPLICATION_ID = 0x77656972 };

/* PRAGMA user_version has the schema's version in its low 8 bits, and above them which generation of the write-ahead
 * log it was written with: each time the log begins anew, its first transaction counts that up. So a database and a log
 * that lie side by side show whether they belong together. While there is anything in the log, the number in the
 * database's file says so as well (has_log): a file that was copied alone is known by that. Only the file says it, and
 * no transaction does, so it goes when the log is moved to the database, by whichever program. */
struct schema_stamp {
    unsigned version;
    uint32_t generation; /* 0: none was counted yet */
    bool has_log;
    bool is_cut; /* in the file as well: a server has found its log shorter than it had written it */
};

void schema_read_stamp(uint32_t user_version, struct schema_stamp *ret);
uint32_t schema_user_version(const struct schema_stamp *stamp);

/* The generation behind this one; behind none a random one, so that two stores seldom have the same. */
uint32_t schema_next_generation(uint32_t generation);

/* As the database has it, log and all. Returns SQLite's code. */
int schema_stamp_of(sqlite3 *db, struct schema_stamp *ret);

/* Inside a transaction, which then has the database's first page in it. Returns SQLite's code. */
int schema_set_generation(sqlite3 *db, uint32_t generation);

/* Whether the database is a store, or empty; before anything is set in it, since the log's mode stays in the file.
 * Returns 0; -EINVAL with a sentence in error when it is somebody else's, or of a newer version; else SQLite's own
 * code, positive. */
int schema_check(sqlite3 *db, char *error, size_t error_size);

/* Makes the tables in an empty database, or brings older ones up to date, in one transaction. Returns SQLite's code;
 * when that is an error, the sentence of the call that failed is in error: what the database says later is of another
 * call. */
int schema_prepare(sqlite3 *db, char *error, size_t error_size);

/* What is set before the first table is made, and stays: the pages' size, and that the file can be made shorter.
 * Returns SQLite's code. */
int schema_lay_out(sqlite3 *db);

/* Makes the tables of a store in an empty database, of the store's version and with whatever else is in it, but without
 * rows. Inside transactions of the caller's on both. Returns SQLite's code, of whichever database has failed. */
int schema_copy(sqlite3 *from, sqlite3 *to);

/* Makes the store another one to whoever knows it by its identity. Returns SQLite's code. */
int schema_give_id(sqlite3 *db);

#endif

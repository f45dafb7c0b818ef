/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app/journal/schema.h: the tables of a store, and the way from each older version of them to today's. */
#ifndef APP_JOURNAL_SCHEMA_H
#define APP_JOURNAL_SCHEMA_H

#include <stddef.h>

#include <sqlite3.h>

enum { SCHEMA_VERSION = 1 };

/* "weir" in the database's header, so that file(1) and we know it
 * (https://www.sqlite.org/pragma.html#pragma_application_id). */
enum { SCHEMA_APPLICATION_ID = 0x77656972 };

/* Whether the database is a store, or empty; before anything is set in it, since the log's mode stays in the file.
 * Returns 0; -EINVAL with a sentence in error when it is somebody else's, or of a newer version; else SQLite's own
 * code, positive. */
int schema_check(sqlite3 *db, char *error, size_t error_size);

/* Makes the tables in an empty database, or brings older ones up to date, in one transaction. Returns SQLite's code. */
int schema_prepare(sqlite3 *db);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The messages of a batch as a table that SQL reads, `batch` with the columns of `message`
 * (https://www.sqlite.org/vtab.html). So one statement stores them all: a statement for each would be started, bound
 * and ended for each, and that is half of what storing a short message costs. */
#ifndef APP_STORE_BATCH_TABLE_H
#define APP_STORE_BATCH_TABLE_H

#include <sqlite3.h>

#include "record.h"

/* What the table has in it: the owner's, who changes it between two statements. Must live as long as the database's
 * connection. */
struct batch_table {
    struct batch *batch;
};

/* Makes the table known to that connection. Returns SQLite's code. */
int batch_table_add(sqlite3 *db, struct batch_table *table);

#endif

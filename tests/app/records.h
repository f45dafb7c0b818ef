/* SPDX-License-Identifier: BSD-3-Clause
 *
 * tests/app/records.h: records to store, stored one by one, and a number read back: for the tests of the journal.
 * After cmocka.h. */
#ifndef TESTS_APP_RECORDS_H
#define TESTS_APP_RECORDS_H

#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "base/crc32c.h"
#include "store/store.h"

enum { FIRST_SECOND = 1763856000 }; /* 2025-11-23T00:00:00Z: that of each record */

static inline struct record *record_add(struct batch *batch, struct head *head, enum record_kind kind,
                                        const void *bytes, size_t len)
{
    struct record *record = batch_add(batch, len);

    assert_non_null(record);
    *record = (struct record){
        .head = head,
        .time_us = (int64_t)FIRST_SECOND * 1000000,
        .original_len = len,
        .len = (uint32_t)len,
        .kind = (uint8_t)kind,
    };
    memcpy(record->bytes, bytes, len);
    record->crc32c = crc32c(record->bytes, len);
    return record;
}

/* Adds it to the store in a batch of its own; the record gets what the store gave its copy. */
static inline enum store_outcome record_store(struct store *store, struct record *record)
{
    struct batch *own = batch_new(0, record_bytes(record->len));
    enum store_outcome outcome = STORE_STORED;
    struct record *copy = NULL;

    assert_non_null(own);
    copy = batch_add(own, record->len);
    memcpy(copy, record, sizeof(*record) + record->len);
    outcome = store_add(store, own);
    record->id = copy->id;
    record->previous = copy->previous;
    free(own);
    return outcome;
}

/* The first column of the first row. */
static inline int64_t read_number(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    int64_t number = 0;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return number;
}

#endif

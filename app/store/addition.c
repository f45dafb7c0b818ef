/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a transaction adds: messages, connections, clients, the seconds and steps of time. */
#include "store_internal.h"

#include <assert.h>
#include <string.h>

#include <sqlite3.h>

#include "schema.h"

enum {
    OPENING_TEXTS = 6, /* of a connection, */
    OPENING_KNOWN = 3, /* and those that are always known */
};

/* The clock was set back: times begin anew with this message. */
static enum store_outcome note_step(struct store *store, int64_t second, uint64_t id)
{
    sqlite3_stmt *statement = store->statements[SQL_ADD_STEP];

    sqlite3_bind_int64(statement, 1, (int64_t)id);
    sqlite3_bind_int64(statement, 2, store->times.highest);
    sqlite3_bind_int64(statement, 3, second);
    store->times.first = id;
    store->times.highest = second;
    store_forget_seconds(store);
    return store_execute(store, SQL_ADD_STEP);
}

/* Beyond the row that the second has from before a step. */
static enum store_outcome note_again(struct store *store, int64_t second, uint64_t id)
{
    sqlite3_stmt *statement = store->statements[SQL_ADD_AGAIN];

    store->times.has_again = true;
    sqlite3_bind_int64(statement, 1, second);
    sqlite3_bind_int64(statement, 2, (int64_t)id);
    sqlite3_bind_int64(statement, 3, (int64_t)store->times.first);
    return store_execute(store, SQL_ADD_AGAIN);
}

static enum store_outcome add_second(struct store *store, int64_t second, uint64_t id)
{
    sqlite3_stmt *statement = store->statements[SQL_ADD_SECOND];
    enum store_outcome outcome = STORE_STORED;

    for (size_t i = 0; i < KNOWN_SECONDS; i++)
        if (store->known_seconds[i] == second) return STORE_STORED;
    store->known_seconds[store->next_known++ % KNOWN_SECONDS] = second;
    sqlite3_bind_int64(statement, 1, second);
    sqlite3_bind_int64(statement, 2, (int64_t)id);
    outcome = store_execute(store, SQL_ADD_SECOND);
    if (outcome != STORE_STORED || sqlite3_changes64(store->db) > 0 || !store->times.first) return outcome;
    return note_again(store, second, id);
}

/* Most messages are of the same second as the one before. */
static enum store_outcome note_time(struct store *store, int64_t time_us, uint64_t id)
{
    const int64_t second = time_us / 1000000;
    enum store_outcome outcome = STORE_STORED;

    if (time_us >= store->second_us && time_us < store->second_us + 1000000) return STORE_STORED;
    if (second < store->times.highest - SCHEMA_JITTER_SECONDS) outcome = note_step(store, second, id);
    if (outcome != STORE_STORED) return outcome;
    if (second > store->times.highest) store->times.highest = second;
    store->second_us = second * 1000000;
    return add_second(store, second, id);
}

/* All messages of a batch. The ids are known before the rows are there, for `previous`; that they are the rows' is seen
 * afterwards. */
static enum store_outcome add_messages(struct store *store, struct batch *batch)
{
    enum store_outcome outcome = STORE_STORED;

    store->adding.batch = batch;
    outcome = store_execute(store, SQL_ADD_MESSAGES);
    if (outcome != STORE_STORED || sqlite3_last_insert_rowid(store->db) == (int64_t)store->next_message - 1)
        return outcome;
    store_fail(store, SQLITE_CORRUPT);
    store_say(store, "its newest message is not the one that was stored last");
    return STORE_UNKNOWN;
}

static enum store_outcome count_message(struct store *store, struct record *record)
{
    record->id = store->next_message++;
    record->previous = record->head->last_message;
    record->head->last_message = record->id;
    return note_time(store, record->time_us, record->id);
}

/* A transaction without messages is tried again when it is not known to be stored: then the row is there. */
static enum store_outcome add_connection(struct store *store, const struct record *record)
{
    sqlite3_stmt *statement = store->statements[SQL_ADD_CONNECTION];
    const char *text = (const char *)record->bytes, *const end = text + record->len;
    const uint64_t number = record->head->connection;
    enum store_outcome outcome = STORE_STORED;

    sqlite3_bind_int64(statement, 1, (int64_t)number);
    sqlite3_bind_int64(statement, 2, record->time_us);
    for (int i = 0; i < OPENING_TEXTS; i++) {
        sqlite3_bind_text(statement, 3 + i, i < OPENING_KNOWN || (text < end && *text) ? text : NULL, -1,
                          SQLITE_STATIC);
        if (text < end) text += strlen(text) + 1;
    }
    outcome = store_execute(store, SQL_ADD_CONNECTION);
    if (number >= store->next_row) store->next_row = number + 1;
    if (number >= store->next_connection) store->next_connection = number + 1;
    return outcome;
}

static enum store_outcome unlink_connection(struct store *store, uint64_t client, int64_t number)
{
    const enum store_outcome outcome = store_execute_with(store, SQL_UNLINK_NEWEST, client, number);

    if (outcome != STORE_STORED || sqlite3_changes64(store->db) > 0) return outcome;
    return store_execute_with(store, SQL_UNLINK_OLDER, client, number);
}

/* A client's connections are a chain, as a connection's messages are; one that takes another name leaves the chain of
 * its name before. What is tried again may be there already. */
static enum store_outcome name_connection(struct store *store, const struct record *record)
{
    sqlite3_stmt *add = store->statements[SQL_ADD_CLIENT];
    const int64_t number = (int64_t)record->head->connection;
    uint64_t before = 0, client = 0;
    enum store_outcome outcome = STORE_STORED;

    sqlite3_bind_int64(store->statements[SQL_CLIENT_OF], 1, number);
    sqlite3_bind_text(add, 1, (const char *)record->bytes, (int)record->len, SQLITE_STATIC);
    sqlite3_bind_int64(add, 2, record->time_us);
    outcome = store_execute_for_number(store, SQL_CLIENT_OF, &before);
    if (outcome == STORE_STORED) outcome = store_execute_for_number(store, SQL_ADD_CLIENT, &client);
    if (outcome != STORE_STORED) return outcome;
    record->head->client = client;
    if (client == before) return outcome;
    if (before) outcome = unlink_connection(store, before, number);
    if (outcome == STORE_STORED) outcome = store_execute_with(store, SQL_SET_CLIENT, client, number);
    return outcome == STORE_STORED ? store_execute_with(store, SQL_SET_NEWEST, client, number) : outcome;
}

static enum store_outcome close_connection(struct store *store, const struct record *record)
{
    sqlite3_stmt *statement = store->statements[SQL_CLOSE_CONNECTION];
    enum store_outcome outcome = STORE_STORED;

    sqlite3_bind_int64(statement, 1, record->time_us);
    sqlite3_bind_text(statement, 2, (const char *)record->bytes, (int)record->len, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 3, (int64_t)record->head->last_message);
    sqlite3_bind_int64(statement, 4, (int64_t)record->head->connection);
    outcome = store_execute(store, SQL_CLOSE_CONNECTION);
    if (outcome != STORE_STORED || !record->head->client) return outcome;
    return store_execute_with(store, SQL_SET_LAST_SEEN, record->head->client, record->time_us);
}

static enum store_outcome add_record(struct store *store, struct record *record)
{
    switch ((enum record_kind)record->kind) {
    case RECORD_OPEN:
        return add_connection(store, record);
    case RECORD_NAME:
        return name_connection(store, record);
    case RECORD_CLOSE:
        return close_connection(store, record);
    case RECORD_MESSAGE:
    case RECORD_SENT:
        break;
    }
    return count_message(store, record);
}

enum store_outcome store_add(struct store *store, struct batch *batch)
{
    const uint64_t first = store->next_message;
    enum store_outcome outcome = STORE_STORED;

    for (struct record *record = batch_next(batch, NULL); record && outcome == STORE_STORED;
         record = batch_next(batch, record))
        outcome = add_record(store, record);
    return outcome == STORE_STORED && store->next_message > first ? add_messages(store, batch) : outcome;
}

enum store_outcome store_set_cursor(struct store *store, const char *name, const struct cursor *cursor)
{
    sqlite3_stmt *statement = store->statements[SQL_SET_CURSOR];

    assert(cursor->state.len <= CURSOR_STATE_BYTES_MAX);
    sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 2, (int64_t)cursor->row);
    sqlite3_bind_int64(statement, 3, cursor->at_us);
    sqlite3_bind_blob(statement, 4, cursor->state.len ? cursor->state.data : NULL, (int)cursor->state.len,
                      SQLITE_STATIC);
    return store_execute(store, SQL_SET_CURSOR);
}

enum store_outcome store_set_head(struct store *store, const struct head *head)
{
    sqlite3_stmt *statement = store->statements[SQL_SET_HEAD];

    sqlite3_bind_int64(statement, 1, (int64_t)head->last_message);
    sqlite3_bind_int64(statement, 2, (int64_t)head->connection);
    return store_execute(store, SQL_SET_HEAD);
}

enum store_outcome store_set_heads_until(struct store *store)
{
    const uint64_t until = store->next_message - 1;
    enum store_outcome outcome = store_set_meta(store, "heads_until", (int64_t)until);

    if (outcome == STORE_STORED) outcome = store_set_meta(store, "highest_second", store->times.highest);
    if (outcome == STORE_STORED) store->heads_until = until;
    return outcome;
}

bool store_heads_are_behind(const struct store *store)
{
    return store->heads_until < store->last_message;
}

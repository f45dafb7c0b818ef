/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The oldest go: messages, their seconds and steps, and connections that have none left. */
#include "store_internal.h"

#include <sqlite3.h>

#include "schema.h"

enum { ROW_BYTES = 32 /* what a message takes up besides its bytes, nearly */ };

/* The last message that is to go; 0: none. */
struct cut {
    uint64_t id;
    int64_t time_us;
};

/* Which rows of `second` a step of deletion looks at besides those of its messages, and which stay. */
struct edge {
    int64_t left_from, left_to;
    int64_t kept_from, kept_to;
};

/* A message that is too old takes with it all that was stored before it, whatever their times. */
static enum store_outcome find_cut(struct store *store, const struct store_deletion *what, struct cut *cut,
                                   struct store_deleted *deleted)
{
    sqlite3_stmt *statement = store->statements[SQL_OLDEST_MESSAGES];
    uint64_t count = 0;
    int64_t bytes = 0;
    int code = SQLITE_ROW;

    sqlite3_bind_int64(statement, 1, (int64_t)(what->is_for_space ? store->newest_first : store->last_message));
    while (bytes < what->bytes_max && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        const int64_t time_us = sqlite3_column_int64(statement, 1);
        const bool goes = what->is_for_space || time_us < what->before_us;

        if (!goes && time_us <= what->now_us) break;
        bytes += sqlite3_column_int64(statement, 2) + ROW_BYTES;
        count++;
        if (!goes) continue;
        *cut = (struct cut){ (uint64_t)sqlite3_column_int64(statement, 0), time_us };
        deleted->messages = count;
        deleted->bytes = bytes;
    }
    sqlite3_reset(statement);
    return code == SQLITE_ROW || code == SQLITE_DONE ? STORE_STORED : store_fail(store, code);
}

/* A second of which messages may be left, as far as workers are apart, keeps its row, with a first message that may
 * have gone: whoever reads from there finds the first that has not. The step after this one looks at it again. Where
 * the order is unknown, rows above stay as well, since reading goes by them. */
static enum store_outcome find_edge_of(struct store *store, const struct cut *cut, struct edge *ret)
{
    sqlite3_stmt *statement = store->statements[SQL_FIND_EDGE];
    int64_t first = 0, highest = 0;
    int code = SQLITE_OK;

    sqlite3_bind_int64(statement, 1, (int64_t)cut->id);
    code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        first = sqlite3_column_int64(statement, 0);
        highest = sqlite3_column_int64(statement, 1);
    }
    sqlite3_reset(statement);
    if (code != SQLITE_ROW) return store_fail(store, code);
    *ret = (struct edge){ .left_from = first - SCHEMA_JITTER_SECONDS,
                          .left_to = first + 2 * (int64_t)SCHEMA_JITTER_SECONDS,
                          .kept_from = highest - SCHEMA_JITTER_SECONDS,
                          .kept_to = cut->id < store->unordered_until ? INT64_MAX : highest + SCHEMA_JITTER_SECONDS };
    return STORE_STORED;
}

/* While their messages are still there, which say what their seconds are. Without steps the time says it: nearly all
 * stores have none, and pay for none. */
static enum store_outcome delete_seconds_until(struct store *store, const struct cut *cut)
{
    static const enum statement which[] = { SQL_DELETE_SECONDS, SQL_PROMOTE_AGAIN, SQL_DELETE_AGAIN };
    struct edge edge = { 0 };
    enum store_outcome outcome = STORE_STORED;

    if (!store->times.first && !store->times.has_again) {
        sqlite3_bind_int64(store->statements[SQL_DELETE_LOWER_SECONDS], 1,
                           cut->time_us / 1000000 - SCHEMA_JITTER_SECONDS);
        return store_execute(store, SQL_DELETE_LOWER_SECONDS);
    }
    outcome = find_edge_of(store, cut, &edge);
    sqlite3_bind_int64(store->statements[SQL_DELETE_SECONDS], 4, edge.kept_from);
    sqlite3_bind_int64(store->statements[SQL_DELETE_SECONDS], 5, edge.kept_to);
    for (size_t i = 0; i < (store->times.has_again ? 3 : 1) && outcome == STORE_STORED; i++) {
        sqlite3_bind_int64(store->statements[which[i]], 1, (int64_t)cut->id);
        sqlite3_bind_int64(store->statements[which[i]], 2, edge.left_from);
        sqlite3_bind_int64(store->statements[which[i]], 3, edge.left_to);
        outcome = store_execute(store, which[i]);
    }
    return outcome;
}

/* A step goes when nothing is left of what was before it, and the highest second of its run is written. */
static enum store_outcome delete_until(struct store *store, const struct cut *cut)
{
    const uint64_t first = cut->id + 1 < store->heads_until ? cut->id + 1 : store->heads_until;
    enum store_outcome outcome = delete_seconds_until(store, cut);

    sqlite3_bind_int64(store->statements[SQL_DELETE_MESSAGES], 1, (int64_t)cut->id);
    sqlite3_bind_int64(store->statements[SQL_DELETE_STEPS], 1, (int64_t)first);
    if (outcome == STORE_STORED) outcome = store_execute(store, SQL_DELETE_MESSAGES);
    return outcome == STORE_STORED ? store_execute(store, SQL_DELETE_STEPS) : outcome;
}

/* Connections are numbered as they come, but end in any order, and one that lives long must hold up nobody. So they are
 * looked at in rounds, some in each step, from the first one up to where none can be old enough. */
static enum store_outcome sweep_connections(struct store *store, const struct store_deletion *what, uint64_t until,
                                            int64_t until_us, struct store_deleted *deleted)
{
    sqlite3_stmt *find = store->statements[SQL_FIND_SWEEP_END];
    sqlite3_stmt *delete = store->statements[SQL_DELETE_CONNECTIONS];
    enum store_outcome outcome = STORE_STORED;
    int64_t end = 0;
    bool is_last = false;
    int code = SQLITE_OK;

    sqlite3_bind_int64(find, 1, (int64_t)store->swept);
    sqlite3_bind_int64(find, 2, (int64_t)(what->connections_max + deleted->messages));
    code = sqlite3_step(find);
    if (code == SQLITE_ROW) {
        end = sqlite3_column_int64(find, 0);
        is_last = end == 0 || sqlite3_column_int64(find, 1) > until_us;
    }
    sqlite3_reset(find);
    if (code != SQLITE_ROW) return store_fail(store, code);
    sqlite3_bind_int64(delete, 1, (int64_t)store->swept);
    sqlite3_bind_int64(delete, 2, end);
    sqlite3_bind_int64(delete, 3, (int64_t)until);
    sqlite3_bind_int64(delete, 4, until_us);
    outcome = store_execute(store, SQL_DELETE_CONNECTIONS);
    if (outcome != STORE_STORED) return outcome;
    deleted->connections = (uint64_t)sqlite3_changes64(store->db);
    store->swept = is_last ? 0 : (uint64_t)end;
    return outcome;
}

/* Of connections without messages as many go as are from that time; all, when there is nothing else that could. */
static int64_t sweep_until_us(const struct store_deletion *what, const struct cut *cut)
{
    if (!what->is_for_space) return what->before_us;
    return cut->id ? cut->time_us : INT64_MAX;
}

enum store_outcome store_delete(struct store *store, const struct store_deletion *what, struct store_deleted *ret)
{
    struct store_deleted deleted = { 0 };
    struct cut cut = { 0 };
    uint64_t until = store->deleted_until;
    enum store_outcome outcome = store_begin(store);

    if (outcome == STORE_STORED) outcome = find_cut(store, what, &cut, &deleted);
    if (outcome == STORE_STORED && cut.id) outcome = delete_until(store, &cut);
    if (cut.id) until = cut.id;
    if (outcome == STORE_STORED) outcome = sweep_connections(store, what, until, sweep_until_us(what, &cut), &deleted);
    if (outcome != STORE_STORED) return outcome;
    if (deleted.messages == 0 && deleted.connections == 0) {
        store_rollback(store); /* which is no write, and needs no sync */
    } else {
        outcome = store_commit(store);
        if (outcome != STORE_STORED) return outcome;
        store->deleted_until = until;
    }
    *ret = deleted;
    return STORE_STORED;
}

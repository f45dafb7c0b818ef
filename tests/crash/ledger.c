/* SPDX-License-Identifier: BSD-3-Clause
 *
 * tests/crash/ledger.c: keeps the word of the store, and judges it. Reads a store with plain SQL, over a connection of
 * its own and beside the one of the program: what it takes for right it has from nobody who could be wrong in the same
 * way, but for the checksum, which has its own tests. */
#include "ledger.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "base/crc32c.h"
#include "dice.h"
#include "memory.h"
#include "store/damage.h"
#include "store/schema.h"
#include "store/store.h"

#define NEVER SIZE_MAX

enum { MESSAGE_BYTES_MAX = 20000, PATH_BYTES_MAX = 512 };

static const char opening[] = "tcp://127.0.0.1:8000\0line\0tcp://127.0.0.1:9"; /* with the last NUL */
static const char closing[] = "peer closed";
static const char killed[] = "killed"; /* by the start of the next session, what the last one left open */

struct message {
    int64_t time_us;
    uint64_t id; /* 0: not known before it is stored */
    size_t stored_at;
    bool ends_batch;
};

struct connection {
    size_t given_at, opened_at, closed_at; /* stored; NEVER: it was not */
    int64_t opened_us, closed_us;
    struct message *messages; /* put, the nth at n - 1 */
    size_t count, room;

    /* Of the last check. */
    size_t found;
    uint64_t last_id;
    bool is_row_found, is_closed_found;
};

struct ledger {
    struct connection *connections; /* by number */
    size_t count, room;
};

struct check {
    struct ledger *ledger;
    const char *path;
    size_t position;
    sqlite3 *db;
    struct store *store;
    int64_t highest_second; /* since the last step */
    uint64_t last_id;
    bool is_end_of_batch; /* of the last message */
    char *fault;
};

struct ledger *ledger_new(void)
{
    struct ledger *ledger = grow(NULL, 1, sizeof(*ledger));

    *ledger = (struct ledger){ .count = 0 };
    return ledger;
}

void ledger_free(struct ledger *ledger)
{
    for (size_t i = 0; i < ledger->count; i++)
        free(ledger->connections[i].messages);
    free(ledger->connections);
    free(ledger);
}

/* ---- What is put ---- */

void ledger_give(struct ledger *ledger, uint64_t connection, size_t position)
{
    while (ledger->count <= connection) {
        ledger->connections =
            make_room(ledger->connections, ledger->count, &ledger->room, sizeof(*ledger->connections));
        ledger->connections[ledger->count++] =
            (struct connection){ .given_at = NEVER, .opened_at = NEVER, .closed_at = NEVER };
    }
    ledger->connections[connection].given_at = position;
}

static struct connection *connection_of(struct ledger *ledger, const struct head *head)
{
    return &ledger->connections[head->connection];
}

static struct dice dice_of(uint64_t connection, uint64_t seq)
{
    return (struct dice){ connection << 32 ^ seq };
}

/* Most are short; some fill pages of their own. */
static size_t message_len(uint64_t connection, uint64_t seq)
{
    struct dice dice = dice_of(connection, seq);

    switch (dice_roll(&dice, 30)) {
    case 0:
        return 0;
    case 1:
        return (size_t)dice_roll(&dice, MESSAGE_BYTES_MAX);
    case 2:
    case 3:
        return (size_t)dice_roll(&dice, 3000);
    default:
        return (size_t)dice_roll(&dice, 200);
    }
}

static bool is_sent(uint64_t connection, uint64_t seq)
{
    struct dice dice = dice_of(seq, connection);

    return dice_one_in(&dice, 5);
}

static void fill_message(uint64_t connection, uint64_t seq, unsigned char *ret, size_t len)
{
    struct dice dice = dice_of(connection, ~seq);

    for (size_t i = 0; i < len; i += sizeof(uint64_t)) {
        const uint64_t word = dice_next(&dice);

        memcpy(ret + i, &word, len - i < sizeof(word) ? len - i : sizeof(word));
    }
}

static struct record *put(struct batch *batch, struct head *head, enum record_kind kind, size_t len, int64_t time_us)
{
    struct record *record = batch_add(batch, len);

    if (record)
        *record = (struct record){
            .head = head, .time_us = time_us, .original_len = len, .len = (uint32_t)len, .kind = (uint8_t)kind
        };
    return record;
}

struct record *ledger_put_open(struct ledger *ledger, struct batch *batch, struct head *head, int64_t time_us)
{
    struct record *record = put(batch, head, RECORD_OPEN, sizeof(opening), time_us);

    if (!record) return NULL;
    memcpy(record->bytes, opening, sizeof(opening));
    connection_of(ledger, head)->opened_us = time_us;
    return record;
}

struct record *ledger_put_message(struct ledger *ledger, struct batch *batch, struct head *head, int64_t time_us)
{
    struct connection *connection = connection_of(ledger, head);
    const uint64_t seq = connection->count + 1;
    const size_t len = message_len(head->connection, seq);
    struct record *record =
        put(batch, head, is_sent(head->connection, seq) ? RECORD_SENT : RECORD_MESSAGE, len, time_us);

    if (!record) return NULL;
    fill_message(head->connection, seq, record->bytes, len);
    record->crc32c = crc32c(record->bytes, len);
    record->seq = seq;
    record->original_len = len + seq % 2;
    record->flags = seq % 2 ? RECORD_TRUNCATED : 0;
    connection->messages =
        make_room(connection->messages, connection->count, &connection->room, sizeof(*connection->messages));
    connection->messages[connection->count++] = (struct message){ .time_us = time_us, .stored_at = NEVER };
    return record;
}

struct record *ledger_put_close(struct ledger *ledger, struct batch *batch, struct head *head, int64_t time_us)
{
    struct record *record = put(batch, head, RECORD_CLOSE, strlen(closing), time_us);

    if (!record) return NULL;
    memcpy(record->bytes, closing, strlen(closing));
    connection_of(ledger, head)->closed_us = time_us;
    return record;
}

void ledger_take_back(struct ledger *ledger, struct batch *batch)
{
    for (struct record *record = batch_next_message(batch, NULL); record; record = batch_next_message(batch, record))
        connection_of(ledger, record->head)->count--;
}

void ledger_stored(struct ledger *ledger, struct batch *batch, size_t position)
{
    struct message *last = NULL;

    for (struct record *record = batch_next(batch, NULL); record; record = batch_next(batch, record)) {
        if (record->kind == RECORD_OPEN) connection_of(ledger, record->head)->opened_at = position;
        if (record->kind == RECORD_CLOSE) connection_of(ledger, record->head)->closed_at = position;
    }
    for (struct record *record = batch_next_message(batch, NULL); record; record = batch_next_message(batch, record)) {
        last = &connection_of(ledger, record->head)->messages[record->seq - 1];
        last->id = record->id;
        last->stored_at = position;
    }
    if (last) last->ends_batch = true;
}

/* ---- What is found ---- */

static bool __attribute__((format(printf, 2, 3))) is_wrong(struct check *check, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(check->fault, LEDGER_FAULT_BYTES_MAX, format, arguments);
    va_end(arguments);
    return false;
}

static bool is_sql_wrong(struct check *check)
{
    return is_wrong(check, "reading it: %s", sqlite3_errmsg(check->db));
}

static sqlite3_stmt *prepare(struct check *check, const char *sql)
{
    sqlite3_stmt *statement = NULL;

    if (sqlite3_prepare_v2(check->db, sql, -1, &statement, NULL) != SQLITE_OK) is_sql_wrong(check);
    return statement;
}

static bool are_files_right(struct check *check)
{
    char text[DAMAGE_TEXT_BYTES_MAX];
    struct damage damage;
    int err = damage_find(check->path, &damage);

    damage_describe(&damage, text);
    if (!err && damage.kind != DAMAGE_NONE)
        return is_wrong(check, "what a power cut leaves is called damage: %s", text);
    if (!err) err = damage_trim(check->path, &damage);
    return err ? is_wrong(check, "walking the log: %s", strerror(-err)) : true;
}

/* In the order in which storage.c does it. */
static bool open_store(struct check *check)
{
    char error[STORE_ERROR_BYTES_MAX];

    if (!are_files_right(check)) return false;
    if (store_open(check->path, &check->store, error)) return is_wrong(check, "%s", error);
    if (sqlite3_open_v2(check->path, &check->db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK) return is_sql_wrong(check);
    return true;
}

static bool is_content_right(struct check *check, sqlite3_stmt *row, uint64_t connection, uint64_t seq)
{
    unsigned char expected[MESSAGE_BYTES_MAX];
    const size_t len = message_len(connection, seq);
    const bool is_cut = seq % 2;

    fill_message(connection, seq, expected, len);
    if ((size_t)sqlite3_column_bytes(row, 8) != len ||
        (len > 0 && memcmp(sqlite3_column_blob(row, 8), expected, len) != 0))
        return is_wrong(check, "message %" PRIu64 " of connection %" PRIu64 " is altered", seq, connection);
    if (sqlite3_column_int64(row, 7) != crc32c(expected, len) ||
        sqlite3_column_int(row, 2) != is_sent(connection, seq) ||
        sqlite3_column_int(row, 5) != (is_cut ? RECORD_TRUNCATED : 0) ||
        (sqlite3_column_type(row, 6) != SQLITE_NULL) != is_cut ||
        (is_cut && sqlite3_column_int64(row, 6) != (int64_t)len + 1))
        return is_wrong(check, "what is told of message %" PRIu64 " of connection %" PRIu64 " is altered", seq,
                        connection);
    return true;
}

/* Each message that is further back than workers are apart has a row of its own. */
static bool is_step_right(struct check *check, sqlite3_stmt *steps, int64_t time_us, uint64_t id)
{
    const int64_t second = time_us / 1000000, before = check->highest_second;
    const bool is_step = second < before - SCHEMA_JITTER_SECONDS;

    if (is_step || second > before) check->highest_second = second;
    if (!is_step) return true;
    if (sqlite3_step(steps) != SQLITE_ROW || sqlite3_column_int64(steps, 0) != (int64_t)id ||
        sqlite3_column_int64(steps, 1) != before || sqlite3_column_int64(steps, 2) != second)
        return is_wrong(check, "the step at message %" PRIu64 " is not noted", id);
    return true;
}

/* The first message of each second has a row, and no other one. */
static bool are_seconds_right(struct check *check)
{
    static const char text[] =
        "WITH expected AS (SELECT time / 1000000, min(id) FROM message GROUP BY 1)"
        " SELECT count(*) FROM (SELECT * FROM (SELECT * FROM expected EXCEPT SELECT * FROM second)"
        " UNION ALL SELECT * FROM (SELECT * FROM second EXCEPT SELECT * FROM expected))";
    sqlite3_stmt *statement = prepare(check, text);
    bool is_right = statement != NULL;

    if (is_right && sqlite3_step(statement) != SQLITE_ROW) is_right = is_sql_wrong(check);
    if (is_right && sqlite3_column_int64(statement, 0) > 0)
        is_right = is_wrong(check, "%lld seconds are not as the messages are", sqlite3_column_int64(statement, 0));
    sqlite3_finalize(statement);
    return is_right;
}

static bool is_message_right(struct check *check, sqlite3_stmt *row, sqlite3_stmt *steps)
{
    const uint64_t id = (uint64_t)sqlite3_column_int64(row, 0), number = (uint64_t)sqlite3_column_int64(row, 1);
    const uint64_t seq = (uint64_t)sqlite3_column_int64(row, 3);
    struct connection *connection = number < check->ledger->count ? &check->ledger->connections[number] : NULL;
    const struct message *message = NULL;

    if (!connection || connection->found >= connection->count || connection->given_at > check->position)
        return is_wrong(check, "row %" PRIu64 ", connection %" PRIu64 ": nobody has put it", id, number);
    message = &connection->messages[connection->found];
    if (seq != connection->found + 1)
        return is_wrong(check, "row %" PRIu64 ": message %" PRIu64 " of connection %" PRIu64 " where %zu is due", id,
                        seq, number, connection->found + 1);
    if (message->id && message->id != id)
        return is_wrong(check, "message %" PRIu64 " of connection %" PRIu64 " has id %" PRIu64 " and had %" PRIu64, seq,
                        number, id, message->id);
    if (id != check->last_id + 1) return is_wrong(check, "row %" PRIu64 " comes behind %" PRIu64, id, check->last_id);
    if ((uint64_t)sqlite3_column_int64(row, 9) != connection->last_id)
        return is_wrong(check, "row %" PRIu64 " points to %lld and not to %" PRIu64, id, sqlite3_column_int64(row, 9),
                        connection->last_id);
    if (sqlite3_column_int64(row, 4) != message->time_us) return is_wrong(check, "row %" PRIu64 ": its time", id);
    check->last_id = connection->last_id = id;
    check->is_end_of_batch = message->ends_batch;
    connection->found++;
    return is_content_right(check, row, number, seq) && is_step_right(check, steps, message->time_us, id);
}

static bool are_messages_right(struct check *check)
{
    sqlite3_stmt *rows = prepare(check, "SELECT id, connection, direction, seq, time, flags, original_len,"
                                        " crc32c, bytes, previous FROM message ORDER BY id");
    sqlite3_stmt *steps = prepare(check, "SELECT first_message, before, after FROM step ORDER BY first_message");
    bool is_right = rows && steps;
    int code = SQLITE_ROW;

    while (is_right && (code = sqlite3_step(rows)) == SQLITE_ROW)
        is_right = is_message_right(check, rows, steps);
    if (is_right && code != SQLITE_DONE) is_right = is_sql_wrong(check);
    if (is_right && sqlite3_step(steps) != SQLITE_DONE) is_right = is_wrong(check, "a step is noted that is none");
    if (is_right && check->last_id && !check->is_end_of_batch)
        is_right = is_wrong(check, "a part of a batch is stored: it ends with row %" PRIu64, check->last_id);
    sqlite3_finalize(rows);
    sqlite3_finalize(steps);
    return is_right && are_seconds_right(check);
}

static bool is_text(sqlite3_stmt *row, int column, const char *expected)
{
    const char *text = (const char *)sqlite3_column_text(row, column);

    return text && strcmp(text, expected) == 0;
}

/* An end that nobody has put is that of a killed session, and no promise. */
static bool is_end_right(struct connection *connection, sqlite3_stmt *row)
{
    const size_t found = connection->found;
    const int64_t last_us = found ? connection->messages[found - 1].time_us : connection->opened_us;

    if (sqlite3_column_type(row, 5) == SQLITE_NULL) return true;
    if (is_text(row, 6, killed)) return sqlite3_column_int64(row, 5) == last_us;
    connection->is_closed_found = true;
    return sqlite3_column_int64(row, 5) == connection->closed_us && is_text(row, 6, closing);
}

static bool is_connection_right(struct check *check, sqlite3_stmt *row)
{
    const uint64_t number = (uint64_t)sqlite3_column_int64(row, 0);
    struct connection *connection = number < check->ledger->count ? &check->ledger->connections[number] : NULL;
    const char *frame = opening + strlen(opening) + 1, *peer = frame + strlen(frame) + 1;

    if (!connection || connection->given_at > check->position)
        return is_wrong(check, "connection %" PRIu64 ": nobody has opened it", number);
    connection->is_row_found = true;
    if (!is_text(row, 1, opening) || !is_text(row, 2, frame) || !is_text(row, 3, peer) ||
        sqlite3_column_int64(row, 4) != connection->opened_us)
        return is_wrong(check, "what is told of connection %" PRIu64 " is altered", number);
    if (!is_end_right(connection, row)) return is_wrong(check, "the end of connection %" PRIu64 " is altered", number);
    if ((uint64_t)sqlite3_column_int64(row, 7) != connection->last_id)
        return is_wrong(check, "the head of connection %" PRIu64 " is %lld and not %" PRIu64, number,
                        sqlite3_column_int64(row, 7), connection->last_id);
    return true;
}

static bool are_connections_right(struct check *check)
{
    sqlite3_stmt *rows = prepare(check, "SELECT id, listener, frame, peer, opened, closed, reason, last_message"
                                        " FROM connection ORDER BY id");
    bool is_right = rows != NULL;
    int code = SQLITE_ROW;

    while (is_right && (code = sqlite3_step(rows)) == SQLITE_ROW)
        is_right = is_connection_right(check, rows);
    if (is_right && code != SQLITE_DONE) is_right = is_sql_wrong(check);
    sqlite3_finalize(rows);
    return is_right;
}

/* What the store had said that it has. */
static bool is_kept(struct check *check, uint64_t number)
{
    const struct connection *connection = &check->ledger->connections[number];

    if (connection->opened_at <= check->position && !connection->is_row_found)
        return is_wrong(check, "connection %" PRIu64 " was stored and is missing", number);
    if (connection->closed_at <= check->position && !connection->is_closed_found)
        return is_wrong(check, "the end of connection %" PRIu64 " was stored and is missing", number);
    if (connection->found < connection->count && connection->messages[connection->found].stored_at <= check->position)
        return is_wrong(check, "message %zu of connection %" PRIu64 " (id %" PRIu64 ") was stored and is missing",
                        connection->found + 1, number, connection->messages[connection->found].id);
    if (connection->given_at <= check->position && store_next_connection(check->store) <= number)
        return is_wrong(check, "number %" PRIu64 " would mean two connections", number);
    return true;
}

static bool is_all_kept(struct check *check)
{
    if (store_last_message(check->store) != check->last_id)
        return is_wrong(check, "the store goes on behind %" PRIu64 " and ends with %" PRIu64,
                        store_last_message(check->store), check->last_id);
    for (uint64_t number = 0; number < check->ledger->count; number++)
        if (!is_kept(check, number)) return false;
    return true;
}

/* As SQLite sees it. */
static bool is_whole(struct check *check)
{
    sqlite3_stmt *statement = prepare(check, "PRAGMA integrity_check");
    bool is_right = statement && sqlite3_step(statement) == SQLITE_ROW;

    if (is_right && !is_text(statement, 0, "ok"))
        is_right = is_wrong(check, "integrity_check: %s", sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
    return is_right;
}

/* A store that is right is also one that goes on. */
static bool takes_more(struct check *check)
{
    struct head head = { .connection = store_next_connection(check->store) };
    struct batch *batch = batch_new(0, 1024);
    struct record *open = batch ? put(batch, &head, RECORD_OPEN, sizeof(opening), 1) : NULL;
    struct record *message = batch ? put(batch, &head, RECORD_MESSAGE, 0, 1) : NULL;
    bool is_right = open && message;

    if (is_right) memcpy(open->bytes, opening, sizeof(opening));
    is_right = is_right && store_begin(check->store) == STORE_STORED &&
               store_add(check->store, batch) == STORE_STORED && store_commit(check->store) == STORE_STORED &&
               message->id == check->last_id + 1;
    free(batch);
    return is_right || is_wrong(check, "it takes nothing more: %s", store_text(check->store));
}

static void forget_last_check(struct ledger *ledger)
{
    for (size_t i = 0; i < ledger->count; i++) {
        struct connection *connection = &ledger->connections[i];

        connection->found = 0;
        connection->last_id = 0;
        connection->is_row_found = connection->is_closed_found = false;
    }
}

bool ledger_check_log(const char *path, char fault[LEDGER_FAULT_BYTES_MAX])
{
    struct check check = { .path = path, .fault = fault };

    return are_files_right(&check);
}

bool ledger_check(struct ledger *ledger, const char *path, size_t position, bool thoroughly,
                  char fault[LEDGER_FAULT_BYTES_MAX])
{
    struct check check = { .ledger = ledger, .path = path, .position = position, .fault = fault };
    bool is_right = false;

    forget_last_check(ledger);
    is_right = open_store(&check) && are_messages_right(&check) && are_connections_right(&check) &&
               is_all_kept(&check) && (!thoroughly || is_whole(&check));
    sqlite3_close(check.db);
    is_right = is_right && takes_more(&check);
    store_close(check.store);
    return is_right;
}

/* ---- After the cut ---- */

static void cut_connection(struct connection *connection, size_t position)
{
    if (connection->given_at > position) {
        free(connection->messages);
        *connection = (struct connection){ .given_at = NEVER, .opened_at = NEVER, .closed_at = NEVER };
        return;
    }
    connection->given_at = 0;
    connection->opened_at = connection->is_row_found ? 0 : NEVER;
    connection->closed_at = connection->is_closed_found ? 0 : NEVER;
    connection->count = connection->found;
    for (size_t i = 0; i < connection->count; i++)
        connection->messages[i].stored_at = 0;
}

void ledger_go_on(struct ledger *ledger, size_t position)
{
    for (size_t i = 0; i < ledger->count; i++)
        cut_connection(&ledger->connections[i], position);
}

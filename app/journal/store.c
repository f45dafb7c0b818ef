/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app/journal/store.c: rows in, and a word about each transaction. SQLite does the rest: a transaction is a stretch of
 * the write-ahead log with checksums, and counts once its last frame is there; with synchronous=FULL the log is synced
 * before COMMIT returns. Nothing here, or elsewhere in the process, may open or close the database's files by another
 * route: closing any descriptor of such a file drops all of the process's locks on it (fcntl(2)). */
#include "store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "journal/batch_table.h"
#include "journal/schema.h"

enum {
    CACHE_KIB = 16 * 1024,
    OPEN_BUSY_MS = 5000,  /* a reader that came first puts the log in order, and holds it meanwhile */
    NUMBERS_AHEAD = 1000, /* connections' numbers that are taken in one go */
    ROW_BYTES = 32,       /* what a message takes up besides its bytes, nearly */
    TEXT_BYTES_MAX = 400
};

enum statement {
    BEGIN,
    COMMIT,
    ROLLBACK,
    ADD_MESSAGES,
    ADD_SECOND,
    ADD_CONNECTION,
    CLOSE_CONNECTION,
    SET_HEAD,
    SET_META,
    DATA_VERSION,
    FIND_MESSAGE,
    OLDEST_MESSAGES,
    DELETE_MESSAGES,
    DELETE_SECONDS,
    FIND_SWEEP_END,
    DELETE_CONNECTIONS,
    COUNT_PAGES,
    COUNT_FREE_PAGES,
    STATEMENT_COUNT
};

static const char find_sweep_end[] = "SELECT max(id), max(opened) FROM"
                                     " (SELECT id, opened FROM connection WHERE id > ? ORDER BY id LIMIT ?)";
static const char delete_connections[] = "DELETE FROM connection WHERE id > ?1 AND id <= ?2 AND last_message <= ?3"
                                         " AND (closed <= ?4 OR (closed IS NULL AND id < ?5 AND opened <= ?4))";

static const char *const statement_texts[STATEMENT_COUNT] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    /* Without an id a row is put behind the last one, which needs no search for its place. The newest row must stay for
     * that. OR ROLLBACK: a transaction is given up whole, so nothing is noted down for giving up this part of it. */
    [ADD_MESSAGES] = "INSERT OR ROLLBACK INTO message SELECT NULL, * FROM batch",
    [ADD_SECOND] = "INSERT OR IGNORE INTO second VALUES (?, ?)",
    [ADD_CONNECTION] = "INSERT OR IGNORE INTO connection (id, listener, frame, peer, opened) VALUES (?, ?, ?, ?, ?)",
    [CLOSE_CONNECTION] = "UPDATE connection SET closed = ?, reason = ?, last_message = ? WHERE id = ?",
    [SET_HEAD] = "UPDATE connection SET last_message = ? WHERE id = ?",
    [SET_META] = "INSERT OR REPLACE INTO meta VALUES (?, ?)",
    [DATA_VERSION] = "PRAGMA data_version",
    [FIND_MESSAGE] = "SELECT connection, seq, crc32c FROM message WHERE id = ?",
    [OLDEST_MESSAGES] = "SELECT id, time, length(bytes) FROM message WHERE id < ? ORDER BY id",
    [DELETE_MESSAGES] = "DELETE FROM message WHERE id <= ?",
    [DELETE_SECONDS] = "DELETE FROM second WHERE time < ?",
    [FIND_SWEEP_END] = find_sweep_end,
    [DELETE_CONNECTIONS] = delete_connections,
    [COUNT_PAGES] = "PRAGMA page_count",
    [COUNT_FREE_PAGES] = "PRAGMA freelist_count",
};

struct store {
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENT_COUNT];
    struct batch_table adding; /* to ADD_MESSAGES */
    uint64_t last_message;     /* stored */
    uint64_t next_message;     /* ahead of last_message + 1 inside a transaction */
    int64_t last_second;       /* that has its row, or will with this transaction */
    int64_t seconds_stored;    /* last_second before the transaction */
    uint64_t next_connection;  /* the number after the highest one seen */
    uint64_t numbers_taken;    /* no connection has a number of at least this; 0: what is stored has to be set anew */
    int64_t data_version;      /* changes when somebody else has written */
    uint64_t newest_first;     /* the first message of the last transaction that had one */
    uint64_t deleted_until;    /* the last message that was deleted */
    uint64_t heads_until;      /* up to which every connection's last message is written, as the store says */
    uint64_t swept;            /* connections up to this one were looked at in this round */
    int64_t pages, free_pages;
    int64_t pages_secured; /* the file has taken up room for so many at least */
    int log_pages;
    int64_t log_sequence; /* of the log as of the last commit: how often it has begun anew; -1: not known */
    int page_bytes;
    bool can_shrink;
    bool is_room_ample;
    bool is_full;
    char text[TEXT_BYTES_MAX];
};

/* ---- What SQLite says ---- */

static void __attribute__((format(printf, 2, 3))) say(struct store *store, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(store->text, sizeof(store->text), format, arguments);
    va_end(arguments);
}

/* Whether a failed call leaves no doubt that nothing was stored: SQLite knew it before it wrote, or has undone it. */
static bool is_refusal(int code)
{
    switch (code & 0xff) {
    case SQLITE_FULL:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_NOMEM:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_TOOBIG:
        return true;
    default:
        return false;
    }
}

/* What it would have stored is not. */
static void forget_transaction(struct store *store)
{
    store->next_message = store->last_message + 1;
    store->last_second = store->seconds_stored;
    store->numbers_taken = 0; /* not known any more: taken anew with the next connection */
}

/* What the system said of the last call that failed on one of its files; 0: nothing. SQLite itself passes it on for
 * some statements, and not for COMMIT. */
static int system_error(struct store *store, int code)
{
    sqlite3_file *log = NULL;
    int error = sqlite3_system_errno(store->db);

    if ((code & 0xff) != SQLITE_IOERR || error) return error;
    if (sqlite3_file_control(store->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log) == SQLITE_OK && log->pMethods)
        log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &error);
    if (!error) sqlite3_file_control(store->db, "main", SQLITE_FCNTL_LAST_ERRNO, &error);
    return error;
}

static void say_error(struct store *store, int code)
{
    const int system = system_error(store, code);

    say(store, "%s%s%s", sqlite3_errmsg(store->db), system ? ": " : "", system ? strerror(system) : "");
}

/* Ends the transaction, and says why. */
static enum store_outcome fail(struct store *store, int code)
{
    say_error(store, code);
    if (!sqlite3_get_autocommit(store->db)) sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    forget_transaction(store);
    store->is_full = (code & 0xff) == SQLITE_FULL;
    return is_refusal(code) ? STORE_REFUSED : STORE_UNKNOWN;
}

/* Runs a statement whose parameters are bound. */
static enum store_outcome run(struct store *store, enum statement which)
{
    sqlite3_stmt *const statement = store->statements[which];
    const int code = sqlite3_step(statement);
    enum store_outcome outcome = STORE_STORED;

    if (code != SQLITE_DONE && code != SQLITE_ROW) outcome = fail(store, code);
    sqlite3_reset(statement);
    return outcome;
}

/* ---- Opening ---- */

/* A pragma is a wish: what became of it is read back. */
static int set_pragma(struct store *store, const char *name, const char *value, const char *expected)
{
    sqlite3_stmt *statement = NULL;
    const char *found = NULL;
    char text[128];
    int code = SQLITE_OK;

    snprintf(text, sizeof(text), "PRAGMA %s = %s", name, value);
    code = sqlite3_exec(store->db, text, NULL, NULL, NULL);
    snprintf(text, sizeof(text), "PRAGMA %s", name);
    if (code == SQLITE_OK) code = sqlite3_prepare_v2(store->db, text, -1, &statement, NULL);
    if (code == SQLITE_OK) code = sqlite3_step(statement);
    if (code == SQLITE_ROW) found = (const char *)sqlite3_column_text(statement, 0);
    if (code == SQLITE_ROW && !found) code = SQLITE_NOMEM;
    if (code == SQLITE_ROW && strcmp(found, expected) != 0) {
        say(store, "cannot set %s to %s here: it is %s", name, value, found);
        code = SQLITE_MISUSE;
    }
    sqlite3_finalize(statement);
    return code == SQLITE_ROW ? SQLITE_OK : code;
}

/* The page size and that it can shrink count for a new database only. Checkpoints are ours: one that a commit runs into
 * holds it up. What was deleted is not overwritten where that would be one more write (Debian's default). */
static int set_pragmas(struct store *store)
{
    static const struct {
        const char *name, *value, *expected;
    } pragmas[] = {
        { "journal_mode", "WAL", "wal" },       { "synchronous", "FULL", "2" }, { "wal_autocheckpoint", "0", "0" },
        { "locking_mode", "NORMAL", "normal" }, { "foreign_keys", "0", "0" },   { "cell_size_check", "1", "1" },
        { "secure_delete", "FAST", "2" },
    };
    char cache[32];
    int code = sqlite3_exec(store->db, "PRAGMA page_size = 8192; PRAGMA auto_vacuum = INCREMENTAL", NULL, NULL, NULL);

    for (size_t i = 0; i < sizeof(pragmas) / sizeof(pragmas[0]) && code == SQLITE_OK; i++)
        code = set_pragma(store, pragmas[i].name, pragmas[i].value, pragmas[i].expected);
    snprintf(cache, sizeof(cache), "-%d", CACHE_KIB);
    return code == SQLITE_OK ? set_pragma(store, "cache_size", cache, cache) : code;
}

static int prepare_statements(struct store *store)
{
    int code = SQLITE_OK;

    for (int i = 0; i < STATEMENT_COUNT && code == SQLITE_OK; i++)
        code = sqlite3_prepare_v3(store->db, statement_texts[i], -1, SQLITE_PREPARE_PERSISTENT, &store->statements[i],
                                  NULL);
    return code;
}

static int read_number(struct store *store, const char *sql, int64_t *ret)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL);

    if (code == SQLITE_OK) code = sqlite3_step(statement);
    if (code == SQLITE_ROW) *ret = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return code == SQLITE_ROW ? SQLITE_OK : code;
}

static int count_pages(const struct store *store, int64_t *ret_pages, int64_t *ret_free_pages)
{
    static const enum statement which[] = { COUNT_PAGES, COUNT_FREE_PAGES };
    int64_t *const counts[] = { ret_pages, ret_free_pages };
    int code = SQLITE_ROW;

    for (size_t i = 0; i < 2 && code == SQLITE_ROW; i++) {
        sqlite3_stmt *const statement = store->statements[which[i]];

        code = sqlite3_step(statement);
        if (code == SQLITE_ROW) *counts[i] = sqlite3_column_int64(statement, 0);
        sqlite3_reset(statement);
    }
    return code == SQLITE_ROW ? SQLITE_OK : code;
}

static int read_state(struct store *store)
{
    int64_t deleted = 0, auto_vacuum = 0;
    int64_t message = 0, second = 0, connection = 0, taken = 0, heads = 0, page_bytes = 0;
    /* First: whoever writes between these readings is noticed later. */
    int code = read_number(store, "PRAGMA data_version", &store->data_version);

    if (code == SQLITE_OK) code = read_number(store, "SELECT coalesce(max(id), 0) FROM message", &message);
    if (code == SQLITE_OK) code = read_number(store, "SELECT coalesce(max(time), 0) FROM second", &second);
    if (code == SQLITE_OK) code = read_number(store, "SELECT coalesce(max(id), 0) FROM connection", &connection);
    if (code == SQLITE_OK)
        code = read_number(store, "SELECT coalesce((SELECT value FROM meta WHERE key = 'numbers_taken'), 1)", &taken);
    if (code == SQLITE_OK)
        code = read_number(store, "SELECT coalesce((SELECT value FROM meta WHERE key = 'heads_until'), 0)", &heads);
    if (code == SQLITE_OK) code = read_number(store, "PRAGMA page_size", &page_bytes);
    if (code == SQLITE_OK) code = read_number(store, "SELECT coalesce(min(id), 1) - 1 FROM message", &deleted);
    if (code == SQLITE_OK) code = read_number(store, "PRAGMA auto_vacuum", &auto_vacuum);
    if (code != SQLITE_OK) return code;
    store->deleted_until = (uint64_t)deleted;
    store->can_shrink = auto_vacuum == 2;
    store->heads_until = (uint64_t)heads;
    store->last_message = (uint64_t)message;
    store->newest_first = store->last_message;
    store->next_message = store->last_message + 1;
    store->last_second = store->seconds_stored = second;
    store->next_connection = (uint64_t)(connection + 1 > taken ? connection + 1 : taken);
    store->page_bytes = (int)page_bytes;
    return SQLITE_OK;
}

static enum store_outcome set_meta(struct store *store, const char *key, int64_t value)
{
    sqlite3_stmt *const statement = store->statements[SET_META];

    sqlite3_bind_text(statement, 1, key, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 2, value);
    return run(store, SET_META);
}

/* Numbers are taken before they are given, so that a kill cannot give one twice. */
static enum store_outcome reserve_numbers(struct store *store)
{
    if (store->numbers_taken > store->next_connection + NUMBERS_AHEAD / 2) return STORE_STORED;
    store->numbers_taken = store->next_connection + NUMBERS_AHEAD;
    return set_meta(store, "numbers_taken", (int64_t)store->numbers_taken);
}

/* The heads of a second at most are behind after a kill. */
static int rebuild_heads(struct store *store)
{
    static const char text[] =
        "UPDATE connection SET last_message = newer.id FROM"
        " (SELECT connection, max(id) AS id FROM message"
        "  WHERE id > coalesce((SELECT value FROM meta WHERE key = 'heads_until'), 0) GROUP BY connection) AS newer"
        " WHERE connection.id = newer.connection";

    return sqlite3_exec(store->db, text, NULL, NULL, NULL);
}

static int on_commit(void *user, sqlite3 *db, const char *name, int pages)
{
    struct store *const store = user;

    (void)db;
    (void)name;
    store->log_pages = pages;
    return SQLITE_OK;
}

static int prepare(struct store *store)
{
    int code = sqlite3_extended_result_codes(store->db, 1);

    if (code == SQLITE_OK) code = schema_check(store->db, store->text, sizeof(store->text));
    if (code == SQLITE_OK) code = set_pragmas(store);
    sqlite3_wal_hook(store->db, on_commit, store); /* wal_autocheckpoint, whatever its value, takes its place */
    if (code == SQLITE_OK) code = schema_prepare(store->db);
    if (code == SQLITE_OK) code = rebuild_heads(store);
    if (code == SQLITE_OK) code = read_state(store);
    if (code == SQLITE_OK) code = batch_table_add(store->db, &store->adding);
    if (code == SQLITE_OK) code = prepare_statements(store);
    return code == SQLITE_OK ? count_pages(store, &store->pages, &store->free_pages) : code;
}

int store_open(const char *path, struct store **ret, char error[STORE_ERROR_BYTES_MAX])
{
    struct store *const store = calloc(1, sizeof(*store));
    int code = SQLITE_NOMEM;

    if (!store) goto failed;
    store->log_sequence = -1;
    code = sqlite3_open_v2(path, &store->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (code == SQLITE_OK) code = sqlite3_busy_timeout(store->db, OPEN_BUSY_MS);
    if (code == SQLITE_OK) code = prepare(store);
    if (code == SQLITE_OK) code = reserve_numbers(store) == STORE_STORED ? SQLITE_OK : SQLITE_ERROR;
    if (code != SQLITE_OK) goto failed;
    sqlite3_busy_timeout(store->db, 0); /* from now on nobody waits, and the writer tries again */
    *ret = store;
    return 0;

failed:
    if (store && store->db && !store->text[0]) say_error(store, code);
    snprintf(error, STORE_ERROR_BYTES_MAX, "store %s: %s", path, store && store->db ? store->text : strerror(ENOMEM));
    store_close(store);
    return code == SQLITE_NOMEM ? -ENOMEM : code == SQLITE_FULL ? -ENOSPC : -EIO;
}

void store_close(struct store *store)
{
    if (!store) return;
    for (int i = 0; i < STATEMENT_COUNT; i++)
        sqlite3_finalize(store->statements[i]);
    sqlite3_close(store->db);
    free(store);
}

void store_abandon(struct store *store)
{
    if (store) sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    store_close(store);
}

uint64_t store_next_connection(const struct store *store)
{
    return store->next_connection;
}

int64_t store_log_bytes(const struct store *store)
{
    return (int64_t)store->log_pages * store->page_bytes;
}

const char *store_text(const struct store *store)
{
    return store->text;
}

uint64_t store_last_message(const struct store *store)
{
    return store->last_message;
}

/* ---- A transaction ---- */

/* How often the log has begun anew, from its header (https://www.sqlite.org/fileformat2.html#the_write_ahead_log), by
 * the descriptor that SQLite has of it; -1: it cannot be read. */
static int64_t read_log_sequence(const struct store *store)
{
    sqlite3_file *log = NULL;
    unsigned char bytes[4];

    if (sqlite3_file_control(store->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, (void *)&log) != SQLITE_OK) return -1;
    if (!log || !log->pMethods || log->pMethods->xRead(log, bytes, sizeof(bytes), 12) != SQLITE_OK) return -1;
    return (int64_t)bytes[0] << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[3];
}

/* Behind a commit. When the log has begun anew though we had not moved all of it, somebody else has moved it, perhaps
 * without a sync of the database, and what was stored before is in doubt until that is synced. */
static enum store_outcome check_foreign_checkpoint(struct store *store, bool was_moved)
{
    const int64_t before = store->log_sequence;

    store->log_sequence = read_log_sequence(store);
    if (was_moved || before < 0 || store->log_sequence < 0 || store->log_sequence == before) return STORE_STORED;
    fail(store, SQLITE_ERROR);
    say(store, "another program has moved its log to the database");
    return STORE_UNKNOWN;
}

/* Somebody else's commit since ours: what we know of the tables may be wrong. (Or his checkpoint that began the log
 * anew, which is as little his to do.) */
enum store_outcome store_check_foreign_writer(struct store *store)
{
    sqlite3_stmt *const statement = store->statements[DATA_VERSION];
    const int code = sqlite3_step(statement);
    const int64_t version = code == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : store->data_version;

    sqlite3_reset(statement);
    if (code != SQLITE_ROW) return fail(store, code);
    if (version == store->data_version) return STORE_STORED;
    fail(store, SQLITE_ERROR);
    say(store, "another program has written to it, or moved its log to the database");
    return STORE_UNKNOWN;
}

enum store_outcome store_begin(struct store *store)
{
    const enum store_outcome outcome = run(store, BEGIN);

    return outcome == STORE_STORED ? store_check_foreign_writer(store) : outcome;
}

/* A row a second says where reading by time begins. */
static enum store_outcome note_second(struct store *store, int64_t time_us, uint64_t id)
{
    sqlite3_stmt *const statement = store->statements[ADD_SECOND];
    const int64_t second = time_us / 1000000;

    if (second <= store->last_second) return STORE_STORED; /* also a clock that was set back: order is by id */
    store->last_second = second;
    sqlite3_bind_int64(statement, 1, second);
    sqlite3_bind_int64(statement, 2, (int64_t)id);
    return run(store, ADD_SECOND);
}

/* All messages of a batch. The ids are known before the rows are there, for `previous`; that they are the rows' is seen
 * afterwards. */
static enum store_outcome add_messages(struct store *store, struct batch *batch)
{
    enum store_outcome outcome = STORE_STORED;

    store->adding.batch = batch;
    outcome = run(store, ADD_MESSAGES);
    if (outcome != STORE_STORED || sqlite3_last_insert_rowid(store->db) == (int64_t)store->next_message - 1)
        return outcome;
    fail(store, SQLITE_CORRUPT);
    say(store, "its newest message is not the one that was stored last");
    return STORE_UNKNOWN;
}

static enum store_outcome count_message(struct store *store, struct record *record)
{
    record->id = store->next_message++;
    record->previous = record->head->last_message;
    record->head->last_message = record->id;
    return note_second(store, record->time_us, record->id);
}

/* A transaction without messages is tried again when it is not known to be stored: then the row is there. */
static enum store_outcome add_connection(struct store *store, const struct record *record)
{
    sqlite3_stmt *const statement = store->statements[ADD_CONNECTION];
    const char *const listener = (const char *)record->bytes;
    const char *const frame = listener + strlen(listener) + 1;
    const char *const peer = frame + strlen(frame) + 1;
    const uint64_t number = record->head->connection;
    enum store_outcome outcome = STORE_STORED;

    sqlite3_bind_int64(statement, 1, (int64_t)number);
    sqlite3_bind_text(statement, 2, listener, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 3, frame, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 4, peer, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 5, record->time_us);
    outcome = run(store, ADD_CONNECTION);
    if (outcome != STORE_STORED) return outcome;
    if (number >= store->next_connection) store->next_connection = number + 1;
    return reserve_numbers(store);
}

static enum store_outcome close_connection(struct store *store, const struct record *record)
{
    sqlite3_stmt *const statement = store->statements[CLOSE_CONNECTION];

    sqlite3_bind_int64(statement, 1, record->time_us);
    sqlite3_bind_text(statement, 2, (const char *)record->bytes, (int)record->len, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 3, (int64_t)record->head->last_message);
    sqlite3_bind_int64(statement, 4, (int64_t)record->head->connection);
    return run(store, CLOSE_CONNECTION);
}

static enum store_outcome add_record(struct store *store, struct record *record)
{
    switch ((enum record_kind)record->kind) {
    case RECORD_OPEN:
        return add_connection(store, record);
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

enum store_outcome store_set_head(struct store *store, const struct head *head)
{
    sqlite3_stmt *const statement = store->statements[SET_HEAD];

    sqlite3_bind_int64(statement, 1, (int64_t)head->last_message);
    sqlite3_bind_int64(statement, 2, (int64_t)head->connection);
    return run(store, SET_HEAD);
}

enum store_outcome store_set_heads_until(struct store *store)
{
    const uint64_t until = store->next_message - 1;
    const enum store_outcome outcome = set_meta(store, "heads_until", (int64_t)until);

    if (outcome == STORE_STORED) store->heads_until = until;
    return outcome;
}

bool store_heads_are_behind(const struct store *store)
{
    return store->heads_until < store->last_message;
}

/* The file grows to this length at least, and has room for it. Without a chunk's size SQLITE_FCNTL_SIZE_HINT does
 * nothing; with one, checkpoints would do the same. */
static int grow_file(struct store *store, int64_t bytes)
{
    int none = 0;
    int code = sqlite3_file_control(store->db, "main", SQLITE_FCNTL_CHUNK_SIZE, &store->page_bytes);

    if (code == SQLITE_OK) code = sqlite3_file_control(store->db, "main", SQLITE_FCNTL_SIZE_HINT, &bytes);
    sqlite3_file_control(store->db, "main", SQLITE_FCNTL_CHUNK_SIZE, &none);
    return code;
}

/* Takes up the room that the database will need. Whatever but want of room may keep it from being written is for the
 * checkpoint to find: the log takes it meanwhile. */
static enum store_outcome secure_room(struct store *store, int64_t pages)
{
    int error = 0;

    if (pages <= store->pages_secured || store->is_room_ample) return STORE_STORED;
    if (grow_file(store, pages * store->page_bytes) != SQLITE_OK)
        sqlite3_file_control(store->db, "main", SQLITE_FCNTL_LAST_ERRNO, &error);
    if (error == ENOSPC || error == EDQUOT || error == EFBIG) {
        fail(store, SQLITE_FULL);
        say(store, "%s", error == ENOSPC ? sqlite3_errstr(SQLITE_FULL) : strerror(error)); /* as of the log */
        return STORE_REFUSED;
    }
    store->pages_secured = pages;
    return STORE_STORED;
}

enum store_outcome store_commit(struct store *store)
{
    const bool was_log_moved = store->log_pages == 0;
    int64_t pages = 0, free_pages = 0;
    const int code = count_pages(store, &pages, &free_pages); /* while it costs nothing to look */
    enum store_outcome outcome = code == SQLITE_OK ? secure_room(store, pages) : fail(store, code);

    if (outcome == STORE_STORED) outcome = run(store, COMMIT);
    if (outcome != STORE_STORED) return outcome;
    store->pages = pages;
    store->free_pages = free_pages;
    if (store->next_message > store->last_message + 1) store->newest_first = store->last_message + 1;
    store->last_message = store->next_message - 1;
    store->seconds_stored = store->last_second;
    return check_foreign_checkpoint(store, was_log_moved);
}

enum store_outcome store_seal(struct store *store)
{
    enum store_outcome outcome = store_begin(store);

    if (outcome == STORE_STORED) outcome = store_set_heads_until(store);
    if (outcome == STORE_STORED) outcome = set_meta(store, "numbers_taken", (int64_t)store->next_connection);
    return outcome == STORE_STORED ? store_commit(store) : outcome;
}

bool store_has(struct store *store, const struct record *record)
{
    sqlite3_stmt *const statement = store->statements[FIND_MESSAGE];
    bool has = false;

    sqlite3_bind_int64(statement, 1, (int64_t)record->id);
    if (sqlite3_step(statement) == SQLITE_ROW)
        has = sqlite3_column_int64(statement, 0) == (int64_t)record->head->connection &&
              sqlite3_column_int64(statement, 1) == (int64_t)record->seq &&
              sqlite3_column_int64(statement, 2) == record->crc32c;
    sqlite3_reset(statement);
    return has;
}

void store_rollback(struct store *store)
{
    run(store, ROLLBACK);
    forget_transaction(store);
}

/* ---- What goes ---- */

/* The last message that is to go; 0: none. */
struct cut {
    uint64_t id;
    int64_t time_us;
};

/* A message that is too old takes with it all that was stored before it, whatever their times. */
static enum store_outcome find_cut(struct store *store, const struct store_deletion *what, struct cut *cut,
                                   struct store_deleted *deleted)
{
    sqlite3_stmt *const statement = store->statements[OLDEST_MESSAGES];
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
    return code == SQLITE_ROW || code == SQLITE_DONE ? STORE_STORED : fail(store, code);
}

/* The last of the seconds before the cut's may begin with messages that have gone; who reads from there finds the first
 * that has not. */
static enum store_outcome delete_until(struct store *store, const struct cut *cut)
{
    enum store_outcome outcome = STORE_STORED;

    sqlite3_bind_int64(store->statements[DELETE_MESSAGES], 1, (int64_t)cut->id);
    sqlite3_bind_int64(store->statements[DELETE_SECONDS], 1, cut->time_us / 1000000);
    outcome = run(store, DELETE_MESSAGES);
    return outcome == STORE_STORED ? run(store, DELETE_SECONDS) : outcome;
}

/* Connections are numbered as they come, but end in any order, and one that lives long must hold up nobody. So they are
 * looked at in rounds, some in each step, from the first one up to where none can be old enough. */
static enum store_outcome sweep_connections(struct store *store, const struct store_deletion *what, uint64_t until,
                                            int64_t until_us, struct store_deleted *deleted)
{
    sqlite3_stmt *const find = store->statements[FIND_SWEEP_END];
    sqlite3_stmt *const delete = store->statements[DELETE_CONNECTIONS];
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
    if (code != SQLITE_ROW) return fail(store, code);
    sqlite3_bind_int64(delete, 1, (int64_t)store->swept);
    sqlite3_bind_int64(delete, 2, end);
    sqlite3_bind_int64(delete, 3, (int64_t)until);
    sqlite3_bind_int64(delete, 4, until_us);
    sqlite3_bind_int64(delete, 5, (int64_t)what->first_connection);
    outcome = run(store, DELETE_CONNECTIONS);
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

enum store_outcome store_give_back(struct store *store, int64_t bytes)
{
    enum store_outcome outcome = store_begin(store);
    char text[64];
    int code = SQLITE_OK;

    snprintf(text, sizeof(text), "PRAGMA incremental_vacuum(%" PRId64 ")", bytes / store->page_bytes + 1);
    if (outcome == STORE_STORED) code = sqlite3_exec(store->db, text, NULL, NULL, NULL);
    if (code != SQLITE_OK) return fail(store, code);
    return outcome == STORE_STORED ? store_commit(store) : outcome;
}

void store_size(const struct store *store, struct store_size *ret)
{
    *ret = (struct store_size){ .used_bytes = (store->pages - store->free_pages) * store->page_bytes,
                                .file_bytes = store->pages * store->page_bytes,
                                .can_shrink = store->can_shrink };
}

bool store_is_full(const struct store *store)
{
    return store->is_full;
}

void store_set_room(struct store *store, bool is_ample)
{
    store->is_room_ample = is_ample;
}

/* ---- The log ---- */

enum store_outcome store_set_log_bytes_max(struct store *store, int64_t bytes)
{
    char text[64];
    int code = SQLITE_OK;

    snprintf(text, sizeof(text), "PRAGMA journal_size_limit = %" PRId64, bytes);
    code = sqlite3_exec(store->db, text, NULL, NULL, NULL);
    return code == SQLITE_OK ? STORE_STORED : fail(store, code);
}

enum store_outcome store_checkpoint(struct store *store, int64_t *ret_left)
{
    int pages = 0, moved = 0;
    const int code = sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &pages, &moved);

    store->pages_secured = 0;           /* it may have been cut */
    if ((code & 0xff) == SQLITE_BUSY) { /* somebody else is at it */
        *ret_left = store_log_bytes(store);
        return STORE_STORED;
    }
    if (code != SQLITE_OK) return fail(store, code);
    *ret_left = (int64_t)(pages - moved) * store->page_bytes;
    if (pages == moved) store->log_pages = 0;
    return STORE_STORED;
}

enum store_outcome store_empty_log(struct store *store)
{
    const int code = sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);

    store->pages_secured = 0;
    if (code != SQLITE_OK) return fail(store, code);
    store->log_pages = 0;
    return STORE_STORED;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Rows in, and a word about each transaction. SQLite does the rest: a transaction is a stretch of
 * the write-ahead log with checksums, and counts once its last frame is there; with synchronous=FULL the log is synced
 * before COMMIT returns. Nothing here, or elsewhere in the process, may open or close the database's files by another
 * route: closing any descriptor of such a file drops all of the process's locks on it (fcntl(2)). What SQLite believes
 * of the log, an index in memory says; so a log that somebody else has cut or written over must never be moved: that
 * would write what is there now over the database. */
#include "store.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/bytes.h"
#include "batch_table.h"
#include "header.h"
#include "schema.h"
#include "wal.h"

enum {
    CACHE_BYTES_AT_OPEN = 1024 * 1024,
    OPEN_BUSY_MS = 5000, /* a reader that came first puts the log in order, and holds it meanwhile */
    ROW_BYTES = 32,      /* what a message takes up besides its bytes, nearly */
    OPENING_TEXTS = 6,   /* of a connection, */
    OPENING_KNOWN = 3,   /* and those that are always known */
    KNOWN_SECONDS = 4,   /* more than workers are apart where a second ends */
    DESCRIPTORS_MAX = 1 << 20,
    TEXT_BYTES_MAX = 400
};

enum statement {
    BEGIN,
    COMMIT,
    ROLLBACK,
    ADD_MESSAGES,
    ADD_SECOND,
    ADD_AGAIN,
    ADD_STEP,
    ADD_CONNECTION,
    ADD_CLIENT,
    CLIENT_OF,
    UNLINK_NEWEST,
    UNLINK_OLDER,
    SET_CLIENT,
    SET_NEWEST,
    SET_LAST_SEEN,
    SET_CURSOR,
    CLOSE_CONNECTION,
    SET_HEAD,
    SET_META,
    CLOSE_KILLED,
    DATA_VERSION,
    FIND_MESSAGE,
    OLDEST_MESSAGES,
    DELETE_LOWER_SECONDS,
    FIND_EDGE,
    DELETE_SECONDS,
    PROMOTE_AGAIN,
    DELETE_AGAIN,
    DELETE_MESSAGES,
    DELETE_STEPS,
    FIND_SWEEP_END,
    DELETE_CONNECTIONS,
    COUNT_PAGES,
    COUNT_FREE_PAGES,
    STATEMENT_COUNT
};

static const char find_sweep_end[] = "SELECT max(id), max(opened) FROM"
                                     " (SELECT id, opened FROM connection WHERE id > ? ORDER BY id LIMIT ?)";
static const char delete_connections[] = "DELETE FROM connection WHERE id > ?1 AND id <= ?2 AND last_message <= ?3"
                                         " AND closed <= ?4";
static const char insert_connection[] =
    "INSERT OR IGNORE INTO connection (id, opened, listener, frame, peer, device, proxy, tls_subject)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
/* No index leads to what is open: the numbers of one run are looked through. */
static const char close_killed[] =
    "UPDATE connection SET reason = 'killed',"
    " closed = coalesce((SELECT time FROM message WHERE id = connection.last_message), opened)"
    " WHERE id >= coalesce((SELECT value FROM meta WHERE key = 'run_begins'), 0) AND closed IS NULL";

/* ?1: a second; ?2: its message; ?3: the first one of the run. A row for each run that comes to a second that has one.
 */
static const char add_again[] = "INSERT OR IGNORE INTO again SELECT ?1, ?2 FROM second"
                                " WHERE time = ?1 AND first_message < ?3 AND NOT EXISTS"
                                " (SELECT 1 FROM again WHERE time = ?1 AND first_message >= ?3)";

static const char insert_client[] = "INSERT INTO client (name, first_seen, last_seen) VALUES (?1, ?2, ?2)"
                                    " ON CONFLICT (name) DO UPDATE SET last_seen = excluded.last_seen RETURNING id";
static const char set_client[] = "UPDATE connection SET client = ?1, previous_connection ="
                                 " (SELECT last_connection FROM client WHERE id = ?1) WHERE id = ?2";

/* ?1: a client; ?2: one of its connections, which takes another name, and is the newest of it. */
static const char unlink_newest[] = "UPDATE client SET last_connection = previous_connection FROM connection"
                                    " WHERE client.id = ?1 AND last_connection = ?2 AND connection.id = ?2";

/* The same of any other one: what points to it points to the one before it. */
static const char unlink_older[] =
    "WITH RECURSIVE chain(id, previous) AS"
    " (SELECT connection.id, previous_connection FROM client JOIN connection ON connection.id = last_connection"
    "  WHERE client.id = ?1 UNION ALL"
    "  SELECT connection.id, previous_connection FROM chain JOIN connection ON connection.id = chain.previous"
    "  WHERE chain.previous <> ?2)"
    " UPDATE connection SET previous_connection = (SELECT previous_connection FROM connection WHERE id = ?2)"
    " WHERE id = (SELECT id FROM chain WHERE previous = ?2)";

/* ?1: the last message that goes. The first one's second, and the highest of the run that goes on behind it. */
static const char find_edge[] =
    "SELECT (SELECT time / 1000000 FROM message ORDER BY id LIMIT 1), max(time) / 1000000 FROM message WHERE id <= ?1 "
    "+ 1"
    " AND id >= coalesce((SELECT max(first_message) FROM step WHERE first_message <= ?1 + 1), 0)";

/* The seconds of the messages that go, and those between ?2 and ?3, which the step before may have left. */
#define GOING_SECONDS(left)                                                \
    "time IN (SELECT time / 1000000 FROM message WHERE id <= ?1 UNION ALL" \
    " SELECT time FROM " left " WHERE time BETWEEN ?2 AND ?3)"
static const char delete_seconds[] =
    "DELETE FROM second WHERE " GOING_SECONDS("second") " AND first_message <= ?1 AND time NOT BETWEEN ?4 AND ?5";
static const char promote_again[] = "INSERT OR IGNORE INTO second SELECT time, min(first_message) FROM again"
                                    " WHERE " GOING_SECONDS("again") " AND first_message > ?1 GROUP BY time";
static const char delete_again[] = "DELETE FROM again WHERE " GOING_SECONDS(
    "again") " AND first_message <="
             " max(?1, coalesce((SELECT first_message FROM second WHERE second.time = again.time), 0))";

static const char *const statement_texts[STATEMENT_COUNT] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    /* Without an id a row is put behind the last one, which needs no search for its place. The newest row must stay for
     * that. OR ROLLBACK: a transaction is given up whole, so nothing is noted down for giving up this part of it. */
    [ADD_MESSAGES] = "INSERT OR ROLLBACK INTO message SELECT NULL, * FROM batch",
    [ADD_SECOND] = "INSERT OR IGNORE INTO second VALUES (?, ?)",
    [ADD_AGAIN] = add_again,
    [ADD_STEP] = "INSERT OR IGNORE INTO step VALUES (?, ?, ?)",
    [ADD_CONNECTION] = insert_connection,
    [ADD_CLIENT] = insert_client,
    [CLIENT_OF] = "SELECT client FROM connection WHERE id = ?",
    [UNLINK_NEWEST] = unlink_newest,
    [UNLINK_OLDER] = unlink_older,
    [SET_CLIENT] = set_client,
    [SET_NEWEST] = "UPDATE client SET last_connection = ?2 WHERE id = ?1",
    [SET_LAST_SEEN] = "UPDATE client SET last_seen = ?2 WHERE id = ?1",
    [SET_CURSOR] = "INSERT OR REPLACE INTO cursor VALUES (?, ?, ?, ?)",
    [CLOSE_CONNECTION] = "UPDATE connection SET closed = ?, reason = ?, last_message = ? WHERE id = ?",
    [SET_HEAD] = "UPDATE connection SET last_message = ? WHERE id = ?",
    [SET_META] = "INSERT OR REPLACE INTO meta VALUES (?, ?)",
    [CLOSE_KILLED] = close_killed,
    [DATA_VERSION] = "PRAGMA data_version",
    [FIND_MESSAGE] = "SELECT connection, seq, crc32c FROM message WHERE id = ?",
    [OLDEST_MESSAGES] = "SELECT id, time, length(bytes) FROM message WHERE id < ? ORDER BY id",
    [DELETE_MESSAGES] = "DELETE FROM message WHERE id <= ?",
    [DELETE_LOWER_SECONDS] = "DELETE FROM second WHERE time < ?",
    [FIND_EDGE] = find_edge,
    [DELETE_SECONDS] = delete_seconds,
    [PROMOTE_AGAIN] = promote_again,
    [DELETE_AGAIN] = delete_again,
    [DELETE_STEPS] = "DELETE FROM step WHERE first_message <= ?",
    [FIND_SWEEP_END] = find_sweep_end,
    [DELETE_CONNECTIONS] = delete_connections,
    [COUNT_PAGES] = "PRAGMA page_count",
    [COUNT_FREE_PAGES] = "PRAGMA freelist_count",
};

#define NO_SECOND INT64_MIN

/* Messages from a step of the clock on, or from the first one. */
struct run_of_times {
    uint64_t first;  /* message */
    int64_t highest; /* second; 0: none yet */
    bool has_again;  /* the table has, or had, a row */
};

struct store {
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENT_COUNT];
    struct batch_table adding; /* to ADD_MESSAGES */
    uint64_t last_message;     /* stored */
    uint64_t next_message;     /* ahead of last_message + 1 inside a transaction */
    struct run_of_times times; /* as of the last message */
    struct run_of_times times_stored;
    int64_t second_us;                    /* where the last message's second begins, which has its row */
    int64_t known_seconds[KNOWN_SECONDS]; /* of this run, that have their rows */
    unsigned next_known;
    uint64_t unordered_until; /* messages that version 1 has stored */
    uint64_t next_connection; /* the number after the highest one that has a row, or was taken before this opening */
    uint64_t next_row;        /* the number after the highest one that has a row */
    int64_t data_version;     /* changes when somebody else has written */
    uint64_t newest_first;    /* the first message of the last transaction that had one */
    uint64_t deleted_until;   /* the last message that was deleted */
    uint64_t heads_until;     /* up to which every connection's last message is written, as the store says */
    uint64_t swept;           /* connections up to this one were looked at in this round */
    int64_t pages, free_pages;
    int64_t pages_secured;  /* the file has taken up room for so many at least */
    int log_pages;          /* 0: all of it was moved */
    uint64_t log_salts;     /* of the log as of the last commit; 0: not known */
    unsigned char *frame;   /* the log's last one, as it was written */
    int frame_pages;        /* log_pages then; 0: there is none */
    uint32_t generation;    /* of the log, see schema.h */
    uint32_t log_moved;     /* frames, as the log's index says: changes when somebody else has moved some */
    bool is_stamped;        /* the database's first page is in the log, and has not been moved */
    bool is_marked;         /* the database's file says that it has a log */
    bool is_open;           /* place is noted */
    struct place place;     /* of its files, as we have left them */
    struct place_news news; /* when they were not */
    int descriptor;         /* SQLite's, of the database; -1: not looked for; -2: not found */
    int page_bytes;
    bool can_shrink;
    bool is_room_ample;
    bool is_full;
    bool is_busy;
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

/* Whether they have their rows is not known any more. */
static void forget_seconds(struct store *store)
{
    store->second_us = NO_SECOND;
    for (size_t i = 0; i < KNOWN_SECONDS; i++)
        store->known_seconds[i] = NO_SECOND;
}

/* What it would have stored is not. */
static void forget_transaction(struct store *store)
{
    store->next_message = store->last_message + 1;
    store->times = store->times_stored;
    forget_seconds(store);
}

/* What the system said last of a file that has failed; 0: nothing. */
static int file_error(struct store *store)
{
    sqlite3_file *log = NULL;
    int error = 0;

    if (sqlite3_file_control(store->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log) == SQLITE_OK && log->pMethods)
        log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &error);
    if (!error) sqlite3_file_control(store->db, "main", SQLITE_FCNTL_LAST_ERRNO, &error);
    return error;
}

/* SQLite takes a read that fails for a database that is malformed. */
static bool is_failed_read(int code, int error)
{
    return (code & 0xff) == SQLITE_CORRUPT && (error == EIO || error == ENXIO);
}

/* What the system said of the call that has failed with this code; 0: nothing. SQLite itself passes it on for some
 * statements, and not for COMMIT. */
static int system_error(struct store *store, int code)
{
    int error = sqlite3_system_errno(store->db);

    if (((code & 0xff) == SQLITE_IOERR && !error) || (code & 0xff) == SQLITE_CORRUPT) error = file_error(store);
    return (code & 0xff) != SQLITE_CORRUPT || is_failed_read(code, error) ? error : 0;
}

static void say_error(struct store *store, int code)
{
    const int system = system_error(store, code);
    const char *text = is_failed_read(code, system) ? sqlite3_errstr(SQLITE_IOERR) : sqlite3_errmsg(store->db);

    say(store, "%s%s%s", text, system ? ": " : "", system ? strerror(system) : "");
}

static void note_log(struct store *store);

/* Ends the transaction, of which some may have been written to the log, and says why. */
static enum store_outcome fail(struct store *store, int code)
{
    say_error(store, code);
    if (!sqlite3_get_autocommit(store->db)) sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    forget_transaction(store);
    store->is_full = (code & 0xff) == SQLITE_FULL;
    store->is_busy = (code & 0xff) == SQLITE_BUSY;
    store->news = (struct place_news){ .change = PLACE_KEPT };
    if (!is_refusal(code)) return STORE_UNKNOWN;
    note_log(store);
    return STORE_REFUSED;
}

/* Runs a statement whose parameters are bound. */
static enum store_outcome run(struct store *store, enum statement which)
{
    sqlite3_stmt *statement = store->statements[which];
    const int code = sqlite3_step(statement);
    enum store_outcome outcome = STORE_STORED;

    if (code != SQLITE_DONE && code != SQLITE_ROW) outcome = fail(store, code);
    sqlite3_reset(statement);
    return outcome;
}

/* ---- Its files ---- */

enum {
    INDEX_REGION_BYTES = 32768,
    MOVED_OFFSET = 96 /* in the index: how many frames are in the database (https://www.sqlite.org/walformat.html) */
};

static sqlite3_file *database_file(const struct store *store)
{
    sqlite3_file *file = NULL;

    sqlite3_file_control(store->db, "main", SQLITE_FCNTL_FILE_POINTER, (void *)&file);
    return file && file->pMethods ? file : NULL;
}

static sqlite3_file *log_file(const struct store *store)
{
    sqlite3_file *file = NULL;

    sqlite3_file_control(store->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, (void *)&file);
    return file && file->pMethods ? file : NULL;
}

int64_t store_log_file_bytes(const struct store *store)
{
    sqlite3_file *log = log_file(store);
    sqlite3_int64 bytes = 0;

    return log && log->pMethods->xFileSize(log, &bytes) == SQLITE_OK ? bytes : 0;
}

/* The log's salts, which are others each time it begins anew, from its header, by the descriptor that SQLite has of it;
 * 0: it cannot be read, or is no header. */
static uint64_t read_log_salts(const struct store *store)
{
    sqlite3_file *log = log_file(store);
    unsigned char header[WAL_HEADER_BYTES];

    if (!log || log->pMethods->xRead(log, header, sizeof(header), 0) != SQLITE_OK) return 0;
    return wal_read_salts(header);
}

static uint32_t read_log_moved(const struct store *store)
{
    sqlite3_file *file = database_file(store);
    void volatile *index = NULL;

    if (!file || file->pMethods->iVersion < 2 ||
        file->pMethods->xShmMap(file, 0, INDEX_REGION_BYTES, 0, &index) != SQLITE_OK || !index)
        return 0;
    return ((const volatile uint32_t *)index)[MOVED_OFFSET / sizeof(uint32_t)];
}

/* Of what must not be lost: nothing, once all was moved. */
static int64_t log_end_bytes(const struct store *store)
{
    if (store->log_pages == 0) return 0;
    return WAL_HEADER_BYTES + (int64_t)store->log_pages * (WAL_FRAME_HEADER_BYTES + store->page_bytes);
}

static size_t frame_bytes(const struct store *store)
{
    return WAL_FRAME_HEADER_BYTES + (size_t)store->page_bytes;
}

static bool read_log(const struct store *store, void *ret, size_t bytes, int64_t offset)
{
    sqlite3_file *log = log_file(store);

    return log && log->pMethods->xRead(log, ret, (int)bytes, offset) == SQLITE_OK;
}

/* Remembers the last frame. Returns whether it can be read. */
static bool note_frame(struct store *store)
{
    const size_t bytes = frame_bytes(store);

    store->frame_pages = 0;
    if (store->log_pages == 0) return true;
    if (!store->frame) store->frame = malloc(bytes);
    if (!store->frame) return true; /* without memory it is not compared */
    if (!read_log(store, store->frame, bytes, log_end_bytes(store) - (int64_t)bytes)) return false;
    store->frame_pages = store->log_pages;
    return true;
}

/* Whether the frame that was the last one is there still. Where a log was cut and then written behind its end, what was
 * in between reads as zeros. */
static bool has_frame(const struct store *store)
{
    unsigned char found[1024];
    const size_t bytes = frame_bytes(store);
    const int64_t offset = WAL_HEADER_BYTES + (int64_t)(store->frame_pages - 1) * (int64_t)bytes;

    for (size_t done = 0; done < bytes && store->frame_pages > 0;) {
        const size_t part = bytes - done < sizeof(found) ? bytes - done : sizeof(found);

        if (!read_log(store, found, part, offset + (int64_t)done)) return false;
        if (memcmp(found, store->frame + done, part) != 0) return false;
        done += part;
    }
    return true;
}

/* Whether a transaction that was written behind so many frames has its first one there. */
static bool has_first_frame(const struct store *store, int frames_before)
{
    unsigned char header[WAL_FRAME_HEADER_BYTES];
    const int64_t offset = WAL_HEADER_BYTES + (int64_t)frames_before * (int64_t)frame_bytes(store);

    if (store->log_pages <= frames_before) return true; /* nothing was written */
    if (!read_log(store, header, sizeof(header), offset)) return false;
    return bytes_big_endian32(header) != 0 && memcmp(header + 8, &store->log_salts, sizeof(store->log_salts)) == 0;
}

void store_log_end(const struct store *store, struct store_log_end *ret)
{
    *ret = (struct store_log_end){ .salts = store->log_salts,
                                   .bytes = log_end_bytes(store),
                                   .is_marked = store->is_marked };
}

static void note_log(struct store *store)
{
    if (!store->is_open) return;
    place_note_change(&store->place, PLACE_LOG, log_end_bytes(store));
    store->log_moved = read_log_moved(store);
}

const struct place *store_place(const struct store *store)
{
    return &store->place;
}

/* Somebody else's checkpoint, which is his right, though we do without: he has moved what we had synced. */
static bool has_been_moved(struct store *store)
{
    const uint32_t moved = read_log_moved(store);
    const bool is_other = moved != store->log_moved;

    store->log_moved = moved;
    return is_other;
}

static enum store_outcome fail_for_news(struct store *store)
{
    const struct place_news news = store->news;

    fail(store, SQLITE_ERROR);
    store->news = news;
    place_describe(&news, store->text, sizeof(store->text));
    return STORE_UNKNOWN;
}

void store_news(const struct store *store, struct place_news *ret)
{
    *ret = store->news;
}

static enum store_outcome check_file(struct store *store, enum place_file file)
{
    struct place_news *news = &store->news;

    if (place_look(&store->place, file, news)) return STORE_STORED;
    if (file == PLACE_DATABASE && (news->change == PLACE_CUT || news->change == PLACE_CHANGED) &&
        has_been_moved(store)) {
        place_note_change(&store->place, PLACE_DATABASE, -1);
        store->is_stamped = store->is_marked = false;
        news->change = PLACE_KEPT;
        return STORE_STORED;
    }
    return fail_for_news(store);
}

enum store_outcome store_look(struct store *store, struct place_news *ret)
{
    enum store_outcome outcome = STORE_STORED;

    for (int file = PLACE_DATABASE; file < PLACE_FILES && outcome == STORE_STORED; file++)
        outcome = check_file(store, (enum place_file)file);
    *ret = store->news;
    return outcome;
}

/* Of the log that is open, whatever its name leads to. */
static enum store_outcome check_log_length(struct store *store)
{
    const int64_t end = log_end_bytes(store), bytes = store_log_file_bytes(store);

    if (bytes >= end && has_frame(store)) return STORE_STORED;
    store->news = (struct place_news){ .file = PLACE_LOG, .change = PLACE_CUT, .bytes = bytes, .bytes_before = end };
    return fail_for_news(store);
}

/* A log without a name is ours alone. */
static enum store_outcome check_log(struct store *store)
{
    const enum store_outcome outcome = check_log_length(store);

    if (outcome != STORE_STORED || place_is_lost(&store->place, PLACE_LOG)) return outcome;
    return check_file(store, PLACE_LOG);
}

/* Whether the log may be moved to the database: both are ours still. */
static enum store_outcome begin_move(struct store *store)
{
    enum store_outcome outcome = STORE_STORED;

    if (!store->is_open) return outcome;
    outcome = store_check_foreign_writer(store);
    if (outcome == STORE_STORED && !place_is_lost(&store->place, PLACE_DATABASE))
        outcome = check_file(store, PLACE_DATABASE);
    return outcome == STORE_STORED ? check_log(store) : outcome;
}

/* The database's file says that it has a log: behind the sync of a transaction of this log that has the first page in
 * it, so that no power cut leaves it without one, and before that page is moved, so that moving it takes the mark off.
 * Only the file says so, and nothing that a transaction reads. A new store's file says nothing yet of whose it is.
 * Without room or rights there is no mark. */
static void mark(struct store *store)
{
    sqlite3_file *file = database_file(store);
    unsigned char bytes[HEADER_STAMP_BYTES];
    struct schema_stamp stamp;

    if (store->is_marked || !store->is_stamped || !file) return;
    if (file->pMethods->xRead(file, bytes, sizeof(bytes), HEADER_STAMP_OFFSET) != SQLITE_OK) return;
    schema_read_stamp(header_user_version(bytes), &stamp);
    stamp.generation = store->generation;
    stamp.has_log = true;
    stamp.is_cut = false;
    header_set_stamp(bytes, schema_user_version(&stamp), SCHEMA_APPLICATION_ID);
    store->is_marked = file->pMethods->xWrite(file, bytes, sizeof(bytes), HEADER_STAMP_OFFSET) == SQLITE_OK;
    place_note_change(&store->place, PLACE_DATABASE, -1);
}

/* is_all: all of the log is in the database. The first page may have come from the log as well, without the mark. */
static void end_move(struct store *store, bool is_all)
{
    const uint32_t moved_before = store->log_moved;

    store->pages_secured = 0; /* the file may have been cut */
    if (is_all) store->log_pages = store->frame_pages = 0;
    if (!store->is_open) return;
    place_note_change(&store->place, PLACE_DATABASE, -1);
    note_log(store);
    if (is_all || store->log_moved != moved_before) store->is_stamped = store->is_marked = false;
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

static int set_cache(struct store *store, size_t bytes)
{
    char cache[32];

    snprintf(cache, sizeof(cache), "-%zu", bytes / 1024);
    return set_pragma(store, "cache_size", cache, cache);
}

/* The layout counts for a new database only. Checkpoints are ours: one that a commit runs into
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
    int code = schema_lay_out(store->db);

    for (size_t i = 0; i < sizeof(pragmas) / sizeof(pragmas[0]) && code == SQLITE_OK; i++)
        code = set_pragma(store, pragmas[i].name, pragmas[i].value, pragmas[i].expected);
    return code == SQLITE_OK ? set_cache(store, CACHE_BYTES_AT_OPEN) : code;
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
        sqlite3_stmt *statement = store->statements[which[i]];

        code = sqlite3_step(statement);
        if (code == SQLITE_ROW) *counts[i] = sqlite3_column_int64(statement, 0);
        sqlite3_reset(statement);
    }
    return code == SQLITE_ROW ? SQLITE_OK : code;
}

/* The highest second that was written with the heads is that of another run when a step came behind them. */
static int read_times(struct store *store)
{
    int64_t first = 0, highest = 0, again = 0, unordered = 0;
    int code = read_number(store, "SELECT coalesce(max(first_message), 0) FROM step", &first);

    if (code == SQLITE_OK)
        code = read_number(store,
                           "WITH run(first) AS (SELECT coalesce(max(first_message), 0) FROM step),"
                           " written(until) AS (SELECT coalesce((SELECT value FROM meta WHERE key = 'heads_until'), 0))"
                           " SELECT max(coalesce((SELECT max(time) / 1000000 FROM message"
                           "  WHERE id > (SELECT until FROM written) AND id >= (SELECT first FROM run)), 0),"
                           " coalesce((SELECT value FROM meta, run, written"
                           "  WHERE key = 'highest_second' AND until >= first), 0))",
                           &highest);
    if (code == SQLITE_OK) code = read_number(store, "SELECT EXISTS (SELECT 1 FROM again)", &again);
    if (code == SQLITE_OK)
        code =
            read_number(store, "SELECT coalesce(max(first_message), 1) - 1 FROM step WHERE after IS NULL", &unordered);
    if (code != SQLITE_OK) return code;
    store->times = store->times_stored = (struct run_of_times){ (uint64_t)first, highest, again != 0 };
    store->unordered_until = (uint64_t)unordered;
    forget_seconds(store);
    return SQLITE_OK;
}

static int read_state(struct store *store)
{
    int64_t deleted = 0, auto_vacuum = 0;
    int64_t message = 0, connection = 0, taken = 0, heads = 0, page_bytes = 0;
    /* First: whoever writes between these readings is noticed later. */
    int code = read_number(store, "PRAGMA data_version", &store->data_version);

    if (code == SQLITE_OK) code = read_number(store, "SELECT coalesce(max(id), 0) FROM message", &message);
    if (code == SQLITE_OK) code = read_number(store, "SELECT coalesce(max(id), 0) FROM connection", &connection);
    if (code == SQLITE_OK)
        code = read_number(store, "SELECT coalesce((SELECT value FROM meta WHERE key = 'numbers_taken'), 1)", &taken);
    if (code == SQLITE_OK)
        code = read_number(store, "SELECT coalesce((SELECT value FROM meta WHERE key = 'heads_until'), 0)", &heads);
    if (code == SQLITE_OK) code = read_number(store, "PRAGMA page_size", &page_bytes);
    if (code == SQLITE_OK) code = read_number(store, "SELECT coalesce(min(id), 1) - 1 FROM message", &deleted);
    if (code == SQLITE_OK) code = read_number(store, "PRAGMA auto_vacuum", &auto_vacuum);
    if (code == SQLITE_OK) code = read_times(store);
    if (code != SQLITE_OK) return code;
    store->deleted_until = (uint64_t)deleted;
    store->can_shrink = auto_vacuum == 2;
    store->heads_until = (uint64_t)heads;
    store->last_message = (uint64_t)message;
    store->newest_first = store->last_message;
    store->next_message = store->last_message + 1;
    store->next_row = (uint64_t)connection + 1;
    store->next_connection = (uint64_t)(connection + 1 > taken ? connection + 1 : taken);
    store->page_bytes = (int)page_bytes;
    return SQLITE_OK;
}

static enum store_outcome set_meta(struct store *store, const char *key, int64_t value)
{
    sqlite3_stmt *statement = store->statements[SET_META];

    sqlite3_bind_text(statement, 1, key, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 2, value);
    return run(store, SET_META);
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
    struct store *store = user;

    (void)db;
    (void)name;
    store->log_pages = pages;
    return SQLITE_OK;
}

/* As far as no reader is in the way, so that what is written next begins the log anew. What the log holds, the walk
 * before has seen whole (damage.h). */
static int move_log_at_opening(struct store *store)
{
    int pages = 0, moved = 0;
    const int code = sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &pages, &moved);

    if ((code & 0xff) == SQLITE_BUSY) pages = 1; /* somebody else is at it */
    store->log_pages = pages > 0 && pages == moved ? 0 : pages;
    return (code & 0xff) == SQLITE_BUSY ? SQLITE_OK : code;
}

static int prepare_tables(struct store *store)
{
    struct schema_stamp stamp = { .version = 0 };
    int code = move_log_at_opening(store);

    if (code == SQLITE_OK) code = schema_stamp_of(store->db, &stamp);
    if (code == SQLITE_OK && stamp.has_log) {
        say(store, "its write-ahead log (-wal) is missing");
        code = SQLITE_CORRUPT;
    }
    if (code == SQLITE_OK) code = schema_prepare(store->db, store->text, sizeof(store->text));
    if (code == SQLITE_OK) code = schema_stamp_of(store->db, &stamp);
    store->generation = stamp.generation;
    return code;
}

/* The database's first page is written with the transaction. A log that begins anew with it is counted. */
static int set_generation(struct store *store, uint32_t *ret_generation)
{
    const bool is_kept = store->log_pages > 0 && store->generation > 0;

    *ret_generation = is_kept ? store->generation : schema_next_generation(store->generation);
    return schema_set_generation(store->db, *ret_generation);
}

static int begin_log(struct store *store)
{
    uint32_t generation = 0;
    int code = sqlite3_exec(store->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);

    if (code == SQLITE_OK) code = set_generation(store, &generation);
    if (code == SQLITE_OK) code = rebuild_heads(store);
    if (code == SQLITE_OK) code = read_state(store);
    if (code == SQLITE_OK) code = sqlite3_exec(store->db, "COMMIT", NULL, NULL, NULL);
    if (code != SQLITE_OK) return code;
    store->generation = generation;
    store->is_stamped = true;
    return code;
}

static int prepare(struct store *store)
{
    int code = sqlite3_extended_result_codes(store->db, 1);

    if (code == SQLITE_OK) code = schema_check(store->db, store->text, sizeof(store->text));
    if (code == SQLITE_OK) code = set_pragmas(store);
    sqlite3_wal_hook(store->db, on_commit, store); /* wal_autocheckpoint, whatever its value, takes its place */
    if (code == SQLITE_OK) code = prepare_tables(store);
    if (code == SQLITE_OK) code = batch_table_add(store->db, &store->adding);
    if (code == SQLITE_OK) code = prepare_statements(store);
    if (code == SQLITE_OK) code = begin_log(store);
    return code == SQLITE_OK ? count_pages(store, &store->pages, &store->free_pages) : code;
}

/* SQLite tries to open a file that it cannot make once more, for reading, and says what came of that. Returns what the
 * system says of making it; 0: nothing. */
static int error_of_making(const char *path, char *ret_name, size_t size)
{
    static const char *const ends[] = { "-wal", "-shm" };

    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        snprintf(ret_name, size, "%.400s%s", path, ends[i]);
        const int file = open(ret_name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (file < 0 && errno != EEXIST) return errno;
        if (file < 0) continue;
        close(file);
        unlink(ret_name);
    }
    return 0;
}

/* Returns the code of what has failed at opening, with the sentence in store->text. */
static int explain(struct store *store, const char *path, int code)
{
    char name[TEXT_BYTES_MAX + sizeof("-wal")];
    int error = system_error(store, code);

    if (!store->text[0]) say_error(store, code);
    if ((code & 0xff) == SQLITE_CANTOPEN && (error = error_of_making(path, name, sizeof(name))) != 0)
        say(store, "%.300s cannot be made: %s%s", name, strerror(error),
            error == ENOSPC ? " (no blocks or no inodes are left)" : "");
    switch (code & 0xff) {
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    default:
        return error == ENOSPC || error == EDQUOT ? -ENOSPC : -EIO;
    }
}

static int note_files(struct store *store, const char *path)
{
    const int err = place_note(&store->place, path);

    if (err) {
        say(store, "one of its files is gone: %s", strerror(-err));
        return err;
    }
    store->is_open = true;
    store->log_salts = read_log_salts(store);
    note_frame(store);
    note_log(store);
    mark(store);
    return 0;
}

int store_open(const char *path, struct store **ret, char error[STORE_ERROR_BYTES_MAX])
{
    struct store *store = calloc(1, sizeof(*store));
    int code = SQLITE_OK, err = 0;

    if (!store) {
        snprintf(error, STORE_ERROR_BYTES_MAX, "store %s: %s", path, strerror(ENOMEM));
        return -ENOMEM;
    }
    store->descriptor = -1;
    code = sqlite3_open_v2(path, &store->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (code == SQLITE_OK) code = sqlite3_busy_timeout(store->db, OPEN_BUSY_MS);
    if (code == SQLITE_OK) code = prepare(store);
    err = code == SQLITE_OK ? note_files(store, path) : store->db ? explain(store, path, code) : -ENOMEM;
    if (err) {
        snprintf(error, STORE_ERROR_BYTES_MAX, "store %s: %s", path, store->db ? store->text : strerror(ENOMEM));
        store_close(store);
        return err;
    }
    sqlite3_busy_timeout(store->db, 0); /* from now on nobody waits, and the writer tries again */
    *ret = store;
    return 0;
}

void store_close(struct store *store)
{
    if (!store) return;
    if (store->is_open && begin_move(store) != STORE_STORED)
        sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    for (int i = 0; i < STATEMENT_COUNT; i++)
        sqlite3_finalize(store->statements[i]);
    sqlite3_close(store->db);
    free(store->frame);
    free(store);
}

void store_abandon(struct store *store)
{
    if (store) store->is_open = false;
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

static enum store_outcome fail_for_cut_log(struct store *store)
{
    fail(store, SQLITE_ERROR);
    say(store, "its log (-wal) has been cut or written over");
    return STORE_UNKNOWN;
}

/* Behind a commit. When the log has begun anew though we had not moved all of it, somebody else has moved it, perhaps
 * without a sync of the database, and what was stored before is in doubt until that is synced. Else what was in it is
 * there still, and what was written behind it. */
static enum store_outcome check_written(struct store *store, int frames_before)
{
    const uint64_t before = store->log_salts, salts = read_log_salts(store);
    const bool is_anew = before && salts != before;

    if (store->log_pages == 0) return STORE_STORED; /* nothing was written */
    if (!salts) return fail_for_cut_log(store);
    store->log_salts = salts;
    if (is_anew && frames_before > 0) {
        fail(store, SQLITE_ERROR);
        say(store, "another program has moved its log to the database");
        return STORE_UNKNOWN;
    }
    if (!is_anew && !has_frame(store)) return fail_for_cut_log(store);
    return has_first_frame(store, is_anew ? 0 : store->frame_pages) ? STORE_STORED : fail_for_cut_log(store);
}

/* Somebody else's commit since ours: what we know of the tables may be wrong. (Or his checkpoint that began the log
 * anew, which is as little his to do.) */
enum store_outcome store_check_foreign_writer(struct store *store)
{
    sqlite3_stmt *statement = store->statements[DATA_VERSION];
    const int code = sqlite3_step(statement);
    const int64_t version = code == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : store->data_version;

    sqlite3_reset(statement);
    if (code != SQLITE_ROW) return fail(store, code);
    if (version == store->data_version) return STORE_STORED;
    fail(store, SQLITE_ERROR);
    say(store, "another program has written to it, or moved its log to the database");
    return STORE_UNKNOWN;
}

/* Nobody has touched the log since our last transaction. */
enum store_outcome store_begin(struct store *store)
{
    enum store_outcome outcome = run(store, BEGIN);

    if (outcome == STORE_STORED) outcome = store_check_foreign_writer(store);
    return outcome == STORE_STORED ? check_log(store) : outcome;
}

/* The clock was set back: times begin anew with this message. */
static enum store_outcome note_step(struct store *store, int64_t second, uint64_t id)
{
    sqlite3_stmt *statement = store->statements[ADD_STEP];

    sqlite3_bind_int64(statement, 1, (int64_t)id);
    sqlite3_bind_int64(statement, 2, store->times.highest);
    sqlite3_bind_int64(statement, 3, second);
    store->times.first = id;
    store->times.highest = second;
    forget_seconds(store);
    return run(store, ADD_STEP);
}

/* Beyond the row that the second has from before a step. */
static enum store_outcome note_again(struct store *store, int64_t second, uint64_t id)
{
    sqlite3_stmt *statement = store->statements[ADD_AGAIN];

    store->times.has_again = true;
    sqlite3_bind_int64(statement, 1, second);
    sqlite3_bind_int64(statement, 2, (int64_t)id);
    sqlite3_bind_int64(statement, 3, (int64_t)store->times.first);
    return run(store, ADD_AGAIN);
}

static enum store_outcome add_second(struct store *store, int64_t second, uint64_t id)
{
    sqlite3_stmt *statement = store->statements[ADD_SECOND];
    enum store_outcome outcome = STORE_STORED;

    for (size_t i = 0; i < KNOWN_SECONDS; i++)
        if (store->known_seconds[i] == second) return STORE_STORED;
    store->known_seconds[store->next_known++ % KNOWN_SECONDS] = second;
    sqlite3_bind_int64(statement, 1, second);
    sqlite3_bind_int64(statement, 2, (int64_t)id);
    outcome = run(store, ADD_SECOND);
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
    return note_time(store, record->time_us, record->id);
}

/* A transaction without messages is tried again when it is not known to be stored: then the row is there. */
static enum store_outcome add_connection(struct store *store, const struct record *record)
{
    sqlite3_stmt *statement = store->statements[ADD_CONNECTION];
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
    outcome = run(store, ADD_CONNECTION);
    if (number >= store->next_row) store->next_row = number + 1;
    if (number >= store->next_connection) store->next_connection = number + 1;
    return outcome;
}

/* A statement that gives one number. */
static enum store_outcome run_for_number(struct store *store, enum statement which, uint64_t *ret)
{
    sqlite3_stmt *statement = store->statements[which];
    const int code = sqlite3_step(statement);

    if (code == SQLITE_ROW) *ret = (uint64_t)sqlite3_column_int64(statement, 0);
    sqlite3_reset(statement);
    return code == SQLITE_ROW || code == SQLITE_DONE ? STORE_STORED : fail(store, code);
}

static enum store_outcome run_with(struct store *store, enum statement which, uint64_t client, int64_t other)
{
    sqlite3_stmt *statement = store->statements[which];

    sqlite3_bind_int64(statement, 1, (int64_t)client);
    sqlite3_bind_int64(statement, 2, other);
    return run(store, which);
}

static enum store_outcome unlink_connection(struct store *store, uint64_t client, int64_t number)
{
    const enum store_outcome outcome = run_with(store, UNLINK_NEWEST, client, number);

    if (outcome != STORE_STORED || sqlite3_changes64(store->db) > 0) return outcome;
    return run_with(store, UNLINK_OLDER, client, number);
}

/* A client's connections are a chain, as a connection's messages are; one that takes another name leaves the chain of
 * its name before. What is tried again may be there already. */
static enum store_outcome name_connection(struct store *store, const struct record *record)
{
    sqlite3_stmt *add = store->statements[ADD_CLIENT];
    const int64_t number = (int64_t)record->head->connection;
    uint64_t before = 0, client = 0;
    enum store_outcome outcome = STORE_STORED;

    sqlite3_bind_int64(store->statements[CLIENT_OF], 1, number);
    sqlite3_bind_text(add, 1, (const char *)record->bytes, (int)record->len, SQLITE_STATIC);
    sqlite3_bind_int64(add, 2, record->time_us);
    outcome = run_for_number(store, CLIENT_OF, &before);
    if (outcome == STORE_STORED) outcome = run_for_number(store, ADD_CLIENT, &client);
    if (outcome != STORE_STORED) return outcome;
    record->head->client = client;
    if (client == before) return outcome;
    if (before) outcome = unlink_connection(store, before, number);
    if (outcome == STORE_STORED) outcome = run_with(store, SET_CLIENT, client, number);
    return outcome == STORE_STORED ? run_with(store, SET_NEWEST, client, number) : outcome;
}

static enum store_outcome close_connection(struct store *store, const struct record *record)
{
    sqlite3_stmt *statement = store->statements[CLOSE_CONNECTION];
    enum store_outcome outcome = STORE_STORED;

    sqlite3_bind_int64(statement, 1, record->time_us);
    sqlite3_bind_text(statement, 2, (const char *)record->bytes, (int)record->len, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 3, (int64_t)record->head->last_message);
    sqlite3_bind_int64(statement, 4, (int64_t)record->head->connection);
    outcome = run(store, CLOSE_CONNECTION);
    if (outcome != STORE_STORED || !record->head->client) return outcome;
    return run_with(store, SET_LAST_SEEN, record->head->client, record->time_us);
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
    sqlite3_stmt *statement = store->statements[SET_CURSOR];

    assert(cursor->state.len <= CURSOR_STATE_BYTES_MAX);
    sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 2, (int64_t)cursor->row);
    sqlite3_bind_int64(statement, 3, cursor->at_us);
    sqlite3_bind_blob(statement, 4, cursor->state.len ? cursor->state.data : NULL, (int)cursor->state.len,
                      SQLITE_STATIC);
    return run(store, SET_CURSOR);
}

enum store_outcome store_set_head(struct store *store, const struct head *head)
{
    sqlite3_stmt *statement = store->statements[SET_HEAD];

    sqlite3_bind_int64(statement, 1, (int64_t)head->last_message);
    sqlite3_bind_int64(statement, 2, (int64_t)head->connection);
    return run(store, SET_HEAD);
}

enum store_outcome store_set_heads_until(struct store *store)
{
    const uint64_t until = store->next_message - 1;
    enum store_outcome outcome = set_meta(store, "heads_until", (int64_t)until);

    if (outcome == STORE_STORED) outcome = set_meta(store, "highest_second", store->times.highest);
    if (outcome == STORE_STORED) store->heads_until = until;
    return outcome;
}

bool store_heads_are_behind(const struct store *store)
{
    return store->heads_until < store->last_message;
}

/* SQLite's own descriptor of the database; -2: none is found. To open another one and close it would drop the locks. */
static int find_descriptor(const struct store *store)
{
    struct rlimit limit = { .rlim_cur = 0 };
    struct stat status;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return -2;
    for (int fd = 0; (rlim_t)fd < limit.rlim_cur && fd < DESCRIPTORS_MAX; fd++)
        if (fstat(fd, &status) == 0 && status.st_ino == store->place.files[PLACE_DATABASE].inode &&
            status.st_dev == store->place.files[PLACE_DATABASE].device && (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR)
            return fd;
    return -2;
}

/* For file systems that cannot allocate: a byte in each block behind the end. Without a chunk's size
 * SQLITE_FCNTL_SIZE_HINT does nothing; with one, checkpoints would do the same. */
static int grow_file(struct store *store, int64_t bytes)
{
    int none = 0, error = 0;
    int code = sqlite3_file_control(store->db, "main", SQLITE_FCNTL_CHUNK_SIZE, &store->page_bytes);

    if (code == SQLITE_OK) code = sqlite3_file_control(store->db, "main", SQLITE_FCNTL_SIZE_HINT, &bytes);
    sqlite3_file_control(store->db, "main", SQLITE_FCNTL_CHUNK_SIZE, &none);
    if (code != SQLITE_OK) sqlite3_file_control(store->db, "main", SQLITE_FCNTL_LAST_ERRNO, &error);
    return error;
}

/* The file has this length at least, and room for all of it: what counts is blocks, since a log that a reader held was
 * moved in parts and has left holes. Returns 0 or what the system says. */
static int allocate(struct store *store, int64_t bytes)
{
    struct stat status;
    off_t from = 0;
    int result = 0;

    if (store->descriptor == -1) store->descriptor = find_descriptor(store);
    if (store->descriptor < 0 || fstat(store->descriptor, &status) != 0) return grow_file(store, bytes);
    if (status.st_blocks * 512 >= status.st_size) from = status.st_size;
    if (from >= bytes) return 0;
    do
        result = fallocate(store->descriptor, 0, from, bytes - from);
    while (result != 0 && errno == EINTR);
    if (result != 0 && errno == EOPNOTSUPP) return grow_file(store, bytes);
    return result ? errno : 0;
}

/* Takes up the room that the database will need. Whatever but want of room may keep it from being written is for the
 * checkpoint to find: the log takes it meanwhile. */
static enum store_outcome secure_room(struct store *store, int64_t pages)
{
    enum store_outcome outcome = STORE_STORED;
    int error = 0;

    if (pages <= store->pages_secured || store->is_room_ample) return STORE_STORED;
    outcome = check_file(store, PLACE_DATABASE);
    if (outcome != STORE_STORED) return outcome;
    error = allocate(store, pages * store->page_bytes);
    place_note_change(&store->place, PLACE_DATABASE, -1);
    if (error == ENOSPC || error == EDQUOT || error == EFBIG) {
        fail(store, SQLITE_FULL);
        say(store, "%s", error == ENOSPC ? sqlite3_errstr(SQLITE_FULL) : strerror(error)); /* as of the log */
        return STORE_REFUSED;
    }
    store->pages_secured = pages;
    return STORE_STORED;
}

/* Before COMMIT: it is known which generation the log is, and it has not been cut. (A large transaction has written to
 * it by now.) */
static enum store_outcome prepare_log(struct store *store, uint32_t *ret_generation)
{
    *ret_generation = store->generation;
    if (!store->is_stamped) {
        const int code = set_generation(store, ret_generation);

        if (code != SQLITE_OK) return fail(store, code);
    }
    return check_log_length(store);
}

/* Behind COMMIT and before anything is acknowledged: what is stored in a file without a name, or in one that somebody
 * writes over, is not stored. */
static enum store_outcome check_stored(struct store *store, int frames_before)
{
    struct place_news news;
    enum store_outcome outcome = check_written(store, frames_before);

    if (outcome != STORE_STORED) return outcome;
    if (!note_frame(store)) return fail_for_cut_log(store);
    if (frames_before == 0) store->log_moved = read_log_moved(store); /* it may have begun anew: with nothing moved */
    place_note_change(&store->place, PLACE_LOG, log_end_bytes(store));
    outcome = store_look(store, &news);
    if (outcome == STORE_STORED) mark(store);
    return outcome;
}

static enum store_outcome commit(struct store *store, bool secures_room)
{
    const int frames_before = store->log_pages; /* 0: all of it was moved, and it may begin anew */
    int64_t pages = 0, free_pages = 0;
    uint32_t generation = 0;
    const int code = count_pages(store, &pages, &free_pages); /* while it costs nothing to look */
    enum store_outcome outcome = code == SQLITE_OK ? STORE_STORED : fail(store, code);

    if (outcome == STORE_STORED && secures_room) outcome = secure_room(store, pages);
    if (outcome == STORE_STORED) outcome = prepare_log(store, &generation);
    if (outcome == STORE_STORED) outcome = run(store, COMMIT);
    if (outcome != STORE_STORED) return outcome;
    store->pages = pages;
    store->free_pages = free_pages;
    store->generation = generation;
    store->is_stamped = true;
    if (store->next_message > store->last_message + 1) store->newest_first = store->last_message + 1;
    store->last_message = store->next_message - 1;
    store->times_stored = store->times;
    return check_stored(store, frames_before);
}

enum store_outcome store_commit(struct store *store)
{
    return commit(store, true);
}

/* ---- A run ---- */

static enum store_outcome close_killed_run(struct store *store, uint64_t first, uint64_t end)
{
    enum store_outcome outcome = store_begin(store);

    if (outcome == STORE_STORED) outcome = run(store, CLOSE_KILLED);
    if (outcome == STORE_STORED) outcome = set_meta(store, "run_begins", (int64_t)first);
    if (outcome == STORE_STORED) outcome = set_meta(store, "numbers_taken", (int64_t)end);
    return outcome == STORE_STORED ? store_commit(store) : outcome;
}

enum store_outcome store_give_id(struct store *store)
{
    const enum store_outcome outcome = store_begin(store);
    const int code = outcome == STORE_STORED ? schema_give_id(store->db) : SQLITE_OK;

    if (code != SQLITE_OK) return fail(store, code);
    return outcome == STORE_STORED ? store_commit(store) : outcome;
}

/* On a full disk there may still be room in the log, once that has been moved, for a row that is there already. */
static enum store_outcome take_numbers_of_full(struct store *store, uint64_t next)
{
    int64_t left = 0;
    enum store_outcome outcome = store_checkpoint(store, &left);

    if (outcome == STORE_STORED) outcome = store_begin(store);
    if (outcome == STORE_STORED) outcome = set_meta(store, "numbers_taken", (int64_t)next);
    return outcome == STORE_STORED ? commit(store, false) : outcome;
}

enum store_outcome store_begin_run(struct store *store, uint64_t numbers, bool *ret_are_all_closed)
{
    const uint64_t first = store->next_connection;
    enum store_outcome outcome = STORE_STORED;

    sqlite3_busy_timeout(store->db, OPEN_BUSY_MS); /* as of opening, of which this is the end */
    outcome = close_killed_run(store, first, first + numbers);
    *ret_are_all_closed = outcome == STORE_STORED;
    if (outcome == STORE_REFUSED && store->is_full) outcome = take_numbers_of_full(store, first + numbers);
    sqlite3_busy_timeout(store->db, 0);
    return outcome;
}

enum store_outcome store_take_numbers(struct store *store, uint64_t next)
{
    enum store_outcome outcome = store_begin(store);

    if (outcome == STORE_STORED) outcome = set_meta(store, "numbers_taken", (int64_t)next);
    return outcome == STORE_STORED ? store_commit(store) : outcome;
}

enum store_outcome store_seal(struct store *store, uint64_t next, bool are_all_closed)
{
    const int64_t taken = (int64_t)(next > store->next_row ? next : store->next_row);
    enum store_outcome outcome = store_begin(store);

    if (outcome == STORE_STORED) outcome = store_set_heads_until(store);
    if (outcome == STORE_STORED) outcome = set_meta(store, "numbers_taken", taken);
    if (outcome == STORE_STORED && are_all_closed) outcome = set_meta(store, "run_begins", taken);
    return outcome == STORE_STORED ? store_commit(store) : outcome;
}

/* ---- What is stored ---- */

bool store_has(struct store *store, const struct record *record)
{
    sqlite3_stmt *statement = store->statements[FIND_MESSAGE];
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
    note_log(store);
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
    sqlite3_stmt *statement = store->statements[OLDEST_MESSAGES];
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

/* Which rows of `second` a step of deletion looks at besides those of its messages, and which stay. */
struct edge {
    int64_t left_from, left_to;
    int64_t kept_from, kept_to;
};

/* A second of which messages may be left, as far as workers are apart, keeps its row, with a first message that may
 * have gone: whoever reads from there finds the first that has not. The step after this one looks at it again. Where
 * the order is unknown, rows above stay as well, since reading goes by them. */
static enum store_outcome find_edge_of(struct store *store, const struct cut *cut, struct edge *ret)
{
    sqlite3_stmt *statement = store->statements[FIND_EDGE];
    int64_t first = 0, highest = 0;
    int code = SQLITE_OK;

    sqlite3_bind_int64(statement, 1, (int64_t)cut->id);
    code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        first = sqlite3_column_int64(statement, 0);
        highest = sqlite3_column_int64(statement, 1);
    }
    sqlite3_reset(statement);
    if (code != SQLITE_ROW) return fail(store, code);
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
    static const enum statement which[] = { DELETE_SECONDS, PROMOTE_AGAIN, DELETE_AGAIN };
    struct edge edge = { 0 };
    enum store_outcome outcome = STORE_STORED;

    if (!store->times.first && !store->times.has_again) {
        sqlite3_bind_int64(store->statements[DELETE_LOWER_SECONDS], 1, cut->time_us / 1000000 - SCHEMA_JITTER_SECONDS);
        return run(store, DELETE_LOWER_SECONDS);
    }
    outcome = find_edge_of(store, cut, &edge);
    sqlite3_bind_int64(store->statements[DELETE_SECONDS], 4, edge.kept_from);
    sqlite3_bind_int64(store->statements[DELETE_SECONDS], 5, edge.kept_to);
    for (size_t i = 0; i < (store->times.has_again ? 3 : 1) && outcome == STORE_STORED; i++) {
        sqlite3_bind_int64(store->statements[which[i]], 1, (int64_t)cut->id);
        sqlite3_bind_int64(store->statements[which[i]], 2, edge.left_from);
        sqlite3_bind_int64(store->statements[which[i]], 3, edge.left_to);
        outcome = run(store, which[i]);
    }
    return outcome;
}

/* A step goes when nothing is left of what was before it, and the highest second of its run is written. */
static enum store_outcome delete_until(struct store *store, const struct cut *cut)
{
    const uint64_t first = cut->id + 1 < store->heads_until ? cut->id + 1 : store->heads_until;
    enum store_outcome outcome = delete_seconds_until(store, cut);

    sqlite3_bind_int64(store->statements[DELETE_MESSAGES], 1, (int64_t)cut->id);
    sqlite3_bind_int64(store->statements[DELETE_STEPS], 1, (int64_t)first);
    if (outcome == STORE_STORED) outcome = run(store, DELETE_MESSAGES);
    return outcome == STORE_STORED ? run(store, DELETE_STEPS) : outcome;
}

/* Connections are numbered as they come, but end in any order, and one that lives long must hold up nobody. So they are
 * looked at in rounds, some in each step, from the first one up to where none can be old enough. */
static enum store_outcome sweep_connections(struct store *store, const struct store_deletion *what, uint64_t until,
                                            int64_t until_us, struct store_deleted *deleted)
{
    sqlite3_stmt *find = store->statements[FIND_SWEEP_END];
    sqlite3_stmt *delete = store->statements[DELETE_CONNECTIONS];
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

void store_set_cache_bytes(struct store *store, size_t bytes)
{
    set_cache(store, bytes);
}

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
    const enum store_outcome outcome = begin_move(store);
    int pages = 0, moved = 0;
    int code = SQLITE_OK;

    if (outcome != STORE_STORED) return outcome;
    code = sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &pages, &moved);
    end_move(store, code == SQLITE_OK && pages == moved);
    if ((code & 0xff) == SQLITE_BUSY) { /* somebody else is at it */
        *ret_left = store_log_bytes(store);
        return STORE_STORED;
    }
    if (code != SQLITE_OK) return fail(store, code);
    *ret_left = (int64_t)(pages - moved) * store->page_bytes;
    return STORE_STORED;
}

enum store_outcome store_restart_log(struct store *store, bool is_cut)
{
    const int mode = is_cut ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_RESTART;
    const enum store_outcome outcome = begin_move(store);
    int code = SQLITE_OK;

    if (outcome != STORE_STORED) return outcome;
    code = sqlite3_wal_checkpoint_v2(store->db, NULL, mode, NULL, NULL);
    end_move(store, code == SQLITE_OK);
    return code == SQLITE_OK ? STORE_STORED : fail(store, code);
}

bool store_is_busy(const struct store *store)
{
    return store->is_busy;
}

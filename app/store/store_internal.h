/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the files of the one connection that writes share. From the top: store, opening, checkpoint, deletion, addition,
 * room, look, statements, files; each uses those behind it. Nobody else includes it. */
#ifndef APP_STORE_STORE_INTERNAL_H
#define APP_STORE_STORE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>

#include "batch_table.h"
#include "place.h"
#include "store.h"

enum {
    KNOWN_SECONDS = 4,   /* more than workers are apart where a second ends */
    OPEN_BUSY_MS = 5000, /* a reader that came first puts the log in order, and holds it meanwhile */
    TEXT_BYTES_MAX = 400
};

enum statement {
    SQL_BEGIN,
    SQL_COMMIT,
    SQL_ROLLBACK,
    SQL_ADD_MESSAGES,
    SQL_ADD_SECOND,
    SQL_ADD_AGAIN,
    SQL_ADD_STEP,
    SQL_ADD_CONNECTION,
    SQL_ADD_CLIENT,
    SQL_CLIENT_OF,
    SQL_UNLINK_NEWEST,
    SQL_UNLINK_OLDER,
    SQL_SET_CLIENT,
    SQL_SET_NEWEST,
    SQL_SET_LAST_SEEN,
    SQL_SET_CURSOR,
    SQL_CLOSE_CONNECTION,
    SQL_SET_HEAD,
    SQL_SET_META,
    SQL_CLOSE_KILLED,
    SQL_DATA_VERSION,
    SQL_FIND_MESSAGE,
    SQL_OLDEST_MESSAGES,
    SQL_DELETE_LOWER_SECONDS,
    SQL_FIND_EDGE,
    SQL_DELETE_SECONDS,
    SQL_PROMOTE_AGAIN,
    SQL_DELETE_AGAIN,
    SQL_DELETE_MESSAGES,
    SQL_DELETE_STEPS,
    SQL_FIND_SWEEP_END,
    SQL_DELETE_CONNECTIONS,
    SQL_COUNT_PAGES,
    SQL_COUNT_FREE_PAGES,
    STATEMENT_COUNT
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

/* ---- files.c ---- */

sqlite3_file *store_database_file(const struct store *store);

/* The log's salts, which are others each time it begins anew, from its header, by the descriptor that SQLite has of it;
 * 0: it cannot be read, or is no header. */
uint64_t store_read_log_salts(const struct store *store);

uint32_t store_read_log_moved(const struct store *store);

/* Of what must not be lost: nothing, once all was moved. */
int64_t store_log_end_bytes(const struct store *store);

/* Remembers the last frame. Returns whether it can be read. */
bool store_note_frame(struct store *store);

/* Whether the frame that was the last one is there still. Where a log was cut and then written behind its end, what was
 * in between reads as zeros. */
bool store_has_frame(const struct store *store);

/* Whether a transaction that was written behind so many frames has its first one there. */
bool store_has_first_frame(const struct store *store, int frames_before);

void store_note_log(struct store *store);

/* ---- statements.c ---- */

void __attribute__((format(printf, 2, 3))) store_say(struct store *store, const char *format, ...);

/* Whether they have their rows is not known any more. */
void store_forget_seconds(struct store *store);

/* What it would have stored is not. */
void store_forget_transaction(struct store *store);

/* What the system said of the call that has failed with this code; 0: nothing. SQLite itself passes it on for some
 * statements, and not for COMMIT. */
int store_system_error(struct store *store, int code);

void store_say_error(struct store *store, int code);

/* Ends the transaction, of which some may have been written to the log, and says why. */
enum store_outcome store_fail(struct store *store, int code);

/* Runs a statement whose parameters are bound. */
enum store_outcome store_execute(struct store *store, enum statement which);

int store_prepare_statements(struct store *store);

int store_read_number(struct store *store, const char *sql, int64_t *ret);

int store_count_pages(const struct store *store, int64_t *ret_pages, int64_t *ret_free_pages);

enum store_outcome store_set_meta(struct store *store, const char *key, int64_t value);

/* The database's first page is written with the transaction. A log that begins anew with it is counted. */
int store_set_generation(struct store *store, uint32_t *ret_generation);

/* A statement that gives one number. */
enum store_outcome store_execute_for_number(struct store *store, enum statement which, uint64_t *ret);

enum store_outcome store_execute_with(struct store *store, enum statement which, uint64_t client, int64_t other);

/* ---- look.c ---- */

enum store_outcome store_check_file(struct store *store, enum place_file file);

/* Of the log that is open, whatever its name leads to. */
enum store_outcome store_check_log_length(struct store *store);

/* A log without a name is ours alone. */
enum store_outcome store_check_log(struct store *store);

/* Whether the log may be moved to the database: both are ours still. */
enum store_outcome store_begin_move(struct store *store);

/* The database's file says that it has a log: behind the sync of a transaction of this log that has the first page in
 * it, so that no power cut leaves it without one, and before that page is moved, so that moving it takes the mark off.
 * Only the file says so, and nothing that a transaction reads. A new store's file says nothing yet of whose it is.
 * Without room or rights there is no mark. */
void store_mark(struct store *store);

/* is_all: all of the log is in the database. The first page may have come from the log as well, without the mark. */
void store_end_move(struct store *store, bool is_all);

enum store_outcome store_fail_for_cut_log(struct store *store);

/* Behind a commit. When the log has begun anew though we had not moved all of it, somebody else has moved it, perhaps
 * without a sync of the database, and what was stored before is in doubt until that is synced. Else what was in it is
 * there still, and what was written behind it. */
enum store_outcome store_check_written(struct store *store, int frames_before);

/* ---- room.c ---- */

/* Takes up the room that the database will need. Whatever but want of room may keep it from being written is for the
 * checkpoint to find: the log takes it meanwhile. */
enum store_outcome store_secure_room(struct store *store, int64_t pages);

/* ---- opening.c ---- */

int store_set_cache(struct store *store, size_t bytes);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The store, an SQLite database with a write-ahead log (https://www.sqlite.org/wal.html), as
 * whoever writes to it sees it. There is one such connection in the world, and one thread that uses it: all functions
 * here are that thread's.
 *
 * What became of a transaction has three answers. STORED: the commit returned after its fsync. REFUSED: nothing was
 * stored (the disk is full, somebody holds a lock); it may be tried again as it is. UNKNOWN: an I/O error says neither
 * that it was stored nor that it was not; the store has to be closed, opened and asked. */
#ifndef APP_STORE_STORE_H
#define APP_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cursor.h"
#include "place.h"
#include "record.h"

struct store;

enum store_outcome { STORE_STORED, STORE_REFUSED, STORE_UNKNOWN };

enum { STORE_ERROR_BYTES_MAX = 600 };

/* Opens the store at path, and makes its tables when the file is empty; the file is there and the lock is held
 * (journal/folder.h): one that has gone is not made anew behind the back of who stored in it. The settings that
 * durability rests on are set and read back. Returns 0, and *ret is the caller's, for store_close; or a negative code
 * with a sentence in error. */
int store_open(const char *path, struct store **ret, char error[STORE_ERROR_BYTES_MAX]);

/* NULL is accepted. What was not committed is not stored. SQLite moves the log to the database with it, and deletes it;
 * not when the two are no longer as this store has left them. */
void store_close(struct store *store);

/* The same without touching any file by its name: closing empties the log and deletes it, and the name may have become
 * somebody else's. */
void store_abandon(struct store *store);

/* Its files, as they were when it was opened. */
const struct place *store_place(const struct store *store);

/* Whether all files are in their places and as this store has left them; each commit and each move of the log asks,
 * too. UNKNOWN: they are not, and *ret, which is KEPT otherwise, says what is. */
enum store_outcome store_look(struct store *store, struct place_news *ret);

/* What of its files the last outcome that was not STORED came of; KEPT: of something else. */
void store_news(const struct store *store, struct place_news *ret);

/* Where the log's last transaction ends, bytes, and which log that is (wal.h); 0: not known. When that log ends before,
 * it has lost what was stored. */
struct store_log_end {
    uint64_t salts;
    int64_t bytes;
    bool is_marked; /* the database's file says that it has this log; only moving it takes that off */
};

void store_log_end(const struct store *store, struct store_log_end *ret);

/* The first number that no connection of this store has had: none that has a row, nor that was taken. */
uint64_t store_next_connection(const struct store *store);

/* Three transactions of their own. A number of a connection is taken before it is given, row or not, so that after a
 * kill it does not come again.
 *
 * A run begins: so many numbers from store_next_connection on are taken, and connections that an earlier run has left
 * open are closed with the reason "killed", at the time of their last message or, without one, of their opening. On a
 * full disk they may stay open (*ret_are_all_closed is false), for the next run to close. */
enum store_outcome store_begin_run(struct store *store, uint64_t numbers, bool *ret_are_all_closed);

/* All numbers below next are taken. */
enum store_outcome store_take_numbers(struct store *store, uint64_t next);

/* The last one, when all heads are written: no connection had the number next, nor a higher one. are_all_closed: the
 * next run need not look for those that are open. */
enum store_outcome store_seal(struct store *store, uint64_t next, bool are_all_closed);

/* The id of the newest message that is stored; 0: none. */
uint64_t store_last_message(const struct store *store);

/* One transaction: begin, any number of adds, commit. After anything but STORED the transaction is gone, and
 * store_text says why. add takes all records of a batch, and gives each message its id, counting on from the last one
 * stored; what was given so to one that is not stored in the end is void. */
enum store_outcome store_begin(struct store *store);
enum store_outcome store_add(struct store *store, struct batch *batch);
enum store_outcome store_commit(struct store *store);

/* After STORED from all of begin and add: gives the transaction up, as if it had never begun. */
void store_rollback(struct store *store);

/* Inside a transaction: writes where a connection's chain of messages begins, and up to which message all such heads
 * are written. What is behind after a kill, opening the store makes good. */
enum store_outcome store_set_head(struct store *store, const struct head *head);
enum store_outcome store_set_heads_until(struct store *store);

/* Whether messages have come since. */
bool store_heads_are_behind(const struct store *store);

/* Inside a transaction: in place of the cursor of that name. */
enum store_outcome store_set_cursor(struct store *store, const char *name, const struct cursor *cursor);

/* A transaction of its own: another identity in place of the store's, see schema_give_id. */
enum store_outcome store_give_id(struct store *store);

/* Whether the message that was added with this id is stored. */
bool store_has(struct store *store, const struct record *record);

/* ---- What goes ---- */

struct store_deletion {
    int64_t bytes_max;        /* the oldest messages go, of so many bytes together: */
    bool is_for_space;        /* all of them, but those of the last transaction; or those from before before_us */
    int64_t before_us;        /* 0: none is too old */
    int64_t now_us;           /* a message of a later time has it from a clock that was wrong */
    unsigned connections_max; /* that are looked at, besides as many as messages go */
};

struct store_deleted {
    uint64_t messages;
    uint64_t connections;
    int64_t bytes; /* of the messages */
};

/* A transaction of its own: deletes the oldest messages, and of what belongs to them what nothing points to any more:
 * where their seconds begin, and connections that are over. The newest message stays, from which ids count on. */
enum store_outcome store_delete(struct store *store, const struct store_deletion *what, struct store_deleted *ret);

/* A transaction of its own: makes the database up to so many bytes shorter, by moving what is at its end to free pages.
 * The file follows with the next checkpoint. */
enum store_outcome store_give_back(struct store *store, int64_t bytes);

struct store_size {
    int64_t used_bytes; /* of the database: pages with something in them */
    int64_t file_bytes; /* of the database: all pages */
    bool can_shrink;    /* not one that was made without it: see store_give_back */
};

void store_size(const struct store *store, struct store_size *ret);

/* How much of the database may be kept in memory: little, until this was called. */
void store_set_cache_bytes(struct store *store, size_t bytes);

/* The log's file is cut to this length when it begins anew. */
enum store_outcome store_set_log_bytes_max(struct store *store, int64_t bytes);

/* Whether the last outcome that was not STORED came of a full disk. */
bool store_is_full(const struct store *store);

/* A log that the database has no room for cannot be moved, and a full disk with such a log not be emptied: deleting
 * takes room in the log. So a commit first takes up the room that the database will need, and is refused without it.
 * That costs a write for each new page; not where somebody knows that room is ample. At first it is not. */
void store_set_room(struct store *store, bool is_ample);

/* ---- The log ---- */

/* Moves what is in the log to the database and syncs both, as far as no reader is in the way; the log begins anew after
 * that. *ret_left: bytes of the log that were left. */
enum store_outcome store_checkpoint(struct store *store, int64_t *ret_left);

/* The same, and STORED only when nothing is left in the log and nobody reads it, so that the next transaction begins it
 * anew. is_cut: its file is cut to nothing as well, for whoever has it open: another file may then take its place.
 * REFUSED: something reads it (store_is_busy), or the disk is full (store_is_full). */
enum store_outcome store_restart_log(struct store *store, bool is_cut);

/* Whether the last outcome that was not STORED came of somebody else who reads or locks the store. */
bool store_is_busy(const struct store *store);

/* The length of the log's file, bytes: it may be longer than what is in it. */
int64_t store_log_file_bytes(const struct store *store);

/* Outside a transaction: whether nobody else has written to the store since it was opened; UNKNOWN: somebody has. */
enum store_outcome store_check_foreign_writer(struct store *store);

/* The log's length, bytes. */
int64_t store_log_bytes(const struct store *store);

/* The sentence of the last outcome that was not STORED. */
const char *store_text(const struct store *store);

#endif

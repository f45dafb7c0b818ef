/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The store as whoever only reads it sees it: in any process, with a server on it or not. It is
 * never written to and its log never moved; each call is one short transaction, so that a reader, however slow what it
 * feeds, does not hold the log. All functions are for one thread. */
#ifndef APP_STORE_READER_H
#define APP_STORE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/weir.h>

#include "cursor.h"

struct reader;
struct sqlite3;

enum { READER_ERROR_BYTES_MAX = 1400, READER_STORE_ID_BYTES_MAX = 64 };

/* A message as it is in the store. */
struct stored_message {
    uint64_t id;
    uint64_t connection;
    uint64_t seq;          /* 0: it was sent to the connection, and not received */
    uint64_t previous;     /* id of the connection's message before; 0: none */
    uint64_t original_len; /* as it was on the wire */
    int64_t time_us;       /* since 1970, UTC */
    uint64_t answers;      /* id of the message that it answers; 0: none */
    unsigned flags;        /* RECORD_TRUNCATED ... of record.h */
    unsigned verdict;      /* 0: none */
    unsigned rule;         /* whose answer it has got; 0: none */
    bool is_sent;          /* to the connection */
    bool is_damaged;       /* the bytes are not those that were stored: the checksum says so */
    struct weir_bytes bytes;
};

struct stored_connection {
    uint64_t number;
    uint64_t client;       /* in the table of clients; 0: none was named */
    uint64_t previous;     /* the client's connection before; 0: none, or not any more */
    uint64_t last_message; /* behind by a second at most while a server runs; 0: none */
    char listener[WEIR_ADDRESS_BYTES_MAX];
    char peer[WEIR_ADDRESS_BYTES_MAX];
};

enum { STORED_TEXT_BYTES_MAX = 512 };

/* What is known of few connections; empty where it is not. */
struct stored_details {
    char device[STORED_TEXT_BYTES_MAX]; /* the file that says what its messages mean */
    char proxy[STORED_TEXT_BYTES_MAX];  /* the address it came by */
    char tls_subject[STORED_TEXT_BYTES_MAX];
};

/* What it was called at some time; several connections one after the other, or at once. */
struct stored_client {
    int64_t first_seen_us, last_seen_us; /* said its name, and did so or went; since 1970, UTC */
    uint64_t last_connection;            /* where the chain of its connections begins, see stored_connection.previous */
    char name[STORED_TEXT_BYTES_MAX];
};

/* Opens the store at path; where nothing may be made beside it, as a file that nobody writes to, if it has no log and
 * no server. Returns 0, and *ret is the caller's, for reader_close; or with a sentence in error -ENOENT when there is
 * none, -ENODATA when it is empty yet, -EINVAL when it is no store or a newer one, or another code. */
int reader_open(const char *path, struct reader **ret, char error[READER_ERROR_BYTES_MAX]);

/* NULL is accepted. */
void reader_close(struct reader *reader);

/* The sentence of the last call that failed. */
const char *reader_text(const struct reader *reader);

/* Which store it is: another one at the same path has another. */
const char *reader_store_id(const struct reader *reader);

/* From now on a call for which is_stopped returns other than 0 while it goes on ends with -EINTR. */
void reader_stop_when(struct reader *reader, int (*is_stopped)(void *user), void *user);

/* The reader's connection, for journal/copy.c, which reads rows of whatever tables there are: to be read only, in short
 * transactions. */
struct sqlite3 *reader_database(const struct reader *reader);

/* Whether the file at the path is not the one that was opened any more, or has to be opened in another way. */
bool reader_is_replaced(const struct reader *reader);

/* Each of these returns 0, or a negative code with a sentence, and writes its results only on success. */

/* The id of the newest message; 0: there is none. */
int reader_newest(struct reader *reader, uint64_t *ret_id);

/* Up to and with which message each connection's last_message is right. */
int reader_heads_until(struct reader *reader, uint64_t *ret_id);

/* The first message that is still there of those with this id or a higher one, and when it came; *ret_id 0: none. */
int reader_time(struct reader *reader, uint64_t id, uint64_t *ret_id, int64_t *ret_time_us);

/* A place where times go back, further than workers are apart: the clock was set. */
struct stored_step {
    uint64_t first_message; /* behind it; 0: there is no such place */
    int64_t before, after;  /* seconds since 1970: the highest since the step before this one, and the first */
    bool is_from_unknown;   /* what is before it was stored without notes of steps; there is no after */
};

/* The first step behind that message. */
int reader_next_step(struct reader *reader, uint64_t message, struct stored_step *ret);

/* Of messages before that id, which were stored without notes of steps: none before *ret_id is of this second, counted
 * from 1970, or of a later one. 0: that is not known. */
int reader_find_second(struct reader *reader, int64_t second, uint64_t before, uint64_t *ret_id);

/* The client of that name; 0: there is none. */
int reader_find_client(struct reader *reader, const char *name, uint64_t *ret_client);

/* A connection by its number; -ENOENT without a sentence: there is none. */
int reader_connection(struct reader *reader, uint64_t number, struct stored_connection *ret);

/* More of it, and a client by its number, likewise. Longer texts are cut. */
int reader_details(struct reader *reader, uint64_t number, struct stored_details *ret);
int reader_client(struct reader *reader, uint64_t client, struct stored_client *ret);

/* The cursor of that name, likewise; its state is in ret_state. */
int reader_cursor(struct reader *reader, const char *name, struct cursor *ret,
                  unsigned char ret_state[CURSOR_STATE_BYTES_MAX]);

/* Calls on_connection with each, in the order of their numbers, inside a transaction: it must not wait. */
int reader_each_connection(struct reader *reader,
                           void (*on_connection)(const struct stored_connection *connection, void *user), void *user);

/* One message; -ENOENT without a sentence: there is none, or not any more. Its bytes are valid until the next call. */
int reader_message(struct reader *reader, uint64_t id, struct stored_message *ret);

/* Whether the database hangs together, every page of it; not its contents. It is one long transaction, so not for a
 * store that a server has. */
int reader_check_structure(struct reader *reader);

/* Which messages are to be read. */
struct reader_range {
    uint64_t after; /* those with a higher id */
    uint64_t until; /* up to and with this */
    /* Of these, those that it wants; it sees all but the bytes. NULL: all. Inside a transaction: it must not wait, but
     * may call reader_connection. */
    bool (*wants)(const struct stored_message *message, void *user);
    void *user;
    bool is_backward; /* the newest first */
    bool is_without_bytes;
};

struct reader_page {
    const struct stored_message *messages;
    size_t count; /* may be 0 before the end: nothing in this stretch was wanted */
};

/* Reads a bounded stretch of the range, and takes it off: after moves up, or until down, and the end is reached where
 * they meet. The page is valid until the next call. A failure leaves the range where it was. */
int reader_read(struct reader *reader, struct reader_range *range, struct reader_page *ret);

#endif

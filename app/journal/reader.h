/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app/journal/reader.h: the store as whoever only reads it sees it: in any process, with a server on it or not. It is
 * never written to and its log never moved; each call is one short transaction, so that a reader, however slow what it
 * feeds, does not hold the log. All functions are for one thread. */
#ifndef APP_JOURNAL_READER_H
#define APP_JOURNAL_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/weir.h>

struct reader;

enum { READER_ERROR_BYTES_MAX = 1400, READER_STORE_ID_BYTES_MAX = 64 };

/* A message as it is in the store. */
struct stored_message {
    uint64_t id;
    uint64_t connection;
    uint64_t seq;          /* 0: it was sent to the connection, and not received */
    uint64_t previous;     /* id of the connection's message before; 0: none */
    uint64_t original_len; /* as it was on the wire */
    int64_t time_us;       /* since 1970, UTC */
    unsigned flags;        /* RECORD_TRUNCATED ... of journal/record.h */
    bool is_sent;          /* to the connection */
    bool is_damaged;       /* the bytes are not those that were stored: the checksum says so */
    struct weir_bytes bytes;
};

struct stored_connection {
    uint64_t number;
    uint64_t client;       /* in the table of clients; 0: none was named */
    uint64_t last_message; /* behind by a second at most while a server runs; 0: none */
    char listener[WEIR_ADDRESS_BYTES_MAX];
    char peer[WEIR_ADDRESS_BYTES_MAX];
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

/* Whether the file at the path is not the one that was opened any more, or has to be opened in another way. */
bool reader_is_replaced(const struct reader *reader);

/* Each of these returns 0, or a negative code with a sentence, and writes its results only on success. */

/* The id of the newest message; 0: there is none. */
int reader_newest(struct reader *reader, uint64_t *ret_id);

/* Up to and with which message each connection's last_message is right. */
int reader_heads_until(struct reader *reader, uint64_t *ret_id);

/* The first message of that second, counted from 1970, or of a later one; 0: there is none. Where the clock was set
 * back it is the first that came when the clock read so. */
int reader_find_second(struct reader *reader, int64_t second, uint64_t *ret_id);

/* The client of that name; 0: there is none. */
int reader_find_client(struct reader *reader, const char *name, uint64_t *ret_client);

/* A connection by its number; -ENOENT without a sentence: there is none. */
int reader_connection(struct reader *reader, uint64_t number, struct stored_connection *ret);

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

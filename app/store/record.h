/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What is to be kept, on its way from a worker to the store and back. A batch is a stretch of
 * memory with records one behind the other; it belongs to the worker that fills it, then to the writer, and then, with
 * the outcome, to the worker again, which answers for each record and empties it. Nothing in it is locked. */
#ifndef APP_STORE_RECORD_H
#define APP_STORE_RECORD_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

/* What the writer knows of a connection whose messages it stores. The connection's owner makes it, and keeps it for as
 * long as any of its records is on its way; between the two only the writer touches it. */
struct head {
    uint64_t connection;
    uint64_t last_message;   /* id of the row; 0: none. Each message's row points to the one before it */
    uint64_t client;         /* id of the row; 0: it has no name yet */
    TAILQ_ENTRY(head) stale; /* in the writer's list of heads that the store has an older word of; while is_stale */
    bool is_stale;
};

enum record_kind {
    RECORD_OPEN, /* a connection came; bytes: listener, framing and peer, each with its NUL, and behind these as many as
                  * are known of device file, proxy and TLS subject; an empty one is not known */
    RECORD_MESSAGE, /* it sent a message */
    RECORD_SENT,    /* it was sent one */
    RECORD_NAME,    /* it has said who it is, behind its OPEN; bytes: the name */
    RECORD_CLOSE    /* it went; bytes: the reason's text */
};

/* Of a message; the values stand in the store. */
enum {
    RECORD_TRUNCATED = 1,
    RECORD_UNFINISHED = 2,
    RECORD_TEXT = 4,  /* the bytes are UTF-8 without control characters: readable, and harmless to a terminal */
    RECORD_ANSWER = 8 /* sent by the program itself, and not by a person or another program */
};

/* In message.flags verdict, rule and answers stand behind these flags: a column more costs each row a byte and 50
 * instructions also where it is NULL, which is nearly everywhere. */
enum {
    RECORD_FLAGS_MASK = 0xff,
    RECORD_VERDICT_SHIFT = 8,
    RECORD_VERDICT_MAX = 0xf,
    RECORD_RULE_SHIFT = 12,
    RECORD_RULE_MAX = 0xffff,
    RECORD_ANSWERS_SHIFT = 28, /* how many ids before the message's own */
    RECORD_ANSWERS_BITS = 35
};

struct record {
    struct head *head;     /* its connection's */
    int64_t time_us;       /* since 1970, UTC */
    uint64_t seq;          /* MESSAGE */
    uint64_t original_len; /* MESSAGE, bytes: as it was on the wire */
    uint64_t id;           /* of the row; by the writer */
    uint64_t previous;     /* id of the connection's message before; by the writer */
    uint64_t answers;      /* id of the message that it answers, which came before; 0: none */
    uint32_t len;          /* bytes */
    uint32_t crc32c;       /* of bytes */
    uint32_t flags;        /* RECORD_TRUNCATED ...; of what was judged, record_verdict as well */
    uint8_t kind;          /* enum record_kind */
    uint8_t is_owed;       /* an acknowledgement waits for it */
    unsigned char bytes[];
};

/* For the flags of a message that was judged: the verdict and the rule whose answer it gets; 0: none. */
static inline uint32_t record_verdict(unsigned verdict, unsigned rule)
{
    assert(verdict <= RECORD_VERDICT_MAX && rule <= RECORD_RULE_MAX);
    return (uint32_t)verdict << RECORD_VERDICT_SHIFT | (uint32_t)rule << RECORD_RULE_SHIFT;
}

struct batch {
    struct batch *next; /* in whatever list it is */
    unsigned worker;
    bool is_awaited; /* somebody waits for it to be stored: it is not kept for company */
    uint32_t count;  /* records */
    uint32_t owed;   /* of them, an acknowledgement each */
    size_t len;      /* bytes used */
    size_t room;
    _Alignas(struct record) unsigned char bytes[];
};

/* Room for records of that many bytes together; NULL for want of memory. Free with free(). */
struct batch *batch_new(unsigned worker, size_t room);

/* Frees this one and all that its next leads to. NULL is accepted. */
void batch_free_all(struct batch *batch);

/* What a record with so many bytes takes up. */
size_t record_bytes(size_t len);

/* The place for a record with len bytes, whose len is set, or NULL when the batch has no room for it. */
struct record *batch_add(struct batch *batch, size_t len);

/* The first record (before: NULL) or the one behind; NULL behind the last. */
struct record *batch_next(struct batch *batch, const struct record *before);

/* The same of messages, which came or were sent, alone. */
struct record *batch_next_message(struct batch *batch, const struct record *before);

#endif

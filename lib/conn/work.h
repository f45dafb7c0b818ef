/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a connection owns while it has something in hand, and where that memory comes from. */
#ifndef WEIR__WORK_H
#define WEIR__WORK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct weir_conn;
struct weir__worker;

/* A piece of output: its own bytes, or a share of a blob. */
struct weir__chunk {
    struct weir__chunk *next;
    struct weir__blob *blob; /* NULL: the bytes are behind this struct */
    size_t begin, end;       /* what has not left yet */
    size_t room;             /* bytes behind this struct */
    unsigned char bytes[];
};

/* Encoded bytes that several queues of one worker share; freed by the last. */
struct weir__blob {
    size_t users;
    size_t len;
    size_t room;
    unsigned char bytes[];
};

/* Who opens a dialled connection: told when the socket is ready (connected or failed) and when its time is up. The
 * first member of a struct of dial.c. */
struct weir__dial {
    void (*on_ready)(struct weir_conn *conn);
    void (*on_timeout)(struct weir_conn *conn);
    void (*free)(struct weir__dial *dial);
};

/* Input that is left over, output that waits, deadlines, places in the worker's lists. An idle connection has none of
 * it, so it costs little more than its event. Owned by its connection; spare ones by the worker. */
struct weir__work {
    struct weir_conn *conn;

    unsigned char *rest; /* received and not consumed: rest[rest_begin..rest_end) */
    size_t rest_begin, rest_end, rest_room;

    struct weir__chunk *out_first;
    struct weir__chunk *out_last; /* NULL with out_first */
    size_t out_bytes;

    struct weir__dial *dial; /* CONNECTING: who tries the addresses */
    void *transport_state;   /* the transport's; a connection that has one is never idle */

    int64_t since_ms;                     /* when the state was entered */
    int64_t active_ms;                    /* when a byte last moved; kept up only with an idle timeout */
    int64_t frame_since_ms;               /* when the message in progress began */
    int64_t silence_since_ms, silence_ms; /* with waits: when the codec last saw bytes, and after how long without */
    int64_t write_since_ms;               /* when the peer last took something, or output began to wait */
    int kernel_bytes;                     /* what the kernel held for it then */
    uint64_t lingered_bytes;

    uint64_t tick; /* its place in the worker's timeouts; 0: none */
    TAILQ_ENTRY(weir__work) timeout_entry;
    TAILQ_ENTRY(weir__work) runnable_entry;
    TAILQ_ENTRY(weir__work) dirty_entry;
    TAILQ_ENTRY(weir__work) held_entry;
    struct weir__work *spare_next;
};

/* The connection's work, made when it has none; NULL: no memory. */
struct weir__work *weir__work_get(struct weir_conn *conn);
/* Takes it away, with all it holds, out of every list. */
void weir__work_drop(struct weir_conn *conn);

/* Puts it into the worker's lists of what is owed at the end of a turn, and takes it out. Twice is once. */
void weir__work_list_runnable(struct weir__worker *worker, struct weir__work *work);
void weir__work_unlist_runnable(struct weir__worker *worker, struct weir__work *work);
void weir__work_list_dirty(struct weir__worker *worker, struct weir__work *work);
void weir__work_unlist_dirty(struct weir__worker *worker, struct weir__work *work);

/* Buffers, counted against memory_bytes_max; passing it is noticed at the end of the turn. NULL: the system has no
 * memory. */
void *weir__buffer_alloc(struct weir__worker *worker, size_t size);
/* The same buffer with another size, where the system can, without a copy of it; NULL: it is as it was. */
void *weir__buffer_resize(struct weir__worker *worker, void *buffer, size_t size, size_t new_size);
void weir__buffer_free(struct weir__worker *worker, void *buffer, size_t size);

/* A chunk with room for at least so many bytes of its own. */
struct weir__chunk *weir__chunk_new(struct weir__worker *worker, size_t room);
/* A chunk that shares a blob. */
struct weir__chunk *weir__chunk_share(struct weir__worker *worker, struct weir__blob *blob);
void weir__chunk_free(struct weir__worker *worker, struct weir__chunk *chunk);

/* A blob with one user, its bytes and len to be filled in; release frees it with the last. */
struct weir__blob *weir__blob_new(struct weir__worker *worker, size_t room);
void weir__blob_release(struct weir__worker *worker, struct weir__blob *blob);

/* Makes the chunk that whoever is being read gathers its answers in: one a worker, made once, never counted. 0 or
 * -ENOMEM. */
int weir__work_init(struct weir__worker *worker);
/* Frees what the worker keeps spare. */
void weir__work_fini(struct weir__worker *worker);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The memory behind a busy connection. Small pieces of the usual size are kept for the next who needs one, so that
 * serving a message allocates nothing; everything else comes and goes with malloc. */
#include "work.h"

#include "conn.h"
#include "engine.h"
#include "memory.h"
#include "worker.h"

#include <errno.h>
#include <string.h>

enum {
    spare_works_max = 1024,
    spare_chunks_max = 256,
    usual_room = 1024 - sizeof(struct weir__chunk) /* of a chunk that is worth keeping */
};

struct weir__work *weir__work_get(struct weir_conn *conn)
{
    struct weir__worker *worker = weir__conn_worker(conn);
    struct weir__work *work = conn->work;

    if (work != NULL) return work;
    work = worker->spare_works;
    if (work != NULL) {
        worker->spare_works = work->spare_next;
        worker->spare_works_count--;
        work->spare_next = NULL;
    } else {
        work = weir__zalloc(sizeof *work);
        if (work == NULL) return NULL;
    }
    work->conn = conn;
    conn->work = work;
    return work;
}

static void drop_output(struct weir__worker *worker, struct weir__work *work)
{
    while (work->out_first != NULL) {
        struct weir__chunk *chunk = work->out_first;
        work->out_first = chunk->next;
        weir__chunk_free(worker, chunk);
    }
}

void weir__work_list_runnable(struct weir__worker *worker, struct weir__work *work)
{
    if (work->conn->runnable) return;
    work->conn->runnable = 1;
    worker->runnable_count++;
    TAILQ_INSERT_TAIL(&worker->runnable, work, runnable_entry);
}

void weir__work_unlist_runnable(struct weir__worker *worker, struct weir__work *work)
{
    if (!work->conn->runnable) return;
    work->conn->runnable = 0;
    worker->runnable_count--;
    TAILQ_REMOVE(&worker->runnable, work, runnable_entry);
}

void weir__work_list_dirty(struct weir__worker *worker, struct weir__work *work)
{
    if (work->conn->dirty) return;
    work->conn->dirty = 1;
    worker->dirty_count++;
    TAILQ_INSERT_TAIL(&worker->dirty, work, dirty_entry);
}

void weir__work_unlist_dirty(struct weir__worker *worker, struct weir__work *work)
{
    if (!work->conn->dirty) return;
    work->conn->dirty = 0;
    worker->dirty_count--;
    TAILQ_REMOVE(&worker->dirty, work, dirty_entry);
}

static void leave_lists(struct weir__worker *worker, struct weir_conn *conn, struct weir__work *work)
{
    weir__timeouts_disarm(&worker->timeouts, work);
    weir__work_unlist_runnable(worker, work);
    weir__work_unlist_dirty(worker, work);
    if (conn->held) TAILQ_REMOVE(&worker->held, work, held_entry);
    conn->held = 0;
}

void weir__work_drop(struct weir_conn *conn)
{
    struct weir__worker *worker = weir__conn_worker(conn);
    struct weir__work *work = conn->work;

    if (work == NULL) return;
    conn->work = NULL;
    leave_lists(worker, conn, work);
    drop_output(worker, work);
    weir__buffer_free(worker, work->rest, work->rest_room);
    if (worker->spare_works_count >= spare_works_max) {
        weir__free(work);
        return;
    }
    memset(work, 0, sizeof *work);
    work->spare_next = worker->spare_works;
    worker->spare_works = work;
    worker->spare_works_count++;
}

void *weir__buffer_alloc(struct weir__worker *worker, size_t size)
{
    struct weir *weir = worker->weir;
    void *buffer = weir__malloc(size);

    if (buffer == NULL) return NULL;
    weir__count(&worker->memory_bytes, size);
    if (atomic_fetch_add_explicit(&weir->memory_bytes, size, memory_order_relaxed) + size > weir->memory_bytes_max)
        atomic_store_explicit(&worker->memory_over, 1, memory_order_relaxed);
    return buffer;
}

void weir__buffer_free(struct weir__worker *worker, void *buffer, size_t size)
{
    if (buffer == NULL) return;
    weir__count(&worker->memory_bytes, 0 - (uint64_t)size);
    atomic_fetch_sub_explicit(&worker->weir->memory_bytes, size, memory_order_relaxed);
    weir__free(buffer);
}

static struct weir__chunk *spare_chunk(struct weir__worker *worker)
{
    struct weir__chunk *chunk = worker->spare_chunks;

    if (chunk == NULL) return NULL;
    worker->spare_chunks = chunk->next;
    worker->spare_chunks_count--;
    return chunk;
}

struct weir__chunk *weir__chunk_new(struct weir__worker *worker, size_t room)
{
    struct weir__chunk *chunk = room <= usual_room ? spare_chunk(worker) : NULL;

    if (room < usual_room) room = usual_room;
    if (chunk == NULL) {
        chunk = weir__buffer_alloc(worker, sizeof *chunk + room);
        if (chunk == NULL) return NULL;
    }
    *chunk = (struct weir__chunk){ .room = room };
    return chunk;
}

struct weir__chunk *weir__chunk_share(struct weir__worker *worker, struct weir__blob *blob)
{
    struct weir__chunk *chunk = weir__buffer_alloc(worker, sizeof *chunk);

    if (chunk == NULL) return NULL;
    *chunk = (struct weir__chunk){ .blob = blob, .end = blob->len };
    blob->users++;
    return chunk;
}

void weir__chunk_free(struct weir__worker *worker, struct weir__chunk *chunk)
{
    if (chunk == worker->gather) {
        worker->gather_lent = 0;
        return;
    }
    if (chunk->blob != NULL) weir__blob_release(worker, chunk->blob);
    if (chunk->room == usual_room && worker->spare_chunks_count < spare_chunks_max) {
        chunk->next = worker->spare_chunks;
        worker->spare_chunks = chunk;
        worker->spare_chunks_count++;
        return;
    }
    weir__buffer_free(worker, chunk, sizeof *chunk + chunk->room);
}

struct weir__blob *weir__blob_new(struct weir__worker *worker, size_t room)
{
    struct weir__blob *blob = weir__buffer_alloc(worker, sizeof *blob + room);

    if (blob == NULL) return NULL;
    *blob = (struct weir__blob){ .users = 1, .room = room };
    return blob;
}

void weir__blob_release(struct weir__worker *worker, struct weir__blob *blob)
{
    if (--blob->users == 0) weir__buffer_free(worker, blob, sizeof *blob + blob->room);
}

int weir__work_init(struct weir__worker *worker)
{
    worker->gather = weir__malloc(sizeof *worker->gather + weir__gather_bytes);
    return worker->gather == NULL ? -ENOMEM : 0;
}

void weir__work_fini(struct weir__worker *worker)
{
    while (worker->spare_works != NULL) {
        struct weir__work *work = worker->spare_works;
        worker->spare_works = work->spare_next;
        weir__free(work);
    }
    while (worker->spare_chunks != NULL)
        weir__buffer_free(worker, spare_chunk(worker), sizeof(struct weir__chunk) + usual_room);
    weir__free(worker->gather);
    worker->gather = NULL;
}

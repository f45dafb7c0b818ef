/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The memory behind a busy connection. Small pieces of the usual size are kept for the next who needs one, so that
 * serving a message allocates nothing; everything else comes and goes with malloc. */
#include "work.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "conn.h"
#include "engine/engine.h"
#include "engine/worker.h"
#include "memory.h"
#include "portable.h"

enum {
    SPARE_WORKS_MAX = 1024,
    SPARE_CHUNKS_MAX = 256,
    USUAL_ROOM = 1024 - sizeof(struct weir__chunk) /* of a chunk that is worth keeping */
};

struct weir__work *weir__work_get(struct weir_conn *conn)
{
    struct weir__worker *worker = weir__conn_worker(conn);
    struct weir__work *work = conn->work;

    if (work) return work;
    work = worker->spare_works;
    if (work) {
        worker->spare_works = work->spare_next;
        worker->spare_works_count--;
        work->spare_next = NULL;
    } else {
        work = weir__zalloc(sizeof(*work));
        if (!work) return NULL;
    }
    WEIR__DEBUG_ASSERT(!work->conn && !work->rest && !work->out_first && work->tick == 0);
    work->conn = conn;
    conn->work = work;
    return work;
}

static void drop_output(struct weir__worker *worker, struct weir__work *work)
{
    while (work->out_first) {
        struct weir__chunk *chunk = work->out_first;
        work->out_first = chunk->next;
        weir__chunk_free(worker, chunk);
    }
}

void weir__work_list_runnable(struct weir__worker *worker, struct weir__work *work)
{
    WEIR__DEBUG_ASSERT(work->conn->work == work && weir__conn_worker(work->conn) == worker);
    if (work->conn->runnable) return;
    work->conn->runnable = true;
    worker->runnable_count++;
    TAILQ_INSERT_TAIL(&worker->runnable, work, runnable_entry);
}

void weir__work_unlist_runnable(struct weir__worker *worker, struct weir__work *work)
{
    if (!work->conn->runnable) return;
    assert(worker->runnable_count > 0);
    work->conn->runnable = false;
    worker->runnable_count--;
    TAILQ_REMOVE(&worker->runnable, work, runnable_entry);
}

void weir__work_list_dirty(struct weir__worker *worker, struct weir__work *work)
{
    WEIR__DEBUG_ASSERT(work->conn->work == work && weir__conn_worker(work->conn) == worker);
    if (work->conn->dirty) return;
    work->conn->dirty = true;
    worker->dirty_count++;
    TAILQ_INSERT_TAIL(&worker->dirty, work, dirty_entry);
}

void weir__work_unlist_dirty(struct weir__worker *worker, struct weir__work *work)
{
    if (!work->conn->dirty) return;
    assert(worker->dirty_count > 0);
    work->conn->dirty = false;
    worker->dirty_count--;
    TAILQ_REMOVE(&worker->dirty, work, dirty_entry);
}

static void leave_lists(struct weir__worker *worker, struct weir_conn *conn, struct weir__work *work)
{
    weir__timeouts_disarm(&worker->timeouts, work);
    weir__work_unlist_runnable(worker, work);
    weir__work_unlist_dirty(worker, work);
    if (conn->held) TAILQ_REMOVE(&worker->held, work, held_entry);
    conn->held = false;
}

void weir__work_drop(struct weir_conn *conn)
{
    struct weir__worker *worker = weir__conn_worker(conn);
    struct weir__work *work = conn->work;

    if (!work) return;
    conn->work = NULL;
    leave_lists(worker, conn, work);
    drop_output(worker, work);
    weir__buffer_free(worker, work->rest, work->rest_room);
    if (worker->spare_works_count >= SPARE_WORKS_MAX) {
        weir__free(work);
        return;
    }
    memset(work, 0, sizeof(*work));
    work->spare_next = worker->spare_works;
    worker->spare_works = work;
    worker->spare_works_count++;
}

static void count_in(struct weir__worker *worker, size_t size)
{
    struct weir *weir = worker->weir;

    weir__count(&worker->memory_bytes, size);
    if (atomic_fetch_add_explicit(&weir->memory_bytes, size, memory_order_relaxed) + size > weir->memory_bytes_max)
        atomic_store_explicit(&worker->memory_over, true, memory_order_relaxed);
}

static void count_out(struct weir__worker *worker, size_t size)
{
    WEIR__DEBUG_ASSERT(weir__read_count(&worker->memory_bytes) >= size);
    weir__count(&worker->memory_bytes, 0 - (uint64_t)size);
    atomic_fetch_sub_explicit(&worker->weir->memory_bytes, size, memory_order_relaxed);
}

void *weir__buffer_alloc(struct weir__worker *worker, size_t size)
{
    void *buffer = weir__malloc(size);

    if (buffer) count_in(worker, size);
    return buffer;
}

void *weir__buffer_resize(struct weir__worker *worker, void *buffer, size_t size, size_t new_size)
{
    void *resized = weir__realloc(buffer, new_size);

    if (!resized) return NULL;
    count_out(worker, size);
    count_in(worker, new_size);
    return resized;
}

void weir__buffer_free(struct weir__worker *worker, void *buffer, size_t size)
{
    if (!buffer) return;
    count_out(worker, size);
    weir__free(buffer);
}

static struct weir__chunk *spare_chunk(struct weir__worker *worker)
{
    struct weir__chunk *chunk = worker->spare_chunks;

    if (!chunk) return NULL;
    worker->spare_chunks = chunk->next;
    worker->spare_chunks_count--;
    return chunk;
}

struct weir__chunk *weir__chunk_new(struct weir__worker *worker, size_t room)
{
    struct weir__chunk *chunk = room <= USUAL_ROOM ? spare_chunk(worker) : NULL;

    if (room < USUAL_ROOM) room = USUAL_ROOM;
    if (!chunk) {
        chunk = weir__buffer_alloc(worker, sizeof(*chunk) + room);
        if (!chunk) return NULL;
    }
    *chunk = (struct weir__chunk){ .room = room };
    return chunk;
}

struct weir__chunk *weir__chunk_share(struct weir__worker *worker, struct weir__blob *blob)
{
    struct weir__chunk *chunk = weir__buffer_alloc(worker, sizeof(*chunk));

    if (!chunk) return NULL;
    *chunk = (struct weir__chunk){ .blob = blob, .end = blob->len };
    blob->users++;
    return chunk;
}

void weir__chunk_free(struct weir__worker *worker, struct weir__chunk *chunk)
{
    if (chunk == worker->gather) {
        WEIR__DEBUG_ASSERT(worker->gather_lent);
        worker->gather_lent = false;
        return;
    }
    if (chunk->blob) weir__blob_release(worker, chunk->blob);
    if (chunk->room == USUAL_ROOM && worker->spare_chunks_count < SPARE_CHUNKS_MAX) {
        chunk->next = worker->spare_chunks;
        worker->spare_chunks = chunk;
        worker->spare_chunks_count++;
        return;
    }
    weir__buffer_free(worker, chunk, sizeof(*chunk) + chunk->room);
}

struct weir__blob *weir__blob_new(struct weir__worker *worker, size_t room)
{
    struct weir__blob *blob = weir__buffer_alloc(worker, sizeof(*blob) + room);

    if (!blob) return NULL;
    *blob = (struct weir__blob){ .users = 1, .room = room };
    return blob;
}

void weir__blob_release(struct weir__worker *worker, struct weir__blob *blob)
{
    assert(blob->users > 0);
    if (--blob->users == 0) weir__buffer_free(worker, blob, sizeof(*blob) + blob->room);
}

int weir__work_init(struct weir__worker *worker)
{
    worker->gather = weir__malloc(sizeof(*worker->gather) + WEIR__GATHER_BYTES);
    return worker->gather ? 0 : -ENOMEM;
}

void weir__work_fini(struct weir__worker *worker)
{
    while (worker->spare_works) {
        struct weir__work *work = worker->spare_works;
        worker->spare_works = work->spare_next;
        weir__free(work);
    }
    while (worker->spare_chunks)
        weir__buffer_free(worker, spare_chunk(worker), sizeof(struct weir__chunk) + USUAL_ROOM);
    weir__free(worker->gather);
    worker->gather = NULL;
}

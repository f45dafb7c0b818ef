/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Messages to socket. What is sent in one turn is encoded one behind the other into chunks, leaves in one system call,
 * and only what the socket refuses is kept. Here nothing is closed and no callback runs: the caller is told how it
 * went. */
#include "stream_out.h"

#include <assert.h>
#include <errno.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include "conn.h"
#include "engine/worker.h"
#include "portable.h"

enum { PARTS_MAX = 64 };

/* What a codec claims to need must not wrap around when a header is put before it. */
static const size_t room_max = SIZE_MAX / 2;

static size_t encoded_bytes_max(const struct weir__service *service, size_t len)
{
    const struct weir_codec *encoder = service->encoder;

    if (!encoder || !encoder->encode) return len;
    return encoder->encoded_bytes_max(service->encoder_config, len);
}

/* Returns the bytes written, at most room, or a negative code. */
static ssize_t encode(const struct weir__service *service, struct weir_bytes message, unsigned char *ret, size_t room)
{
    const struct weir_codec *encoder = service->encoder;
    ssize_t len;

    if (!encoder || !encoder->encode) {
        if (message.len > 0) memcpy(ret, message.data, message.len);
        return (ssize_t)message.len;
    }
    len = encoder->encode(service->encoder_config, message, ret, room);
    return len > 0 && (size_t)len > room ? -EINVAL : len;
}

static void append(struct weir__work *work, struct weir__chunk *chunk)
{
    if (!work->out_last) {
        work->out_first = chunk;
    } else {
        work->out_last->next = chunk;
    }
    work->out_last = chunk;
}

/* The chunk for the next bytes: the last one when it has room; the worker's gather chunk for whoever is being read;
 * else a new one, larger each time, so that many small messages do not make many small pieces. */
static struct weir__chunk *chunk_with_room(struct weir_conn *conn, struct weir__work *work, size_t room)
{
    struct weir__worker *worker = weir__conn_worker(conn);
    struct weir__chunk *last = work->out_last;
    struct weir__chunk *chunk = NULL;
    size_t wanted = room;

    if (last && !last->blob && last->room - last->end >= room) return last;
    if (!last && worker->reading == conn && !worker->gather_lent && room <= WEIR__GATHER_BYTES) {
        chunk = worker->gather;
        *chunk = (struct weir__chunk){ .room = WEIR__GATHER_BYTES };
        worker->gather_lent = true;
    } else {
        if (last && !last->blob && wanted < last->room * 2)
            wanted = last->room * 2 < WEIR__GATHER_BYTES ? last->room * 2 : WEIR__GATHER_BYTES;
        chunk = weir__chunk_new(worker, wanted < room ? room : wanted);
    }
    if (chunk) append(work, chunk);
    return chunk;
}

/* Takes an unused chunk back out: an encode that failed must leave nothing behind. */
static void drop_if_empty(struct weir_conn *conn, struct weir__work *work, struct weir__chunk *chunk)
{
    if (chunk->end > 0 || work->out_first != chunk) return;
    work->out_first = work->out_last = NULL;
    weir__chunk_free(weir__conn_worker(conn), chunk);
}

static int note_queued(struct weir_conn *conn, struct weir__work *work, size_t len)
{
    work->out_bytes += len;
    conn->messages_out++;
    weir__count(&conn->service->tally->messages_out, 1);
    if (work->out_bytes >= conn->service->output_high) conn->above_high = true;
    return conn->above_high;
}

/* Below the high mark one message of any length is taken: an answer may be longer than the longest message. */
static bool has_room(const struct weir_conn *conn, size_t len)
{
    const size_t waits = weir__conn_output_bytes(conn);
    const size_t cap = conn->service->output_cap;

    return waits < conn->service->output_high || (waits < cap && len <= cap - waits);
}

int weir__stream_out_put(struct weir_conn *conn, struct weir_bytes message)
{
    const size_t room = encoded_bytes_max(conn->service, message.len);
    struct weir__work *work;
    struct weir__chunk *chunk;
    ssize_t len;

    if (room > room_max) return -EMSGSIZE;
    if (!has_room(conn, room)) return -ENOBUFS;
    work = weir__work_get(conn);
    if (!work) return -ENOMEM;
    chunk = chunk_with_room(conn, work, room);
    if (!chunk) return -ENOMEM;
    len = encode(conn->service, message, chunk->bytes + chunk->end, room);
    if (len <= 0) {
        drop_if_empty(conn, work, chunk);
        return (int)len;
    }
    chunk->end += (size_t)len;
    return note_queued(conn, work, (size_t)len);
}

int weir__stream_out_encode(const struct weir__service *service, struct weir_bytes message, struct weir__blob **ret)
{
    const size_t room = encoded_bytes_max(service, message.len);
    struct weir__blob *blob;
    ssize_t len;

    if (room > room_max) return -EMSGSIZE;
    blob = weir__blob_new(service->worker, room);
    if (!blob) return -ENOMEM;
    len = encode(service, message, blob->bytes, room);
    if (len < 0) {
        weir__blob_release(service->worker, blob);
        return (int)len;
    }
    blob->len = (size_t)len;
    *ret = blob;
    return 0;
}

int weir__stream_out_put_blob(struct weir_conn *conn, struct weir__blob *blob)
{
    struct weir__work *work;
    struct weir__chunk *chunk;

    if (!has_room(conn, blob->len)) return -ENOBUFS;
    if (blob->len == 0) return 0;
    work = weir__work_get(conn);
    if (!work) return -ENOMEM;
    chunk = weir__chunk_share(weir__conn_worker(conn), blob);
    if (!chunk) return -ENOMEM;
    append(work, chunk);
    return note_queued(conn, work, blob->len);
}

static int collect(const struct weir__work *work, struct iovec *parts)
{
    int count = 0;

    for (struct weir__chunk *chunk = work->out_first; chunk && count < PARTS_MAX; chunk = chunk->next) {
        unsigned char *bytes = chunk->blob ? chunk->blob->bytes : chunk->bytes;
        parts[count].iov_base = bytes + chunk->begin;
        parts[count].iov_len = chunk->end - chunk->begin;
        count++;
    }
    return count;
}

static void leave(struct weir_conn *conn, struct weir__work *work, size_t len)
{
    struct weir__worker *worker = weir__conn_worker(conn);

    conn->bytes_out += len;
    weir__count(&conn->service->tally->bytes_out, len);
    work->out_bytes -= len;
    while (len > 0) {
        struct weir__chunk *chunk = work->out_first;
        size_t left;

        assert(chunk); /* out_bytes counts what the chunks hold */
        left = chunk->end - chunk->begin;

        if (len < left) {
            chunk->begin += len;
            return;
        }
        len -= left;
        work->out_first = chunk->next;
        if (!work->out_first) work->out_last = NULL;
        weir__chunk_free(worker, chunk);
    }
}

/* The socket is full. The gather chunk goes back to the worker, so what it holds moves to a chunk of its size. */
static enum weir__output wait_for_room(struct weir_conn *conn, struct weir__work *work)
{
    struct weir__worker *worker = weir__conn_worker(conn);
    struct weir__chunk *gather = work->out_first;
    struct weir__chunk *own;
    size_t len;

    if (gather != worker->gather) return WEIR__OUTPUT_WAITS;
    len = gather->end - gather->begin;
    own = weir__chunk_new(worker, len);
    if (!own) return WEIR__OUTPUT_NO_MEMORY;
    memcpy(own->bytes, gather->bytes + gather->begin, len);
    own->end = len;
    own->next = gather->next;
    work->out_first = own;
    if (work->out_last == gather) work->out_last = own;
    weir__chunk_free(worker, gather);
    return WEIR__OUTPUT_WAITS;
}

int weir__stream_out_unacknowledged(const struct weir_conn *conn, int *ret)
{
    return ioctl(weir__conn_fd(conn), SIOCOUTQ, ret) == 0 ? 0 : -errno;
}

/* What the kernel holds for the peer. Linux says that there is room to write only once a third of its buffer, which
 * may be megabytes, is free; that a slow peer takes something shows here. 0 when it cannot be told. */
static int kernel_bytes(const struct weir_conn *conn)
{
    int bytes = 0;

    return weir__stream_out_unacknowledged(conn, &bytes) == 0 ? bytes : 0;
}

bool weir__stream_out_is_on_its_way(const struct weir_conn *conn)
{
    return kernel_bytes(conn) > 0;
}

void weir__stream_out_begin_wait(struct weir_conn *conn)
{
    conn->work->write_since_ms = weir__worker_now(weir__conn_worker(conn));
    conn->work->kernel_bytes = kernel_bytes(conn);
}

bool weir__stream_out_moves(struct weir_conn *conn)
{
    if (kernel_bytes(conn) >= conn->work->kernel_bytes) return false;
    weir__stream_out_begin_wait(conn);
    return true;
}

static void note_progress(struct weir_conn *conn, struct weir__work *work)
{
    const struct weir__service *service = conn->service;

    if (service->idle_timeout_ms != INT64_MAX) work->active_ms = weir__worker_now(service->worker);
    if (conn->above_high && work->out_bytes <= service->output_low) {
        conn->above_high = false;
        conn->writable_due = true;
    }
}

/* One call of the transport. A short write means that the socket is full: asking again would only be told so. */
static enum weir__output write_once(struct weir_conn *conn, struct weir__work *work)
{
    WEIR__UNINITIALIZED struct iovec parts[PARTS_MAX];
    const int count = collect(work, parts);
    size_t offered = 0, len = 0;
    int error = 0;

    assert(count > 0); /* something waits, or we would not be here */
    for (int i = 0; i < count; i++)
        offered += parts[i].iov_len;
    conn->write_needs_read = false;
    switch (conn->service->transport->write(weir__conn_link(conn), parts, count, &len, &error)) {
    case WEIR__IO_BYTES:
        if (len < offered) weir__stream_out_begin_wait(conn);
        leave(conn, work, len);
        note_progress(conn, work);
        conn->blocked = len < offered;
        return WEIR__OUTPUT_LEFT;
    case WEIR__IO_AGAIN_READ:
        conn->write_needs_read = true;
        WEIR__FALLTHROUGH;
    case WEIR__IO_AGAIN_WRITE:
        if (!conn->blocked) weir__stream_out_begin_wait(conn);
        conn->blocked = true;
        return WEIR__OUTPUT_WAITS;
    case WEIR__IO_END:
    case WEIR__IO_TRUNCATED:
        error = ECONNRESET;
        WEIR__FALLTHROUGH;
    case WEIR__IO_ERROR:
        break;
    }
    conn->error = (uint16_t)error;
    return WEIR__OUTPUT_BROKEN;
}

enum weir__output weir__stream_out_flush(struct weir_conn *conn)
{
    struct weir__work *work = conn->work;

    while (weir__conn_output_bytes(conn) > 0) {
        const enum weir__output output = write_once(conn, work);

        if (output == WEIR__OUTPUT_BROKEN) return output;
        if (conn->blocked) return wait_for_room(conn, work);
    }
    conn->blocked = false;
    return WEIR__OUTPUT_LEFT;
}

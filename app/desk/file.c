/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Sends a file, one at a time, from a thread of its own: disks may stand still. Where the framing
 * makes messages it is one; else its bytes go out in order, a chunk after the other, each when the client has room.
 * Must never hold more than one message or one chunk, and once it was stopped must never ask the engine for anything.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/thread.h"
#include "desk_internal.h"
#include "typing/sent_file.h"

enum { AGAIN_MS = 20 /* after the worker's mailbox was full, or the disk behind */ };

struct desk_file {
    struct desk *desk;
    pthread_t thread;
    bool started; /* and not joined */

    /* Written before the thread starts. */
    uint64_t id;
    size_t message_bytes_max; /* 0: its bytes go out as they are */
    char *name;

    _Atomic uint64_t raw_id; /* of the client whose bytes are on their way; 0: none */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool busy; /* under lock, as all below */
    bool stopping;
    bool posted; /* the chunk is the worker's */
    bool full;   /* the client has no room: its worker will tell */
    bool gone;   /* the client has left */
    int result;  /* of the last chunk */

    /* Whose bytes are sent. Until the next one: after a stop the worker may still look at its chunk. */
    struct sent_file *chunk;
};

/* The file's name without its folders, for what is said of it. */
static const char *base_name(const struct desk_file *file)
{
    const char *slash = strrchr(file->name, '/');

    return slash && slash[1] ? slash + 1 : file->name;
}

static void tell_error(struct desk_file *file, const char *reason)
{
    desk_tell(file->desk, "/file %s: %s; nothing was sent", file->name, reason);
}

/* What is shown in place of what was sent. */
static const char *sent_note(const struct desk_file *file, uint64_t len, char ret[120])
{
    char count[COUNT_TEXT_BYTES_MAX];

    count_text(len, "byte", count);
    snprintf(ret, 120, "(%.50s, %s)", base_name(file), count);
    return ret;
}

static bool is_stopping(struct desk_file *file)
{
    bool stopping = false;

    pthread_mutex_lock(&file->lock);
    stopping = file->stopping;
    pthread_mutex_unlock(&file->lock);
    return stopping;
}

/* Leaves the place to the next file, once this one is closed, and before anything is told of it: who reads that may
 * send another at once. The next one waits for the end of this thread, and so does desk_file_finish. */
static void end(struct desk_file *file)
{
    pthread_mutex_lock(&file->lock);
    file->busy = false;
    pthread_cond_broadcast(&file->changed);
    pthread_mutex_unlock(&file->lock);
}

/* ---- As one message ---- */

static void hand_on(struct desk_file *file, struct weir_bytes message, const char *note)
{
    pthread_mutex_lock(&file->lock);
    if (!file->stopping) desk_send(file->desk, file->id, message, note);
    pthread_mutex_unlock(&file->lock);
}

static void send_message(struct desk_file *file, struct sent_file *source)
{
    const ssize_t len = sent_file_read(source);
    char count[COUNT_TEXT_BYTES_MAX];
    char text[COUNT_TEXT_BYTES_MAX + 80];

    sent_file_close(source);
    end(file);
    count_text(source->message_bytes_max, "byte", count);
    snprintf(text, sizeof(text), "too large for one message, of at most %s", count);
    if (len == -EMSGSIZE)
        tell_error(file, text);
    else if (len < 0)
        tell_error(file, weir_strerror((int)len));
    else if (len == 0)
        tell_error(file, "it is empty");
    else
        hand_on(file, (struct weir_bytes){ source->bytes, source->len }, sent_note(file, (uint64_t)len, text));
    sent_file_free(source);
}

/* ---- As bytes ---- */

/* On the client's worker. None can begin while the file is on its way: only the first chunk may find one. */
static bool is_repeating(const struct desk *desk, const struct weir_conn *conn)
{
    const struct desk_client *client = desk->host->find(conn);

    return client && client->repeat;
}

/* On the client's worker. */
static void deliver_chunk(struct weir_conn *conn, void *arg)
{
    struct desk_file *file = arg;
    int result = -ENOENT;

    if (conn && is_repeating(file->desk, conn))
        result = -EBUSY;
    else if (conn)
        result = desk_pass(file->desk, conn, (struct weir_bytes){ file->chunk->bytes, file->chunk->len });
    pthread_mutex_lock(&file->lock);
    file->result = result;
    file->posted = false;
    file->full = result == 1 || result == -ENOBUFS;
    pthread_cond_broadcast(&file->changed);
    pthread_mutex_unlock(&file->lock);
}

/* Under the lock. For what nobody tells when it is over. */
static void wait_a_moment(struct desk_file *file)
{
    const struct timespec deadline = thread_deadline(AGAIN_MS);

    pthread_cond_timedwait(&file->changed, &file->lock, &deadline);
}

static bool is_for_later(int err)
{
    return err == -EAGAIN || err == -ENOBUFS || err == -ENOSPC;
}

/* Sends the chunk, and waits until there is room for another. Returns 0, or the code for which it was not sent. */
static int send_chunk(struct desk_file *file)
{
    int err = 0;

    pthread_mutex_lock(&file->lock);
    do {
        err = file->stopping ? WEIR_ECLOSING : weir_post_conn(file->desk->weir, file->id, deliver_chunk, file);
        if (err == -EAGAIN) {
            wait_a_moment(file);
            continue;
        }
        if (err) break;
        file->posted = true;
        while (!file->stopping && (file->posted || (file->full && !file->gone)))
            pthread_cond_wait(&file->changed, &file->lock);
        if (file->stopping) continue; /* the worker may have the chunk still: nobody touches it any more */
        err = file->result < 0 ? file->result : 0;
        if (err == -ENOBUFS && file->gone) err = -ENOENT;
        if (err == -ENOSPC) wait_a_moment(file);
    } while (file->stopping ? err != WEIR_ECLOSING : is_for_later(err));
    pthread_mutex_unlock(&file->lock);
    return err;
}

static void tell_cut(struct desk_file *file, uint64_t sent, const char *why)
{
    char count[COUNT_TEXT_BYTES_MAX];

    count_text(sent, "byte", count);
    desk_tell(file->desk, "#%llu %s; %s of %s went before", (unsigned long long)file->id, why, count, base_name(file));
}

static void send_bytes(struct desk_file *file)
{
    uint64_t sent = 0;
    ssize_t len = 0;
    char note[120];
    int err = 0;

    atomic_store(&file->raw_id, file->id);
    while ((len = sent_file_read(file->chunk)) > 0) {
        err = send_chunk(file);
        if (err) break;
        sent += (uint64_t)len;
    }
    sent_file_close(file->chunk);
    atomic_store(&file->raw_id, 0);
    end(file);
    if (is_stopping(file)) return; /* all connections are about to end, and say how much has left */
    if (len < 0)
        desk_tell(file->desk, "/file %s: %s; nothing more was sent", file->name, weir_strerror((int)len));
    else if (err == -EBUSY)
        desk_tell(file->desk, "a repeat to #%llu is running; /repeat off ends it", (unsigned long long)file->id);
    else if (err == -ENOENT || err == WEIR_ECLOSING)
        tell_cut(file, sent, "has left");
    else if (err)
        tell_cut(file, sent, weir_strerror(err));
    else if (!sent)
        tell_error(file, "it is empty");
    else
        show_typed(file->desk->show, file->id, (struct weir_bytes){ NULL, 0 }, sent_note(file, sent, note));
}

/* ---- The thread ---- */

/* Takes the one place there is. Returns false when it is taken, or the end has come. */
static bool begin(struct desk_file *file)
{
    bool may_begin = false;

    pthread_mutex_lock(&file->lock);
    may_begin = !file->busy && !file->stopping;
    if (may_begin) file->busy = true;
    pthread_mutex_unlock(&file->lock);
    return may_begin;
}

static void *run(void *arg)
{
    struct desk_file *file = arg;
    struct sent_file *source = NULL;
    const char *reason = NULL;

    if (sent_file_open(file->name, file->message_bytes_max, &source, &reason)) {
        end(file);
        tell_error(file, reason);
    } else if (file->message_bytes_max) {
        send_message(file, source);
    } else {
        file->chunk = source;
        send_bytes(file);
    }
    return NULL;
}

void desk_file_start(struct desk_file *file, uint64_t id, const struct desk_listener *listener, const char *name)
{
    int err = 0;

    if (!begin(file)) {
        desk_tell(file->desk, "%s is still being sent to #%llu; one file at a time", base_name(file),
                  (unsigned long long)file->id);
        return;
    }
    if (file->started) pthread_join(file->thread, NULL);
    sent_file_free(file->chunk);
    file->chunk = NULL;
    free(file->name);
    file->name = strdup(name);
    file->id = id;
    file->message_bytes_max = listener->sends_raw ? 0 : listener->message_bytes_max;
    file->posted = file->full = file->gone = false;
    err = file->name ? thread_start(&file->thread, run, file) : -ENOMEM;
    file->started = !err;
    if (!err) return;
    end(file);
    desk_tell(file->desk, "/file %s: %s", name, weir_strerror(err));
}

bool desk_file_is_between(struct desk_file *file, uint64_t id)
{
    return id && atomic_load(&file->raw_id) == id;
}

/* ---- News ---- */

void desk_file_writable(struct desk_file *file, uint64_t id)
{
    if (atomic_load(&file->raw_id) != id) return;
    pthread_mutex_lock(&file->lock);
    if (atomic_load(&file->raw_id) == id) file->full = false;
    pthread_cond_broadcast(&file->changed);
    pthread_mutex_unlock(&file->lock);
}

void desk_file_close(struct desk_file *file, uint64_t id)
{
    if (atomic_load(&file->raw_id) != id) return;
    pthread_mutex_lock(&file->lock);
    if (atomic_load(&file->raw_id) == id) file->gone = true;
    pthread_cond_broadcast(&file->changed);
    pthread_mutex_unlock(&file->lock);
}

/* ---- Its life ---- */

int desk_file_new(struct desk *desk, struct desk_file **ret)
{
    struct desk_file *file = calloc(1, sizeof(*file));

    if (!file) return -ENOMEM;
    file->desk = desk;
    pthread_mutex_init(&file->lock, NULL);
    thread_cond_init(&file->changed);
    *ret = file;
    return 0;
}

void desk_file_stop(struct desk_file *file)
{
    pthread_mutex_lock(&file->lock);
    file->stopping = true;
    pthread_cond_broadcast(&file->changed);
    pthread_mutex_unlock(&file->lock);
}

bool desk_file_finish(struct desk_file *file, int wait_ms)
{
    const struct timespec deadline = thread_deadline(wait_ms);
    bool busy = false;
    int err = 0;

    pthread_mutex_lock(&file->lock);
    while (file->busy && !err)
        err = pthread_cond_timedwait(&file->changed, &file->lock, &deadline);
    busy = file->busy;
    pthread_mutex_unlock(&file->lock);
    if (busy) return false;
    if (file->started) pthread_join(file->thread, NULL);
    file->started = false;
    return true;
}

void desk_file_free(struct desk_file *file)
{
    if (!file) return;
    pthread_cond_destroy(&file->changed);
    pthread_mutex_destroy(&file->lock);
    sent_file_free(file->chunk);
    free(file->name);
    free(file);
}

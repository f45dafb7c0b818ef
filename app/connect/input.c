/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Reads standard input in a thread of its own and hands it to a connection's worker, one chunk at a
 * time. Must never hold more than that chunk: a server that reads slowly slows the reading here. */
#include "input.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/thread.h"

enum { CHUNK_BYTES = 64 * 1024 };

struct input {
    int fd;
    int wake_fd; /* readable once stopping is set */
    struct weir *weir;
    uint64_t conn_id;
    input_callback *callback;
    void *user;
    pthread_t thread;

    pthread_mutex_t lock;
    pthread_cond_t changed; /* wanted or stopping was set */
    bool wanted;            /* the chunk is the thread's to fill; else the connection's to use */
    bool stopping;

    ssize_t result; /* of the read: bytes, 0 at the end, or a negative code */
    unsigned char chunk[CHUNK_BYTES];
};

/* On the connection's worker. */
static void deliver(struct weir_conn *conn, void *arg)
{
    struct input *input = arg;
    const struct weir_bytes bytes = { input->chunk, input->result > 0 ? (size_t)input->result : 0 };

    input->callback(conn, bytes, input->result < 0 ? (int)input->result : 0, input->user);
}

/* Waits until a chunk is wanted. Returns false when it is time to stop. */
static bool wait_until_wanted(struct input *input)
{
    bool go_on = false;

    pthread_mutex_lock(&input->lock);
    while (!input->wanted && !input->stopping)
        pthread_cond_wait(&input->changed, &input->lock);
    go_on = !input->stopping;
    pthread_mutex_unlock(&input->lock);
    return go_on;
}

/* Fills the chunk. Returns false when it is time to stop. */
static bool read_chunk(struct input *input)
{
    struct pollfd ready[] = { { .fd = input->fd, .events = POLLIN }, { .fd = input->wake_fd, .events = POLLIN } };

    for (;;) {
        if (poll(ready, 2, -1) < 0) continue; /* only a signal can end it early */
        if (ready[1].revents) return false;
        input->result = read(input->fd, input->chunk, sizeof(input->chunk));
        if (input->result >= 0) return true;
        input->result = -errno;
        if (input->result != -EAGAIN && input->result != -EINTR) return true;
    }
}

static void *run(void *arg)
{
    struct input *input = arg;
    int err = 0;

    while (!err && wait_until_wanted(input) && read_chunk(input)) {
        const bool is_last = input->result <= 0; /* read before the worker may have it */
        pthread_mutex_lock(&input->lock);
        input->wanted = false;
        err = weir_post_conn(input->weir, input->conn_id, deliver, input);
        pthread_mutex_unlock(&input->lock);
        if (is_last) break;
    }
    /* Without memory to hand a chunk on, there is nothing left to do for this connection. */
    if (err) weir_stop(input->weir, 1);
    return NULL;
}

bool input_is_left(const struct input *input)
{
    struct pollfd ready = { .events = POLLIN };
    char byte = 0;

    if (!input) return false;
    ready.fd = input->fd;
    return poll(&ready, 1, 0) == 1 && ready.revents & POLLIN && read(input->fd, &byte, 1) == 1;
}

void input_free(struct input *input)
{
    if (!input) return;
    pthread_cond_destroy(&input->changed);
    pthread_mutex_destroy(&input->lock);
    if (input->wake_fd >= 0) close(input->wake_fd);
    free(input);
}

int input_start(int fd, struct weir *weir, uint64_t conn_id, input_callback *callback, void *user, struct input **ret)
{
    struct input *input = calloc(1, sizeof(*input));
    int err = 0;

    if (!input) return -ENOMEM;
    input->fd = fd;
    input->weir = weir;
    input->conn_id = conn_id;
    input->callback = callback;
    input->user = user;
    input->wanted = true;
    pthread_mutex_init(&input->lock, NULL);
    pthread_cond_init(&input->changed, NULL);
    input->wake_fd = eventfd(0, EFD_CLOEXEC);
    err = input->wake_fd < 0 ? -errno : thread_start(&input->thread, run, input);
    if (err) {
        input_free(input);
        return err;
    }
    *ret = input;
    return 0;
}

void input_next(struct input *input)
{
    pthread_mutex_lock(&input->lock);
    input->wanted = true;
    pthread_cond_signal(&input->changed);
    pthread_mutex_unlock(&input->lock);
}

void input_stop(struct input *input)
{
    const uint64_t one = 1;

    if (!input) return;
    pthread_mutex_lock(&input->lock);
    input->stopping = true;
    pthread_cond_signal(&input->changed);
    pthread_mutex_unlock(&input->lock);
    while (write(input->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
    pthread_join(input->thread, NULL);
}

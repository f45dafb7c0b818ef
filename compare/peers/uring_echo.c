/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The same echo server on io_uring by liburing, with what the kernel has for servers: one multishot accept, one
 * multishot recv a connection into buffers that all connections share, completions run only when the loop asks for them
 * (DEFER_TASKRUN), and all that a turn asks for submitted by the call that waits for the next.
 *
 * A shared buffer is lent to a connection only until the kernel has tried to send it, which it does at once. What the
 * socket refuses is copied and waits in the kernel, and meanwhile the connection is not read: a client that does not
 * read holds no shared buffer, and of its own bytes no more than one turn brought. */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdbool.h>
#include <unistd.h>

#include "listen.h"

enum { SUBMISSIONS = 1024, COMPLETIONS = 16384 };
enum { BUFFER_COUNT = 256, BUFFER_BYTES = BENCH_READ_BYTES, BUFFER_GROUP = 0, NO_BUFFER = -1 };
enum { STATUS_SKIPPED = 77 };

/* What a completion is about: the low bits of its user data, which is otherwise the connection's address. */
enum operation { IGNORED, ACCEPT, RECV, SEND, OPERATION_MASK = 3 };

struct connection {
    int fd;
    bool receiving; /* recv is armed */
    bool sending;
    bool waiting; /* and the send may take as long as the peer likes */
    bool ended;   /* nothing more comes */

    int buffer; /* the shared one that bytes lie in; NO_BUFFER: they are the connection's own */
    unsigned char *bytes;
    size_t len;
    size_t sent;

    unsigned char *next; /* came while those were being sent */
    size_t next_len;
};

static struct io_uring ring;
static struct io_uring_buf_ring *buffers;
static unsigned char buffer_bytes[BUFFER_COUNT][BUFFER_BYTES];

/* ---- Asking the kernel ---- */

static struct io_uring_sqe *new_entry(void)
{
    struct io_uring_sqe *entry = io_uring_get_sqe(&ring);
    if (entry) return entry;
    if (io_uring_submit(&ring) < 0) bench_die("io_uring_submit"); /* one turn asks for more than the queue holds */
    entry = io_uring_get_sqe(&ring);
    if (!entry) bench_die("io_uring_get_sqe");
    return entry;
}

static void name_entry(struct io_uring_sqe *entry, struct connection *connection, enum operation operation)
{
    io_uring_sqe_set_data64(entry, (uintptr_t)connection | operation);
}

static void start_accepting(int listen_fd)
{
    struct io_uring_sqe *entry = new_entry();
    io_uring_prep_multishot_accept(entry, listen_fd, NULL, NULL, SOCK_CLOEXEC);
    name_entry(entry, NULL, ACCEPT);
}

static void start_receiving(struct connection *connection)
{
    struct io_uring_sqe *entry = new_entry();
    io_uring_prep_recv_multishot(entry, connection->fd, NULL, 0, 0);
    entry->flags |= IOSQE_BUFFER_SELECT;
    entry->buf_group = BUFFER_GROUP;
    name_entry(entry, connection, RECV);
    connection->receiving = true;
}

/* The recv then completes a last time. */
static void stop_receiving(struct connection *connection)
{
    struct io_uring_sqe *entry = new_entry();
    io_uring_prep_cancel64(entry, (uintptr_t)connection | RECV, 0);
    name_entry(entry, NULL, IGNORED);
}

static void start_sending(struct connection *connection)
{
    struct io_uring_sqe *entry = new_entry();
    io_uring_prep_send(entry, connection->fd, connection->bytes + connection->sent, connection->len - connection->sent,
                       MSG_NOSIGNAL | (connection->waiting ? 0 : MSG_DONTWAIT));
    name_entry(entry, connection, SEND);
    connection->sending = true;
}

static void give_back(int buffer)
{
    io_uring_buf_ring_add(buffers, buffer_bytes[buffer], BUFFER_BYTES, (unsigned short)buffer, BUFFER_COUNT - 1, 0);
    io_uring_buf_ring_advance(buffers, 1);
}

/* ---- A connection ---- */

static void open_connection(int fd)
{
    struct connection *connection = calloc(1, sizeof(*connection));
    if (!connection) bench_die("calloc");
    bench_nodelay(fd);
    connection->fd = fd;
    connection->buffer = NO_BUFFER;
    start_receiving(connection);
}

static void release_sent(struct connection *connection)
{
    if (connection->buffer != NO_BUFFER)
        give_back(connection->buffer);
    else
        free(connection->bytes);
    connection->buffer = NO_BUFFER;
    connection->bytes = NULL;
    connection->len = 0;
    connection->sent = 0;
    connection->waiting = false;
}

static void close_connection(struct connection *connection)
{
    struct io_uring_sqe *entry = new_entry();
    io_uring_prep_close(entry, connection->fd);
    name_entry(entry, NULL, IGNORED);
    free(connection->next);
    free(connection);
}

/* What follows from what is: after every completion. */
static void go_on(struct connection *connection)
{
    if (connection->sending) return;
    if (connection->next_len > 0) {
        connection->bytes = connection->next;
        connection->len = connection->next_len;
        connection->next = NULL;
        connection->next_len = 0;
        start_sending(connection);
    } else if (!connection->receiving && connection->ended) {
        close_connection(connection);
    } else if (!connection->receiving) {
        start_receiving(connection);
    }
}

static void keep(struct connection *connection, const unsigned char *bytes, size_t len)
{
    connection->next = realloc(connection->next, connection->next_len + len);
    if (!connection->next) bench_die("realloc");
    memcpy(connection->next + connection->next_len, bytes, len);
    connection->next_len += len;
}

static void on_received(struct connection *connection, const struct io_uring_cqe *completion)
{
    const int len = completion->res;
    const bool has_buffer = completion->flags & IORING_CQE_F_BUFFER;
    const int buffer = has_buffer ? (int)(completion->flags >> IORING_CQE_BUFFER_SHIFT) : NO_BUFFER;

    connection->receiving = completion->flags & IORING_CQE_F_MORE;
    /* ENOBUFS: all are lent; they come back within this turn. ECANCELED: stop_receiving. */
    if (len == 0 || (len < 0 && len != -ENOBUFS && len != -ECANCELED)) connection->ended = true;
    if (len > 0 && !connection->ended && !connection->sending) {
        connection->buffer = buffer;
        connection->bytes = buffer_bytes[buffer];
        connection->len = (size_t)len;
        start_sending(connection);
        return;
    }
    if (len > 0 && !connection->ended) keep(connection, buffer_bytes[buffer], (size_t)len);
    if (has_buffer) give_back(buffer);
    go_on(connection);
}

static void wait_for_room(struct connection *connection)
{
    if (connection->buffer != NO_BUFFER) {
        const size_t rest_len = connection->len - connection->sent;
        unsigned char *rest = malloc(rest_len);
        if (!rest) bench_die("malloc");
        memcpy(rest, connection->bytes + connection->sent, rest_len);
        release_sent(connection);
        connection->bytes = rest;
        connection->len = rest_len;
    }
    connection->waiting = true;
    if (connection->receiving) stop_receiving(connection);
    start_sending(connection);
}

static void on_sent(struct connection *connection, int result)
{
    connection->sending = false;
    if (result < 0 && result != -EAGAIN) { /* the peer is gone */
        release_sent(connection);
        connection->next_len = 0;
        connection->ended = true;
        if (connection->receiving) stop_receiving(connection);
    } else {
        connection->sent += result < 0 ? 0 : (size_t)result;
        if (connection->sent < connection->len) {
            wait_for_room(connection);
            return;
        }
        release_sent(connection);
    }
    go_on(connection);
}

/* ---- The loop ---- */

static void on_accepted(int listen_fd, const struct io_uring_cqe *completion)
{
    if (completion->res >= 0) {
        open_connection(completion->res);
    } else if (completion->res != -ECONNABORTED) {
        errno = -completion->res;
        bench_die("accept");
    }
    if (!(completion->flags & IORING_CQE_F_MORE)) start_accepting(listen_fd);
}

static void on_completion(int listen_fd, const struct io_uring_cqe *completion)
{
    const uint64_t data = io_uring_cqe_get_data64(completion);
    struct connection *connection = (struct connection *)(uintptr_t)(data & ~(uint64_t)OPERATION_MASK);

    switch ((enum operation)(data & OPERATION_MASK)) {
    case ACCEPT:
        on_accepted(listen_fd, completion);
        break;
    case RECV:
        on_received(connection, completion);
        break;
    case SEND:
        on_sent(connection, completion->res);
        break;
    case IGNORED:
    default:
        break;
    }
}

static void make_ring(void)
{
    struct io_uring_params params = { .flags =
                                          IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
                                      .cq_entries = COMPLETIONS };
    int err = io_uring_queue_init_params(SUBMISSIONS, &ring, &params);
    if (err != 0) {
        fprintf(stderr, "uring_echo: skipped: io_uring is not to be had here: %s (it needs Linux 6.1)\n",
                strerror(-err));
        exit(STATUS_SKIPPED);
    }
    io_uring_register_ring_fd(&ring);
}

static void lend_buffers(void)
{
    struct io_uring_buf_reg group = { .ring_entries = BUFFER_COUNT, .bgid = BUFFER_GROUP };
    buffers = aligned_alloc((size_t)sysconf(_SC_PAGESIZE), BUFFER_COUNT * sizeof(struct io_uring_buf));
    if (!buffers) bench_die("aligned_alloc");
    group.ring_addr = (uintptr_t)buffers;
    if (io_uring_register_buf_ring(&ring, &group, 0) != 0) bench_die("io_uring_register_buf_ring");
    io_uring_buf_ring_init(buffers);
    for (int buffer = 0; buffer < BUFFER_COUNT; buffer++)
        give_back(buffer);
}

int main(int argc, char **argv)
{
    make_ring();
    lend_buffers();
    int listen_fd = bench_listen(argc, argv);
    if (fcntl(listen_fd, F_SETFL, 0) != 0) bench_die("fcntl"); /* or an accept would fail in place of waiting */
    start_accepting(listen_fd);

    for (;;) {
        struct io_uring_cqe *completion;
        unsigned head;
        unsigned count = 0;
        int err = io_uring_submit_and_wait(&ring, 1);
        if (err < 0 && err != -EINTR) bench_die("io_uring_submit_and_wait");
        io_uring_for_each_cqe(&ring, head, completion)
        {
            on_completion(listen_fd, completion);
            count++;
        }
        io_uring_cq_advance(&ring, count);
    }
}

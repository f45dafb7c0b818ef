/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The same echo server on libev, in the style of its manual: one ev_io a connection, embedded as the first member of
 * what belongs to the connection, and recv and send at the socket itself, for libev has no buffers of its own. What a
 * socket refuses is kept; until it has left, the watcher waits for writing in place of reading. */
#include <errno.h>
#include <ev.h>
#include <string.h>
#include <unistd.h>

#include "listen.h"

struct connection {
    ev_io io; /* first: a watcher is its connection */
    unsigned char *rest;
    size_t rest_len;
    size_t sent; /* of the rest */
};

static unsigned char scratch[BENCH_READ_BYTES];

static void drop(struct ev_loop *loop, struct connection *connection)
{
    ev_io_stop(loop, &connection->io);
    close(connection->io.fd);
    free(connection->rest);
    free(connection);
}

/* Sends what it can: the number of bytes sent, or -1 when the connection is gone. */
static ssize_t send_some(int fd, const unsigned char *bytes, size_t len)
{
    ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return -1;
    return sent < 0 ? 0 : sent;
}

static void watch(struct ev_loop *loop, struct connection *connection, int events,
                  void (*callback)(struct ev_loop *loop, ev_io *io, int events))
{
    ev_io_stop(loop, &connection->io);
    ev_io_init(&connection->io, callback, connection->io.fd, events);
    ev_io_start(loop, &connection->io);
}

static void on_readable(struct ev_loop *loop, ev_io *io, int events);

static void on_writable(struct ev_loop *loop, ev_io *io, int events)
{
    struct connection *connection = (struct connection *)io;
    (void)events;
    ssize_t sent = send_some(io->fd, connection->rest + connection->sent, connection->rest_len - connection->sent);
    if (sent < 0) {
        drop(loop, connection);
        return;
    }
    connection->sent += (size_t)sent;
    if (connection->sent < connection->rest_len) return;
    free(connection->rest);
    connection->rest = NULL;
    watch(loop, connection, EV_READ, on_readable);
}

static void keep_rest(struct ev_loop *loop, struct connection *connection, const unsigned char *bytes, size_t len)
{
    connection->rest = malloc(len);
    if (!connection->rest) bench_die("malloc");
    memcpy(connection->rest, bytes, len);
    connection->rest_len = len;
    connection->sent = 0;
    watch(loop, connection, EV_WRITE, on_writable);
}

static void on_readable(struct ev_loop *loop, ev_io *io, int events)
{
    struct connection *connection = (struct connection *)io;
    (void)events;
    ssize_t len = recv(io->fd, scratch, sizeof(scratch), 0);
    if (len < 0 && errno == EAGAIN) return;
    ssize_t sent = len <= 0 ? -1 : send_some(io->fd, scratch, (size_t)len);
    if (sent < 0)
        drop(loop, connection);
    else if (sent < len)
        keep_rest(loop, connection, scratch + sent, (size_t)(len - sent));
}

static void on_acceptable(struct ev_loop *loop, ev_io *listener, int events)
{
    (void)events;
    int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0 && (errno == EAGAIN || errno == ECONNABORTED)) return;
    if (fd < 0) bench_die("accept4");
    bench_nodelay(fd);
    struct connection *connection = calloc(1, sizeof(*connection));
    if (!connection) bench_die("calloc");
    ev_io_init(&connection->io, on_readable, fd, EV_READ);
    ev_io_start(loop, &connection->io);
}

int main(int argc, char **argv)
{
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    ev_io listener;

    if (!loop) bench_die("ev_loop_new");
    ev_io_init(&listener, on_acceptable, bench_listen(argc, argv), EV_READ);
    ev_io_start(loop, &listener);
    ev_run(loop, 0);
    return 0;
}

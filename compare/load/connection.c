/* SPDX-License-Identifier: BSD-3-Clause
 *
 * compare/load/connection.c: the load's sockets, and the bytes that cross them. Each byte that comes is compared with
 * the byte that was sent. It must never wait for one connection while others could go on, but for connect, which on
 * loopback is done when it returns. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

enum { EVENTS_MAX = 512, SOURCES = 16 };

struct connection *connections;

static int epoll_fd;
static unsigned char received[RECEIVE_BYTES];

void connections_init(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0) die("getrlimit: %s", strerror(errno));
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) != 0) die("setrlimit: %s", strerror(errno));
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    connections = calloc(options.connections, sizeof(*connections));
    if (epoll_fd < 0 || !connections) die("cannot start: %s", strerror(errno));
    answers_init();
}

static void watch(int op, struct connection *connection, uint32_t events)
{
    struct epoll_event event = { .events = events, .data.ptr = connection };
    if (epoll_ctl(epoll_fd, op, connection->fd, &event) != 0) die("epoll_ctl: %s", strerror(errno));
}

/* An address of this machine's has some 28,000 ports, of which those just closed are not free for a minute: the
 * connections share several addresses. The port is chosen only by connect (ip(7)), or each could be taken but once. */
static void choose_source(int fd)
{
    static unsigned count;
    const struct sockaddr_in source = { .sin_family = AF_INET,
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + count++ % SOURCES) };
    int on = 1;

    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    if (bind(fd, (const struct sockaddr *)&source, sizeof(source)) != 0) die("bind: %s", strerror(errno));
}

void connection_open(struct connection *connection)
{
    const struct sockaddr_in address = { .sin_family = AF_INET,
                                         .sin_port = htons(options.port),
                                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int on = 1;

    *connection =
        (struct connection){ .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .pattern = connection->pattern };
    if (connection->fd < 0) die("socket: %s", strerror(errno));
    choose_source(connection->fd);
    if (connect(connection->fd, (const struct sockaddr *)&address, sizeof(address)) != 0)
        die("connect to 127.0.0.1:%d: %s", options.port, strerror(errno));
    if (setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0)
        die("TCP_NODELAY: %s", strerror(errno));
    answers_greet(connection);
    watch(EPOLL_CTL_ADD, connection, EPOLLIN);
}

void connection_close(struct connection *connection)
{
    close(connection->fd);
}

void connections_open(void)
{
    for (unsigned long i = 0; i < options.connections; i++)
        connection_open(&connections[i]);
}

void connections_rewind(void)
{
    for (unsigned long i = 0; i < options.connections; i++) {
        connections[i].sent = 0;
        connections[i].received = 0;
        connections[i].to_send = 0;
    }
}

void connection_send(struct connection *connection)
{
    const size_t at = connection->sent % options.wire_bytes;
    uint64_t len = connection->to_send - connection->sent;

    if (len > options.pattern_bytes - at) len = options.pattern_bytes - at;
    const ssize_t sent = send(connection->fd, connection->pattern + at, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN) die("send: %s", strerror(errno));
    if (sent > 0) connection->sent += (uint64_t)sent;

    const bool wants_write = connection->sent < connection->to_send;
    if (wants_write == connection->wants_write) return;
    connection->wants_write = wants_write;
    watch(EPOLL_CTL_MOD, connection, wants_write ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

uint64_t connection_receive(struct connection *connection, uint64_t expected_bytes)
{
    const uint64_t messages_before = connection->received / options.wire_bytes;
    const ssize_t len = recv(connection->fd, received, sizeof(received), MSG_DONTWAIT);

    if (len < 0 && errno == EAGAIN) return 0;
    if (len < 0) die("recv: %s", strerror(errno));
    if (len == 0) die("the server closed a connection");
    if (options.answers != ANSWERS_SAME)
        connection->received += answers_count(connection, received, (size_t)len) * options.wire_bytes;
    else if (memcmp(received, connection->pattern + connection->received % options.wire_bytes, (size_t)len) != 0)
        die("what came back is not what was sent");
    else
        connection->received += (uint64_t)len;
    if (connection->received > expected_bytes) die("more came back than was sent");
    return connection->received / options.wire_bytes - messages_before;
}

bool connection_has_ended(const struct connection *connection)
{
    const ssize_t len = recv(connection->fd, received, sizeof(received), MSG_DONTWAIT);

    if (len < 0 && errno == EAGAIN) return false;
    if (len < 0) die("recv: %s", strerror(errno));
    if (len > 0) die("the server answers what should have no answer");
    return true;
}

bool connections_wait(int64_t timeout_us, void (*on_event)(struct connection *connection, uint32_t events))
{
    const struct timespec timeout = { .tv_sec = timeout_us / 1000000, .tv_nsec = timeout_us % 1000000 * 1000 };
    struct epoll_event events[EVENTS_MAX];
    const int count = epoll_pwait2(epoll_fd, events, EVENTS_MAX, &timeout, NULL);

    if (count < 0 && errno != EINTR) die("epoll_wait: %s", strerror(errno));
    for (int i = 0; i < count; i++)
        on_event(events[i].data.ptr, events[i].events);
    return count != 0;
}

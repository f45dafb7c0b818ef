/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The floor: an echo server that is nothing but a level-triggered epoll loop, one recv and one send for each wake-up.
 * It owns one buffer that all connections are read into, and for a connection whose socket refused bytes the rest of
 * them. It has no limits and no timeouts, and must never get any: it is what weir is compared with. */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "listen.h"

enum { EVENTS_MAX = 512 };

/* What a socket refused; while there is any, the socket is watched for writing and not read. */
struct rest {
    unsigned char *bytes;
    size_t len;
    size_t sent;
};

static int epoll_fd;
static unsigned char scratch[BENCH_READ_BYTES];
static struct rest *rests; /* by descriptor */

static void watch(int op, int fd, uint32_t events)
{
    struct epoll_event event = { .events = events, .data.fd = fd };
    if (epoll_ctl(epoll_fd, op, fd, &event) != 0) bench_die("epoll_ctl");
}

static void drop(int fd)
{
    free(rests[fd].bytes);
    rests[fd] = (struct rest){ 0 };
    close(fd);
}

/* Sends what it can: the number of bytes sent, or -1 when the connection is gone. */
static ssize_t send_some(int fd, const unsigned char *bytes, size_t len)
{
    ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return -1;
    return sent < 0 ? 0 : sent;
}

static void keep_rest(int fd, const unsigned char *bytes, size_t len)
{
    struct rest *rest = &rests[fd];
    rest->bytes = malloc(len);
    if (!rest->bytes) bench_die("malloc");
    memcpy(rest->bytes, bytes, len);
    rest->len = len;
    rest->sent = 0;
    watch(EPOLL_CTL_MOD, fd, EPOLLOUT);
}

static void on_readable(int fd)
{
    ssize_t len = recv(fd, scratch, sizeof(scratch), 0);
    if (len < 0 && errno == EAGAIN) return;
    if (len <= 0) {
        drop(fd);
        return;
    }
    ssize_t sent = send_some(fd, scratch, (size_t)len);
    if (sent < 0)
        drop(fd);
    else if (sent < len)
        keep_rest(fd, scratch + sent, (size_t)(len - sent));
}

static void on_writable(int fd)
{
    struct rest *rest = &rests[fd];
    ssize_t sent = send_some(fd, rest->bytes + rest->sent, rest->len - rest->sent);
    if (sent < 0) {
        drop(fd);
        return;
    }
    rest->sent += (size_t)sent;
    if (rest->sent < rest->len) return;
    free(rest->bytes);
    *rest = (struct rest){ 0 };
    watch(EPOLL_CTL_MOD, fd, EPOLLIN);
}

static void on_acceptable(int listen_fd)
{
    int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0 && (errno == EAGAIN || errno == ECONNABORTED)) return;
    if (fd < 0) bench_die("accept4");
    bench_nodelay(fd);
    watch(EPOLL_CTL_ADD, fd, EPOLLIN);
}

int main(int argc, char **argv)
{
    struct epoll_event events[EVENTS_MAX];
    int listen_fd = bench_listen(argc, argv);

    rests = calloc((size_t)sysconf(_SC_OPEN_MAX), sizeof(*rests));
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (!rests || epoll_fd < 0) bench_die("epoll_create1");
    watch(EPOLL_CTL_ADD, listen_fd, EPOLLIN);

    for (;;) {
        int count = epoll_wait(epoll_fd, events, EVENTS_MAX, -1);
        if (count < 0 && errno != EINTR) bench_die("epoll_wait");
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == listen_fd)
                on_acceptable(fd);
            else if (rests[fd].len > 0)
                on_writable(fd);
            else
                on_readable(fd);
        }
    }
}

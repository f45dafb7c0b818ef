/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The floor of receiving: a level-triggered epoll loop that counts the bytes it gets and drops them. It looks for no
 * message in them: what weir's framing costs is what it takes more than this. On SIGTERM it prints the count. */
#include <errno.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "listen.h"

enum { EVENTS_MAX = 512 };

static int epoll_fd;
static unsigned char scratch[BENCH_READ_BYTES];
static unsigned long long received; /* bytes */
static volatile sig_atomic_t stopped;

static void on_stop_signal(int number)
{
    (void)number;
    stopped = true;
}

static void watch(int fd)
{
    struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) bench_die("epoll_ctl");
}

static void on_readable(int fd)
{
    ssize_t len = recv(fd, scratch, sizeof(scratch), 0);
    if (len < 0 && errno == EAGAIN) return;
    if (len <= 0)
        close(fd);
    else
        received += (unsigned long long)len;
}

static void on_acceptable(int listen_fd)
{
    int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0 && (errno == EAGAIN || errno == ECONNABORTED)) return;
    if (fd < 0) bench_die("accept4");
    bench_nodelay(fd);
    watch(fd);
}

int main(int argc, char **argv)
{
    struct epoll_event events[EVENTS_MAX];
    int listen_fd = bench_listen(argc, argv);

    signal(SIGTERM, on_stop_signal);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0) bench_die("epoll_create1");
    watch(listen_fd);

    while (!stopped) {
        int count = epoll_wait(epoll_fd, events, EVENTS_MAX, -1);
        if (count < 0 && errno != EINTR) bench_die("epoll_wait");
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == listen_fd)
                on_acceptable(listen_fd);
            else
                on_readable(events[i].data.fd);
        }
    }
    printf("%llu\n", received);
    return 0;
}

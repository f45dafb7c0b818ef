/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The same echo server on libevent's plain events: one persistent event a connection, recv and send. It shows what the
 * loop itself costs, between the bare epoll loop and bufferevents. A peer that lets its answers pile up in the kernel
 * is dropped: this program has no output queue. */
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <unistd.h>

#include "listen.h"

static unsigned char scratch[BENCH_READ_BYTES];

static void drop(struct event *event)
{
    evutil_socket_t fd = event_get_fd(event);
    event_del(event);
    close(fd);
    free(event);
}

static void on_readable(evutil_socket_t fd, short what, void *user)
{
    (void)what;
    ssize_t len = recv(fd, scratch, sizeof(scratch), 0);
    if (len < 0 && errno == EAGAIN) return;
    if (len <= 0 || send(fd, scratch, (size_t)len, MSG_NOSIGNAL) != len) drop(user);
}

static void on_acceptable(evutil_socket_t listen_fd, short what, void *user)
{
    struct event_base *base = user;
    (void)what;
    int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0 && (errno == EAGAIN || errno == ECONNABORTED)) return;
    if (fd < 0) bench_die("accept4");
    bench_nodelay(fd);
    struct event *event = malloc(sizeof(*event));
    if (!event) bench_die("malloc");
    if (event_assign(event, base, fd, EV_READ | EV_PERSIST, on_readable, event) != 0) bench_die("event_assign");
    if (event_add(event, NULL) != 0) bench_die("event_add");
}

int main(int argc, char **argv)
{
    struct event_config *config = event_config_new();
    if (!config || event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) != 0) bench_die("event_config_new");
    struct event_base *base = event_base_new_with_config(config);
    event_config_free(config);
    if (!base) bench_die("event_base_new");
    struct event *listener = event_new(base, bench_listen(argc, argv), EV_READ | EV_PERSIST, on_acceptable, base);
    if (!listener || event_add(listener, NULL) != 0) bench_die("event_new");
    event_base_dispatch(base);
    event_free(listener);
    event_base_free(base);
    return 0;
}

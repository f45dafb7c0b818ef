/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The floor of fan-out: a level-triggered epoll loop in which each message of MESSAGE_BYTES that anybody sends goes to
 * every connection, its sender included, with one send each. What a socket refuses is kept; while there is any, the
 * connection is not read, and over REST_BYTES_MAX, weir's default for output too, it is dropped. */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "listen.h"

enum { MESSAGE_BYTES = 1024, REST_BYTES_MAX = 1024 * 1024, EVENTS_MAX = 512 };

struct member {
    int fd;       /* -1: dropped, and freed once no event can name it any more */
    size_t place; /* in members */
    struct member *next_dropped;
    unsigned char message[MESSAGE_BYTES];
    size_t message_len;
    unsigned char *rest;
    size_t rest_len;
};

static int epoll_fd;
static struct member **members;
static size_t member_count;
static struct member *dropped;

static void watch(int op, int fd, uint32_t events, void *what)
{
    struct epoll_event event = { .events = events, .data.ptr = what };
    if (epoll_ctl(epoll_fd, op, fd, &event) != 0) bench_die("epoll_ctl");
}

static void drop(struct member *member)
{
    close(member->fd);
    member->fd = -1;
    members[member->place] = members[--member_count];
    members[member->place]->place = member->place;
    member->next_dropped = dropped;
    dropped = member;
}

static void bury_dropped(void)
{
    while (dropped) {
        struct member *member = dropped;
        dropped = member->next_dropped;
        free(member->rest);
        free(member);
    }
}

static void keep_rest(struct member *member, const unsigned char *bytes, size_t len)
{
    if (member->rest_len + len > REST_BYTES_MAX) {
        drop(member);
        return;
    }
    if (member->rest_len == 0) watch(EPOLL_CTL_MOD, member->fd, EPOLLOUT, member);
    member->rest = realloc(member->rest, member->rest_len + len);
    if (!member->rest) bench_die("realloc");
    memcpy(member->rest + member->rest_len, bytes, len);
    member->rest_len += len;
}

/* Sends what it can: the number of bytes sent, or -1 when the connection is gone. */
static ssize_t send_some(int fd, const unsigned char *bytes, size_t len)
{
    ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return -1;
    return sent < 0 ? 0 : sent;
}

static void deliver(struct member *member, const unsigned char *message)
{
    ssize_t sent = member->rest_len > 0 ? 0 : send_some(member->fd, message, MESSAGE_BYTES);
    if (sent < 0)
        drop(member);
    else if (sent < MESSAGE_BYTES)
        keep_rest(member, message + sent, MESSAGE_BYTES - (size_t)sent);
}

/* From the last to the first, because drop moves the last to the place of the dropped. */
static void deliver_to_all(const unsigned char *message)
{
    for (size_t i = member_count; i > 0; i--)
        deliver(members[i - 1], message);
}

static void on_readable(struct member *member)
{
    ssize_t len = recv(member->fd, member->message + member->message_len, MESSAGE_BYTES - member->message_len, 0);
    if (len < 0 && errno == EAGAIN) return;
    if (len <= 0) {
        drop(member);
        return;
    }
    member->message_len += (size_t)len;
    if (member->message_len < MESSAGE_BYTES) return;
    member->message_len = 0;
    deliver_to_all(member->message);
}

static void on_writable(struct member *member)
{
    ssize_t sent = send_some(member->fd, member->rest, member->rest_len);
    if (sent < 0) {
        drop(member);
        return;
    }
    member->rest_len -= (size_t)sent;
    if (member->rest_len > 0) {
        memmove(member->rest, member->rest + sent, member->rest_len);
        return;
    }
    free(member->rest);
    member->rest = NULL;
    watch(EPOLL_CTL_MOD, member->fd, EPOLLIN, member);
}

static void on_acceptable(int listen_fd)
{
    int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0 && (errno == EAGAIN || errno == ECONNABORTED)) return;
    if (fd < 0) bench_die("accept4");
    bench_nodelay(fd);
    struct member *member = calloc(1, sizeof(*member));
    if (!member) bench_die("calloc");
    member->fd = fd;
    member->place = member_count;
    members[member_count++] = member;
    watch(EPOLL_CTL_ADD, fd, EPOLLIN, member);
}

int main(int argc, char **argv)
{
    struct epoll_event events[EVENTS_MAX];
    int listen_fd = bench_listen(argc, argv);

    members = calloc((size_t)sysconf(_SC_OPEN_MAX), sizeof(struct member *));
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (!members || epoll_fd < 0) bench_die("epoll_create1");
    watch(EPOLL_CTL_ADD, listen_fd, EPOLLIN, NULL);

    for (;;) {
        int count = epoll_wait(epoll_fd, events, EVENTS_MAX, -1);
        if (count < 0 && errno != EINTR) bench_die("epoll_wait");
        for (int i = 0; i < count; i++) {
            struct member *member = events[i].data.ptr;
            if (!member)
                on_acceptable(listen_fd);
            else if (member->fd >= 0 && member->rest_len > 0)
                on_writable(member);
            else if (member->fd >= 0)
                on_readable(member);
        }
        bury_dropped();
    }
}

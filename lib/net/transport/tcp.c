/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The plain transport: stream sockets as they are, TCP and unix. One system call a function, never a SIGPIPE. */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transport.h"

static enum weir__io failed(enum weir__io again, int *ret_error)
{
    if (errno == EAGAIN || errno == EINTR) return again;
    *ret_error = errno;
    return WEIR__IO_ERROR;
}

static enum weir__io tcp_read(struct weir__link link, unsigned char *ret, size_t room, size_t *ret_len, int *ret_error)
{
    const ssize_t n = recv(link.fd, ret, room, 0);

    if (n < 0) return failed(WEIR__IO_AGAIN_READ, ret_error);
    if (n == 0) return WEIR__IO_END;
    *ret_len = (size_t)n;
    return WEIR__IO_BYTES;
}

/* send(2) for the usual single part: sendmsg(2) copies a header and an iovec in first, which shows at 128 bytes. */
static enum weir__io tcp_write(struct weir__link link, const struct iovec *parts, int count, size_t *ret_len,
                               int *ret_error)
{
    const int fd = link.fd;
    ssize_t n;

    if (count == 1) {
        n = send(fd, parts[0].iov_base, parts[0].iov_len, MSG_NOSIGNAL);
    } else {
        union {
            const struct iovec *in;
            struct iovec *out;
        } vector = { .in = parts }; /* msg_iov is not const, but sendmsg only reads it */
        const struct msghdr message = { .msg_iov = vector.out, .msg_iovlen = (size_t)count };
        n = sendmsg(fd, &message, MSG_NOSIGNAL);
    }
    if (n < 0) return failed(WEIR__IO_AGAIN_WRITE, ret_error);
    *ret_len = (size_t)n;
    return WEIR__IO_BYTES;
}

static enum weir__io tcp_finish(struct weir__link link, int *ret_error)
{
    if (shutdown(link.fd, SHUT_WR) == 0) return WEIR__IO_BYTES;
    *ret_error = errno;
    return WEIR__IO_ERROR;
}

static void tcp_close(struct weir__link link)
{
    close(link.fd);
}

const struct weir__transport weir__transport_tcp = {
    .name = "tcp",
    .is_plain = true,
    .read = tcp_read,
    .write = tcp_write,
    .finish = tcp_finish,
    .close = tcp_close,
};

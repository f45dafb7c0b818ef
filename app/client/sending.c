/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app/client/sending.c: reads a file and hands it to a connection, no more at a time than the connection takes. Must
 * never wait for a pipe or a device: only ordinary files are read. */
#include "sending.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "terminal/line.h"

enum { CHUNK_BYTES = 64 * 1024 };

struct sending {
    int fd;
    bool as_message;
    char *name;
    uint64_t sent;
    size_t room;
    unsigned char bytes[];
};

static int fail(const char *name, const char *reason, int err, char why[SENDING_TEXT_BYTES_MAX])
{
    snprintf(why, SENDING_TEXT_BYTES_MAX, "/file %.200s: %s; nothing was sent", name, reason);
    return err;
}

/* Opens an ordinary file, or says why not. */
static int open_file(const char *name, int *ret_fd, struct stat *ret_status, char why[SENDING_TEXT_BYTES_MAX])
{
    const int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* a pipe would wait for its writer */

    if (fd < 0) return fail(name, weir_strerror(-errno), -errno, why);
    if (fstat(fd, ret_status) == 0 && S_ISREG(ret_status->st_mode)) {
        *ret_fd = fd;
        return 0;
    }
    close(fd);
    return fail(name, S_ISDIR(ret_status->st_mode) ? "it is a directory" : "it is no ordinary file", -EINVAL, why);
}

int sending_begin(const char *name, bool as_message, struct sending **ret, char why[SENDING_TEXT_BYTES_MAX])
{
    /* One byte more than may be: so that a file which is longer, or has grown, is found out. */
    const size_t room = as_message ? SENDING_MESSAGE_BYTES_MAX + 1 : CHUNK_BYTES;
    struct sending *const sending = malloc(sizeof(*sending) + room);
    struct stat status = { 0 };
    int err = sending ? 0 : -ENOMEM;

    if (!err) {
        *sending = (struct sending){ .fd = -1, .as_message = as_message, .name = strdup(name), .room = room };
        if (!sending->name) err = -ENOMEM;
    }
    if (err)
        fail(name, weir_strerror(err), err, why);
    else
        err = open_file(name, &sending->fd, &status, why);
    if (err) {
        sending_end(sending);
        return err;
    }
    *ret = sending;
    return 0;
}

/* Fills the buffer, unless the file ends before. Returns how much is in it, or a negative code. */
static ssize_t read_full(struct sending *sending)
{
    size_t len = 0;

    while (len < sending->room) {
        const ssize_t got = read(sending->fd, sending->bytes + len, sending->room - len);
        if (got == 0) break;
        if (got > 0)
            len += (size_t)got;
        else if (errno != EINTR)
            return -errno;
    }
    return (ssize_t)len;
}

/* Over, with an error or without. */
static bool end_with(const struct sending *sending, int err, char why[SENDING_TEXT_BYTES_MAX])
{
    char count[COUNT_TEXT_BYTES_MAX];

    why[0] = 0;
    count_text(sending->sent, "byte", count);
    if (err == WEIR_ECLOSING) return true; /* the end of the connection says why */
    if (err && sending->sent)
        snprintf(why, SENDING_TEXT_BYTES_MAX, "/file %.200s: %s; %s of it were sent", sending->name, weir_strerror(err),
                 count);
    else if (err == -EMSGSIZE)
        fail(sending->name, "too long for one message", err, why);
    else if (err)
        fail(sending->name, weir_strerror(err), err, why);
    else
        snprintf(why, SENDING_TEXT_BYTES_MAX, "%s of %.200s sent", count, sending->name);
    return true;
}

bool sending_go_on(struct sending *sending, struct weir_conn *conn, char why[SENDING_TEXT_BYTES_MAX])
{
    for (;;) {
        const ssize_t len = read_full(sending);
        int result = len < 0 ? (int)len : 0;

        if (len == 0 && !sending->sent) {
            fail(sending->name, "it is empty", 0, why);
            return true;
        }
        if (sending->as_message && len > SENDING_MESSAGE_BYTES_MAX) result = -EMSGSIZE;
        if (result == 0 && len > 0) result = weir_conn_send(conn, (struct weir_bytes){ sending->bytes, (size_t)len });
        if (result < 0 || len == 0) return end_with(sending, result, why);
        sending->sent += (uint64_t)len;
        if (sending->as_message) return end_with(sending, 0, why);
        if (result > 0) return false;
    }
}

void sending_describe_cut(const struct sending *sending, char why[SENDING_TEXT_BYTES_MAX])
{
    char count[COUNT_TEXT_BYTES_MAX];

    count_text(sending->sent, "byte", count);
    snprintf(why, SENDING_TEXT_BYTES_MAX, "/file %.200s: the connection has ended; %s of it were on the way at most",
             sending->name, count);
}

void sending_end(struct sending *sending)
{
    if (!sending) return;
    if (sending->fd >= 0) close(sending->fd);
    free(sending->name);
    free(sending);
}

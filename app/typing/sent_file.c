/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Reads a file a piece at a time. Must never wait for a pipe or a device: only ordinary files are read. */
#include "sent_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <weir/error.h>

enum { PIECE_BYTES = 64 * 1024 };

/* Returns a descriptor, or a negative code and why. */
static int open_ordinary(const char *name, const char **ret_reason)
{
    const int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* a pipe would wait for its writer */
    const int err = fd < 0 ? -errno : -EINVAL;
    struct stat status = { 0 };

    if (fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) return fd;
    if (fd < 0)
        *ret_reason = weir_strerror(err);
    else
        *ret_reason = S_ISDIR(status.st_mode) ? "it is a directory" : "it is no ordinary file";
    if (fd >= 0) close(fd);
    return err;
}

int sent_file_open(const char *name, size_t message_bytes_max, struct sent_file **ret, const char **ret_reason)
{
    /* One byte more than may be: so that a file which is longer, or has grown, is found out. */
    const size_t room = message_bytes_max ? message_bytes_max + 1 : PIECE_BYTES;
    struct sent_file *file = NULL;
    const int fd = open_ordinary(name, ret_reason);

    if (fd < 0) return fd;
    file = malloc(sizeof(*file) + room);
    if (!file) {
        *ret_reason = weir_strerror(-ENOMEM);
        close(fd);
        return -ENOMEM;
    }
    *file = (struct sent_file){ .fd = fd, .message_bytes_max = message_bytes_max, .room = room };
    *ret = file;
    return 0;
}

ssize_t sent_file_read(struct sent_file *file)
{
    file->len = 0;
    while (file->len < file->room) {
        const ssize_t more = read(file->fd, file->bytes + file->len, file->room - file->len);
        if (more < 0 && errno == EINTR) continue;
        if (more < 0) return -errno;
        if (more == 0) break;
        file->len += (size_t)more;
    }
    return file->message_bytes_max && file->len == file->room ? -EMSGSIZE : (ssize_t)file->len;
}

void sent_file_close(struct sent_file *file)
{
    close(file->fd);
    file->fd = -1;
}

void sent_file_free(struct sent_file *file)
{
    if (!file) return;
    if (file->fd >= 0) close(file->fd);
    free(file);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Replacing the stale socket file of a server that was killed, and no other. The new socket is bound, given its mode
 * and made to listen under a name of its own, and then renamed: whoever looks finds the old file or a server that
 * answers. Two servers that start at once take turns by a lock on the folder, which needs no file. */
#include "unix_path.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LOCK_TRIES = 200, LOCK_NAP_MS = 10 };

/* 0: the path is free (*ret_stale is zeroed), or *ret_stale is there and may be replaced. */
static int check_replaceable(const struct sockaddr_un *address, struct stat *ret_stale)
{
    int fd, err = 0;

    memset(ret_stale, 0, sizeof(*ret_stale));
    if (lstat(address->sun_path, ret_stale) != 0) return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(ret_stale->st_mode)) return -EEXIST;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno == EAGAIN) {
        err = -EADDRINUSE;
    } else if (errno != ECONNREFUSED) {
        err = -errno;
    }
    close(fd);
    return err;
}

/* Whoever may read the folder may lock it too, for as long as he likes. So we wait a while, and not for ever. */
static int lock_patiently(int fd)
{
    for (int tries = 0; tries < LOCK_TRIES; tries++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) return 0;
        if (errno != EWOULDBLOCK) return -errno;
        poll(NULL, 0, LOCK_NAP_MS);
    }
    return -EBUSY;
}

static int lock_folder(const char *path)
{
    char folder[sizeof(((struct sockaddr_un *)0)->sun_path)];
    char *slash;
    int fd, err;

    snprintf(folder, sizeof(folder), "%s", path);
    slash = strrchr(folder, '/');
    if (!slash) {
        snprintf(folder, sizeof(folder), ".");
    } else {
        slash[slash == folder ? 1 : 0] = '\0';
    }
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return -errno;
    err = lock_patiently(fd);
    if (err == 0) return fd;
    close(fd);
    return err;
}

/* The name to bind under: beside the path, because a rename must not cross file systems. Where it is too long for a
 * socket's address, it goes by way of the folder's descriptor (proc(5)). */
static int name_beside(const struct sockaddr_un *address, int folder, struct sockaddr_un *ret)
{
    const char *slash = strrchr(address->sun_path, '/');
    const int folder_len = slash ? (int)(slash - address->sun_path) + 1 : 0;
    int len;

    *ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
    len = snprintf(ret->sun_path, sizeof(ret->sun_path), "%.*s.weir%ld", folder_len, address->sun_path, (long)getpid());
    if (len >= (int)sizeof(ret->sun_path))
        len = snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/.weir%ld", folder, (long)getpid());
    return len < (int)sizeof(ret->sun_path) ? 0 : -ENAMETOOLONG;
}

static bool is_same_file(const struct stat *one, const struct stat *other)
{
    return one->st_dev == other->st_dev && one->st_ino == other->st_ino;
}

/* Somebody who knows nothing of our lock may have put another file there since we looked. A free path is taken only if
 * it still is free; a stale socket changes places with ours, so that what was there can be looked at and put back. */
static int move_to(const char *beside, const char *path, const struct stat *stale)
{
    struct stat removed;

    if (renameat2(AT_FDCWD, beside, AT_FDCWD, path, stale->st_ino == 0 ? RENAME_NOREPLACE : RENAME_EXCHANGE) != 0)
        return errno == EINVAL && rename(beside, path) == 0 ? 0 : -errno; /* a file system that knows no such rename */
    if (stale->st_ino == 0) return 0;
    if (lstat(beside, &removed) == 0 && !is_same_file(&removed, stale)) {
        renameat2(AT_FDCWD, beside, AT_FDCWD, path, RENAME_EXCHANGE);
        return -EEXIST;
    }
    unlink(beside);
    return 0;
}

static int bind_and_rename(struct weir__unix_path *path, int fd, const struct sockaddr_un *address, int folder,
                           const struct stat *stale, unsigned mode, int backlog)
{
    struct sockaddr_un beside;
    struct stat status = { 0 };
    int err = name_beside(address, folder, &beside);

    if (err != 0) return err;
    unlink(beside.sun_path); /* of a process that had our number and was killed just here */
    if (bind(fd, (const struct sockaddr *)&beside, sizeof(beside)) != 0) return -errno;
    if (chmod(beside.sun_path, mode) != 0 || listen(fd, backlog) != 0 || lstat(beside.sun_path, &status) != 0)
        err = -errno;
    if (err == 0) err = move_to(beside.sun_path, address->sun_path, stale);
    if (err != 0) {
        unlink(beside.sun_path);
        return err;
    }
    snprintf(path->path, sizeof(path->path), "%s", address->sun_path);
    path->device = status.st_dev;
    path->inode = status.st_ino;
    return 0;
}

int weir__unix_path_bind(struct weir__unix_path *path, int fd, const struct sockaddr_un *address, unsigned mode,
                         int backlog)
{
    const int folder = lock_folder(address->sun_path);
    struct stat stale;
    int err;

    if (folder < 0) return folder;
    err = check_replaceable(address, &stale);
    if (err == 0) err = bind_and_rename(path, fd, address, folder, &stale, mode, backlog);
    close(folder);
    return err;
}

void weir__unix_path_remove(struct weir__unix_path *path)
{
    struct stat status;

    if (path->path[0] == '\0') return;
    if (lstat(path->path, &status) == 0 && status.st_dev == path->device && status.st_ino == path->inode)
        unlink(path->path);
    path->path[0] = '\0';
}

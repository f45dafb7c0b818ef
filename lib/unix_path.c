/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Replacing the stale socket file of a server that was killed, and no other. The new socket is bound, given its mode
 * and made to listen under a name of its own, and then renamed: whoever looks finds the old file or a server that
 * answers. Two servers that start at once take turns by a lock on the folder, which needs no file. */
#include "unix_path.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

enum { lock_tries = 200, lock_nap_ms = 10 };

/* 0: the path is free, or what is there is stale and may be replaced. */
static int check_replaceable(const struct sockaddr_un *address)
{
    struct stat status;
    int fd, err = 0;

    if (lstat(address->sun_path, &status) != 0) return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(status.st_mode)) return -EEXIST;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    if (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 || errno == EAGAIN) {
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
    for (int tries = 0; tries < lock_tries; tries++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) return 0;
        if (errno != EWOULDBLOCK) return -errno;
        poll(NULL, 0, lock_nap_ms);
    }
    return -EBUSY;
}

static int lock_folder(const char *path)
{
    char folder[sizeof(((struct sockaddr_un *)0)->sun_path)];
    char *slash;
    int fd, err;

    snprintf(folder, sizeof folder, "%s", path);
    slash = strrchr(folder, '/');
    if (slash == NULL) {
        snprintf(folder, sizeof folder, ".");
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

/* The name to bind under: beside the path, because a rename must not cross file systems. */
static int name_beside(const struct sockaddr_un *address, struct sockaddr_un *ret)
{
    const char *slash = strrchr(address->sun_path, '/');
    const int folder_len = slash == NULL ? 0 : (int)(slash - address->sun_path) + 1;
    int len;

    *ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
    len = snprintf(ret->sun_path, sizeof ret->sun_path, "%.*s.weir%ld", folder_len, address->sun_path, (long)getpid());
    return len < (int)sizeof ret->sun_path ? 0 : -ENAMETOOLONG;
}

static int bind_and_rename(struct weir__unix_path *path, int fd, const struct sockaddr_un *address, unsigned mode,
                           int backlog)
{
    struct sockaddr_un beside;
    struct stat status;
    int err = name_beside(address, &beside);

    if (err != 0) return err;
    unlink(beside.sun_path); /* of a process that had our number and was killed just here */
    if (bind(fd, (const struct sockaddr *)&beside, sizeof beside) != 0) return -errno;
    if (chmod(beside.sun_path, mode) != 0 || listen(fd, backlog) != 0 || lstat(beside.sun_path, &status) != 0 ||
        rename(beside.sun_path, address->sun_path) != 0) {
        err = -errno;
        unlink(beside.sun_path);
        return err;
    }
    snprintf(path->path, sizeof path->path, "%s", address->sun_path);
    path->device = status.st_dev;
    path->inode = status.st_ino;
    return 0;
}

int weir__unix_path_bind(struct weir__unix_path *path, int fd, const struct sockaddr_un *address, unsigned mode,
                         int backlog)
{
    const int lock = lock_folder(address->sun_path);
    int err;

    if (lock < 0) return lock;
    err = check_replaceable(address);
    if (err == 0) err = bind_and_rename(path, fd, address, mode, backlog);
    close(lock);
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

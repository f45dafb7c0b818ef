/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The file that a unix socket listens at. */
#ifndef WEIR__UNIX_PATH_H
#define WEIR__UNIX_PATH_H

#include <sys/stat.h>
#include <sys/un.h>

/* A path that we made; zeroed: none. Remembered by device and inode, so that another's file of the same name is never
 * removed. */
struct weir__unix_path {
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
    dev_t device;
    ino_t inode;
};

/* Binds fd and listens, at the address's path and with that mode. A socket file that nobody listens at is replaced, in
 * one step; one with a listener, or a file of another kind, is left alone. Returns 0; -EADDRINUSE: somebody listens
 * there; -EEXIST: a file of another kind; or a code of bind(2), chmod(2), rename(2). */
int weir__unix_path_bind(struct weir__unix_path *path, int fd, const struct sockaddr_un *address, unsigned mode,
                         int backlog);

/* Removes the file, if it is still ours. */
void weir__unix_path_remove(struct weir__unix_path *path);

#endif

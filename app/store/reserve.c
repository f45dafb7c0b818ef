/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Takes up room for later, and gives it up. Must never leave half of a reserve. */
#include "reserve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "folder.h"

enum { NAME_BYTES_MAX = FOLDER_PATH_BYTES_MAX + sizeof(".reserve") };

static const char *name_of(const char *path, char ret[NAME_BYTES_MAX])
{
    snprintf(ret, NAME_BYTES_MAX, "%s.reserve", path);
    return ret;
}

/* Its length alone would take up no room. */
static int allocate(int fd, int64_t bytes)
{
    struct stat status;

    if (fstat(fd, &status) != 0) return -errno;
    if (!S_ISREG(status.st_mode)) return -EINVAL;
    if (status.st_size > bytes && ftruncate(fd, bytes) != 0) return -errno;
    if (status.st_size >= bytes && (int64_t)status.st_blocks * 512 >= bytes) return 0;
    return -posix_fallocate(fd, 0, bytes);
}

int reserve_make(const char *path, int64_t bytes)
{
    char name[NAME_BYTES_MAX];
    const int fd = open(name_of(path, name), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    const int err = fd < 0 ? -errno : allocate(fd, bytes);

    if (fd < 0) return err;
    close(fd);
    if (err) unlink(name);
    return err;
}

bool reserve_give_up(const char *path)
{
    char name[NAME_BYTES_MAX];

    return unlink(name_of(path, name)) == 0;
}

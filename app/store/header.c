/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Reads a header, and writes the one number in it that is ours. */
#include "header.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"

enum {
    HEADER_BYTES = 100,
    PAGE_BYTES_OFFSET = 16,
    CHANGES_OFFSET = 24,
    PAGES_OFFSET = 28,
    APPLICATION_ID_IN_STAMP = 8,
    VALID_FOR_OFFSET = 92, /* the number of pages counts while this is the number of changes */
    PAGE_BYTES_MAX = 65536 /* written as 1 */
};

uint32_t header_user_version(const unsigned char stamp[HEADER_STAMP_BYTES])
{
    return bytes_big_endian32(stamp);
}

void header_set_stamp(unsigned char stamp[HEADER_STAMP_BYTES], uint32_t user_version, uint32_t application_id)
{
    bytes_put_big_endian32(stamp, user_version);
    bytes_put_big_endian32(stamp + APPLICATION_ID_IN_STAMP, application_id);
}

static void read_fields(const unsigned char *bytes, struct header *ret)
{
    static const char magic[16] = "SQLite format 3";

    ret->is_there = memcmp(bytes, magic, sizeof(magic)) == 0;
    ret->page_bytes = bytes_big_endian16(bytes + PAGE_BYTES_OFFSET);
    if (ret->page_bytes == 1) ret->page_bytes = PAGE_BYTES_MAX;
    ret->user_version = header_user_version(bytes + HEADER_STAMP_OFFSET);
    ret->application_id = bytes_big_endian32(bytes + HEADER_STAMP_OFFSET + APPLICATION_ID_IN_STAMP);
    if (bytes_big_endian32(bytes + CHANGES_OFFSET) == bytes_big_endian32(bytes + VALID_FOR_OFFSET))
        ret->pages = bytes_big_endian32(bytes + PAGES_OFFSET);
}

int header_read(const char *path, struct header *ret)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    unsigned char bytes[HEADER_BYTES];
    struct stat status = { .st_size = 0 };
    ssize_t len = 0;
    int err = 0;

    *ret = (struct header){ .file_bytes = 0 };
    if (fd < 0) return errno == ENOENT ? 0 : -errno;
    if (fstat(fd, &status) != 0 || (len = pread(fd, bytes, sizeof(bytes), 0)) < 0) err = -errno;
    close(fd);
    if (err) return err;
    ret->file_bytes = status.st_size;
    if (len == HEADER_BYTES) read_fields(bytes, ret);
    return 0;
}

int header_write_user_version(const char *path, uint32_t user_version)
{
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    unsigned char bytes[4];
    ssize_t len = 0;
    int err = fd < 0 ? -errno : 0;

    if (err) return err;
    bytes_put_big_endian32(bytes, user_version);
    len = pwrite(fd, bytes, sizeof(bytes), HEADER_STAMP_OFFSET);
    if (len != (ssize_t)sizeof(bytes)) err = len < 0 ? -errno : -EIO;
    if (!err && fsync(fd) != 0) err = -errno;
    close(fd);
    return err;
}

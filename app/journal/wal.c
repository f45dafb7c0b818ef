/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app/journal/wal.c: walks the frames as SQLite does when it recovers, and then goes on. Must never write to what
 * SQLite would read: what is taken off is what it would write over. */
#include "wal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    HEADER_BYTES = 32,
    FRAME_HEADER_BYTES = 24,
    SALT_BYTES = 8,
    CHECKED_BYTES = 8, /* of a frame's header: page number and database size; the checksum spans these and the page */
    PAGE_BYTES_MIN = 512,
    PAGE_BYTES_MAX = 65536,
    LOCKS_OFFSET = 0x40000000, /* in the database: who has it open holds some of these */
    LOCKS_BYTES = 512
};

static const uint32_t magic = 0x377f0682; /* the last bit says whether checksums read words big-endian */

struct sum {
    uint32_t a, b;
};

struct wal {
    FILE *file;
    unsigned char header[HEADER_BYTES];
    unsigned char *frame; /* header and page */
    size_t frame_bytes;
    bool is_big_endian;
    struct sum sum; /* up to the last whole frame */
};

static uint32_t big_endian(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static uint32_t little_endian(const unsigned char *bytes)
{
    return (uint32_t)bytes[3] << 24 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[1] << 8 | bytes[0];
}

static struct sum add_to_sum(struct sum sum, bool is_big_endian, const unsigned char *bytes, size_t len)
{
    for (size_t i = 0; i + 8 <= len; i += 8) {
        sum.a += (is_big_endian ? big_endian(bytes + i) : little_endian(bytes + i)) + sum.b;
        sum.b += (is_big_endian ? big_endian(bytes + i + 4) : little_endian(bytes + i + 4)) + sum.a;
    }
    return sum;
}

static bool is_sum(struct sum sum, const unsigned char *bytes)
{
    return sum.a == big_endian(bytes) && sum.b == big_endian(bytes + 4);
}

static bool is_header_whole(struct wal *wal)
{
    const unsigned char *const header = wal->header;

    if ((big_endian(header) | 1) != (magic | 1)) return false;
    wal->is_big_endian = big_endian(header) & 1;
    wal->sum = add_to_sum((struct sum){ 0, 0 }, wal->is_big_endian, header, HEADER_BYTES - 8);
    return is_sum(wal->sum, header + HEADER_BYTES - 8);
}

static bool is_more(FILE *file)
{
    const int byte = getc(file);

    return byte != EOF && ungetc(byte, file) != EOF;
}

/* Returns 1 when there is a log to walk, else 0. The header is synced before the first frame is written, so a bad one
 * with something behind it was once right, and SQLite finds no log where one is. */
static int read_header(struct wal *wal, struct wal_report *report)
{
    uint32_t page_bytes = 0;

    if (fread(wal->header, HEADER_BYTES, 1, wal->file) != 1) return ferror(wal->file) ? -EIO : 0;
    if (!is_more(wal->file)) return 0;
    page_bytes = big_endian(wal->header + 8);
    if (!is_header_whole(wal)) {
        report->bad_offset = 0;
        report->is_damaged = 1;
    } else {
        report->end_offset = HEADER_BYTES;
    }
    if (page_bytes < PAGE_BYTES_MIN || page_bytes > PAGE_BYTES_MAX || page_bytes & (page_bytes - 1)) return 0;
    wal->frame_bytes = FRAME_HEADER_BYTES + page_bytes;
    wal->frame = malloc(wal->frame_bytes);
    return wal->frame ? 1 : -ENOMEM;
}

/* In how many bits the frame's salts are other than the log's. What was written before the log last began anew has
 * random ones; a single bit is one that flipped. */
static int salt_bits_wrong(const struct wal *wal)
{
    uint64_t frame = 0, log = 0;

    memcpy(&frame, wal->frame + 8, SALT_BYTES);
    memcpy(&log, wal->header + 16, SALT_BYTES);
    return __builtin_popcountll(frame ^ log);
}

static bool ends_transaction(const struct wal *wal)
{
    return big_endian(wal->frame + 4) != 0;
}

static bool is_whole(struct wal *wal)
{
    struct sum sum = wal->sum;

    if (salt_bits_wrong(wal) > 0 || big_endian(wal->frame) == 0) return false;
    sum = add_to_sum(sum, wal->is_big_endian, wal->frame, CHECKED_BYTES);
    sum = add_to_sum(sum, wal->is_big_endian, wal->frame + FRAME_HEADER_BYTES, wal->frame_bytes - FRAME_HEADER_BYTES);
    if (!is_sum(sum, wal->frame + 16)) return false;
    wal->sum = sum;
    return true;
}

static void walk(struct wal *wal, struct wal_report *report)
{
    int64_t offset = HEADER_BYTES;

    for (; fread(wal->frame, wal->frame_bytes, 1, wal->file) == 1; offset += (int64_t)wal->frame_bytes) {
        if (report->bad_offset < 0 && is_whole(wal)) {
            report->frames++;
            report->transactions += ends_transaction(wal);
            if (ends_transaction(wal)) report->end_offset = offset + (int64_t)wal->frame_bytes;
            continue;
        }
        if (report->bad_offset < 0) report->bad_offset = offset;
        if (salt_bits_wrong(wal) > 1) continue;
        report->lost_frames++;
        report->lost_transactions += ends_transaction(wal);
    }
    if (report->lost_transactions > 1) report->is_damaged = 1;
}

int wal_walk(const char *path, struct wal_report *ret)
{
    struct wal wal = { .file = fopen(path, "rbe") };
    int result = 0;

    *ret = (struct wal_report){ .bad_offset = -1 };
    if (!wal.file) return errno == ENOENT ? 0 : -errno;
    result = read_header(&wal, ret);
    if (result > 0) walk(&wal, ret);
    if (result > 0 && ferror(wal.file)) result = -EIO;
    free(wal.frame);
    fclose(wal.file);
    return result < 0 ? result : 0;
}

/* Nobody who comes meanwhile gets at the database. The lock goes with the descriptor. */
static bool lock_database(int database)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LOCKS_OFFSET, .l_len = LOCKS_BYTES };

    return fcntl(database, F_SETLK, &lock) == 0;
}

static int trim_to(const char *path, int64_t len)
{
    const int log = open(path, O_WRONLY | O_CLOEXEC);
    struct stat status;
    int err = log < 0 ? -errno : 0;

    if (!err && fstat(log, &status) != 0) err = -errno;
    if (!err && status.st_size > len && (ftruncate(log, len) != 0 || fsync(log) != 0)) err = -errno;
    if (log >= 0) close(log);
    return err == -ENOENT ? 0 : err;
}

int wal_trim(const char *path, const char *database_path, const struct wal_report *report)
{
    const int database = report->end_offset ? open(database_path, O_RDWR | O_CLOEXEC) : -1;
    int err = 0;

    if (database < 0) return 0; /* whoever opens it next says why */
    if (lock_database(database)) err = trim_to(path, report->end_offset);
    close(database);
    return err;
}

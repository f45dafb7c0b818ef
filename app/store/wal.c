/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Walks the frames as SQLite does when it recovers, and then goes on. Must never write to what
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

#include "base/bytes.h"
#include "header.h"

enum {
    SALTS_OFFSET = 16,
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
    unsigned char header[WAL_HEADER_BYTES];
    unsigned char *frame; /* header and page */
    size_t frame_bytes;
    bool is_big_endian;
    struct sum sum;       /* up to the last whole frame */
    int64_t user_version; /* of the first page in a transaction that has not ended yet; -1: it is not there */
    uint32_t first, last; /* pages that are looked for */
    unsigned char *found; /* a bit for each */
};

static uint32_t little_endian(const unsigned char *bytes)
{
    return (uint32_t)bytes[3] << 24 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[1] << 8 | bytes[0];
}

static struct sum add_to_sum(struct sum sum, bool is_big_endian, const unsigned char *bytes, size_t len)
{
    for (size_t i = 0; i + 8 <= len; i += 8) {
        sum.a += (is_big_endian ? bytes_big_endian32(bytes + i) : little_endian(bytes + i)) + sum.b;
        sum.b += (is_big_endian ? bytes_big_endian32(bytes + i + 4) : little_endian(bytes + i + 4)) + sum.a;
    }
    return sum;
}

static bool is_sum(struct sum sum, const unsigned char *bytes)
{
    return sum.a == bytes_big_endian32(bytes) && sum.b == bytes_big_endian32(bytes + 4);
}

static bool has_magic(const unsigned char header[WAL_HEADER_BYTES])
{
    return (bytes_big_endian32(header) | 1) == (magic | 1);
}

uint64_t wal_read_salts(const unsigned char header[WAL_HEADER_BYTES])
{
    uint64_t salts = 0;

    if (has_magic(header)) memcpy(&salts, header + SALTS_OFFSET, SALT_BYTES);
    return salts;
}

static bool is_header_whole(struct wal *wal)
{
    const unsigned char *header = wal->header;

    if (!has_magic(header)) return false;
    wal->is_big_endian = bytes_big_endian32(header) & 1;
    wal->sum = add_to_sum((struct sum){ 0, 0 }, wal->is_big_endian, header, WAL_HEADER_BYTES - 8);
    return is_sum(wal->sum, header + WAL_HEADER_BYTES - 8);
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

    if (fread(wal->header, WAL_HEADER_BYTES, 1, wal->file) != 1) return ferror(wal->file) ? -EIO : 0;
    if (!is_more(wal->file)) return 0;
    page_bytes = bytes_big_endian32(wal->header + 8);
    if (!is_header_whole(wal)) {
        report->bad_offset = 0;
        report->is_damaged = true;
    } else {
        report->end_offset = WAL_HEADER_BYTES;
        report->salts = wal_read_salts(wal->header);
    }
    if (page_bytes < PAGE_BYTES_MIN || page_bytes > PAGE_BYTES_MAX || page_bytes & (page_bytes - 1)) return 0;
    wal->frame_bytes = WAL_FRAME_HEADER_BYTES + page_bytes;
    wal->frame = malloc(wal->frame_bytes);
    return wal->frame ? 1 : -ENOMEM;
}

/* In how many bits the frame's salts are other than the log's. What was written before the log last began anew has
 * random ones; a single bit is one that flipped. */
static int salt_bits_wrong(const struct wal *wal)
{
    uint64_t frame = 0, log = 0;

    memcpy(&frame, wal->frame + 8, SALT_BYTES);
    memcpy(&log, wal->header + SALTS_OFFSET, SALT_BYTES);
    return __builtin_popcountll(frame ^ log);
}

static bool ends_transaction(const struct wal *wal)
{
    return bytes_big_endian32(wal->frame + 4) != 0;
}

static bool is_whole(struct wal *wal)
{
    struct sum sum = wal->sum;

    if (salt_bits_wrong(wal) > 0 || bytes_big_endian32(wal->frame) == 0) return false;
    sum = add_to_sum(sum, wal->is_big_endian, wal->frame, CHECKED_BYTES);
    sum = add_to_sum(sum, wal->is_big_endian, wal->frame + WAL_FRAME_HEADER_BYTES,
                     wal->frame_bytes - WAL_FRAME_HEADER_BYTES);
    if (!is_sum(sum, wal->frame + 16)) return false;
    wal->sum = sum;
    return true;
}

static void find_page(struct wal *wal, uint32_t page, struct wal_report *report)
{
    const uint32_t index = page - wal->first;
    const unsigned char bit = (unsigned char)(1U << index % 8);

    if (page < wal->first || page > wal->last || wal->found[index / 8] & bit) return;
    wal->found[index / 8] |= bit;
    report->pages_found++;
}

static void see_whole(struct wal *wal, int64_t end_offset, struct wal_report *report)
{
    const uint32_t page = bytes_big_endian32(wal->frame);

    report->frames++;
    if (page == 1) wal->user_version = header_user_version(wal->frame + WAL_FRAME_HEADER_BYTES + HEADER_STAMP_OFFSET);
    find_page(wal, page, report);
    if (!ends_transaction(wal)) return;
    report->transactions++;
    report->end_offset = end_offset;
    report->user_version = wal->user_version;
}

static void walk(struct wal *wal, struct wal_report *report)
{
    int64_t offset = WAL_HEADER_BYTES;

    for (; fread(wal->frame, wal->frame_bytes, 1, wal->file) == 1; offset += (int64_t)wal->frame_bytes) {
        if (report->bad_offset < 0 && is_whole(wal)) {
            see_whole(wal, offset + (int64_t)wal->frame_bytes, report);
            continue;
        }
        if (report->bad_offset < 0) report->bad_offset = offset;
        if (salt_bits_wrong(wal) > 1) continue;
        report->lost_frames++;
        report->lost_transactions += ends_transaction(wal);
    }
    if (report->lost_transactions > 1) report->is_damaged = true;
}

int wal_walk(const char *path, uint32_t first, uint32_t last, struct wal_report *ret)
{
    struct wal wal = { .file = fopen(path, "rbe"), .first = first, .last = last, .user_version = -1 };
    int result = 0;

    *ret = (struct wal_report){ .bad_offset = -1, .user_version = -1 };
    if (!wal.file) return errno == ENOENT ? 0 : -errno;
    if (first <= last) {
        wal.found = calloc((last - first) / 8 + 1, 1);
        if (!wal.found) result = -ENOMEM;
    }
    if (result == 0) result = read_header(&wal, ret);
    if (result > 0) walk(&wal, ret);
    if (result > 0 && ferror(wal.file)) result = -EIO;
    free(wal.frame);
    free(wal.found);
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

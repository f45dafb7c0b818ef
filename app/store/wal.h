/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Is the write-ahead log whole? SQLite reads it up to the first frame whose checksum is wrong, and
 * takes what is behind for the torn end of a transaction that never was. After a power cut that is right. After a bit
 * that flipped in the middle it silently drops transactions that were stored. The two can be told apart: one
 * transaction at most was not synced, so where the end of a further one follows, the wrong one was once right. (One
 * flip is not told: of the only bit that marks the end of the last transaction but one.) So that this holds after the
 * next power cut, too, a torn end is taken off: SQLite would leave it, and write over it from its beginning. The
 * format: https://www.sqlite.org/fileformat2.html#walformat. */
#ifndef APP_STORE_WAL_H
#define APP_STORE_WAL_H

#include <stdbool.h>
#include <stdint.h>

enum { WAL_HEADER_BYTES = 32, WAL_FRAME_HEADER_BYTES = 24 };

/* A header's salts: others each time the log begins anew. 0: it is no header. */
uint64_t wal_read_salts(const unsigned char header[WAL_HEADER_BYTES]);

struct wal_report {
    uint64_t frames;            /* whole ones, up to the end or the first bad one */
    uint64_t transactions;      /* whole ones in these */
    uint64_t lost_frames;       /* of this log, behind the first bad one and with it */
    uint64_t lost_transactions; /* whose end is behind the first bad one; 1 may be one that never was */
    int64_t end_offset;         /* behind the last whole transaction; 0: there is no log, or its header is bad */
    int64_t bad_offset;         /* of the first bad frame, bytes; 0: the header is bad; -1: none is */
    bool is_damaged;            /* more is lost than a power cut can tear */
    uint64_t salts;             /* of its header; 0: it has none */
    int64_t user_version;       /* of the last whole transaction with the database's first page; -1: there is none */
    uint32_t pages_found;       /* of those asked for, in whole frames */
};

/* Walks the log at path; nothing of the process may have the database open, since the file is opened and closed. A log
 * that is not there or empty is whole. Asks for the database's pages from first to last; 1 and 0 are none. Returns 0,
 * -ENOMEM, or the code of a call that failed. */
int wal_walk(const char *path, uint32_t first, uint32_t last, struct wal_report *ret);

/* Takes off what is behind the last whole transaction, and syncs the log; with a report of this log that is not
 * damaged. Where another process has the database open, it stays: that one may be writing there. Returns 0, or the code
 * of a call that failed. */
int wal_trim(const char *path, const char *database_path, const struct wal_report *report);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Looks at files and copies them. Must never change what SQLite would read. */
#include "damage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "header.h"
#include "schema.h"

enum { COPY_BYTES = 256 * 1024 };

static const char *const ends[] = { "", "-wal" };

enum { ENDS_COUNT = sizeof(ends) / sizeof(ends[0]) };

enum { LOG_NAME_BYTES_MAX = FOLDER_PATH_BYTES_MAX + sizeof("-wal") };

static void name_log(const char *path, char ret[LOG_NAME_BYTES_MAX])
{
    snprintf(ret, LOG_NAME_BYTES_MAX, "%s-wal", path);
}

/* A log that was begun behind the database's generation has the next one; one that was moved to it since, by whoever,
 * has the same. With the mark the two were looked at together, when the log had its present generation. */
static bool belongs(const struct schema_stamp *database, const struct schema_stamp *log)
{
    if (database->generation == 0) return true; /* of a weir that did not count, or not yet moved there */
    return log->generation == database->generation ||
           (!database->has_log && log->generation == schema_next_generation(database->generation));
}

/* Of a log that is whole as far as it goes. A new store's file says nothing before its first transaction. */
static enum damage_kind compare(const struct header *header, const struct wal_report *log)
{
    struct schema_stamp of_database, of_log;

    if (header->application_id != SCHEMA_APPLICATION_ID) return DAMAGE_NONE;
    schema_read_stamp(header->user_version, &of_database);
    if (of_database.has_log && log->transactions == 0) return DAMAGE_NO_LOG;
    if (of_database.is_cut) return DAMAGE_CUT_LOG;
    if (log->transactions == 0) return DAMAGE_NONE;
    if (log->user_version < 0) return of_database.has_log ? DAMAGE_OTHER : DAMAGE_NONE;
    schema_read_stamp((uint32_t)log->user_version, &of_log);
    return belongs(&of_database, &of_log) ? DAMAGE_NONE : DAMAGE_OTHER;
}

static enum damage_kind judge(const struct header *header, const struct damage *damage)
{
    enum damage_kind kind = DAMAGE_NONE;

    if (header->file_bytes == 0 && damage->log.frames + damage->log.lost_frames > 0) return DAMAGE_DATABASE;
    if (damage->log.is_damaged) return DAMAGE_LOG;
    if (!header->is_there) return DAMAGE_NONE; /* a power cut can leave zeros, which the log makes good */
    kind = compare(header, &damage->log);
    if (kind == DAMAGE_NO_LOG && damage->log.lost_frames > 0) kind = DAMAGE_LOG; /* it had one whole transaction */
    if (damage->pages <= 1) return kind; /* nothing was ever moved to it: its only page may be torn */
    if (kind == DAMAGE_NONE && damage->pages > damage->pages_left + damage->log.pages_found) kind = DAMAGE_CUT;
    return kind;
}

int damage_find(const char *path, struct damage *ret)
{
    char log[LOG_NAME_BYTES_MAX];
    struct header header;
    int err = header_read(path, &header);

    name_log(path, log);
    *ret = (struct damage){ .kind = DAMAGE_NONE };
    if (!err && header.is_there && header.page_bytes) {
        ret->pages = header.pages;
        ret->pages_left = (uint32_t)(header.file_bytes / header.page_bytes);
    }
    if (!err) err = wal_walk(log, ret->pages_left + 1, ret->pages, &ret->log);
    if (!err) ret->kind = judge(&header, ret);
    return err;
}

bool damage_can_be_accepted(const struct damage *damage)
{
    return damage->kind != DAMAGE_CUT;
}

/* Changes the stamp of a store's file. */
static int change_stamp(const char *path, bool is_cut)
{
    struct schema_stamp stamp;
    struct header header;
    const int err = header_read(path, &header);
    uint32_t user_version = 0;

    if (err || header.application_id != SCHEMA_APPLICATION_ID) return err;
    schema_read_stamp(header.user_version, &stamp);
    stamp.has_log = stamp.has_log && is_cut;
    stamp.is_cut = is_cut;
    user_version = schema_user_version(&stamp);
    return user_version == header.user_version ? 0 : header_write_user_version(path, user_version);
}

int damage_mark_cut(const char *path)
{
    return change_stamp(path, true);
}

int damage_unmark(const char *path)
{
    return change_stamp(path, false);
}

int damage_trim(const char *path, const struct damage *damage)
{
    char log[LOG_NAME_BYTES_MAX];

    name_log(path, log);
    return wal_trim(log, path, &damage->log);
}

static void describe_lost_log(const struct wal_report *log, char ret[DAMAGE_TEXT_BYTES_MAX])
{
    const unsigned long long lost = log->lost_transactions;
    char count[32] = "";

    if (lost > 0) snprintf(count, sizeof(count), "%llu ", lost); /* not known when the log's header cannot be read */
    snprintf(ret, DAMAGE_TEXT_BYTES_MAX,
             "its log is damaged at byte %lld: behind it %s %scommit%s that cannot be read any more",
             (long long)log->bad_offset, lost == 1 ? "lies" : "lie", count, lost == 1 ? "" : "s");
}

void damage_describe(const struct damage *damage, char ret[DAMAGE_TEXT_BYTES_MAX])
{
    const unsigned long long all = damage->log.transactions + damage->log.lost_transactions;

    switch (damage->kind) {
    case DAMAGE_NONE:
        snprintf(ret, DAMAGE_TEXT_BYTES_MAX, "its files are whole");
        break;
    case DAMAGE_LOG:
        describe_lost_log(&damage->log, ret);
        break;
    case DAMAGE_DATABASE:
        snprintf(ret, DAMAGE_TEXT_BYTES_MAX,
                 "its file is gone or empty, and its log is there, with %llu commit%s without it", all,
                 all == 1 ? " that means nothing" : "s that mean nothing");
        break;
    case DAMAGE_NO_LOG:
        snprintf(
            ret, DAMAGE_TEXT_BYTES_MAX,
            "its write-ahead log (-wal) is missing or empty, and the newest messages are in that log alone: it was "
            "copied without the log, or the log was deleted or cut");
        break;
    case DAMAGE_CUT_LOG:
        snprintf(
            ret, DAMAGE_TEXT_BYTES_MAX,
            "its write-ahead log (-wal) was cut or written over while a server used it: what was stored behind byte "
            "%lld is gone",
            (long long)damage->log.end_offset);
        break;
    case DAMAGE_OTHER:
        snprintf(ret, DAMAGE_TEXT_BYTES_MAX,
                 "its write-ahead log (-wal), with %llu commit%s, belongs to another state of it: one of the two files "
                 "was replaced or written over",
                 all, all == 1 ? "" : "s");
        break;
    case DAMAGE_CUT:
        snprintf(ret, DAMAGE_TEXT_BYTES_MAX,
                 "pages of it are in neither of its files: %lu of %lu are left; one of them has been cut",
                 (unsigned long)(damage->pages_left + damage->log.pages_found), (unsigned long)damage->pages);
        break;
    }
}

/* ---- Copies ---- */

static int write_all(int fd, const unsigned char *bytes, size_t len)
{
    while (len > 0) {
        const ssize_t written = write(fd, bytes, len);

        if (written < 0 && errno != EINTR) return -errno;
        if (written < 0) continue;
        bytes += written;
        len -= (size_t)written;
    }
    return 0;
}

static int copy_bytes(int from, int to)
{
    unsigned char *bytes = malloc(COPY_BYTES);
    ssize_t len = bytes ? 1 : 0;
    int err = bytes ? 0 : -ENOMEM;

    while (!err && len > 0) {
        len = read(from, bytes, COPY_BYTES);
        if (len < 0) err = errno == EINTR ? 0 : -errno;
        if (len < 0 && !err)
            len = 1;
        else if (len > 0)
            err = write_all(to, bytes, (size_t)len);
    }
    free(bytes);
    if (!err && fsync(to) != 0) err = -errno;
    return err;
}

/* -ENOENT: there is none to copy. */
static int copy_file(const char *from_name, const char *to_name)
{
    const int from = open(from_name, O_RDONLY | O_CLOEXEC);
    int to = -1, err = 0;

    if (from < 0) return -errno;
    to = open(to_name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (to >= 0) folder_give_to_owner(to, from_name);
    err = to < 0 ? -errno : copy_bytes(from, to);
    close(from);
    if (to < 0) return err;
    if (close(to) != 0 && !err) err = -errno;
    if (err) unlink(to_name);
    return err;
}

int damage_set_aside(const char *path, char ret_name[DAMAGE_NAME_BYTES_MAX])
{
    char from[FOLDER_PATH_BYTES_MAX + sizeof("-wal")], to[DAMAGE_NAME_BYTES_MAX + sizeof("-wal")];
    const time_t now = time(NULL);
    bool is_copied[ENDS_COUNT] = { false };
    char when[32];
    struct tm utc;
    int err = 0;

    strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", gmtime_r(&now, &utc));
    snprintf(ret_name, DAMAGE_NAME_BYTES_MAX, "%s.damaged-%s", path, when);
    for (size_t i = 0; i < ENDS_COUNT && !err; i++) {
        snprintf(from, sizeof(from), "%s%s", path, ends[i]);
        snprintf(to, sizeof(to), "%s%s", ret_name, ends[i]);
        err = copy_file(from, to);
        is_copied[i] = !err;
        if (err == -ENOENT) err = 0;
    }
    if (!err) err = folder_sync_parent(path);
    for (size_t i = 0; i < ENDS_COUNT && err; i++) {
        snprintf(to, sizeof(to), "%s%s", ret_name, ends[i]);
        if (is_copied[i]) unlink(to);
    }
    return err;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app/journal/damage.c: looks at files and copies them. Must never change what SQLite would read. */
#include "damage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { COPY_BYTES = 256 * 1024 };

static const char *const ends[] = { "", "-wal" };

enum { ENDS_COUNT = sizeof(ends) / sizeof(ends[0]) };

enum { LOG_NAME_BYTES_MAX = FOLDER_PATH_BYTES_MAX + sizeof("-wal") };

static void name_log(const char *path, char ret[LOG_NAME_BYTES_MAX])
{
    snprintf(ret, LOG_NAME_BYTES_MAX, "%s-wal", path);
}

int damage_find(const char *path, struct damage *ret)
{
    char log[LOG_NAME_BYTES_MAX];
    struct stat status = { .st_size = 0 };
    int err = 0;

    name_log(path, log);
    err = stat(path, &status) != 0 && errno != ENOENT ? -errno : wal_walk(log, &ret->log);
    if (err) return err;
    if (status.st_size == 0 && ret->log.frames + ret->log.lost_frames > 0)
        ret->kind = DAMAGE_DATABASE;
    else
        ret->kind = ret->log.is_damaged ? DAMAGE_LOG : DAMAGE_NONE;
    return 0;
}

int damage_trim(const char *path, const struct damage *damage)
{
    char log[LOG_NAME_BYTES_MAX];

    name_log(path, log);
    return wal_trim(log, path, &damage->log);
}

void damage_describe(const struct damage *damage, char ret[DAMAGE_TEXT_BYTES_MAX])
{
    const unsigned long long lost = damage->log.lost_transactions;
    const unsigned long long all = damage->log.transactions + lost;
    char count[32] = "";

    if (damage->kind == DAMAGE_DATABASE) {
        snprintf(ret, DAMAGE_TEXT_BYTES_MAX,
                 "its file is gone or empty, and its log is there, with %llu commit%s without it", all,
                 all == 1 ? " that means nothing" : "s that mean nothing");
        return;
    }
    if (lost > 0) snprintf(count, sizeof(count), "%llu ", lost); /* not known when the log's header cannot be read */
    snprintf(ret, DAMAGE_TEXT_BYTES_MAX,
             "its log is damaged at byte %lld: behind it %s %scommit%s that cannot be read any more",
             (long long)damage->log.bad_offset, lost == 1 ? "lies" : "lie", count, lost == 1 ? "" : "s");
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
    unsigned char *const bytes = malloc(COPY_BYTES);
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

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Names, the inodes they had, and how the files were when we last wrote to them. Must never open a
 * file. */
#include "place.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

int place_note(struct place *place, const char *path)
{
    static const char *const ends[PLACE_FILES] = {
        [PLACE_DATABASE] = "",
        [PLACE_LOG] = "-wal",
        [PLACE_INDEX] = "-shm",
    };
    struct stat status;

    place->has_times = !folder_is_on_network(path);
    for (int i = 0; i < PLACE_FILES; i++) {
        snprintf(place->files[i].path, sizeof(place->files[i].path), "%s%s", path, ends[i]);
        if (stat(place->files[i].path, &status) != 0) return -errno;
        place->files[i].device = status.st_dev;
        place->files[i].inode = status.st_ino;
        place->files[i].bytes = status.st_size;
        place->files[i].changed = status.st_mtim;
    }
    return 0;
}

static bool is_other(const struct place *place, enum place_file file, const struct stat *status)
{
    return status->st_ino != place->files[file].inode || status->st_dev != place->files[file].device;
}

void place_note_change(struct place *place, enum place_file file, int64_t bytes)
{
    struct stat status;

    if (bytes >= 0) place->files[file].bytes = bytes;
    if (stat(place->files[file].path, &status) != 0 || is_other(place, file, &status)) return;
    if (bytes < 0) place->files[file].bytes = status.st_size;
    place->files[file].changed = status.st_mtim;
}

static bool is_same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* A name that leads nowhere, also when a folder on the way has gone. */
static bool is_gone(int error)
{
    return error == ENOENT || error == ENOTDIR;
}

static enum place_change change_of(const struct place *place, enum place_file file, const struct stat *status)
{
    if (is_other(place, file, status)) return PLACE_LOST;
    if (file == PLACE_INDEX) return PLACE_KEPT;
    if (status->st_size < place->files[file].bytes) return PLACE_CUT;
    if (!place->has_times || is_same_time(status->st_mtim, place->files[file].changed)) return PLACE_KEPT;
    return PLACE_CHANGED;
}

bool place_look(const struct place *place, enum place_file file, struct place_news *ret)
{
    struct stat status = { .st_size = 0 };
    const int error = stat(place->files[file].path, &status) == 0 ? 0 : errno;

    *ret = (struct place_news){ .file = file,
                                .change = is_gone(error) ? PLACE_LOST
                                          : error        ? PLACE_UNSEEN
                                                         : change_of(place, file, &status),
                                .error = error,
                                .bytes = status.st_size,
                                .bytes_before = place->files[file].bytes };
    return ret->change == PLACE_KEPT;
}

void place_describe(const struct place_news *news, char *ret, size_t size)
{
    static const char *const names[PLACE_FILES] = {
        [PLACE_DATABASE] = "file",
        [PLACE_LOG] = "log (-wal)",
        [PLACE_INDEX] = "index (-shm)",
    };
    const char *name = names[news->file];

    switch (news->change) {
    case PLACE_KEPT:
        snprintf(ret, size, "its %s is in its place", name);
        break;
    case PLACE_LOST:
        snprintf(ret, size, "its %s has been deleted, moved away or replaced by another while it was in use", name);
        break;
    case PLACE_UNSEEN:
        snprintf(ret, size, "its %s cannot be looked at: %s", name, strerror(news->error));
        break;
    case PLACE_CUT:
        snprintf(ret, size, "its %s has been cut while it was in use: %lld bytes are left of %lld", name,
                 (long long)news->bytes, (long long)news->bytes_before);
        break;
    case PLACE_CHANGED:
        snprintf(ret, size,
                 "its %s has been written over while it was in use: it has changed (%lld bytes, %lld before), and not "
                 "by this server",
                 name, (long long)news->bytes, (long long)news->bytes_before);
        break;
    }
}

bool place_is_lost(const struct place *place, enum place_file file)
{
    struct stat status;

    return stat(place->files[file].path, &status) != 0 ? is_gone(errno) : is_other(place, file, &status);
}

bool place_is_free(const struct place *place, enum place_file file)
{
    struct stat status;

    if (stat(place->files[file].path, &status) != 0) return errno == ENOENT;
    return status.st_size == 0;
}

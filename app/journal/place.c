/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app/journal/place.c: names and the inodes they had. Must never open a file. */
#include "place.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

int place_note(struct place *place, const char *path)
{
    static const char *const ends[PLACE_FILES] = {
        [PLACE_DATABASE] = "",
        [PLACE_LOG] = "-wal",
        [PLACE_INDEX] = "-shm",
    };
    struct stat status;

    for (int i = 0; i < PLACE_FILES; i++) {
        snprintf(place->files[i].path, sizeof(place->files[i].path), "%s%s", path, ends[i]);
        if (stat(place->files[i].path, &status) != 0) return -errno;
        place->files[i].device = status.st_dev;
        place->files[i].inode = status.st_ino;
    }
    return 0;
}

bool place_is_lost(const struct place *place, enum place_file file)
{
    struct stat status;

    return stat(place->files[file].path, &status) != 0 || status.st_ino != place->files[file].inode ||
           status.st_dev != place->files[file].device;
}

enum place_file place_find_lost(const struct place *place)
{
    enum place_file file = PLACE_DATABASE;

    while (file < PLACE_FILES && !place_is_lost(place, file))
        file++;
    return file;
}

bool place_is_free(const struct place *place, enum place_file file)
{
    struct stat status;

    if (stat(place->files[file].path, &status) != 0) return errno == ENOENT;
    return status.st_size == 0;
}

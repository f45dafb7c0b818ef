/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app/journal/place.h: do the names of a store's files still lead to the files that SQLite has open? A file that is
 * deleted, moved away or replaced stays open and takes every write, and nothing of it is there afterwards. The names
 * are looked at with stat(2): no file of the store may be opened beside SQLite (journal/store.c). */
#ifndef APP_JOURNAL_PLACE_H
#define APP_JOURNAL_PLACE_H

#include <stdbool.h>
#include <sys/types.h>

#include "journal/folder.h"

/* In the order of what their loss means: all that is stored; what was not moved to the database yet; nothing but that
 * other processes are not seen any more. */
enum place_file { PLACE_DATABASE, PLACE_LOG, PLACE_INDEX, PLACE_FILES };

struct place {
    struct {
        char path[FOLDER_PATH_BYTES_MAX + sizeof("-wal")];
        dev_t device;
        ino_t inode;
    } files[PLACE_FILES];
};

/* Remembers the files of the store at path, which SQLite has just opened. Returns 0, or -ENOENT or another negative
 * code when one of them is not there. */
int place_note(struct place *place, const char *path);

/* The first file that is not in its place; PLACE_FILES: all are. */
enum place_file place_find_lost(const struct place *place);

/* Of one file. */
bool place_is_lost(const struct place *place, enum place_file file);

/* Whether its name leads to no file, or to one with nothing in it. */
bool place_is_free(const struct place *place, enum place_file file);

#endif

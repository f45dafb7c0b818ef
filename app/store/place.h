/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Are a store's files those that SQLite has open, and as we left them? A file that is deleted,
 * moved away or replaced stays open and takes every write, and nothing of it is there afterwards. One that somebody
 * else cuts or writes over in place keeps its name and its inode; its length and its time of change tell. The names are
 * looked at with stat(2): no file of the store may be opened beside SQLite (store.c). */
#ifndef APP_STORE_PLACE_H
#define APP_STORE_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "folder.h"

/* In the order of what their loss means: all that is stored; what was not moved to the database yet; nothing but that
 * other processes are not seen any more. */
enum place_file { PLACE_DATABASE, PLACE_LOG, PLACE_INDEX, PLACE_FILES };

enum place_change {
    PLACE_KEPT,
    PLACE_LOST,   /* its name leads to no file, or to another one */
    PLACE_UNSEEN, /* it cannot be looked at */
    PLACE_CUT,    /* it is shorter than we left it */
    PLACE_CHANGED /* it has changed since we wrote to it */
};

struct place {
    bool has_times; /* files can be told by their time of change: not on a network file system */
    struct {
        char path[FOLDER_PATH_BYTES_MAX + sizeof("-wal")];
        dev_t device;
        ino_t inode;
        int64_t bytes;           /* its length as we left it; of the log what must be there at least */
        struct timespec changed; /* when we left it */
    } files[PLACE_FILES];
};

struct place_news {
    enum place_file file;
    enum place_change change;
    int error;     /* UNSEEN: why */
    int64_t bytes; /* CUT: what is left */
    int64_t bytes_before;
};

/* Remembers the files of the store at path, which SQLite has just opened. Returns 0, or -ENOENT or another negative
 * code when one of them is not there. */
int place_note(struct place *place, const char *path);

/* We have written to a file that is in its place: remembers its time of change, and its length; or bytes instead, when
 * that is not negative. */
void place_note_change(struct place *place, enum place_file file, int64_t bytes);

/* Whether a file is as we left it; *ret says what is otherwise. The index changes all the time: only its name counts.
 */
bool place_look(const struct place *place, enum place_file file, struct place_news *ret);

/* What was seen, as the rest of a sentence that begins with the store's name. */
void place_describe(const struct place_news *news, char *ret, size_t size);

/* Whether the name of a file leads elsewhere than to the file that is open, or nowhere. */
bool place_is_lost(const struct place *place, enum place_file file);

/* Whether its name leads to no file, or to one with nothing in it. */
bool place_is_free(const struct place *place, enum place_file file);

#endif

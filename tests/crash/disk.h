/* SPDX-License-Identifier: BSD-3-Clause
 *
 * tests/crash/disk.h: a disk of which the power can be cut. It plays what a recorder has written down, and tells what
 * is on it for certain from what only may be. */
#ifndef TESTS_CRASH_DISK_H
#define TESTS_CRASH_DISK_H

#include "dice.h"
#include "recorder.h"

struct disk;

/* With the files of the database at path, as they are; all of that is on disk. *ret_exists: which there are. */
struct disk *disk_new(const char *path, bool ret_exists[NAME_COUNT]);
void disk_free(struct disk *disk);

/* One event more. The disk keeps a pointer to it. */
void disk_play(struct disk *disk, const struct event *event);

/* Writes what may be found at path after a power cut now; what was there before goes. Of each file and name on its own:
 * all that is synced, and of the rest none, all or some, the last of it torn between two sectors. */
void disk_write_image(const struct disk *disk, struct dice *dice, const char *path);

/* Removes the files at path, those that do not survive, too. */
void disk_remove_image(const char *path);

#endif

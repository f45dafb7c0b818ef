/* SPDX-License-Identifier: BSD-3-Clause
 *
 * tests/crash/recorder.h: an SQLite VFS (https://www.sqlite.org/vfs.html) that does what the system's does, and writes
 * down all that could matter after a power cut: each write with its bytes, each truncation, each sync, and when a file
 * comes and goes. The shared memory beside the log is passed through: it does not survive. */
#ifndef TESTS_CRASH_RECORDER_H
#define TESTS_CRASH_RECORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum file_name { NAME_DATABASE, NAME_LOG, NAME_JOURNAL, NAME_COUNT };

/* What each is called behind the database's path. */
extern const char *const name_endings[NAME_COUNT];

enum event_kind {
    EVENT_WRITE,       /* len bytes at offset of file */
    EVENT_TRUNCATE,    /* file is offset bytes long now */
    EVENT_SYNC,        /* what was done to file is on disk */
    EVENT_CREATE,      /* name is file from here on, an empty one */
    EVENT_DELETE,      /* name is none */
    EVENT_SYNC_FOLDER, /* what was done to names is on disk */
};

struct event {
    enum event_kind kind;
    enum file_name name;
    unsigned file; /* each one created has a number of its own, whatever its name; the first ones that of their name */
    int64_t offset;
    size_t len;
    unsigned char *bytes;
};

/* A disk that lies: what is done to the sync is not written down. For proving that losses are found. */
enum lie { LIE_NONE, LIE_LOG_SYNC, LIE_DATABASE_SYNC, LIE_FOLDER_SYNC };

struct recorder;

/* The default VFS from here on, until recorder_stop; one at a time. exists: which of the files are there already. */
struct recorder *recorder_start(enum lie lie, uint64_t seed, const bool exists[NAME_COUNT]);
void recorder_stop(struct recorder *recorder);

/* How many events there are. On the thread that uses the database, or after it. */
size_t recorder_position(const struct recorder *recorder);
const struct event *recorder_event(const struct recorder *recorder, size_t position);

/* After recorder_stop, once nothing is open through it. */
void recorder_free(struct recorder *recorder);

#endif

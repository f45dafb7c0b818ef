/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Room on the disk: taken up before a commit that will need it, given back behind a deletion. */
#include "store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <sqlite3.h>

enum { DESCRIPTORS_MAX = 1 << 20 };

/* SQLite's own descriptor of the database; -2: none is found. To open another one and close it would drop the locks. */
static int find_descriptor(const struct store *store)
{
    struct rlimit limit = { .rlim_cur = 0 };
    struct stat status;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return -2;
    for (int fd = 0; (rlim_t)fd < limit.rlim_cur && fd < DESCRIPTORS_MAX; fd++)
        if (fstat(fd, &status) == 0 && status.st_ino == store->place.files[PLACE_DATABASE].inode &&
            status.st_dev == store->place.files[PLACE_DATABASE].device && (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR)
            return fd;
    return -2;
}

/* For file systems that cannot allocate: a byte in each block behind the end. Without a chunk's size
 * SQLITE_FCNTL_SIZE_HINT does nothing; with one, checkpoints would do the same. */
static int grow_file(struct store *store, int64_t bytes)
{
    int none = 0, error = 0;
    int code = sqlite3_file_control(store->db, "main", SQLITE_FCNTL_CHUNK_SIZE, &store->page_bytes);

    if (code == SQLITE_OK) code = sqlite3_file_control(store->db, "main", SQLITE_FCNTL_SIZE_HINT, &bytes);
    sqlite3_file_control(store->db, "main", SQLITE_FCNTL_CHUNK_SIZE, &none);
    if (code != SQLITE_OK) sqlite3_file_control(store->db, "main", SQLITE_FCNTL_LAST_ERRNO, &error);
    return error;
}

/* The file has this length at least, and room for all of it: what counts is blocks, since a log that a reader held was
 * moved in parts and has left holes. Returns 0 or what the system says. */
static int allocate(struct store *store, int64_t bytes)
{
    struct stat status;
    off_t from = 0;
    int result = 0;

    if (store->descriptor == -1) store->descriptor = find_descriptor(store);
    if (store->descriptor < 0 || fstat(store->descriptor, &status) != 0) return grow_file(store, bytes);
    if (status.st_blocks * 512 >= status.st_size) from = status.st_size;
    if (from >= bytes) return 0;
    do
        result = fallocate(store->descriptor, 0, from, bytes - from);
    while (result != 0 && errno == EINTR);
    if (result != 0 && errno == EOPNOTSUPP) return grow_file(store, bytes);
    return result ? errno : 0;
}

enum store_outcome store_secure_room(struct store *store, int64_t pages)
{
    enum store_outcome outcome = STORE_STORED;
    int error = 0;

    if (pages <= store->pages_secured || store->is_room_ample) return STORE_STORED;
    outcome = store_check_file(store, PLACE_DATABASE);
    if (outcome != STORE_STORED) return outcome;
    error = allocate(store, pages * store->page_bytes);
    place_note_change(&store->place, PLACE_DATABASE, -1);
    if (error == ENOSPC || error == EDQUOT || error == EFBIG) {
        store_fail(store, SQLITE_FULL);
        store_say(store, "%s", error == ENOSPC ? sqlite3_errstr(SQLITE_FULL) : strerror(error)); /* as of the log */
        return STORE_REFUSED;
    }
    store->pages_secured = pages;
    return STORE_STORED;
}

enum store_outcome store_give_back(struct store *store, int64_t bytes)
{
    enum store_outcome outcome = store_begin(store);
    char text[64];
    int code = SQLITE_OK;

    snprintf(text, sizeof(text), "PRAGMA incremental_vacuum(%" PRId64 ")", bytes / store->page_bytes + 1);
    if (outcome == STORE_STORED) code = sqlite3_exec(store->db, text, NULL, NULL, NULL);
    if (code != SQLITE_OK) return store_fail(store, code);
    return outcome == STORE_STORED ? store_commit(store) : outcome;
}

void store_size(const struct store *store, struct store_size *ret)
{
    *ret = (struct store_size){ .used_bytes = (store->pages - store->free_pages) * store->page_bytes,
                                .file_bytes = store->pages * store->page_bytes,
                                .can_shrink = store->can_shrink };
}

bool store_is_full(const struct store *store)
{
    return store->is_full;
}

void store_set_room(struct store *store, bool is_ample)
{
    store->is_room_ample = is_ample;
}

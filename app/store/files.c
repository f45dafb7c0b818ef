/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The store's two files, as SQLite has them open: read through its own handles, never by open(2). */
#include "store_internal.h"

#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "base/bytes.h"
#include "header.h"
#include "wal.h"

enum {
    INDEX_REGION_BYTES = 32768,
    MOVED_OFFSET = 96 /* in the index: how many frames are in the database (https://www.sqlite.org/walformat.html) */
};

sqlite3_file *store_database_file(const struct store *store)
{
    sqlite3_file *file = NULL;

    sqlite3_file_control(store->db, "main", SQLITE_FCNTL_FILE_POINTER, (void *)&file);
    return file && file->pMethods ? file : NULL;
}

static sqlite3_file *log_file(const struct store *store)
{
    sqlite3_file *file = NULL;

    sqlite3_file_control(store->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, (void *)&file);
    return file && file->pMethods ? file : NULL;
}

int64_t store_log_file_bytes(const struct store *store)
{
    sqlite3_file *log = log_file(store);
    sqlite3_int64 bytes = 0;

    return log && log->pMethods->xFileSize(log, &bytes) == SQLITE_OK ? bytes : 0;
}

uint64_t store_read_log_salts(const struct store *store)
{
    sqlite3_file *log = log_file(store);
    unsigned char header[WAL_HEADER_BYTES];

    if (!log || log->pMethods->xRead(log, header, sizeof(header), 0) != SQLITE_OK) return 0;
    return wal_read_salts(header);
}

uint32_t store_read_log_moved(const struct store *store)
{
    sqlite3_file *file = store_database_file(store);
    void volatile *index = NULL;

    if (!file || file->pMethods->iVersion < 2 ||
        file->pMethods->xShmMap(file, 0, INDEX_REGION_BYTES, 0, &index) != SQLITE_OK || !index)
        return 0;
    return ((const volatile uint32_t *)index)[MOVED_OFFSET / sizeof(uint32_t)];
}

int64_t store_log_end_bytes(const struct store *store)
{
    if (store->log_pages == 0) return 0;
    return WAL_HEADER_BYTES + (int64_t)store->log_pages * (WAL_FRAME_HEADER_BYTES + store->page_bytes);
}

static size_t frame_bytes(const struct store *store)
{
    return WAL_FRAME_HEADER_BYTES + (size_t)store->page_bytes;
}

static bool read_log(const struct store *store, void *ret, size_t bytes, int64_t offset)
{
    sqlite3_file *log = log_file(store);

    return log && log->pMethods->xRead(log, ret, (int)bytes, offset) == SQLITE_OK;
}

bool store_note_frame(struct store *store)
{
    const size_t bytes = frame_bytes(store);

    store->frame_pages = 0;
    if (store->log_pages == 0) return true;
    if (!store->frame) store->frame = malloc(bytes);
    if (!store->frame) return true; /* without memory it is not compared */
    if (!read_log(store, store->frame, bytes, store_log_end_bytes(store) - (int64_t)bytes)) return false;
    store->frame_pages = store->log_pages;
    return true;
}

bool store_has_frame(const struct store *store)
{
    unsigned char found[1024];
    const size_t bytes = frame_bytes(store);
    const int64_t offset = WAL_HEADER_BYTES + (int64_t)(store->frame_pages - 1) * (int64_t)bytes;

    for (size_t done = 0; done < bytes && store->frame_pages > 0;) {
        const size_t part = bytes - done < sizeof(found) ? bytes - done : sizeof(found);

        if (!read_log(store, found, part, offset + (int64_t)done)) return false;
        if (memcmp(found, store->frame + done, part) != 0) return false;
        done += part;
    }
    return true;
}

bool store_has_first_frame(const struct store *store, int frames_before)
{
    unsigned char header[WAL_FRAME_HEADER_BYTES];
    const int64_t offset = WAL_HEADER_BYTES + (int64_t)frames_before * (int64_t)frame_bytes(store);

    if (store->log_pages <= frames_before) return true; /* nothing was written */
    if (!read_log(store, header, sizeof(header), offset)) return false;
    return bytes_big_endian32(header) != 0 && memcmp(header + 8, &store->log_salts, sizeof(store->log_salts)) == 0;
}

void store_log_end(const struct store *store, struct store_log_end *ret)
{
    *ret = (struct store_log_end){ .salts = store->log_salts,
                                   .bytes = store_log_end_bytes(store),
                                   .is_marked = store->is_marked };
}

void store_note_log(struct store *store)
{
    if (!store->is_open) return;
    place_note_change(&store->place, PLACE_LOG, store_log_end_bytes(store));
    store->log_moved = store_read_log_moved(store);
}

const struct place *store_place(const struct store *store)
{
    return &store->place;
}

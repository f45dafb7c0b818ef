/* SPDX-License-Identifier: BSD-3-Clause
 *
 * tests/crash/recorder.c: a shim over the VFS "unix". What it writes down is what the file system hears, so it has to
 * know one habit of that VFS: a log or journal that is new in its folder has the folder synced behind its own first
 * sync. One thread at a time. Must never change what SQLite reads. */
#include "recorder.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "dice.h"
#include "memory.h"

const char *const name_endings[NAME_COUNT] = { "", "-wal", "-journal" };

struct recorder {
    sqlite3_vfs vfs; /* first: SQLite hands us this */
    sqlite3_vfs *real;
    enum lie lie;
    struct dice dice;
    struct event *events;
    size_t count, room;
    unsigned next_file;
    bool exists[NAME_COUNT];
    unsigned files[NAME_COUNT]; /* where it exists: which */
};

struct recorded_file {
    sqlite3_file base; /* first: SQLite hands us this */
    struct recorder *recorder;
    bool is_temporary; /* nobody's loss */
    enum file_name name;
    unsigned file;
    bool is_new_in_folder;
    _Alignas(sqlite3_int64) unsigned char real[]; /* the real VFS's own */
};

static struct recorded_file *recorded(sqlite3_file *base)
{
    return (struct recorded_file *)(void *)base;
}

static sqlite3_file *real(sqlite3_file *base)
{
    return (sqlite3_file *)(void *)recorded(base)->real;
}

static struct event *add_event(struct recorder *recorder, enum event_kind kind, enum file_name name, unsigned file)
{
    struct event *event = NULL;

    recorder->events = make_room(recorder->events, recorder->count, &recorder->room, sizeof(*recorder->events));
    event = &recorder->events[recorder->count++];
    *event = (struct event){ .kind = kind, .name = name, .file = file };
    return event;
}

static void add_folder_sync(struct recorder *recorder)
{
    if (recorder->lie != LIE_FOLDER_SYNC) add_event(recorder, EVENT_SYNC_FOLDER, NAME_DATABASE, 0);
}

/* ---- A file ---- */

static int on_write(sqlite3_file *base, const void *bytes, int len, sqlite3_int64 offset)
{
    const struct recorded_file *file = recorded(base);

    if (!file->is_temporary) {
        struct event *event = add_event(file->recorder, EVENT_WRITE, file->name, file->file);

        event->offset = offset;
        event->len = (size_t)len;
        event->bytes = grow(NULL, event->len, 1);
        memcpy(event->bytes, bytes, event->len);
    }
    return real(base)->pMethods->xWrite(real(base), bytes, len, offset);
}

static int on_truncate(sqlite3_file *base, sqlite3_int64 size)
{
    const struct recorded_file *file = recorded(base);

    if (!file->is_temporary) add_event(file->recorder, EVENT_TRUNCATE, file->name, file->file)->offset = size;
    return real(base)->pMethods->xTruncate(real(base), size);
}

static bool is_lied_about(enum lie lie, enum file_name name)
{
    return (lie == LIE_LOG_SYNC && name == NAME_LOG) || (lie == LIE_DATABASE_SYNC && name == NAME_DATABASE);
}

static int on_sync(sqlite3_file *base, int flags)
{
    struct recorded_file *file = recorded(base);
    const int code = real(base)->pMethods->xSync(real(base), flags);

    if (code != SQLITE_OK || file->is_temporary) return code;
    if (!is_lied_about(file->recorder->lie, file->name)) add_event(file->recorder, EVENT_SYNC, file->name, file->file);
    if (file->is_new_in_folder) add_folder_sync(file->recorder);
    file->is_new_in_folder = false;
    return code;
}

static int on_close(sqlite3_file *base)
{
    return real(base)->pMethods->xClose(real(base));
}

static int on_read(sqlite3_file *base, void *bytes, int len, sqlite3_int64 offset)
{
    return real(base)->pMethods->xRead(real(base), bytes, len, offset);
}

static int on_file_size(sqlite3_file *base, sqlite3_int64 *ret)
{
    return real(base)->pMethods->xFileSize(real(base), ret);
}

static int on_lock(sqlite3_file *base, int level)
{
    return real(base)->pMethods->xLock(real(base), level);
}

static int on_unlock(sqlite3_file *base, int level)
{
    return real(base)->pMethods->xUnlock(real(base), level);
}

static int on_check_reserved_lock(sqlite3_file *base, int *ret)
{
    return real(base)->pMethods->xCheckReservedLock(real(base), ret);
}

static int on_file_control(sqlite3_file *base, int what, void *argument)
{
    return real(base)->pMethods->xFileControl(real(base), what, argument);
}

static int on_sector_size(sqlite3_file *base)
{
    return real(base)->pMethods->xSectorSize(real(base));
}

static int on_device_characteristics(sqlite3_file *base)
{
    return real(base)->pMethods->xDeviceCharacteristics(real(base));
}

static int on_shared_map(sqlite3_file *base, int page, int page_bytes, int may_extend, void volatile **ret)
{
    return real(base)->pMethods->xShmMap(real(base), page, page_bytes, may_extend, ret);
}

static int on_shared_lock(sqlite3_file *base, int offset, int count, int flags)
{
    return real(base)->pMethods->xShmLock(real(base), offset, count, flags);
}

static void on_shared_barrier(sqlite3_file *base)
{
    real(base)->pMethods->xShmBarrier(real(base));
}

static int on_shared_unmap(sqlite3_file *base, int is_deleted)
{
    return real(base)->pMethods->xShmUnmap(real(base), is_deleted);
}

/* Version 2 is without memory-mapped reads, which nobody has asked for. */
static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = on_close,
    .xRead = on_read,
    .xWrite = on_write,
    .xTruncate = on_truncate,
    .xSync = on_sync,
    .xFileSize = on_file_size,
    .xLock = on_lock,
    .xUnlock = on_unlock,
    .xCheckReservedLock = on_check_reserved_lock,
    .xFileControl = on_file_control,
    .xSectorSize = on_sector_size,
    .xDeviceCharacteristics = on_device_characteristics,
    .xShmMap = on_shared_map,
    .xShmLock = on_shared_lock,
    .xShmBarrier = on_shared_barrier,
    .xShmUnmap = on_shared_unmap,
};

/* ---- Files come and go ---- */

static bool is_ending(const char *path, const char *ending)
{
    const size_t len = strlen(path), ending_len = strlen(ending);

    return len >= ending_len && strcmp(path + len - ending_len, ending) == 0;
}

static enum file_name name_of(const char *path)
{
    if (is_ending(path, name_endings[NAME_LOG])) return NAME_LOG;
    if (is_ending(path, name_endings[NAME_JOURNAL])) return NAME_JOURNAL;
    return NAME_DATABASE;
}

static void note_creation(struct recorder *recorder, enum file_name name)
{
    recorder->exists[name] = true;
    recorder->files[name] = recorder->next_file++;
    add_event(recorder, EVENT_CREATE, name, recorder->files[name]);
}

static int on_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *base, int flags, int *ret_flags)
{
    struct recorder *recorder = (struct recorder *)(void *)vfs;
    struct recorded_file *file = recorded(base);
    const bool is_temporary = !(flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_WAL));
    const bool is_new = !is_temporary && access(path, F_OK) != 0;
    const int code = recorder->real->xOpen(recorder->real, path, real(base), flags, ret_flags);

    base->pMethods = NULL;
    if (code != SQLITE_OK) return code;
    base->pMethods = &methods;
    file->recorder = recorder;
    file->is_temporary = is_temporary;
    if (is_temporary) return code;
    file->name = name_of(path);
    file->is_new_in_folder = is_new && file->name != NAME_DATABASE;
    if (is_new) note_creation(recorder, file->name);
    file->file = recorder->files[file->name];
    return code;
}

static int on_delete(sqlite3_vfs *vfs, const char *path, int syncs_folder)
{
    struct recorder *recorder = (struct recorder *)(void *)vfs;
    const enum file_name name = name_of(path);
    const int code = recorder->real->xDelete(recorder->real, path, syncs_folder);

    if (code != SQLITE_OK) return code;
    add_event(recorder, EVENT_DELETE, name, recorder->files[name]);
    recorder->exists[name] = false;
    if (syncs_folder) add_folder_sync(recorder);
    return code;
}

/* So that a log's salts come again with the seed. */
static int on_randomness(sqlite3_vfs *vfs, int len, char *ret)
{
    struct recorder *recorder = (struct recorder *)(void *)vfs;

    for (int i = 0; i < len; i++)
        ret[i] = (char)dice_roll(&recorder->dice, 256);
    return len;
}

/* ---- From start to end ---- */

struct recorder *recorder_start(enum lie lie, uint64_t seed, const bool exists[NAME_COUNT])
{
    struct recorder *recorder = grow(NULL, 1, sizeof(*recorder));

    *recorder =
        (struct recorder){ .real = sqlite3_vfs_find("unix"), .lie = lie, .dice.state = seed, .next_file = NAME_COUNT };
    for (unsigned name = 0; name < NAME_COUNT; name++) {
        recorder->exists[name] = exists[name];
        recorder->files[name] = name;
    }
    recorder->vfs = *recorder->real;
    recorder->vfs.zName = "recorder";
    recorder->vfs.szOsFile += (int)sizeof(struct recorded_file);
    recorder->vfs.xOpen = on_open;
    recorder->vfs.xDelete = on_delete;
    recorder->vfs.xRandomness = on_randomness;
    sqlite3_vfs_register(&recorder->vfs, 1);
    sqlite3_randomness(0, NULL); /* begin anew, with ours */
    return recorder;
}

void recorder_stop(struct recorder *recorder)
{
    sqlite3_vfs_unregister(&recorder->vfs);
    sqlite3_vfs_register(recorder->real, 1);
}

size_t recorder_position(const struct recorder *recorder)
{
    return recorder->count;
}

const struct event *recorder_event(const struct recorder *recorder, size_t position)
{
    return &recorder->events[position];
}

void recorder_free(struct recorder *recorder)
{
    for (size_t i = 0; i < recorder->count; i++)
        free(recorder->events[i].bytes);
    free(recorder->events);
    free(recorder);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * tests/crash/disk.c: what is legal after a power cut. A sync of a file makes all that was done to its bytes and its
 * length certain, one of the folder all that was done to names; anything else may have come to the disk or not, in any
 * order. A write may be cut at a sector, and keep either side. Sectors themselves are whole, and what a write does not
 * touch stays (https://www.sqlite.org/psow.html). */
#include "disk.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "memory.h"

enum { SECTOR_BYTES = 512, SHARED_BYTES = 32768, PATH_BYTES_MAX = 512, NO_FILE = -1 };

struct file {
    unsigned char *bytes; /* synced */
    size_t len, room;
    const struct event **unsynced;
    size_t unsynced_count, unsynced_room;
};

struct name {
    int synced; /* a file, or NO_FILE */
    int *unsynced;
    size_t unsynced_count, unsynced_room;
};

struct disk {
    struct file *files;
    size_t files_count, files_room;
    struct name names[NAME_COUNT];
};

static void fail(const char *what, const char *path)
{
    perror(what);
    fprintf(stderr, "%s\n", path);
    abort();
}

static const char *path_of(const char *path, const char *ending, char ret[PATH_BYTES_MAX])
{
    snprintf(ret, PATH_BYTES_MAX, "%s%s", path, ending);
    return ret;
}

/* ---- What is certain ---- */

static void add_file(struct disk *disk)
{
    disk->files = make_room(disk->files, disk->files_count, &disk->files_room, sizeof(*disk->files));
    disk->files[disk->files_count++] = (struct file){ .len = 0 };
}

static void set_len(struct file *file, size_t len)
{
    if (len > file->room) {
        file->room = len * 2;
        file->bytes = grow(file->bytes, file->room, 1);
    }
    if (len > file->len) memset(file->bytes + file->len, 0, len - file->len);
    file->len = len;
}

static bool load_file(struct file *file, const char *path)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;

    if (fd < 0) return false;
    if (fstat(fd, &status) != 0) fail("fstat", path);
    set_len(file, (size_t)status.st_size);
    if (read(fd, file->bytes, file->len) != (ssize_t)file->len) fail("read", path);
    close(fd);
    return true;
}

struct disk *disk_new(const char *path, bool ret_exists[NAME_COUNT])
{
    struct disk *disk = grow(NULL, 1, sizeof(*disk));

    *disk = (struct disk){ .files_count = 0 };
    for (int i = 0; i < NAME_COUNT; i++) {
        char name[PATH_BYTES_MAX];

        add_file(disk);
        ret_exists[i] = load_file(&disk->files[i], path_of(path, name_endings[i], name));
        disk->names[i].synced = ret_exists[i] ? i : NO_FILE;
    }
    return disk;
}

void disk_free(struct disk *disk)
{
    for (size_t i = 0; i < disk->files_count; i++) {
        free(disk->files[i].bytes);
        free(disk->files[i].unsynced);
    }
    for (int i = 0; i < NAME_COUNT; i++)
        free(disk->names[i].unsynced);
    free(disk->files);
    free(disk);
}

/* ---- What comes ---- */

static void apply(struct file *file, const struct event *event)
{
    const size_t offset = (size_t)event->offset;

    if (event->kind == EVENT_TRUNCATE) {
        set_len(file, offset);
        return;
    }
    if (offset + event->len > file->len) set_len(file, offset + event->len);
    memcpy(file->bytes + offset, event->bytes, event->len);
}

static void sync_file(struct file *file)
{
    for (size_t i = 0; i < file->unsynced_count; i++)
        apply(file, file->unsynced[i]);
    file->unsynced_count = 0;
}

static void sync_names(struct disk *disk)
{
    for (int i = 0; i < NAME_COUNT; i++) {
        struct name *name = &disk->names[i];

        if (name->unsynced_count) name->synced = name->unsynced[name->unsynced_count - 1];
        name->unsynced_count = 0;
    }
}

static void set_name(struct name *name, int file)
{
    name->unsynced = make_room(name->unsynced, name->unsynced_count, &name->unsynced_room, sizeof(*name->unsynced));
    name->unsynced[name->unsynced_count++] = file;
}

static void keep_for_later(struct file *file, const struct event *event)
{
    file->unsynced = make_room(file->unsynced, file->unsynced_count, &file->unsynced_room, sizeof(*file->unsynced));
    file->unsynced[file->unsynced_count++] = event;
}

void disk_play(struct disk *disk, const struct event *event)
{
    while (event->kind == EVENT_CREATE && event->file >= disk->files_count)
        add_file(disk);
    switch (event->kind) {
    case EVENT_WRITE:
    case EVENT_TRUNCATE:
        keep_for_later(&disk->files[event->file], event);
        break;
    case EVENT_SYNC:
        sync_file(&disk->files[event->file]);
        break;
    case EVENT_CREATE:
        set_name(&disk->names[event->name], (int)event->file);
        break;
    case EVENT_DELETE:
        set_name(&disk->names[event->name], NO_FILE);
        break;
    case EVENT_SYNC_FOLDER:
        sync_names(disk);
        break;
    }
}

/* ---- The power is cut ---- */

/* What became of the unsynced writes to a file. */
struct fate {
    size_t until;    /* those from here on are lost */
    bool loses_some; /* and of those before, some */
    bool is_torn;    /* and the last one is torn */
};

static struct fate choose_fate(struct dice *dice, size_t count)
{
    switch (dice_roll(dice, 5)) {
    case 0:
        return (struct fate){ .until = 0 };
    case 1:
        return (struct fate){ .until = count };
    case 2:
        return (struct fate){ .until = count, .loses_some = true };
    case 3:
        return (struct fate){ .until = (size_t)dice_roll(dice, count + 1), .is_torn = true };
    default:
        return (struct fate){ .until = (size_t)dice_roll(dice, count + 1),
                              .loses_some = true,
                              .is_torn = dice_one_in(dice, 2) };
    }
}

static void write_at(int fd, const unsigned char *bytes, size_t len, size_t offset, const char *path)
{
    if (len > 0 && pwrite(fd, bytes, len, (off_t)offset) != (ssize_t)len) fail("pwrite", path);
}

static void set_file_len(int fd, size_t len, const char *path)
{
    if (ftruncate(fd, (off_t)len) != 0) fail("ftruncate", path);
}

/* One side of it, up to the start of a sector. */
static void write_torn(int fd, struct dice *dice, const struct event *event, const char *path)
{
    const size_t offset = (size_t)event->offset, end = offset + event->len;
    const size_t first = offset / SECTOR_BYTES, last = (end + SECTOR_BYTES - 1) / SECTOR_BYTES;
    size_t cut = (first + (size_t)dice_roll(dice, last - first + 1)) * SECTOR_BYTES;

    if (cut < offset) cut = offset;
    if (cut > end) cut = end;
    if (dice_one_in(dice, 2))
        write_at(fd, event->bytes, cut - offset, offset, path);
    else
        write_at(fd, event->bytes + (cut - offset), end - cut, cut, path);
}

/* A file may have grown for bytes that never came. */
static void lose(int fd, struct dice *dice, const struct event *event, const char *path)
{
    const size_t end = (size_t)event->offset + event->len;
    struct stat status;

    if (event->kind != EVENT_WRITE || !dice_one_in(dice, 4)) return;
    if (fstat(fd, &status) != 0) fail("fstat", path);
    if ((off_t)end > status.st_size) set_file_len(fd, end, path);
}

static void write_unsynced(int fd, struct dice *dice, const struct file *file, const char *path)
{
    const struct fate fate = choose_fate(dice, file->unsynced_count);

    for (size_t i = 0; i < file->unsynced_count; i++) {
        const struct event *event = file->unsynced[i];

        if (i >= fate.until || (fate.loses_some && dice_one_in(dice, 2)))
            lose(fd, dice, event, path);
        else if (event->kind == EVENT_TRUNCATE)
            set_file_len(fd, (size_t)event->offset, path);
        else if (fate.is_torn && i + 1 == fate.until)
            write_torn(fd, dice, event, path);
        else
            write_at(fd, event->bytes, event->len, (size_t)event->offset, path);
    }
}

static void write_file(const struct file *file, struct dice *dice, const char *path)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0) fail("open", path);
    write_at(fd, file->bytes, file->len, 0, path);
    write_unsynced(fd, dice, file, path);
    close(fd);
}

static int choose_name(const struct name *name, struct dice *dice)
{
    const size_t choice = (size_t)dice_roll(dice, name->unsynced_count + 1);

    return choice == 0 ? name->synced : name->unsynced[choice - 1];
}

/* Nothing reads it before it is made anew; so garbage does no harm. */
static void write_shared_memory(struct dice *dice, const char *path)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    uint64_t words[SHARED_BYTES / sizeof(uint64_t)];

    if (fd < 0) fail("open", path);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        words[i] = dice_next(dice);
    write_at(fd, (const unsigned char *)words, sizeof(words), 0, path);
    close(fd);
}

void disk_remove_image(const char *path)
{
    char name[PATH_BYTES_MAX];

    for (int i = 0; i < NAME_COUNT; i++)
        unlink(path_of(path, name_endings[i], name));
    unlink(path_of(path, "-shm", name));
}

void disk_write_image(const struct disk *disk, struct dice *dice, const char *path)
{
    char name[PATH_BYTES_MAX];

    disk_remove_image(path);
    for (int i = 0; i < NAME_COUNT; i++) {
        const int file = choose_name(&disk->names[i], dice);

        if (file != NO_FILE) write_file(&disk->files[file], dice, path_of(path, name_endings[i], name));
    }
    if (dice_one_in(dice, 4)) write_shared_memory(dice, path_of(path, "-shm", name));
}

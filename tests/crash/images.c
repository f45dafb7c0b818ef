/* SPDX-License-Identifier: BSD-3-Clause
 *
 * tests/crash/images.c: cuts the power, on paper: keeps a store busy while all that reaches the files is written down;
 * then makes the images of the disk that a power cut can leave, at any instant around a sync, and looks whether each
 * holds all that the store had said that it has.
 *
 *   images [--images N] [--seed S]
 *
 * A history is a store's lives, one after the other; each begins with what a power cut in the one before has left, and
 * one of them with a store of an older version, whose upgrade many of the cuts are in. It
 * follows from its seed. The disks that lie come first: a checker that does not see their losses proves nothing. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "../app/older.h"
#include "disk.h"
#include "ledger.h"
#include "load.h"
#include "memory.h"
#include "store/folder.h"

enum {
    LIVES = 5, /* in a history */
    LIFE_IMAGES = 50,
    HISTORY_IMAGES = LIVES * LIFE_IMAGES,
    LIFE_SESSIONS_MAX = 5,
    OLDER_LIFE = 2,
    UPGRADE_EVENTS = 40, /* and some behind it */
    THOROUGH_EACH = 10,
    LIAR_HISTORIES_MAX = 200,
    PATH_BYTES_MAX = 256,
    FIRST_SECOND = 1763856000
};

/* What is wrong with the disk, or with the word of the store. */
struct flaw {
    enum lie lie;
    bool is_stored_too_soon;
};

struct history {
    uint64_t seed;
    struct flaw flaw;
    struct ledger *ledger;
    struct dice dice; /* of the load */
    int64_t time_us;
    unsigned life, images_left, images;
};

struct fault {
    bool is_found;
    unsigned life, image;
    size_t position;
    char text[LEDGER_FAULT_BYTES_MAX];
};

static char scratch[PATH_BYTES_MAX - 32]; /* the folder of these two */
static char store_path[PATH_BYTES_MAX];   /* in use */
static char image_path[PATH_BYTES_MAX];   /* to be looked at */

/* ---- A life ---- */

static struct recorder *live(struct history *history, const bool exists[NAME_COUNT])
{
    struct recorder *recorder = recorder_start(history->flaw.lie, history->seed + history->life, exists);
    const struct load load = { .path = store_path,
                               .ledger = history->ledger,
                               .recorder = recorder,
                               .dice = &history->dice,
                               .time_us = &history->time_us,
                               .is_stored_too_soon = history->flaw.is_stored_too_soon };

    for (uint64_t sessions = 1 + dice_roll(&history->dice, LIFE_SESSIONS_MAX); sessions > 0; sessions--) {
        if (dice_one_in(&history->dice, 2) && !load.is_stored_too_soon)
            load_by_writer(&load);
        else
            load_by_store(&load);
    }
    recorder_stop(recorder);
    return recorder;
}

/* Makes it one of version 2, whole and without a log. */
static void make_older(const char *path)
{
    static const char back[] = "BEGIN;" BACK_TO_VERSION_2 "COMMIT";
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    char text[64];
    bool is_made = sqlite3_open(path, &db) == SQLITE_OK && sqlite3_exec(db, back, NULL, NULL, NULL) == SQLITE_OK &&
                   sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &statement, NULL) == SQLITE_OK &&
                   sqlite3_step(statement) == SQLITE_ROW;

    if (is_made)
        snprintf(text, sizeof(text), "PRAGMA user_version = %d", (sqlite3_column_int(statement, 0) & ~0xff) | 2);
    sqlite3_finalize(statement);
    if (!is_made || sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK) {
        fprintf(stderr, "%s: %s\n", path, sqlite3_errmsg(db));
        abort();
    }
    sqlite3_close(db);
}

/* ---- The cuts ---- */

static bool is_sync(const struct event *event)
{
    return event->kind == EVENT_SYNC || event->kind == EVENT_SYNC_FOLDER;
}

static int compare_positions(const void *left, const void *right)
{
    const size_t a = *(const size_t *)left, b = *(const size_t *)right;

    return a < b ? -1 : a > b;
}

/* Instants just before and just after syncs, in their order; any instant where nothing is synced. So many at the
 * beginning. */
static void choose_cuts(const struct recorder *recorder, struct dice *dice, size_t *ret, unsigned count, unsigned early)
{
    const size_t end = recorder_position(recorder);

    for (unsigned i = 0; i < count; i++) {
        size_t position = (size_t)dice_roll(dice, i < early && end > UPGRADE_EVENTS ? UPGRADE_EVENTS : end);

        while (position < end && !is_sync(recorder_event(recorder, position)))
            position++;
        ret[i] = position + (position < end && dice_one_in(dice, 2));
    }
    qsort(ret, count, sizeof(*ret), compare_positions);
}

static struct dice image_dice(const struct history *history, unsigned image)
{
    return (struct dice){ (history->seed << 16) + history->life * LIFE_IMAGES + image };
}

static bool check_image(struct history *history, const struct disk *disk, unsigned image, size_t position,
                        struct fault *ret)
{
    struct dice dice = image_dice(history, image);

    history->images++;
    disk_write_image(disk, &dice, image_path);
    if (ledger_check(history->ledger, image_path, position, image % THOROUGH_EACH == 0, ret->text)) return true;
    ret->is_found = true;
    ret->life = history->life;
    ret->image = image;
    ret->position = position;
    dice = image_dice(history, image);
    disk_write_image(disk, &dice, image_path); /* as it was before anybody opened it */
    return false;
}

static void copy_image(const char *from, const char *to)
{
    bool exists[NAME_COUNT];
    struct disk *disk = disk_new(from, exists);
    struct dice none = { 0 };

    disk_write_image(disk, &none, to);
    disk_free(disk);
}

/* One of the images is what the next life begins with. */
static void check_life(struct history *history, struct disk *disk, const struct recorder *recorder, struct fault *ret)
{
    const unsigned count = history->images_left < LIFE_IMAGES ? history->images_left : LIFE_IMAGES;
    const unsigned next = (unsigned)dice_roll(&history->dice, count);
    struct dice dice = { history->seed ^ history->life };
    size_t cuts[LIFE_IMAGES], position = 0, next_position = 0;

    choose_cuts(recorder, &dice, cuts, count, history->life == OLDER_LIFE ? count / 2 : 0);
    for (unsigned i = 0; i < count && !ret->is_found; i++) {
        while (position < cuts[i])
            disk_play(disk, recorder_event(recorder, position++));
        if (check_image(history, disk, i, position, ret) && i == next) {
            dice = image_dice(history, i);
            disk_write_image(disk, &dice, store_path);
            next_position = position;
        }
    }
    history->images_left -= count;
    if (ret->is_found || history->images_left == 0) return;
    copy_image(store_path, image_path); /* looking at it adds to it */
    ret->is_found = !ledger_check(history->ledger, image_path, next_position, false, ret->text);
    if (ret->is_found) return;
    ledger_go_on(history->ledger, next_position);
    ret->is_found = !ledger_check_log(store_path, ret->text);
}

/* ---- A history ---- */

static void make_store(const char *path)
{
    char error[FOLDER_ERROR_BYTES_MAX];

    disk_remove_image(path);
    if (folder_make_file(path, error)) {
        fprintf(stderr, "%s\n", error);
        abort();
    }
}

/* Up to its first fault. Returns how many images were looked at. */
static unsigned run_history(uint64_t seed, struct flaw flaw, unsigned images, struct fault *ret)
{
    struct history history = { .seed = seed,
                               .flaw = flaw,
                               .ledger = ledger_new(),
                               .dice.state = seed,
                               .time_us = (int64_t)FIRST_SECOND * 1000000,
                               .images_left = images };

    *ret = (struct fault){ .is_found = false };
    make_store(store_path);
    for (; history.images_left > 0 && !ret->is_found; history.life++) {
        bool exists[NAME_COUNT];
        struct disk *disk = NULL;
        struct recorder *recorder = NULL;

        if (history.life == OLDER_LIFE) make_older(store_path);
        disk = disk_new(store_path, exists);
        recorder = live(&history, exists);

        check_life(&history, disk, recorder, ret);
        disk_free(disk);
        recorder_free(recorder);
    }
    disk_remove_image(store_path);
    if (!ret->is_found) disk_remove_image(image_path);
    ledger_free(history.ledger);
    return history.images;
}

/* ---- Results ---- */

static bool report(unsigned number, bool is_good, const char *name)
{
    printf("%sok %u - %s\n", is_good ? "" : "not ", number, name);
    fflush(stdout);
    return is_good;
}

/* What is looked for is a record that is missing; a lying disk does worse things, too. */
static void try_liar(unsigned number, struct flaw flaw, const char *name, bool *is_good)
{
    struct fault fault = { .is_found = false };
    unsigned images = 0;
    bool is_found_out = false;

    for (uint64_t seed = 1; seed <= LIAR_HISTORIES_MAX && !is_found_out; seed++) {
        images += run_history(seed, flaw, HISTORY_IMAGES, &fault);
        is_found_out = fault.is_found && strstr(fault.text, "is missing");
    }
    *is_good &= report(number, is_found_out, name);
    printf("# image %u: %s\n", images, fault.is_found ? fault.text : "nothing was found");
    disk_remove_image(image_path);
}

static bool try_liars(void)
{
    bool is_good = true;

    try_liar(2, (struct flaw){ .lie = LIE_LOG_SYNC }, "a log that is not synced is found out", &is_good);
    try_liar(3, (struct flaw){ .lie = LIE_DATABASE_SYNC }, "a database that is not synced is found out", &is_good);
    try_liar(4, (struct flaw){ .lie = LIE_FOLDER_SYNC }, "a folder that is not synced is found out", &is_good);
    try_liar(5, (struct flaw){ .is_stored_too_soon = true }, "a word before the commit is found out", &is_good);
    return is_good;
}

static bool check_images(unsigned images, uint64_t seed)
{
    struct fault fault = { .is_found = false };
    unsigned done = 0;
    char name[64];

    for (; done < images && !fault.is_found; seed++)
        done += run_history(seed, (struct flaw){ .lie = LIE_NONE },
                            images - done < HISTORY_IMAGES ? images - done : HISTORY_IMAGES, &fault);
    snprintf(name, sizeof(name), "%u images of a power cut", done);
    report(1, !fault.is_found, name);
    if (!fault.is_found) return true;
    printf("# life %u, image %u, cut at %zu: %s\n# the image: %s\n"
           "# again: ./dev crash --images %d --seed %" PRIu64 "\n",
           fault.life, fault.image, fault.position, fault.text, image_path, HISTORY_IMAGES, seed - 1);
    return false;
}

/* In memory where that can be had: what is synced is known here, and need not be. */
static int make_scratch(void)
{
    const char *parent = getenv("TMPDIR");

    snprintf(scratch, sizeof(scratch), "/dev/shm/weir-images-XXXXXX");
    if (mkdtemp(scratch)) return 0;
    snprintf(scratch, sizeof(scratch), "%s/weir-images-XXXXXX", parent && *parent ? parent : "/tmp");
    return mkdtemp(scratch) ? 0 : -errno;
}

int main(int count, char **words)
{
    unsigned images = 1000;
    uint64_t seed = 1;
    bool is_good = true;
    int err = 0;

    for (int i = 1; i < count; i++) {
        if (i + 1 < count && strcmp(words[i], "--images") == 0) {
            images = (unsigned)strtoul(words[++i], NULL, 10);
        } else if (i + 1 < count && strcmp(words[i], "--seed") == 0) {
            seed = strtoull(words[++i], NULL, 10);
        } else {
            fprintf(stderr, "usage: images [--images N] [--seed S]\n");
            return 2;
        }
    }
    err = make_scratch();
    if (err) {
        fprintf(stderr, "no folder for the images: %s\n", strerror(-err));
        return 1;
    }
    snprintf(store_path, sizeof(store_path), "%s/store.db", scratch);
    snprintf(image_path, sizeof(image_path), "%s/image.db", scratch);
    printf("1..5\n");
    is_good = check_images(images, seed);
    if (is_good) is_good = try_liars(); /* else the image of the fault would go */
    rmdir(scratch);                     /* which fails while there is an image in it */
    return is_good ? 0 : 1;
}

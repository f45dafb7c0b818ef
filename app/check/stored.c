/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The order is that of a server's start: the lock, the log's walk, and only then SQLite. Must never
 * change a file unless asked to, nor one whose copy is not on disk, nor a store that a server has. */
#include "stored.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "backup.h"
#include "base/clock.h"
#include "store/damage.h"
#include "store/locate.h"
#include "store/reader.h"
#include "store/store.h"
#include "text/render.h"

enum { SENTENCE_BYTES_MAX = 2 * FOLDER_PATH_BYTES_MAX, PROGRESS_MS = 200 };

/* Whether the option says what is to be done with a store. */
static bool is_of_store(const char *name)
{
    return strcmp(name, "accept-loss") == 0 || strcmp(name, "backup") == 0 || strcmp(name, "new-id") == 0;
}

bool check_is_of_store(const struct options *options)
{
    bool is_store_given = false;

    if (options->endpoint_count || options->config) return false;
    if (options->store && (strcmp(options->store, "auto") == 0 || strcmp(options->store, "none") == 0)) return false;
    for (size_t i = 0; i < option_count; i++) {
        const struct option_setting *setting = options_setting(options, &options->common, &option_specs[i]);
        const bool is_given = setting->text && setting->source == SOURCE_ARGUMENTS;
        const bool is_store = strcmp(option_specs[i].name, "store") == 0;

        if (is_given && !is_store && !is_of_store(option_specs[i].name)) return false;
        is_store_given |= is_given && is_store;
    }
    return is_store_given;
}

static enum status fail(int err, const char *path, const char *text)
{
    char sentence[SENTENCE_BYTES_MAX];

    snprintf(sentence, sizeof(sentence), "store %.900s: %.1100s", path, text);
    return status_error(COMMAND_CHECK, err, sentence);
}

/* ---- The messages ---- */

struct walk {
    struct reader *reader;
    uint64_t newest; /* id */
    int64_t newest_time_us;
    uint64_t messages;
    uint64_t damaged;       /* of these */
    uint64_t first_damaged; /* id */
    bool shows_progress;
    int64_t shown_ms;
};

static void show_progress(struct walk *walk, uint64_t id)
{
    if (!walk->shows_progress || clock_ms() < walk->shown_ms + PROGRESS_MS) return;
    walk->shown_ms = clock_ms();
    fprintf(stderr, "\r%" PRIu64 " messages, %" PRIu64 "%%", walk->messages,
            walk->newest ? (uint64_t)((double)id / (double)walk->newest * 100) : 100);
    fflush(stderr);
}

static void end_progress(const struct walk *walk)
{
    if (walk->shows_progress && walk->shown_ms) fputs("\r\033[K", stderr);
}

static void see(struct walk *walk, const struct stored_message *message)
{
    walk->messages++;
    walk->newest_time_us = message->time_us;
    if (!message->is_damaged) return;
    if (walk->damaged++ == 0) walk->first_damaged = message->id;
}

/* Each message is read, and its checksum with it. */
static int walk_messages(struct walk *walk)
{
    struct reader_range range = { .after = 0 };
    struct reader_page page;
    int err = reader_newest(walk->reader, &walk->newest);

    range.until = walk->newest;
    while (!err && range.after < range.until) {
        err = reader_read(walk->reader, &range, &page);
        for (size_t i = 0; !err && i < page.count; i++)
            see(walk, &page.messages[i]);
        show_progress(walk, range.after);
    }
    end_progress(walk);
    return err;
}

/* ---- What is said of it ---- */

static void print_summary(const char *path, const struct walk *walk)
{
    const time_t seconds = (time_t)(walk->newest_time_us / 1000000);
    char time[32];
    struct tm utc;

    strftime(time, sizeof(time), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &utc));
    printf("messages  %" PRIu64 "\n", walk->messages);
    if (walk->messages) printf("newest    %" PRIu64 " of %s\n", walk->newest, time);
    printf("size      %" PRId64 " bytes, and %" PRId64 " of log\n", folder_bytes_beside(path, ""),
           folder_bytes_beside(path, "-wal"));
}

static enum status say_what_is_wrong(const char *path, const struct walk *walk)
{
    char text[SENTENCE_BYTES_MAX / 2];

    if (walk->damaged == 0) return STATUS_DONE;
    if (walk->damaged == 1)
        snprintf(text, sizeof(text),
                 "1 message is not what was stored: its checksum says so. It is message %" PRIu64
                 ". It stays where it is, and weir log marks it",
                 walk->first_damaged);
    else
        snprintf(text, sizeof(text),
                 "%" PRIu64 " messages are not what was stored: their checksums say so. The first is message %" PRIu64
                 ". They stay where they are, and weir log marks them",
                 walk->damaged, walk->first_damaged);
    return fail(-EIO, path, text);
}

static enum status fail_unreadable(const char *path, const char *reason)
{
    char sentence[SENTENCE_BYTES_MAX];

    snprintf(
        sentence, sizeof(sentence),
        "%.1400s. Nothing was changed. What can still be read: sqlite3 -readonly %.400s .dump; to go on serving, name "
        "another store",
        reason, path);
    return status_error(COMMAND_CHECK, -EIO, sentence);
}

/* The whole structure is looked at only while no server waits for the log that this holds. */
static enum status check_messages(const char *path, bool is_in_use)
{
    char error[READER_ERROR_BYTES_MAX];
    struct walk walk = { .shows_progress = isatty(STDERR_FILENO) };
    enum status status = STATUS_DONE;
    int err = reader_open(path, &walk.reader, error);

    if (err == -ENODATA) {
        print_summary(path, &walk);
        return STATUS_DONE;
    }
    if (err) return err == -EIO ? fail_unreadable(path, error) : status_error(COMMAND_CHECK, err, error);
    err = walk_messages(&walk);
    if (!err && !is_in_use) err = reader_check_structure(walk.reader);
    if (!err) print_summary(path, &walk);
    if (!err) printf("id        %s\n", reader_store_id(walk.reader));
    status = err ? fail_unreadable(path, reader_text(walk.reader)) : say_what_is_wrong(path, &walk);
    reader_close(walk.reader);
    return status;
}

/* ---- Giving up what is lost ---- */

/* SQLite takes the log up to the damage; moving that to the database leaves none. */
static enum status drop_end_of_log(const char *path)
{
    char error[STORE_ERROR_BYTES_MAX];
    struct store *store = NULL;
    enum status status = STATUS_DONE;

    if (store_open(path, &store, error)) return status_error(COMMAND_CHECK, -EIO, error);
    if (store_restart_log(store, true) != STORE_STORED) status = fail(-EIO, path, store_text(store));
    store_close(store);
    return status;
}

static int drop_file(const char *path, const char *end)
{
    char name[FOLDER_PATH_BYTES_MAX + sizeof("-wal")];

    snprintf(name, sizeof(name), "%s%s", path, end);
    return unlink(name) == 0 || errno == ENOENT ? 0 : -errno;
}

/* A log that does not belong to the database, and its index; with a database that is empty, that too. */
static int drop_log(const char *path, bool has_database)
{
    int err = has_database ? 0 : drop_file(path, "");

    if (!err) err = drop_file(path, "-wal");
    if (!err) err = drop_file(path, "-shm");
    return err ? err : folder_sync_parent(path);
}

/* The copies are on disk. */
static enum status give_up(const char *path, enum damage_kind kind)
{
    int err = 0;

    if (kind == DAMAGE_DATABASE || kind == DAMAGE_OTHER) err = drop_log(path, kind == DAMAGE_OTHER);
    if (!err) err = damage_unmark(path);
    if (err) return fail(err, path, strerror(-err));
    return kind == DAMAGE_LOG || kind == DAMAGE_CUT_LOG ? drop_end_of_log(path) : STATUS_DONE;
}

/* For a person: what a path has in it must not steer his terminal. */
static void print_line(const char *before, const char *text, const char *behind)
{
    struct line line = { 0 };

    line_add_text(&line, before);
    render_sentence(&line, text, strlen(text));
    line_add_text(&line, behind);
    line_add_text(&line, "\n");
    if (!line.failed) fwrite(line.bytes, 1, line.len, stdout);
    line_fini(&line);
}

static enum status accept(const char *path, const struct damage *damage)
{
    char name[DAMAGE_NAME_BYTES_MAX], text[DAMAGE_TEXT_BYTES_MAX];
    const int err = damage_set_aside(path, name);
    enum status status = STATUS_DONE;

    if (err) {
        snprintf(text, sizeof(text), "no copy of it could be made: %s. Nothing was changed", strerror(-err));
        return fail(err, path, text);
    }
    damage_describe(damage, text);
    print_line("copied to ", name,
               damage->kind == DAMAGE_DATABASE ? "-wal"
               : damage->kind == DAMAGE_NO_LOG ? ""
                                               : " and -wal");
    fflush(stdout);
    status = give_up(path, damage->kind);
    if (status == STATUS_DONE) print_line("given up: ", text, "");
    if (status == STATUS_DONE && damage->kind == DAMAGE_DATABASE) puts("a server now begins a new store there");
    return status;
}

static enum status report(const char *path, const struct damage *damage)
{
    char text[DAMAGE_TEXT_BYTES_MAX], sentence[SENTENCE_BYTES_MAX];

    damage_describe(damage, text);
    if (!damage_can_be_accepted(damage)) {
        snprintf(sentence, sizeof(sentence), "store %.900s: %s", path, text);
        return fail_unreadable(path, sentence);
    }
    snprintf(sentence, sizeof(sentence),
             "%s. Nothing was changed. To go on without them, and with a copy kept aside: weir check --store %.900s "
             "--accept-loss",
             text, path);
    return fail(-EIO, path, sentence);
}

/* ---- Another identity ---- */

/* As a server opens it, and ends. */
static enum status give_id_to(const char *path)
{
    char error[STORE_ERROR_BYTES_MAX];
    struct store *store = NULL;
    enum store_outcome outcome = STORE_STORED;
    enum status status = STATUS_DONE;

    if (store_open(path, &store, error)) return status_error(COMMAND_CHECK, -EIO, error);
    outcome = store_give_id(store);
    if (outcome == STORE_STORED) outcome = store_seal(store, store_next_connection(store), false);
    if (outcome != STORE_STORED) status = fail(-EIO, path, store_text(store));
    store_close(store);
    return status;
}

static enum status print_id(const char *path, const char *label)
{
    char error[READER_ERROR_BYTES_MAX];
    struct reader *reader = NULL;
    const int err = reader_open(path, &reader, error);

    if (err) return status_error(COMMAND_CHECK, err, error);
    printf("%-10s%s\n", label, reader_store_id(reader));
    reader_close(reader);
    return STATUS_DONE;
}

static enum status give_id(const char *path)
{
    struct damage damage;
    enum status status = STATUS_DONE;
    int err = damage_find(path, &damage);

    if (!err && damage.kind == DAMAGE_NONE) err = damage_trim(path, &damage);
    if (err) return fail(err, path, strerror(-err));
    if (damage.kind != DAMAGE_NONE) return report(path, &damage);
    status = print_id(path, "was");
    if (status == STATUS_DONE) status = give_id_to(path);
    return status == STATUS_DONE ? print_id(path, "id") : status;
}

/* ---- A copy ---- */

/* While no server is on the store its log is looked at first. The lock is not held for the copy: a server may start. */
static enum status back_up(const char *path, const struct options *options)
{
    char error[FOLDER_ERROR_BYTES_MAX] = "";
    struct damage damage = { .kind = DAMAGE_NONE };
    const int lock = folder_lock_to_look(path, error);
    int err = 0;

    if (lock < 0 && lock != -EBUSY && lock != -ENOENT) return status_error(COMMAND_CHECK, lock, error);
    if (lock != -EBUSY) err = damage_find(path, &damage);
    folder_unlock(lock);
    if (err) return fail(err, path, strerror(-err));
    if (damage.kind != DAMAGE_NONE) return report(path, &damage);
    return backup_make(path, options->backup, options->new_id);
}

/* ---- In order ---- */

static enum status check_unused(const char *path, bool accept_loss)
{
    struct damage damage;
    const int err = damage_find(path, &damage);
    enum status status = STATUS_DONE;

    if (err) return fail(err, path, strerror(-err));
    if (damage.kind == DAMAGE_NONE) {
        status = check_messages(path, false);
        if (status == STATUS_DONE && accept_loss) puts("all is well, and nothing was changed");
        return status;
    }
    if (!damage_can_be_accepted(&damage)) return report(path, &damage);
    if (accept_loss) status = accept(path, &damage);
    if (status == STATUS_DONE && folder_bytes_beside(path, "") > 0) status = check_messages(path, false);
    return status == STATUS_DONE && !accept_loss ? report(path, &damage) : status;
}

static enum status fail_locked(int err, char error[FOLDER_ERROR_BYTES_MAX])
{
    const size_t len = strlen(error);

    if (err == -EBUSY) snprintf(error + len, FOLDER_ERROR_BYTES_MAX - len, "; end that first. Nothing was changed");
    return status_error(COMMAND_CHECK, err, error);
}

static enum status check_found(const char *path)
{
    char error[FOLDER_ERROR_BYTES_MAX] = "";
    enum status status = STATUS_DONE;
    const int lock = folder_lock_to_look(path, error);

    if (lock == -EBUSY) {
        printf("in use    by a server: its log is not looked at\n");
        status = check_messages(path, true);
    } else if (lock < 0 && lock != -ENOENT) {
        status = fail_locked(lock, error);
    } else {
        status = check_unused(path, false);
    }
    folder_unlock(lock);
    return status;
}

/* What changes the store. */
static enum status change(const char *path, const struct options *options)
{
    char error[FOLDER_ERROR_BYTES_MAX] = "";
    enum status status = STATUS_DONE;
    const int lock = folder_lock(path, error);

    if (lock < 0) return fail_locked(lock, error);
    status = options->accept_loss ? check_unused(path, true) : give_id(path);
    folder_unlock(lock);
    return status;
}

enum status check_stored(const struct options *options)
{
    char path[FOLDER_PATH_BYTES_MAX], error[LOCATE_ERROR_BYTES_MAX] = "";
    enum status status = STATUS_DONE, printed = STATUS_DONE;
    int err = locate_store(options->store, path, error);

    if (!err) err = folder_follow(path, error);
    if (err) return status_error(COMMAND_CHECK, err, error);
    if (access(path, F_OK) != 0 && folder_bytes_beside(path, "-wal") == 0) return fail(-errno, path, strerror(errno));
    err = folder_check_file(path, error);
    if (err) return status_error(COMMAND_CHECK, err, error);
    if (options->backup)
        status = back_up(path, options);
    else
        status = options->accept_loss || options->new_id ? change(path, options) : check_found(path);
    printed = status_stdout();
    return status == STATUS_DONE ? printed : status;
}

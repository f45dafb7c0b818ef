/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A copy of a store under a name that it gets last: while it is made it is FILE.part-PID, and who
 * finds FILE finds all of it, read back and compared. Must never write to what is there already, nor leave
 * a part of a copy behind. */
#include "backup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/copy.h"
#include "store/folder.h"
#include "terminal/progress.h"

enum { SENTENCE_BYTES_MAX = 3 * FOLDER_PATH_BYTES_MAX };

struct backup {
    const char *path; /* of the store */
    const char *file;
    char part[FOLDER_PATH_BYTES_MAX];   /* what the file is called while it is made; empty: it is not there */
    char id[READER_STORE_ID_BYTES_MAX]; /* of the copy */
    struct copy_counts counts;
    struct progress progress;
    int64_t begun_ms;
};

static volatile sig_atomic_t is_interrupted;

static void interrupt(int number)
{
    (void)number;
    is_interrupted = 1;
}

static int has_to_stop(void *user)
{
    (void)user;
    return is_interrupted;
}

/* What is there of the copy is removed, so a signal does not end the process. That a file may grow no further is an
 * error like others. */
static void catch_signals(void)
{
    static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        struct sigaction action = { .sa_handler = interrupt, .sa_flags = SA_RESTART };
        struct sigaction before;

        sigaction(numbers[i], NULL, &before);
        if (before.sa_handler != SIG_IGN) sigaction(numbers[i], &action, NULL);
    }
    signal(SIGXFSZ, SIG_IGN);
}

static enum status fail(const struct backup *backup, int err, const char *text)
{
    char sentence[SENTENCE_BYTES_MAX];

    snprintf(sentence, sizeof(sentence), "store %.700s: no copy of it was made at %.700s: %s", backup->path,
             backup->file, err == -EINTR ? "interrupted" : text);
    return status_error(COMMAND_CHECK, -EIO, sentence);
}

/* ---- The file's name ---- */

static const char is_there[] = "it is there already, and stays as it is";

static bool ends_in(const char *name, const char *end)
{
    const size_t len = strlen(name), end_len = strlen(end);

    return len >= end_len && strcmp(name + len - end_len, end) == 0;
}

/* Nothing is made where SQLite, or a server, would take it for a part of another store; nor beside files that would be
 * taken for parts of the copy: a log that is not its own spoils it. Returns NULL, or why not. */
static const char *find_fault(const char *file)
{
    static const char *const logs[] = { "-wal", "-shm", "-journal" };
    char name[FOLDER_PATH_BYTES_MAX + FOLDER_END_BYTES_MAX];
    struct stat status;

    if (!*file || ends_in(file, "/")) return "name a file";
    if (strlen(file) >= FOLDER_PATH_BYTES_MAX) return "its path is too long";
    if (lstat(file, &status) == 0) return S_ISDIR(status.st_mode) ? "this is a folder; name a file in it" : is_there;
    if (folder_is_beside_a_store(file)) return "that would be the name of a file that belongs to a store; name another";
    for (size_t i = 0; i < sizeof(logs) / sizeof(logs[0]); i++) {
        snprintf(name, sizeof(name), "%s%s", file, logs[i]);
        if (lstat(name, &status) == 0)
            return "a -wal, -shm or -journal of that name is there; move it away, or name another";
    }
    return NULL;
}

/* Returns 0 or a code. */
static int make_part(struct backup *backup)
{
    char name[FOLDER_PATH_BYTES_MAX];
    int fd = -1;

    if (snprintf(name, sizeof(name), "%s.part-%ld", backup->file, (long)getpid()) >= (int)sizeof(name))
        return -ENAMETOOLONG;
    fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return -errno;
    memcpy(backup->part, name, sizeof(name));
    folder_give_to_owner(fd, backup->path);
    close(fd);
    return 0;
}

static void remove_part(const struct backup *backup)
{
    if (backup->part[0]) unlink(backup->part);
}

/* Gives the copy its name, unless somebody has taken that meanwhile; not every file system can do so in one go. */
static int place_part(struct backup *backup)
{
    int err = renameat2(AT_FDCWD, backup->part, AT_FDCWD, backup->file, RENAME_NOREPLACE) == 0 ? 0 : -errno;

    if (err == -EINVAL || err == -ENOSYS) {
        err = link(backup->part, backup->file) == 0 ? 0 : -errno;
        if (!err) unlink(backup->part);
    }
    if (err) return err;
    backup->part[0] = '\0';
    err = folder_sync_parent(backup->file);
    if (err == -EINVAL) return 0; /* its file system has no such thing */
    if (err) unlink(backup->file);
    return err;
}

static const char *words_of(int err)
{
    switch (err) {
    case -ENOENT:
        return "its folder is not there; make that first";
    case -EEXIST:
        return is_there;
    default:
        return strerror(-err);
    }
}

/* ---- Copying ---- */

/* The way that progress shows is as long again as the messages: behind them it is that of reading them back. */
static int copy_messages(struct backup *backup, struct copy *copy)
{
    const uint64_t until = copy_counts(copy)->until;
    int more = 1;

    while (more == 1) {
        more = is_interrupted ? -EINTR : copy_go_on(copy);
        backup->counts = *copy_counts(copy);
        if (!backup->progress.last)
            progress_start(&backup->progress, backup->counts.first, 2 * until - backup->counts.first, true);
        progress_at(&backup->progress, backup->counts.last, backup->counts.messages);
    }
    return more;
}

static enum status copy_all(struct backup *backup, struct reader *reader, bool gives_id)
{
    char error[COPY_ERROR_BYTES_MAX] = "";
    struct copy *copy = NULL;
    enum status status = STATUS_DONE;
    int err = copy_begin(reader, backup->part, &copy, error);

    if (err) return fail(backup, err, error);
    err = copy_messages(backup, copy);
    if (!err && gives_id) err = copy_give_id(copy);
    if (err) status = fail(backup, err, copy_text(copy));
    copy_free(copy);
    if (!err && reader_is_replaced(reader)) status = fail(backup, -ESTALE, "another file has taken the store's place");
    return status;
}

/* ---- Reading it back ---- */

static void count_connection(const struct stored_connection *connection, void *user)
{
    (void)connection;
    ++*(uint64_t *)user;
}

static void count_message(struct copy_counts *counts, const struct stored_message *message)
{
    if (counts->messages++ == 0) counts->first = message->id;
    counts->last = message->id;
    if (message->is_damaged && counts->damaged++ == 0) counts->first_damaged = message->id;
}

static int read_back(struct backup *backup, struct reader *copy, struct copy_counts *found)
{
    struct reader_range range = { .until = backup->counts.until };
    struct reader_page page;
    int err = 0;

    while (!err && range.after < range.until) {
        err = reader_read(copy, &range, &page);
        for (size_t i = 0; !err && i < page.count; i++)
            count_message(found, &page.messages[i]);
        progress_at(&backup->progress, backup->counts.until + (found->last - backup->progress.first),
                    backup->counts.messages);
        if (!err && is_interrupted) err = -EINTR;
    }
    if (!err) err = reader_each_connection(copy, count_connection, &found->connections);
    return err ? err : reader_check_structure(copy);
}

static bool are_equal(const struct copy_counts *a, const struct copy_counts *b)
{
    return a->messages == b->messages && a->first == b->first && a->last == b->last && a->damaged == b->damaged &&
           a->first_damaged == b->first_damaged && a->connections == b->connections;
}

static enum status check_copy(struct backup *backup)
{
    char error[READER_ERROR_BYTES_MAX];
    struct copy_counts found = { 0 };
    struct reader *copy = NULL;
    enum status status = STATUS_DONE;
    int err = reader_open(backup->part, &copy, error);

    if (err) return fail(backup, err, error);
    reader_stop_when(copy, has_to_stop, NULL);
    err = read_back(backup, copy, &found);
    if (err)
        status = fail(backup, err, reader_text(copy));
    else if (!are_equal(&found, &backup->counts))
        status = fail(backup, -EIO, "what was written to it does not read back the same; is its disk sound?");
    snprintf(backup->id, sizeof(backup->id), "%s", reader_store_id(copy));
    reader_close(copy);
    return status;
}

/* ---- What is said of it ---- */

static void print_summary(const struct backup *backup)
{
    const struct copy_counts *counts = &backup->counts;
    const time_t seconds = (time_t)(counts->last_time_us / 1000000);
    char time[32];
    struct tm utc;

    strftime(time, sizeof(time), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &utc));
    printf("copied    to %s\n", backup->file);
    printf("messages  %" PRIu64 ", of %" PRIu64 " connection%s\n", counts->messages, counts->connections,
           counts->connections == 1 ? "" : "s");
    if (counts->messages)
        printf("oldest    %" PRIu64 "\nnewest    %" PRIu64 " of %s\n", counts->first, counts->last, time);
    printf("size      %" PRId64 " bytes\n", folder_bytes_beside(backup->file, ""));
    printf("id        %s\n", backup->id);
    printf("took      %.1f s\n", (double)(clock_ms() - backup->begun_ms) / 1000);
}

/* A copy of what is damaged is better than none, and not a good one. */
static enum status say_what_is_wrong(const struct backup *backup)
{
    char sentence[SENTENCE_BYTES_MAX];

    if (backup->counts.damaged == 0) return STATUS_DONE;
    snprintf(sentence, sizeof(sentence),
             "store %.700s: %" PRIu64
             " of its messages %s not what was stored, as %s, and %s so in the copy, too: message "
             "%" PRIu64 "%s",
             backup->path, backup->counts.damaged, backup->counts.damaged == 1 ? "is" : "are",
             backup->counts.damaged == 1 ? "its checksum says" : "their checksums say",
             backup->counts.damaged == 1 ? "is" : "are", backup->counts.first_damaged,
             backup->counts.damaged == 1 ? "" : " is the first");
    return status_error(COMMAND_CHECK, -EIO, sentence);
}

/* ---- In order ---- */

static enum status make(struct backup *backup, struct reader *reader, bool gives_id)
{
    int err = make_part(backup);
    enum status status = err ? fail(backup, err, words_of(err)) : copy_all(backup, reader, gives_id);

    if (status == STATUS_DONE) status = check_copy(backup);
    progress_end(&backup->progress);
    if (status != STATUS_DONE) return status;
    err = is_interrupted ? -EINTR : place_part(backup);
    return err ? fail(backup, err, words_of(err)) : STATUS_DONE;
}

enum status backup_make(const char *path, const char *file, bool gives_id)
{
    struct backup backup = { .path = path, .file = file, .begun_ms = clock_ms() };
    const char *fault = find_fault(file);
    char error[READER_ERROR_BYTES_MAX];
    struct reader *reader = NULL;
    enum status status = STATUS_DONE;

    if (fault) return fail(&backup, -EINVAL, fault);
    if (reader_open(path, &reader, error)) return status_error(COMMAND_CHECK, -EIO, error);
    catch_signals();
    reader_stop_when(reader, has_to_stop, NULL);
    status = make(&backup, reader, gives_id);
    remove_part(&backup);
    reader_close(reader);
    if (status != STATUS_DONE) return status;
    print_summary(&backup);
    return say_what_is_wrong(&backup);
}

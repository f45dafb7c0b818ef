/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Opens the store in the one order that is safe: the folder, the lock, the log's walk, and only then
 * SQLite. After that no file of the store is opened by any other route. */
#include "storage.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "notify.h"
#include "retention_log.h"
#include "store/damage.h"
#include "store/folder.h"
#include "store/wal.h"

struct storage {
    struct log *log;
    struct journal *journal;
    int lock; /* -1: not taken */
    struct retention_log retention_log;
    bool is_failing;    /* the store, as it last said */
    bool acks_unstored; /* some listener acknowledges what is not stored yet */
    char path[FOLDER_PATH_BYTES_MAX];
};

/* Whoever has not asked for a store is told how to do without. */
static int prepare_folder(const struct storage *storage, const struct plan *plan, char error[STORAGE_ERROR_BYTES_MAX])
{
    const bool is_unnamed = plan->store == PLAN_STORE_AUTO;
    int err = is_unnamed ? folder_make(storage->path, error) : 0;
    size_t len = 0;

    if (!err) err = folder_check(storage->path, plan->options->store_on_network, error);
    len = err ? strlen(error) : 0;
    if (err && is_unnamed)
        snprintf(error + len, STORAGE_ERROR_BYTES_MAX - len, "%s, or do without: --store none",
                 err == -EOPNOTSUPP ? "" : "; name another place with --store PATH");
    return err;
}

static int lock(struct storage *storage, char error[STORAGE_ERROR_BYTES_MAX])
{
    size_t len = 0;

    storage->lock = folder_lock(storage->path, error);
    if (storage->lock >= 0) return 0;
    len = strlen(error);
    if (storage->lock == -EBUSY)
        snprintf(error + len, STORAGE_ERROR_BYTES_MAX - len, "; name another with --store PATH");
    return storage->lock;
}

/* A torn end is what a power cut leaves, and nothing that was confirmed is in it. Anything else is damage, and the
 * store stays as it is until somebody has decided. */
static int check_files(const struct storage *storage, char error[STORAGE_ERROR_BYTES_MAX])
{
    char text[DAMAGE_TEXT_BYTES_MAX];
    struct damage damage;
    int err = damage_find(storage->path, &damage);

    if (err) {
        snprintf(error, STORAGE_ERROR_BYTES_MAX, "store %.900s: its files cannot be read: %s", storage->path,
                 strerror(-err));
        return err;
    }
    if (damage.kind == DAMAGE_NONE) {
        err = damage_trim(storage->path, &damage);
        if (err)
            snprintf(error, STORAGE_ERROR_BYTES_MAX, "store %.900s: " DAMAGE_TRIM_FAILED, storage->path,
                     strerror(-err));
        return err;
    }
    damage_describe(&damage, text);
    if (damage_can_be_accepted(&damage))
        snprintf(error, STORAGE_ERROR_BYTES_MAX,
                 "store %.400s: %s. Nothing was changed. To go on without them, and with a copy kept aside: "
                 "weir check --store %.400s --accept-loss",
                 storage->path, text, storage->path);
    else
        snprintf(
            error, STORAGE_ERROR_BYTES_MAX,
            "store %.400s: %s. Nothing was changed. Put a whole copy in its place, or name another store; what can "
            "still be read: sqlite3 -readonly %.400s .dump",
            storage->path, text, storage->path);
    return -EIO;
}

static void on_state(bool is_good, const char *text, void *user)
{
    struct storage *storage = user;

    storage->is_failing = !is_good;
    notify("STATUS=store %s: %s", storage->path, is_good ? "works" : text);
    if (is_good)
        log_say(storage->log, WEIR_LOG_INFO, "store", "store %s: works again; reading goes on", storage->path);
    else
        log_say(storage->log, WEIR_LOG_ERROR, "store",
                "store %s: %s; nothing is read or acknowledged until it works, and it is tried again each second",
                storage->path, text);
}

static void on_notice(const char *text, void *user)
{
    struct storage *storage = user;

    log_say(storage->log, WEIR_LOG_WARNING, "store", "store %s: %s", storage->path, text);
}

static void on_trimmed(const struct trim_news *news, void *user)
{
    struct storage *storage = user;

    retention_log_tell(&storage->retention_log, news);
}

static int decide_retention(struct storage *storage, const struct plan *plan, char error[STORAGE_ERROR_BYTES_MAX])
{
    const int err = retention_log_init(&storage->retention_log, &plan->retention, storage->path, storage->log);

    if (err) snprintf(error, STORAGE_ERROR_BYTES_MAX, "store %.900s: %s", storage->path, strerror(-err));
    return err;
}

static bool acks_unstored(const struct plan *plan)
{
    for (size_t i = 0; i < plan->listener_count; i++)
        if (plan->listeners[i].ack.template && plan->listeners[i].ack.when == ACK_WHEN_RECEIVED) return true;
    return false;
}

/* ---- Waiting for it ---- */

/* What is tried again each second while a server runs is no reason not to start: full disks, somebody else's lock. */
static bool is_passing(int err)
{
    return err == -ENOSPC || err == -EBUSY;
}

static void find_stop_signals(sigset_t *ret)
{
    static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
    struct sigaction action;

    sigemptyset(ret);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (sigaction(numbers[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN) sigaddset(ret, numbers[i]);
}

/* Tries until it opens, or something else is the matter. Returns -ECANCELED when somebody asks the server to stop. */
static int open_when_possible(struct storage *storage, const struct journal_config *config, int err,
                              char error[STORAGE_ERROR_BYTES_MAX])
{
    const struct timespec second = { .tv_sec = 1 };
    sigset_t stops, before;

    find_stop_signals(&stops);
    pthread_sigmask(SIG_BLOCK, &stops, &before);
    log_start(storage->log); /* or nobody would read it before the store is open */
    log_say(storage->log, WEIR_LOG_ERROR, "store",
            "%s; the server starts once the store can be opened, and it is tried again each second", error);
    notify("STATUS=%s", error);
    while (is_passing(err)) {
        if (sigtimedwait(&stops, NULL, &second) > 0) {
            snprintf(error, STORAGE_ERROR_BYTES_MAX, "stopped: the store was never opened, and no client was served");
            err = -ECANCELED;
            break;
        }
        err = journal_new(config, &storage->journal, error);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return err;
}

static int open_journal(struct storage *storage, struct journal_config *config, bool is_new,
                        char error[STORAGE_ERROR_BYTES_MAX])
{
    int err = 0;

    config->limits = storage->retention_log.limits;
    err = journal_new(config, &storage->journal, error);
    return is_passing(err) && !is_new ? open_when_possible(storage, config, err, error) : err;
}

int storage_open(const struct plan *plan, const struct weir_listener *first, struct log *log, struct storage **ret,
                 char error[STORAGE_ERROR_BYTES_MAX])
{
    const struct budget *budget = &plan->budget;
    struct storage *storage = NULL;
    char address[WEIR_ADDRESS_BYTES_MAX];
    struct journal_config config = { .workers = plan->workers,
                                     .queue_bytes_max = budget->store_queue,
                                     .cache_bytes = budget->store_cache,
                                     .batch_bytes_max = budget->batch,
                                     .answer_bytes = budget->answers,
                                     .on_state = on_state,
                                     .on_notice = on_notice,
                                     .on_trimmed = on_trimmed };
    bool is_new = false;
    int err = 0;

    *ret = NULL;
    if (plan->store == PLAN_STORE_NONE) return 0;
    storage = calloc(1, sizeof(*storage));
    if (!storage) {
        snprintf(error, STORAGE_ERROR_BYTES_MAX, "%s", strerror(ENOMEM));
        return -ENOMEM;
    }
    *storage = (struct storage){ .log = log, .lock = -1, .acks_unstored = acks_unstored(plan) };
    config.path = storage->path;
    config.user = storage;
    weir_listener_address(first, 0, address);
    err = plan_find_store(plan, address, storage->path, error);
    if (!err) err = folder_follow(storage->path, error);
    if (!err) err = prepare_folder(storage, plan, error);
    if (!err) err = folder_check_file(storage->path, error);
    if (!err) err = lock(storage, error);
    if (!err) err = check_files(storage, error);
    is_new = !err && folder_bytes_beside(storage->path, "") == 0;
    if (!err) err = folder_make_file(storage->path, error);
    if (!err) err = decide_retention(storage, plan, error);
    if (!err) err = open_journal(storage, &config, is_new, error);
    if (err) {
        storage_close(storage);
        return err;
    }
    *ret = storage;
    return 0;
}

struct journal *storage_journal(struct storage *storage)
{
    return storage ? storage->journal : NULL;
}

void storage_announce(struct storage *storage)
{
    char bounds[RETENTION_LOG_TEXT_BYTES_MAX];

    retention_log_describe(&storage->retention_log, bounds);
    log_say(storage->log, WEIR_LOG_INFO, "store", "messages are stored in %s", storage->path);
    log_say(storage->log, WEIR_LOG_INFO, "store", "%s", bounds);
}

/* Of what was not stored. */
static const char *who_was_acknowledged(const struct storage *storage)
{
    return storage->acks_unstored ? "messages among them may have been acknowledged, with --ack-when received"
                                  : "none was acknowledged";
}

int storage_stop(struct storage *storage, int64_t deadline_ms)
{
    uint64_t left = 0;
    const int err = journal_stop(storage->journal, deadline_ms, &left);

    if (err) {
        log_say(storage->log, WEIR_LOG_ERROR, "store",
                "store %s: the disk has not taken what was left within --drain-timeout; records may not be stored, and "
                "of these %s",
                storage->path, who_was_acknowledged(storage));
        return err;
    }
    retention_log_sum_up(&storage->retention_log);
    if (!left) return storage->is_failing ? -EIO : 0; /* why was said when it began */
    log_say(storage->log, WEIR_LOG_ERROR, "store", "store %s: %llu record%s could not be stored; %s", storage->path,
            (unsigned long long)left, left == 1 ? "" : "s", who_was_acknowledged(storage));
    return -EIO;
}

void storage_close(struct storage *storage)
{
    if (!storage) return;
    journal_free(storage->journal);
    folder_unlock(storage->lock);
    free(storage);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app/keep.c: opens the store in the one order that is safe: the folder, the lock, the log's walk, and only then
 * SQLite. After that no file of the store is opened by any other route. */
#include "keep.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "journal/damage.h"
#include "journal/folder.h"
#include "journal/wal.h"
#include "notify.h"
#include "retention.h"

/* A row of SQLite's has 1,000,000,000 bytes at most (https://www.sqlite.org/limits.html), the message's and a few more.
 */
enum { MESSAGE_BYTES_MAX = 999 * 1000 * 1000 };

struct keep {
    struct log *log;
    struct journal *journal;
    int lock; /* -1: not taken */
    struct retention retention;
    bool acks_unstored; /* some listener acknowledges what is not stored yet */
    char path[FOLDER_PATH_BYTES_MAX];
};

bool keep_is_wanted(const struct options *options)
{
    return !options->store || strcmp(options->store, "none") != 0;
}

/* Whether the store is where it lies by itself. */
static bool is_unnamed(const struct options *options)
{
    return !options->store || strcmp(options->store, "auto") == 0;
}

/* "8000.db" for tcp://127.0.0.1:8000, "device.sock.db" for unix:/run/device.sock. */
static void name_after(const char *address, char *ret, size_t size)
{
    struct weir_url url = { .kind = 0 };
    const char *slash = NULL;

    weir_url_parse(address, &url, NULL, 0);
    slash = strrchr(url.path, '/');
    if (url.kind == WEIR_URL_UNIX)
        snprintf(ret, size, "%s.db", slash ? slash + 1 : url.path);
    else if (url.kind == WEIR_URL_FD || url.port == 0)
        snprintf(ret, size, "PORT.db");
    else
        snprintf(ret, size, "%u.db", url.port);
}

int keep_find_path(const struct options *options, const char *address, char ret[FOLDER_PATH_BYTES_MAX],
                   char error[KEEP_ERROR_BYTES_MAX])
{
    char name[WEIR_ADDRESS_BYTES_MAX];

    if (is_unnamed(options)) {
        name_after(address, name, sizeof(name));
        return folder_default(name, ret, error);
    }
    if (snprintf(ret, FOLDER_PATH_BYTES_MAX, "%s", options->store) < FOLDER_PATH_BYTES_MAX) return 0;
    snprintf(error, KEEP_ERROR_BYTES_MAX, "--store: the path is too long");
    return -ENAMETOOLONG;
}

int keep_check(const struct options *options, const struct endpoint_options *endpoint, char *error, size_t error_size)
{
    if (!keep_is_wanted(options) || endpoint->service.message_bytes_max <= MESSAGE_BYTES_MAX) return 0;
    snprintf(error, error_size,
             "--max-frame %lld: a message of more than %d bytes cannot be stored; allow fewer, or store nothing: "
             "--store none",
             (long long)endpoint->service.message_bytes_max, MESSAGE_BYTES_MAX);
    return -EINVAL;
}

/* Whoever has not asked for a store is told how to do without. */
static int prepare_folder(const struct keep *keep, const struct options *options, char error[KEEP_ERROR_BYTES_MAX])
{
    const int err = folder_prepare(keep->path, options->store_on_network, error);
    const size_t len = strlen(error);

    if (err && is_unnamed(options))
        snprintf(error + len, KEEP_ERROR_BYTES_MAX - len, "%s, or do without: --store none",
                 err == -EOPNOTSUPP ? "" : "; name another place with --store PATH");
    return err;
}

static int lock(struct keep *keep, char error[KEEP_ERROR_BYTES_MAX])
{
    size_t len = 0;

    keep->lock = folder_lock(keep->path, error);
    if (keep->lock >= 0) return 0;
    len = strlen(error);
    if (keep->lock == -EBUSY) snprintf(error + len, KEEP_ERROR_BYTES_MAX - len, "; name another with --store PATH");
    return keep->lock;
}

/* A torn end is what a power cut leaves, and nothing that was confirmed is in it. Anything else is damage, and the
 * store stays as it is until somebody has decided. */
static int check_files(const struct keep *keep, char error[KEEP_ERROR_BYTES_MAX])
{
    char text[DAMAGE_TEXT_BYTES_MAX];
    struct damage damage;
    int err = damage_find(keep->path, &damage);

    if (!err && damage.kind == DAMAGE_NONE) err = damage_trim(keep->path, &damage);
    if (err) {
        snprintf(error, KEEP_ERROR_BYTES_MAX, "store %.900s: %s", keep->path, strerror(-err));
        return err;
    }
    if (damage.kind == DAMAGE_NONE) return 0;
    damage_describe(&damage, text);
    snprintf(error, KEEP_ERROR_BYTES_MAX,
             "store %.400s: %s. Nothing was changed. To go on without them, and with a copy kept aside: "
             "weir check --store %.400s --accept-loss",
             keep->path, text, keep->path);
    return -EIO;
}

static void on_state(bool is_good, const char *text, void *user)
{
    struct keep *const keep = user;

    notify("STATUS=store %s: %s", keep->path, is_good ? "works" : text);
    if (is_good)
        log_say(keep->log, WEIR_LOG_INFO, "store", "store %s: works again; reading goes on", keep->path);
    else
        log_say(keep->log, WEIR_LOG_ERROR, "store",
                "store %s: %s; nothing is read or acknowledged until it works, and it is tried again each second",
                keep->path, text);
}

static void on_notice(const char *text, void *user)
{
    struct keep *const keep = user;

    log_say(keep->log, WEIR_LOG_WARNING, "store", "store %s: %s", keep->path, text);
}

static void on_trimmed(const struct trim_news *news, void *user)
{
    struct keep *const keep = user;

    retention_tell(&keep->retention, news);
}

static int decide_retention(struct keep *keep, const struct options *options, char error[KEEP_ERROR_BYTES_MAX])
{
    const int err = retention_init(&keep->retention, options, keep->path, keep->log);

    if (err) snprintf(error, KEEP_ERROR_BYTES_MAX, "store %.900s: %s", keep->path, strerror(-err));
    return err;
}

static bool acks_unstored(const struct options *options)
{
    const size_t count = options->endpoint_count ? options->endpoint_count : 1;
    const struct endpoint_options *const endpoints = options->endpoint_count ? options->endpoints : &options->common;

    for (size_t i = 0; i < count; i++)
        if (endpoints[i].ack && endpoints[i].ack_when == ACK_WHEN_RECEIVED) return true;
    return false;
}

int keep_open(const struct options *options, const struct weir_listener *first, unsigned workers, struct log *log,
              struct keep **ret, char error[KEEP_ERROR_BYTES_MAX])
{
    struct keep *keep = NULL;
    char address[WEIR_ADDRESS_BYTES_MAX];
    struct journal_config config = { .workers = workers,
                                     .queue_bytes_max = (size_t)options->store_queue_bytes_max,
                                     .on_state = on_state,
                                     .on_notice = on_notice,
                                     .on_trimmed = on_trimmed };
    int err = 0;

    *ret = NULL;
    if (!keep_is_wanted(options)) return 0;
    keep = calloc(1, sizeof(*keep));
    if (!keep) {
        snprintf(error, KEEP_ERROR_BYTES_MAX, "%s", strerror(ENOMEM));
        return -ENOMEM;
    }
    *keep = (struct keep){ .log = log, .lock = -1, .acks_unstored = acks_unstored(options) };
    config.path = keep->path;
    config.user = keep;
    weir_listener_address(first, 0, address);
    err = keep_find_path(options, address, keep->path, error);
    if (!err) err = folder_follow(keep->path, error);
    if (!err) err = prepare_folder(keep, options, error);
    if (!err) err = folder_check_file(keep->path, error);
    if (!err) err = lock(keep, error);
    if (!err) err = check_files(keep, error);
    if (!err) err = folder_make_file(keep->path, error);
    if (!err) err = decide_retention(keep, options, error);
    config.limits = keep->retention.limits;
    if (!err) err = journal_new(&config, &keep->journal, error);
    if (err) {
        keep_close(keep);
        return err;
    }
    *ret = keep;
    return 0;
}

struct journal *keep_journal(struct keep *keep)
{
    return keep ? keep->journal : NULL;
}

void keep_announce(struct keep *keep)
{
    char bounds[RETENTION_TEXT_BYTES_MAX];

    retention_describe(&keep->retention, bounds);
    log_say(keep->log, WEIR_LOG_INFO, "store", "messages are stored in %s", keep->path);
    log_say(keep->log, WEIR_LOG_INFO, "store", "%s", bounds);
}

bool keep_stop(struct keep *keep)
{
    const uint64_t left = journal_stop(keep->journal);

    retention_sum_up(&keep->retention);
    if (!left) return true;
    log_say(keep->log, WEIR_LOG_ERROR, "store", "store %s: %llu record%s could not be stored; %s", keep->path,
            (unsigned long long)left, left == 1 ? "" : "s",
            keep->acks_unstored ? "messages among them may have been acknowledged, with --ack-when received"
                                : "none was acknowledged");
    return false;
}

void keep_close(struct keep *keep)
{
    if (!keep) return;
    journal_free(keep->journal);
    folder_unlock(keep->lock);
    free(keep);
}

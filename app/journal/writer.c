/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app/journal/writer.c: takes all that waits, stores it in transactions of a bounded size, and says so. While one
 * transaction is synced the next one gathers, so the more comes, the more share a sync: what somebody waits for never
 * waits for company. The rest does, for 25 ms or until a transaction is full.
 * Must never hold its lock while it uses the store, and never call a batch stored that may not be. */
#include "writer.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "journal/damage.h"
#include "journal/holder.h"
#include "journal/place.h"

enum {
    TRANSACTION_RECORDS_MAX = 32768,
    GATHER_MS = 25,
    HEADS_EVERY_MS = 1000,
    RETRY_MS = 1000,
    LOOK_MS = 500,                /* between two looks at the files' names, when no commit looks */
    LOG_BYTES_IDLE = 1024 * 1024, /* a log as long as this is moved when nothing waits */
    LOG_BYTES_NAMED = 256 * 1024 * 1024
};

struct writer {
    struct writer_config config;
    struct store *store; /* NULL: it failed, and has to be opened */
    struct place place;  /* of its files, when it was opened */
    struct trim trim;    /* what deletes, within its limits */
    pthread_t thread;
    bool is_running;

    pthread_mutex_t lock;
    pthread_cond_t wakes;
    struct batch *first, **last; /* put and not taken; locked, as are the next three */
    size_t put_bytes;            /* of them */
    bool is_awaited;             /* one of them is */
    bool is_stopping;

    /* The thread's own. */
    struct batch *taken, **taken_last;
    TAILQ_HEAD(head_list, head) stale; /* the store has an older word of them */
    int64_t heads_written_ms;
    int64_t tidied_ms;
    int64_t looked_ms;
    int64_t log_bytes_named; /* of a log that somebody holds: he is named at this length */
    bool is_in_trouble;
    char text[STORE_ERROR_BYTES_MAX];
};

/* ---- What waits ---- */

static void wait_until(struct writer *writer, int64_t deadline_ms)
{
    const struct timespec time = { .tv_sec = deadline_ms / 1000, .tv_nsec = deadline_ms % 1000 * 1000000 };

    pthread_cond_timedwait(&writer->wakes, &writer->lock, &time);
}

/* Also when all connections have closed, whose heads were written with that: how far they are is not. */
static bool has_old_heads(const struct writer *writer)
{
    return !TAILQ_EMPTY(&writer->stale) || (writer->store && store_heads_are_behind(writer->store));
}

/* When there is something to do though nothing comes: in trouble another try, without which what has stopped coming
 * would never come again; else a look at what others do to the store. */
static int64_t next_tidy_ms(const struct writer *writer)
{
    const int64_t trim_ms = trim_next_ms(&writer->trim);
    const int64_t heads_ms = has_old_heads(writer) ? writer->heads_written_ms + HEADS_EVERY_MS : INT64_MAX;
    int64_t next_ms = writer->looked_ms + LOOK_MS;

    if (writer->is_in_trouble) return writer->tidied_ms + writer->config.retry_ms;
    if (trim_ms < next_ms) next_ms = trim_ms;
    return heads_ms < next_ms ? heads_ms : next_ms;
}

/* Under the lock. */
static bool is_worth_a_commit(const struct writer *writer)
{
    return writer->is_awaited || writer->put_bytes >= (size_t)writer->trim.config.limits.transaction_bytes_max;
}

/* Under the lock, which is given up meanwhile. */
static void gather(struct writer *writer)
{
    const int64_t due_ms = clock_ms() + writer->config.gather_ms;

    while (!is_worth_a_commit(writer) && !writer->is_stopping && clock_ms() < due_ms)
        wait_until(writer, due_ms);
}

/* Takes all that was put, behind what was taken before. Waits for it, but not longer than until tidy is due. Returns
 * whether to go on: no, once all is done and we are to stop. */
static bool take(struct writer *writer)
{
    const int64_t due_ms = next_tidy_ms(writer);
    bool goes_on = true;

    pthread_mutex_lock(&writer->lock);
    while (!writer->first && !writer->taken && !writer->is_stopping) {
        wait_until(writer, due_ms);
        if (clock_ms() >= due_ms) break;
    }
    if (writer->first && !writer->taken) gather(writer);
    if (writer->first) {
        *writer->taken_last = writer->first;
        writer->taken_last = writer->last;
        writer->first = NULL;
        writer->last = &writer->first;
        writer->put_bytes = 0;
        writer->is_awaited = false;
    }
    goes_on = writer->taken || !writer->is_stopping;
    pthread_mutex_unlock(&writer->lock);
    return goes_on;
}

static bool is_anything_put(struct writer *writer)
{
    bool is = false;

    pthread_mutex_lock(&writer->lock);
    is = writer->first != NULL;
    pthread_mutex_unlock(&writer->lock);
    return is;
}

void writer_put(struct writer *writer, struct batch *batch)
{
    bool was_empty = false, was_worth_it = false, is_worth_it = false;

    batch->next = NULL;
    pthread_mutex_lock(&writer->lock);
    was_empty = !writer->first;
    was_worth_it = is_worth_a_commit(writer);
    *writer->last = batch;
    writer->last = &batch->next;
    writer->put_bytes += batch->len;
    writer->is_awaited |= batch->is_awaited;
    is_worth_it = is_worth_a_commit(writer);
    pthread_mutex_unlock(&writer->lock);
    if (was_empty || is_worth_it != was_worth_it) pthread_cond_signal(&writer->wakes);
}

/* ---- Trouble ---- */

static void begin_trouble(struct writer *writer, const char *text)
{
    if (writer->is_in_trouble && strcmp(writer->text, text) == 0) return;
    writer->is_in_trouble = true;
    snprintf(writer->text, sizeof(writer->text), "%s", text);
    writer->config.on_trouble(writer->text, writer->config.user);
}

static void end_trouble(struct writer *writer)
{
    if (!writer->is_in_trouble) return;
    writer->is_in_trouble = false;
    writer->config.on_trouble(NULL, writer->config.user);
}

/* Waits a second before the next try. Returns whether there is to be one: not when we are to stop. */
static bool wait_for_retry(struct writer *writer)
{
    const int64_t deadline_ms = clock_ms() + writer->config.retry_ms;
    bool goes_on = false;

    pthread_mutex_lock(&writer->lock);
    while (!writer->is_stopping && clock_ms() < deadline_ms)
        wait_until(writer, deadline_ms);
    goes_on = !writer->is_stopping;
    pthread_mutex_unlock(&writer->lock);
    return goes_on;
}

static void begin_trouble_of_place(struct writer *writer, enum place_file file)
{
    static const char *const names[PLACE_FILES] = {
        [PLACE_DATABASE] = "file",
        [PLACE_LOG] = "log (-wal)",
        [PLACE_INDEX] = "index (-shm)",
    };
    char text[STORE_ERROR_BYTES_MAX], advice[STORE_ERROR_BYTES_MAX / 2] = "";

    if (file == PLACE_DATABASE)
        snprintf(advice, sizeof(advice),
                 "; put the same file back, or copy what is needed out of /proc/%ld/fd and start the server anew",
                 (long)getpid());
    snprintf(text, sizeof(text), "its %s has been deleted, moved away or replaced by another while it was in use%s",
             names[file], advice);
    begin_trouble(writer, text);
}

/* Whether all files are in place. Behind a commit and before its acknowledgements: what is stored in a file without a
 * name is not stored. */
static bool look(struct writer *writer)
{
    const enum place_file lost = place_find_lost(&writer->place);

    writer->looked_ms = clock_ms();
    if (lost == PLACE_FILES) return true;
    begin_trouble_of_place(writer, lost);
    return false;
}

/* Closes the store, if what will be opened in its stead is the same one. Without its file it stays open: that is the
 * only way that is left to what is in it. A log that has lost its name is emptied into the database first. */
static bool let_go(struct writer *writer)
{
    if (place_is_lost(&writer->place, PLACE_DATABASE)) {
        begin_trouble_of_place(writer, PLACE_DATABASE);
        return false;
    }
    if (writer->store && place_is_lost(&writer->place, PLACE_LOG)) {
        if (store_empty_log(writer->store) != STORE_STORED || !place_is_free(&writer->place, PLACE_LOG)) {
            begin_trouble_of_place(writer, PLACE_LOG);
            return false;
        }
        store_abandon(writer->store);
    } else {
        store_close(writer->store);
    }
    writer->store = NULL;
    return true;
}

static int open_store(struct writer *writer, char error[STORE_ERROR_BYTES_MAX])
{
    int err = store_open(writer->config.path, &writer->store, error);

    if (err) return err;
    err = place_note(&writer->place, writer->config.path);
    writer->looked_ms = clock_ms();
    store_set_log_bytes_max(writer->store, writer->trim.config.limits.log_bytes_max);
    if (!err) return 0;
    snprintf(error, STORE_ERROR_BYTES_MAX, "store %.400s: one of its files is gone: %s", writer->config.path,
             strerror(-err));
    store_abandon(writer->store);
    writer->store = NULL;
    return err;
}

/* A sentence of store_open's, for whoever says himself which store it is. */
static const char *without_name(const struct writer *writer, const char *error)
{
    char name[STORE_ERROR_BYTES_MAX];
    const int len = snprintf(name, sizeof(name), "store %s: ", writer->config.path);

    return len < (int)sizeof(name) && strncmp(error, name, (size_t)len) == 0 ? error + len : error;
}

/* A log that could not be emptied when the store was closed is read anew, and up to its first bad frame: as at the
 * start of the server. */
static bool is_whole(struct writer *writer)
{
    char text[STORE_ERROR_BYTES_MAX], what[DAMAGE_TEXT_BYTES_MAX];
    struct damage damage;
    int err = damage_find(writer->config.path, &damage);

    if (!err && damage.kind == DAMAGE_NONE) err = damage_trim(writer->config.path, &damage);
    if (!err && damage.kind == DAMAGE_NONE) return true;
    if (err)
        snprintf(what, sizeof(what), "its log cannot be read: %s", strerror(-err));
    else
        damage_describe(&damage, what);
    snprintf(text, sizeof(text), "%s; weir check says more once this server has ended", what);
    begin_trouble(writer, text);
    return false;
}

/* What came of the last transaction cannot be told, so all that SQLite remembers goes, and the file is asked. Moving
 * the log to the database then writes and syncs again what a failed sync may have left in memory only: what is read
 * after that is on disk. */
static bool reopen(struct writer *writer)
{
    char error[STORE_ERROR_BYTES_MAX];
    int64_t left = 0;

    if (!let_go(writer) || !is_whole(writer)) return false;
    if (open_store(writer, error)) {
        begin_trouble(writer, without_name(writer, error));
        return false;
    }
    if (store_checkpoint(writer->store, &left) == STORE_STORED && left == 0) return true;
    begin_trouble(writer,
                  left ? "its log cannot be moved to the database: something reads it" : store_text(writer->store));
    store_close(writer->store);
    writer->store = NULL;
    return false;
}

/* ---- Storing ---- */

/* Up to the bounds of a transaction, but one batch at least. *ret_end: the first that is not in it. */
static enum store_outcome add_batches(struct writer *writer, struct batch **ret_end)
{
    enum store_outcome outcome = store_begin(writer->store);
    struct batch *batch = writer->taken;
    size_t records = 0, bytes = 0;

    while (batch && outcome == STORE_STORED && records < TRANSACTION_RECORDS_MAX &&
           bytes < (size_t)writer->trim.config.limits.transaction_bytes_max) {
        outcome = store_add(writer->store, batch);
        records += batch->count;
        bytes += batch->len;
        batch = batch->next;
    }
    *ret_end = batch;
    return outcome;
}

/* A transaction that did not come about has moved heads all the same: each goes back to where its first record found
 * it. */
static void restore_heads(struct writer *writer, const struct batch *end)
{
    for (struct batch *batch = writer->taken; batch != end; batch = batch->next) {
        for (struct record *record = batch_next_message(batch, NULL); record;
             record = batch_next_message(batch, record)) {
            if (record->id && record->previous < record->head->last_message)
                record->head->last_message = record->previous;
            record->id = 0;
        }
    }
}

/* A closed connection's head was written with its close, and goes with the batch. */
static void note_heads(struct writer *writer, struct batch *batch)
{
    for (struct record *record = batch_next(batch, NULL); record; record = batch_next(batch, record)) {
        struct head *const head = record->head;

        if (record->kind == RECORD_CLOSE) {
            if (head->is_stale) TAILQ_REMOVE(&writer->stale, head, stale);
            head->is_stale = false;
        } else if (!head->is_stale && record->kind != RECORD_OPEN) {
            TAILQ_INSERT_TAIL(&writer->stale, head, stale);
            head->is_stale = true;
        }
    }
}

static void hand_back(struct writer *writer, const struct batch *end)
{
    while (writer->taken != end) {
        struct batch *const batch = writer->taken;

        writer->taken = batch->next;
        note_heads(writer, batch);
        trim_note_stored(&writer->trim, batch->count, (int64_t)batch->len);
        writer->config.on_stored(batch, writer->config.user);
    }
    if (!writer->taken) writer->taken_last = &writer->taken;
}

/* The last message of a transaction that may have been stored; NULL: it had none. */
static const struct record *last_message(struct writer *writer, const struct batch *end)
{
    const struct record *last = NULL;

    for (struct batch *batch = writer->taken; batch != end; batch = batch->next)
        for (const struct record *record = batch_next_message(batch, NULL); record;
             record = batch_next_message(batch, record))
            last = record;
    return last;
}

/* Returns whether the transaction is stored after all. A transaction is stored whole or not at all, so its last message
 * stands for it; one without messages is tried again. */
static bool ask_again(struct writer *writer, const struct batch *end)
{
    const struct record *const last = last_message(writer, end);

    return last && last->id && store_has(writer->store, last);
}

/* What a commit should not have to wait for has failed: the next commit would fail at it. */
static void note_tidied(struct writer *writer, enum store_outcome outcome)
{
    if (outcome == STORE_STORED) return;
    begin_trouble(writer, store_text(writer->store));
    if (outcome == STORE_UNKNOWN) reopen(writer);
}

static enum store_outcome move_log(struct writer *writer, int64_t length)
{
    if (store_log_bytes(writer->store) < length) return STORE_STORED;
    return trim_move_log(&writer->trim, writer->store);
}

/* A step of deletion between two looks at the log's bound, since that grows by it. A log that is stuck is the step's to
 * mend. */
static enum store_outcome trim(struct writer *writer, bool is_waited_for, bool *ret_goes_on)
{
    const int64_t log_bytes_max = writer->trim.config.limits.log_bytes_max;
    enum store_outcome outcome = move_log(writer, log_bytes_max);

    *ret_goes_on = false;
    if (outcome == STORE_STORED || writer->trim.is_log_stuck)
        outcome = trim_step(&writer->trim, writer->store, is_waited_for, ret_goes_on);
    return outcome == STORE_STORED ? move_log(writer, log_bytes_max) : outcome;
}

/* After each transaction, since a queue that is never empty must not put it off. */
static void keep_bounds(struct writer *writer)
{
    bool goes_on = false;

    note_tidied(writer, trim(writer, true, &goes_on));
}

/* Whether there may be room for a transaction that was refused, now that something has been deleted. */
static bool make_room(struct writer *writer)
{
    bool is_worth_a_try = false;
    enum store_outcome outcome = STORE_STORED;

    outcome = trim_make_room(&writer->trim, writer->store, &is_worth_a_try);
    if (outcome == STORE_UNKNOWN) note_tidied(writer, outcome);
    return is_worth_a_try;
}

/* Stores some of what was taken. Returns whether it is to be tried again at once, or had to be given up. */
static bool store_some(struct writer *writer)
{
    struct batch *end = NULL;
    enum store_outcome outcome = STORE_REFUSED;

    if (!writer->store && !reopen(writer)) return wait_for_retry(writer);
    if (writer->trim.is_log_stuck && !make_room(writer)) {
        if (writer->store) begin_trouble(writer, store_text(writer->store));
        return wait_for_retry(writer);
    }
    outcome = add_batches(writer, &end);
    if (outcome == STORE_STORED) outcome = store_commit(writer->store);
    if (outcome == STORE_REFUSED && store_is_full(writer->store) && make_room(writer)) {
        restore_heads(writer, end);
        return true;
    }
    if (outcome != STORE_STORED && writer->store)
        begin_trouble(writer, store_text(writer->store));
    else if (outcome == STORE_STORED && !look(writer))
        outcome = STORE_UNKNOWN;
    while (outcome == STORE_UNKNOWN && !reopen(writer))
        if (!wait_for_retry(writer)) return false;
    if (outcome == STORE_STORED || (outcome == STORE_UNKNOWN && ask_again(writer, end))) {
        end_trouble(writer);
        hand_back(writer, end);
        keep_bounds(writer);
        return true;
    }
    restore_heads(writer, end);
    return wait_for_retry(writer);
}

static enum store_outcome write_heads(struct writer *writer)
{
    enum store_outcome outcome = store_begin(writer->store);
    struct head *head = TAILQ_FIRST(&writer->stale);

    writer->heads_written_ms = clock_ms();
    for (; head && outcome == STORE_STORED; head = TAILQ_NEXT(head, stale))
        outcome = store_set_head(writer->store, head);
    if (outcome == STORE_STORED) outcome = store_set_heads_until(writer->store);
    if (outcome == STORE_STORED) outcome = store_commit(writer->store);
    if (outcome != STORE_STORED) return outcome; /* opening the store makes it good, and so does the next try */
    while ((head = TAILQ_FIRST(&writer->stale))) {
        TAILQ_REMOVE(&writer->stale, head, stale);
        head->is_stale = false;
    }
    return outcome;
}

static enum store_outcome trim_at_leisure(struct writer *writer)
{
    enum store_outcome outcome = STORE_STORED;
    bool goes_on = true;

    while (goes_on && outcome == STORE_STORED && !is_anything_put(writer))
        outcome = trim(writer, false, &goes_on);
    return outcome;
}

static enum store_outcome tidy_store(struct writer *writer)
{
    const bool are_heads_due = has_old_heads(writer) && clock_ms() >= writer->heads_written_ms + HEADS_EVERY_MS;
    const int64_t log_bytes_max = writer->trim.config.limits.log_bytes_max;
    const int64_t log_bytes_idle = log_bytes_max < LOG_BYTES_IDLE ? log_bytes_max : LOG_BYTES_IDLE;
    enum store_outcome outcome = are_heads_due ? write_heads(writer) : STORE_STORED;

    /* Reading stops for it, so no message will come whose transaction makes room. */
    if (outcome == STORE_REFUSED && store_is_full(writer->store) && make_room(writer)) outcome = write_heads(writer);
    if (outcome == STORE_STORED) outcome = trim_at_leisure(writer);
    if (outcome != STORE_STORED) return outcome;
    return move_log(writer, is_anything_put(writer) ? log_bytes_max : log_bytes_idle);
}

/* A reader that stays in its transaction costs disk, for as long as it stays; said again at twice the length. */
static void name_who_holds_log(struct writer *writer)
{
    const int64_t len = store_log_bytes(writer->store);
    char name[128], text[STORE_ERROR_BYTES_MAX];

    if (len < writer->config.log_bytes_named) writer->log_bytes_named = writer->config.log_bytes_named;
    if (len < writer->log_bytes_named) return;
    writer->log_bytes_named *= 2;
    holder_describe(holder_find(writer->place.files[PLACE_INDEX].device, writer->place.files[PLACE_INDEX].inode), name,
                    sizeof(name));
    snprintf(text, sizeof(text),
             "its log has grown to %lld MiB: %s reads it, and it cannot begin anew before that ends",
             (long long)(len / (1024 * 1024)), name);
    writer->config.on_notice(text, writer->config.user);
}

static void tidy(struct writer *writer)
{
    enum store_outcome outcome = STORE_STORED;

    writer->tidied_ms = clock_ms();
    if (!writer->store && !reopen(writer)) return;
    if (clock_ms() >= writer->looked_ms + LOOK_MS) {
        if (!look(writer) && !reopen(writer)) return;
        outcome = store_check_foreign_writer(writer->store);
    }
    if (outcome == STORE_STORED) outcome = tidy_store(writer);
    if (!writer->store) return; /* it has to be opened */
    if (outcome == STORE_STORED) name_who_holds_log(writer);
    if (outcome == STORE_STORED) end_trouble(writer);
    note_tidied(writer, outcome);
}

static void *run(void *user)
{
    struct writer *const writer = user;

    pthread_setname_np(pthread_self(), "weir-store");
    while (take(writer)) {
        bool goes_on = true;

        while (writer->taken && goes_on)
            goes_on = store_some(writer);
        if (!goes_on) return NULL;
        tidy(writer);
    }
    if (writer->store && look(writer) && !TAILQ_EMPTY(&writer->stale)) write_heads(writer);
    return NULL;
}

/* ---- From start to end ---- */

static int init_locks(struct writer *writer)
{
    pthread_condattr_t attributes;
    int err = pthread_condattr_init(&attributes);

    if (err) return -err;
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    err = pthread_cond_init(&writer->wakes, &attributes);
    pthread_condattr_destroy(&attributes);
    if (!err) err = pthread_mutex_init(&writer->lock, NULL);
    return -err;
}

int writer_new(const struct writer_config *config, struct writer **ret, char error[STORE_ERROR_BYTES_MAX])
{
    const struct trim_config trim = {
        .path = config->path, .limits = config->limits, .on_trimmed = config->on_trimmed, .user = config->user
    };
    struct writer *const writer = calloc(1, sizeof(*writer));
    int err = writer ? init_locks(writer) : -ENOMEM;

    if (err) {
        free(writer);
        snprintf(error, STORE_ERROR_BYTES_MAX, "%s", strerror(-err));
        return err;
    }
    writer->config = *config;
    if (!config->retry_ms) writer->config.retry_ms = RETRY_MS;
    if (!config->gather_ms) writer->config.gather_ms = GATHER_MS;
    if (!config->log_bytes_named) writer->config.log_bytes_named = LOG_BYTES_NAMED;
    writer->last = &writer->first;
    writer->taken_last = &writer->taken;
    TAILQ_INIT(&writer->stale);
    trim_init(&writer->trim, &trim);
    err = open_store(writer, error);
    if (err) {
        writer_free(writer);
        return err;
    }
    trim_begin(&writer->trim);
    writer->trim.config.first_connection = store_next_connection(writer->store);
    *ret = writer;
    return 0;
}

uint64_t writer_next_connection(const struct writer *writer)
{
    return store_next_connection(writer->store);
}

int writer_start(struct writer *writer)
{
    const int err = pthread_create(&writer->thread, NULL, run, writer);

    writer->is_running = err == 0;
    return -err;
}

static uint64_t count_left(struct batch *batch)
{
    uint64_t count = 0;

    for (; batch; batch = batch->next)
        count += batch->count;
    return count;
}

/* The end of a store that is not in its place. */
static void leave(struct writer *writer)
{
    if (!place_is_lost(&writer->place, PLACE_DATABASE)) store_empty_log(writer->store);
    store_abandon(writer->store);
    writer->store = NULL;
}

uint64_t writer_stop(struct writer *writer)
{
    int64_t left = 0;

    if (writer->is_running) {
        pthread_mutex_lock(&writer->lock);
        writer->is_stopping = true;
        pthread_mutex_unlock(&writer->lock);
        pthread_cond_signal(&writer->wakes);
        pthread_join(writer->thread, NULL);
        writer->is_running = false;
    }
    if (writer->store && place_find_lost(&writer->place) != PLACE_FILES) leave(writer);
    if (writer->store && !TAILQ_EMPTY(&writer->stale)) write_heads(writer); /* of those whose end is not stored */
    if (writer->store && TAILQ_EMPTY(&writer->stale) && store_seal(writer->store) == STORE_STORED)
        store_checkpoint(writer->store, &left);
    store_close(writer->store);
    writer->store = NULL;
    return count_left(writer->taken) + count_left(writer->first);
}

struct batch *writer_take_left(struct writer *writer)
{
    struct batch *left = NULL;

    *writer->taken_last = writer->first;
    left = writer->taken;
    writer->taken = writer->first = NULL;
    writer->taken_last = &writer->taken;
    writer->last = &writer->first;
    return left;
}

void writer_free(struct writer *writer)
{
    if (!writer) return;
    if (writer->is_running) writer_stop(writer);
    store_close(writer->store);
    batch_free_all(writer->taken);
    batch_free_all(writer->first);
    pthread_cond_destroy(&writer->wakes);
    pthread_mutex_destroy(&writer->lock);
    free(writer);
}

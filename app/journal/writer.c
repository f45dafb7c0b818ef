/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Takes all that waits, stores it in transactions of a bounded size, and says so. While one
 * transaction is synced the next one gathers, so the more comes, the more share a sync: what somebody waits for never
 * waits for company. The rest does, for 25 ms or until a transaction is full.
 * Must never hold its lock while it uses the store, and never call a batch stored that may not be. */
#include "writer.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/damage.h"
#include "store/holder.h"
#include "store/place.h"

enum {
    CACHE_BYTES = 16 * 1024 * 1024,
    TRANSACTION_RECORDS_MAX = 32768,
    GATHER_MS = 25,
    HEADS_EVERY_MS = 1000,
    RETRY_MS = 1000,
    NUMBERS_AHEAD = 2 * WRITER_NUMBERS_LOW, /* that are taken in one go */
    LOOK_MS = 500,                          /* between two looks at the files' names, when no commit looks */
    LOG_BYTES_IDLE = 1024 * 1024,           /* a log as long as this is moved when nothing waits */
    LOG_BYTES_NAMED = 256 * 1024 * 1024
};

struct writer {
    struct writer_config config;
    struct store *store;          /* NULL: it failed, and has to be opened */
    struct place place;           /* of its files, when it was opened */
    struct place_news spoiled;    /* somebody has changed the database: for good */
    struct store_log_end log_end; /* of the store that was let go of */
    bool is_log_gone;             /* something was in it and nothing is, and no mark tells a move from a cut */
    _Atomic uint64_t stored_id;   /* the newest message that is known to be stored */
    bool has_made_room;           /* for the transaction that is being tried again */
    struct trim trim;             /* what deletes, within its limits */
    pthread_t thread;
    bool is_running;

    pthread_mutex_t lock;
    pthread_cond_t wakes;
    struct batch *first, **last; /* put and not taken; locked, as are the next five */
    size_t put_bytes;            /* of them */
    bool is_awaited;             /* one of them is */
    uint64_t next_connection;    /* as was noted last */
    bool is_noted;               /* and the thread has not seen it */
    bool is_stopping;
    bool has_ended; /* the thread has nothing more to do; locked */
    pthread_cond_t ends;

    /* The thread's own. */
    uint64_t numbers_limit; /* numbers below it are taken */
    uint64_t open_rows;     /* connections with a row that is not closed */
    struct batch *taken, **taken_last;
    TAILQ_HEAD(head_list, head) stale; /* the store has an older word of them */
    int64_t heads_written_ms;
    int64_t tidied_ms;
    int64_t looked_ms;
    int64_t log_bytes_named; /* of a log that somebody holds: he is named at this length */
    bool is_in_trouble;
    char text[STORE_ERROR_BYTES_MAX];
};

static _Thread_local const struct writer *here; /* whose thread this is */

/* The store, and all that is the thread's own, may be touched: by the thread, or while there is none. */
static bool is_own(const struct writer *writer)
{
    return here == writer || !writer->is_running;
}

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
    return writer->is_awaited || writer->is_noted ||
           writer->put_bytes >= (size_t)writer->trim.config.limits.transaction_bytes_max;
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
    while (!writer->first && !writer->taken && !writer->is_noted && !writer->is_stopping) {
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
    writer->is_noted = false;
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

void writer_note_next_connection(struct writer *writer, uint64_t next)
{
    pthread_mutex_lock(&writer->lock);
    if (next > writer->next_connection) writer->next_connection = next;
    writer->is_noted = true;
    pthread_mutex_unlock(&writer->lock);
    pthread_cond_signal(&writer->wakes);
}

static uint64_t noted_next_connection(struct writer *writer)
{
    uint64_t next = 0;

    pthread_mutex_lock(&writer->lock);
    next = writer->next_connection;
    pthread_mutex_unlock(&writer->lock);
    return next;
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

static void begin_trouble_of_place(struct writer *writer, const struct place_news *news)
{
    char text[STORE_ERROR_BYTES_MAX], what[STORE_ERROR_BYTES_MAX / 2], advice[STORE_ERROR_BYTES_MAX / 2] = "";

    place_describe(news, what, sizeof(what));
    if (news->file == PLACE_DATABASE && news->change == PLACE_LOST)
        snprintf(advice, sizeof(advice),
                 "; put the same file back, or copy what is needed out of /proc/%ld/fd and start the server anew",
                 (long)getpid());
    else if (news->file == PLACE_DATABASE && news->change != PLACE_UNSEEN)
        snprintf(
            advice, sizeof(advice),
            "; nothing more goes into it: end the server, see what weir check --store says, and put a whole copy in "
            "its place if that is not whole");
    snprintf(text, sizeof(text), "%s%s", what, advice);
    begin_trouble(writer, text);
}

/* A database that somebody has written over or cut is not what the log goes with, nor what was acknowledged. Nothing
 * mends that while the server runs. */
static void note_news(struct writer *writer, const struct place_news *news)
{
    if (news->change == PLACE_KEPT) return;
    if (news->file == PLACE_DATABASE && (news->change == PLACE_CUT || news->change == PLACE_CHANGED))
        writer->spoiled = *news;
    begin_trouble_of_place(writer, news);
}

static bool is_spoiled(const struct writer *writer)
{
    return writer->spoiled.change != PLACE_KEPT;
}

static bool is_usable(const struct writer *writer)
{
    return writer->store && !is_spoiled(writer);
}

/* The store has failed: what it says of that, or of its files. */
static void begin_trouble_of_store(struct writer *writer)
{
    struct place_news news;

    store_news(writer->store, &news);
    if (news.change == PLACE_KEPT)
        begin_trouble(writer, store_text(writer->store));
    else
        note_news(writer, &news);
}

/* Whether all files are in place, also when no commit has looked. */
static bool look(struct writer *writer)
{
    struct place_news news;
    const enum store_outcome outcome = store_look(writer->store, &news);

    writer->looked_ms = clock_ms();
    if (outcome != STORE_STORED) note_news(writer, &news);
    return outcome == STORE_STORED;
}

/* Closes the store, if what will be opened in its stead is the same one. Without its file it stays open: that is the
 * only way that is left to what is in it. A log that has lost its name is emptied into the database first; no other is
 * moved before it was looked at. */
static bool let_go(struct writer *writer)
{
    struct place_news news;

    if (is_spoiled(writer)) {
        begin_trouble_of_place(writer, &writer->spoiled);
        return false;
    }
    if (!place_look(&writer->place, PLACE_DATABASE, &news) && news.change <= PLACE_UNSEEN) {
        begin_trouble_of_place(writer, &news);
        return false;
    }
    if (!writer->store) return true;
    store_log_end(writer->store, &writer->log_end);
    if (place_is_lost(&writer->place, PLACE_LOG) &&
        (store_restart_log(writer->store, true) != STORE_STORED || !place_is_free(&writer->place, PLACE_LOG))) {
        place_look(&writer->place, PLACE_LOG, &news);
        begin_trouble_of_place(writer, &news);
        return false;
    }
    store_abandon(writer->store);
    writer->store = NULL;
    return true;
}

/* On a full disk with the room of the reserve, which is made again later. */
static int open_store(struct writer *writer, char error[STORE_ERROR_BYTES_MAX])
{
    int err = store_open(writer->config.path, &writer->store, error);

    if (err == -ENOSPC && trim_make_room_to_open(&writer->trim))
        err = store_open(writer->config.path, &writer->store, error);
    if (err) return err;
    writer->place = *store_place(writer->store);
    writer->looked_ms = clock_ms();
    store_set_cache_bytes(writer->store, writer->config.cache_bytes);
    store_set_log_bytes_max(writer->store, writer->trim.config.limits.log_bytes_max);
    return 0;
}

/* A sentence of store_open's, for whoever says himself which store it is. */
static const char *without_name(const struct writer *writer, const char *error)
{
    char name[STORE_ERROR_BYTES_MAX];
    const int len = snprintf(name, sizeof(name), "store %s: ", writer->config.path);

    return len < (int)sizeof(name) && strncmp(error, name, (size_t)len) == 0 ? error + len : error;
}

/* What was stored in the log reaches further than it does now. */
static bool has_lost_end(const struct writer *writer, const struct wal_report *log)
{
    return log->salts == writer->log_end.salts && log->end_offset < writer->log_end.bytes;
}

/* Why the log that is there cannot be gone on with. */
static void describe_log(const struct writer *writer, int err, const struct damage *damage, bool is_cut, char *ret,
                         size_t size)
{
    if (err)
        snprintf(ret, size, "its log cannot be read: %s", strerror(-err));
    else if (is_cut)
        snprintf(ret, size,
                 "its log (-wal) has been cut or written over: it ends at byte %lld, and what was stored at byte %lld",
                 (long long)damage->log.end_offset, (long long)writer->log_end.bytes);
    else
        damage_describe(damage, ret);
}

/* The log is read anew, and up to its first bad frame: as at the start of the server. */
static bool is_whole(struct writer *writer)
{
    char text[STORE_ERROR_BYTES_MAX], what[DAMAGE_TEXT_BYTES_MAX];
    struct damage damage;
    int err = damage_find(writer->config.path, &damage);
    const bool is_cut = !err && damage.kind == DAMAGE_NONE && has_lost_end(writer, &damage.log);

    writer->is_log_gone =
        !err && writer->log_end.bytes > 0 && !writer->log_end.is_marked && damage.log.transactions == 0;
    if (err || is_cut || damage.kind != DAMAGE_NONE) {
        if (is_cut) damage_mark_cut(writer->config.path); /* or the next start would take it for torn */
        describe_log(writer, err, &damage, is_cut, what, sizeof(what));
        snprintf(text, sizeof(text), "%s; weir check says more once this server has ended", what);
        begin_trouble(writer, text);
        return false;
    }
    err = damage_trim(writer->config.path, &damage);
    if (!err) return true;
    snprintf(text, sizeof(text), DAMAGE_TRIM_FAILED, strerror(-err));
    begin_trouble(writer, text);
    return false;
}

/* Of the process that reads it, and keeps its log from beginning anew. */
static void describe_holder(const struct writer *writer, char *ret, size_t size)
{
    holder_describe(holder_find(writer->place.files[PLACE_INDEX].device, writer->place.files[PLACE_INDEX].inode), ret,
                    size);
}

/* What came of the last transaction cannot be told, so all that SQLite remembers goes, and the file is asked. Moving
 * the log to the database then writes and syncs again what a failed sync may have left in memory only: what is read
 * after that is on disk. */
static bool reopen(struct writer *writer)
{
    char error[STORE_ERROR_BYTES_MAX], text[STORE_ERROR_BYTES_MAX], name[HOLDER_TEXT_BYTES_MAX];
    int64_t left = 0;
    bool is_gone = false;

    if (!let_go(writer) || !is_whole(writer)) return false;
    if (open_store(writer, error)) {
        if (writer->is_log_gone) damage_mark_cut(writer->config.path);
        begin_trouble(writer, without_name(writer, error));
        return false;
    }
    is_gone = store_last_message(writer->store) < writer->stored_id;
    if (is_gone) {
        snprintf(text, sizeof(text),
                 "messages that were stored in it are gone: its newest is %llu, and was %llu; its files have been cut, "
                 "written over or changed by another program",
                 (unsigned long long)store_last_message(writer->store), (unsigned long long)writer->stored_id);
        begin_trouble(writer, text);
    } else if (store_checkpoint(writer->store, &left) != STORE_STORED) {
        begin_trouble_of_store(writer);
    } else if (left) {
        describe_holder(writer, name, sizeof(name));
        snprintf(text, sizeof(text), "its log cannot be moved to the database while %s reads it", name);
        begin_trouble(writer, text);
    } else {
        return true;
    }
    store_abandon(writer->store);
    writer->store = NULL;
    if (is_gone) damage_mark_cut(writer->config.path); /* or the next start would take it for whole */
    return false;
}

/* ---- Storing ---- */

/* What was taken, up to the bounds of a transaction, but one batch at least. *ret_end: the first that is not in it. */
static enum store_outcome store_batches(struct writer *writer, struct batch **ret_end)
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
    return outcome == STORE_STORED ? store_commit(writer->store) : outcome;
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
        struct head *head = record->head;

        if (record->kind == RECORD_OPEN) {
            writer->open_rows++;
        } else if (record->kind == RECORD_CLOSE) {
            assert(writer->open_rows > 0); /* its opening was stored before */
            writer->open_rows--;
            if (head->is_stale) TAILQ_REMOVE(&writer->stale, head, stale);
            head->is_stale = false;
        } else if (!head->is_stale) {
            TAILQ_INSERT_TAIL(&writer->stale, head, stale);
            head->is_stale = true;
        }
    }
}

static void hand_back(struct writer *writer, const struct batch *end)
{
    while (writer->taken != end) {
        struct batch *batch = writer->taken;

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
    const struct record *last = last_message(writer, end);

    return last && last->id && store_has(writer->store, last);
}

/* The disk is full. Where the log is what fills it, its reader is the one to ask. */
static void begin_trouble_of_full_disk(struct writer *writer, const char *reason)
{
    char text[STORE_ERROR_BYTES_MAX], name[HOLDER_TEXT_BYTES_MAX];

    if (!writer->trim.is_log_held) {
        begin_trouble(writer, reason);
        return;
    }
    describe_holder(writer, name, sizeof(name));
    snprintf(text, sizeof(text), "%.400s; its log (%lld KiB) cannot be emptied while %s reads it", reason,
             (long long)(store_log_file_bytes(writer->store) / 1024), name);
    begin_trouble(writer, text);
}

/* What a commit should not have to wait for has failed: the next commit would fail at it. */
static void note_tidied(struct writer *writer, enum store_outcome outcome)
{
    if (outcome == STORE_STORED) return;
    if (outcome == STORE_REFUSED && writer->trim.is_log_held)
        begin_trouble_of_full_disk(writer, "database or disk is full"); /* as SQLite puts it */
    else
        begin_trouble_of_store(writer);
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

/* Numbers are on disk before they are given. */
static enum store_outcome take_numbers(struct writer *writer)
{
    const uint64_t next = noted_next_connection(writer);
    enum store_outcome outcome = STORE_STORED;

    if (next + WRITER_NUMBERS_LOW < writer->numbers_limit) return STORE_STORED;
    outcome = store_take_numbers(writer->store, next + NUMBERS_AHEAD);
    if (outcome != STORE_STORED) return outcome; /* it is tried again */
    writer->numbers_limit = next + NUMBERS_AHEAD;
    if (writer->config.on_numbers) writer->config.on_numbers(writer->numbers_limit, writer->config.user);
    return outcome;
}

/* After each transaction, since a queue that is never empty must not put it off. */
static void keep_bounds(struct writer *writer)
{
    bool goes_on = false;

    note_tidied(writer, trim(writer, true, &goes_on));
    if (writer->store) note_tidied(writer, take_numbers(writer));
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

/* The transaction was refused because the disk is full. Returns whether it is to be tried again at once: when there is
 * room now, but not when that was so before and was no use. */
static bool has_room_now(struct writer *writer)
{
    char reason[STORE_ERROR_BYTES_MAX];
    bool is_first = !writer->has_made_room;

    snprintf(reason, sizeof(reason), "%s", store_text(writer->store));
    writer->has_made_room = make_room(writer) && is_first;
    if (!writer->has_made_room && writer->store) begin_trouble_of_full_disk(writer, reason);
    return writer->has_made_room;
}

/* While the log cannot be moved for want of room, whatever else is stored is in its way. */
static bool is_log_in_the_way(struct writer *writer)
{
    char reason[STORE_ERROR_BYTES_MAX];

    if (!writer->trim.is_log_stuck) return false;
    snprintf(reason, sizeof(reason), "%s", store_text(writer->store));
    if (make_room(writer)) return false;
    if (writer->store) begin_trouble_of_full_disk(writer, reason);
    return true;
}

/* Each outcome of a transaction has its next step. They return as store_some does. */

static bool end_stored(struct writer *writer, const struct batch *end)
{
    end_trouble(writer);
    writer->stored_id = store_last_message(writer->store);
    writer->has_made_room = false;
    writer->trim.is_log_held = false;
    writer->looked_ms = clock_ms();
    hand_back(writer, end);
    keep_bounds(writer);
    return true;
}

static bool try_refused_again(struct writer *writer, const struct batch *end)
{
    const bool is_full = store_is_full(writer->store);

    if (!is_full) begin_trouble_of_store(writer);
    restore_heads(writer, end);
    return (is_full && has_room_now(writer)) || wait_for_retry(writer);
}

/* The store has to be open before it can be asked. */
static bool find_out_unknown(struct writer *writer, const struct batch *end)
{
    begin_trouble_of_store(writer);
    while (!reopen(writer))
        if (!wait_for_retry(writer)) return false;
    if (ask_again(writer, end)) return end_stored(writer, end);
    restore_heads(writer, end);
    return wait_for_retry(writer);
}

/* Stores some of what was taken. Returns whether to go on; no: we are to stop, and the rest cannot be stored. */
static bool store_some(struct writer *writer)
{
    struct batch *end = NULL;

    assert(is_own(writer) && writer->taken);
    if (!is_usable(writer) && !reopen(writer)) return wait_for_retry(writer);
    if (is_log_in_the_way(writer)) return wait_for_retry(writer);
    switch (store_batches(writer, &end)) {
    case STORE_STORED:
        return end_stored(writer, end);
    case STORE_REFUSED:
        return try_refused_again(writer, end);
    case STORE_UNKNOWN:
        break;
    }
    return find_out_unknown(writer, end);
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
    enum store_outcome outcome = take_numbers(writer);

    if (outcome == STORE_STORED && are_heads_due) outcome = write_heads(writer);
    /* Reading stops for it, so no message will come whose transaction makes room. */
    if (outcome == STORE_REFUSED && store_is_full(writer->store) && make_room(writer)) {
        outcome = take_numbers(writer);
        if (outcome == STORE_STORED && are_heads_due) outcome = write_heads(writer);
    }
    if (outcome == STORE_STORED) outcome = trim_at_leisure(writer);
    if (outcome != STORE_STORED) return outcome;
    return move_log(writer, is_anything_put(writer) ? log_bytes_max : log_bytes_idle);
}

/* A reader that stays in its transaction costs disk, for as long as it stays; said again at twice the length. */
static void name_who_holds_log(struct writer *writer)
{
    const int64_t len = store_log_bytes(writer->store);
    char name[HOLDER_TEXT_BYTES_MAX], text[STORE_ERROR_BYTES_MAX];

    if (len < writer->config.log_bytes_named) writer->log_bytes_named = writer->config.log_bytes_named;
    if (len < writer->log_bytes_named) return;
    writer->log_bytes_named *= 2;
    describe_holder(writer, name, sizeof(name));
    snprintf(text, sizeof(text),
             "its log has grown to %lld MiB: %s reads it, and it cannot begin anew before that ends",
             (long long)(len / (1024 * 1024)), name);
    writer->config.on_notice(text, writer->config.user);
}

/* Somebody else's writing is asked for first, as it changes the files as well. */
static enum store_outcome look_at_others(struct writer *writer)
{
    enum store_outcome outcome = STORE_STORED;

    if (clock_ms() < writer->looked_ms + LOOK_MS) return outcome;
    outcome = store_check_foreign_writer(writer->store);
    if (outcome == STORE_STORED && !look(writer)) outcome = STORE_UNKNOWN;
    return outcome;
}

static void tidy(struct writer *writer)
{
    enum store_outcome outcome = STORE_STORED;

    assert(is_own(writer));
    writer->tidied_ms = clock_ms();
    if (!is_usable(writer) && !reopen(writer)) return;
    outcome = look_at_others(writer);
    if (outcome == STORE_STORED && writer->trim.is_log_held) make_room(writer); /* or sees that it cannot */
    if (outcome == STORE_STORED && writer->store) outcome = tidy_store(writer);
    if (!writer->store) return; /* it has to be opened */
    if (outcome == STORE_STORED) name_who_holds_log(writer);
    if (outcome == STORE_STORED && !writer->trim.is_log_held) end_trouble(writer);
    note_tidied(writer, outcome);
}

/* The end of a store that is not in its place, or not as it was left. */
static void leave(struct writer *writer)
{
    if (!is_spoiled(writer) && !place_is_lost(&writer->place, PLACE_DATABASE)) store_restart_log(writer->store, true);
    store_abandon(writer->store);
    writer->store = NULL;
}

/* What is known of the connections goes with the last transaction, also of those whose end is not stored. */
static void finish(struct writer *writer)
{
    int64_t left = 0;

    if (writer->store && (is_spoiled(writer) || !look(writer))) leave(writer);
    if (writer->store && !TAILQ_EMPTY(&writer->stale)) write_heads(writer);
    if (writer->store && TAILQ_EMPTY(&writer->stale) &&
        store_seal(writer->store, noted_next_connection(writer), writer->open_rows == 0) == STORE_STORED)
        store_checkpoint(writer->store, &left);
    store_close(writer->store);
    writer->store = NULL;
}

static void *run(void *user)
{
    struct writer *writer = user;
    bool goes_on = true;

    here = writer;
    pthread_setname_np(pthread_self(), "weir-store");
    while (goes_on && take(writer)) {
        while (writer->taken && goes_on)
            goes_on = store_some(writer);
        if (goes_on) tidy(writer);
    }
    finish(writer);
    pthread_mutex_lock(&writer->lock);
    writer->has_ended = true;
    pthread_cond_signal(&writer->ends);
    pthread_mutex_unlock(&writer->lock);
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
    if (!err) err = pthread_cond_init(&writer->ends, &attributes);
    pthread_condattr_destroy(&attributes);
    if (!err) err = pthread_mutex_init(&writer->lock, NULL);
    return -err;
}

static int begin_run(struct writer *writer, char error[STORE_ERROR_BYTES_MAX])
{
    bool are_all_closed = false;

    writer->next_connection = store_next_connection(writer->store);
    writer->numbers_limit = writer->next_connection + NUMBERS_AHEAD;
    if (store_begin_run(writer->store, NUMBERS_AHEAD, &are_all_closed) == STORE_STORED) {
        if (!are_all_closed) writer->open_rows = 1; /* so that it never comes to none, and the next run looks again */
        return 0;
    }
    snprintf(error, STORE_ERROR_BYTES_MAX, "store %.300s: %.250s", writer->config.path, store_text(writer->store));
    return store_is_full(writer->store) ? -ENOSPC : store_is_busy(writer->store) ? -EBUSY : -EIO;
}

/* Opens the store and begins with it; where one of these has no room, with the reserve's. */
static int begin(struct writer *writer, char error[STORE_ERROR_BYTES_MAX])
{
    int err = open_store(writer, error);

    if (!err) err = begin_run(writer, error);
    if (err == -ENOSPC && writer->store && trim_make_room_to_open(&writer->trim)) err = begin_run(writer, error);
    return err;
}

int writer_new(const struct writer_config *config, struct writer **ret, char error[STORE_ERROR_BYTES_MAX])
{
    const struct trim_config trim = {
        .path = config->path, .limits = config->limits, .on_trimmed = config->on_trimmed, .user = config->user
    };
    struct writer *writer = calloc(1, sizeof(*writer));
    int err = writer ? init_locks(writer) : -ENOMEM;

    if (err) {
        free(writer);
        snprintf(error, STORE_ERROR_BYTES_MAX, "%s", strerror(-err));
        return err;
    }
    writer->config = *config;
    if (!config->cache_bytes) writer->config.cache_bytes = CACHE_BYTES;
    if (!config->retry_ms) writer->config.retry_ms = RETRY_MS;
    if (!config->gather_ms) writer->config.gather_ms = GATHER_MS;
    if (!config->log_bytes_named) writer->config.log_bytes_named = LOG_BYTES_NAMED;
    writer->last = &writer->first;
    writer->taken_last = &writer->taken;
    TAILQ_INIT(&writer->stale);
    trim_init(&writer->trim, &trim);
    err = begin(writer, error);
    if (err) {
        writer_free(writer);
        return err;
    }
    trim_begin(&writer->trim);
    writer->stored_id = store_last_message(writer->store);
    *ret = writer;
    return 0;
}

uint64_t writer_next_connection(const struct writer *writer)
{
    return store_next_connection(writer->store);
}

uint64_t writer_numbers_limit(const struct writer *writer)
{
    return writer->numbers_limit;
}

uint64_t writer_stored_id(const struct writer *writer)
{
    return writer->stored_id;
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

/* Returns 0, or -ETIMEDOUT. */
static int join(struct writer *writer, int64_t deadline_ms)
{
    const struct timespec time = { .tv_sec = deadline_ms / 1000, .tv_nsec = deadline_ms % 1000 * 1000000 };
    bool has_ended = false;

    pthread_mutex_lock(&writer->lock);
    writer->is_stopping = true;
    pthread_cond_signal(&writer->wakes);
    while (!writer->has_ended && clock_ms() < deadline_ms)
        pthread_cond_timedwait(&writer->ends, &writer->lock, &time);
    has_ended = writer->has_ended;
    pthread_mutex_unlock(&writer->lock);
    return has_ended ? -pthread_join(writer->thread, NULL) : -ETIMEDOUT;
}

int writer_stop(struct writer *writer, int64_t deadline_ms, uint64_t *ret_left)
{
    const int err = writer->is_running ? join(writer, deadline_ms) : 0;

    if (err) return err;
    if (!writer->is_running) finish(writer);
    writer->is_running = false;
    *ret_left = count_left(writer->taken) + count_left(writer->first);
    return 0;
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
    uint64_t left = 0;

    if (!writer) return;
    if (writer->is_running) writer_stop(writer, INT64_MAX, &left);
    store_close(writer->store); /* never started: nothing was stored */
    batch_free_all(writer->taken);
    batch_free_all(writer->first);
    pthread_cond_destroy(&writer->wakes);
    pthread_cond_destroy(&writer->ends);
    pthread_mutex_destroy(&writer->lock);
    free(writer);
}

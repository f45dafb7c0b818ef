/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Between the workers and the writer. A worker fills a batch, and hands it over at the end of
 * its turn; when the batch is on disk it comes back to the same worker, which gives back what is owed of it, in the
 * order in which it came. So acknowledgements leave in order and without gaps, and no lock is taken for a message.
 *
 * What waits for the disk is bounded. Who has more than its share waiting (share.h) is not read from, and at the bound
 * nobody is. Must never drop a message, give back one that
 * is not stored, or touch a client whose records are still on their way. */
#include "journal.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "base/clock.h"
#include "base/crc32c.h"
#include "base/debug.h"
#include "base/pause.h"
#include "share.h"
#include "store/record.h"
#include "text/encoding.h"
#include "writer.h"

enum {
    QUEUE_BYTES_MAX = 64 * 1024 * 1024,
    ROOM_PART = 8,      /* of the queue: what may be sent to one client when others wait for the disk, too */
    ROW_MS = 10000,     /* a client has a row after so long, though no byte has passed */
    ROW_LOOK_MS = 1000, /* between two looks for bytes that are no message yet */
    BATCH_BYTES_MAX = 256 * 1024,
    AHEAD_MAX = 16, /* batches of a worker on their way, of which one need not be full */
    SPARE_BATCHES_MAX = AHEAD_MAX + 1,
    CACHE_LINE_BYTES = 64
};

/* What the writer writes to has a cache line of its own: the worker uses the rest for each message. */
struct journal_client {
    struct head head;                                  /* the writer's while records are on their way */
    _Alignas(CACHE_LINE_BYTES) struct weir_conn *conn; /* NULL: it has gone */
    struct journal *journal;
    const struct journal_listener *listener;
    void *user;
    unsigned worker;
    bool is_paused;
    bool has_row;                       /* its opening is on its way to the store, or there */
    enum weir_reason reason;            /* why it has gone */
    struct share share;                 /* the connection is held for each message that is owed */
    int64_t opened_ms;                  /* by the monotonic clock */
    int64_t opened_us;                  /* since 1970 */
    TAILQ_ENTRY(journal_client) listed; /* in the outbox: without a row, paused, unclosed or closed */
};

/* A worker's own, but for what comes back to it. */
struct outbox {
    struct journal *journal;
    struct batch *filling; /* NULL: nothing yet this turn */
    struct batch *spares;  /* to fill */
    unsigned spare_count;
    uint64_t put;                        /* batches handed to the writer; their numbers count from 1 */
    uint64_t back;                       /* of them have come back, in the same order */
    struct batch *unpaid;                /* stored, and taken from returned, but still to be gone through */
    uint64_t paid_id;                    /* the last message for which on_owed was called */
    size_t answer_bytes;                 /* sent for what was owed, in this turn */
    bool is_behind;                      /* with them: input is paused, and mail is on its way */
    int64_t time_us;                     /* of this turn; 0: nobody has asked yet */
    const struct journal_client *sender; /* of the last message; only compared */
    uint64_t switches;                   /* messages that came from another client than the one before */
    bool has_timer;                      /* for the end of a hold */
    bool has_row_timer;                  /* for the next look at those without a row */
    TAILQ_HEAD(journal_clients, journal_client) paused;
    struct journal_clients rowless; /* as they came */
    struct journal_clients unclosed;
    struct journal_clients closed; /* whose last record is on its way */

    pthread_mutex_t lock;
    struct batch *returned, **returned_last; /* stored, and not gone through; locked */
    bool is_waiting;                         /* for any of them; locked */
};

struct journal {
    struct journal_config config;
    struct writer *writer;
    struct weir *weir; /* NULL: it does not run */
    struct outbox *outboxes;
    uint64_t first_id;
    _Atomic uint64_t numbers_low; /* the writer is told when so many have been given; UINT64_MAX: it is */
    struct share_pool queue;
    size_t batch_bytes;         /* of the usual room, which is no more than a transaction */
    _Atomic size_t queue_bytes; /* handed to the writer, and not back */
    atomic_bool is_full;        /* all input is paused for the queue */
    atomic_bool is_failing;     /* and for the store */
};

/* ---- How much may wait ---- */

/* What one client has waiting is looked at, at each of its messages, and what all have when a batch is handed over. */
static void pause_if_over(struct journal_client *client)
{
    struct outbox *outbox = &client->journal->outboxes[client->worker];

    if (client->is_paused || !client->conn) return;
    if (!share_is_over(&client->share, &client->journal->queue, outbox->back)) return;
    client->is_paused = true;
    share_note_pause(&client->share, &client->journal->queue, outbox->back, outbox->switches, clock_ms());
    weir_conn_pause(client->conn, PAUSE_JOURNAL);
    TAILQ_INSERT_TAIL(&outbox->paused, client, listed);
}

static void unlist_paused(struct journal_client *client)
{
    if (!client->is_paused) return;
    assert(!TAILQ_EMPTY(&client->journal->outboxes[client->worker].paused));
    client->is_paused = false;
    TAILQ_REMOVE(&client->journal->outboxes[client->worker].paused, client, listed);
}

static void on_hold_over(struct weir_timer *timer, void *user)
{
    struct outbox *outbox = user;

    (void)timer;
    outbox->has_timer = false; /* the turn's end looks */
}

/* Without memory for a timer it is not. */
static bool is_held(struct journal *journal, const struct journal_client *client, int64_t now_ms)
{
    struct outbox *outbox = &journal->outboxes[client->worker];
    const int64_t left_ms = share_held_ms(&client->share, now_ms);

    if (left_ms == 0) return false;
    if (!outbox->has_timer)
        outbox->has_timer =
            weir_timer_start(journal->weir, client->worker, left_ms, 0, on_hold_over, outbox, NULL) == 0;
    return outbox->has_timer;
}

static void resume_clients(struct journal *journal, struct outbox *outbox)
{
    const size_t bytes = share_bytes(&journal->queue);
    const int64_t now_ms = clock_ms();
    struct journal_client *client = TAILQ_FIRST(&outbox->paused);

    while (client) {
        struct journal_client *next = TAILQ_NEXT(client, listed);

        if (share_is_low(&client->share, bytes, outbox->back) && !is_held(journal, client, now_ms)) {
            unlist_paused(client);
            weir_conn_resume(client->conn, PAUSE_JOURNAL);
        }
        client = next;
    }
}

/* The pause comes before the word of it: whoever takes the word back on another thread resumes what was paused. */
static void set_input(struct journal *journal, atomic_bool *why, bool is_stopped)
{
    if (!journal->weir || atomic_load(why) == is_stopped) return;
    if (is_stopped) weir_input_pause(journal->weir);
    if (atomic_exchange(why, is_stopped) != is_stopped) {
        if (!is_stopped) weir_input_resume(journal->weir);
    } else if (is_stopped) { /* another thread was first */
        weir_input_resume(journal->weir);
    }
}

/* ---- Records ---- */

static void count_in(struct journal *journal, size_t bytes)
{
    const size_t bytes_before = atomic_fetch_add(&journal->queue_bytes, bytes);

    if (bytes_before + bytes > journal->queue.bytes_max) set_input(journal, &journal->is_full, true);
}

/* For a message that is longer than a batch: it alone is in it. */
static bool is_unusual(const struct journal *journal, const struct batch *batch)
{
    return batch->room != journal->batch_bytes;
}

/* The queue is full before the writer has the batch that fills it: when it comes back the writer looks again. A batch
 * of an unusual size is awaited for its memory, and counted since it was made: nobody is to bring another one in the
 * same turn. */
static void hand_over(struct journal *journal, struct outbox *outbox)
{
    struct batch *batch = outbox->filling;

    assert(batch && batch->count > 0);
    if (!is_unusual(journal, batch)) count_in(journal, batch->len);
    batch->is_awaited |= !TAILQ_EMPTY(&outbox->paused) || is_unusual(journal, batch);
    outbox->filling = NULL;
    outbox->put++;
    writer_put(journal->writer, batch);
}

static struct batch *empty_batch(struct outbox *outbox, unsigned worker, size_t room)
{
    const size_t usual = outbox->journal->batch_bytes;
    struct batch *batch = outbox->spares;

    if (!batch || room > usual) return batch_new(worker, room > usual ? room : usual);
    outbox->spares = batch->next;
    outbox->spare_count--;
    batch->len = 0;
    batch->count = batch->owed = 0;
    batch->is_awaited = false;
    return batch;
}

static void keep_spare(struct outbox *outbox, struct batch *batch)
{
    if (is_unusual(outbox->journal, batch) || outbox->spare_count >= SPARE_BATCHES_MAX) {
        free(batch);
        return;
    }
    batch->next = outbox->spares;
    outbox->spares = batch;
    outbox->spare_count++;
}

static int64_t now_us(struct outbox *outbox)
{
    if (!outbox->time_us) outbox->time_us = clock_wall_us();
    return outbox->time_us;
}

/* A record with len bytes to fill in; NULL for want of memory. */
static struct record *add_record(struct journal_client *client, enum record_kind kind, size_t len)
{
    struct journal *journal = client->journal;
    struct outbox *outbox = &journal->outboxes[client->worker];
    struct record *record = outbox->filling ? batch_add(outbox->filling, len) : NULL;

    if (!record) {
        if (outbox->filling) hand_over(journal, outbox);
        outbox->filling = empty_batch(outbox, client->worker, record_bytes(len));
        if (!outbox->filling) return NULL;
        record = batch_add(outbox->filling, len);
        if (is_unusual(journal, outbox->filling)) count_in(journal, outbox->filling->len);
    }
    *record = (struct record){ .head = &client->head,
                               .time_us = now_us(outbox),
                               .original_len = len,
                               .len = (uint32_t)len,
                               .kind = (uint8_t)kind };
    share_count(&client->share, outbox->put + 1, outbox->back, record_bytes(len));
    return record;
}

/* ---- Rows ---- */

/* A client has a row in the store with its first message at the latest, and none while no byte has passed for some
 * time: those that only look whether the server is there leave nothing behind. */
static bool add_opening(struct journal_client *client)
{
    const struct journal_listener *listener = client->listener;
    char peer[WEIR_ADDRESS_BYTES_MAX];
    const char *const texts[] = { listener->url, listener->frame, weir_conn_peer(client->conn, peer) };
    const size_t len = strlen(texts[0]) + strlen(texts[1]) + strlen(texts[2]) + 3;
    struct record *record = add_record(client, RECORD_OPEN, len);
    unsigned char *at = record ? record->bytes : NULL;

    if (!record) return false;
    record->time_us = client->opened_us;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        memcpy(at, texts[i], strlen(texts[i]) + 1);
        at += strlen(texts[i]) + 1;
    }
    TAILQ_REMOVE(&client->journal->outboxes[client->worker].rowless, client, listed);
    client->has_row = true;
    return true;
}

static bool has_bytes(const struct journal_client *client)
{
    struct weir_conn_counters counters;

    weir_conn_counters(client->conn, &counters);
    return counters.bytes_in > 0 || counters.bytes_out > 0;
}

/* Without memory they are looked at again. */
static void on_rows_due(struct weir_timer *timer, void *user)
{
    struct outbox *outbox = user;
    const int64_t old_ms = clock_ms() - ROW_MS;
    struct journal_client *client = TAILQ_FIRST(&outbox->rowless);

    (void)timer;
    outbox->has_row_timer = false; /* the turn's end starts another */
    while (client) {
        struct journal_client *next = TAILQ_NEXT(client, listed);

        if (client->opened_ms <= old_ms || has_bytes(client)) add_opening(client);
        client = next;
    }
}

static void look_for_rows(struct journal *journal, struct outbox *outbox, unsigned worker)
{
    if (outbox->has_row_timer || TAILQ_EMPTY(&outbox->rowless)) return;
    outbox->has_row_timer = weir_timer_start(journal->weir, worker, ROW_LOOK_MS, 0, on_rows_due, outbox, NULL) == 0;
}

static struct record *add_bytes(struct journal_client *client, enum record_kind kind, struct weir_bytes bytes)
{
    struct record *record = client->has_row || add_opening(client) ? add_record(client, kind, bytes.len) : NULL;

    if (!record) return NULL;
    if (bytes.len > 0) memcpy(record->bytes, bytes.data, bytes.len);
    record->crc32c = crc32c(record->bytes, bytes.len);
    if (encoding_is_readable(NULL, bytes)) record->flags |= RECORD_TEXT;
    return record;
}

/* ---- What is owed ---- */

static struct journal_client *client_of(struct head *head)
{
    return (struct journal_client *)(void *)head; /* its first member */
}

static void pay(struct outbox *outbox, struct journal_client *client, const struct record *record)
{
    const struct journal_owed owed = { .conn = client->conn,
                                       .client = client,
                                       .seq = record->seq,
                                       .id = record->id,
                                       .time_us = record->time_us,
                                       .message = { record->bytes, record->len },
                                       .flags = record->flags };

    DEBUG_ASSERT(client->share.owed > 0);
    DEBUG_ASSERT(record->id > outbox->paid_id); /* in the order of their numbers in the store */
    outbox->paid_id = record->id;
    client->share.owed--;
    if (!client->conn) return;
    outbox->answer_bytes += client->listener->on_owed(&owed, client->user);
    weir_conn_release(client->conn);
}

static void pay_all(struct outbox *outbox, struct batch *batch)
{
    for (struct record *record = batch_next(batch, NULL); record && batch->owed > 0;
         record = batch_next(batch, record)) {
        if (!record->is_owed) continue;
        batch->owed--;
        pay(outbox, client_of(record->head), record);
    }
}

static void free_closed(struct outbox *outbox)
{
    struct journal_client *client = TAILQ_FIRST(&outbox->closed);

    while (client && client->share.newer_batch <= outbox->back) {
        struct journal_client *next = TAILQ_NEXT(client, listed);

        TAILQ_REMOVE(&outbox->closed, client, listed);
        free(client);
        client = next;
    }
}

static unsigned ahead(const struct outbox *outbox)
{
    return (unsigned)(outbox->put - outbox->back);
}

/* Turns share a batch while the disk takes its time: a thousand batches with a message each take a thousand times the
 * memory of one. So a worker with many on their way has to hear of the next one that comes back, awaited or not. */
static struct batch *take_returned(struct outbox *outbox)
{
    struct batch *batch = NULL;

    pthread_mutex_lock(&outbox->lock);
    batch = outbox->returned;
    outbox->returned = NULL;
    outbox->returned_last = &outbox->returned;
    outbox->is_waiting = ahead(outbox) >= AHEAD_MAX;
    pthread_mutex_unlock(&outbox->lock);
    return batch;
}

static void on_mail(struct weir *weir, void *user);

/* Acknowledgements may be a hundred times as long as the messages. The engine bounds what waits for clients at the end
 * of a turn, so this turn ends, and mail brings the next one. Until then nothing is read: it would want more of them.
 * Returns whether it is so. */
static bool has_to_go_on_later(struct outbox *outbox)
{
    struct journal *journal = outbox->journal;

    if (outbox->answer_bytes < journal->config.answer_bytes || !journal->weir) return false;
    if (outbox->is_behind) return true;
    if (weir_post(journal->weir, (unsigned)(outbox - journal->outboxes), on_mail, outbox)) return false;
    outbox->is_behind = true;
    weir_input_pause(journal->weir);
    return true;
}

static void go_through_returned(struct outbox *outbox)
{
    if (!outbox->unpaid) outbox->unpaid = take_returned(outbox);
    while (outbox->unpaid && !has_to_go_on_later(outbox)) {
        struct batch *batch = outbox->unpaid;

        assert(outbox->back < outbox->put && batch->worker == (unsigned)(outbox - outbox->journal->outboxes));
        outbox->unpaid = batch->next;
        outbox->back++;
        pay_all(outbox, batch);
        keep_spare(outbox, batch);
        if (!outbox->unpaid) outbox->unpaid = take_returned(outbox);
    }
    free_closed(outbox);
}

/* The end of the way for whatever has come back, also when its mail could not be sent. */
static void on_mail(struct weir *weir, void *user)
{
    struct outbox *outbox = user;
    const bool was_behind = outbox->is_behind;

    outbox->is_behind = false;
    go_through_returned(outbox);
    if (was_behind) weir_input_resume(weir); /* last: the input of others is not to start and stop again */
}

/* ---- On the writer's thread ---- */

static void on_stored(struct batch *batch, void *user)
{
    struct journal *journal = user;
    const unsigned worker = batch->worker; /* it is not ours once it is in the list */
    struct outbox *outbox = &journal->outboxes[worker];
    const struct timespec breath = { .tv_nsec = 10 * 1000000 };
    const size_t bytes_left = atomic_fetch_sub(&journal->queue_bytes, batch->len) - batch->len;
    bool is_awaited = batch->is_awaited;

    assert(bytes_left <= SIZE_MAX - batch->len); /* it was counted in */
    if (bytes_left <= journal->queue.bytes_max / 2) set_input(journal, &journal->is_full, false);
    batch->next = NULL;
    pthread_mutex_lock(&outbox->lock);
    *outbox->returned_last = batch;
    outbox->returned_last = &batch->next;
    is_awaited |= outbox->is_waiting;
    outbox->is_waiting = false;
    pthread_mutex_unlock(&outbox->lock);
    /* The worker looks at the end of each turn, and is given one when somebody waits. A full mailbox has a turn to
     * come, and a worker that has ended has journal_stop. */
    while (is_awaited && weir_post(journal->weir, worker, on_mail, outbox) == -ENOMEM)
        nanosleep(&breath, NULL);
}

static void on_trouble(const char *text, void *user)
{
    struct journal *journal = user;
    const struct journal_config *config = &journal->config;

    set_input(journal, &journal->is_failing, text != NULL);
    config->on_state(!text, text, config->user);
}

static void on_notice(const char *text, void *user)
{
    const struct journal *journal = user;

    journal->config.on_notice(text, journal->config.user);
}

static void on_numbers(uint64_t limit, void *user)
{
    struct journal *journal = user;

    weir_set_id_limit(journal->weir, limit);
    atomic_store(&journal->numbers_low, limit - WRITER_NUMBERS_LOW);
}

static void on_trimmed(const struct trim_news *news, void *user)
{
    struct journal *journal = user;

    if (journal->config.on_trimmed) journal->config.on_trimmed(news, journal->config.user);
}

/* ---- Clients ---- */

struct journal_client *journal_open(struct journal *journal, struct weir_conn *conn,
                                    const struct journal_listener *listener, void *user)
{
    struct journal_client *client = aligned_alloc(CACHE_LINE_BYTES, sizeof(*client));
    const unsigned worker = weir_conn_worker(conn);
    struct outbox *outbox = &journal->outboxes[worker];

    if (!client) return NULL;
    *client = (struct journal_client){ .head.connection = weir_conn_id(conn),
                                       .conn = conn,
                                       .journal = journal,
                                       .listener = listener,
                                       .user = user,
                                       .worker = worker,
                                       .opened_ms = clock_ms(),
                                       .opened_us = now_us(outbox) };
    TAILQ_INSERT_TAIL(&outbox->rowless, client, listed);
    atomic_fetch_add_explicit(&journal->queue.clients, 1, memory_order_relaxed);
    return client;
}

static void owe(struct journal_client *client, struct record *record)
{
    struct batch *batch = client->journal->outboxes[client->worker].filling;

    record->is_owed = true;
    batch->is_awaited = true;
    batch->owed++;
    client->share.owed++;
    weir_conn_hold(client->conn);
}

int64_t journal_message(struct journal_client *client, struct weir_bytes message, const struct weir_message_info *info,
                        bool is_owed)
{
    struct outbox *outbox = &client->journal->outboxes[client->worker];
    struct record *record = add_bytes(client, RECORD_MESSAGE, message);

    if (!record) {
        weir_conn_abort(client->conn, WEIR_REASON_MEMORY);
        return -ENOMEM;
    }
    if (outbox->sender != client) outbox->switches++;
    outbox->sender = client;
    record->seq = info->seq;
    record->original_len = info->flags & WEIR_MESSAGE_TRUNCATED ? info->original_len : message.len;
    if (info->flags & WEIR_MESSAGE_TRUNCATED) record->flags |= RECORD_TRUNCATED;
    if (info->flags & WEIR_MESSAGE_UNFINISHED) record->flags |= RECORD_UNFINISHED;
    if (is_owed) owe(client, record);
    pause_if_over(client);
    return record->time_us;
}

bool journal_has_room(const struct journal_client *client)
{
    const struct journal *journal = client->journal;

    return !atomic_load_explicit(&journal->is_full, memory_order_relaxed) &&
           share_waiting(&client->share, journal->outboxes[client->worker].back) <=
               journal->queue.bytes_max / ROOM_PART;
}

void journal_sent(struct journal_client *client, struct weir_bytes message, bool is_answer)
{
    struct record *record = NULL;

    if (is_answer && !client->listener->store_replies) return;
    record = add_bytes(client, RECORD_SENT, message);
    if (!record) {
        weir_conn_abort(client->conn, WEIR_REASON_MEMORY);
        return;
    }
    if (is_answer) record->flags |= RECORD_ANSWER;
    client->journal->outboxes[client->worker].filling->is_awaited |= !is_answer;
}

/* The client lives on until this record has come back: before that the writer may have its head in a list. */
static bool add_closing(struct journal_client *client)
{
    const char *text = weir_reason_text(client->reason);
    struct record *record = add_record(client, RECORD_CLOSE, strlen(text));

    if (!record) return false;
    memcpy(record->bytes, text, strlen(text));
    TAILQ_INSERT_TAIL(&client->journal->outboxes[client->worker].closed, client, listed);
    return true;
}

static void close_unclosed(struct outbox *outbox)
{
    struct journal_client *client = NULL;

    while ((client = TAILQ_FIRST(&outbox->unclosed))) {
        TAILQ_REMOVE(&outbox->unclosed, client, listed);
        if (add_closing(client)) continue;
        TAILQ_INSERT_HEAD(&outbox->unclosed, client, listed);
        return;
    }
}

void journal_close(struct journal_client *client, enum weir_reason reason)
{
    struct outbox *outbox = &client->journal->outboxes[client->worker];

    unlist_paused(client);
    atomic_fetch_sub_explicit(&client->journal->queue.clients, 1, memory_order_relaxed);
    if (!client->has_row && !(has_bytes(client) && add_opening(client))) {
        TAILQ_REMOVE(&outbox->rowless, client, listed);
        free(client);
        return;
    }
    client->conn = NULL;
    client->reason = reason;
    if (!add_closing(client)) TAILQ_INSERT_TAIL(&outbox->unclosed, client, listed);
}

/* In time for the writer to take more numbers before these are used up: then accepting would wait for it. */
static void note_numbers(struct journal *journal)
{
    const uint64_t next = weir_next_id(journal->weir);
    uint64_t low = atomic_load_explicit(&journal->numbers_low, memory_order_relaxed);

    if (next >= low && atomic_compare_exchange_strong(&journal->numbers_low, &low, UINT64_MAX))
        writer_note_next_connection(journal->writer, next);
}

void journal_turn(struct journal *journal, unsigned worker)
{
    struct outbox *outbox = &journal->outboxes[worker];

    outbox->time_us = 0;
    go_through_returned(outbox);
    outbox->answer_bytes = 0;
    close_unclosed(outbox);
    note_numbers(journal);
    look_for_rows(journal, outbox, worker);
    if (outbox->filling && ahead(outbox) < AHEAD_MAX) hand_over(journal, outbox);
    if (!TAILQ_EMPTY(&outbox->paused)) resume_clients(journal, outbox);
}

/* ---- From start to end ---- */

static void free_clients(struct journal_clients *clients)
{
    struct journal_client *client = NULL;

    while ((client = TAILQ_FIRST(clients))) {
        TAILQ_REMOVE(clients, client, listed);
        free(client);
    }
}

static size_t batch_bytes(const struct journal_config *config)
{
    const int64_t transaction = config->limits.transaction_bytes_max;
    const size_t most = config->batch_bytes_max ? config->batch_bytes_max : BATCH_BYTES_MAX;

    return transaction > 0 && transaction < (int64_t)most ? (size_t)transaction : most;
}

int journal_new(const struct journal_config *config, struct journal **ret, char error[STORE_ERROR_BYTES_MAX])
{
    struct journal *journal = calloc(1, sizeof(*journal));
    struct outbox *outboxes = calloc(config->workers, sizeof(*outboxes));
    const struct writer_config writer = {
        .path = config->path,
        .limits = config->limits,
        .cache_bytes = config->cache_bytes,
        .on_stored = on_stored,
        .on_trouble = on_trouble,
        .on_notice = on_notice,
        .on_numbers = on_numbers,
        .on_trimmed = on_trimmed,
        .user = journal,
    };
    int err = -ENOMEM;

    if (!journal || !outboxes) {
        snprintf(error, STORE_ERROR_BYTES_MAX, "%s", strerror(ENOMEM));
        goto failed;
    }
    err = writer_new(&writer, &journal->writer, error);
    if (err) goto failed;
    journal->config = *config;
    if (!config->answer_bytes) journal->config.answer_bytes = SIZE_MAX;
    journal->queue.bytes_max = config->queue_bytes_max ? config->queue_bytes_max : QUEUE_BYTES_MAX;
    journal->batch_bytes = batch_bytes(config);
    journal->first_id = writer_next_connection(journal->writer);
    journal->outboxes = outboxes;
    for (unsigned i = 0; i < config->workers; i++) {
        outboxes[i].journal = journal;
        outboxes[i].returned_last = &outboxes[i].returned;
        TAILQ_INIT(&outboxes[i].paused);
        TAILQ_INIT(&outboxes[i].rowless);
        TAILQ_INIT(&outboxes[i].unclosed);
        TAILQ_INIT(&outboxes[i].closed);
        pthread_mutex_init(&outboxes[i].lock, NULL);
    }
    *ret = journal;
    return 0;

failed:
    free(outboxes);
    free(journal);
    return err;
}

uint64_t journal_first_id(const struct journal *journal)
{
    return journal->first_id;
}

uint64_t journal_stored_id(const struct journal *journal)
{
    return writer_stored_id(journal->writer);
}

int journal_start(struct journal *journal, struct weir *weir)
{
    journal->weir = weir;
    on_numbers(writer_numbers_limit(journal->writer), journal);
    return writer_start(journal->writer);
}

int journal_stop(struct journal *journal, int64_t deadline_ms, uint64_t *ret_left)
{
    int err = 0;

    writer_note_next_connection(journal->writer, weir_next_id(journal->weir));
    for (unsigned i = 0; i < journal->config.workers; i++) {
        close_unclosed(&journal->outboxes[i]);
        if (journal->outboxes[i].filling) hand_over(journal, &journal->outboxes[i]);
    }
    err = writer_stop(journal->writer, deadline_ms, ret_left);
    if (!err) batch_free_all(writer_take_left(journal->writer)); /* all connections have gone: none is owed anything */
    return err;
}

void journal_free(struct journal *journal)
{
    if (!journal) return;
    writer_free(journal->writer);
    for (unsigned i = 0; i < journal->config.workers; i++) {
        free(journal->outboxes[i].filling);
        batch_free_all(journal->outboxes[i].spares);
        batch_free_all(journal->outboxes[i].unpaid);
        batch_free_all(journal->outboxes[i].returned);
        free_clients(&journal->outboxes[i].unclosed);
        free_clients(&journal->outboxes[i].closed);
        pthread_mutex_destroy(&journal->outboxes[i].lock);
    }
    free(journal->outboxes);
    free(journal);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app/journal/journal.c: between the workers and the writer. A worker fills a batch, and hands it over at the end of
 * its turn; when the batch is on disk it comes back to the same worker, which acknowledges what it holds, in the order
 * in which it came. So acknowledgements leave in order and without gaps, and no lock is taken for a message.
 *
 * What waits for the disk is bounded. Who has more than its share waiting is not read from, so that whoever floods is
 * ahead of the others by that much and no more; at the bound nobody is. Must never drop a message, acknowledge one that
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

#include "clock.h"
#include "journal/crc32c.h"
#include "journal/record.h"
#include "journal/writer.h"
#include "terminal/utf8.h"

enum {
    QUEUE_BYTES_MAX = 64 * 1024 * 1024,
    SHARE_BYTES_MIN = 64 * 1024, /* that may always wait for one client */
    ROOM_PART = 8,               /* of the queue: what may be sent to one client when others wait for the disk, too */
    OWED_MAX = 4096,             /* acknowledgements for one client */
    HOLD_MS = 20,                /* whoever had more than its share waits at least so long, for the sake of others */
    OTHERS_MS = 1000,            /* others that have sent nothing for so long need no sparing */
    BATCH_BYTES_MAX = 256 * 1024,
    AHEAD_MAX = 16, /* batches of a worker on their way, of which one need not be full */
    SPARE_BATCHES_MAX = AHEAD_MAX + 1,
    ACK_BYTES_USUAL = 256,
    CACHE_LINE_BYTES = 64
};

/* What the writer writes to has a cache line of its own: the worker uses the rest for each message. */
struct journal_client {
    struct head head;                                  /* the writer's while records are on their way */
    _Alignas(CACHE_LINE_BYTES) struct weir_conn *conn; /* NULL: it has gone */
    struct journal *journal;
    const struct journal_listener *listener;
    unsigned worker;
    bool is_paused;
    enum weir_reason reason;            /* why it has gone */
    bool is_muted;                      /* an acknowledgement could not leave: no further one may */
    uint32_t owed;                      /* acknowledgements; the connection is held for each */
    size_t older_bytes, newer_bytes;    /* on their way, see waiting_bytes */
    uint64_t older_batch, newer_batch;  /* the last with any of them */
    int64_t flooded_ms;                 /* when it was paused for more than its share; 0: for something else */
    uint64_t switches;                  /* of senders, at that time */
    int64_t others_ms;                  /* the last such time before which others had sent something, too */
    TAILQ_ENTRY(journal_client) listed; /* in the outbox: paused, unclosed or closed */
};

/* A worker's own, but for what comes back to it. */
struct outbox {
    struct journal *journal;
    struct batch *filling; /* NULL: nothing yet this turn */
    struct batch *spares;  /* to fill */
    unsigned spare_count;
    uint64_t put;                        /* batches handed to the writer; their numbers count from 1 */
    uint64_t back;                       /* of them have come back, in the same order */
    int64_t time_us;                     /* of this turn; 0: nobody has asked yet */
    const struct journal_client *sender; /* of the last message; only compared */
    uint64_t switches;                   /* messages that came from another client than the one before */
    bool has_timer;                      /* for the end of a hold */
    TAILQ_HEAD(journal_clients, journal_client) paused;
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
    size_t queue_bytes_max;
    size_t batch_bytes;         /* of the usual room, which is no more than a transaction */
    _Atomic size_t queue_bytes; /* handed to the writer, and not back */
    _Atomic unsigned clients;
    atomic_bool is_full;    /* all input is paused for the queue */
    atomic_bool is_failing; /* and for the store */
};

/* ---- How much may wait ---- */

static size_t share_of(const struct journal *journal)
{
    const unsigned clients = atomic_load_explicit(&journal->clients, memory_order_relaxed);
    const size_t share = journal->queue_bytes_max / (clients ? clients : 1);

    return share < SHARE_BYTES_MIN ? SHARE_BYTES_MIN : share;
}

/* Nothing is counted down record by record when a batch comes back: its records are in the cache of the writer's core
 * by then, and would have to be fetched one by one. A client's bytes are counted in two parts, up to a batch and behind
 * it, and a part counts until its last batch is back. */
static size_t waiting_bytes(const struct journal_client *client)
{
    const uint64_t back = client->journal->outboxes[client->worker].back;

    return (client->older_batch > back ? client->older_bytes : 0) +
           (client->newer_batch > back ? client->newer_bytes : 0);
}

static void count_bytes(struct journal_client *client, const struct outbox *outbox, size_t bytes)
{
    if (client->older_batch <= outbox->back) {
        client->older_batch = client->newer_batch;
        client->older_bytes = client->newer_bytes;
        client->newer_bytes = 0;
    }
    client->newer_batch = outbox->put + 1;
    client->newer_bytes += bytes;
}

static bool has_more_than_its_share(const struct journal_client *client)
{
    const size_t bytes = waiting_bytes(client);

    return bytes > SHARE_BYTES_MIN && bytes > share_of(client->journal);
}

static void note_flood(const struct outbox *outbox, struct journal_client *client)
{
    client->flooded_ms = clock_ms();
    if (client->switches != outbox->switches) client->others_ms = client->flooded_ms;
    client->switches = outbox->switches;
}

/* What one client has waiting is looked at, at each of its messages, and what all have when a batch is handed over. */
static void pause_if_over(struct journal_client *client)
{
    struct outbox *const outbox = &client->journal->outboxes[client->worker];

    if (client->is_paused || !client->conn) return;
    if (client->owed < OWED_MAX && !has_more_than_its_share(client)) return;
    client->is_paused = true;
    client->flooded_ms = 0;
    if (has_more_than_its_share(client)) note_flood(outbox, client);
    weir_conn_pause(client->conn);
    TAILQ_INSERT_TAIL(&outbox->paused, client, listed);
}

static void unlist_paused(struct journal_client *client)
{
    if (!client->is_paused) return;
    client->is_paused = false;
    TAILQ_REMOVE(&client->journal->outboxes[client->worker].paused, client, listed);
}

static void on_hold_over(struct weir_timer *timer, void *user)
{
    struct outbox *const outbox = user;

    (void)timer;
    outbox->has_timer = false; /* the turn's end looks */
}

/* Whoever sends more than its share in each round has the disk to itself as often as the disk is free: each round is a
 * large commit that others wait for, and brings the log sooner to where it has to be moved. So its rounds keep a
 * distance while there are others. Without memory for a timer there is none. */
static bool is_held(struct journal *journal, struct journal_client *client, int64_t now_ms)
{
    struct outbox *const outbox = &journal->outboxes[client->worker];
    const int64_t left_ms = client->flooded_ms + HOLD_MS - now_ms;

    if (left_ms <= 0 || now_ms >= client->others_ms + OTHERS_MS) return false;
    if (!outbox->has_timer)
        outbox->has_timer =
            weir_timer_start(journal->weir, client->worker, left_ms, 0, on_hold_over, outbox, NULL) == 0;
    return outbox->has_timer;
}

static void resume_clients(struct journal *journal, struct outbox *outbox)
{
    const size_t share = share_of(journal);
    const int64_t now_ms = clock_ms();
    struct journal_client *client = TAILQ_FIRST(&outbox->paused);

    while (client) {
        struct journal_client *const next = TAILQ_NEXT(client, listed);

        if (waiting_bytes(client) <= share / 2 && client->owed <= OWED_MAX / 2 && !is_held(journal, client, now_ms)) {
            unlist_paused(client);
            weir_conn_resume(client->conn);
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

/* The queue is full before the writer has the batch that fills it: when it comes back the writer looks again. A batch
 * of an unusual size is awaited for its memory. */
static void hand_over(struct journal *journal, struct outbox *outbox)
{
    struct batch *const batch = outbox->filling;
    const size_t bytes_before = atomic_fetch_add(&journal->queue_bytes, batch->len);

    if (bytes_before + batch->len > journal->queue_bytes_max) set_input(journal, &journal->is_full, true);
    batch->is_awaited |= !TAILQ_EMPTY(&outbox->paused) || batch->room != journal->batch_bytes;
    outbox->filling = NULL;
    outbox->put++;
    writer_put(journal->writer, batch);
}

static struct batch *empty_batch(struct outbox *outbox, unsigned worker, size_t room)
{
    const size_t usual = outbox->journal->batch_bytes;
    struct batch *const batch = outbox->spares;

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
    if (batch->room != outbox->journal->batch_bytes || outbox->spare_count >= SPARE_BATCHES_MAX) {
        free(batch);
        return;
    }
    batch->next = outbox->spares;
    outbox->spares = batch;
    outbox->spare_count++;
}

/* A record with len bytes to fill in; NULL for want of memory. */
static struct record *add_record(struct journal_client *client, enum record_kind kind, size_t len)
{
    struct journal *const journal = client->journal;
    struct outbox *const outbox = &journal->outboxes[client->worker];
    struct record *record = outbox->filling ? batch_add(outbox->filling, len) : NULL;

    if (!record) {
        if (outbox->filling) hand_over(journal, outbox);
        outbox->filling = empty_batch(outbox, client->worker, record_bytes(len));
        if (!outbox->filling) return NULL;
        record = batch_add(outbox->filling, len);
    }
    if (!outbox->time_us) outbox->time_us = clock_wall_us();
    *record = (struct record){ .head = &client->head,
                               .time_us = outbox->time_us,
                               .original_len = len,
                               .len = (uint32_t)len,
                               .kind = (uint8_t)kind };
    count_bytes(client, outbox, record_bytes(len));
    return record;
}

/* Most messages are printable ASCII, and seen to be in a loop without a branch, which compilers do for many bytes at
 * once: as a signed number a byte of 128 and more is less than a space, too. */
static bool is_plain(struct weir_bytes bytes)
{
    unsigned char odd = 0;

    for (size_t i = 0; i < bytes.len; i++)
        odd |= (unsigned char)(((signed char)bytes.data[i] < ' ') | (bytes.data[i] == 0x7f));
    return !odd;
}

/* Readable in whatever shows it, and harmless there: printable UTF-8, tabs and line ends. */
static bool is_text(struct weir_bytes bytes)
{
    if (is_plain(bytes)) return true;
    while (bytes.len > 0) {
        const unsigned char byte = bytes.data[0];
        const bool is_ascii = byte < 0x7f && (byte >= ' ' || byte == '\t' || byte == '\n' || byte == '\r');
        uint32_t character = byte;
        const int len = is_ascii ? 1 : utf8_decode(bytes, &character);

        if (len < 0 || (!is_ascii && utf8_columns(character) < 0)) return false;
        bytes.data += len;
        bytes.len -= (size_t)len;
    }
    return true;
}

static struct record *add_bytes(struct journal_client *client, enum record_kind kind, struct weir_bytes bytes)
{
    struct record *const record = add_record(client, kind, bytes.len);

    if (!record) return NULL;
    if (bytes.len > 0) memcpy(record->bytes, bytes.data, bytes.len);
    record->crc32c = crc32c(record->bytes, bytes.len);
    if (is_text(bytes)) record->flags |= RECORD_TEXT;
    return record;
}

static void give_up(struct journal_client *client)
{
    client->is_muted = true;
    if (client->conn) weir_conn_abort(client->conn, WEIR_REASON_MEMORY);
}

/* ---- Acknowledgements ---- */

static struct journal_client *client_of(struct head *head)
{
    return (struct journal_client *)(void *)head; /* its first member */
}

/* Leaves, or ends the connection: a stream of acknowledgements must not have a hole. */
static void acknowledge(struct journal_client *client, const struct record *record)
{
    const struct template *const ack = client->listener->ack;
    const struct template_values values = { .seq = record->seq,
                                            .id = record->id,
                                            .conn = client->head.connection,
                                            .time_us = record->time_us,
                                            .message = { record->bytes, record->len } };
    unsigned char small[ACK_BYTES_USUAL];
    const size_t room = template_bytes_max(ack);
    unsigned char *const bytes = room <= sizeof(small) ? small : malloc(room);
    const struct weir_bytes message = { bytes, bytes ? template_write(ack, &values, bytes) : 0 };
    const int result = bytes ? weir_conn_send(client->conn, message) : -ENOMEM;

    if (result < 0) {
        client->is_muted = true;
        if (result != WEIR_ECLOSING)
            weir_conn_abort(client->conn, result == -ENOBUFS  ? WEIR_REASON_SLOW_READER
                                          : result == -ENOMEM ? WEIR_REASON_MEMORY
                                                              : WEIR_REASON_FAILED);
    } else if (client->listener->store_replies) {
        journal_sent(client, message, true);
    }
    if (bytes != small) free(bytes);
}

static void pay(struct journal_client *client, const struct record *record)
{
    client->owed--;
    if (!client->conn) return;
    if (!client->is_muted) acknowledge(client, record);
    weir_conn_release(client->conn);
}

static void pay_all(struct batch *batch)
{
    for (struct record *record = batch_next(batch, NULL); record && batch->owed > 0;
         record = batch_next(batch, record)) {
        if (!record->is_owed) continue;
        batch->owed--;
        pay(client_of(record->head), record);
    }
}

static void free_closed(struct outbox *outbox)
{
    struct journal_client *client = TAILQ_FIRST(&outbox->closed);

    while (client && client->newer_batch <= outbox->back) {
        struct journal_client *const next = TAILQ_NEXT(client, listed);

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

static void go_through_returned(struct outbox *outbox)
{
    struct batch *batch = take_returned(outbox);

    while (batch) {
        struct batch *const next = batch->next;

        outbox->back++;
        pay_all(batch);
        keep_spare(outbox, batch);
        batch = next ? next : take_returned(outbox);
    }
    free_closed(outbox);
}

/* The end of the way for whatever has come back, also when its mail could not be sent. */
static void on_mail(struct weir *weir, void *user)
{
    (void)weir;
    go_through_returned(user);
}

/* ---- On the writer's thread ---- */

static void on_stored(struct batch *batch, void *user)
{
    struct journal *const journal = user;
    const unsigned worker = batch->worker; /* it is not ours once it is in the list */
    struct outbox *const outbox = &journal->outboxes[worker];
    const struct timespec breath = { .tv_nsec = 10 * 1000000 };
    const size_t bytes_left = atomic_fetch_sub(&journal->queue_bytes, batch->len) - batch->len;
    bool is_awaited = batch->is_awaited;

    if (bytes_left <= journal->queue_bytes_max / 2) set_input(journal, &journal->is_full, false);
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
    struct journal *const journal = user;
    const struct journal_config *const config = &journal->config;

    set_input(journal, &journal->is_failing, text != NULL);
    config->on_state(!text, text, config->user);
}

static void on_notice(const char *text, void *user)
{
    const struct journal *const journal = user;

    journal->config.on_notice(text, journal->config.user);
}

static void on_trimmed(const struct trim_news *news, void *user)
{
    struct journal *const journal = user;

    if (journal->config.on_trimmed) journal->config.on_trimmed(news, journal->config.user);
}

/* ---- Clients ---- */

static struct record *add_opening(struct journal_client *client)
{
    const struct journal_listener *const listener = client->listener;
    char peer[WEIR_ADDRESS_BYTES_MAX];
    const char *const texts[] = { listener->url, listener->frame, weir_conn_peer(client->conn, peer) };
    const size_t len = strlen(texts[0]) + strlen(texts[1]) + strlen(texts[2]) + 3;
    struct record *const record = add_record(client, RECORD_OPEN, len);
    unsigned char *at = record ? record->bytes : NULL;

    for (size_t i = 0; record && i < sizeof(texts) / sizeof(texts[0]); i++) {
        memcpy(at, texts[i], strlen(texts[i]) + 1);
        at += strlen(texts[i]) + 1;
    }
    return record;
}

struct journal_client *journal_open(struct journal *journal, struct weir_conn *conn,
                                    const struct journal_listener *listener)
{
    struct journal_client *const client = aligned_alloc(CACHE_LINE_BYTES, sizeof(*client));

    if (!client) return NULL;
    *client = (struct journal_client){ .head.connection = weir_conn_id(conn),
                                       .conn = conn,
                                       .journal = journal,
                                       .listener = listener,
                                       .worker = weir_conn_worker(conn) };
    if (!add_opening(client)) {
        free(client);
        return NULL;
    }
    atomic_fetch_add_explicit(&journal->clients, 1, memory_order_relaxed);
    return client;
}

static void owe(struct journal_client *client, struct record *record)
{
    const struct journal_listener *const listener = client->listener;
    struct batch *const batch = client->journal->outboxes[client->worker].filling;

    if (!listener->ack || record->flags & RECORD_UNFINISHED) return;
    if (record->flags & RECORD_TRUNCATED && !listener->ack_truncated) return;
    if (listener->ack_when == ACK_WHEN_RECEIVED) {
        if (!client->is_muted) acknowledge(client, record);
        return;
    }
    record->is_owed = true;
    batch->is_awaited = true;
    batch->owed++;
    client->owed++;
    weir_conn_hold(client->conn);
}

void journal_message(struct journal_client *client, struct weir_bytes message)
{
    struct outbox *const outbox = &client->journal->outboxes[client->worker];
    struct record *const record = add_bytes(client, RECORD_MESSAGE, message);
    struct weir_message_info info;

    if (!record) {
        give_up(client);
        return;
    }
    if (outbox->sender != client) outbox->switches++;
    outbox->sender = client;
    weir_conn_message(client->conn, &info);
    record->seq = info.seq;
    record->original_len = info.flags & WEIR_MESSAGE_TRUNCATED ? info.original_len : message.len;
    if (info.flags & WEIR_MESSAGE_TRUNCATED) record->flags |= RECORD_TRUNCATED;
    if (info.flags & WEIR_MESSAGE_UNFINISHED) record->flags |= RECORD_UNFINISHED;
    owe(client, record);
    pause_if_over(client);
}

bool journal_has_room(const struct journal_client *client)
{
    const struct journal *const journal = client->journal;

    return !atomic_load_explicit(&journal->is_full, memory_order_relaxed) &&
           waiting_bytes(client) <= journal->queue_bytes_max / ROOM_PART;
}

void journal_sent(struct journal_client *client, struct weir_bytes message, bool is_answer)
{
    struct record *record = NULL;

    if (is_answer && !client->listener->store_replies) return;
    record = add_bytes(client, RECORD_SENT, message);
    if (!record) {
        give_up(client);
        return;
    }
    if (is_answer) record->flags |= RECORD_ANSWER;
    client->journal->outboxes[client->worker].filling->is_awaited |= !is_answer;
}

void *journal_client_user(const struct journal_client *client)
{
    return client->listener->user;
}

/* The client lives on until this record has come back: before that the writer may have its head in a list. */
static bool add_closing(struct journal_client *client)
{
    const char *const text = weir_reason_text(client->reason);
    struct record *const record = add_record(client, RECORD_CLOSE, strlen(text));

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
    struct journal *const journal = client->journal;

    unlist_paused(client);
    atomic_fetch_sub_explicit(&journal->clients, 1, memory_order_relaxed);
    client->conn = NULL;
    client->reason = reason;
    if (!add_closing(client)) TAILQ_INSERT_TAIL(&journal->outboxes[client->worker].unclosed, client, listed);
}

void journal_turn(struct journal *journal, unsigned worker)
{
    struct outbox *const outbox = &journal->outboxes[worker];

    outbox->time_us = 0;
    go_through_returned(outbox);
    close_unclosed(outbox);
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

static size_t batch_bytes(const struct retain_limits *limits)
{
    const int64_t most = limits->transaction_bytes_max;

    return most > 0 && most < BATCH_BYTES_MAX ? (size_t)most : BATCH_BYTES_MAX;
}

int journal_new(const struct journal_config *config, struct journal **ret, char error[STORE_ERROR_BYTES_MAX])
{
    struct journal *const journal = calloc(1, sizeof(*journal));
    struct outbox *const outboxes = calloc(config->workers, sizeof(*outboxes));
    const struct writer_config writer = {
        .path = config->path,
        .limits = config->limits,
        .on_stored = on_stored,
        .on_trouble = on_trouble,
        .on_notice = on_notice,
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
    journal->queue_bytes_max = config->queue_bytes_max ? config->queue_bytes_max : QUEUE_BYTES_MAX;
    journal->batch_bytes = batch_bytes(&config->limits);
    journal->first_id = writer_next_connection(journal->writer);
    journal->outboxes = outboxes;
    for (unsigned i = 0; i < config->workers; i++) {
        outboxes[i].journal = journal;
        outboxes[i].returned_last = &outboxes[i].returned;
        TAILQ_INIT(&outboxes[i].paused);
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

int journal_start(struct journal *journal, struct weir *weir)
{
    journal->weir = weir;
    return writer_start(journal->writer);
}

uint64_t journal_stop(struct journal *journal)
{
    uint64_t count = 0;

    for (unsigned i = 0; i < journal->config.workers; i++) {
        close_unclosed(&journal->outboxes[i]);
        if (journal->outboxes[i].filling) hand_over(journal, &journal->outboxes[i]);
    }
    count = writer_stop(journal->writer);
    batch_free_all(writer_take_left(journal->writer)); /* all connections have gone: nothing of it is acknowledged */
    return count;
}

void journal_free(struct journal *journal)
{
    if (!journal) return;
    writer_free(journal->writer);
    for (unsigned i = 0; i < journal->config.workers; i++) {
        free(journal->outboxes[i].filling);
        batch_free_all(journal->outboxes[i].spares);
        batch_free_all(journal->outboxes[i].returned);
        free_clients(&journal->outboxes[i].unclosed);
        free_clients(&journal->outboxes[i].closed);
        pthread_mutex_destroy(&journal->outboxes[i].lock);
    }
    free(journal->outboxes);
    free(journal);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * tests/crash/load.c: what comes next is decided where the last one was stored, on the writer's thread: so the writer
 * finds the same waiting each time, and groups it in the same way, however the threads are scheduled. */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>

#include <sqlite3.h>

#include "journal/writer.h"
#include "memory.h"
#include "store/store.h"

enum {
    CLIENTS = 6, /* at once */
    ENDS = 40,   /* heads that may be on their way or in a list of the writer's */
    BATCH_BYTES = 128 * 1024,
    SESSION_BATCHES_MIN = 5,
    SESSION_BATCHES_MAX = 70
};

struct session {
    const struct load *load;
    struct writer *writer;
    struct head *heads; /* all of the session; one is used once */
    size_t heads_count;
    struct head *open[CLIENTS]; /* NULL: free */
    uint64_t next_number;
    unsigned batches_left;
    unsigned on_their_way;
};

static void die(const char *text)
{
    fprintf(stderr, "the store fails without a fault: %s\n", text);
    abort();
}

/* ---- What comes ---- */

static void begin_session(struct session *session, const struct load *load, uint64_t next_number)
{
    const size_t batches = SESSION_BATCHES_MIN + (size_t)dice_roll(load->dice, SESSION_BATCHES_MAX);

    *session = (struct session){ .load = load, .next_number = next_number, .batches_left = (unsigned)batches };
    session->heads = grow(NULL, ENDS, sizeof(*session->heads));
}

/* Now and then the clock is set back. */
static void pass_time(const struct load *load)
{
    if (dice_one_in(load->dice, 200)) *load->time_us -= (int64_t)dice_roll(load->dice, 40000000);
    *load->time_us += (int64_t)dice_roll(load->dice, dice_one_in(load->dice, 20) ? 2500000 : 50000);
}

static struct record *add_open(struct session *session, struct batch *batch, struct head **slot)
{
    const struct load *load = session->load;

    if (session->heads_count == ENDS) return NULL;
    *slot = &session->heads[session->heads_count++];
    **slot = (struct head){ .connection = session->next_number++ };
    ledger_give(load->ledger, (*slot)->connection, recorder_position(load->recorder));
    return ledger_put_open(load->ledger, batch, *slot, *load->time_us);
}

/* One record at random; NULL when there is no room. */
static struct record *add_one(struct session *session, struct batch *batch)
{
    const struct load *load = session->load;
    struct head **slot = &session->open[dice_roll(load->dice, CLIENTS)];
    struct record *record = NULL;

    pass_time(load);
    if (!*slot) return add_open(session, batch, slot);
    if (!dice_one_in(load->dice, 40)) return ledger_put_message(load->ledger, batch, *slot, *load->time_us);
    record = ledger_put_close(load->ledger, batch, *slot, *load->time_us);
    if (record) *slot = NULL;
    return record;
}

static struct batch *make_batch(struct session *session)
{
    struct dice *dice = session->load->dice;
    const uint64_t most = dice_roll(dice, 3) == 0 ? 60 : 5;
    struct batch *batch = batch_new(0, BATCH_BYTES);

    if (!batch) die("no memory");
    batch->is_awaited = true;
    for (uint64_t left = 1 + dice_roll(dice, most); left > 0 && add_one(session, batch); left--)
        continue;
    session->batches_left--;
    return batch;
}

/* ---- By the writer ---- */

static void put_some(struct session *session)
{
    for (uint64_t some = 1 + dice_roll(session->load->dice, 3); some > 0 && session->batches_left > 0; some--) {
        session->on_their_way++;
        writer_put(session->writer, make_batch(session));
    }
}

static void on_stored(struct batch *batch, void *user)
{
    struct session *session = user;

    ledger_stored(session->load->ledger, batch, recorder_position(session->load->recorder));
    free(batch);
    session->on_their_way--;
    if (session->on_their_way == 0 || dice_one_in(session->load->dice, 3)) put_some(session);
}

static void on_trouble(const char *text, void *user)
{
    (void)user;
    die(text ? text : "it works again");
}

void load_by_writer(const struct load *load)
{
    struct session session;
    const struct writer_config config = {
        .path = load->path, .on_stored = on_stored, .on_trouble = on_trouble, .user = &session
    };
    struct writer *writer = NULL;
    char error[STORE_ERROR_BYTES_MAX];
    uint64_t left = 0;

    if (writer_new(&config, &writer, error)) die(error);
    begin_session(&session, load, writer_next_connection(writer));
    session.writer = writer;
    put_some(&session);
    if (writer_start(writer)) die("no thread");
    if (writer_stop(writer, INT64_MAX, &left) || left || session.batches_left) die("something is left");
    writer_free(writer);
    free(session.heads);
}

/* ---- By the store ---- */

static void expect_stored(const struct store *store, enum store_outcome outcome)
{
    if (outcome != STORE_STORED) die(store_text(store));
}

static void store_one(struct session *session, struct store *store)
{
    const struct load *load = session->load;
    struct batch *batch = make_batch(session);

    expect_stored(store, store_begin(store));
    expect_stored(store, store_add(store, batch));
    if (load->is_stored_too_soon) ledger_stored(load->ledger, batch, recorder_position(load->recorder));
    expect_stored(store, store_commit(store));
    if (!load->is_stored_too_soon) ledger_stored(load->ledger, batch, recorder_position(load->recorder));
    free(batch);
}

/* As if it had never been: the session, too, is as before. */
static void give_one_up(struct session *session, struct store *store)
{
    const struct session before = *session;
    struct head heads[ENDS];
    struct batch *batch = NULL;

    for (size_t i = 0; i < before.heads_count; i++)
        heads[i] = session->heads[i];
    batch = make_batch(session);
    expect_stored(store, store_begin(store));
    expect_stored(store, store_add(store, batch));
    store_rollback(store);
    ledger_take_back(session->load->ledger, batch);
    *session = before;
    for (size_t i = 0; i < before.heads_count; i++)
        session->heads[i] = heads[i];
    free(batch);
}

static bool are_all_closed(const struct session *session)
{
    for (size_t i = 0; i < CLIENTS; i++)
        if (session->open[i]) return false;
    return true;
}

static void write_heads(struct session *session, struct store *store)
{
    expect_stored(store, store_begin(store));
    for (size_t i = 0; i < CLIENTS; i++)
        if (session->open[i]) expect_stored(store, store_set_head(store, session->open[i]));
    expect_stored(store, store_set_heads_until(store));
    expect_stored(store, store_commit(store));
}

/* Whoever reads holds the log: it can be moved in part only. */
static sqlite3 *begin_reading(const char *path)
{
    sqlite3 *db = NULL;

    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK ||
        sqlite3_exec(db, "BEGIN; SELECT count(*) FROM meta", NULL, NULL, NULL) != SQLITE_OK)
        die(sqlite3_errmsg(db));
    return db;
}

void load_by_store(const struct load *load)
{
    struct session session;
    struct store *store = NULL;
    sqlite3 *reader = NULL;
    char error[STORE_ERROR_BYTES_MAX];
    int64_t left = 0;
    bool is_begun = false;

    if (store_open(load->path, &store, error)) die(error);
    begin_session(&session, load, store_next_connection(store));
    expect_stored(store, store_begin_run(store, ENDS, &is_begun));
    if (!is_begun) die("what was open stays so");
    while (session.batches_left) {
        store_one(&session, store);
        if (session.batches_left && dice_one_in(load->dice, 12)) give_one_up(&session, store);
        if (dice_one_in(load->dice, 8)) write_heads(&session, store);
        if (dice_one_in(load->dice, 10)) expect_stored(store, store_checkpoint(store, &left));
        if (!reader && dice_one_in(load->dice, 30)) {
            reader = begin_reading(load->path);
        } else if (reader && dice_one_in(load->dice, 8)) {
            sqlite3_close(reader);
            reader = NULL;
        }
    }
    if (dice_one_in(load->dice, 2)) {
        write_heads(&session, store);
        expect_stored(store, store_seal(store, session.next_number, are_all_closed(&session)));
    }
    if (dice_one_in(load->dice, 2)) expect_stored(store, store_checkpoint(store, &left));
    store_close(store);
    sqlite3_close(reader);
    free(session.heads);
}

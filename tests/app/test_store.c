/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The store: what is in it after each call, read back over a connection of its own. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "records.h"
#include "scratch.h"
#include "store/folder.h"
#include "store/schema.h"
#include "store/store.h"

enum { BATCH_BYTES = 4096 };

static char path[SCRATCH_BYTES_MAX];
static struct batch *batch; /* of the records that a test adds */

/* Each test has an empty folder. */
static int setup(void **state)
{
    char error[FOLDER_ERROR_BYTES_MAX];

    if (scratch_make(state)) return -1;
    batch = batch_new(0, BATCH_BYTES);
    return batch ? folder_make_file(scratch_path("s.db", path), error) : -1;
}

static int teardown(void **state)
{
    free(batch);
    return scratch_remove(state);
}

/* ---- Another program that looks, or writes ---- */

static sqlite3 *open_other(void)
{
    sqlite3 *db = NULL;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    return db;
}

static void run_other(const char *sql)
{
    sqlite3 *db = open_other();
    char *error = NULL;

    if (sqlite3_exec(db, sql, NULL, NULL, &error) != SQLITE_OK) fail_msg("%s: %s", sql, error);
    sqlite3_close(db);
}

/* The first column of the first row, as text. */
static void expect_row(const char *sql, const char *expected)
{
    sqlite3 *db = open_other();
    sqlite3_stmt *statement = NULL;
    const char *text = NULL;

    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    text = (const char *)sqlite3_column_text(statement, 0);
    if (strcmp(text ? text : "(null)", expected) != 0)
        fail_msg("%s: %s and not %s", sql, text ? text : "(null)", expected);
    sqlite3_finalize(statement);
    sqlite3_close(db);
}

/* ---- What is stored ---- */

static struct store *open_store(void)
{
    char error[STORE_ERROR_BYTES_MAX] = "";
    struct store *store = NULL;

    if (store_open(path, &store, error)) fail_msg("%s", error);
    return store;
}

static void begin_run(struct store *store, uint64_t numbers)
{
    bool are_all_closed = false;

    assert_int_equal(store_begin_run(store, numbers, &are_all_closed), STORE_STORED);
    assert_true(are_all_closed);
}

static struct record *make_open(struct head *head)
{
    static const char bytes[] = "tcp://127.0.0.1:8000\0line\0tcp://127.0.0.1:9";

    return record_add(batch, head, RECORD_OPEN, bytes, sizeof(bytes));
}

static struct record *make_message(struct head *head, uint64_t seq, const char *text)
{
    struct record *record = record_add(batch, head, RECORD_MESSAGE, text, strlen(text));

    record->seq = seq;
    return record;
}

/* One transaction of these records, up to NULL. */
static void store_all(struct store *store, struct record *const *records)
{
    assert_int_equal(store_begin(store), STORE_STORED);
    for (; *records; records++)
        assert_int_equal(record_store(store, *records), STORE_STORED);
    assert_int_equal(store_commit(store), STORE_STORED);
}

#define STORE_ALL(store, ...) store_all(store, (struct record *const[]){ __VA_ARGS__, NULL })

static void a_new_store_is_set_up_and_empty(void **state)
{
    struct store *store = open_store();

    (void)state;
    assert_int_equal(store_next_connection(store), 1);
    assert_int_equal(store_last_message(store), 0);
    expect_row("PRAGMA journal_mode", "wal");
    expect_row("PRAGMA page_size", "8192");
    expect_row("SELECT user_version & 255 FROM pragma_user_version", "3");
    expect_row("PRAGMA application_id", "2003134834");
    expect_row("SELECT count(*) FROM recent", "0");
    expect_row("SELECT length(value) FROM meta WHERE key = 'store'", "32");
    store_close(store);
    store_close(NULL);
}

/* What SQLite makes beside it takes its mode from it. */
static void its_files_are_the_owners_alone(void **state)
{
    static const char *const names[] = { "s.db", "s.db-wal", "s.db-shm" };
    struct store *store = open_store();

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char name[SCRATCH_BYTES_MAX];
        struct stat status;

        assert_int_equal(stat(scratch_path(names[i], name), &status), 0);
        assert_int_equal(status.st_mode & 07777, 0600);
    }
    store_close(store);
}

/* One that has gone is not made anew in silence, and never with the umask's mode. */
static void a_file_that_is_not_there_is_not_made(void **state)
{
    char error[STORE_ERROR_BYTES_MAX] = "";
    struct store *store = NULL;
    struct stat status;

    (void)state;
    assert_int_equal(remove(path), 0);
    assert_true(store_open(path, &store, error) < 0);
    assert_null(store);
    assert_non_null(strstr(error, path));
    assert_int_equal(stat(path, &status), -1);
}

static void messages_are_numbered_and_point_to_the_one_before(void **state)
{
    struct store *store = open_store();
    struct head one = { .connection = 1 }, two = { .connection = 2 };
    struct record *const records[] = {
        make_open(&one),
        make_open(&two),
        make_message(&one, 1, "a"),
        make_message(&two, 1, "b"),
        make_message(&one, 2, "c"),
        NULL,
    };

    (void)state;
    store_all(store, records);
    STORE_ALL(store, make_message(&two, 2, "d"));
    assert_int_equal(records[2]->id, 1);
    assert_int_equal(records[3]->id, 2);
    assert_int_equal(records[4]->id, 3);
    assert_int_equal(store_last_message(store), 4);
    assert_true(store_has(store, records[4]));
    expect_row("SELECT group_concat(id || ':' || connection || ':' || seq || '<' || previous || '=' || bytes, ' ')"
               " FROM message",
               "1:1:1<0=a 2:2:1<0=b 3:1:2<1=c 4:2:2<2=d");
    expect_row("SELECT group_concat(id || ' ' || listener || ' ' || frame || ' ' || peer, ', ') FROM connection",
               "1 tcp://127.0.0.1:8000 line tcp://127.0.0.1:9, 2 tcp://127.0.0.1:8000 line tcp://127.0.0.1:9");
    store_close(store);
}

static void every_column_is_what_was_given(void **state)
{
    struct store *store = open_store();
    struct head head = { .connection = 1 };
    struct record *cut = make_message(&head, 9, "abc");
    struct record *sent = record_add(batch, &head, RECORD_SENT, "\0\xff", 2);
    struct record *closed = record_add(batch, &head, RECORD_CLOSE, "peer closed", 11);

    (void)state;
    cut->original_len = 500;
    cut->flags = RECORD_TRUNCATED | RECORD_TEXT;
    cut->time_us += 1000042;
    closed->time_us += 2000000;
    STORE_ALL(store, make_open(&head), cut, sent, closed);
    expect_row("SELECT direction || ' ' || seq || ' ' || time || ' ' || flags || ' ' || original_len || ' ' || crc32c"
               " || ' ' || typeof(bytes) FROM message WHERE id = 1",
               "0 9 1763856001000042 5 500 910901175 blob");
    expect_row("SELECT direction || ' ' || ifnull(original_len, 'null') || ' ' || hex(bytes) FROM message"
               " WHERE id = 2",
               "1 null 00FF");
    expect_row("SELECT opened || ' ' || closed || ' ' || reason || ' ' || last_message FROM connection",
               "1763856000000000 1763856002000000 peer closed 2");
    expect_row("SELECT group_concat(time || '.' || direction || '.' || len || '.' || bytes, ' ') FROM recent",
               "2025-11-23T00:00:00.000000Z.out.2.00FF 2025-11-23T00:00:01.000042Z.in.3.abc");
    store_close(store);
}

static void the_first_message_of_a_second_is_noted(void **state)
{
    static const int64_t seconds[] = { 0, 0, 5, 3, 6 }; /* the clock was once set back */
    struct store *store = open_store();
    struct head head = { .connection = 1 };

    (void)state;
    STORE_ALL(store, make_open(&head));
    for (size_t i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++) {
        struct record *record = make_message(&head, i + 1, "m");

        record->time_us += seconds[i] * 1000000;
        STORE_ALL(store, record);
    }
    expect_row("SELECT group_concat((time - 1763856000) || ':' || first_message, ' ') FROM second", "0:1 3:4 5:3 6:5");
    store_close(store);
}

/* As a reader does that came first after a kill, and puts the log in order. */
static void one_who_holds_it_for_a_moment_is_waited_for(void **state)
{
    int ready[2] = { -1, -1 };
    char byte = 0;
    int status = 0;
    pid_t child = 0;

    (void)state;
    store_close(open_store());
    assert_int_equal(pipe(ready), 0);
    child = fork();
    if (child == 0) {
        sqlite3 *db = NULL;
        const bool has = sqlite3_open(path, &db) == SQLITE_OK &&
                         sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK &&
                         write(ready[1], &byte, 1) == 1;

        poll(NULL, 0, 100);
        _exit(!has);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    store_close(open_store());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    close(ready[0]);
    close(ready[1]);
}

static void a_new_open_goes_on(void **state)
{
    struct store *store = open_store();
    struct head one = { .connection = 1 }, two = { .connection = 2 };

    (void)state;
    STORE_ALL(store, make_open(&one), make_message(&one, 1, "a"));
    assert_int_equal(store_next_connection(store), 2);
    assert_int_equal(store_seal(store, 2, true), STORE_STORED);
    store_close(store);

    store = open_store();
    assert_int_equal(store_next_connection(store), 2);
    assert_int_equal(store_last_message(store), 1);
    STORE_ALL(store, make_open(&two), make_message(&two, 1, "b"));
    store_close(store);
    expect_row("SELECT group_concat(id || ':' || connection, ' ') FROM message", "1:1 2:2");
    expect_row("SELECT group_concat(time, ' ') FROM second", "1763856000");
}

/* Numbers are given to connections that have no row, too. */
static void numbers_that_are_taken_do_not_come_again(void **state)
{
    struct store *store = open_store();
    struct head head = { .connection = 800 };

    (void)state;
    begin_run(store, 500);
    store_close(store);
    store = open_store();
    assert_int_equal(store_next_connection(store), 501);
    begin_run(store, 100);
    assert_int_equal(store_next_connection(store), 501); /* of this run */
    assert_int_equal(store_take_numbers(store, 1000), STORE_STORED);
    STORE_ALL(store, make_open(&head));
    store_close(store);
    store = open_store();
    assert_int_equal(store_next_connection(store), 1000);
    store_close(store);
}

static void a_seal_gives_back_the_numbers_that_were_not_given(void **state)
{
    static const uint64_t nexts[] = { 7, 0 }; /* 0: as if nobody had said */
    struct head head = { .connection = 800 };
    struct store *store = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof(nexts) / sizeof(nexts[0]); i++) {
        store = open_store();
        begin_run(store, 1000);
        assert_int_equal(store_seal(store, nexts[i], true), STORE_STORED);
        store_close(store);
        store = open_store();
        assert_int_equal(store_next_connection(store), nexts[i] ? nexts[i] : 1);
        store_close(store);
    }
    store = open_store();
    STORE_ALL(store, make_open(&head));
    assert_int_equal(store_seal(store, 7, true), STORE_STORED);
    store_close(store);
    store = open_store();
    assert_int_equal(store_next_connection(store), 801); /* a row has the number before it, whatever is said */
    store_close(store);
}

static void what_is_not_committed_is_not_stored(void **state)
{
    struct store *store = open_store();
    struct head head = { .connection = 1 };
    struct record *first = make_message(&head, 1, "a");

    (void)state;
    STORE_ALL(store, make_open(&head));
    assert_int_equal(store_begin(store), STORE_STORED);
    assert_int_equal(record_store(store, first), STORE_STORED);
    store_rollback(store);
    assert_false(store_has(store, first));
    assert_int_equal(store_last_message(store), 0);

    head.last_message = 0;
    STORE_ALL(store, make_message(&head, 1, "b"));
    assert_false(store_has(store, first)); /* another message has its id */
    assert_int_equal(store_begin(store), STORE_STORED);
    assert_int_equal(record_store(store, make_message(&head, 2, "c")), STORE_STORED);
    store_close(store);
    expect_row("SELECT group_concat(id || bytes, ' ') FROM message", "1b");
    expect_row("SELECT group_concat(first_message, ' ') FROM second", "1");
}

static void heads_are_rebuilt_after_an_end_without_seal(void **state)
{
    struct store *store = open_store();
    struct head one = { .connection = 1 }, two = { .connection = 2 }, three = { .connection = 3 };

    (void)state;
    STORE_ALL(store, make_open(&one), make_open(&two), make_open(&three), make_message(&one, 1, "a"),
              make_message(&two, 1, "b"));
    assert_int_equal(store_begin(store), STORE_STORED);
    assert_int_equal(store_set_head(store, &one), STORE_STORED);
    assert_int_equal(store_set_head(store, &two), STORE_STORED);
    assert_int_equal(store_set_heads_until(store), STORE_STORED);
    assert_int_equal(store_commit(store), STORE_STORED);
    STORE_ALL(store, make_message(&one, 2, "c"), make_message(&one, 3, "d"));
    store_close(store);
    expect_row("SELECT group_concat(last_message, ' ') FROM connection", "1 2 0");

    store_close(open_store());
    expect_row("SELECT group_concat(last_message, ' ') FROM connection", "4 2 0");
    run_other("UPDATE connection SET last_message = 0; DELETE FROM meta WHERE key = 'heads_until'");
    store_close(open_store());
    expect_row("SELECT group_concat(last_message, ' ') FROM connection", "4 2 0");
}

static void another_writer_is_noticed_and_named(void **state)
{
    struct store *store = open_store();
    struct head head = { .connection = 1 };

    (void)state;
    STORE_ALL(store, make_open(&head), make_message(&head, 1, "a"));
    expect_row("SELECT count(*) FROM message", "1"); /* who only reads may come and go */
    STORE_ALL(store, make_message(&head, 2, "b"));
    run_other(
        "INSERT INTO message SELECT id + 1, connection, 0, 9, time, 0, 0, NULL, 0, 'x' FROM message WHERE id = 2");
    assert_int_equal(store_begin(store), STORE_UNKNOWN);
    assert_non_null(strstr(store_text(store), "another program has written"));
    assert_int_equal(store_begin(store), STORE_UNKNOWN); /* until it is opened anew */
    store_close(store);

    store = open_store();
    assert_int_equal(store_last_message(store), 3);
    STORE_ALL(store, make_message(&head, 3, "c"));
    store_close(store);
}

static void another_that_holds_the_lock_is_a_refusal(void **state)
{
    struct store *store = open_store();
    struct head head = { .connection = 1 };
    sqlite3 *other = open_other();

    (void)state;
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(store_begin(store), STORE_REFUSED);
    assert_non_null(strstr(store_text(store), "locked"));
    assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    STORE_ALL(store, make_open(&head));
    sqlite3_close(other);
    store_close(store);
}

static void a_checkpoint_empties_the_log(void **state)
{
    struct store *store = open_store();
    struct head head = { .connection = 1 };
    int64_t left = -1;

    (void)state;
    STORE_ALL(store, make_open(&head), make_message(&head, 1, "a"));
    assert_true(store_log_bytes(store) > 0);
    assert_int_equal(store_checkpoint(store, &left), STORE_STORED);
    assert_int_equal(left, 0);
    assert_int_equal(store_log_bytes(store), 0);
    STORE_ALL(store, make_message(&head, 2, "b")); /* and it is no foreign write */
    store_close(store);
}

/* ---- What a kill leaves open ---- */

#define EACH_END                                                                                       \
    "SELECT group_concat(id || ':' || coalesce(((closed - opened) / 1000000) || reason, 'open'), ' ')" \
    " FROM connection"

static void store_message_of_second(struct store *store, struct head *head, unsigned second)
{
    struct record *record = NULL;

    batch->len = 0;
    record = make_message(head, 1, "m");
    record->time_us += (int64_t)second * 1000000;
    STORE_ALL(store, record);
}

static void what_a_kill_left_open_is_closed_at_the_last_message(void **state)
{
    struct head heads[4] = { { .connection = 1 }, { .connection = 2 }, { .connection = 3 }, { .connection = 4 } };
    struct store *store = open_store();

    (void)state;
    begin_run(store, 100);
    for (size_t i = 0; i < 4; i++) {
        batch->len = 0;
        STORE_ALL(store, make_open(&heads[i]));
    }
    store_message_of_second(store, &heads[0], 5);
    store_message_of_second(store, &heads[2], 6);
    store_message_of_second(store, &heads[0], 7);
    batch->len = 0;
    STORE_ALL(store, record_add(batch, &heads[3], RECORD_CLOSE, "reset", 5));
    store_close(store);

    store = open_store(); /* as after a failed commit, in the same run */
    expect_row(EACH_END, "1:open 2:open 3:open 4:0reset");
    begin_run(store, 100);
    expect_row(EACH_END, "1:7killed 2:0killed 3:6killed 4:0reset");
    expect_row("SELECT group_concat(last_message, ' ') FROM connection", "3 0 2 0");
    store_close(store);
}

/* Its last message may have been deleted, and then stands for nothing. */
static void what_a_kill_left_open_without_messages_is_closed_at_its_opening(void **state)
{
    struct store *store = open_store();
    struct head one = { .connection = 1 }, two = { .connection = 2 };

    (void)state;
    begin_run(store, 100);
    STORE_ALL(store, make_open(&one), make_open(&two));
    store_message_of_second(store, &one, 5);
    store_message_of_second(store, &two, 6);
    store_close(store);
    run_other("DELETE FROM message WHERE id = 1");
    store = open_store();
    begin_run(store, 100);
    expect_row(EACH_END, "1:0killed 2:6killed");
    store_close(store);
}

/* However long a connection of the run had lasted, and no other run's rows are looked through. */
static void a_run_is_looked_through_from_its_first_connection_on(void **state)
{
    struct store *store = open_store();
    struct head old = { .connection = 1 }, first = { .connection = 101 }, last = { .connection = 90000 };

    (void)state;
    begin_run(store, 100);
    STORE_ALL(store, make_open(&old));
    store_close(store);
    store = open_store();
    begin_run(store, 100);
    batch->len = 0;
    STORE_ALL(store, make_open(&first), make_open(&last));
    assert_int_equal(store_take_numbers(store, 100000), STORE_STORED);
    store_close(store);
    run_other("UPDATE connection SET closed = NULL WHERE id = 1");
    store = open_store();
    begin_run(store, 100);
    expect_row(EACH_END, "1:open 101:0killed 90000:0killed");
    store_close(store);
}

static void after_a_seal_only_a_run_that_left_some_open_is_looked_through(void **state)
{
    struct store *store = NULL;

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct head head = { .connection = 0 };

        store = open_store();
        head.connection = store_next_connection(store);
        begin_run(store, 100);
        batch->len = 0;
        STORE_ALL(store, make_open(&head));
        assert_int_equal(store_seal(store, head.connection + 1, i == 0), STORE_STORED);
        store_close(store);
    }
    store = open_store();
    begin_run(store, 100);
    expect_row(EACH_END, "1:open 2:0killed");
    store_close(store);
}

/* An earlier version closed none, and did not say where a run begins. */
static void of_a_store_that_knows_no_runs_all_are_closed(void **state)
{
    struct store *store = open_store();
    struct head one = { .connection = 1 }, two = { .connection = 2 };

    (void)state;
    STORE_ALL(store, make_open(&one), make_open(&two));
    store_close(store);
    expect_row("SELECT count(*) FROM meta WHERE key = 'run_begins'", "0");
    store = open_store();
    begin_run(store, 100);
    expect_row(EACH_END, "1:0killed 2:0killed");
    store_close(store);
}

/* ---- What is deleted ---- */

enum { MESSAGE_BYTES = 1 + 32 }; /* one of one byte, as deletions count */

/* So many messages of the connection, one a second, of a byte each. */
static void store_messages(struct store *store, struct head *head, unsigned first, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct record *record = NULL;

        batch->len = 0;
        record = make_message(head, first + i, "m");
        record->time_us += (int64_t)(first + i) * 1000000;
        STORE_ALL(store, record);
    }
}

static void store_opening(struct store *store, struct head *head)
{
    batch->len = 0;
    STORE_ALL(store, make_open(head));
}

static void store_closing(struct store *store, struct head *head, unsigned second)
{
    struct record *record = NULL;

    batch->len = 0;
    record = record_add(batch, head, RECORD_CLOSE, "peer closed", 11);
    record->time_us += (int64_t)second * 1000000;
    STORE_ALL(store, record);
}

static struct store_deleted delete_as(struct store *store, const struct store_deletion *what)
{
    struct store_deleted deleted = { 0 };

    assert_int_equal(store_delete(store, what, &deleted), STORE_STORED);
    return deleted;
}

static uint64_t delete_for_space(struct store *store, unsigned messages)
{
    const struct store_deletion what = { .bytes_max = (int64_t)messages * MESSAGE_BYTES,
                                         .is_for_space = true,
                                         .connections_max = 4 };

    return delete_as(store, &what).messages;
}

/* Those from before that second. */
static uint64_t delete_older(struct store *store, unsigned second, unsigned now)
{
    const struct store_deletion what = { .bytes_max = 1000 * MESSAGE_BYTES,
                                         .before_us = ((int64_t)FIRST_SECOND + second) * 1000000,
                                         .now_us = ((int64_t)FIRST_SECOND + now) * 1000000,
                                         .connections_max = 4 };

    return delete_as(store, &what).messages;
}

static void the_oldest_go_with_their_seconds(void **state)
{
    struct store *store = open_store();
    struct head head = { .connection = 1 };

    (void)state;
    store_opening(store, &head);
    store_messages(store, &head, 1, 10);
    assert_int_equal(delete_for_space(store, 4), 4);
    expect_row("SELECT group_concat(id || '<' || previous, ' ') FROM message", "5<4 6<5 7<6 8<7 9<8 10<9");
    expect_row("SELECT group_concat((time - 1763856000) || ':' || first_message, ' ') FROM second",
               "1:1 2:2 3:3 4:4 5:5 6:6 7:7 8:8 9:9 10:10"); /* workers could have been apart by so much */
    expect_row("SELECT count(*) FROM connection", "1");      /* it is still there */
    store_messages(store, &head, 11, 1);
    expect_row("SELECT id || '<' || previous FROM message ORDER BY id DESC", "11<10");
    store_messages(store, &head, 1000, 2);
    assert_int_equal(delete_for_space(store, 8), 8);
    expect_row("SELECT group_concat(time - 1763856000, ' ') FROM second", "1000 1001");
    store_close(store);
}

/* What was stored last is not deleted for space: it would have been stored for nothing. */
static void the_last_transaction_stays(void **state)
{
    struct store *store = open_store();
    struct head head = { .connection = 1 };

    (void)state;
    store_opening(store, &head);
    store_messages(store, &head, 1, 3);
    batch->len = 0;
    STORE_ALL(store, make_message(&head, 4, "m"), make_message(&head, 5, "m"));
    assert_int_equal(delete_for_space(store, 100), 3);
    assert_int_equal(delete_for_space(store, 100), 0);
    expect_row("SELECT group_concat(id, ' ') FROM message", "4 5");
    store_messages(store, &head, 6, 1);
    assert_int_equal(delete_for_space(store, 100), 2);
    store_close(store);
}

static void the_newest_stays_so_that_no_id_is_given_twice(void **state)
{
    struct store *store = open_store();
    struct head one = { .connection = 1 }, two = { .connection = 2 };

    (void)state;
    store_opening(store, &one);
    store_messages(store, &one, 1, 5);
    store_closing(store, &one, 6);
    assert_int_equal(delete_older(store, 1000, 2000), 4);
    expect_row("SELECT (SELECT count(*) FROM message) || (SELECT count(*) FROM connection)", "11");
    store_close(store);

    store = open_store();
    assert_int_equal(store_last_message(store), 5);
    assert_true(store_next_connection(store) >= 2);
    store_opening(store, &two);
    store_messages(store, &two, 7, 1);
    expect_row("SELECT group_concat(id || '<' || previous, ' ') FROM message", "5<4 6<0");
    assert_int_equal(delete_older(store, 1000, 2000), 1);
    expect_row("SELECT group_concat(id, ' ') FROM connection", "2");
    store_close(store);
    store_close(open_store());
    expect_row("SELECT last_message FROM connection WHERE id = 2", "6");
}

static void what_is_too_old_goes_and_nothing_else(void **state)
{
    struct store *store = open_store();
    struct head head = { .connection = 1 };

    (void)state;
    store_opening(store, &head);
    store_messages(store, &head, 1, 10);
    assert_int_equal(delete_older(store, 1, 20), 0);
    assert_int_equal(delete_older(store, 4, 20), 3);
    assert_int_equal(delete_older(store, 4, 20), 0);
    expect_row("SELECT min(id) FROM message", "4");
    store_close(store);
}

/* The clock was an hour ahead, and was set right: who waited for the hour would keep what is too old meanwhile. */
static void times_of_a_wrong_clock_hold_up_nothing(void **state)
{
    struct store *store = open_store();
    struct head head = { .connection = 1 };

    (void)state;
    store_opening(store, &head);
    store_messages(store, &head, 3600, 2);
    store_messages(store, &head, 1, 3);
    assert_int_equal(delete_older(store, 3, 20), 4);
    expect_row("SELECT group_concat(id || ':' || seq, ' ') FROM message", "5:3");
    assert_int_equal(delete_older(store, 3, 20), 0);
    store_close(store);
}

/* One lives on from the first day; those around it go all the same, and it goes when it is over. */
static void connections_go_when_they_are_over_and_empty(void **state)
{
    enum { CONNECTIONS = 20 };
    struct store *store = open_store();
    struct head heads[CONNECTIONS + 1], last = { .connection = CONNECTIONS + 1 };

    (void)state;
    for (unsigned i = 1; i <= CONNECTIONS; i++) {
        heads[i] = (struct head){ .connection = i };
        store_opening(store, &heads[i]);
        if (i != 7) store_messages(store, &heads[i], i, 1); /* one that never said a word */
        if (i != 3) store_closing(store, &heads[i], i);
    }
    for (unsigned i = 0; i < CONNECTIONS; i++) /* a step looks at a few only */
        delete_for_space(store, i == 0 ? 10 : 0);
    expect_row("SELECT min(id) FROM message", "11");
    expect_row("SELECT group_concat(id, ' ') FROM connection", "3 12 13 14 15 16 17 18 19 20");
    store_closing(store, &heads[3], CONNECTIONS);
    store_opening(store, &last);
    store_messages(store, &last, CONNECTIONS + 1, 1);
    for (unsigned i = 0; i < CONNECTIONS; i++)
        delete_for_space(store, i == 0 ? 100 : 0);
    expect_row("SELECT group_concat(id, ' ') FROM connection", "21");
    store_close(store);
}

/* A kill has left them open; then nothing keeps them from going. */
static void connections_of_a_killed_run_are_over(void **state)
{
    struct store *store = open_store();
    struct head one = { .connection = 1 }, two = { .connection = 0 };
    struct store_deletion what = { .bytes_max = 100 * MESSAGE_BYTES, .is_for_space = true, .connections_max = 100 };

    (void)state;
    begin_run(store, 10);
    store_opening(store, &one);
    store_messages(store, &one, 1, 2);
    store_close(store);

    store = open_store();
    two.connection = store_next_connection(store);
    begin_run(store, 10);
    store_opening(store, &two);
    store_messages(store, &two, 3, 1);
    assert_int_equal(delete_as(store, &what).connections, 1);
    expect_row("SELECT group_concat(id, ' ') FROM message", "3");
    expect_row("SELECT count(*) FROM connection WHERE id > 1", "1");
    store_close(store);
}

static void connections_alone_can_be_what_is_too_much(void **state)
{
    struct store *store = open_store();

    (void)state;
    for (unsigned i = 1; i <= 10; i++) {
        struct head head = { .connection = i };

        store_opening(store, &head);
        if (i != 5) store_closing(store, &head, i);
    }
    for (unsigned i = 0; i < 4; i++)
        delete_for_space(store, 1);
    expect_row("SELECT group_concat(id, ' ') FROM connection", "5");
    store_close(store);
}

static void what_goes_leaves_room_and_can_be_given_back(void **state)
{
    static char large[3000];
    struct store *store = open_store();
    struct head head = { .connection = 1 };
    struct store_size full, after;
    struct stat status;
    int64_t left = 0;

    (void)state;
    memset(large, 'x', sizeof(large) - 1);
    store_opening(store, &head);
    for (unsigned i = 1; i <= 200; i++) {
        batch->len = 0;
        STORE_ALL(store, make_message(&head, i, large));
    }
    store_size(store, &full);
    assert_true(full.can_shrink);
    assert_true(full.used_bytes > 600000 && full.used_bytes == full.file_bytes);
    assert_int_equal(delete_for_space(store, 150 * (sizeof(large) - 1 + 32) / MESSAGE_BYTES), 150);
    store_size(store, &after);
    assert_true(after.used_bytes < full.used_bytes / 2 && after.file_bytes == full.file_bytes);

    assert_int_equal(store_give_back(store, 10 * 8192), STORE_STORED);
    store_size(store, &after);
    assert_in_range(full.file_bytes - after.file_bytes, 10 * 8192, 12 * 8192);
    assert_int_equal(store_give_back(store, full.file_bytes), STORE_STORED);
    assert_int_equal(store_checkpoint(store, &left), STORE_STORED);
    store_size(store, &after);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, after.file_bytes);
    assert_int_equal(after.used_bytes, after.file_bytes);
    expect_row("SELECT count(*) || ' ' || min(id) FROM message", "50 151");
    expect_row("PRAGMA integrity_check", "ok");
    store_close(store);
}

/* Else a full disk could not be emptied: what is deleted needs the log, and that stands there until it is moved. */
static void what_could_not_be_moved_to_the_database_is_refused(void **state)
{
    static char large[3000];
    struct store *store = open_store();
    struct head head = { .connection = 1 };
    enum store_outcome outcome = STORE_STORED;
    rlim_t before = 0;
    int64_t left = -1;
    unsigned stored = 0;

    (void)state;
    memset(large, 'x', sizeof(large) - 1);
    store_opening(store, &head);
    assert_int_equal(store_checkpoint(store, &left), STORE_STORED);
    before = scratch_limit_files(300 * 1024);
    while (outcome == STORE_STORED && stored < 200) {
        batch->len = 0;
        assert_int_equal(store_begin(store), STORE_STORED);
        assert_int_equal(record_store(store, make_message(&head, stored + 1, large)), STORE_STORED);
        outcome = store_commit(store);
        if (outcome == STORE_STORED) stored++;
        assert_int_equal(store_checkpoint(store, &left), STORE_STORED);
        assert_int_equal(left, 0);
    }
    scratch_limit_files(before);
    assert_int_not_equal(outcome, STORE_STORED);
    assert_non_null(strstr(store_text(store), "File too large"));
    assert_in_range(stored, 50, 100);
    expect_row("SELECT count(*) BETWEEN 50 AND 100 FROM message", "1");
    expect_row("PRAGMA integrity_check", "ok");
    store_close(store);
}

/* As stores were made once. It lives on, but its file stays as long as it is. */
static void a_store_that_cannot_shrink_is_known(void **state)
{
    struct store *store = open_store();
    struct store_size size;

    (void)state;
    store_close(store);
    run_other("PRAGMA journal_mode = DELETE");
    run_other("PRAGMA auto_vacuum = NONE; VACUUM");
    store = open_store();
    store_size(store, &size);
    assert_false(size.can_shrink);
    assert_int_equal(store_give_back(store, 8192), STORE_STORED);
    store_close(store);
}

/* ---- What is refused ---- */

static size_t read_store(unsigned char *ret, size_t room)
{
    FILE *file = fopen(path, "rb");
    size_t len = 0;

    assert_non_null(file);
    len = fread(ret, 1, room, file);
    fclose(file);
    return len;
}

/* It is not opened, a sentence says this, and no byte of it is another. */
static void expect_refused(const char *sentence)
{
    static unsigned char before[64 * 1024], after[64 * 1024];
    char error[STORE_ERROR_BYTES_MAX] = "";
    const size_t len = read_store(before, sizeof(before));
    struct store *store = NULL;

    assert_true(store_open(path, &store, error) < 0);
    assert_null(store);
    if (!strstr(error, sentence) || !strstr(error, path)) fail_msg("%s", error);
    assert_int_equal(read_store(after, sizeof(after)), len);
    assert_memory_equal(before, after, len);
}

static void a_database_of_another_program_is_refused_and_left_alone(void **state)
{
    (void)state;
    run_other("CREATE TABLE accounts (name)");
    expect_refused("a database of another program");
    expect_row("PRAGMA journal_mode", "delete");
}

static void a_file_that_is_no_database_is_refused_and_left_alone(void **state)
{
    FILE *file = fopen(path, "w");

    (void)state;
    assert_non_null(file);
    for (int i = 0; i < 1000; i++)
        fputs("a text, and not a database\n", file);
    fclose(file);
    expect_refused("not a database");
}

static void a_newer_schema_is_refused_and_left_alone(void **state)
{
    (void)state;
    store_close(open_store());
    run_other("PRAGMA user_version = 4");
    expect_refused("written by a newer weir (schema 4, this one knows 3)");
}

/* ---- Who it was, and what came of it ---- */

static void verdict_rule_and_answers_stand_with_the_message(void **state)
{
    struct store *store = open_store();
    struct head head = { .connection = 1 };
    struct record *asked = NULL, *judged = NULL, *answer = NULL;

    (void)state;
    asked = record_add(batch, &head, RECORD_SENT, "?", 1);
    STORE_ALL(store, make_open(&head), asked);
    judged = make_message(&head, 1, "!");
    judged->flags = RECORD_TEXT | record_verdict(RECORD_VERDICT_MAX, RECORD_RULE_MAX);
    judged->answers = asked->id;
    answer = record_add(batch, &head, RECORD_SENT, "ok", 2);
    answer->flags = RECORD_ANSWER;
    STORE_ALL(store, make_message(&head, 2, "plain"), judged, answer);
    answer->answers = judged->id;
    STORE_ALL(store, answer);
    store_close(store);
    expect_row("SELECT group_concat(flags & 255) FROM message", "0,0,4,8,8");
    expect_row("SELECT group_concat(id || ':' || ifnull(verdict, '') || ':' || ifnull(rule, '') || ':' ||"
               " ifnull(answers, ''), ' ') FROM conversation",
               "1::: 2::: 3:15:65535:1 4::: 5:::3");
    expect_row("SELECT group_concat(flags) FROM conversation", "0,0,4,8,8");
    expect_row("SELECT sum(flags > 255) FROM message", "2");
}

#define CHAINS                                                                                                    \
    "SELECT (SELECT group_concat(id || ':' || ifnull(client, '') || ':' || ifnull(previous_connection, ''), ' ')" \
    " FROM connection) || ' | ' || group_concat(name || ':' || ifnull(last_connection, ''), ' ') FROM client"

static struct record *make_name(struct head *head, const char *name, int64_t second)
{
    struct record *record = record_add(batch, head, RECORD_NAME, name, strlen(name));

    record->time_us += second * 1000000;
    return record;
}

/* Each is a transaction of its own, and the connection's row is there. */
static void name_all(struct store *store, struct head *heads, const char *const *names)
{
    for (size_t i = 0; names[i]; i++) {
        batch->len = 0;
        STORE_ALL(store, make_open(&heads[i]));
        STORE_ALL(store, make_name(&heads[i], names[i], (int64_t)i));
    }
}

static void connections_of_a_name_are_a_chain(void **state)
{
    struct head heads[3] = { { .connection = 1 }, { .connection = 2 }, { .connection = 3 } };
    struct store *store = open_store();
    struct record *close = NULL;

    (void)state;
    name_all(store, heads, (const char *const[]){ "pump", "valve", "pump", NULL });
    expect_row(CHAINS, "1:1: 2:2: 3:1:1 | pump:3 valve:2");
    STORE_ALL(store, make_name(&heads[2], "pump", 4)); /* said again */
    expect_row(CHAINS, "1:1: 2:2: 3:1:1 | pump:3 valve:2");
    expect_row("SELECT group_concat((first_seen / 1000000 - 1763856000) || '-' || (last_seen / 1000000 - 1763856000), "
               "' ') FROM client",
               "0-4 1-1");
    close = record_add(batch, &heads[1], RECORD_CLOSE, "reset", 5);
    close->time_us += 9000000;
    STORE_ALL(store, close);
    expect_row("SELECT last_seen / 1000000 - 1763856000 FROM client WHERE name = 'valve'", "9");
    store_close(store);
    expect_row("SELECT count(*) FROM connection WHERE device IS NULL AND proxy IS NULL AND tls_subject IS NULL", "3");
}

/* In the middle of a chain, at its end, and back again. */
static void a_connection_that_takes_another_name_leaves_the_chain(void **state)
{
    struct head heads[4] = { { .connection = 1 }, { .connection = 2 }, { .connection = 3 }, { .connection = 4 } };
    struct store *store = open_store();

    (void)state;
    name_all(store, heads, (const char *const[]){ "pump", "pump", "pump", "pump", NULL });
    expect_row(CHAINS, "1:1: 2:1:1 3:1:2 4:1:3 | pump:4");
    batch->len = 0;
    STORE_ALL(store, make_name(&heads[1], "valve", 5));
    expect_row(CHAINS, "1:1: 2:2: 3:1:1 4:1:3 | pump:4 valve:2");
    STORE_ALL(store, make_name(&heads[3], "valve", 6));
    expect_row(CHAINS, "1:1: 2:2: 3:1:1 4:2:2 | pump:3 valve:4");
    STORE_ALL(store, make_name(&heads[1], "pump", 7));
    expect_row(CHAINS, "1:1: 2:1:3 3:1:1 4:2: | pump:2 valve:4");
    run_other("DELETE FROM connection WHERE id = 3"); /* as of retention: the chain ends there */
    store_close(store);
    store = open_store();
    STORE_ALL(store, make_name(&heads[0], "valve", 8));
    expect_row(CHAINS, "1:2:4 2:1:3 4:2: | pump:2 valve:1");
    store_close(store);
}

/* What came of a transaction is not always known, and then it comes again. */
static void a_name_that_was_not_stored_is_given_again(void **state)
{
    struct head head = { .connection = 1 };
    struct store *store = open_store();

    (void)state;
    STORE_ALL(store, make_open(&head));
    assert_int_equal(store_begin(store), STORE_STORED);
    assert_int_equal(record_store(store, make_name(&head, "pump", 0)), STORE_STORED);
    store_rollback(store);
    STORE_ALL(store, make_name(&head, "pump", 0));
    expect_row(CHAINS, "1:1: | pump:1");
    STORE_ALL(store, make_name(&head, "pump", 0));
    expect_row(CHAINS, "1:1: | pump:1");
    store_close(store);
}

static void what_some_connections_have_stands_behind_what_all_have(void **state)
{
    static const char all[] = "tcp://:1\0line\0p\0gt06.yaml\0proxy:7\0CN=pump", some[] = "u\0raw\0\0\0proxy:7";
    struct head heads[2] = { { .connection = 1 }, { .connection = 2 } };
    struct store *store = open_store();

    (void)state;
    STORE_ALL(store, record_add(batch, &heads[0], RECORD_OPEN, all, sizeof(all)),
              record_add(batch, &heads[1], RECORD_OPEN, some, sizeof(some)));
    expect_row("SELECT group_concat(listener || ' ' || frame || ' ' || peer || ' ' || ifnull(device, '-') || ' ' ||"
               " ifnull(proxy, '-') || ' ' || ifnull(tls_subject, '-'), '; ') FROM connection",
               "tcp://:1 line p gt06.yaml proxy:7 CN=pump; u raw  - proxy:7 -");
    store_close(store);
}

static void a_cursor_is_moved_and_stays(void **state)
{
    static unsigned char state_bytes[CURSOR_STATE_BYTES_MAX];
    struct cursor cursor = { .row = 7, .at_us = 8, .state = { state_bytes, sizeof(state_bytes) } };
    struct store *store = open_store();

    (void)state;
    assert_int_equal(store_begin(store), STORE_STORED);
    assert_int_equal(store_set_cursor(store, "nats", &cursor), STORE_STORED);
    cursor = (struct cursor){ .row = 9, .at_us = 10 };
    assert_int_equal(store_set_cursor(store, "file", &cursor), STORE_STORED);
    assert_int_equal(store_commit(store), STORE_STORED);
    expect_row("SELECT group_concat(name || ':' || row || ':' || at || ':' || ifnull(length(state), ''), ' ')"
               " FROM cursor",
               "file:9:10: nats:7:8:256");
    assert_int_equal(store_begin(store), STORE_STORED);
    assert_int_equal(store_set_cursor(store, "nats", &cursor), STORE_STORED);
    assert_int_equal(store_commit(store), STORE_STORED);
    store_close(store);
    expect_row("SELECT row || ':' || ifnull(state, 'none') FROM cursor WHERE name = 'nats'", "9:none");
}

/* ---- Of an older version ---- */

/* What is in a store of that version (tests/app/stores), which nobody has written to since. */
struct older {
    int version;
    const char *messages, *step, *id;
    uint64_t next_connection;
    const char *later_steps; /* with one message more, of an earlier time */
};

static const struct older version_1 = { 1, "30", "31 2082758400 null", "2b0ec9fdd911d5002848e606425f6a4a", 1002, "1" };
static const struct older version_2 = { 2,     "41", "33 1763892000 1763888400", "bba788b668dd24421108cc0d5a9765d8",
                                        10002, "2" };

/* Made by the program of that version: texts, bytes, what has no end, a kill, and a clock that was set. */
static void copy_older(int version, char *ret_original)
{
    const char *folder = getenv("WEIR_TEST_STORES");
    unsigned char bytes[128 * 1024];
    FILE *file = NULL;
    size_t len = 0;

    assert_non_null(folder);
    snprintf(ret_original, SCRATCH_BYTES_MAX, "%s/version%d.db", folder, version);
    file = fopen(ret_original, "rb");
    assert_non_null(file);
    len = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

/* Of the columns that the original has. */
static int64_t count_changed(const char *original, const char *table)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    char columns[256], sql[SCRATCH_BYTES_MAX + 1024];
    int64_t changed = 0;

    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_URI, NULL), SQLITE_OK);
    snprintf(sql, sizeof(sql), "ATTACH 'file:%s?immutable=1' AS old", original);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    snprintf(sql, sizeof(sql), "SELECT group_concat(name) FROM pragma_table_info('%s', 'old')", table);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    snprintf(columns, sizeof(columns), "%s", (const char *)sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
    snprintf(sql, sizeof(sql),
             "SELECT count(*) - (SELECT count(*) FROM old.%s) + (SELECT count(*) FROM"
             " (SELECT %s FROM old.%s EXCEPT SELECT %s FROM main.%s)) FROM main.%s",
             table, columns, table, columns, table, table);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    changed = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return changed;
}

static void expect_brought_up_to_date(const struct older *older)
{
    static const char *const tables[] = { "message", "connection", "second", "client" };
    char original[SCRATCH_BYTES_MAX], version[16];
    struct store *store = NULL;
    struct head head = { 0 };

    copy_older(older->version, original);
    snprintf(version, sizeof(version), "%d", older->version);
    expect_row("SELECT user_version & 255 FROM pragma_user_version", version);
    store = open_store();
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
        assert_int_equal(count_changed(original, tables[i]), 0);
    expect_row("SELECT user_version & 255 FROM pragma_user_version", "3");
    expect_row("SELECT first_message || ' ' || before || ' ' || ifnull(after, 'null') FROM step", older->step);
    expect_row("SELECT value FROM meta WHERE key = 'store'", older->id);
    expect_row("SELECT max(id) FROM message", older->messages);
    expect_row("SELECT count(*) || max(id) || ifnull(max(verdict), '') FROM conversation WHERE client IS NULL",
               older == &version_1 ? "3030" : "4141");
    assert_int_equal(store_next_connection(store), older->next_connection);
    head.connection = store_next_connection(store);
    STORE_ALL(store, make_open(&head), make_message(&head, 1, "new"), make_name(&head, "pump", 0));
    store_close(store);
    assert_int_equal(count_changed(original, "message"), 1);
    expect_row("SELECT client || bytes FROM conversation ORDER BY id DESC", "pumpnew");
    expect_row("PRAGMA integrity_check", "ok");
    store_close(open_store());
    expect_row("SELECT count(*) FROM step", older->later_steps);
}

static void a_store_of_version_1_is_brought_up_to_date(void **state)
{
    (void)state;
    expect_brought_up_to_date(&version_1);
}

static void a_store_of_version_2_is_brought_up_to_date(void **state)
{
    (void)state;
    expect_brought_up_to_date(&version_2);
}

/* As many pages as the schema has. A table that is new begins near the file's beginning (auto_vacuum): the page that is
 * there goes to its end. */
static void an_upgrade_is_no_longer_for_a_large_store(void **state)
{
    char original[SCRATCH_BYTES_MAX];
    struct store *store = NULL;
    int64_t bytes[2];

    (void)state;
    for (int i = 0; i < 2; i++) {
        copy_older(2, original);
        run_other("PRAGMA journal_mode = DELETE");
        if (i == 1)
            run_other("WITH n(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM n WHERE n < 20000)"
                      " INSERT INTO message SELECT 1000 + n, 1, 0, 10 + n, 1763895600000000, 41, 4, NULL, 0,"
                      " randomblob(100) FROM n;"
                      "WITH n(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM n WHERE n < 20000)"
                      " INSERT INTO connection SELECT 20000 + n, NULL, NULL, 'tcp://127.0.0.1:8000', 'line',"
                      " '127.0.0.1:9', 0, 1, 'reset', 0 FROM n;"
                      "UPDATE meta SET value = 21000 WHERE key = 'heads_until'");
        store = open_store();
        bytes[i] = store_log_bytes(store);
        store_close(store);
    }
    assert_in_range(bytes[0], 1, 20 * 8192);
    assert_in_range(bytes[1], bytes[0], bytes[0] + 4 * 8192);
}

#define STORE_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(a_new_store_is_set_up_and_empty),
        STORE_TEST(its_files_are_the_owners_alone),
        STORE_TEST(a_file_that_is_not_there_is_not_made),
        STORE_TEST(messages_are_numbered_and_point_to_the_one_before),
        STORE_TEST(every_column_is_what_was_given),
        STORE_TEST(the_first_message_of_a_second_is_noted),
        STORE_TEST(one_who_holds_it_for_a_moment_is_waited_for),
        STORE_TEST(a_new_open_goes_on),
        STORE_TEST(numbers_that_are_taken_do_not_come_again),
        STORE_TEST(a_seal_gives_back_the_numbers_that_were_not_given),
        STORE_TEST(what_a_kill_left_open_is_closed_at_the_last_message),
        STORE_TEST(what_a_kill_left_open_without_messages_is_closed_at_its_opening),
        STORE_TEST(a_run_is_looked_through_from_its_first_connection_on),
        STORE_TEST(after_a_seal_only_a_run_that_left_some_open_is_looked_through),
        STORE_TEST(of_a_store_that_knows_no_runs_all_are_closed),
        STORE_TEST(what_is_not_committed_is_not_stored),
        STORE_TEST(heads_are_rebuilt_after_an_end_without_seal),
        STORE_TEST(another_writer_is_noticed_and_named),
        STORE_TEST(another_that_holds_the_lock_is_a_refusal),
        STORE_TEST(a_checkpoint_empties_the_log),
        STORE_TEST(the_oldest_go_with_their_seconds),
        STORE_TEST(the_last_transaction_stays),
        STORE_TEST(the_newest_stays_so_that_no_id_is_given_twice),
        STORE_TEST(what_is_too_old_goes_and_nothing_else),
        STORE_TEST(times_of_a_wrong_clock_hold_up_nothing),
        STORE_TEST(connections_go_when_they_are_over_and_empty),
        STORE_TEST(connections_of_a_killed_run_are_over),
        STORE_TEST(connections_alone_can_be_what_is_too_much),
        STORE_TEST(what_goes_leaves_room_and_can_be_given_back),
        STORE_TEST(what_could_not_be_moved_to_the_database_is_refused),
        STORE_TEST(a_store_that_cannot_shrink_is_known),
        STORE_TEST(a_database_of_another_program_is_refused_and_left_alone),
        STORE_TEST(a_file_that_is_no_database_is_refused_and_left_alone),
        STORE_TEST(a_newer_schema_is_refused_and_left_alone),
        STORE_TEST(verdict_rule_and_answers_stand_with_the_message),
        STORE_TEST(connections_of_a_name_are_a_chain),
        STORE_TEST(a_connection_that_takes_another_name_leaves_the_chain),
        STORE_TEST(a_name_that_was_not_stored_is_given_again),
        STORE_TEST(what_some_connections_have_stands_behind_what_all_have),
        STORE_TEST(a_cursor_is_moved_and_stays),
        STORE_TEST(a_store_of_version_1_is_brought_up_to_date),
        STORE_TEST(a_store_of_version_2_is_brought_up_to_date),
        STORE_TEST(an_upgrade_is_no_longer_for_a_large_store),
    };
    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}

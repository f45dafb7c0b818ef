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

#include "journal/folder.h"
#include "journal/schema.h"
#include "journal/store.h"
#include "records.h"
#include "scratch.h"

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
    sqlite3 *const db = open_other();
    char *error = NULL;

    if (sqlite3_exec(db, sql, NULL, NULL, &error) != SQLITE_OK) fail_msg("%s: %s", sql, error);
    sqlite3_close(db);
}

/* The first column of the first row, as text. */
static void expect_row(const char *sql, const char *expected)
{
    sqlite3 *const db = open_other();
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

static struct record *make_open(struct head *head)
{
    static const char bytes[] = "tcp://127.0.0.1:8000\0line\0tcp://127.0.0.1:9";

    return record_add(batch, head, RECORD_OPEN, bytes, sizeof(bytes));
}

static struct record *make_message(struct head *head, uint64_t seq, const char *text)
{
    struct record *const record = record_add(batch, head, RECORD_MESSAGE, text, strlen(text));

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
    struct store *const store = open_store();

    (void)state;
    assert_int_equal(store_next_connection(store), 1);
    assert_int_equal(store_last_message(store), 0);
    expect_row("PRAGMA journal_mode", "wal");
    expect_row("PRAGMA page_size", "8192");
    expect_row("PRAGMA user_version", "1");
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
    struct store *const store = open_store();

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
    struct store *const store = open_store();
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
    struct store *const store = open_store();
    struct head head = { .connection = 1 };
    struct record *const cut = make_message(&head, 9, "abc");
    struct record *const sent = record_add(batch, &head, RECORD_SENT, "\0\xff", 2);
    struct record *const closed = record_add(batch, &head, RECORD_CLOSE, "peer closed", 11);

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
    struct store *const store = open_store();
    struct head head = { .connection = 1 };

    (void)state;
    STORE_ALL(store, make_open(&head));
    for (size_t i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++) {
        struct record *const record = make_message(&head, i + 1, "m");

        record->time_us += seconds[i] * 1000000;
        STORE_ALL(store, record);
    }
    expect_row("SELECT group_concat((time - 1763856000) || ':' || first_message, ' ') FROM second", "0:1 5:3 6:5");
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
    assert_int_equal(store_seal(store), STORE_STORED);
    store_close(store);

    store = open_store();
    assert_int_equal(store_next_connection(store), 2);
    assert_int_equal(store_last_message(store), 1);
    STORE_ALL(store, make_open(&two), make_message(&two, 1, "b"));
    store_close(store);
    expect_row("SELECT group_concat(id || ':' || connection, ' ') FROM message", "1:1 2:2");
    expect_row("SELECT group_concat(time, ' ') FROM second", "1763856000");
}

/* A number may have been given to a connection of which nothing was stored before a kill. */
static void without_a_seal_no_number_is_given_twice(void **state)
{
    enum { CONNECTIONS = 3000, UNSTORED = 400 };
    struct store *store = open_store();
    uint64_t number = 0;

    (void)state;
    for (number = store_next_connection(store); number <= CONNECTIONS; number++) {
        struct head head = { .connection = number };

        batch->len = 0;
        STORE_ALL(store, make_open(&head));
    }
    store_close(store);
    store = open_store();
    assert_true(store_next_connection(store) >= CONNECTIONS + 1 + UNSTORED);
    store_close(store);
}

/* A transaction that did not come about took no numbers either. */
static void numbers_that_were_not_taken_are_taken_again(void **state)
{
    enum { NUMBER = 800 };
    struct store *store = open_store();
    struct head head = { .connection = NUMBER };
    struct record *const record = make_open(&head);

    (void)state;
    assert_int_equal(store_begin(store), STORE_STORED);
    assert_int_equal(record_store(store, record), STORE_STORED);
    store_rollback(store);
    STORE_ALL(store, record);
    store_close(store);
    store = open_store();
    assert_true(store_next_connection(store) > NUMBER + 400);
    store_close(store);
}

static void what_is_not_committed_is_not_stored(void **state)
{
    struct store *store = open_store();
    struct head head = { .connection = 1 };
    struct record *const first = make_message(&head, 1, "a");

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
    struct store *const store = open_store();
    struct head head = { .connection = 1 };
    sqlite3 *const other = open_other();

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
    struct store *const store = open_store();
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
                                         .first_connection = 1,
                                         .connections_max = 4 };

    return delete_as(store, &what).messages;
}

/* Those from before that second. */
static uint64_t delete_older(struct store *store, unsigned second, unsigned now)
{
    const struct store_deletion what = { .bytes_max = 1000 * MESSAGE_BYTES,
                                         .before_us = ((int64_t)FIRST_SECOND + second) * 1000000,
                                         .now_us = ((int64_t)FIRST_SECOND + now) * 1000000,
                                         .first_connection = 1,
                                         .connections_max = 4 };

    return delete_as(store, &what).messages;
}

static void the_oldest_go_with_their_seconds(void **state)
{
    struct store *const store = open_store();
    struct head head = { .connection = 1 };

    (void)state;
    store_opening(store, &head);
    store_messages(store, &head, 1, 10);
    assert_int_equal(delete_for_space(store, 4), 4);
    expect_row("SELECT group_concat(id || '<' || previous, ' ') FROM message", "5<4 6<5 7<6 8<7 9<8 10<9");
    expect_row("SELECT group_concat((time - 1763856000) || ':' || first_message, ' ') FROM second",
               "4:4 5:5 6:6 7:7 8:8 9:9 10:10");
    expect_row("SELECT count(*) FROM connection", "1"); /* it is still there */
    store_messages(store, &head, 11, 1);
    expect_row("SELECT id || '<' || previous FROM message ORDER BY id DESC", "11<10");
    store_close(store);
}

/* What was stored last is not deleted for space: it would have been stored for nothing. */
static void the_last_transaction_stays(void **state)
{
    struct store *const store = open_store();
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
    struct store *const store = open_store();
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
    struct store *const store = open_store();
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
    struct store *const store = open_store();
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

/* A kill has left it open, and nobody will close it. */
static void connections_of_an_earlier_run_are_over(void **state)
{
    struct store *store = open_store();
    struct head one = { .connection = 1 }, two = { .connection = 0 };
    struct store_deletion what = { .bytes_max = 100 * MESSAGE_BYTES, .is_for_space = true, .connections_max = 100 };

    (void)state;
    store_opening(store, &one);
    store_messages(store, &one, 1, 2);
    store_close(store);

    store = open_store();
    what.first_connection = store_next_connection(store);
    two.connection = what.first_connection;
    store_opening(store, &two);
    store_messages(store, &two, 3, 1);
    assert_int_equal(delete_as(store, &what).connections, 1);
    expect_row("SELECT group_concat(id, ' ') FROM message", "3");
    expect_row("SELECT count(*) FROM connection WHERE id > 1", "1");
    store_close(store);
}

static void connections_alone_can_be_what_is_too_much(void **state)
{
    struct store *const store = open_store();

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
    struct store *const store = open_store();
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
    struct store *const store = open_store();
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
    FILE *const file = fopen(path, "rb");
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
    FILE *const file = fopen(path, "w");

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
    run_other("PRAGMA user_version = 2");
    expect_refused("written by a newer weir (schema 2, this one knows 1)");
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
        STORE_TEST(without_a_seal_no_number_is_given_twice),
        STORE_TEST(numbers_that_were_not_taken_are_taken_again),
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
        STORE_TEST(connections_of_an_earlier_run_are_over),
        STORE_TEST(connections_alone_can_be_what_is_too_much),
        STORE_TEST(what_goes_leaves_room_and_can_be_given_back),
        STORE_TEST(what_could_not_be_moved_to_the_database_is_refused),
        STORE_TEST(a_store_that_cannot_shrink_is_known),
        STORE_TEST(a_database_of_another_program_is_refused_and_left_alone),
        STORE_TEST(a_file_that_is_no_database_is_refused_and_left_alone),
        STORE_TEST(a_newer_schema_is_refused_and_left_alone),
    };
    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The reading side of the store: what it sees while a writer is on the store and after it has gone, page by page, and
 * what it does when bytes are not those that were stored. */
#include <errno.h>
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
#include "store/reader.h"
#include "store/store.h"

enum { BATCH_BYTES = 4 * 1024 * 1024 };

static char path[SCRATCH_BYTES_MAX];
static struct batch *batch; /* of the records that a test adds */
static struct store *store; /* NULL: closed */

static int setup(void **state)
{
    char error[STORE_ERROR_BYTES_MAX];

    if (scratch_make(state)) return -1;
    batch = batch_new(0, BATCH_BYTES);
    if (!batch || folder_make_file(scratch_path("s.db", path), error)) return -1;
    return store_open(path, &store, error);
}

static int teardown(void **state)
{
    store_close(store);
    store = NULL;
    free(batch);
    return scratch_remove(state);
}

/* ---- What is stored ---- */

static struct record *make_message(struct head *head, uint64_t seq, const char *text)
{
    struct record *record = record_add(batch, head, RECORD_MESSAGE, text, strlen(text));

    record->seq = seq;
    return record;
}

static void store_one(struct record *record)
{
    assert_int_equal(record_store(store, record), STORE_STORED);
}

/* A connection with messages "1", "2" and so on, in a transaction of its own. */
static void store_messages(struct head *head, unsigned count)
{
    static const char opening[] = "tcp://127.0.0.1:8000\0line\0"
                                  "127.0.0.1:9";

    assert_int_equal(store_begin(store), STORE_STORED);
    store_one(record_add(batch, head, RECORD_OPEN, opening, sizeof(opening)));
    for (unsigned seq = 1; seq <= count; seq++) {
        char text[16];

        snprintf(text, sizeof(text), "%u", seq);
        store_one(make_message(head, seq, text));
    }
    assert_int_equal(store_commit(store), STORE_STORED);
}

static void close_store(void)
{
    store_close(store);
    store = NULL;
}

static void change_by_hand(const char *sql)
{
    sqlite3 *db = NULL;
    char *error = NULL;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &error) != SQLITE_OK) fail_msg("%s: %s", sql, error);
    sqlite3_close(db);
}

/* ---- What is read ---- */

static struct reader *open_reader(void)
{
    char error[READER_ERROR_BYTES_MAX] = "";
    struct reader *reader = NULL;

    if (reader_open(path, &reader, error)) fail_msg("%s", error);
    return reader;
}

static void expect_refusal(int expected, const char *words)
{
    char error[READER_ERROR_BYTES_MAX] = "";
    struct reader *reader = NULL;

    assert_int_equal(reader_open(path, &reader, error), expected);
    assert_null(reader);
    if (!strstr(error, words)) fail_msg("%s", error);
    assert_non_null(strstr(error, path));
}

/* Reads the range to its end; all of it must be in order, and *ret_pages says how many pages it took. Returns the
 * messages. */
static size_t read_all(struct reader *reader, struct reader_range range, unsigned *ret_pages)
{
    uint64_t last = range.is_backward ? range.until + 1 : range.after;
    struct reader_page page;
    size_t count = 0;

    *ret_pages = 0;
    while (range.after < range.until) {
        if (reader_read(reader, &range, &page)) fail_msg("%s", reader_text(reader));
        for (size_t i = 0; i < page.count; i++) {
            const struct stored_message *message = &page.messages[i];

            assert_int_equal(message->id, range.is_backward ? last - 1 : last + 1);
            last = message->id;
        }
        count += page.count;
        ++*ret_pages;
    }
    return count;
}

static void expect_newest(struct reader *reader, uint64_t expected)
{
    uint64_t id = 0;

    assert_int_equal(reader_newest(reader, &id), 0);
    assert_int_equal(id, expected);
}

static void what_is_no_store_is_refused(void **state)
{
    FILE *file = NULL;

    (void)state;
    close_store();
    change_by_hand("PRAGMA user_version = 1000");
    expect_refusal(-EINVAL, "newer weir");
    change_by_hand("PRAGMA user_version = 1; PRAGMA application_id = 7");
    expect_refusal(-EINVAL, "another program");
    assert_int_equal(remove(path), 0);
    expect_refusal(-ENOENT, "there is none");
    file = fopen(path, "w");
    assert_non_null(file);
    expect_refusal(-ENODATA, "nothing is in it yet");
    assert_true(fputs("this is a text of somebody's, and no database at all; it has to be as long as a header", file) >
                0);
    assert_true(fputs("this is a text of somebody's, and no database at all; it has to be as long as a header", file) >
                0);
    fclose(file);
    expect_refusal(-EINVAL, "not a database");
    reader_close(NULL);
}

static void every_column_is_read(void **state)
{
    struct head head = { .connection = 7 };
    struct stored_connection connection;
    struct stored_message message;
    struct reader *reader = NULL;
    struct record *record = NULL;
    uint64_t client = 0;

    (void)state;
    store_messages(&head, 1);
    assert_int_equal(store_begin(store), STORE_STORED);
    record = make_message(&head, 9, "abc");
    record->original_len = 500;
    record->flags = RECORD_TRUNCATED | RECORD_TEXT;
    record->time_us += 42;
    store_one(record);
    store_one(record_add(batch, &head, RECORD_SENT, "\0\xff", 2));
    assert_int_equal(store_commit(store), STORE_STORED);
    change_by_hand("INSERT INTO client (id, name) VALUES (3, 'pump'); UPDATE connection SET client = 3");
    reader = open_reader();
    assert_int_equal(strlen(reader_store_id(reader)), 32);

    assert_int_equal(reader_message(reader, 2, &message), 0);
    assert_int_equal(message.id, 2);
    assert_int_equal(message.connection, 7);
    assert_int_equal(message.seq, 9);
    assert_int_equal(message.previous, 1);
    assert_int_equal(message.original_len, 500);
    assert_int_equal(message.time_us, (int64_t)FIRST_SECOND * 1000000 + 42);
    assert_int_equal(message.flags, RECORD_TRUNCATED | RECORD_TEXT);
    assert_false(message.is_sent);
    assert_false(message.is_damaged);
    assert_int_equal(message.bytes.len, 3);
    assert_memory_equal(message.bytes.data, "abc", 3);
    assert_int_equal(reader_message(reader, 3, &message), 0);
    assert_true(message.is_sent);
    assert_int_equal(message.original_len, 2);
    assert_memory_equal(message.bytes.data, "\0\xff", 2);
    assert_int_equal(reader_message(reader, 4, &message), -ENOENT);

    assert_int_equal(reader_connection(reader, 7, &connection), 0);
    assert_int_equal(connection.number, 7);
    assert_int_equal(connection.client, 3);
    assert_string_equal(connection.listener, "tcp://127.0.0.1:8000");
    assert_string_equal(connection.peer, "127.0.0.1:9");
    assert_int_equal(reader_connection(reader, 8, &connection), -ENOENT);
    assert_int_equal(reader_find_client(reader, "pump", &client), 0);
    assert_int_equal(client, 3);
    assert_int_equal(reader_find_client(reader, "valve", &client), 0);
    assert_int_equal(client, 0);
    reader_close(reader);
}

static void what_came_of_a_message_is_read(void **state)
{
    struct head head = { .connection = 1 };
    struct stored_message message;
    struct reader *reader = NULL;
    struct record *record = NULL;

    (void)state;
    store_messages(&head, 1);
    assert_int_equal(store_begin(store), STORE_STORED);
    record = make_message(&head, 2, "judged");
    record->flags = RECORD_UNFINISHED | record_verdict(3, 12);
    record->answers = 1;
    store_one(record);
    assert_int_equal(store_commit(store), STORE_STORED);
    reader = open_reader();
    assert_int_equal(reader_message(reader, 1, &message), 0);
    assert_int_equal(message.flags, 0);
    assert_int_equal(message.verdict, 0);
    assert_int_equal(message.rule, 0);
    assert_int_equal(message.answers, 0);
    assert_int_equal(reader_message(reader, 2, &message), 0);
    assert_int_equal(message.flags, RECORD_UNFINISHED);
    assert_int_equal(message.verdict, 3);
    assert_int_equal(message.rule, 12);
    assert_int_equal(message.answers, 1);
    reader_close(reader);
}

static void a_name_leads_to_its_connections(void **state)
{
    static const char opening[] = "tcp://127.0.0.1:8000\0line\0"
                                  "10.0.0.9:1\0gt06.yaml\0"
                                  "10.0.0.1:2\0CN=pump";
    struct head heads[2] = { { .connection = 1 }, { .connection = 2 } };
    struct record *named[2];
    struct stored_connection connection;
    struct stored_details details;
    struct stored_client client;
    struct reader *reader = NULL;
    uint64_t id = 0;

    (void)state;
    store_messages(&heads[0], 1);
    assert_int_equal(store_begin(store), STORE_STORED);
    store_one(record_add(batch, &heads[1], RECORD_OPEN, opening, sizeof(opening)));
    for (size_t i = 0; i < 2; i++) {
        named[i] = record_add(batch, &heads[i], RECORD_NAME, "pump 7", 6);
        named[i]->time_us += (int64_t)i;
        store_one(named[i]);
    }
    assert_int_equal(store_commit(store), STORE_STORED);

    reader = open_reader();
    assert_int_equal(reader_find_client(reader, "pump 7", &id), 0);
    assert_int_equal(reader_client(reader, id, &client), 0);
    assert_string_equal(client.name, "pump 7");
    assert_int_equal(client.first_seen_us, named[0]->time_us);
    assert_int_equal(client.last_seen_us, named[1]->time_us);
    assert_int_equal(reader_connection(reader, client.last_connection, &connection), 0);
    assert_int_equal(connection.number, 2);
    assert_int_equal(connection.client, id);
    assert_int_equal(reader_connection(reader, connection.previous, &connection), 0);
    assert_int_equal(connection.number, 1);
    assert_int_equal(connection.previous, 0);
    assert_int_equal(reader_client(reader, id + 1, &client), -ENOENT);

    assert_int_equal(reader_details(reader, 2, &details), 0);
    assert_string_equal(details.device, "gt06.yaml");
    assert_string_equal(details.proxy, "10.0.0.1:2");
    assert_string_equal(details.tls_subject, "CN=pump");
    assert_int_equal(reader_details(reader, 1, &details), 0);
    assert_string_equal(details.device, "");
    assert_string_equal(details.proxy, "");
    assert_string_equal(details.tls_subject, "");
    assert_int_equal(reader_details(reader, 3, &details), -ENOENT);
    reader_close(reader);
}

static void a_cursor_is_read_with_its_state(void **state)
{
    struct cursor cursor = { .row = 5, .at_us = 6, .state = { (const unsigned char *)"a\0b", 3 } };
    unsigned char bytes[CURSOR_STATE_BYTES_MAX];
    struct reader *reader = NULL;

    (void)state;
    assert_int_equal(store_begin(store), STORE_STORED);
    assert_int_equal(store_set_cursor(store, "nats", &cursor), STORE_STORED);
    assert_int_equal(store_commit(store), STORE_STORED);
    cursor = (struct cursor){ 0 };
    reader = open_reader();
    assert_int_equal(reader_cursor(reader, "nats", &cursor, bytes), 0);
    assert_int_equal(cursor.row, 5);
    assert_int_equal(cursor.at_us, 6);
    assert_int_equal(cursor.state.len, 3);
    assert_ptr_equal(cursor.state.data, bytes);
    assert_memory_equal(bytes, "a\0b", 3);
    assert_int_equal(reader_cursor(reader, "file", &cursor, bytes), -ENOENT);
    reader_close(reader);
}

/* ---- Of an older version ---- */

static void copy_older(const char *name)
{
    unsigned char bytes[128 * 1024];
    char original[SCRATCH_BYTES_MAX];
    const char *folder = getenv("WEIR_TEST_STORES");
    FILE *file = NULL;
    size_t len = 0;

    assert_non_null(folder);
    snprintf(original, sizeof(original), "%s/%s", folder, name);
    file = fopen(original, "rb");
    assert_non_null(file);
    len = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

/* By every function, and left as it is. What was not stored yet is not there. */
static void older_stores_are_read_as_they_are(void **state)
{
    static const struct {
        const char *name;
        uint64_t version, newest, step;
    } older[] = { { "version1.db", 1, 30, 31 }, { "version2.db", 2, 41, 33 } };

    (void)state;
    close_store();
    for (size_t i = 0; i < sizeof(older) / sizeof(older[0]); i++) {
        struct stored_connection connection;
        struct stored_details details;
        struct stored_client client;
        struct stored_message message;
        struct stored_step step;
        struct cursor cursor;
        unsigned char bytes[CURSOR_STATE_BYTES_MAX];
        struct reader *reader = NULL;
        unsigned pages = 0;

        copy_older(older[i].name);
        change_by_hand(
            "INSERT INTO client (id, name) VALUES (3, 'pump'); UPDATE connection SET client = 3 WHERE id = 2");
        reader = open_reader();
        expect_newest(reader, older[i].newest);
        assert_int_equal(read_all(reader, (struct reader_range){ 0, older[i].newest }, &pages), older[i].newest);
        assert_int_equal(reader_message(reader, 1, &message), 0);
        assert_int_equal(message.flags, RECORD_TEXT);
        assert_int_equal(message.verdict, 0);
        assert_int_equal(message.rule, 0);
        assert_int_equal(message.answers, 0);
        assert_int_equal(reader_next_step(reader, 0, &step), 0);
        assert_int_equal(step.first_message, older[i].step);
        assert_int_equal(reader_connection(reader, 2, &connection), 0);
        assert_int_equal(connection.client, 3);
        assert_int_equal(connection.previous, 0);
        assert_int_equal(reader_client(reader, 3, &client), 0);
        assert_string_equal(client.name, "pump");
        assert_int_equal(client.first_seen_us, 0);
        assert_int_equal(client.last_connection, 0);
        assert_int_equal(reader_details(reader, 2, &details), 0);
        assert_string_equal(details.device, "");
        assert_string_equal(details.proxy, "");
        assert_string_equal(details.tls_subject, "");
        assert_int_equal(reader_details(reader, 999, &details), -ENOENT);
        assert_int_equal(reader_cursor(reader, "nats", &cursor, bytes), -ENOENT);
        reader_close(reader);
        assert_int_equal(read_number(path, "SELECT user_version & 255 FROM pragma_user_version"), older[i].version);
    }
}

static void pages_of_both_directions_make_the_whole(void **state)
{
    enum { COUNT = 10000 };
    struct head head = { .connection = 1 };
    struct reader *reader = NULL;
    unsigned pages = 0;

    (void)state;
    store_messages(&head, COUNT);
    reader = open_reader();
    expect_newest(reader, COUNT);
    assert_int_equal(read_all(reader, (struct reader_range){ 0, COUNT }, &pages), COUNT);
    assert_in_range(pages, 10, 20);
    assert_int_equal(read_all(reader, (struct reader_range){ 0, COUNT, .is_backward = true }, &pages), COUNT);
    assert_int_equal(read_all(reader, (struct reader_range){ 100, 200 }, &pages), 100);
    assert_int_equal(pages, 1);
    assert_int_equal(read_all(reader, (struct reader_range){ 9990, COUNT + 1000 }, &pages), 10);
    assert_int_equal(read_all(reader, (struct reader_range){ COUNT, COUNT + 1000, .is_backward = true }, &pages), 0);
    assert_int_equal(pages, 1);
    reader_close(reader);
}

static bool wants_the_five_thousandth(const struct stored_message *message, void *user)
{
    ++*(unsigned *)user;
    return message->seq == 5000;
}

/* However little is wanted, a page's transaction is short. */
static void what_is_not_wanted_bounds_a_page_too(void **state)
{
    enum { COUNT = 20000 };
    unsigned seen = 0;
    struct head head = { .connection = 1 };
    struct reader_range range = { 0, COUNT, .wants = wants_the_five_thousandth, .user = &seen };
    struct reader_page page;
    struct reader *reader = NULL;

    (void)state;
    store_messages(&head, COUNT);
    reader = open_reader();
    assert_int_equal(reader_read(reader, &range, &page), 0);
    assert_in_range(seen, 5000, COUNT - 1);
    assert_int_equal(range.after, seen);
    assert_int_equal(page.count, 1);
    assert_int_equal(page.messages[0].id, 5000);
    assert_memory_equal(page.messages[0].bytes.data, "5000", 4);
    while (range.after < range.until) {
        assert_int_equal(reader_read(reader, &range, &page), 0);
        assert_int_equal(page.count, 0);
    }
    assert_int_equal(seen, COUNT);
    reader_close(reader);
}

/* A page has a megabyte, and a longer message is one of its own. */
static void long_messages_bound_a_page(void **state)
{
    static char bytes[1500 * 1024];
    static const size_t lens[] = { 600 * 1024, 600 * 1024, sizeof(bytes), 0, 1 };
    struct head head = { .connection = 1 };
    struct reader_range range = { 0, 5 };
    struct reader_page page;
    struct reader *reader = NULL;

    (void)state;
    memset(bytes, 'x', sizeof(bytes));
    assert_int_equal(store_begin(store), STORE_STORED);
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++)
        store_one(record_add(batch, &head, RECORD_MESSAGE, bytes, lens[i]));
    assert_int_equal(store_commit(store), STORE_STORED);
    reader = open_reader();
    for (size_t next = 0; next < sizeof(lens) / sizeof(lens[0]); next += page.count) {
        assert_int_equal(reader_read(reader, &range, &page), 0);
        assert_int_equal(page.count, next < 3 ? 1 : 2);
        for (size_t i = 0; i < page.count; i++) {
            assert_int_equal(page.messages[i].bytes.len, lens[next + i]);
            assert_memory_equal(page.messages[i].bytes.data, bytes, lens[next + i]);
            assert_false(page.messages[i].is_damaged);
        }
    }
    reader_close(reader);
}

static void altered_bytes_are_named(void **state)
{
    struct head head = { .connection = 1 };
    struct reader_range range = { 0, 3 };
    struct reader_page page;
    struct reader *reader = NULL;

    (void)state;
    store_messages(&head, 3);
    close_store();
    change_by_hand("UPDATE message SET bytes = x'33' WHERE id = 2");
    reader = open_reader();
    assert_int_equal(reader_read(reader, &range, &page), 0);
    assert_int_equal(page.count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(page.messages[i].is_damaged, i == 1);
    reader_close(reader);
}

static void times_and_steps_are_found(void **state)
{
    static const int64_t seconds[] = { 0, 0, 50, 30, 60, 20 };
    struct head head = { .connection = 1 };
    struct stored_step step;
    struct reader *reader = NULL;
    uint64_t id = 0;
    int64_t time_us = 0;

    (void)state;
    assert_int_equal(store_begin(store), STORE_STORED);
    for (size_t i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++) {
        struct record *record = make_message(&head, i + 1, "m");

        record->time_us += seconds[i] * 1000000;
        store_one(record);
    }
    assert_int_equal(store_commit(store), STORE_STORED);
    change_by_hand("DELETE FROM message WHERE id = 1");
    reader = open_reader();
    assert_int_equal(reader_time(reader, 1, &id, &time_us), 0);
    assert_int_equal(id, 2);
    assert_int_equal(time_us, (int64_t)FIRST_SECOND * 1000000);
    assert_int_equal(reader_time(reader, 7, &id, &time_us), 0);
    assert_int_equal(id, 0);
    assert_int_equal(reader_next_step(reader, 0, &step), 0);
    assert_int_equal(step.first_message, 4);
    assert_int_equal(step.before, FIRST_SECOND + 50);
    assert_int_equal(step.after, FIRST_SECOND + 30);
    assert_false(step.is_from_unknown);
    assert_int_equal(reader_next_step(reader, 4, &step), 0);
    assert_int_equal(step.first_message, 6);
    assert_int_equal(reader_next_step(reader, 6, &step), 0);
    assert_int_equal(step.first_message, 0);
    assert_int_equal(reader_find_second(reader, FIRST_SECOND + 1, 6, &id), 0);
    assert_int_equal(id, 4);
    assert_int_equal(reader_find_second(reader, FIRST_SECOND + 61, 6, &id), 0);
    assert_int_equal(id, 0);
    reader_close(reader);
}

static void note_connection(const struct stored_connection *connection, void *user)
{
    uint64_t *last = user;

    assert_int_equal(connection->number, *last + 1);
    *last = connection->number;
}

static void every_connection_is_told(void **state)
{
    enum { COUNT = 20000 }; /* more than a page */
    uint64_t last = 0;
    struct reader *reader = NULL;

    (void)state;
    change_by_hand("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)"
                   " INSERT INTO connection (id, listener, frame, peer, opened) SELECT i, 'l', 'f', 'p', 0 FROM n");
    reader = open_reader();
    assert_int_equal(reader_each_connection(reader, note_connection, &last), 0);
    assert_int_equal(last, COUNT);
    reader_close(reader);
}

/* What is committed later is seen, the log begins anew although the reader stays, and its end does not take the log
 * away. */
static void a_reader_is_not_in_the_writers_way(void **state)
{
    struct head head = { .connection = 1 };
    struct reader *reader = NULL;
    unsigned pages = 0;
    int64_t left = 0;

    (void)state;
    store_messages(&head, 2000);
    reader = open_reader();
    assert_int_equal(read_all(reader, (struct reader_range){ 0, 2000 }, &pages), 2000);
    for (uint64_t round = 1; round <= 3; round++) {
        assert_int_equal(store_checkpoint(store, &left), STORE_STORED);
        assert_int_equal(left, 0);
        assert_int_equal(store_begin(store), STORE_STORED);
        store_one(make_message(&head, 2000 + round, "later"));
        assert_int_equal(store_commit(store), STORE_STORED);
        expect_newest(reader, 2000 + round);
    }
    reader_close(reader);
    reader = open_reader();
    expect_newest(reader, 2003);
    reader_close(reader);
}

/* In another process, as after kill -9: the log is there, its index is not of use, and reading changes neither. */
static void what_a_kill_has_left_is_read_and_stays(void **state)
{
    struct head head = { .connection = 1 };
    char log[SCRATCH_BYTES_MAX];
    struct stat before, after;
    struct reader *reader = NULL;
    int status = 0;
    pid_t child = 0;

    (void)state;
    close_store();
    child = fork();
    if (child == 0) {
        char error[STORE_ERROR_BYTES_MAX];

        if (store_open(path, &store, error)) _exit(1);
        store_messages(&head, 100);
        _exit(0); /* nothing is closed */
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(stat(scratch_path("s.db-wal", log), &before), 0);
    assert_true(before.st_size > 0);
    reader = open_reader();
    expect_newest(reader, 100);
    reader_close(reader);
    assert_int_equal(stat(log, &after), 0);
    assert_int_equal(after.st_size, before.st_size);
    assert_int_equal(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
}

static void another_file_in_its_place_is_noticed(void **state)
{
    struct reader *reader = open_reader();
    char other[SCRATCH_BYTES_MAX];
    FILE *file = NULL;

    (void)state;
    assert_false(reader_is_replaced(reader));
    assert_int_equal(rename(path, scratch_path("old.db", other)), 0);
    assert_true(reader_is_replaced(reader));
    file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
    assert_true(reader_is_replaced(reader));
    reader_close(reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_no_store_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(every_column_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(what_came_of_a_message_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(a_name_leads_to_its_connections, setup, teardown),
        cmocka_unit_test_setup_teardown(a_cursor_is_read_with_its_state, setup, teardown),
        cmocka_unit_test_setup_teardown(older_stores_are_read_as_they_are, setup, teardown),
        cmocka_unit_test_setup_teardown(pages_of_both_directions_make_the_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_wanted_bounds_a_page_too, setup, teardown),
        cmocka_unit_test_setup_teardown(long_messages_bound_a_page, setup, teardown),
        cmocka_unit_test_setup_teardown(altered_bytes_are_named, setup, teardown),
        cmocka_unit_test_setup_teardown(times_and_steps_are_found, setup, teardown),
        cmocka_unit_test_setup_teardown(every_connection_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(a_reader_is_not_in_the_writers_way, setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_kill_has_left_is_read_and_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(another_file_in_its_place_is_noticed, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

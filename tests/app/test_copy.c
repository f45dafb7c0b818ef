/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A store copied page by page, with a writer on it between the pages: what the copy is of, what retention takes from
 * it, and that the log begins anew meanwhile. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "records.h"
#include "scratch.h"
#include "store/copy.h"
#include "store/folder.h"
#include "store/store.h"

enum { MESSAGE_BYTES = 1024 * 1024, PAGE_MESSAGES = 8, BATCH_BYTES = 64 * 1024 * 1024 };

static char path[SCRATCH_BYTES_MAX], copied[SCRATCH_BYTES_MAX];
static struct batch *batch;
static struct store *store; /* NULL: closed */
static struct head head;
static struct reader *reader;
static struct copy *copy;

static int setup(void **state)
{
    char error[STORE_ERROR_BYTES_MAX];

    if (scratch_make(state)) return -1;
    head = (struct head){ .connection = 1 };
    batch = batch_new(0, BATCH_BYTES);
    scratch_path("copy.db", copied);
    if (!batch || folder_make_file(scratch_path("s.db", path), error) || folder_make_file(copied, error)) return -1;
    return store_open(path, &store, error);
}

static void end_copy(void)
{
    copy_free(copy);
    reader_close(reader);
    copy = NULL;
    reader = NULL;
}

static int teardown(void **state)
{
    end_copy();
    store_close(store);
    store = NULL;
    free(batch);
    return scratch_remove(state);
}

/* So many messages of a megabyte, each in a transaction of its own. */
static void add_messages(unsigned count)
{
    static char bytes[MESSAGE_BYTES];

    for (unsigned i = 0; i < count; i++) {
        struct record *record = record_add(batch, &head, RECORD_MESSAGE, bytes, sizeof(bytes));

        assert_int_equal(store_begin(store), STORE_STORED);
        assert_int_equal(record_store(store, record), STORE_STORED);
        assert_int_equal(store_set_head(store, &head), STORE_STORED);
        assert_int_equal(store_commit(store), STORE_STORED);
        head.last_message = record->id;
        batch->len = batch->count = 0;
    }
}

static void open_connection(void)
{
    static const char opening[] = "tcp://127.0.0.1:8000\0line\0"
                                  "127.0.0.1:9";

    assert_int_equal(store_begin(store), STORE_STORED);
    assert_int_equal(record_store(store, record_add(batch, &head, RECORD_OPEN, opening, sizeof(opening))),
                     STORE_STORED);
    assert_int_equal(store_commit(store), STORE_STORED);
    batch->len = batch->count = 0;
}

static void run_sql(const char *file, const char *sql)
{
    sqlite3 *db = NULL;
    char *error = NULL;

    assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &error) != SQLITE_OK) fail_msg("%s: %s", sql, error);
    sqlite3_close(db);
}

static void begin_copy(void)
{
    char error[COPY_ERROR_BYTES_MAX] = "";

    if (reader_open(path, &reader, error) || copy_begin(reader, copied, &copy, error)) fail_msg("%s", error);
}

static void copy_the_rest(void)
{
    int more = 1;

    while (more == 1)
        more = copy_go_on(copy);
    if (more < 0) fail_msg("%s", copy_text(copy));
}

static void expect_copied(uint64_t first, uint64_t last)
{
    const struct copy_counts *counts = copy_counts(copy);

    assert_int_equal(counts->first, first);
    assert_int_equal(counts->last, last);
    assert_int_equal(counts->messages, last - first + 1);
    assert_int_equal(counts->until, last);
    end_copy();
    assert_int_equal(read_number(copied, "SELECT min(id) FROM message"), first);
    assert_int_equal(read_number(copied, "SELECT max(id) FROM message"), last);
    assert_int_equal(read_number(copied, "SELECT count(*) FROM message"), last - first + 1);
    assert_int_equal(read_number(copied, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"),
                     1);
}

/* ---- Of what it is a copy ---- */

/* Also connections: one that comes later, and where the chains begin. */
static void it_is_of_the_instant_in_which_it_began(void **state)
{
    struct head other = { .connection = 2 };

    (void)state;
    open_connection();
    add_messages(3 * PAGE_MESSAGES);
    begin_copy();
    assert_int_equal(copy_go_on(copy), 1);
    assert_int_equal(copy_counts(copy)->messages, PAGE_MESSAGES);
    add_messages(2);
    head = other;
    open_connection();
    add_messages(2);
    copy_the_rest();
    assert_int_equal(copy_counts(copy)->connections, 1);
    expect_copied(1, 3 * PAGE_MESSAGES);
    assert_int_equal(read_number(copied, "SELECT count(*) FROM connection"), 1);
    assert_in_range(read_number(copied, "SELECT last_message FROM connection"), 3 * PAGE_MESSAGES - 1,
                    3 * PAGE_MESSAGES);
}

static void a_store_goes_on_from_it(void **state)
{
    char error[STORE_ERROR_BYTES_MAX];
    uint64_t next_connection = 0;
    struct stat status;
    char log[SCRATCH_BYTES_MAX];

    (void)state;
    open_connection();
    add_messages(PAGE_MESSAGES + 1);
    next_connection = store_next_connection(store);
    begin_copy();
    copy_the_rest();
    assert_int_equal(copy_go_on(copy), 0); /* the end stays the end */
    end_copy();
    assert_int_equal(stat(scratch_path("copy.db-wal", log), &status), -1);
    assert_int_equal(stat(scratch_path("copy.db-journal", log), &status), -1);
    for (size_t i = 0; i < 4; i++) {
        static const char *const pragmas[] = { "SELECT user_version & 255 FROM pragma_user_version",
                                               "PRAGMA application_id", "PRAGMA page_size", "PRAGMA auto_vacuum" };
        assert_int_equal(read_number(copied, pragmas[i]), read_number(path, pragmas[i]));
    }
    store_close(store);
    assert_int_equal(store_open(copied, &store, error), 0);
    assert_int_equal(store_last_message(store), PAGE_MESSAGES + 1);
    assert_true(store_next_connection(store) >= next_connection);
    add_messages(1);
    assert_int_equal(store_last_message(store), PAGE_MESSAGES + 2);
}

static void one_without_messages_is_copied(void **state)
{
    (void)state;
    open_connection();
    begin_copy();
    assert_int_equal(copy_go_on(copy), 0);
    assert_int_equal(copy_counts(copy)->messages, 0);
    assert_int_equal(copy_counts(copy)->connections, 1);
    end_copy();
    assert_int_equal(read_number(copied, "SELECT count(*) FROM message"), 0);
    assert_int_equal(read_number(copied, "SELECT count(*) FROM connection"), 1);
}

/* As a later version may have it, or as somebody has put it there: no table is left behind. */
static void what_is_not_known_here_is_copied_as_well(void **state)
{
    (void)state;
    add_messages(1);
    store_close(store);
    store = NULL;
    run_sql(path,
            "CREATE TABLE \"a \"\" step\" (time INTEGER PRIMARY KEY, by_us REAL, why TEXT, what BLOB) WITHOUT ROWID;"
            "INSERT INTO \"a \"\" step\" VALUES (1, 0.5, 'ä', x'0001'), (2, NULL, '', NULL);"
            "CREATE INDEX by_why ON \"a \"\" step\" (why); CREATE VIEW steps AS SELECT * FROM \"a \"\" step\";"
            "CREATE TABLE seen (id); CREATE TRIGGER see AFTER INSERT ON message BEGIN INSERT INTO seen VALUES (1); END;"
            "ALTER TABLE message ADD COLUMN later DEFAULT 7; UPDATE meta SET value = 'mine' WHERE key = 'store';"
            "PRAGMA user_version = 0");
    begin_copy();
    copy_the_rest();
    assert_int_equal(copy_give_id(copy), 0);
    end_copy();
    assert_int_equal(read_number(copied,
                                 "SELECT count(*) FROM steps WHERE time = 1 AND by_us = 0.5 AND why = 'ä'"
                                 " AND what = x'0001' OR time = 2 AND by_us IS NULL AND why = '' AND what IS NULL"),
                     2);
    assert_int_equal(read_number(copied, "SELECT count(*) FROM sqlite_schema WHERE name IN ('by_why', 'steps', 'see')"),
                     3);
    assert_int_equal(read_number(copied, "SELECT count(*) FROM seen"), 0);
    assert_int_equal(read_number(copied, "SELECT later FROM message"), 7);
    assert_int_equal(read_number(copied, "SELECT count(*) FROM recent"), 1);
    assert_int_equal(read_number(copied, "SELECT length(value) FROM meta WHERE key = 'store'"), 32);
    assert_int_equal(read_number(copied, "PRAGMA user_version"), 0);
}

static void damaged_messages_are_counted_and_copied(void **state)
{
    (void)state;
    add_messages(PAGE_MESSAGES + 4);
    store_close(store);
    store = NULL;
    run_sql(path, "UPDATE message SET bytes = x'33' WHERE id IN (2, 10); UPDATE message SET bytes = '' WHERE id = 11;"
                  "UPDATE message SET crc32c = crc32c + (1 << 32) WHERE id = 12");
    begin_copy();
    copy_the_rest();
    assert_int_equal(copy_counts(copy)->damaged, 4);
    assert_int_equal(copy_counts(copy)->first_damaged, 2);
    expect_copied(1, PAGE_MESSAGES + 4);
    assert_int_equal(read_number(copied, "SELECT bytes = x'33' FROM message WHERE id = 10"), 1);
}

/* ---- Beside a server ---- */

/* Between two pages nothing keeps the log from being moved and begun anew. */
static void the_log_is_not_held(void **state)
{
    int64_t left = 1;
    int64_t longest = 0;

    (void)state;
    add_messages(4 * PAGE_MESSAGES);
    begin_copy();
    while (copy_go_on(copy) == 1) {
        assert_int_equal(store_checkpoint(store, &left), STORE_STORED);
        assert_int_equal(left, 0);
        add_messages(2);
        if (store_log_bytes(store) > longest) longest = store_log_bytes(store);
    }
    assert_in_range(longest, 1, 3 * MESSAGE_BYTES);
    expect_copied(1, 4 * PAGE_MESSAGES);
}

static void delete_until(uint64_t id)
{
    const struct store_deletion what = { .bytes_max = (int64_t)id * MESSAGE_BYTES, .is_for_space = true };
    struct store_deleted deleted = { 0 };

    while (read_number(path, "SELECT min(id) FROM message") <= (int64_t)id)
        assert_int_equal(store_delete(store, &what, &deleted), STORE_STORED);
}

/* Retention may be behind the copy or ahead of it. */
static void what_is_deleted_meanwhile_is_missing_at_the_old_end(void **state)
{
    uint64_t oldest = 0;

    (void)state;
    add_messages(4 * PAGE_MESSAGES);
    begin_copy();
    assert_int_equal(copy_go_on(copy), 1);
    delete_until(2);
    assert_int_equal(copy_go_on(copy), 1);
    assert_int_equal(copy_counts(copy)->first, 1);
    delete_until(2 * PAGE_MESSAGES + 3);
    oldest = (uint64_t)read_number(path, "SELECT min(id) FROM message");
    assert_in_range(oldest, 2 * PAGE_MESSAGES + 4, 4 * PAGE_MESSAGES);
    copy_the_rest();
    expect_copied(oldest, 4 * PAGE_MESSAGES);
}

/* All that is copied has gone, and nothing else: there is no gap. */
static void what_is_deleted_up_to_the_copys_end_leaves_no_gap(void **state)
{
    (void)state;
    add_messages(2 * PAGE_MESSAGES);
    begin_copy();
    assert_int_equal(copy_go_on(copy), 1);
    store_close(store);
    store = NULL;
    run_sql(path, "DELETE FROM message WHERE id <= 8");
    copy_the_rest();
    expect_copied(1, 2 * PAGE_MESSAGES);
}

static void a_copy_that_retention_overtakes_fails(void **state)
{
    (void)state;
    add_messages(2 * PAGE_MESSAGES);
    begin_copy();
    assert_int_equal(copy_go_on(copy), 1);
    add_messages(1);
    delete_until(2 * PAGE_MESSAGES);
    assert_int_equal(copy_go_on(copy), -ESTALE);
    assert_non_null(strstr(copy_text(copy), "retention"));
}

/* ---- What goes wrong ---- */

static int stop_at_once(void *user)
{
    (void)user;
    return 1;
}

static void it_can_be_stopped(void **state)
{
    char error[COPY_ERROR_BYTES_MAX];

    (void)state;
    store_close(store);
    store = NULL;
    run_sql(path, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)"
                  " INSERT INTO connection (id, listener, frame, peer, opened) SELECT i, 'l', 'f', 'p', 0 FROM n");
    assert_int_equal(reader_open(path, &reader, error), 0);
    reader_stop_when(reader, stop_at_once, NULL);
    assert_int_equal(copy_begin(reader, copied, &copy, error), -EINTR);
    assert_null(copy);
}

static void a_disk_that_refuses_is_said(void **state)
{
    char error[COPY_ERROR_BYTES_MAX];
    int more = 1;

    (void)state;
    add_messages(3 * PAGE_MESSAGES);
    begin_copy();
    scratch_limit_files(2 * PAGE_MESSAGES * MESSAGE_BYTES);
    while (more == 1)
        more = copy_go_on(copy);
    assert_in_range(-more, 1, 200);
    assert_true(strlen(copy_text(copy)) > 0);
    copy_free(copy);
    copy = NULL;
    assert_int_equal(copy_begin(reader, "/dev/null/copy.db", &copy, error), -EIO);
    assert_null(copy);
    scratch_limit_files(RLIM_INFINITY);
}

/* The root of a table is no page of a table any more. */
static void break_table(const char *sql)
{
    const long page = (long)read_number(path, sql);
    FILE *file = fopen(path, "r+b");

    assert_non_null(file);
    assert_int_equal(fseek(file, (page - 1) * 8192, SEEK_SET), 0);
    assert_int_equal(fputc(0xee, file), 0xee);
    fclose(file);
}

static void what_cannot_be_read_is_said(void **state)
{
    char error[COPY_ERROR_BYTES_MAX] = "";

    (void)state;
    add_messages(PAGE_MESSAGES + 1);
    store_close(store);
    store = NULL;
    break_table("SELECT rootpage FROM sqlite_schema WHERE name = 'second'");
    assert_int_equal(reader_open(path, &reader, error), 0);
    assert_int_equal(copy_begin(reader, copied, &copy, error), -EIO);
    assert_non_null(strstr(error, "cannot be read: database disk image is malformed"));
    assert_null(copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_is_of_the_instant_in_which_it_began, setup, teardown),
        cmocka_unit_test_setup_teardown(a_store_goes_on_from_it, setup, teardown),
        cmocka_unit_test_setup_teardown(one_without_messages_is_copied, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_known_here_is_copied_as_well, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged_messages_are_counted_and_copied, setup, teardown),
        cmocka_unit_test_setup_teardown(the_log_is_not_held, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_deleted_meanwhile_is_missing_at_the_old_end, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_deleted_up_to_the_copys_end_leaves_no_gap, setup, teardown),
        cmocka_unit_test_setup_teardown(a_copy_that_retention_overtakes_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(it_can_be_stopped, setup, teardown),
        cmocka_unit_test_setup_teardown(a_disk_that_refuses_is_said, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_read_is_said, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

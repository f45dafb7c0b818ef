/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Times that go back and forth: whatever time is asked for, its messages lie in what is found, before and after
 * deletion, kills and stores of version 1; and what is noted of seconds and steps is what the messages say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "older.h"
#include "records.h"
#include "scratch.h"
#include "store/folder.h"
#include "store/schema.h"
#include "store/window.h"

enum { BATCH_BYTES = 64 * 1024, MESSAGES_MAX = 4096, MESSAGE_BYTES = 1 + 32 };

static char path[SCRATCH_BYTES_MAX];
static struct store *store;
static struct reader *reader; /* NULL: none yet */
static struct batch *batch;
static struct head head;
static int64_t times_us[MESSAGES_MAX]; /* of message i + 1 */
static size_t count;
static bool is_begun; /* a transaction, which goes on until something is looked at */
static struct window window;

static int setup(void **state)
{
    char error[STORE_ERROR_BYTES_MAX];

    if (scratch_make(state)) return -1;
    batch = batch_new(0, BATCH_BYTES);
    if (!batch || folder_make_file(scratch_path("s.db", path), error)) return -1;
    head = (struct head){ .connection = 1 };
    count = 0;
    is_begun = false;
    return store_open(path, &store, error);
}

static int teardown(void **state)
{
    reader_close(reader);
    reader = NULL;
    store_close(store);
    store = NULL;
    free(batch);
    return scratch_remove(state);
}

/* ---- What is stored ---- */

static void commit(void)
{
    if (is_begun) assert_int_equal(store_commit(store), STORE_STORED);
    is_begun = false;
}

static void seal(void)
{
    commit();
    assert_int_equal(store_seal(store, 2, true), STORE_STORED);
}

/* As after a kill: nothing is written at the end. */
static void open_anew(void)
{
    char error[STORE_ERROR_BYTES_MAX];

    commit();
    store_close(store);
    if (store_open(path, &store, error)) fail_msg("%s", error);
}

static void add_at_us(int64_t time_us)
{
    struct record *record = NULL;

    batch->len = 0;
    record = record_add(batch, &head, RECORD_MESSAGE, "m", 1);
    record->seq = count + 1;
    record->time_us = time_us;
    if (!is_begun) assert_int_equal(store_begin(store), STORE_STORED);
    is_begun = true;
    assert_int_equal(record_store(store, record), STORE_STORED);
    assert_true(count < MESSAGES_MAX);
    times_us[count++] = time_us;
}

/* Seconds from FIRST_SECOND. */
static void add_at(int64_t second)
{
    add_at_us((FIRST_SECOND + second) * 1000000);
}

static uint64_t delete_some(unsigned messages)
{
    const struct store_deletion what = { .bytes_max = (int64_t)messages * MESSAGE_BYTES,
                                         .is_for_space = true,
                                         .connections_max = 4 };
    struct store_deleted deleted = { 0 };

    seal();
    assert_int_equal(store_delete(store, &what, &deleted), STORE_STORED);
    return deleted.messages;
}

/* ---- What is found ---- */

static int64_t number_of(const char *sql)
{
    if (store) commit();
    return read_number(path, sql);
}

static uint64_t oldest(void)
{
    return (uint64_t)number_of("SELECT min(id) FROM message");
}

/* *ret_more: messages in the stretches that are not of the time. first: the oldest message. */
static void find(int64_t since_us, int64_t until_us, uint64_t after, uint64_t first, size_t *ret_more)
{
    const struct window_query query = { .after = after, .until = count, .since_us = since_us, .until_us = until_us };
    size_t stretch = 0;

    *ret_more = 0;
    if (!reader) {
        char error[READER_ERROR_BYTES_MAX];
        if (reader_open(path, &reader, error)) fail_msg("%s", error);
    }
    assert_int_equal(window_find(reader, &query, &window), 0);
    for (uint64_t id = first > after ? first : after + 1; id <= count; id++) {
        const bool is_asked_for = times_us[id - 1] >= since_us && times_us[id - 1] < until_us;

        while (stretch < window.count && window.stretches[stretch].until < id)
            stretch++;
        if (stretch < window.count && id > window.stretches[stretch].after)
            *ret_more += !is_asked_for;
        else if (is_asked_for)
            fail_msg("message %llu is not found", (unsigned long long)id);
    }
    for (size_t i = 0; i < window.count; i++) {
        assert_true(window.stretches[i].after < window.stretches[i].until);
        if (i > 0) assert_true(window.stretches[i].after > window.stretches[i - 1].until);
    }
}

static size_t find_seconds(int64_t since, int64_t until)
{
    size_t more = 0;

    find((FIRST_SECOND + since) * 1000000, (FIRST_SECOND + until) * 1000000, 0, oldest(), &more);
    return more;
}

/* Windows about all times that there are. */
static void find_all(unsigned step)
{
    const uint64_t first = oldest();
    size_t more = 0;

    for (size_t i = 0; i < count; i += step) {
        for (size_t j = 0; j < count; j += 3 * step)
            if (times_us[i] < times_us[j]) find(times_us[i], times_us[j], i % 5 ? 0 : i, first, &more);
        find(times_us[i], times_us[i] + 1, 0, first, &more);
        find(times_us[i], INT64_MAX, 0, first, &more);
        find(INT64_MIN, times_us[i], 0, first, &more);
    }
}

static void expect_number(const char *sql, int64_t expected)
{
    const int64_t number = number_of(sql);

    if (number != expected) fail_msg("%s: %lld and not %lld", sql, (long long)number, (long long)expected);
}

#define SECONDS_OF_MESSAGES "SELECT time / 1000000 AS time, min(id) AS id FROM message GROUP BY 1"

static void expect_seconds_as_messages(void)
{
    expect_number("SELECT count(*) FROM (SELECT time, first_message FROM second EXCEPT " SECONDS_OF_MESSAGES ")", 0);
    expect_number("SELECT count(*) FROM (" SECONDS_OF_MESSAGES " EXCEPT SELECT time, first_message FROM second)", 0);
}

/* Behind deletion: only beside the oldest message a row may begin too early, or be one too many. */
static void expect_seconds_behind_deletion(void)
{
    expect_number("SELECT count(*) FROM (" SECONDS_OF_MESSAGES ") LEFT JOIN second USING (time)"
                  " WHERE first_message IS NULL OR first_message > id",
                  0);
    expect_number("SELECT count(*) > 31 FROM second LEFT JOIN (" SECONDS_OF_MESSAGES ") USING (time)"
                  " WHERE id IS NULL OR first_message < id",
                  0);
    expect_number("SELECT count(*) FROM step WHERE first_message < (SELECT min(id) FROM message)", 0);
    expect_number("SELECT count(*) FROM again WHERE first_message < (SELECT min(id) FROM message)", 0);
}

/* ---- Tests ---- */

static void a_clock_that_is_right_has_no_steps(void **state)
{
    (void)state;
    for (int64_t second = 0; second < 1000; second += second % 3 ? 7 : 1)
        add_at(second - (second % 5 == 0 ? SCHEMA_JITTER_SECONDS - 7 : 0));
    expect_number("SELECT count(*) FROM step", 0);
    expect_seconds_as_messages();
    find_all(7);
    assert_true(find_seconds(300, 400) <= 20);
    assert_int_equal(window.count, 1);
    assert_int_equal(window.steps, 0);
    add_at(1100);
    while (delete_some(7) > 0)
        expect_seconds_behind_deletion();
}

/* As far as workers may be apart it is no step, and by one more it is; both are found. */
static void a_step_begins_beyond_what_workers_are_apart(void **state)
{
    (void)state;
    add_at(100);
    add_at(100 - SCHEMA_JITTER_SECONDS);
    add_at(101);
    expect_number("SELECT count(*) FROM step", 0);
    add_at(101 - SCHEMA_JITTER_SECONDS - 1);
    expect_number("SELECT first_message FROM step", 4);
    expect_number("SELECT before - after FROM step", SCHEMA_JITTER_SECONDS + 1);
    add_at(89);
    add_at(102);
    expect_number("SELECT count(*) FROM step", 1);
    expect_seconds_as_messages();
    find_all(1);
}

static void what_is_ahead_hides_nothing(void **state)
{
    enum { YEARS = 10 * 365 * 86400 };

    (void)state;
    for (int i = 0; i < 500; i++) {
        add_at(i * 60);
        if (i % 100 == 50) add_at(YEARS);
    }
    expect_number("SELECT count(*) FROM step", 5);
    find_all(11);
    assert_true(find_seconds(100 * 60, 120 * 60) <= 10); /* and not all that comes behind */
    assert_int_equal(window.steps, 1);                   /* the others have passed over what is later */
    find_seconds(YEARS + 1, YEARS + 2);
    assert_int_equal(window.steps, 0);
}

/* A message in a transaction that is given up. */
static void give_up_at(int64_t second)
{
    const uint64_t last_message = head.last_message;
    struct record *record = NULL;

    commit();
    batch->len = 0;
    record = record_add(batch, &head, RECORD_MESSAGE, "m", 1);
    record->time_us += second * 1000000;
    assert_int_equal(store_begin(store), STORE_STORED);
    assert_int_equal(record_store(store, record), STORE_STORED);
    store_rollback(store);
    head.last_message = last_message;
}

static void what_was_not_stored_is_not_noted(void **state)
{
    (void)state;
    add_at(100);
    give_up_at(-1000);
    give_up_at(101);
    give_up_at(100000);
    expect_number("SELECT count(*) FROM step", 0);
    add_at(101);
    add_at(100);
    expect_number("SELECT count(*) FROM step", 0);
    add_at(50);
    add_at(100);
    expect_number("SELECT first_message FROM step", 4);
    expect_number("SELECT before FROM step", FIRST_SECOND + 101);
    expect_seconds_as_messages();
}

/* The highest time is known again, whether it was written or not, and is not that of before the last step. */
static void steps_are_noted_over_a_new_open(void **state)
{
    (void)state;
    add_at(1000);
    add_at(995);
    seal();
    open_anew();
    add_at(991);
    expect_number("SELECT count(*) FROM step", 0);
    open_anew();
    add_at(989);
    expect_number("SELECT before FROM step WHERE first_message = 4", FIRST_SECOND + 1000);
    open_anew();
    add_at(985);
    expect_number("SELECT count(*) FROM step", 1);
    seal();
    open_anew();
    add_at(970);
    expect_number("SELECT before FROM step WHERE first_message = 6", FIRST_SECOND + 989);
    expect_number("SELECT count(*) FROM step", 2);
    expect_seconds_as_messages();
    find_all(1);
}

/* The second of the epoch is one like others: boards without a battery begin in it. */
static void a_second_that_comes_with_each_boot_keeps_its_row(void **state)
{
    (void)state;
    for (int boot = 0; boot < 20; boot++) {
        for (int i = 0; i < 5; i++)
            add_at_us(i * 1000000 + 5);
        for (int i = 0; i < 5; i++)
            add_at(boot * 100 + i);
        commit(); /* the last transaction is never deleted for space */
    }
    expect_number("SELECT count(*) FROM step", 19);
    expect_number("SELECT count(*) FROM again", 19 * 5);
    expect_seconds_as_messages();
    find_all(3);
    for (int i = 0; i < 22; i++) {
        assert_int_equal(delete_some(8), 8);
        expect_seconds_behind_deletion();
    }
    find_all(3);
    assert_true(number_of("SELECT count(*) FROM second") < 5 + 3 * 5 + 16);
    while (delete_some(100) > 0)
        ;
    expect_number("SELECT count(*) FROM again", 5); /* beside the oldest message */
}

/* A message of years ahead goes, and takes no second with it that has messages; one of long ago neither. */
static void seconds_go_with_their_messages(void **state)
{
    (void)state;
    add_at(0);
    add_at(1000000);
    for (int i = 0; i < 100; i++)
        add_at(i * 20);
    add_at(-1000000);
    for (int i = 100; i < 200; i++)
        add_at(i * 20);
    commit();
    add_at(4000);
    assert_int_equal(delete_some(2), 2);
    expect_seconds_behind_deletion();
    expect_number("SELECT count(*) FROM second", 202);
    while (delete_some(7) > 0)
        expect_seconds_behind_deletion();
    expect_number("SELECT count(*) FROM second", 1);
}

/* So many messages, with steps, and with workers that are apart. */
static void add_at_random(unsigned *seed, unsigned messages)
{
    static const int64_t lengths[] = { 1, 2, 9, 10, 11, 12, 30, 3600, 86400, 300000000 };
    int64_t now = rand_r(seed) % 1000;

    while (messages-- > 0) {
        const int64_t length = lengths[(unsigned)rand_r(seed) % (sizeof(lengths) / sizeof(lengths[0]))];
        const unsigned what = (unsigned)rand_r(seed) % 24;

        now += what == 0 ? length : what == 1 ? -length : what < 12 ? 0 : 1;
        add_at(now - (what == 20 ? rand_r(seed) % SCHEMA_JITTER_SECONDS : 0));
    }
}

/* With deletion and kills between. */
static void at_random(void **state)
{
    unsigned seed = 1;

    (void)state;
    for (int round = 0; round < 40; round++) {
        add_at_random(&seed, 60);
        if (round >= 20) {
            delete_some((unsigned)rand_r(&seed) % 120);
            expect_seconds_behind_deletion();
        } else {
            expect_seconds_as_messages();
        }
        if (round % 3 == 1) seal();
        if (round % 2) open_anew();
        if (round % 10 == 9) find_all(61);
    }
}

/* More than there are places: the last one goes on. */
static void more_stretches_than_places_are_found(void **state)
{
    size_t more = 0;

    (void)state;
    for (int i = 0; i < WINDOW_STRETCHES_MAX + 100; i++) {
        add_at(1000 + i);
        add_at(-100000 + i);
        add_at(500000 + i);
    }
    find((int64_t)FIRST_SECOND * 1000000, (FIRST_SECOND + 100000LL) * 1000000, 0, oldest(), &more);
    assert_int_equal(window.count, WINDOW_STRETCHES_MAX);
    assert_int_equal(window.last_step.first_message, count - 1);
}

/* The way back to version 1, whose writer noted a second when it was the highest ever. */
static void make_version_1(void)
{
    static const char sql[] = BACK_TO_VERSION_2
        "DROP TABLE step; DROP TABLE again; DELETE FROM second; DELETE FROM meta WHERE key = 'highest_second';"
        "INSERT INTO second SELECT time / 1000000, min(id) FROM message AS m WHERE time / 1000000 >"
        " coalesce((SELECT max(time / 1000000) FROM message WHERE id < m.id), 0) GROUP BY 1;"
        "PRAGMA user_version = 1";
    sqlite3 *db = NULL;
    char *error = NULL;

    commit();
    store_close(store);
    store = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &error) != SQLITE_OK) fail_msg("%s", error);
    sqlite3_close(db);
}

static void a_store_of_version_1_hides_nothing(void **state)
{
    unsigned seed = 7;

    (void)state;
    for (int i = 0; i < 400; i++)
        add_at(i * 5 + (i % 50 == 7 ? 200000000 : i % 90 == 8 ? -5000 : 0));
    make_version_1();
    find_all(13);
    find_seconds(0, 100);
    assert_int_equal(window.searched_until, 400);
    find_seconds(200001000, 200001001);
    assert_int_equal(window.searched_until, 400);
    find_seconds(300000000, 400000000);
    assert_int_equal(window.searched_until, 0);
    assert_int_equal(window.count, 0);
    reader_close(reader);
    reader = NULL;

    open_anew();
    expect_number("SELECT first_message FROM step WHERE after IS NULL", 401);
    for (int i = 400; i < 600; i++)
        add_at(i * 5 + (i % 50 == 7 ? 200000000 : i % 90 == 8 ? -5000 : 0));
    find_all(13);
    for (int i = 0; i < 60; i++) {
        delete_some((unsigned)rand_r(&seed) % 20);
        find_all(61);
        if (i % 9 == 0) open_anew();
    }
    expect_number("SELECT count(*) FROM step WHERE after IS NULL", oldest() < 401);
    while (delete_some(50) > 0)
        find_all(61);
}

/* Reading begins at the first row of a second that is not lower, so a row above goes only when a higher one is there.
 */
static void of_version_1_what_reading_goes_by_stays(void **state)
{
    static const int64_t seconds[] = { 15, 0, 0, 0, 14, 16, 17, 40 };

    (void)state;
    for (size_t i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++)
        add_at(seconds[i]);
    make_version_1();
    open_anew();
    for (int i = 0; i < 4; i++) {
        assert_int_equal(delete_some(1), 1);
        find_seconds(14, 15);
        find_all(1);
    }
}

#define WINDOW_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WINDOW_TEST(a_clock_that_is_right_has_no_steps),
        WINDOW_TEST(a_step_begins_beyond_what_workers_are_apart),
        WINDOW_TEST(what_is_ahead_hides_nothing),
        WINDOW_TEST(what_was_not_stored_is_not_noted),
        WINDOW_TEST(steps_are_noted_over_a_new_open),
        WINDOW_TEST(a_second_that_comes_with_each_boot_keeps_its_row),
        WINDOW_TEST(seconds_go_with_their_messages),
        WINDOW_TEST(at_random),
        WINDOW_TEST(more_stretches_than_places_are_found),
        WINDOW_TEST(a_store_of_version_1_hides_nothing),
        WINDOW_TEST(of_version_1_what_reading_goes_by_stays),
    };

    return cmocka_run_group_tests_name("window", tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The thread that writes: every batch comes back once, in order and stored, whatever happens to the store meanwhile. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "journal/writer.h"
#include "records.h"
#include "scratch.h"
#include "store/folder.h"

enum {
    PRODUCERS = 2,
    BATCHES = 500,
    RECORDS = 3,
    BATCH_BYTES = 1024,
    DEADLINE_S = 60,
    LOG_BYTES_NAMED = 2 * 1024 * 1024
};

static char path[SCRATCH_BYTES_MAX];
static struct writer *writer;
static uint64_t batches_put;

/* What the writer's thread has said. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t batches[PRODUCERS];  /* that came back */
    uint64_t next_seq[PRODUCERS]; /* of the next message that should */
    unsigned wrong;               /* batches out of order, or without ids */
    unsigned troubles, mends, notices;
    uint64_t numbers_limit;             /* as was told last; 0: not yet */
    off_t log_bytes_max;                /* of what was seen of the log's file */
    char notice[STORE_ERROR_BYTES_MAX]; /* the last one */
    char text[STORE_ERROR_BYTES_MAX];   /* of the first trouble */
} seen = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static off_t log_bytes(void)
{
    char name[SCRATCH_BYTES_MAX + sizeof("-wal")];
    struct stat status;

    snprintf(name, sizeof(name), "%s-wal", path);
    return stat(name, &status) ? 0 : status.st_size;
}

static void on_stored(struct batch *batch, void *user)
{
    uint64_t *next_seq = &seen.next_seq[batch->worker];

    (void)user;
    pthread_mutex_lock(&seen.lock);
    if (log_bytes() > seen.log_bytes_max) seen.log_bytes_max = log_bytes();
    seen.batches[batch->worker]++;
    for (struct record *record = batch_next(batch, NULL); record; record = batch_next(batch, record)) {
        if (record->kind != RECORD_MESSAGE) continue;
        if (record->seq != *next_seq || record->id == 0) seen.wrong++;
        *next_seq = record->seq + 1;
    }
    pthread_cond_signal(&seen.changed);
    pthread_mutex_unlock(&seen.lock);
    free(batch);
}

static void on_trouble(const char *text, void *user)
{
    (void)user;
    pthread_mutex_lock(&seen.lock);
    if (text && seen.troubles == 0) snprintf(seen.text, sizeof(seen.text), "%s", text);
    seen.troubles += text != NULL;
    seen.mends += !text;
    pthread_cond_signal(&seen.changed);
    pthread_mutex_unlock(&seen.lock);
}

static void on_notice(const char *text, void *user)
{
    (void)user;
    pthread_mutex_lock(&seen.lock);
    snprintf(seen.notice, sizeof(seen.notice), "%s", text);
    seen.notices++;
    pthread_cond_signal(&seen.changed);
    pthread_mutex_unlock(&seen.lock);
}

static void on_numbers(uint64_t limit, void *user)
{
    (void)user;
    pthread_mutex_lock(&seen.lock);
    seen.numbers_limit = limit;
    pthread_cond_signal(&seen.changed);
    pthread_mutex_unlock(&seen.lock);
}

static bool are_numbers_told(void)
{
    return seen.numbers_limit > 0;
}

static bool is_told(void)
{
    return seen.notices > 0;
}

static bool is_in_trouble(void)
{
    return seen.troubles > 0;
}

static bool is_first_back(void)
{
    return seen.batches[0] > 0;
}

static bool are_all_back(void)
{
    return seen.batches[0] == batches_put;
}

static bool is_mended(void)
{
    return seen.mends > 0 && seen.batches[0] > 0;
}

static void wait_for(bool (*is_so)(void))
{
    struct timespec deadline;
    int err = 0;

    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += DEADLINE_S;
    pthread_mutex_lock(&seen.lock);
    while (!is_so() && !err)
        err = pthread_cond_timedwait(&seen.changed, &seen.lock, &deadline);
    pthread_mutex_unlock(&seen.lock);
    assert_int_equal(err, 0);
}

static void open_writer_that_gathers(int gather_ms)
{
    const struct writer_config config = { .path = path,
                                          .on_stored = on_stored,
                                          .on_trouble = on_trouble,
                                          .on_notice = on_notice,
                                          .on_numbers = on_numbers,
                                          .log_bytes_named = LOG_BYTES_NAMED,
                                          .gather_ms = gather_ms };
    char error[STORE_ERROR_BYTES_MAX] = "";

    if (writer_new(&config, &writer, error)) fail_msg("%s", error);
}

static void open_writer(void)
{
    open_writer_that_gathers(0);
}

static void start_writer(void)
{
    open_writer();
    assert_int_equal(writer_start(writer), 0);
}

static void end_writer(void)
{
    uint64_t left = 0;

    assert_int_equal(writer_stop(writer, INT64_MAX, &left), 0);
    assert_int_equal(left, 0);
    writer_free(writer);
    writer = NULL;
}

static int setup(void **state)
{
    char error[FOLDER_ERROR_BYTES_MAX];

    if (scratch_make(state)) return -1;
    for (unsigned i = 0; i < PRODUCERS; i++) {
        seen.batches[i] = 0;
        seen.next_seq[i] = 1;
    }
    seen.wrong = seen.troubles = seen.mends = seen.notices = 0;
    seen.numbers_limit = 0;
    seen.log_bytes_max = 0;
    return folder_make_file(scratch_path("w.db", path), error);
}

static int teardown(void **state)
{
    writer_free(writer);
    writer = NULL;
    return scratch_remove(state);
}

/* ---- Batches ---- */

static struct batch *make_batch(unsigned worker)
{
    struct batch *batch = batch_new(worker, BATCH_BYTES);

    assert_non_null(batch);
    return batch;
}

static void add_open(struct batch *batch, struct head *head)
{
    static const char bytes[] = "tcp://127.0.0.1:8000\0line\0tcp://127.0.0.1:9";

    record_add(batch, head, RECORD_OPEN, bytes, sizeof(bytes));
}

static void add_message(struct batch *batch, struct head *head, uint64_t seq)
{
    char text[32];
    const int len = snprintf(text, sizeof(text), "%llu", (unsigned long long)seq);

    record_add(batch, head, RECORD_MESSAGE, text, (size_t)len)->seq = seq;
}

struct producer {
    pthread_t thread;
    unsigned worker;
    struct head head;
};

static void *produce(void *user)
{
    struct producer *producer = user;
    uint64_t seq = 0;

    for (unsigned i = 0; i < BATCHES; i++) {
        struct batch *batch = make_batch(producer->worker);

        if (i == 0) add_open(batch, &producer->head);
        for (unsigned j = 0; j < RECORDS; j++)
            add_message(batch, &producer->head, ++seq);
        writer_put(writer, batch);
    }
    return NULL;
}

/* ---- What is in the store ---- */

/* Each connection has its messages 1 to this, in order and chained, and nothing is there twice. */
static void expect_rows(int64_t connections, int64_t messages)
{
    assert_int_equal(read_number(path, "SELECT count(*) FROM connection"), connections);
    assert_int_equal(read_number(path, "SELECT count(*) FROM message"), connections * messages);
    assert_int_equal(read_number(path, "SELECT count(*) FROM"
                                       " (SELECT seq, previous, CAST(CAST(bytes AS TEXT) AS INTEGER) AS text,"
                                       "   row_number() OVER mine AS row, coalesce(lag(id) OVER mine, 0) AS before"
                                       "  FROM message WINDOW mine AS (PARTITION BY connection ORDER BY id))"
                                       " WHERE seq = row AND previous = before AND text = seq"),
                     connections * messages);
}

static void every_batch_comes_back_once_and_in_order(void **state)
{
    struct producer producers[PRODUCERS];

    (void)state;
    start_writer();
    for (unsigned i = 0; i < PRODUCERS; i++) {
        producers[i] = (struct producer){ .worker = i, .head.connection = i + 1 };
        assert_int_equal(pthread_create(&producers[i].thread, NULL, produce, &producers[i]), 0);
    }
    for (unsigned i = 0; i < PRODUCERS; i++)
        pthread_join(producers[i].thread, NULL);
    end_writer();
    for (unsigned i = 0; i < PRODUCERS; i++) {
        assert_int_equal(seen.batches[i], BATCHES);
        assert_int_equal(seen.next_seq[i], BATCHES * RECORDS + 1);
    }
    assert_int_equal(seen.wrong, 0);
    assert_int_equal(seen.troubles, 0);
    expect_rows(PRODUCERS, BATCHES * RECORDS);
}

static void put_message(struct head *head, bool is_awaited)
{
    struct batch *batch = make_batch(0);

    add_message(batch, head, ++batches_put);
    batch->is_awaited = is_awaited;
    writer_put(writer, batch);
}

/* The gathering is so long here that a wait for it fails the test: what nobody waits for is stored with what somebody
 * does, when it fills a transaction, and at the end. */
static void what_is_awaited_or_enough_ends_the_gathering(void **state)
{
    enum { AN_HOUR_MS = 3600 * 1000, MIB = 1024 * 1024 };
    unsigned char *bytes = calloc(1, MIB);
    struct batch *large = batch_new(0, record_bytes(MIB));
    struct head head = { .connection = 1 };

    (void)state;
    assert_true(bytes && large);
    open_writer_that_gathers(AN_HOUR_MS);
    assert_int_equal(writer_start(writer), 0);
    batches_put = 0;
    put_message(&head, false);
    put_message(&head, true);
    wait_for(are_all_back);

    put_message(&head, false);
    record_add(large, &head, RECORD_SENT, bytes, MIB);
    writer_put(writer, large);
    batches_put++;
    wait_for(are_all_back);
    free(bytes);

    put_message(&head, false);
    end_writer();
    assert_true(are_all_back());
    assert_int_equal(seen.troubles, 0);
}

/* A long log takes long to move, and acknowledgements wait for that; so it is moved between two transactions, also
 * while all of what waits was taken at once. */
static void the_log_stays_short_however_much_waits(void **state)
{
    enum { LARGE_BATCHES = 24, MIB = 1024 * 1024 };
    unsigned char *bytes = calloc(1, MIB);
    struct head head = { .connection = 1 };

    (void)state;
    assert_non_null(bytes);
    open_writer();
    for (unsigned i = 0; i < LARGE_BATCHES; i++) {
        struct batch *batch = batch_new(0, record_bytes(MIB));

        assert_non_null(batch);
        record_add(batch, &head, RECORD_SENT, bytes, MIB);
        writer_put(writer, batch);
    }
    assert_int_equal(writer_start(writer), 0);
    end_writer();
    free(bytes);
    assert_int_equal(seen.batches[0], LARGE_BATCHES);
    assert_in_range(seen.log_bytes_max, 4 * MIB, 10 * MIB);
}

/* They are written once a second; at the end no connection's last message is left to be found, though the last second
 * is not over and the connection was not closed. */
static void the_heads_are_written_at_the_end(void **state)
{
    struct head closed = { .connection = 1 }, open = { .connection = 2 };
    struct batch *batch = make_batch(0);

    (void)state;
    start_writer();
    add_open(batch, &closed);
    add_open(batch, &open);
    add_message(batch, &closed, 1);
    record_add(batch, &closed, RECORD_CLOSE, "reset", 5);
    add_message(batch, &open, 2);
    writer_put(writer, batch);
    wait_for(is_first_back); /* and the heads are written before more is taken */
    batch = make_batch(0);
    add_message(batch, &open, 3);
    writer_put(writer, batch);
    end_writer();
    assert_int_equal(seen.batches[0], 2);
    assert_int_equal(read_number(path, "SELECT last_message FROM connection WHERE id = 1"), 1);
    assert_int_equal(read_number(path, "SELECT last_message FROM connection WHERE id = 2"), 3);
}

static void no_number_comes_again(void **state)
{
    uint64_t highest = 0;

    (void)state;
    for (unsigned round = 0; round < 4; round++) {
        struct head heads[3] = { { 0 } };
        struct batch *batch = make_batch(0);

        start_writer();
        assert_true(writer_next_connection(writer) > highest);
        highest = writer_next_connection(writer) - 1;
        for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
            heads[i].connection = ++highest;
            add_open(batch, &heads[i]);
        }
        writer_put(writer, batch);
        end_writer();
    }
    assert_int_equal(read_number(path, "SELECT count(*) FROM connection"), 12);
}

/* Row or not: numbers are on disk before they may be given. */
static void numbers_are_taken_before_they_are_told(void **state)
{
    uint64_t limit = 0;

    (void)state;
    start_writer();
    limit = writer_numbers_limit(writer);
    assert_true(limit > writer_next_connection(writer) + WRITER_NUMBERS_LOW);
    assert_int_equal(read_number(path, "SELECT value FROM meta WHERE key = 'numbers_taken'"), limit);
    writer_note_next_connection(writer, limit - 1);
    wait_for(are_numbers_told);
    assert_true(seen.numbers_limit > limit + WRITER_NUMBERS_LOW);
    assert_int_equal(read_number(path, "SELECT value FROM meta WHERE key = 'numbers_taken'"), seen.numbers_limit);
    writer_note_next_connection(writer, limit + 17); /* enough are left, and this is the last that is said */
    end_writer();
    open_writer();
    assert_int_equal(writer_next_connection(writer), limit + 17);
    end_writer();
}

static sqlite3 *open_other(const char *sql);

static void numbers_that_cannot_be_taken_are_taken_later(void **state)
{
    sqlite3 *other = NULL;
    uint64_t limit = 0;

    (void)state;
    start_writer();
    limit = writer_numbers_limit(writer);
    other = open_other("BEGIN IMMEDIATE");
    writer_note_next_connection(writer, limit);
    wait_for(is_in_trouble);
    assert_int_equal(seen.numbers_limit, 0);
    sqlite3_close(other);
    wait_for(are_numbers_told);
    assert_true(seen.numbers_limit > limit);
    end_writer();
}

static void a_row_that_stays_open_is_closed_by_the_next_run(void **state)
{
    static const char is_open[] = "SELECT count(*) FROM connection WHERE closed IS NULL";
    struct head closed = { .connection = 1 }, open = { .connection = 2 };
    struct batch *batch = make_batch(0);

    (void)state;
    start_writer();
    add_open(batch, &closed);
    add_open(batch, &open);
    record_add(batch, &closed, RECORD_CLOSE, "reset", 5);
    writer_put(writer, batch);
    end_writer();
    assert_int_equal(read_number(path, is_open), 1);
    start_writer();
    end_writer();
    assert_int_equal(read_number(path, is_open), 0);
    assert_int_equal(read_number(path, "SELECT count(*) FROM connection WHERE reason = 'killed' AND id = 2"), 1);
}

static sqlite3 *open_other(const char *sql)
{
    sqlite3 *db = NULL;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    return db;
}

static void put_one(struct head *head)
{
    struct batch *batch = make_batch(0);

    add_open(batch, head);
    add_message(batch, head, 1);
    add_message(batch, head, 2);
    writer_put(writer, batch);
}

static void what_is_refused_is_kept_and_tried_again(void **state)
{
    struct head head = { .connection = 1 };
    sqlite3 *other = NULL;

    (void)state;
    start_writer();
    other = open_other("BEGIN IMMEDIATE");
    put_one(&head);
    wait_for(is_in_trouble);
    assert_non_null(strstr(seen.text, "locked"));
    assert_int_equal(seen.batches[0], 0);
    sqlite3_close(other);
    wait_for(is_mended);
    end_writer();
    assert_int_equal(seen.batches[0], 1);
    assert_int_equal(seen.mends, 1);
    assert_int_equal(seen.wrong, 0);
    expect_rows(1, 2);
}

static void another_writer_is_named_and_nothing_is_lost_or_doubled(void **state)
{
    struct head head = { .connection = 1 };

    (void)state;
    start_writer();
    sqlite3_close(open_other("INSERT INTO meta VALUES ('other', 1)"));
    put_one(&head);
    wait_for(is_in_trouble);
    assert_non_null(strstr(seen.text, "another program has written"));
    wait_for(is_mended);
    end_writer();
    assert_int_equal(seen.batches[0], 1);
    assert_int_equal(seen.wrong, 0);
    expect_rows(1, 2);
}

/* A process of its own that, once it is given a byte, begins to read and says so, and goes on until its input ends.
 * Made before the store is open: SQLite must not be carried across a fork. */
struct reader {
    pid_t pid;
    int input, output;
};

static void read_for_long(int input, int output)
{
    sqlite3 *db = NULL;
    char byte = 0;

    if (read(input, &byte, 1) != 1) _exit(1);
    if (sqlite3_open(path, &db) || sqlite3_exec(db, "BEGIN; SELECT * FROM message", NULL, NULL, NULL)) _exit(2);
    if (write(output, &byte, 1) != 1 || read(input, &byte, 1) != 0) _exit(3);
    sqlite3_close(db);
    _exit(0);
}

static struct reader make_reader(void)
{
    int input[2], output[2];
    struct reader reader;

    assert_int_equal(pipe(input), 0);
    assert_int_equal(pipe(output), 0);
    reader = (struct reader){ .pid = fork(), .input = input[1], .output = output[0] };
    assert_true(reader.pid >= 0);
    if (reader.pid == 0) {
        close(input[1]);
        read_for_long(input[0], output[1]);
    }
    close(input[0]);
    close(output[1]);
    return reader;
}

static void begin_reading(const struct reader *reader)
{
    char byte = 0;

    assert_int_equal(write(reader->input, &byte, 1), 1);
    assert_int_equal(read(reader->output, &byte, 1), 1);
}

static void end_reading(const struct reader *reader)
{
    int status = 0;

    close(reader->input);
    close(reader->output);
    assert_int_equal(waitpid(reader->pid, &status, 0), reader->pid);
    assert_int_equal(status, 0);
}

static void who_holds_the_log_is_named(void **state)
{
    const struct reader reader = make_reader();
    struct head head = { .connection = 1 };
    char name[32];

    (void)state;
    open_writer();
    begin_reading(&reader);
    assert_int_equal(writer_start(writer), 0);
    for (batches_put = 1; batches_put <= 400; batches_put++) { /* each a commit of its own, and a page of the log */
        struct batch *batch = make_batch(0);

        if (batches_put == 1) add_open(batch, &head);
        add_message(batch, &head, batches_put);
        batch->is_awaited = true;
        writer_put(writer, batch);
        wait_for(are_all_back);
    }
    wait_for(is_told);
    end_reading(&reader);
    end_writer();
    snprintf(name, sizeof(name), "process %d (", (int)reader.pid);
    if (!strstr(seen.notice, name)) fail_msg("%s: not %s", seen.notice, name);
    assert_int_equal(seen.notices, 1);
    assert_int_equal(seen.troubles, 0);
    expect_rows(1, 400);
}

static void what_could_not_be_stored_is_counted_at_the_end(void **state)
{
    struct head head = { .connection = 1 };
    sqlite3 *other = NULL;
    uint64_t left = 0;

    (void)state;
    start_writer();
    other = open_other("BEGIN IMMEDIATE");
    put_one(&head);
    wait_for(is_in_trouble);
    assert_int_equal(writer_stop(writer, INT64_MAX, &left), 0);
    assert_int_equal(left, 3);
    writer_free(writer);
    writer = NULL;
    sqlite3_close(other);
    assert_int_equal(seen.batches[0], 0);
    expect_rows(0, 0);
}

static void what_was_never_started_is_freed(void **state)
{
    struct head head = { .connection = 1 };

    (void)state;
    open_writer();
    put_one(&head);
    writer_free(writer);
    writer = NULL;
    writer_free(NULL);
    assert_int_equal(seen.batches[0], 0);
    expect_rows(0, 0);
}

#define WRITER_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WRITER_TEST(every_batch_comes_back_once_and_in_order),
        WRITER_TEST(what_is_awaited_or_enough_ends_the_gathering),
        WRITER_TEST(the_log_stays_short_however_much_waits),
        WRITER_TEST(the_heads_are_written_at_the_end),
        WRITER_TEST(no_number_comes_again),
        WRITER_TEST(numbers_are_taken_before_they_are_told),
        WRITER_TEST(numbers_that_cannot_be_taken_are_taken_later),
        WRITER_TEST(a_row_that_stays_open_is_closed_by_the_next_run),
        WRITER_TEST(what_is_refused_is_kept_and_tried_again),
        WRITER_TEST(another_writer_is_named_and_nothing_is_lost_or_doubled),
        WRITER_TEST(who_holds_the_log_is_named),
        WRITER_TEST(what_could_not_be_stored_is_counted_at_the_end),
        WRITER_TEST(what_was_never_started_is_freed),
    };
    return cmocka_run_group_tests_name("writer", tests, NULL, NULL);
}

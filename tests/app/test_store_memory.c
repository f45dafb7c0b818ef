/* SPDX-License-Identifier: BSD-3-Clause
 *
 * No memory: the Nth allocation fails, once or from then on, for every N, over the life of a store: opened, written to
 * over some connections, closed. SQLite's allocations and our own are counted together. Nothing crashes or leaks; what
 * came back as stored is there, and once; and after a single failure all of it comes back. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "journal/writer.h"
#include "records.h"
#include "scratch.h"
#include "store/folder.h"

enum { BATCHES = 3, MESSAGES = 4, BATCH_BYTES = 2048, MESSAGE_BYTES = 300, DEADLINE_S = 60 };

/* ---- Which allocation fails ---- */

static struct {
    atomic_ulong calls;
    unsigned long fail_at; /* 0: none */
    bool is_for_ever;
    atomic_bool has_failed;
} memory;

static _Thread_local bool is_exempt; /* the test's own */

static bool may(void)
{
    unsigned long call = 0;

    if (is_exempt) return true;
    call = atomic_fetch_add(&memory.calls, 1) + 1;
    if (memory.fail_at == 0 || call < memory.fail_at || (call > memory.fail_at && !memory.is_for_ever)) return true;
    memory.has_failed = true;
    return false;
}

/* The linker leads our own calls here (--wrap, ld(1)); the underscores are its. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);

void *__wrap_malloc(size_t size)
{
    return may() ? __real_malloc(size) : NULL;
}

void *__wrap_calloc(size_t count, size_t size)
{
    return may() ? __real_calloc(count, size) : NULL;
}

static sqlite3_mem_methods usual;

static void *sqlite_malloc(int size)
{
    return may() ? usual.xMalloc(size) : NULL;
}

static void *sqlite_realloc(void *old, int size)
{
    return may() ? usual.xRealloc(old, size) : NULL;
}

/* ---- What came back ---- */

static char path[SCRATCH_BYTES_MAX];

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned batches;
    unsigned troubles;
} seen = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static void on_stored(struct batch *batch, void *user)
{
    (void)user;
    free(batch);
    pthread_mutex_lock(&seen.lock);
    seen.batches++;
    pthread_cond_signal(&seen.changed);
    pthread_mutex_unlock(&seen.lock);
}

static void on_trouble(const char *text, void *user)
{
    (void)user;
    pthread_mutex_lock(&seen.lock);
    seen.troubles += text != NULL;
    pthread_cond_signal(&seen.changed);
    pthread_mutex_unlock(&seen.lock);
}

static void on_notice(const char *text, void *user)
{
    (void)user;
    fail_msg("%s", text);
}

/* Until so many are back; without memory for ever it is enough that it was said. */
static void wait_for_batches(unsigned count)
{
    struct timespec deadline;
    int err = 0;

    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += DEADLINE_S;
    pthread_mutex_lock(&seen.lock);
    while (seen.batches < count && !(memory.is_for_ever && seen.troubles > 0) && !err)
        err = pthread_cond_timedwait(&seen.changed, &seen.lock, &deadline);
    pthread_mutex_unlock(&seen.lock);
    if (err) fail_msg("allocation %lu: %u batches came back, and not %u", memory.fail_at, seen.batches, count);
}

/* ---- A life ---- */

/* The first opens the connection, the last closes it. */
static struct batch *make_batch(struct head *head, unsigned number)
{
    static const char opening[] = "tcp://127.0.0.1:8000\0line\0tcp://127.0.0.1:9";
    const char message[MESSAGE_BYTES] = { 0 };
    struct batch *batch = NULL;

    is_exempt = true;
    batch = batch_new(0, BATCH_BYTES);
    is_exempt = false;
    assert_non_null(batch);
    batch->is_awaited = true;
    if (number == 0) record_add(batch, head, RECORD_OPEN, opening, sizeof(opening));
    for (unsigned i = 0; i < MESSAGES; i++)
        record_add(batch, head, RECORD_MESSAGE, message, sizeof(message))->seq = number * MESSAGES + i + 1;
    if (number == BATCHES - 1) record_add(batch, head, RECORD_CLOSE, "reset", 5);
    return batch;
}

static void use(struct writer *writer)
{
    uint64_t left = 0;
    struct head head = { .connection = writer_next_connection(writer) };

    if (writer_start(writer)) fail_msg("no thread");
    for (unsigned i = 0; i < BATCHES; i++) {
        writer_put(writer, make_batch(&head, i));
        wait_for_batches(i + 1);
    }
    writer_stop(writer, INT64_MAX, &left);
}

/* A commit that was not said to have come about may still have. */
static void check_store(void)
{
    const int64_t rows = read_number(path, "SELECT count(*) FROM message");

    if (rows < (int64_t)seen.batches * MESSAGES || rows > BATCHES * MESSAGES || rows % MESSAGES != 0)
        fail_msg("allocation %lu: %u batches are stored, and %d messages are there", memory.fail_at, seen.batches,
                 (int)rows);
    assert_int_equal(read_number(path, "SELECT coalesce(max(seq), 0) FROM message"), rows);
    assert_int_equal(read_number(path, "SELECT count(DISTINCT seq) FROM message"), rows);
    if (!memory.is_for_ever) assert_int_equal(rows, BATCHES * MESSAGES);
}

static void live(void)
{
    const struct writer_config config = {
        .path = path, .on_stored = on_stored, .on_trouble = on_trouble, .on_notice = on_notice, .retry_ms = 1
    };
    char error[STORE_ERROR_BYTES_MAX] = "";
    struct writer *writer = NULL;

    memory.calls = 0;
    memory.has_failed = false;
    seen.batches = seen.troubles = 0;
    if (writer_new(&config, &writer, error) == 0) {
        use(writer);
        writer_free(writer);
        is_exempt = true;
        check_store();
        is_exempt = false;
    } else if (!memory.has_failed || error[0] == '\0') {
        fail_msg("allocation %lu: it is not opened: \"%s\"", memory.fail_at, error);
    }
}

static void each_time_anew(void)
{
    char error[FOLDER_ERROR_BYTES_MAX], name[SCRATCH_BYTES_MAX + 8];

    is_exempt = true;
    for (int i = 0; i < 3; i++) {
        static const char *const ends[] = { "", "-wal", "-shm" };
        snprintf(name, sizeof(name), "%s%s", path, ends[i]);
        unlink(name);
    }
    assert_int_equal(folder_make_file(path, error), 0);
    is_exempt = false;
    live();
}

static void sweep(bool is_for_ever)
{
    memory.is_for_ever = is_for_ever;
    memory.fail_at = 0;
    do {
        memory.fail_at++;
        each_time_anew();
    } while (memory.has_failed);
    assert_true(memory.fail_at > 100); /* there was something to sweep */
    memory.fail_at = 0;
}

static void a_whole_life(void **state)
{
    (void)state;
    each_time_anew();
    assert_int_equal(seen.batches, BATCHES);
}

static void the_nth_allocation_fails_once(void **state)
{
    (void)state;
    sweep(false);
}

static void every_allocation_fails_from_the_nth_on(void **state)
{
    (void)state;
    sweep(true);
}

/* What is opened again has tables, and other ways to fail. */
static void an_old_store_is_opened_without_memory(void **state)
{
    (void)state;
    each_time_anew();
    memory.is_for_ever = true;
    memory.fail_at = 0;
    do {
        const struct writer_config config = {
            .path = path, .on_stored = on_stored, .on_trouble = on_trouble, .on_notice = on_notice
        };
        char error[STORE_ERROR_BYTES_MAX] = "";
        struct writer *writer = NULL;

        memory.fail_at++;
        memory.calls = 0;
        memory.has_failed = false;
        if (writer_new(&config, &writer, error) && !memory.has_failed) fail_msg("%s", error);
        writer_free(writer);
    } while (memory.has_failed);
    memory.fail_at = 0;
    is_exempt = true;
    assert_int_equal(read_number(path, "SELECT count(*) FROM message"), BATCHES * MESSAGES);
    is_exempt = false;
}

static int set_up(void **state)
{
    if (scratch_make(state)) return -1;
    scratch_path("m.db", path);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_life),
        cmocka_unit_test(the_nth_allocation_fails_once),
        cmocka_unit_test(every_allocation_fails_from_the_nth_on),
        cmocka_unit_test(an_old_store_is_opened_without_memory),
    };
    sqlite3_mem_methods counted;

    if (access("/dev/shm", W_OK) == 0) setenv("TMPDIR", "/dev/shm", 0); /* thousands of syncs */
    sqlite3_config(SQLITE_CONFIG_GETMALLOC, &usual);
    counted = usual;
    counted.xMalloc = sqlite_malloc;
    counted.xRealloc = sqlite_realloc;
    sqlite3_config(SQLITE_CONFIG_MALLOC, &counted);
    sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0); /* memory of which SQLite would not have to ask for more */
    return cmocka_run_group_tests_name("store memory", tests, set_up, scratch_remove);
}

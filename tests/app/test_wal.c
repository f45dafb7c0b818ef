/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Is the log whole? Logs that SQLite has written are cut and changed, and what the walk says is compared with what
 * SQLite finds in them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "scratch.h"
#include "store/wal.h"

enum {
    PAGE_BYTES = 1024,
    HEADER_BYTES = 32,
    FRAME_BYTES = 24 + PAGE_BYTES,
    ROWS = 12,
    ROW_BYTES = 3000, /* several frames a transaction */
    LOG_BYTES_MAX = 1024 * 1024
};

/* The database as its log found it, and the log: the first transaction makes a table, each further one adds a row. */
static unsigned char database[64 * 1024], log_bytes[LOG_BYTES_MAX];
static size_t database_len, log_len;
static size_t last_begin, before_last_begin, first_end; /* of transactions: offsets in the log */

static size_t read_whole(const char *path, unsigned char *ret, size_t room)
{
    FILE *file = fopen(path, "rb");
    size_t len = 0;

    assert_non_null(file);
    len = fread(ret, 1, room, file);
    assert_true(len < room);
    fclose(file);
    return len;
}

static void write_whole(const char *path, const unsigned char *bytes, size_t len)
{
    FILE *file = fopen(path, "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static void run(sqlite3 *db, const char *sql)
{
    char *error = NULL;

    if (sqlite3_exec(db, sql, NULL, NULL, &error) != SQLITE_OK) fail_msg("%s: %s", sql, error);
}

static void add_rows(sqlite3 *db, int count)
{
    char sql[64];

    snprintf(sql, sizeof(sql), "INSERT INTO t VALUES (randomblob(%d))", ROW_BYTES);
    for (int i = 0; i < count; i++)
        run(db, sql);
}

/* An offset behind each frame that ends a transaction; read here without the code that is tested. */
static void find_transactions(void)
{
    size_t ends[ROWS + 2] = { HEADER_BYTES }, count = 1;

    for (size_t at = HEADER_BYTES; at + FRAME_BYTES <= log_len; at += FRAME_BYTES) {
        if (memcmp(log_bytes + at + 4, "\0\0\0\0", 4) == 0) continue;
        assert_true(count < ROWS + 2);
        ends[count++] = at + FRAME_BYTES;
    }
    assert_int_equal(count, ROWS + 2);
    assert_int_equal(ends[count - 1], log_len);
    first_end = ends[1];
    before_last_begin = ends[count - 3];
    last_begin = ends[count - 2];
    assert_true(log_len - last_begin >= (size_t)3 * FRAME_BYTES);
}

static void keep_log_at_close(sqlite3 *db)
{
    assert_int_equal(sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL), SQLITE_OK);
}

static int make_log(void **state)
{
    char path[SCRATCH_BYTES_MAX], log_path[SCRATCH_BYTES_MAX];
    sqlite3 *db = NULL;

    if (scratch_make(state)) return -1;
    assert_int_equal(sqlite3_open(scratch_path("a", path), &db), SQLITE_OK);
    keep_log_at_close(db);
    run(db, "PRAGMA page_size = 1024; PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0");
    run(db, "CREATE TABLE t (bytes)");
    add_rows(db, ROWS);
    sqlite3_close(db);
    database_len = read_whole(path, database, sizeof(database));
    log_len = read_whole(scratch_path("a-wal", log_path), log_bytes, sizeof(log_bytes));
    find_transactions();
    return 0;
}

/* How many transactions of this log SQLite finds. */
static uint64_t count_transactions(const unsigned char *bytes, size_t len)
{
    char path[SCRATCH_BYTES_MAX], log_path[SCRATCH_BYTES_MAX], index_path[SCRATCH_BYTES_MAX];
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    uint64_t count = 0;

    write_whole(scratch_path("b", path), database, database_len);
    write_whole(scratch_path("b-wal", log_path), bytes, len);
    remove(scratch_path("b-shm", index_path));
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    keep_log_at_close(db);
    run(db, "SELECT 1 FROM sqlite_schema");
    if (sqlite3_prepare_v2(db, "SELECT count(*) FROM t", -1, &statement, NULL) == SQLITE_OK) {
        assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
        count = 1 + (uint64_t)sqlite3_column_int64(statement, 0);
    }
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return count;
}

static struct wal_report walk(const unsigned char *bytes, size_t len)
{
    char path[SCRATCH_BYTES_MAX];
    struct wal_report report;

    write_whole(scratch_path("walked", path), bytes, len);
    assert_int_equal(wal_walk(path, 1, 0, &report), 0);
    return report;
}

/* One bit in the byte at this offset is another. */
static struct wal_report walk_flipped(size_t offset, unsigned bit)
{
    struct wal_report report;

    log_bytes[offset] ^= (unsigned char)(1U << bit);
    report = walk(log_bytes, log_len);
    assert_int_equal(report.transactions, count_transactions(log_bytes, log_len));
    log_bytes[offset] ^= (unsigned char)(1U << bit);
    return report;
}

static void expect_whole(const struct wal_report *report)
{
    assert_false(report->is_damaged);
    assert_int_equal(report->bad_offset, -1);
    assert_int_equal(report->lost_frames, 0);
    assert_int_equal(report->lost_transactions, 0);
}

static void a_log_as_it_was_written_is_whole(void **state)
{
    const struct wal_report report = walk(log_bytes, log_len);

    (void)state;
    expect_whole(&report);
    assert_int_equal(report.transactions, ROWS + 1);
    assert_int_equal(report.frames, (log_len - HEADER_BYTES) / FRAME_BYTES);
    assert_int_equal(count_transactions(log_bytes, log_len), ROWS + 1);
}

static void no_log_is_whole(void **state)
{
    char path[SCRATCH_BYTES_MAX];
    struct wal_report report;

    (void)state;
    assert_int_equal(wal_walk(scratch_path("none", path), 1, 0, &report), 0);
    expect_whole(&report);
    for (size_t len = 0; len <= HEADER_BYTES; len++) {
        report = walk(log_bytes, len);
        expect_whole(&report);
        assert_int_equal(report.frames, 0);
    }
}

static void what_cannot_be_read_is_an_error(void **state)
{
    struct wal_report report;

    (void)state;
    assert_true(wal_walk(scratch, 1, 0, &report) < 0); /* a folder */
}

static void a_log_cut_in_its_last_transaction_is_not_damaged(void **state)
{
    (void)state;
    for (size_t len = last_begin; len < log_len; len += len % FRAME_BYTES < 64 ? 1 : 61) {
        const struct wal_report report = walk(log_bytes, len);

        expect_whole(&report);
        assert_int_equal(report.transactions, ROWS);
        if (len % 16 == 0) assert_int_equal(count_transactions(log_bytes, len), ROWS);
    }
}

static void a_bit_in_the_middle_is_damage(void **state)
{
    unsigned bit = 0;

    (void)state;
    for (size_t offset = HEADER_BYTES; offset < before_last_begin; offset += 509, bit = (bit + 1) % 8) {
        const struct wal_report report = walk_flipped(offset, bit);

        assert_true(report.is_damaged);
        assert_int_equal(report.bad_offset, offset - (offset - HEADER_BYTES) % FRAME_BYTES);
        assert_int_equal(report.transactions + report.lost_transactions, ROWS + 1);
        assert_int_equal(report.frames + report.lost_frames, (log_len - HEADER_BYTES) / FRAME_BYTES);
    }
}

/* Also in what a frame says of itself: its page, its salts and its sum. Where it says that it ends a transaction, the
 * transaction's end may be gone with it. */
static void a_bit_in_the_last_but_one_is_damage(void **state)
{
    (void)state;
    for (size_t frame = before_last_begin; frame < last_begin; frame += FRAME_BYTES) {
        for (size_t i = 0; i < FRAME_BYTES; i += i < 24 ? 1 : 211) {
            const bool is_end = frame + FRAME_BYTES == last_begin && i >= 4 && i < 8;

            if (!is_end && !walk_flipped(frame + i, i % 8).is_damaged)
                fail_msg("byte %zu of the frame at %zu", i, frame);
        }
    }
}

/* That is how a power cut leaves what was not synced. */
static void a_bit_in_the_last_transaction_is_not_damage(void **state)
{
    (void)state;
    for (size_t offset = last_begin; offset < log_len; offset += 101) {
        const struct wal_report report = walk_flipped(offset, offset % 8);

        assert_false(report.is_damaged);
        assert_int_equal(report.transactions, ROWS);
        assert_true(report.lost_transactions <= 1);
    }
}

/* It is synced before the first frame is written, and SQLite takes a log without it for none. */
static void a_bit_in_the_header_is_damage(void **state)
{
    (void)state;
    for (size_t offset = 0; offset < HEADER_BYTES; offset++) {
        const struct wal_report report = walk_flipped(offset, offset % 8);

        if (!report.is_damaged) fail_msg("byte %zu", offset);
        assert_int_equal(report.bad_offset, 0);
        assert_int_equal(report.transactions, 0);
    }
}

/* Frames of an earlier round lie behind the newer ones. */
static void a_log_that_began_anew_is_whole(void **state)
{
    static unsigned char bytes[LOG_BYTES_MAX];
    char path[SCRATCH_BYTES_MAX];
    sqlite3 *db = NULL;
    struct wal_report report;
    size_t len = 0;

    (void)state;
    assert_int_equal(sqlite3_open(scratch_path("c", path), &db), SQLITE_OK);
    keep_log_at_close(db);
    run(db, "PRAGMA page_size = 1024; PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0");
    run(db, "CREATE TABLE t (bytes)");
    add_rows(db, ROWS);
    run(db, "PRAGMA wal_checkpoint(RESTART)");
    add_rows(db, 2);
    sqlite3_close(db);
    len = read_whole(scratch_path("c-wal", path), bytes, sizeof(bytes));
    report = walk(bytes, len);
    assert_int_equal(report.is_damaged, 0);
    assert_int_equal(report.lost_frames, 0);
    assert_int_equal(report.transactions, 2);
    assert_true(report.frames < (len - HEADER_BYTES) / FRAME_BYTES);
    bytes[HEADER_BYTES + 100] ^= 1;
    report = walk(bytes, len);
    assert_true(report.is_damaged);
    assert_int_equal(report.lost_transactions, 2);
}

/* The log as it is here, and its database, as "b". */
static struct wal_report lay_out(const unsigned char *bytes, size_t len, char ret_path[SCRATCH_BYTES_MAX],
                                 char ret_log_path[SCRATCH_BYTES_MAX])
{
    char index_path[SCRATCH_BYTES_MAX];
    struct wal_report report;

    write_whole(scratch_path("b", ret_path), database, database_len);
    write_whole(scratch_path("b-wal", ret_log_path), bytes, len);
    remove(scratch_path("b-shm", index_path));
    assert_int_equal(wal_walk(ret_log_path, 1, 0, &report), 0);
    return report;
}

static size_t file_len(const char *path)
{
    struct stat status;

    assert_int_equal(stat(path, &status), 0);
    return (size_t)status.st_size;
}

static void a_torn_end_is_taken_off(void **state)
{
    static unsigned char trimmed[LOG_BYTES_MAX];
    char path[SCRATCH_BYTES_MAX], log_path[SCRATCH_BYTES_MAX];

    (void)state;
    for (size_t len = HEADER_BYTES + 1; len <= log_len; len += FRAME_BYTES / 2) {
        const struct wal_report report = lay_out(log_bytes, len, path, log_path);
        const uint64_t transactions = count_transactions(log_bytes, len);

        lay_out(log_bytes, len, path, log_path);
        assert_int_equal(wal_trim(log_path, path, &report), 0);
        assert_int_equal(file_len(log_path), report.end_offset);
        assert_int_equal(read_whole(log_path, trimmed, sizeof(trimmed)), report.end_offset);
        assert_memory_equal(trimmed, log_bytes, (size_t)report.end_offset);
        assert_int_equal(count_transactions(trimmed, (size_t)report.end_offset), transactions);
    }
}

/* The first one tears the last transaction, and leaves its end; the second one the first transaction after that, which
 * is a short one. Both ends would lie behind the last whole one. */
static void two_power_cuts_are_no_damage(void **state)
{
    static unsigned char bytes[LOG_BYTES_MAX];
    char path[SCRATCH_BYTES_MAX], log_path[SCRATCH_BYTES_MAX];
    sqlite3 *db = NULL;
    struct wal_report report;
    size_t len = 0;

    (void)state;
    log_bytes[last_begin + 100] ^= 1;
    report = lay_out(log_bytes, log_len, path, log_path);
    log_bytes[last_begin + 100] ^= 1;
    assert_false(report.is_damaged);
    assert_int_equal(report.lost_transactions, 1);
    assert_int_equal(wal_trim(log_path, path, &report), 0);

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    keep_log_at_close(db);
    run(db, "PRAGMA user_version = 1");
    sqlite3_close(db);
    len = read_whole(log_path, bytes, sizeof(bytes));
    assert_true(len >= last_begin + FRAME_BYTES);
    bytes[last_begin + 100] ^= 1;
    report = walk(bytes, len);
    assert_false(report.is_damaged);
    assert_int_equal(report.transactions, ROWS);
}

/* What was given up has no end, and was never to be seen: behind a torn transaction it says nothing. */
static void frames_without_an_end_behind_a_lost_end_are_no_damage(void **state)
{
    static const unsigned char no_end[4] = { 0 };
    struct wal_report report;
    unsigned char *end = log_bytes + log_len - FRAME_BYTES + 4;
    unsigned char saved[4];

    (void)state;
    memcpy(saved, end, sizeof(saved));
    memcpy(end, no_end, sizeof(saved));
    log_bytes[last_begin - 1] ^= 1;
    report = walk(log_bytes, log_len);
    log_bytes[last_begin - 1] ^= 1;
    memcpy(end, saved, sizeof(saved));
    assert_false(report.is_damaged);
    assert_int_equal(report.lost_transactions, 1);
    assert_int_equal(report.end_offset, before_last_begin);
}

static void what_another_process_has_open_stays(void **state)
{
    char path[SCRATCH_BYTES_MAX], log_path[SCRATCH_BYTES_MAX];
    const struct wal_report report = lay_out(log_bytes, log_len - 1, path, log_path);
    int ends[2] = { -1, -1 }, status = 0;
    char byte = 0;
    pid_t child = 0;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    child = fork();
    if (child == 0) {
        sqlite3 *db = NULL;
        const int code = sqlite3_open(path, &db);

        close(ends[0]); /* so that it ends with us, whatever becomes of the test */
        if (code == SQLITE_OK) sqlite3_exec(db, "SELECT 1 FROM sqlite_schema", NULL, NULL, NULL);
        _exit(code != SQLITE_OK || write(ends[1], "r", 1) != 1 || read(ends[1], &byte, 1) < 0);
    }
    assert_int_equal(read(ends[0], &byte, 1), 1);
    assert_int_equal(wal_trim(log_path, path, &report), 0);
    assert_int_equal(file_len(log_path), log_len - 1);
    assert_int_equal(write(ends[0], "e", 1), 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(wal_trim(log_path, path, &report), 0);
    assert_int_equal(file_len(log_path), last_begin);
    close(ends[0]);
    close(ends[1]);
}

static void nothing_is_taken_off_where_there_is_no_log(void **state)
{
    char path[SCRATCH_BYTES_MAX];
    struct wal_report report;

    (void)state;
    assert_int_equal(wal_walk(scratch_path("none", path), 1, 0, &report), 0);
    assert_int_equal(wal_trim(path, scratch, &report), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_log_as_it_was_written_is_whole),
        cmocka_unit_test(no_log_is_whole),
        cmocka_unit_test(what_cannot_be_read_is_an_error),
        cmocka_unit_test(a_log_cut_in_its_last_transaction_is_not_damaged),
        cmocka_unit_test(a_bit_in_the_middle_is_damage),
        cmocka_unit_test(a_bit_in_the_last_but_one_is_damage),
        cmocka_unit_test(a_bit_in_the_last_transaction_is_not_damage),
        cmocka_unit_test(a_bit_in_the_header_is_damage),
        cmocka_unit_test(a_log_that_began_anew_is_whole),
        cmocka_unit_test(a_torn_end_is_taken_off),
        cmocka_unit_test(two_power_cuts_are_no_damage),
        cmocka_unit_test(frames_without_an_end_behind_a_lost_end_are_no_damage),
        cmocka_unit_test(what_another_process_has_open_stays),
        cmocka_unit_test(nothing_is_taken_off_where_there_is_no_log),
    };
    return cmocka_run_group_tests_name("wal", tests, make_log, scratch_remove);
}

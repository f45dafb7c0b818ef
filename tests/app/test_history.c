/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What `weir log` is made of: points in time, which clients are meant, where a store lies, the newest messages of some
 * connections, and messages as lines. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "log/format.h"
#include "log/selection.h"
#include "log/when.h"
#include "records.h"
#include "scratch.h"
#include "store/locate.h"
#include "store/newest.h"
#include "store/store.h"
#include "text/utf8.h"

enum { BATCH_BYTES = 4 * 1024 * 1024 };

static const int64_t now_us = (int64_t)FIRST_SECOND * 1000000 + 250000;

/* ---- Points in time ---- */

static void expect_time(const char *text, int64_t expected_us)
{
    int64_t us = 0;
    const int err = when_parse(text, now_us, &us);

    if (err || us != expected_us)
        fail_msg("'%s': %d, %lld and not %lld", text, err, (long long)us, (long long)expected_us);
}

static void times_are_ago_or_dates(void **state)
{
    const int64_t day_us = (int64_t)FIRST_SECOND * 1000000; /* 2025-11-23T00:00:00Z */

    (void)state;
    expect_time("0", now_us);
    expect_time("10", now_us - 10000000);
    expect_time("10m", now_us - 600000000LL);
    expect_time("1500ms", now_us - 1500000);
    expect_time("30d", now_us - 30LL * 86400 * 1000000);
    expect_time("2025-11-23", day_us);
    expect_time("2025-11-23Z", day_us);
    expect_time("2025-11-23T10:05", day_us + 36300LL * 1000000);
    expect_time("2025-11-23 10:05:07Z", day_us + 36307LL * 1000000);
    expect_time("2025-11-23T10:05:07.5Z", day_us + 36307LL * 1000000 + 500000);
    expect_time("2025-11-23T10:05:07.000042", day_us + 36307LL * 1000000 + 42);
    expect_time("2024-02-29", 1709164800LL * 1000000);
}

static void times_without_a_z_are_local(void **state)
{
    const int64_t day_us = (int64_t)FIRST_SECOND * 1000000;

    (void)state;
    setenv("TZ", "Asia/Shanghai", 1);
    tzset();
    if (timezone != -8 * 3600) { /* no tables here */
        setenv("TZ", "CST-8", 1);
        tzset();
    }
    expect_time("2025-11-23T08:00", day_us);
    expect_time("2025-11-23T08:00Z", day_us + 8 * 3600LL * 1000000);
    setenv("TZ", "UTC", 1);
    tzset();
}

static void what_is_no_time_is_refused(void **state)
{
    static const char *const texts[] = { "",
                                         "now",
                                         "10x",
                                         "-10m",
                                         "2025-11",
                                         "2025-11-31",
                                         "2025-02-29",
                                         "2025-13-01",
                                         "2025-1-1",
                                         "25-11-23",
                                         "2025-11-23T",
                                         "2025-11-23T10",
                                         "2025-11-23T24:00",
                                         "2025-11-23T10:60",
                                         "2025-11-23T10:00:60",
                                         "2025-11-23T10:00:00.",
                                         "2025-11-23T10:00:00.1234567",
                                         "2025-11-23T10:00ZZ",
                                         "2025-11-23T10:00+01:00",
                                         "2025-11-23x10:00",
                                         " 2025-11-23" };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        int64_t us = 77;

        if (when_parse(texts[i], now_us, &us) != -EINVAL || us != 77) fail_msg("'%s' was taken", texts[i]);
    }
    assert_int_equal(when_parse("99999999999999999999s", now_us, &(int64_t){ 0 }), -ERANGE);
    assert_int_equal(when_parse("9223372036854775s", now_us, &(int64_t){ 0 }), -ERANGE);
}

/* ---- Where a store lies ---- */

static void make_file(const char *name)
{
    char path[SCRATCH_BYTES_MAX];
    FILE *file = fopen(scratch_path(name, path), "w");

    assert_non_null(file);
    fclose(file);
}

static void expect_located(const char *wanted, int expected, const char *end_or_words)
{
    char path[FOLDER_PATH_BYTES_MAX] = "";
    char error[LOCATE_ERROR_BYTES_MAX] = "";
    const int err = locate_store(wanted, path, error);
    const char *said = err ? error : path;

    if (err != expected || !strstr(said, end_or_words)) fail_msg("%d: %s", err, said);
}

static void the_only_store_is_found_and_several_are_listed(void **state)
{
    char home[SCRATCH_BYTES_MAX];
    char folder[SCRATCH_BYTES_MAX];

    (void)state;
    unsetenv("STATE_DIRECTORY");
    setenv("XDG_STATE_HOME", scratch, 1);
    expect_located(NULL, -ENOENT, "there is no store in ");
    assert_int_equal(mkdir(scratch_path("weir", folder), 0700), 0);
    expect_located(NULL, -ENOENT, "there is no store in ");
    make_file("weir/8000.db");
    make_file("weir/8000.db-wal");
    make_file("weir/8000.db.lock");
    make_file("weir/.db");
    expect_located(NULL, 0, "/weir/8000.db");
    expect_located("auto", 0, "/weir/8000.db");
    make_file("weir/9000.db");
    expect_located(NULL, -EEXIST, ": 8000.db, 9000.db; name one with");
    expect_located("9000", 0, "/weir/9000.db");
    expect_located("7", 0, "/weir/7.db"); /* whether it is there is found out when it is opened */
    expect_located("123456", 0, "123456");
    expect_located("some.db", 0, "some.db");
    expect_located("none", -EINVAL, "nothing to read");
    setenv("STATE_DIRECTORY", scratch_path("other", home), 1);
    expect_located(NULL, -ENOENT, "/other/; name one");
    unsetenv("STATE_DIRECTORY");
    unsetenv("XDG_STATE_HOME");
}

/* ---- A store ---- */

static char path[SCRATCH_BYTES_MAX];
static struct batch *batch;
static struct store *store;
static struct reader *reader;

/* A store with four connections, of which the third has sent nothing:
 *   id          1 2 3 4 5 6 7 8
 *   connection  1 2 1 4 2 1 4 1
 * The heads say so up to the fifth message, as while a server runs. */
static const uint64_t senders[] = { 1, 2, 1, 4, 2, 1, 4, 1 };
static const char *const peers[] = { "127.0.0.1:5001", "127.0.0.1:5002", "10.0.0.1:5001", "[::1]:5001" };
enum { CONNECTIONS = 4, MESSAGES = sizeof(senders) / sizeof(senders[0]), HEADS_UNTIL = 5 };

static void store_one(struct record *record)
{
    assert_int_equal(record_store(store, record), STORE_STORED);
}

static void fill_store(void)
{
    struct head heads[CONNECTIONS + 1] = { { .connection = 0 } };

    assert_int_equal(store_begin(store), STORE_STORED);
    for (uint64_t i = 1; i <= CONNECTIONS; i++) {
        char bytes[64];
        const int len = snprintf(bytes, sizeof(bytes), "tcp://:8000%cline%c%s", 0, 0, peers[i - 1]);

        heads[i].connection = i;
        store_one(record_add(batch, &heads[i], RECORD_OPEN, bytes, (size_t)len + 1));
    }
    for (uint64_t i = 0; i < MESSAGES; i++) {
        struct record *record = record_add(batch, &heads[senders[i]], RECORD_MESSAGE, "m", 1);

        record->time_us += (int64_t)i * 1000000;
        store_one(record);
        if (i + 1 != HEADS_UNTIL) continue;
        for (uint64_t j = 1; j <= CONNECTIONS; j++)
            assert_int_equal(store_set_head(store, &heads[j]), STORE_STORED);
        assert_int_equal(store_set_heads_until(store), STORE_STORED);
    }
    assert_int_equal(store_commit(store), STORE_STORED);
}

static int setup(void **state)
{
    char error[READER_ERROR_BYTES_MAX];

    if (scratch_make(state)) return -1;
    batch = batch_new(0, BATCH_BYTES);
    if (!batch || folder_make_file(scratch_path("s.db", path), error) || store_open(path, &store, error)) return -1;
    fill_store();
    return reader_open(path, &reader, error);
}

static int teardown(void **state)
{
    reader_close(reader);
    store_close(store);
    free(batch);
    return scratch_remove(state);
}

static void name_clients(const char *sql)
{
    sqlite3 *db = NULL;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

/* The newest ids of a client, as text, newest first: "8 6 3". */
static void expect_newest(const char *client, uint64_t after, uint64_t until, size_t count, const char *expected)
{
    const struct selection_config config = { client, INT64_MIN, INT64_MAX };
    struct newest_query query = { .after = after, .until = until, .wants = selection_wants };
    struct selection *selection = NULL;
    uint64_t ids[16];
    char text[100] = "";
    int64_t found = 0;

    assert_int_equal(selection_new(reader, &config, &selection), 0);
    query.connection = selection_connection(selection);
    query.is_of = selection_has_all(selection) ? NULL : selection_is_of;
    query.user = selection;
    found = newest_find(reader, &query, ids, count);
    assert_true(found >= 0);
    for (int64_t i = 0; i < found; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%llu", i ? " " : "", (unsigned long long)ids[i]);
    if (strcmp(text, expected) != 0)
        fail_msg("%s after %llu until %llu: '%s' and not '%s'", client, (unsigned long long)after,
                 (unsigned long long)until, text, expected);
    selection_free(selection);
}

static void the_newest_are_found_in_the_tail_and_along_chains(void **state)
{
    (void)state;
    expect_newest(NULL, 0, 8, 3, "8 7 6");
    expect_newest(NULL, 5, 8, 16, "8 7 6");
    expect_newest("1", 0, 8, 16, "8 6 3 1");
    expect_newest("1", 0, 8, 3, "8 6 3");
    expect_newest("1", 0, 8, 1, "8");
    expect_newest("1", 0, 7, 2, "6 3");
    expect_newest("1", 0, 2, 16, "1");
    expect_newest("1", 3, 8, 16, "8 6");
    expect_newest("#2", 0, 8, 16, "5 2");
    expect_newest("#2", 0, 4, 16, "2");
    expect_newest("3", 0, 8, 16, "");
    expect_newest("99", 0, 8, 16, "");
    expect_newest("127.0.0.1", 0, 8, 16, "8 6 5 3 2 1");
    expect_newest("127.0.0.1", 0, 8, 4, "8 6 5 3");
    expect_newest("127.0.0.1", 1, 5, 16, "5 3 2");
    expect_newest("1", 0, 8, 0, "");
}

/* A connection that closes writes its head at once: it is then ahead of the others', and nothing is found twice. */
static void a_head_that_is_ahead_is_no_second_finding(void **state)
{
    struct head head = { .connection = 2, .last_message = 5 };

    (void)state;
    assert_int_equal(store_begin(store), STORE_STORED);
    store_one(record_add(batch, &head, RECORD_MESSAGE, "m", 1));
    store_one(record_add(batch, &head, RECORD_CLOSE, "peer closed", 11));
    assert_int_equal(store_commit(store), STORE_STORED);
    expect_newest("2", 0, 9, 16, "9 5 2");
    expect_newest("127.0.0.1", 0, 9, 3, "9 8 6");
}

static void clients_are_meant_by_number_address_or_name(void **state)
{
    (void)state;
    expect_newest("127.0.0.1:5002", 0, 8, 16, "5 2");
    expect_newest("127.0.0.1:500", 0, 8, 16, "");
    expect_newest("127.0.0", 0, 8, 16, "");
    expect_newest("::1", 0, 8, 16, "7 4");
    expect_newest("[::1]", 0, 8, 16, "7 4");
    expect_newest("[::1]:5001", 0, 8, 16, "7 4");
    expect_newest("[::1]:5002", 0, 8, 16, "");
    expect_newest("10.0.0.1", 0, 8, 16, "");
    expect_newest("pump", 0, 8, 16, "");
    name_clients(
        "INSERT INTO client (id, name) VALUES (1, 'pump'); UPDATE connection SET client = 1 WHERE id IN (2, 4)");
    expect_newest("pump", 0, 8, 16, "7 5 4 2");
}

/* As a range is read, from the oldest on. */
static void expect_wanted(const struct selection_config *config, const char *expected, bool expected_found)
{
    struct selection *selection = NULL;
    struct reader_range range = { .until = MESSAGES, .wants = selection_wants };
    struct reader_page page;
    char text[100] = "";

    assert_int_equal(selection_new(reader, config, &selection), 0);
    range.user = selection;
    while (range.after < range.until) {
        assert_int_equal(reader_read(reader, &range, &page), 0);
        for (size_t i = 0; i < page.count; i++)
            snprintf(text + strlen(text), sizeof(text) - strlen(text), " %llu",
                     (unsigned long long)page.messages[i].id);
    }
    assert_string_equal(text, expected);
    assert_int_equal(selection_has_found(selection), expected_found);
    selection_free(selection);
}

static void a_range_is_read_by_client_and_time(void **state)
{
    const int64_t first_us = (int64_t)FIRST_SECOND * 1000000;

    (void)state;
    expect_wanted(&(struct selection_config){ "1", INT64_MIN, INT64_MAX }, " 1 3 6 8", true);
    expect_wanted(&(struct selection_config){ "::1", INT64_MIN, INT64_MAX }, " 4 7", true);
    expect_wanted(&(struct selection_config){ "99", INT64_MIN, INT64_MAX }, "", false);
    expect_wanted(&(struct selection_config){ "10.0.0.2", INT64_MIN, INT64_MAX }, "", false);
    expect_wanted(&(struct selection_config){ NULL, first_us + 2000000, first_us + 4000000 }, " 3 4", false);
    expect_wanted(&(struct selection_config){ "1", first_us + 1, first_us + 5000001 }, " 3 6", true);
}

/* ---- Messages as lines ---- */

static const struct stored_connection connection = { .number = 7, .listener = "tcp://:8000", .peer = "[::1]:5" };

static void expect_line(enum format_kind kind, const struct stored_message *message, const char *expected)
{
    const struct format format = { .kind = kind, .style = { .utf8 = true } };
    struct line line = { 0 };

    format_add(&line, &format, message, &connection);
    line_add(&line, "", 1);
    if (strcmp(line.bytes, expected) != 0) fail_msg("%s and not %s", line.bytes, expected);
    line_fini(&line);
}

static struct stored_message make_message(const char *bytes, size_t len)
{
    return (struct stored_message){ .id = 9,
                                    .connection = 7,
                                    .seq = 3,
                                    .time_us = (int64_t)FIRST_SECOND * 1000000 + 42,
                                    .original_len = len,
                                    .bytes = { (const unsigned char *)bytes, len } };
}

static void lines_for_people_have_the_date(void **state)
{
    struct stored_message message = make_message("a\033[2J", 5);

    (void)state;
    expect_line(FORMAT_AUTO, &message, "2025-11-23 00:00:00.000 #7 a\\x1b[2J\n");
    expect_line(FORMAT_HEX, &message, "2025-11-23 00:00:00.000 #7 61 1b 5b 32 4a\n");
    expect_line(FORMAT_BOTH, &message, "2025-11-23 00:00:00.000 #7 61 1b 5b 32 4a  |a.[2J|\n");
    message.is_damaged = true;
    expect_line(FORMAT_TEXT, &message, "2025-11-23 00:00:00.000 #7 a\\x1b[2J (damaged)\n");
    message.is_sent = true;
    expect_line(FORMAT_TEXT, &message, "2025-11-23 00:00:00.000 #7 < a\\x1b[2J (damaged)\n");
}

static void json_has_the_id(void **state)
{
    struct stored_message message = make_message("a\xff", 2);

    (void)state;
    message.flags = RECORD_UNFINISHED | RECORD_TRUNCATED;
    message.original_len = 500;
    expect_line(
        FORMAT_JSON, &message,
        "{\"event\":\"message\",\"time\":\"2025-11-23T00:00:00.000042Z\",\"conn\":7,\"listener\":\"tcp://:8000\","
        "\"peer\":\"[::1]:5\",\"id\":9,\"seq\":3,\"len\":2,\"base64\":\"Yf8=\",\"original_len\":500,"
        "\"unfinished\":true}\n");
    message.is_sent = message.is_damaged = true;
    expect_line(FORMAT_JSON, &message,
                "{\"event\":\"sent\",\"time\":\"2025-11-23T00:00:00.000042Z\",\"conn\":7,\"listener\":\"tcp://:8000\","
                "\"peer\":\"[::1]:5\",\"id\":9,\"damaged\":true,\"len\":2,\"base64\":\"Yf8=\"}\n");
}

#define CSV_HEAD "9,\"2025-11-23T00:00:00.000042Z\",7,\"tcp://:8000\",\"[::1]:5\","

static void csv_is_quoted_and_what_is_no_text_is_hex(void **state)
{
    struct stored_message message = make_message("say \"a, b\"\r\nc\t\xc3\xbc", 16);

    (void)state;
    expect_line(FORMAT_CSV, &message, CSV_HEAD "in,3,16,16,0,0,\"say \"\"a, b\"\"\r\nc\t\xc3\xbc\",\r\n");
    message = make_message("", 0);
    expect_line(FORMAT_CSV, &message, CSV_HEAD "in,3,0,0,0,0,\"\",\r\n");
    message = make_message("\033[2J\xff", 5);
    message.flags = RECORD_UNFINISHED;
    message.is_damaged = true;
    expect_line(FORMAT_CSV, &message, CSV_HEAD "in,3,5,5,1,1,,1b5b324aff\r\n");
    message.is_sent = true;
    expect_line(FORMAT_CSV, &message, CSV_HEAD "out,,5,5,1,1,,1b5b324aff\r\n");
}

static void only_csv_has_a_header(void **state)
{
    struct line line = { 0 };

    (void)state;
    format_add_header(&line, &(struct format){ .kind = FORMAT_JSON });
    assert_int_equal(line.len, 0);
    format_add_header(&line, &(struct format){ .kind = FORMAT_CSV });
    assert_memory_equal(line.bytes, "id,time,", 8);
    line_fini(&line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_ago_or_dates),
        cmocka_unit_test(times_without_a_z_are_local),
        cmocka_unit_test(what_is_no_time_is_refused),
        cmocka_unit_test_setup_teardown(the_only_store_is_found_and_several_are_listed, scratch_make, scratch_remove),
        cmocka_unit_test_setup_teardown(the_newest_are_found_in_the_tail_and_along_chains, setup, teardown),
        cmocka_unit_test_setup_teardown(a_head_that_is_ahead_is_no_second_finding, setup, teardown),
        cmocka_unit_test_setup_teardown(clients_are_meant_by_number_address_or_name, setup, teardown),
        cmocka_unit_test_setup_teardown(a_range_is_read_by_client_and_time, setup, teardown),
        cmocka_unit_test(lines_for_people_have_the_date),
        cmocka_unit_test(json_has_the_id),
        cmocka_unit_test(csv_is_quoted_and_what_is_no_text_is_hex),
        cmocka_unit_test(only_csv_has_a_header),
    };

    utf8_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

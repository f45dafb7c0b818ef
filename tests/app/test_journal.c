/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Between a worker and the disk: what is owed comes back in order, once it is stored, and anybody may ask how far the
 * store is. The client is dialled by the engine that serves it, so that one thread sees all of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "journal/journal.h"
#include "records.h"
#include "scratch.h"
#include "store/folder.h"

enum { DEADLINE_S = 60, MESSAGES = 100, BATCH_BYTES = 512 };

static char path[SCRATCH_BYTES_MAX];
static struct weir *weir;
static struct journal *journal;
static uint64_t unowed_until, aborts_at; /* seq; 0: none */

static struct {
    uint64_t messages, owed; /* how many came, and came back */
    uint64_t id, seq;        /* of the last that came back */
    int64_t times_us[MESSAGES + 1];
    bool is_closed;
} seen;

static size_t on_owed(const struct journal_owed *owed, void *user)
{
    char text[32];
    const int len = snprintf(text, sizeof(text), "%llu", (unsigned long long)owed->seq);

    assert_ptr_equal(user, &seen);
    assert_false(seen.is_closed);
    assert_int_equal(owed->seq, seen.owed ? seen.seq + 1 : unowed_until + 1);
    assert_true(owed->id > seen.id);
    assert_true(owed->id <= journal_stored_id(journal));
    assert_int_equal(owed->time_us, seen.times_us[owed->seq]);
    assert_int_equal(owed->message.len, len);
    assert_memory_equal(owed->message.data, text, (size_t)len);
    assert_int_equal(owed->flags, RECORD_TEXT);
    assert_true(weir_conn_send(owed->conn, owed->message) >= 0); /* it is held: its client has sent its end long ago */
    seen.owed++;
    seen.seq = owed->seq;
    seen.id = owed->id;
    return owed->message.len;
}

static const struct journal_listener listener = { .url = "tcp://127.0.0.1:8000", .frame = "line", .on_owed = on_owed };

static void on_open(struct weir_conn *conn, void *user)
{
    struct journal_client *client = journal_open(journal, conn, &listener, user);

    assert_non_null(client);
    weir_conn_set_user(conn, client);
}

static void on_message(struct weir_conn *conn, struct weir_bytes message, void *user)
{
    struct weir_message_info info;

    weir_conn_message(conn, &info);
    seen.messages++;
    seen.times_us[info.seq] = journal_message(user, message, &info, info.seq > unowed_until);
    assert_true(seen.times_us[info.seq] > 0);
    if (info.seq == aborts_at) weir_conn_abort(conn, WEIR_REASON_KICKED);
}

static void on_close(struct weir_conn *conn, enum weir_reason reason, void *user)
{
    (void)conn;
    seen.is_closed = true;
    journal_close(user, reason);
    weir_stop(weir, 0);
}

static void on_turn(struct weir *engine, unsigned worker, void *user)
{
    (void)engine;
    (void)user;
    journal_turn(journal, worker);
}

static void on_open_client(struct weir_conn *conn, void *user)
{
    (void)user;
    for (unsigned i = 1; i <= MESSAGES; i++) {
        char text[32];
        const int len = snprintf(text, sizeof(text), "%u", i);

        assert_true(weir_conn_send(conn, (struct weir_bytes){ (const unsigned char *)text, (size_t)len }) >= 0);
    }
    weir_conn_close(conn);
}

static void on_state(bool is_good, const char *text, void *user)
{
    (void)user;
    if (is_good) return;
    fprintf(stderr, "%s\n", text);
    abort(); /* a thread that cmocka does not know */
}

static void open_journal(size_t answer_bytes)
{
    const struct journal_config config = {
        .path = path, .workers = 1, .batch_bytes_max = BATCH_BYTES, .answer_bytes = answer_bytes, .on_state = on_state
    };
    char error[STORE_ERROR_BYTES_MAX] = "";

    if (journal_new(&config, &journal, error)) fail_msg("%s", error);
}

/* One client's life, and the journal's with it. */
static void serve(size_t answer_bytes)
{
    const struct weir_config config = WEIR_CONFIG(.workers = 1, .on_turn = on_turn);
    const struct weir_service service = WEIR_SERVICE(.frame = "line", .on_open = on_open, .on_message = on_message,
                                                     .on_close = on_close, .user = &seen);
    const struct weir_service client = WEIR_SERVICE(.frame = "line", .on_open = on_open_client);
    struct weir_listener *engine_listener = NULL;
    char url[WEIR_ADDRESS_BYTES_MAX];
    uint64_t left = 0;

    alarm(DEADLINE_S);
    memset(&seen, 0, sizeof(seen));
    open_journal(answer_bytes);
    assert_int_equal(weir_new(&config, &weir), 0);
    assert_int_equal(weir_listen(weir, "tcp://127.0.0.1:0", &service, &engine_listener), 0);
    assert_int_equal(weir_listener_address(engine_listener, 0, url), 0);
    assert_int_equal(weir_set_first_id(weir, journal_first_id(journal)), 0);
    assert_int_equal(journal_start(journal, weir), 0);
    assert_int_equal(weir_dial(weir, url, &client, NULL, NULL), 0);
    assert_int_equal(weir_run(weir), 0);
    assert_int_equal(journal_stop(journal, INT64_MAX, &left), 0);
    assert_int_equal(left, 0);
}

static void end(void)
{
    weir_free(weir);
    journal_free(journal);
    weir = NULL;
    journal = NULL;
}

static int setup(void **state)
{
    char error[FOLDER_ERROR_BYTES_MAX];

    if (scratch_make(state)) return -1;
    unowed_until = aborts_at = 0;
    return folder_make_file(scratch_path("j.db", path), error);
}

static int teardown(void **state)
{
    end();
    return scratch_remove(state);
}

/* ---- */

static void what_is_owed_comes_back_in_order_once_stored(void **state)
{
    (void)state;
    serve(0);
    assert_int_equal(seen.owed, MESSAGES);
}

/* Each batch waits for a turn of its own then. */
static void what_is_owed_comes_back_in_order_over_many_turns(void **state)
{
    (void)state;
    serve(1);
    assert_int_equal(seen.owed, MESSAGES);
}

static void what_is_not_owed_does_not_come_back(void **state)
{
    (void)state;
    unowed_until = MESSAGES / 2;
    serve(0);
    assert_int_equal(seen.messages, MESSAGES);
    assert_int_equal(seen.owed, MESSAGES / 2);
}

static void nothing_comes_back_to_a_connection_that_has_closed(void **state)
{
    (void)state;
    aborts_at = MESSAGES / 2;
    serve(0);
    assert_int_equal(seen.messages, MESSAGES / 2);
    assert_int_equal(seen.owed, 0);
    assert_int_equal(journal_stored_id(journal), MESSAGES / 2);
}

static void what_is_stored_is_known_owed_or_not_and_to_the_next_run(void **state)
{
    (void)state;
    unowed_until = MESSAGES;
    serve(0);
    assert_int_equal(journal_stored_id(journal), MESSAGES);
    end();
    assert_int_equal(read_number(path, "SELECT max(id) FROM message"), MESSAGES);
    open_journal(0);
    assert_int_equal(journal_stored_id(journal), MESSAGES);
}

static void an_empty_store_has_nothing_stored(void **state)
{
    (void)state;
    open_journal(0);
    assert_int_equal(journal_stored_id(journal), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_owed_comes_back_in_order_once_stored, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_owed_comes_back_in_order_over_many_turns, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_owed_does_not_come_back, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_comes_back_to_a_connection_that_has_closed, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_stored_is_known_owed_or_not_and_to_the_next_run, setup, teardown),
        cmocka_unit_test_setup_teardown(an_empty_store_has_nothing_stored, setup, teardown),
    };

    return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}

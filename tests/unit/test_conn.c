/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a program may ask of one connection: pauses with owners, who the peer is, what it has not taken. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include "one_client.h"

enum { LARGE_BYTES = 8 * 1024 * 1024 };

static const char three_lines[] = "a\nb\nc\n";

/* ---- Death ---- */

static void assert_aborts(void (*call)(void))
{
    int status = 0;
    const pid_t child = fork();

    if (!child) {
        signal(SIGABRT, SIG_DFL);
        if (!freopen("/dev/null", "w", stderr)) _exit(2);
        call();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

static void visit(struct weir_conn *conn, void *arg)
{
    (void)conn;
    (void)arg;
}

static void pause_for_an_owner_that_there_is_not(void)
{
    weir_conn_pause(NULL, WEIR_PAUSE_OWNERS_MAX);
}

/* ---- Pauses ---- */

static void pause_at_the_first(struct weir_conn *conn, struct weir_bytes message, void *user)
{
    (void)message;
    (void)user;
    if (test.messages++ > 0) return;
    weir_conn_pause(conn, 0);
    weir_conn_pause(conn, 7);
    weir_conn_pause(conn, 7);
}

static void resume_one_after_the_other(void)
{
    if (test.messages == 0) return; /* not yet */
    if (test.messages == 3) {
        weir_stop(test.weir, 1);
        return;
    }
    assert_int_equal(test.messages, 1);
    if (test.steps % 4 == 0) weir_conn_resume(test.conn, 5); /* has not paused */
    if (test.steps % 4 == 1) weir_conn_resume(test.conn, 7); /* once for two */
    if (test.steps % 4 == 2) weir_conn_resume(test.conn, 7);
    if (test.steps > 8) weir_conn_resume(test.conn, 0);
}

static void input_goes_on_when_no_owner_pauses(void **state)
{
    const struct weir_service service =
        WEIR_SERVICE(.frame = "line", .on_open = on_open, .on_message = pause_at_the_first, .on_close = on_close);

    (void)state;
    run(&service, three_lines, resume_one_after_the_other);
    assert_int_equal(test.messages, 3);
}

static void an_owner_out_of_range_is_asserted(void **state)
{
    (void)state;
    assert_aborts(pause_for_an_owner_that_there_is_not);
}

/* ---- Another thread ---- */

static void (*forbidden)(void);

static void *call_from_elsewhere(void *arg)
{
    (void)arg;
    forbidden();
    return NULL;
}

/* In a process of its own: an engine runs with one connection, and another thread calls what only the worker's may. */
static void call_it(void)
{
    pthread_t thread;

    if (!test.conn) return;
    if (pthread_create(&thread, NULL, call_from_elsewhere, NULL) == 0) pthread_join(thread, NULL);
    _exit(0); /* it was let pass */
}

static void run_and_call(void)
{
    const struct weir_service service = WEIR_SERVICE(.on_open = on_open, .on_close = on_close);

    run(&service, "x", call_it);
}

static void close_it(void)
{
    weir_conn_close(test.conn);
}

static void abort_it(void)
{
    weir_conn_abort(test.conn, WEIR_REASON_KICKED);
}

static void give_it_a_user(void)
{
    weir_conn_set_user(test.conn, NULL);
}

static void start_a_timer(void)
{
    weir_timer_start(test.weir, 0, 1, 0, step, NULL, NULL);
}

static void look_at_all(void)
{
    weir_conn_each(test.weir, 0, visit, NULL);
}

static void ask_the_kernel(void)
{
    uint64_t bytes = 0;

    weir_conn_unacknowledged(test.conn, &bytes);
}

#ifdef WEIR_DEBUG
static void send_to_it(void)
{
    weir_conn_send(test.conn, (struct weir_bytes){ (const unsigned char *)"x", 1 });
}

static void hold_it(void)
{
    weir_conn_hold(test.conn);
}
#endif

static void what_is_the_workers_is_asserted_elsewhere(void **state)
{
    static void (*const calls[])(void) = {
        close_it,   abort_it, give_it_a_user, start_a_timer, look_at_all, ask_the_kernel,
#ifdef WEIR_DEBUG
        send_to_it, hold_it,
#endif
    };

    (void)state;
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        forbidden = calls[i];
        assert_aborts(run_and_call);
    }
}

/* Before weir_run, and after it has returned, the engine belongs to its caller. */
static void before_weir_run_any_thread_may(void **state)
{
    struct weir *weir = NULL;
    struct weir_timer *timer = NULL;

    (void)state;
    assert_int_equal(weir_new(NULL, &weir), 0);
    assert_int_equal(weir_timer_start(weir, 0, 1, 0, step, NULL, &timer), 0);
    weir_timer_stop(timer);
    weir_conn_each(weir, 0, visit, NULL);
    weir_free(weir);
}

/* ---- The peer ---- */

static void count(struct weir_conn *conn, struct weir_bytes message, void *user)
{
    (void)conn;
    (void)message;
    (void)user;
    test.messages++;
}

static void ask_who_it_is(void)
{
    struct weir_credentials who = { 0 };

    if (!test.conn) return;
    assert_int_equal(weir_conn_credentials(test.conn, &who), 0);
    assert_int_equal(who.pid, getpid());
    assert_int_equal(who.uid, getuid());
    assert_int_equal(who.gid, getgid());
    assert_int_equal(weir_conn_credentials(test.conn, NULL), -EINVAL);
    weir_stop(test.weir, 1);
}

static void a_unix_peer_has_credentials(void **state)
{
    const struct weir_service service = WEIR_SERVICE(.on_open = on_open, .on_message = count, .on_close = on_close);

    (void)state;
    run(&service, three_lines, ask_who_it_is);
}

static void send_more_than_it_takes(struct weir_conn *conn, struct weir_bytes message, void *user)
{
    unsigned char *bytes = calloc(1, LARGE_BYTES);

    (void)message;
    (void)user;
    if (test.messages++ == 0) assert_true(weir_conn_send(conn, (struct weir_bytes){ bytes, LARGE_BYTES }) >= 0);
    free(bytes);
}

static void ask_what_it_has_not_taken(void)
{
    struct weir_conn_counters counters;
    uint64_t bytes = 0;

    if (test.messages < 1 || !test.conn) return;
    weir_conn_counters(test.conn, &counters);
    if (counters.bytes_out == 0) return;
    assert_int_equal(weir_conn_unacknowledged(test.conn, &bytes), 0);
    assert_true(bytes > 0); /* over a unix socket the kernel counts its own buffers, too */
    assert_true(counters.output_bytes > 0);
    assert_int_equal(weir_conn_unacknowledged(test.conn, NULL), -EINVAL);
    weir_conn_abort(test.conn, WEIR_REASON_KICKED);
    assert_int_equal(weir_conn_unacknowledged(test.conn, &bytes), -ENOTCONN);
    assert_int_equal(weir_conn_credentials(test.conn, &(struct weir_credentials){ 0 }), -ENOTCONN);
    weir_stop(test.weir, 1);
}

static void what_the_peer_has_not_taken_is_told(void **state)
{
    const struct weir_service service =
        WEIR_SERVICE(.frame = "line", .send_frame = "raw", .output_bytes_max = 2 * LARGE_BYTES, .on_open = on_open,
                     .on_message = send_more_than_it_takes, .on_close = on_close);

    (void)state;
    run(&service, three_lines, ask_what_it_has_not_taken);
}

/* A dialled connection, which has no address at all yet, is no unix socket either. */
static void ask_over_tcp(struct weir_conn *conn, void *user)
{
    struct weir_credentials who;
    uint64_t bytes = 7;

    (void)user;
    assert_int_equal(weir_conn_credentials(conn, &who), -ENOTSUP);
    assert_int_equal(weir_conn_unacknowledged(conn, &bytes), 0);
    assert_int_equal(bytes, 0);
    weir_stop(weir_conn_weir(conn), 1);
}

static void a_tcp_peer_has_no_credentials(void **state)
{
    const struct weir_service service = WEIR_SERVICE(.on_open = ask_over_tcp);
    struct weir_listener *listener = NULL;
    char url[WEIR_ADDRESS_BYTES_MAX];
    struct weir *weir = NULL;

    (void)state;
    assert_int_equal(weir_new(NULL, &weir), 0);
    assert_int_equal(weir_listen(weir, "127.0.0.1:0", &service, &listener), 0);
    weir_listener_address(listener, 0, url);
    assert_int_equal(weir_dial(weir, url, NULL, NULL, NULL), 0);
    weir_run(weir);
    weir_free(weir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(input_goes_on_when_no_owner_pauses),
        cmocka_unit_test(an_owner_out_of_range_is_asserted),
        cmocka_unit_test(what_is_the_workers_is_asserted_elsewhere),
        cmocka_unit_test(before_weir_run_any_thread_may),
        cmocka_unit_test(a_unix_peer_has_credentials),
        cmocka_unit_test(what_the_peer_has_not_taken_is_told),
        cmocka_unit_test(a_tcp_peer_has_no_credentials),
    };

    return cmocka_run_group_tests_name("conn", tests, NULL, NULL);
}

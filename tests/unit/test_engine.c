/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The engine's public calls with what they must refuse, and with what little a process may have. */
#include <weir/weir.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct weir *engine(const struct weir_config *config)
{
    struct weir *weir = NULL;

    assert_int_equal(weir_new(config, &weir), 0);
    return weir;
}

static void filter_without_its_size_is_refused(void **state)
{
    const struct weir_bytes message = { (const unsigned char *)"x", 1 };
    struct weir_filter filter = WEIR_FILTER(.except_id = 1);
    struct weir *weir = engine(NULL);

    (void)state;
    assert_int_equal(weir_broadcast(weir, &filter, message), 0);
    filter.size = 0;
    assert_int_equal(weir_broadcast(weir, &filter, message), WEIR_ECONFIG);
    filter.size = sizeof filter + 8;
    assert_int_equal(weir_broadcast(weir, &filter, message), WEIR_ECONFIG);
    weir_free(weir);
}

static void message_that_no_mailbox_can_hold_is_not_tried_again(void **state)
{
    static const unsigned char bytes[64];
    const struct weir_config config = WEIR_CONFIG(.mailbox_bytes_max = 63);
    struct weir *weir = engine(&config);

    (void)state;
    assert_int_equal(weir_send(weir, 1, (struct weir_bytes){ bytes, 64 }, NULL, NULL), -EMSGSIZE);
    assert_int_equal(weir_broadcast(weir, NULL, (struct weir_bytes){ bytes, 64 }), -EMSGSIZE);
    assert_int_equal(weir_send(weir, 1, (struct weir_bytes){ bytes, 63 }, NULL, NULL), 0);
    assert_int_equal(weir_send(weir, 1, (struct weir_bytes){ bytes, 1 }, NULL, NULL), -EAGAIN);
    weir_free(weir);
}

static void disabled_listener_keeps_its_port(void **state)
{
    const struct weir_service disabled = WEIR_SERVICE(.disabled = 1);
    struct weir *first = engine(NULL);
    struct weir *second = engine(NULL);
    struct weir_listener *listener = NULL;
    char url[WEIR_ADDRESS_BYTES_MAX];

    (void)state;
    assert_int_equal(weir_listen(first, "127.0.0.1:0", &disabled, &listener), 0);
    assert_int_equal(weir_listener_address(listener, 0, url), 0);
    assert_int_equal(weir_listen(second, url, NULL, NULL), -EADDRINUSE);
    assert_int_equal(weir_listen(second, url, &disabled, NULL), -EADDRINUSE);
    assert_int_equal(weir_listener_enable(listener), 0);
    assert_int_equal(weir_listen(second, url, NULL, NULL), -EADDRINUSE);
    weir_free(first);
    weir_free(second);
}

enum { pairs = 3 };

static int visited;

static void count_one(struct weir_conn *conn, void *arg)
{
    (void)conn;
    ++*(int *)arg;
}

static void close_visited(struct weir_conn *conn, void *arg)
{
    assert_ptr_equal(weir_conn_base(conn), weir_worker_base(arg, 0));
    assert_ptr_equal(weir_conn_weir(conn), arg);
    visited++;
    weir_conn_abort(conn, WEIR_REASON_KICKED);
}

/* Once both ends of all are open, each is visited and closed; then nobody is left to be visited. */
static void visit_when_all_are_open(struct weir_timer *timer, void *arg)
{
    int count = 0;

    weir_conn_each(arg, 0, count_one, &count);
    if (count < 2 * pairs) return;
    weir_timer_stop(timer);
    weir_conn_each(arg, 0, close_visited, arg);
    weir_conn_each(arg, 0, close_visited, arg);
    weir_conn_each(arg, 1, close_visited, arg); /* there is no such worker */
    weir_stop(arg, 0);
}

static void each_open_connection_is_visited_once(void **state)
{
    struct weir *weir = engine(NULL);
    struct weir_listener *listener = NULL;
    struct weir_counters counters = { .size = sizeof counters };
    char url[WEIR_ADDRESS_BYTES_MAX];

    (void)state;
    visited = 0;
    assert_int_equal(weir_listen(weir, "127.0.0.1:0", NULL, &listener), 0);
    assert_int_equal(weir_listener_address(listener, 0, url), 0);
    for (int i = 0; i < pairs; i++)
        assert_int_equal(weir_dial(weir, url, NULL, NULL, NULL), 0);
    assert_int_equal(weir_timer_start(weir, 0, 1, 1, visit_when_all_are_open, weir, NULL), 0);
    assert_int_equal(weir_run(weir), 0);
    weir_counters(weir, &counters);
    assert_int_equal(visited, 2 * pairs);
    assert_int_equal(counters.closed[WEIR_REASON_KICKED], 2 * pairs);
    weir_free(weir);
}

/* In a child with so few descriptors: 0 when weir_new made an engine or said -EMFILE, and wrote nothing. */
static int try_with_descriptors(rlim_t limit, int quiet)
{
    const struct rlimit few = { .rlim_cur = limit, .rlim_max = limit };
    struct weir *weir = NULL;
    int err;

    dup2(quiet, STDERR_FILENO);
    dup2(quiet, STDOUT_FILENO);
    if (setrlimit(RLIMIT_NOFILE, &few) != 0) return 2;
    err = weir_new(NULL, &weir);
    weir_free(weir);
    if (err != 0 && err != -EMFILE) return 3;
    return err == 0 ? 0 : 1;
}

static void few_descriptors_are_an_error_and_no_exit(void **state)
{
    FILE *said = tmpfile();
    int last = 1;

    (void)state;
    assert_non_null(said);
    for (rlim_t limit = 3; limit < 40; limit++) {
        const pid_t child = fork();
        int status = 0;

        assert_true(child >= 0);
        if (child == 0) _exit(try_with_descriptors(limit, fileno(said)));
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 1);
        last = WEXITSTATUS(status);
    }
    assert_int_equal(last, 0); /* with 39 it must do */
    fseek(said, 0, SEEK_END);
    assert_int_equal(ftell(said), 0);
    fclose(said);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filter_without_its_size_is_refused),
        cmocka_unit_test(message_that_no_mailbox_can_hold_is_not_tried_again),
        cmocka_unit_test(disabled_listener_keeps_its_port),
        cmocka_unit_test(each_open_connection_is_visited_once),
        cmocka_unit_test(few_descriptors_are_an_error_and_no_exit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The engine's public calls with what they must refuse, and with what little a process may have. */
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

#include <weir/weir.h>

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
    filter.size = sizeof(filter) + 8;
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
    const struct weir_service disabled = WEIR_SERVICE(.disabled = true);
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

enum { PAIRS = 3 };

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
    if (count < 2 * PAIRS) return;
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
    struct weir_counters counters = { .size = sizeof(counters) };
    char url[WEIR_ADDRESS_BYTES_MAX];

    (void)state;
    visited = 0;
    assert_int_equal(weir_listen(weir, "127.0.0.1:0", NULL, &listener), 0);
    assert_int_equal(weir_listener_address(listener, 0, url), 0);
    for (int i = 0; i < PAIRS; i++)
        assert_int_equal(weir_dial(weir, url, NULL, NULL, NULL), 0);
    assert_int_equal(weir_timer_start(weir, 0, 1, 1, visit_when_all_are_open, weir, NULL), 0);
    assert_int_equal(weir_run(weir), 0);
    weir_counters(weir, &counters);
    assert_int_equal(visited, 2 * PAIRS);
    assert_int_equal(counters.closed[WEIR_REASON_KICKED], 2 * PAIRS);
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

/* ---- NULL ---- */

static void fn_timer(struct weir_timer *timer, void *arg)
{
    (void)timer;
    (void)arg;
}

static void expect_refusal(int result, const struct weir *asked, const char *part)
{
    assert_int_equal(result, -EINVAL);
    if (!strstr(weir_error_text(asked), part))
        fail_msg("the sentence \"%s\" does not say \"%s\"", weir_error_text(asked), part);
}

static void null_is_refused_with_a_sentence(void **state)
{
    const struct weir_bytes nothing = { NULL, 1 };
    struct weir *weir = engine(NULL);

    (void)state;
    expect_refusal(weir_new(NULL, NULL), NULL, "new: the place for the engine is NULL");
    expect_refusal(weir_run(NULL), NULL, "run: the engine is NULL");
    expect_refusal(weir_set_first_id(NULL, 1), NULL, "the engine is NULL");
    expect_refusal(weir_listen(NULL, "0", NULL, NULL), NULL, "listen: the engine is NULL");
    expect_refusal(weir_listen(weir, NULL, NULL, NULL), weir, "listen: the address is NULL");
    expect_refusal(weir_listener_enable(NULL), NULL, "the listener is NULL");
    expect_refusal(weir_listener_disable(NULL), NULL, "the listener is NULL");
    expect_refusal(weir_dial(NULL, "1", NULL, NULL, NULL), NULL, "dial: the engine is NULL");
    expect_refusal(weir_dial(weir, NULL, NULL, NULL, NULL), weir, "dial: the address is NULL");
    expect_refusal(weir_timer_start(NULL, 0, 0, 0, fn_timer, NULL, NULL), NULL, "the engine is NULL");
    expect_refusal(weir_timer_start(weir, 0, 0, 0, NULL, NULL, NULL), weir, "the function is NULL");
    expect_refusal(weir_post(NULL, 0, NULL, NULL), NULL, "post: the engine is NULL");
    expect_refusal(weir_post(weir, 0, NULL, NULL), weir, "post: the function is NULL");
    expect_refusal(weir_post_conn(NULL, 1, NULL, NULL), NULL, "the engine is NULL");
    expect_refusal(weir_post_conn(weir, 1, NULL, NULL), weir, "post_conn: the function is NULL");
    expect_refusal(weir_send(NULL, 1, (struct weir_bytes){ NULL, 0 }, NULL, NULL), NULL, "the engine is NULL");
    expect_refusal(weir_send(weir, 1, nothing, NULL, NULL), weir, "data is NULL");
    expect_refusal(weir_broadcast(NULL, NULL, (struct weir_bytes){ NULL, 0 }), NULL, "the engine is NULL");
    expect_refusal(weir_broadcast(weir, NULL, nothing), weir, "data is NULL");
    weir_free(weir);
}

static void null_for_what_answers_with_a_code(void **state)
{
    struct weir *weir = engine(NULL);
    struct weir_listener *listener = NULL;
    struct weir_frame *frame = NULL;
    struct weir_url url;
    char text[WEIR_ADDRESS_BYTES_MAX] = "";
    unsigned char bytes[4];
    size_t len = 9;

    (void)state;
    assert_int_equal(weir_listen(weir, "127.0.0.1:0", NULL, &listener), 0); /* no service: the defaults */
    assert_int_equal(weir_listener_address(NULL, 0, text), -EINVAL);
    assert_int_equal(weir_listener_address(listener, 0, NULL), -EINVAL);
    assert_int_equal(weir_url_parse(NULL, &url, text, sizeof(text)), -EINVAL);
    assert_string_equal(text, "the address, or the place for the URL, is NULL");
    assert_int_equal(weir_url_parse("1", NULL, NULL, 0), -EINVAL);
    assert_int_equal(weir_frame_new(NULL, &frame, text, sizeof(text)), -EINVAL);
    assert_non_null(strstr(text, "the SPEC, or the place for the frame, is NULL"));
    assert_int_equal(weir_frame_new("raw", NULL, NULL, 0), -EINVAL);
    assert_int_equal(weir_unescape(NULL, bytes, sizeof(bytes), &len), -EINVAL);
    assert_int_equal(len, 0);
    assert_int_equal(weir_unescape("x", NULL, 4, &len), -EINVAL);
    assert_int_equal(weir_unescape("x", bytes, sizeof(bytes), NULL), -EINVAL);
    assert_int_equal(weir_unescape("", NULL, 0, &len), 0);
    assert_int_equal(weir_conn_send(NULL, (struct weir_bytes){ NULL, 0 }), -EINVAL);
    assert_int_equal(weir_conn_credentials(NULL, NULL), -EINVAL);
    assert_int_equal(weir_conn_unacknowledged(NULL, NULL), -EINVAL);
    weir_free(weir);
}

/* Nothing happens, and what is asked is 0, NULL, nobody. */
static void null_for_what_has_no_code(void **state)
{
    struct weir *weir = engine(NULL);
    struct weir_counters counters = { .size = sizeof(counters), .clients_max = 7 };
    struct weir_conn_counters conn_counters = { .holds = 7 };
    struct weir_message_info message = { .seq = 7 };
    char peer[WEIR_ADDRESS_BYTES_MAX];

    (void)state;
    weir_free(NULL);
    weir_stop(NULL, 0);
    weir_input_pause(NULL);
    weir_input_resume(NULL);
    weir_timer_stop(NULL);
    weir_frame_free(NULL);
    weir_counters(NULL, &counters);
    assert_int_equal(counters.clients_max, 0);
    weir_counters(weir, NULL);
    assert_int_equal(weir_workers(NULL), 0);
    assert_null(weir_worker_base(NULL, 0));
    weir_conn_each(NULL, 0, count_one, NULL);
    weir_conn_each(weir, 0, NULL, NULL);
    assert_null(weir_frame_codec(NULL));
    assert_null(weir_frame_config(NULL));
    assert_int_equal(weir_frame_is_reversible(NULL) + weir_frame_is_sendable(NULL), 0);
    weir_conn_close(NULL);
    weir_conn_end(NULL);
    weir_conn_abort(NULL, WEIR_REASON_KICKED);
    weir_conn_pause(NULL, 0);
    weir_conn_resume(NULL, 7);
    weir_conn_hold(NULL);
    weir_conn_release(NULL);
    weir_conn_set_user(NULL, NULL);
    assert_int_equal(weir_conn_id(NULL), 0);
    assert_string_equal(weir_conn_peer(NULL, peer), "unknown");
    assert_string_equal(peer, "unknown");
    assert_string_equal(weir_conn_peer(NULL, NULL), "unknown");
    assert_int_equal(weir_conn_worker(NULL), 0);
    assert_null(weir_conn_weir(NULL));
    assert_null(weir_conn_listener(NULL));
    assert_null(weir_conn_user(NULL));
    assert_null(weir_conn_base(NULL));
    assert_int_equal(weir_conn_error(NULL), 0);
    weir_conn_message(NULL, &message);
    assert_int_equal(message.seq, 0);
    weir_conn_message(NULL, NULL);
    weir_conn_counters(NULL, &conn_counters);
    assert_int_equal(conn_counters.holds, 0);
    weir_conn_counters(NULL, NULL);
    assert_int_equal(weir_conn_unfinished(NULL).len, 0);
    weir_free(weir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filter_without_its_size_is_refused),
        cmocka_unit_test(message_that_no_mailbox_can_hold_is_not_tried_again),
        cmocka_unit_test(disabled_listener_keeps_its_port),
        cmocka_unit_test(each_open_connection_is_visited_once),
        cmocka_unit_test(null_is_refused_with_a_sentence),
        cmocka_unit_test(null_for_what_answers_with_a_code),
        cmocka_unit_test(null_for_what_has_no_code),
        cmocka_unit_test(few_descriptors_are_an_error_and_no_exit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

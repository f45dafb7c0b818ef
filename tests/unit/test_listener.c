/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Listeners that close, that give other clients another service, and what is counted of each. */
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

#include "engine/listener.h"
#include "net/transport/transport.h"
#include "one_client.h"

static void echo(struct weir_conn *conn, struct weir_bytes message, void *user)
{
    (void)user;
    test.messages++;
    weir_conn_send(conn, message);
}

/* What the client has received so far, all of it. */
static const char *received(int fd)
{
    static char text[256];
    const ssize_t len = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT | MSG_PEEK);

    text[len > 0 ? len : 0] = '\0';
    return text;
}

static void say(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static struct weir *new_engine(void)
{
    struct weir *weir = NULL;

    assert_int_equal(weir_new(NULL, &weir), 0);
    return weir;
}

static struct weir_listener_counters counters_of(const struct weir_listener *listener)
{
    struct weir_listener_counters counters = { .size = sizeof(counters) };

    weir_listener_counters(listener, &counters);
    return counters;
}

/* ---- Closing ---- */

static void before_weir_run_the_address_is_free_at_once(void **state)
{
    struct weir *weir = new_engine();
    struct weir_listener *first = NULL, *second = NULL;
    char url[WEIR_ADDRESS_BYTES_MAX], again[WEIR_ADDRESS_BYTES_MAX];

    (void)state;
    assert_int_equal(weir_listen(weir, "127.0.0.1:0", NULL, &first), 0);
    assert_int_equal(weir_listener_address(first, 0, url), 0);
    assert_int_equal(weir_listen(weir, url, NULL, &second), -EADDRINUSE);
    assert_int_equal(weir_listener_close(first), 0);
    assert_int_equal(weir_listener_close(first), 0);
    assert_int_equal(weir_listen(weir, url, NULL, &second), 0);
    assert_int_equal(weir_listener_address(first, 0, again), 0);
    assert_string_equal(again, url);
    weir_free(weir);
}

static void a_closed_listener_refuses_what_it_cannot_do(void **state)
{
    const struct weir_service service = WEIR_SERVICE(.frame = "line");
    struct weir *weir = new_engine();
    struct weir_listener *listener = NULL;

    (void)state;
    assert_int_equal(weir_listen(weir, "127.0.0.1:0", NULL, &listener), 0);
    assert_int_equal(weir_listener_close(listener), 0);
    assert_int_equal(weir_listener_enable(listener), WEIR_ECLOSED);
    assert_int_equal(weir_listener_disable(listener), WEIR_ECLOSED);
    assert_int_equal(weir_listener_update(listener, &service), WEIR_ECLOSED);
    assert_non_null(strstr(weir_error_text(weir), "the listener has been closed"));
    assert_string_equal(weir_strerror(WEIR_ECLOSED), "the listener has been closed");
    assert_int_equal(counters_of(listener).clients, 0);
    weir_free(weir);
    assert_int_equal(weir_listener_close(NULL), -EINVAL);
    assert_int_equal(weir_listener_update(NULL, NULL), -EINVAL);
    weir_listener_counters(NULL, NULL);
}

static void use_after_the_close(void)
{
    struct stat status;

    if (test.steps == 2) {
        assert_int_equal(weir_listener_close(test.listener), 0);
        assert_int_equal(stat(test.url + strlen("unix:"), &status), -1);
        say(test.client, "two\n");
    }
    if (test.steps > 4 && strcmp(received(test.client), "one\ntwo\n") == 0) {
        assert_int_equal(counters_of(test.listener).clients, 1);
        weir_stop(test.weir, 1);
    }
}

static void open_connections_stay(void **state)
{
    const struct weir_service service =
        WEIR_SERVICE(.frame = "line", .on_open = on_open, .on_message = echo, .on_close = on_close);

    (void)state;
    run(&service, "one\n", use_after_the_close);
    assert_int_equal(test.messages, 2);
    assert_int_equal(test.closed, 1);
}

/* ---- Another service ---- */

static void answer_loudly(struct weir_conn *conn, struct weir_bytes message, void *user)
{
    (void)message;
    weir_conn_send(conn, (struct weir_bytes){ user, strlen(user) });
}

static int second_client;

static void update_between_two_clients(void)
{
    static char loud[] = "LOUD";
    const struct weir_service other =
        WEIR_SERVICE(.frame = "delimiter:;", .on_message = answer_loudly, .user = loud, .keepalive_idle_ms = WEIR_OFF);

    if (test.steps == 2) assert_int_equal(weir_listener_update(test.listener, &other), 0);
    if (test.steps == 4) {
        second_client = connect_to(test.url);
        say(second_client, "new;");
        say(test.client, "old\n");
    }
    if (test.steps > 4 && strcmp(received(second_client), "LOUD;") == 0 &&
        strcmp(received(test.client), "first\nold\n") == 0) {
        close(second_client);
        weir_stop(test.weir, 1);
    }
}

static void those_who_come_later_get_the_other_service(void **state)
{
    const struct weir_service service =
        WEIR_SERVICE(.frame = "line", .on_open = on_open, .on_message = echo, .on_close = on_close);

    (void)state;
    run(&service, "first\n", update_between_two_clients);
    assert_int_equal(test.messages, 2);
}

static void update_before_run(void)
{
    const struct weir_service service =
        WEIR_SERVICE(.frame = "line", .on_open = on_open, .on_message = echo, .on_close = on_close);

    assert_int_equal(weir_listener_update(test.listener, &service), 0);
}

static void stop_when_echoed(void)
{
    if (strcmp(received(test.client), "x\n") == 0) weir_stop(test.weir, 1);
}

static void before_weir_run_it_counts_from_the_first_client_on(void **state)
{
    const struct weir_service deaf = WEIR_SERVICE(.frame = "delimiter:;");

    (void)state;
    before_run = update_before_run;
    run(&deaf, "x\n", stop_when_echoed);
    before_run = NULL;
    assert_int_equal(test.messages, 1);
}

static void update_wrongly(void)
{
    const struct weir_service bad = WEIR_SERVICE(.frame = "lines"), worse = WEIR_SERVICE(.message_bytes_max = -3);

    if (test.steps == 2) {
        assert_int_equal(weir_listener_update(test.listener, &bad), WEIR_EFRAME);
        assert_non_null(strstr(weir_error_text(test.weir), "did you mean \"line\""));
        assert_int_equal(weir_listener_update(test.listener, &worse), WEIR_ECONFIG);
        second_client = connect_to(test.url);
        say(second_client, "x\n");
    }
    if (test.steps > 2 && strcmp(received(second_client), "x\n") == 0) {
        close(second_client);
        weir_stop(test.weir, 1);
    }
}

static void a_bad_service_changes_nothing(void **state)
{
    const struct weir_service service =
        WEIR_SERVICE(.frame = "line", .on_open = on_open, .on_message = echo, .on_close = on_close);

    (void)state;
    run(&service, "x\n", update_wrongly);
    assert_int_equal(test.messages, 2);
}

/* ---- Its transport ---- */

static struct weir__transport_context context;
static unsigned contexts_freed;

static void free_context(struct weir__transport_context *freed)
{
    assert_ptr_equal(freed, &context);
    contexts_freed++;
}

static void set_context(void)
{
    context = (struct weir__transport_context){ .free = free_context };
    weir__listener_set_transport(test.listener, &weir__transport_tcp, &context);
}

static void update_and_close(void)
{
    const struct weir_service service =
        WEIR_SERVICE(.frame = "line", .on_open = on_open, .on_message = echo, .on_close = on_close);

    assert_int_equal(contexts_freed, 0); /* connections of the first service use it, and the second one does */
    if (test.steps == 2) assert_int_equal(weir_listener_update(test.listener, &service), 0);
    if (test.steps == 4) assert_int_equal(weir_listener_close(test.listener), 0);
    if (test.steps == 6) weir_conn_abort(test.conn, WEIR_REASON_KICKED);
    if (test.steps == 8) weir_stop(test.weir, 1);
}

static void a_context_goes_with_its_last_service(void **state)
{
    const struct weir_service service =
        WEIR_SERVICE(.frame = "line", .on_open = on_open, .on_message = echo, .on_close = on_close);

    (void)state;
    contexts_freed = 0;
    before_run = set_context;
    run(&service, "x\n", update_and_close);
    before_run = NULL;
    assert_int_equal(contexts_freed, 1);
}

/* ---- Counters ---- */

static struct weir_listener *other_listener;

static void listen_elsewhere(void)
{
    assert_int_equal(weir_listen(test.weir, "127.0.0.1:0", NULL, &other_listener), 0);
}

static void count_and_kick(void)
{
    struct weir_listener_counters counters = counters_of(test.listener);

    if (test.conn && strcmp(received(test.client), "one\ntwo\n") == 0) {
        assert_int_equal(counters.accepted, 1);
        assert_int_equal(counters.clients, 1);
        assert_int_equal(counters.messages_in, 2);
        assert_int_equal(counters.messages_out, 2);
        assert_int_equal(counters.bytes_in, 8);
        assert_int_equal(counters.bytes_out, 8);
        weir_conn_abort(test.conn, WEIR_REASON_KICKED);
        return;
    }
    if (test.closed == 0) return;
    assert_int_equal(counters.clients, 0);
    assert_int_equal(counters.closed[WEIR_REASON_KICKED], 1);
    counters = counters_of(other_listener);
    assert_int_equal(counters.accepted + counters.messages_in + counters.bytes_out, 0);
    weir_stop(test.weir, 1);
}

static void each_listener_is_counted_apart(void **state)
{
    const struct weir_service service =
        WEIR_SERVICE(.frame = "line", .on_open = on_open, .on_message = echo, .on_close = on_close);

    (void)state;
    before_run = listen_elsewhere;
    run(&service, "one\ntwo\n", count_and_kick);
    before_run = NULL;
}

static void a_caller_of_an_older_header_gets_what_it_knows(void **state)
{
    struct weir_listener_counters counters = { .size = offsetof(struct weir_listener_counters, accepted),
                                               .accepted = 77 };
    struct weir *weir = new_engine();
    struct weir_listener *listener = NULL;

    (void)state;
    assert_int_equal(weir_listen(weir, "127.0.0.1:0", NULL, &listener), 0);
    weir_listener_counters(listener, &counters);
    assert_int_equal(counters.accepted, 77);
    weir_free(weir);
}

/* ---- From another thread ---- */

enum { ROUNDS = 60, WORKERS = 3 };

static void echo_only(struct weir_conn *conn, struct weir_bytes message, void *user)
{
    (void)user;
    weir_conn_send(conn, message);
}

struct meddling {
    struct weir *weir;
    const char *path;
};

/* Listens, lets clients come, changes the service under them, and closes, over and over. */
static void *meddle(void *arg)
{
    const struct meddling *meddling = arg;
    const struct weir_service services[] = { WEIR_SERVICE(.frame = "line", .on_message = echo_only),
                                             WEIR_SERVICE(.frame = "delimiter:;", .on_message = echo_only) };
    char url[128];

    snprintf(url, sizeof(url), "unix:%s", meddling->path);
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct weir_listener *listener = NULL;
        int clients[4];

        if (weir_listen(meddling->weir, url, &services[0], &listener) != 0) abort();
        for (unsigned k = 0; k < 4; k++) {
            clients[k] = connect_to(url);
            say(clients[k], "x\n;");
            if (weir_listener_update(listener, &services[k % 2]) != 0) abort();
            counters_of(listener);
        }
        if (weir_listener_close(listener) != 0 || weir_listener_update(listener, NULL) != WEIR_ECLOSED) abort();
        for (unsigned k = 0; k < 4; k++)
            close(clients[k]);
    }
    weir_stop(meddling->weir, 1000);
    return NULL;
}

static void any_thread_may(void **state)
{
    const struct weir_config config = WEIR_CONFIG(.workers = WORKERS);
    char folder[] = "/tmp/weir-listener-XXXXXX", path[64];
    struct meddling meddling = { .path = path };
    struct weir_counters counters = { .size = sizeof(counters) };
    pthread_t thread;
    int err;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/s", folder);
    assert_int_equal(weir_new(&config, &meddling.weir), 0);
    assert_int_equal(pthread_create(&thread, NULL, meddle, &meddling), 0);
    err = weir_run(meddling.weir);
    assert_true(err == 0 || err == -ETIMEDOUT);
    pthread_join(thread, NULL);
    weir_counters(meddling.weir, &counters);
    assert_int_equal(counters.clients, 0);
    weir_free(meddling.weir);
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(before_weir_run_the_address_is_free_at_once),
        cmocka_unit_test(a_closed_listener_refuses_what_it_cannot_do),
        cmocka_unit_test(open_connections_stay),
        cmocka_unit_test(those_who_come_later_get_the_other_service),
        cmocka_unit_test(before_weir_run_it_counts_from_the_first_client_on),
        cmocka_unit_test(a_bad_service_changes_nothing),
        cmocka_unit_test(a_context_goes_with_its_last_service),
        cmocka_unit_test(each_listener_is_counted_apart),
        cmocka_unit_test(a_caller_of_an_older_header_gets_what_it_knows),
        cmocka_unit_test(any_thread_may),
    };

    return cmocka_run_group_tests_name("listener", tests, NULL, NULL);
}

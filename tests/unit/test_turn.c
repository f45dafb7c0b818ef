/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The end of a turn, a turn at a time: what the program is told behind on_turn has an on_turn of its own, for which no
 * event is waited for, and then the worker sleeps. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

#include <weir/weir.h>

#include "engine/engine.h"
#include "engine/turn.h"
#include "engine/worker.h"

enum { FLOOD_BYTES = 16 << 20 };

static struct {
    int turns, closes, writables;
    int gathered; /* told since the last on_turn */
    enum weir_reason reason;
} seen;

static void on_turn(struct weir *weir, unsigned worker, void *user)
{
    (void)weir;
    (void)worker;
    (void)user;
    seen.turns++;
    seen.gathered = 0;
}

static void on_close(struct weir_conn *conn, enum weir_reason reason, void *user)
{
    (void)conn;
    (void)user;
    seen.closes++;
    seen.gathered++;
    seen.reason = reason;
}

static void on_writable(struct weir_conn *conn, void *user)
{
    (void)conn;
    (void)user;
    seen.writables++;
    seen.gathered++;
}

static void close_at_once(struct weir_conn *conn, void *user)
{
    (void)user;
    weir_conn_abort(conn, WEIR_REASON_KICKED);
}

static void send_zeros(struct weir_conn *conn, size_t len)
{
    unsigned char *zeros = calloc(1, len);

    assert_non_null(zeros);
    assert_true(weir_conn_send(conn, (struct weir_bytes){ zeros, len }) >= 0);
    free(zeros);
}

/* More than the kernel takes, and than memory_bytes_max. */
static void flood(struct weir_conn *conn, void *user)
{
    (void)user;
    send_zeros(conn, FLOOD_BYTES);
}

/* As much as output_bytes_max. */
static void fill(struct weir_conn *conn, void *user)
{
    (void)user;
    send_zeros(conn, 1000);
}

/* Its dial finds a worker that is about to end, and closes then. */
static void close_and_dial(struct weir_conn *conn, enum weir_reason reason, void *user)
{
    const struct weir_service dialled = WEIR_SERVICE(.on_close = on_close);

    on_close(conn, reason, user);
    assert_int_equal(weir_dial(weir_conn_weir(conn), "127.0.0.1:1", &dialled, NULL, NULL), 0);
}

static void stop(struct weir_conn *conn, void *user)
{
    (void)user;
    weir_stop(weir_conn_weir(conn), WEIR_OFF);
}

static struct weir *engine(struct weir_config config)
{
    struct weir *weir = NULL;

    memset(&seen, 0, sizeof(seen));
    config.on_turn = on_turn;
    assert_int_equal(weir_new(&config, &weir), 0);
    return weir;
}

/* A client that does nothing but connect. It takes little, and neither reads nor ends: no event comes of it. */
static int connect_to(struct weir *weir, struct weir_service service)
{
    const int small = 4096;
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct weir_listener *listener = NULL;
    char url[WEIR_ADDRESS_BYTES_MAX];

    if (!service.on_close) service.on_close = on_close;
    service.on_writable = on_writable;
    assert_int_equal(weir_listen(weir, "127.0.0.1:0", &service, &listener), 0);
    assert_int_equal(weir_listener_address(listener, 0, url), 0);
    address.sin_port = htons((uint16_t)atoi(strrchr(url, ':') + 1));
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* One turn, as weir__worker_run makes them, that waits for nothing. Returns whether the next is not to wait either. */
static int turn(struct weir *weir)
{
    struct weir__worker *worker = weir->workers[0];

    assert_true(event_base_loop(worker->base, EVLOOP_ONCE | EVLOOP_NONBLOCK) >= 0);
    return weir__turn_end(worker);
}

/* Serves until the program was told something behind on_turn: the next turn comes at once and has on_turn, and the one
 * after it waits. */
static void expect_a_turn_of_its_own(struct weir *weir)
{
    int more = 0;
    int turns;

    while (seen.gathered == 0)
        more = turn(weir);
    turns = seen.turns;
    assert_true(more);
    assert_false(turn(weir));
    assert_int_equal(seen.turns, turns + 1);
    assert_int_equal(seen.gathered, 0);
    assert_false(turn(weir)); /* nothing has come, and nothing is owed */
    assert_int_equal(seen.turns, turns + 1);
}

static void close_has_a_turn_of_its_own(void **state)
{
    struct weir *weir = engine((struct weir_config)WEIR_CONFIG());
    const int client = connect_to(weir, (struct weir_service)WEIR_SERVICE(.on_open = close_at_once));

    (void)state;
    expect_a_turn_of_its_own(weir);
    assert_int_equal(seen.closes, 1);
    assert_int_equal(seen.reason, WEIR_REASON_KICKED);
    weir_free(weir);
    close(client);
}

static void close_for_memory_has_a_turn_of_its_own(void **state)
{
    struct weir *weir = engine((struct weir_config)WEIR_CONFIG(.memory_bytes_max = 1 << 20));
    const int client =
        connect_to(weir, (struct weir_service)WEIR_SERVICE(.on_open = flood, .message_bytes_max = FLOOD_BYTES));

    (void)state;
    expect_a_turn_of_its_own(weir);
    assert_int_equal(seen.closes, 1);
    assert_int_equal(seen.reason, WEIR_REASON_MEMORY);
    weir_free(weir);
    close(client);
}

static void output_that_left_has_a_turn_of_its_own(void **state)
{
    struct weir *weir = engine((struct weir_config)WEIR_CONFIG());
    const int client = connect_to(weir, (struct weir_service)WEIR_SERVICE(.on_open = fill, .output_bytes_max = 1000));

    (void)state;
    expect_a_turn_of_its_own(weir);
    assert_int_equal(seen.writables, 1);
    weir_free(weir);
    close(client);
}

/* Nobody is to be told of it, so no turn is made for it. */
static void close_without_on_turn_sleeps(void **state)
{
    const struct weir_config config = WEIR_CONFIG();
    struct weir *weir = NULL;
    int client;

    (void)state;
    memset(&seen, 0, sizeof(seen));
    assert_int_equal(weir_new(&config, &weir), 0);
    client = connect_to(weir, (struct weir_service)WEIR_SERVICE(.on_open = close_at_once));
    while (seen.closes == 0)
        assert_false(turn(weir));
    weir_free(weir);
    close(client);
}

static void last_close_of_a_stop_has_its_turn_before_the_end(void **state)
{
    struct weir *weir = engine((struct weir_config)WEIR_CONFIG());
    const int client = connect_to(weir, (struct weir_service)WEIR_SERVICE(.on_open = stop, .on_close = close_and_dial,
                                                                          .linger_timeout_ms = WEIR_OFF));

    (void)state;
    assert_int_equal(weir_run(weir), 0);
    assert_int_equal(seen.closes, 2);
    assert_int_equal(seen.reason, WEIR_REASON_DRAIN);
    assert_int_equal(seen.gathered, 0);
    weir_free(weir);
    close(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(close_has_a_turn_of_its_own),
        cmocka_unit_test(close_for_memory_has_a_turn_of_its_own),
        cmocka_unit_test(output_that_left_has_a_turn_of_its_own),
        cmocka_unit_test(close_without_on_turn_sleeps),
        cmocka_unit_test(last_close_of_a_stop_has_its_turn_before_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

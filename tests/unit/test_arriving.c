/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Between accept and on_open: a handshake that never ends is not waited for for ever, and the socket is set up as the
 * service asks. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include <weir/weir.h>

#include "conn/conn.h"
#include "engine/listener.h"
#include "net/transport/transport.h"

static struct {
    int opened, closed; /* of the accepted connection */
    int socket[6];      /* its options, as on_open found them */
    enum weir_reason dialled_reason;
} seen;

static enum weir__io handshake_for_ever(struct weir__link link, int *ret_error)
{
    (void)link;
    (void)ret_error;
    return WEIR__IO_AGAIN_READ;
}

static int option(const struct weir_conn *conn, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof(value);

    assert_int_equal(getsockopt(weir__conn_fd(conn), level, name, &value, &len), 0);
    return value;
}

static void on_open(struct weir_conn *conn, void *user)
{
    (void)user;
    seen.opened++;
    seen.socket[0] = option(conn, SOL_SOCKET, SO_KEEPALIVE);
    seen.socket[1] = option(conn, IPPROTO_TCP, TCP_KEEPIDLE);
    seen.socket[2] = option(conn, IPPROTO_TCP, TCP_KEEPINTVL);
    seen.socket[3] = option(conn, IPPROTO_TCP, TCP_KEEPCNT);
    seen.socket[4] = option(conn, IPPROTO_TCP, TCP_USER_TIMEOUT);
    seen.socket[5] = option(conn, IPPROTO_TCP, TCP_NODELAY);
    weir_conn_close(conn);
}

static void on_close(struct weir_conn *conn, enum weir_reason reason, void *user)
{
    (void)conn;
    (void)reason;
    (void)user;
    seen.closed++;
}

static void on_dialled_close(struct weir_conn *conn, enum weir_reason reason, void *user)
{
    (void)user;
    seen.dialled_reason = reason;
    weir_stop(weir_conn_weir(conn), 0);
}

static void stop(struct weir_timer *timer, void *arg)
{
    (void)timer;
    weir_stop(arg, 0);
}

/* One client of a listener with that service, until it is closed or stop_after_ms have passed. */
static struct weir_counters meet(struct weir_service service, const struct weir__transport *transport,
                                 int64_t stop_after_ms)
{
    const struct weir_service dialled = WEIR_SERVICE(.on_close = on_dialled_close);
    struct weir_counters counters = { .size = sizeof(counters) };
    struct weir_listener *listener = NULL;
    char url[WEIR_ADDRESS_BYTES_MAX];
    struct weir *weir = NULL;

    memset(&seen, 0, sizeof(seen));
    service.on_open = on_open;
    service.on_close = on_close;
    assert_int_equal(weir_new(NULL, &weir), 0);
    assert_int_equal(weir_listen(weir, "127.0.0.1:0", &service, &listener), 0);
    if (transport) weir__listener_set_transport(listener, transport, NULL);
    assert_int_equal(weir_listener_address(listener, 0, url), 0);
    assert_int_equal(weir_dial(weir, url, &dialled, NULL, NULL), 0);
    if (stop_after_ms > 0) assert_int_equal(weir_timer_start(weir, 0, stop_after_ms, 0, stop, weir, NULL), 0);
    assert_int_equal(weir_run(weir), 0);
    weir_counters(weir, &counters);
    weir_free(weir);
    return counters;
}

static void handshake_that_never_ends_is_closed_at_its_deadline(void **state)
{
    struct weir__transport transport = weir__transport_tcp;
    struct weir_counters counters;

    (void)state;
    transport.is_plain = false;
    transport.handshake = handshake_for_ever;
    counters = meet((struct weir_service)WEIR_SERVICE(.arrive_timeout_ms = 50), &transport, 0);
    assert_int_equal(counters.closed[WEIR_REASON_ARRIVE_TIMEOUT], 1);
    assert_int_equal(seen.opened, 0);
    assert_int_equal(seen.closed, 0); /* what was never announced is not missed */
    assert_int_equal(seen.dialled_reason, WEIR_REASON_PEER_CLOSED);
}

static void handshake_does_not_hold_up_a_stop(void **state)
{
    struct weir__transport transport = weir__transport_tcp;
    struct weir_counters counters;

    (void)state;
    transport.is_plain = false;
    transport.handshake = handshake_for_ever;
    counters = meet((struct weir_service)WEIR_SERVICE(.arrive_timeout_ms = WEIR_OFF), &transport, 20);
    assert_int_equal(counters.closed[WEIR_REASON_DRAIN], 2); /* the one who dialled, too */
    assert_int_equal(seen.opened + seen.closed, 0);
}

static void keepalive_comes_with_its_user_timeout(void **state)
{
    (void)state;
    meet((struct weir_service)WEIR_SERVICE(.keepalive_idle_ms = 7000, .keepalive_interval_ms = 2000,
                                           .keepalive_count = 3),
         NULL, 0);
    assert_int_equal(seen.opened, 1);
    assert_int_equal(seen.socket[0], 1);
    assert_int_equal(seen.socket[1], 7);
    assert_int_equal(seen.socket[2], 2);
    assert_int_equal(seen.socket[3], 3);
    assert_int_equal(seen.socket[4], 7000 + 3 * 2000);
    assert_int_equal(seen.socket[5], 1);
}

static void keepalive_is_on_by_default_and_can_be_off(void **state)
{
    (void)state;
    meet((struct weir_service)WEIR_SERVICE(.frame = "line"), NULL, 0);
    assert_int_equal(seen.socket[0], 1);
    assert_int_equal(seen.socket[4], 60000 + 5 * 10000);
    meet((struct weir_service)WEIR_SERVICE(.keepalive_idle_ms = WEIR_OFF), NULL, 0);
    assert_int_equal(seen.socket[0], 0);
    assert_int_equal(seen.socket[4], 0);
    assert_int_equal(seen.closed, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handshake_that_never_ends_is_closed_at_its_deadline),
        cmocka_unit_test(handshake_does_not_hold_up_a_stop),
        cmocka_unit_test(keepalive_comes_with_its_user_timeout),
        cmocka_unit_test(keepalive_is_on_by_default_and_can_be_off),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

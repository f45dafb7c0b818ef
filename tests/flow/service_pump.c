/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Much data through a dialled connection to an echo on the same engine, with flow control: the dialler sends until it
 * is told to stop, goes on when it is told to, ends its side behind the last byte, and checks every byte that comes
 * back. What waits in memory meanwhile is bounded. No more than WINDOW bytes are on their way at once: a connection
 * whose output is full does not read, so whoever asks for more than both sides can hold waits for himself.
 *
 *   service_pump WORKERS BYTES WINDOW */
#include "service_kit.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

enum { PIECE_BYTES = 60000, PATTERN_PERIOD = 251, OUTPUT_HIGH = 128 * 1024 };

static struct {
    struct weir *weir;
    uint64_t total, window, sent, received;
    uint64_t writables;
    int full;        /* sending waits for on_writable */
    unsigned closes; /* on_close of the dialled connection */
    _Atomic uint64_t memory_most;
    unsigned char pattern[PATTERN_PERIOD + PIECE_BYTES + 64 * 1024];
} pump;

/* ---- The echo ---- */

static void echo(struct weir_conn *conn, struct weir_bytes message, void *user)
{
    (void)user;
    KIT_CHECK(weir_conn_send(conn, message) >= 0); /* one answer a message never fails for want of room */
}

/* ---- The dialler ---- */

static void fill(struct weir_conn *conn)
{
    int result = 0;

    while (result == 0 && pump.sent < pump.total && pump.sent - pump.received < pump.window) {
        const uint64_t left = pump.total - pump.sent;
        const size_t len = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;

        result = weir_conn_send(conn, (struct weir_bytes){ pump.pattern + pump.sent % PATTERN_PERIOD, len });
        KIT_CHECK(result >= 0);
        pump.sent += len;
    }
    pump.full = result;
    if (pump.sent == pump.total) weir_conn_end(conn);
}

static void on_open(struct weir_conn *conn, void *user)
{
    KIT_CHECK(user == &pump);
    fill(conn);
}

static void on_writable(struct weir_conn *conn, void *user)
{
    struct weir_conn_counters counters;

    (void)user;
    pump.writables++;
    weir_conn_counters(conn, &counters);
    KIT_CHECK(counters.output_bytes <= OUTPUT_HIGH / 2);
    fill(conn);
}

static void on_message(struct weir_conn *conn, struct weir_bytes message, void *user)
{
    (void)user;
    KIT_CHECK(message.len <= 64 * 1024);
    KIT_CHECK(memcmp(message.data, pump.pattern + pump.received % PATTERN_PERIOD, message.len) == 0);
    pump.received += message.len;
    if (!pump.full) fill(conn);
}

static void on_close(struct weir_conn *conn, enum weir_reason reason, void *user)
{
    (void)conn;
    (void)user;
    KIT_CHECK(reason == WEIR_REASON_PEER_CLOSED);
    pump.closes++;
    weir_stop(pump.weir, 5000);
}

static void on_turn(struct weir *weir, unsigned worker, void *user)
{
    struct weir_counters counters = { .size = sizeof(counters) };
    uint64_t most = atomic_load(&pump.memory_most);

    (void)worker;
    (void)user;
    weir_counters(weir, &counters);
    while (counters.memory_bytes > most &&
           !atomic_compare_exchange_weak(&pump.memory_most, &most, counters.memory_bytes))
        continue;
}

static void start(void)
{
    const struct weir_service echoes = WEIR_SERVICE(.on_message = echo);
    const struct weir_service dials =
        WEIR_SERVICE(.on_open = on_open, .on_message = on_message, .on_writable = on_writable, .on_close = on_close,
                     .output_bytes_max = OUTPUT_HIGH);
    struct weir_listener *listener;
    char address[WEIR_ADDRESS_BYTES_MAX];

    KIT_CHECK(weir_listen(pump.weir, "tcp://127.0.0.1:0", &echoes, &listener) == 0);
    KIT_CHECK(weir_listener_address(listener, 0, address) == 0);
    KIT_CHECK(weir_dial(pump.weir, address, &dials, &pump, NULL) == 0);
}

int main(int argc, char **argv)
{
    struct weir_config config = WEIR_CONFIG(.on_turn = on_turn);

    KIT_CHECK(argc == 4);
    config.workers = (unsigned)strtoul(argv[1], NULL, 10);
    pump.total = strtoull(argv[2], NULL, 10);
    pump.window = strtoull(argv[3], NULL, 10);
    for (size_t i = 0; i < sizeof(pump.pattern); i++)
        pump.pattern[i] = (unsigned char)(i % PATTERN_PERIOD);
    KIT_CHECK(weir_new(&config, &pump.weir) == 0);
    start();
    KIT_CHECK(weir_run(pump.weir) == 0);
    weir_free(pump.weir);
    KIT_CHECK(pump.received == pump.total && pump.closes == 1);
    kit_event("{\"event\":\"pump\",\"received\":%" PRIu64 ",\"writables\":%" PRIu64 ",\"memory_most\":%" PRIu64 "}",
              pump.received, pump.writables, atomic_load(&pump.memory_most));
    return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Everything at once, for a while: clients that come, talk, and go in every way there is, and threads that send to
 * them, ask for them and broadcast, by ids that are new, old and not there yet. Each client is told its id first, and
 * ends the program when it hears what was meant for another. At the end the sums must agree.
 *
 *   service_storm WORKERS MILLISECONDS
 *
 * It lasts longer where the machine is so busy that little has happened in that time. */
#include "service_kit.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CLIENT_THREADS = 2,
    SENDER_THREADS = 3,
    LINE_BYTES = 17, /* sixteen digits and a newline */
    OPENED_LEAST = 100,
    ARRIVED_LEAST = 100,
    BROADCASTS_LEAST = 10
};

static struct {
    struct weir *weir;
    uint16_t port;
    int64_t end_ms;
    _Atomic uint64_t latest;                  /* the newest connection's id */
    _Atomic uint64_t opened, closed;          /* callbacks */
    _Atomic uint64_t accepted, done, arrived; /* letters: taken, told of, told that they were sent */
    _Atomic uint64_t posted, ran;
    _Atomic uint64_t broadcasts, broadcasts_done;
} storm;

static int goes_on(void)
{
    return kit_now_ms() < storm.end_ms || atomic_load(&storm.opened) < OPENED_LEAST ||
           atomic_load(&storm.arrived) < ARRIVED_LEAST || atomic_load(&storm.broadcasts) < BROADCASTS_LEAST;
}

/* xorshift64: cheap, and one state a thread. */
static uint64_t next_random(uint64_t *random)
{
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return *random;
}

/* ---- The server ---- */

static struct weir_bytes line_of(uint64_t id, char ret[LINE_BYTES])
{
    snprintf(ret, LINE_BYTES, "%016" PRIu64, id);
    return (struct weir_bytes){ (const unsigned char *)ret, LINE_BYTES - 1 };
}

static void on_open(struct weir_conn *conn, void *user)
{
    char line[LINE_BYTES];
    uint64_t latest = atomic_load(&storm.latest);

    (void)user;
    while (weir_conn_id(conn) > latest && !atomic_compare_exchange_weak(&storm.latest, &latest, weir_conn_id(conn)))
        continue;
    atomic_fetch_add(&storm.opened, 1);
    KIT_CHECK(weir_conn_send(conn, line_of(weir_conn_id(conn), line)) == 0);
}

static void on_message(struct weir_conn *conn, struct weir_bytes message, void *user)
{
    char line[LINE_BYTES];

    (void)user;
    weir_conn_send(conn, line_of(weir_conn_id(conn), line));
    if (message.len == 1) weir_conn_close(conn);
    if (message.len == 2) weir_conn_abort(conn, WEIR_REASON_KICKED);
}

static void on_close(struct weir_conn *conn, enum weir_reason reason, void *user)
{
    (void)conn;
    (void)reason;
    (void)user;
    atomic_fetch_add(&storm.closed, 1);
}

/* ---- Clients ---- */

/* From an address that `random` picks: what has closed keeps its port for a minute, and there are not so many ports.
 * Returns -1 once the server has stopped. */
static int connect_client(uint64_t random)
{
    const struct sockaddr_in address = { .sin_family = AF_INET,
                                         .sin_port = htons(storm.port),
                                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    const struct sockaddr_in source = { .sin_family = AF_INET,
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK | (uint32_t)(random & 0xffff00)) };
    const struct timeval patience = { .tv_sec = 20 };
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    KIT_CHECK(fd >= 0 && bind(fd, (const struct sockaddr *)&source, sizeof(source)) == 0);
    KIT_CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0);
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0) return fd;
    KIT_CHECK(!goes_on());
    close(fd);
    return -1;
}

/* Reads so many lines: all must be the first one, or a broadcast's. Returns 0 when the server has ended it. */
static int read_lines(int fd, unsigned count)
{
    char first[LINE_BYTES] = "", line[LINE_BYTES];

    for (unsigned i = 0; i < count; i++) {
        const ssize_t n = recv(fd, line, sizeof(line), MSG_WAITALL);

        KIT_CHECK(n >= 0 || errno == ECONNRESET); /* never EAGAIN: that is the patience run out */
        if (n < (ssize_t)sizeof(line)) return 0;
        KIT_CHECK(line[LINE_BYTES - 1] == '\n');
        if (memcmp(line, "****************", LINE_BYTES - 1) == 0) continue;
        if (first[0] == '\0') memcpy(first, line, LINE_BYTES);
        KIT_CHECK(memcmp(first, line, LINE_BYTES) == 0);
    }
    return 1;
}

static void leave(int fd, unsigned how)
{
    const struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

    if (how == 0) setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)); /* a reset */
    if (how == 1) {
        shutdown(fd, SHUT_WR);
        while (read_lines(fd, 1))
            continue;
    }
    close(fd);
}

static void *be_clients(void *arg)
{
    static const char *const words[] = { "hello\n", "hello\nhello\nhello\n", "a\n", "ab\n", "half a li" };
    uint64_t random = *(const uint64_t *)arg;

    while (goes_on()) {
        const char *word = words[next_random(&random) % 5];
        const int fd = connect_client(next_random(&random));

        if (fd < 0) break;
        if (next_random(&random) % 4 != 0) {
            send(fd, word, strlen(word), MSG_NOSIGNAL);
            read_lines(fd, 1);
        }
        leave(fd, (unsigned)(next_random(&random) % 3));
    }
    return NULL;
}

/* ---- Other threads ---- */

static void on_done(int result, void *arg)
{
    const uint64_t *id = arg;

    KIT_CHECK(result == 0 || result == -ENOENT || result == WEIR_ECLOSING || result == -ENOTCONN);
    KIT_CHECK(result != 0 || *id <= atomic_load(&storm.latest));
    atomic_fetch_add(&storm.done, 1);
    if (result == 0) atomic_fetch_add(&storm.arrived, 1);
    free(arg);
}

static void send_one(uint64_t id)
{
    char line[LINE_BYTES];
    uint64_t *arg = malloc(sizeof(*arg));
    int result;

    KIT_CHECK(arg);
    *arg = id;
    result = weir_send(storm.weir, id, line_of(id, line), on_done, arg);
    KIT_CHECK(result == 0 || result == -EAGAIN);
    if (result == 0) {
        atomic_fetch_add(&storm.accepted, 1);
    } else {
        free(arg);
        sched_yield();
    }
}

static void meet(struct weir_conn *conn, void *arg)
{
    const uint64_t *id = arg;

    KIT_CHECK(!conn || weir_conn_id(conn) == *id);
    atomic_fetch_add(&storm.ran, 1);
    free(arg);
}

static void ask_for(uint64_t id)
{
    uint64_t *arg = malloc(sizeof(*arg));

    KIT_CHECK(arg);
    *arg = id;
    if (weir_post_conn(storm.weir, id, meet, arg) == 0) {
        atomic_fetch_add(&storm.posted, 1);
    } else {
        free(arg);
    }
}

static void on_broadcast_done(uint64_t sent, void *user)
{
    (void)sent;
    (void)user;
    atomic_fetch_add(&storm.broadcasts_done, 1);
}

static void broadcast(void)
{
    const struct weir_filter filter = WEIR_FILTER(.done = on_broadcast_done);
    const struct weir_bytes stars = { (const unsigned char *)"****************", LINE_BYTES - 1 };

    if (weir_broadcast(storm.weir, &filter, stars) == 0) atomic_fetch_add(&storm.broadcasts, 1);
}

static void *send_to_some(void *arg)
{
    uint64_t random = *(const uint64_t *)arg;
    struct weir_counters counters = { .size = sizeof(counters) };

    while (goes_on()) {
        const uint64_t latest = atomic_load(&storm.latest);
        const uint64_t back = next_random(&random) % 8;

        send_one(latest + 2 - (back < latest + 2 ? back : 0));
        if (back == 0) ask_for(latest - (latest > 3 ? 3 : 0));
        if (next_random(&random) % 64 == 0) {
            broadcast();
            weir_input_pause(storm.weir);
            weir_counters(storm.weir, &counters);
            weir_input_resume(storm.weir);
        }
        if (next_random(&random) % 16 == 0) sched_yield();
    }
    return NULL;
}

/* ---- All of it ---- */

static void *stop_in_time(void *arg)
{
    while (goes_on())
        kit_wait_ms(5);
    weir_stop(arg, 30000);
    return NULL;
}

static void listen_somewhere(void)
{
    const struct weir_service service =
        WEIR_SERVICE(.frame = "line", .on_open = on_open, .on_message = on_message, .on_close = on_close);
    struct weir_listener *listener;
    char address[WEIR_ADDRESS_BYTES_MAX];

    KIT_CHECK(weir_listen(storm.weir, "tcp://127.0.0.1:0", &service, &listener) == 0);
    KIT_CHECK(weir_listener_address(listener, 0, address) == 0);
    storm.port = (uint16_t)strtoul(strrchr(address, ':') + 1, NULL, 10);
}

static void check_sums(void)
{
    kit_event("{\"event\":\"storm\",\"opened\":%" PRIu64 ",\"letters\":%" PRIu64 ",\"arrived\":%" PRIu64
              ",\"posted\":%" PRIu64 ",\"broadcasts\":%" PRIu64 "}",
              atomic_load(&storm.opened), atomic_load(&storm.accepted), atomic_load(&storm.arrived),
              atomic_load(&storm.posted), atomic_load(&storm.broadcasts));
    KIT_CHECK(atomic_load(&storm.opened) == atomic_load(&storm.closed));
    KIT_CHECK(atomic_load(&storm.accepted) == atomic_load(&storm.done));
    KIT_CHECK(atomic_load(&storm.posted) == atomic_load(&storm.ran));
    KIT_CHECK(atomic_load(&storm.broadcasts) == atomic_load(&storm.broadcasts_done));
}

int main(int argc, char **argv)
{
    pthread_t threads[CLIENT_THREADS + SENDER_THREADS], stopper;
    uint64_t seeds[CLIENT_THREADS + SENDER_THREADS];
    struct weir_config config = WEIR_CONFIG(.mailbox_items_max = 1000);

    KIT_CHECK(argc == 3);
    config.workers = (unsigned)strtoul(argv[1], NULL, 10);
    KIT_CHECK(weir_new(&config, &storm.weir) == 0);
    listen_somewhere();
    storm.end_ms = kit_now_ms() + strtoll(argv[2], NULL, 10);
    for (unsigned i = 0; i < CLIENT_THREADS + SENDER_THREADS; i++) {
        seeds[i] = i + 1;
        KIT_CHECK(pthread_create(&threads[i], NULL, i < CLIENT_THREADS ? be_clients : send_to_some, &seeds[i]) == 0);
    }
    KIT_CHECK(pthread_create(&stopper, NULL, stop_in_time, storm.weir) == 0);
    KIT_CHECK(weir_run(storm.weir) == 0);
    for (unsigned i = 0; i < CLIENT_THREADS + SENDER_THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_join(stopper, NULL);
    weir_free(storm.weir);
    check_sums();
    return 0;
}

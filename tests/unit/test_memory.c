/* SPDX-License-Identifier: BSD-3-Clause
 *
 * No memory: the Nth allocation fails, once or from then on, for every N, over a life in which everything happens that
 * the engine can do. Our own allocations and libevent's are counted together. Nothing crashes or leaks, calls that fail
 * say so, whoever was told of a beginning is told of its end, and the run ends by itself. After a single failure the
 * server serves on: whoever comes next is answered. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

#include <weir/weir.h>

#include "clock.h"
#include "conn/conn.h"
#include "engine/engine.h"
#include "engine/worker.h"
#include "memory.h"

/* ---- Which allocation fails ---- */

static struct {
    unsigned long calls;
    unsigned long fail_at; /* 0: none */
    int for_ever;
    int failed;
    int exempt; /* the test's own */
} memory;

static bool may(size_t size)
{
    (void)size;
    if (memory.exempt) return true;
    memory.calls++;
    if (memory.fail_at == 0 || memory.calls < memory.fail_at) return true;
    if (memory.calls > memory.fail_at && !memory.for_ever) return true;
    memory.failed = 1;
    return false;
}

static void *event_malloc(size_t size)
{
    return may(size) ? malloc(size) : NULL;
}

static void *event_realloc(void *old, size_t size)
{
    return may(size) ? realloc(old, size) : NULL;
}

static void be_silent(int severity, const char *text)
{
    (void)severity;
    (void)text;
}

/* ---- A life ---- */

enum listener { TCP, UNIX, IMPATIENT, LISTENERS_COUNT };

enum {
    LINE_MAX = 50000,
    BIG_LEN = 8 * 1024,
    STALL_MS = 20000,
    QUIET_MS = 500,
    PIECES_MAX = 10,
    CLIENTS_MAX = 6,
    DEBTORS_MAX = 4
};

/* What a client sends, piece by piece, each in a tick of its own. */
struct script {
    enum listener listener;
    const char *pieces[PIECES_MAX]; /* "@": half of a long line */
    int reads_late;                 /* not before its output has waited for a while */
    int fin;
};

/* The server acts on the first letter of a line: see on_message. */
static const struct script scripts[] = {
    { UNIX,
      { "e one\ne tw", "o\n", "@", "@", "\nb\nb\nb\nb\nb\nb\nb\nb\nb\nb\nb\nb\nb\nb\nb\nb\n", "t 1\ns 2\n",
        "p 3\ne 4\n", "h 5\n" },
      1,
      1 },
    { TCP, { "e one\nB 2\n", "P 3\nd 4\nD 5\n", "@", "@", "\ns 6\n", "c 7\n" }, 0, 0 },
    { IMPATIENT, { "x" }, 0, 0 },        /* and no more: the frame timeout closes it */
    { TCP, { "i 1\n", "h 2\n" }, 0, 0 }, /* stays until the stop */
};

enum { SCRIPTS_COUNT = sizeof(scripts) / sizeof(scripts[0]), STAYS = 3 };

struct client {
    const struct script *script;
    int fd;
    unsigned piece;
    size_t piece_sent;
    unsigned ticks;
    size_t received;
    int ended;
};

/* What was promised, and what came of it. */
struct promises {
    unsigned dials, dial_closes;
    unsigned sends, sends_done;
    unsigned casts, casts_done;
    unsigned posts, posts_run;
    unsigned conn_posts, conn_posts_run;
    unsigned opens, closes;
};

static struct life {
    struct weir *weir;
    struct weir_listener *listeners[LISTENERS_COUNT];
    struct event *director; /* by a timerfd: the heap of the loop's timers is all the engine's */
    int ticks_fd;
    struct client clients[CLIENTS_MAX];
    struct client probe;
    unsigned probes;
    int probed; /* a probe was answered */
    struct promises promises;
    uint64_t debtors[DEBTORS_MAX]; /* who is paid by a timer */
    unsigned debtors_count;
    int (*is_over)(void);
    unsigned progress, progress_seen;
    int64_t quiet_since_ms;
    int stopping;
    int gave_up; /* nothing went on any more */
    unsigned closed[WEIR_REASON_COUNT];
    char name[64];
} life;

static char folder[] = "/tmp/weir-memory-XXXXXX";
static char long_half[LINE_MAX / 2 + 1];

#define CHECK(condition) \
    if (!(condition)) fail_msg("%s: line %d: %s", life.name, __LINE__, #condition)

static void happened(void)
{
    life.progress++;
}

/* 0, or -ENOMEM because an allocation was made to fail. */
static int is_fine(int result)
{
    if (result == 0) return 1;
    if (result != -ENOMEM || !memory.failed) fail_msg("%s: %d: %s", life.name, result, weir_strerror(result));
    return 0;
}

static int is_fine_with_sentence(int result, const char *part)
{
    if (is_fine(result)) return 1;
    if (!strstr(weir_error_text(life.weir), part))
        fail_msg("%s: the sentence \"%s\" does not say \"%s\"", life.name, weir_error_text(life.weir), part);
    return 0;
}

static void answer(struct weir_conn *conn, struct weir_bytes message)
{
    const int result = weir_conn_send(conn, message);

    if (result == 1 || result == WEIR_ECLOSING || is_fine(result)) return;
    weir_conn_abort(conn, WEIR_REASON_MEMORY);
}

/* ---- What comes later ---- */

static void pay(struct weir_conn *conn, void *arg)
{
    (void)arg;
    happened();
    life.promises.conn_posts_run++;
    if (!conn) return;
    answer(conn, (struct weir_bytes){ (const unsigned char *)"paid", 4 });
    if (conn->state != WEIR__CLOSED && conn->holds > 0) weir_conn_release(conn);
}

static void go_on(struct weir_conn *conn, void *arg)
{
    (void)arg;
    happened();
    life.promises.conn_posts_run++;
    if (conn) weir_conn_resume(conn, 0);
}

static int post_to(uint64_t id, void (*fn)(struct weir_conn *conn, void *arg))
{
    if (!is_fine(weir_post_conn(life.weir, id, fn, NULL))) return 0;
    life.promises.conn_posts++;
    return 1;
}

static void pay_on_time(struct weir_timer *timer, void *arg)
{
    const uint64_t *id = arg;

    (void)timer;
    happened();
    if (!post_to(*id, pay)) { /* then at once, if it is still there */
        life.promises.conn_posts++;
        pay(weir__conn_table_find(&life.weir->workers[0]->conns, *id), NULL);
    }
}

/* The argument is the life's: the timer may never run, for the engine may end before, or not run at all. */
static int pay_after(int64_t after_ms, uint64_t id)
{
    uint64_t *debtor = &life.debtors[life.debtors_count++];

    CHECK(life.debtors_count <= DEBTORS_MAX);
    *debtor = id;
    return is_fine(weir_timer_start(life.weir, 0, after_ms, 0, pay_on_time, debtor, NULL));
}

static void pay_later(struct weir_conn *conn)
{
    if (!pay_after(1, weir_conn_id(conn))) weir_conn_abort(conn, WEIR_REASON_MEMORY);
}

static void on_sent(int result, void *arg)
{
    (void)arg;
    happened();
    life.promises.sends_done++;
    CHECK(result == 0 || result == 1 || result == -ENOENT || result == WEIR_ECLOSING || result == -ENOMEM);
}

static void on_cast(uint64_t sent, void *user)
{
    (void)user;
    happened();
    life.promises.casts_done++;
    CHECK(sent <= CLIENTS_MAX + 2);
}

static void on_post(struct weir *weir, void *arg)
{
    (void)arg;
    happened();
    CHECK(weir == life.weir);
    life.promises.posts_run++;
}

/* ---- The dialled side ---- */

static void dialled_open(struct weir_conn *conn, void *user)
{
    CHECK(user == &life);
    happened();
    answer(conn, (struct weir_bytes){ (const unsigned char *)"e dialled", 9 });
}

static void dialled_message(struct weir_conn *conn, struct weir_bytes message, void *user)
{
    (void)message;
    (void)user;
    happened();
    weir_conn_end(conn);
}

static void dialled_close(struct weir_conn *conn, enum weir_reason reason, void *user)
{
    char peer[WEIR_ADDRESS_BYTES_MAX];

    happened();
    CHECK(user == &life);
    CHECK(reason != WEIR_REASON_NONE);
    CHECK(weir_conn_id(conn) > 0);
    CHECK(weir_conn_weir(conn) == life.weir);
    CHECK(strlen(weir_conn_peer(conn, peer)) > 0);
    CHECK(weir_conn_send(conn, (struct weir_bytes){ NULL, 0 }) == WEIR_ECLOSING);
    life.promises.dial_closes++;
    life.closed[reason]++;
}

static void dial(const char *url)
{
    const struct weir_service service = WEIR_SERVICE(.frame = "line", .on_open = dialled_open,
                                                     .on_message = dialled_message, .on_close = dialled_close);

    if (is_fine_with_sentence(weir_dial(life.weir, url, &service, &life, NULL), "memory")) life.promises.dials++;
}

/* ---- The server ---- */

static void on_open(struct weir_conn *conn, void *user)
{
    const int small = 4096;

    (void)user;
    happened();
    life.promises.opens++;
    setsockopt(weir__conn_fd(conn), SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
}

static void broadcast(void)
{
    const struct weir_filter filter = WEIR_FILTER(.done = on_cast);

    if (is_fine(weir_broadcast(life.weir, &filter, (struct weir_bytes){ (const unsigned char *)"cast", 4 })))
        life.promises.casts++;
}

static void dial_ourselves(void)
{
    char address[WEIR_ADDRESS_BYTES_MAX];

    assert_int_equal(weir_listener_address(life.listeners[TCP], 0, address), 0);
    dial(address);
}

static void on_message(struct weir_conn *conn, struct weir_bytes message, void *user)
{
    static unsigned char big[BIG_LEN];

    (void)user;
    happened();
    switch (message.len > 0 ? *message.data : 0) {
    case 'e': /* echo */
        answer(conn, message);
        break;
    case 'b':
        answer(conn, (struct weir_bytes){ big, sizeof(big) });
        break;
    case 't': /* answer by way of a timer and a post */
        pay_later(conn);
        break;
    case 'h': /* the same, owed */
        weir_conn_hold(conn);
        pay_later(conn);
        break;
    case 's':
        if (is_fine(weir_send(life.weir, weir_conn_id(conn), message, on_sent, NULL))) life.promises.sends++;
        break;
    case 'B':
        broadcast();
        break;
    case 'P':
        if (is_fine(weir_post(life.weir, 0, on_post, NULL))) life.promises.posts++;
        break;
    case 'd':
        dial_ourselves();
        break;
    case 'D':
        dial("unix:/nobody/listens/here");
        break;
    case 'p':
        weir_conn_pause(conn, 0);
        if (!post_to(weir_conn_id(conn), go_on)) weir_conn_resume(conn, 0);
        break;
    case 'c':
        weir_conn_close(conn);
        break;
    default: /* ignore */
        break;
    }
}

static void on_close(struct weir_conn *conn, enum weir_reason reason, void *user)
{
    (void)conn;
    (void)user;
    happened();
    CHECK(reason != WEIR_REASON_NONE);
    life.promises.closes++;
    life.closed[reason]++;
    CHECK(life.promises.closes <= life.promises.opens);
}

/* ---- The clients ---- */

static void client_end(struct client *client)
{
    if (client->fd >= 0) close(client->fd);
    client->fd = -1;
    client->ended = 1;
    happened();
}

static void client_connect(struct client *client, struct weir_listener *listener)
{
    char address[WEIR_ADDRESS_BYTES_MAX];
    struct weir_url url;
    struct sockaddr_un unix_name = { .sun_family = AF_UNIX };
    struct sockaddr_in tcp_name = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int result;

    assert_int_equal(weir_listener_address(listener, 0, address), 0);
    assert_int_equal(weir_url_parse(address, &url, NULL, 0), 0);
    memcpy(unix_name.sun_path, url.path, sizeof(url.path));
    tcp_name.sin_port = htons((uint16_t)url.port);
    client->fd = socket(url.kind == WEIR_URL_UNIX ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(client->fd >= 0);
    if (url.kind == WEIR_URL_UNIX) {
        result = connect(client->fd, (struct sockaddr *)&unix_name, sizeof(unix_name));
    } else {
        result = connect(client->fd, (struct sockaddr *)&tcp_name, sizeof(tcp_name));
    }
    assert_int_equal(result, 0);
    assert_int_equal(fcntl(client->fd, F_SETFL, O_NONBLOCK), 0);
}

static void client_read(struct client *client)
{
    char bytes[16 * 1024];
    ssize_t n;

    while ((n = recv(client->fd, bytes, sizeof(bytes), 0)) > 0) {
        client->received += (size_t)n;
        happened();
    }
    if (n == 0 || errno != EAGAIN) client_end(client);
}

/* One piece at most; the FIN behind the last. */
static void client_write(struct client *client)
{
    const char *piece = client->piece < PIECES_MAX ? client->script->pieces[client->piece] : NULL;
    ssize_t n;

    if (!piece) return;
    if (piece[0] == '@') piece = long_half;
    n = send(client->fd, piece + client->piece_sent, strlen(piece + client->piece_sent), MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) return; /* reading will tell */
    if (n > 0) client->piece_sent += (size_t)n;
    if (n > 0) happened();
    if (piece[client->piece_sent] != '\0') return;
    client->piece_sent = 0;
    client->piece++;
    if (client->script->fin && (client->piece == PIECES_MAX || !client->script->pieces[client->piece]))
        shutdown(client->fd, SHUT_WR);
}

static void client_tick(struct client *client)
{
    if (client->fd < 0) return;
    client_write(client);
    if (!client->script->reads_late || ++client->ticks > 15) client_read(client);
}

/* ---- The director: plays all clients, and knows when it is over ---- */

static const struct script probing = { TCP, { "e are you there\n" }, 0, 0 };

/* Whoever comes after the failure must be served; the failure may be of the first who comes. */
static int is_probed(void)
{
    struct client *probe = &life.probe;

    if (life.probed || !life.listeners[TCP]) return 1;
    if (!probe->script) {
        *probe = (struct client){ .script = &probing };
        life.probes++;
        client_connect(probe, life.listeners[TCP]);
    }
    client_tick(probe);
    if (probe->received > 0) {
        life.probed = 1;
        client_end(probe);
        return 1;
    }
    if (probe->ended) {
        CHECK(memory.for_ever || life.probes < 3);
        if (life.probes >= 3) return 1;
        probe->script = NULL;
    }
    return 0;
}

static int is_all_over(void)
{
    const struct promises *promises = &life.promises;

    for (int i = 0; i < SCRIPTS_COUNT; i++) {
        struct client *client = &life.clients[i];

        if (!client->script || client->ended) continue;
        if (i != STAYS || client->received < 5) return 0; /* "paid\n" */
    }
    if (promises->sends != promises->sends_done || promises->casts != promises->casts_done) return 0;
    if (promises->posts != promises->posts_run || promises->conn_posts != promises->conn_posts_run) return 0;
    return promises->dials == promises->dial_closes && is_probed();
}

/* Without memory for ever some may wait in vain; after a single failure nobody may. */
static int is_stuck(void)
{
    const int64_t now_ms = weir__clock_ms();
    const int64_t patience_ms = memory.for_ever ? QUIET_MS : STALL_MS;

    if (life.progress != life.progress_seen || life.quiet_since_ms == 0) {
        life.progress_seen = life.progress;
        life.quiet_since_ms = now_ms;
    }
    if (now_ms - life.quiet_since_ms < patience_ms) return 0;
    life.gave_up = 1;
    return 1;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    uint64_t ticks;

    (void)what;
    (void)arg;
    if (read(fd, &ticks, sizeof(ticks)) < 0) return;
    for (int i = 0; i < SCRIPTS_COUNT; i++)
        if (life.clients[i].script) client_tick(&life.clients[i]);
    if (!life.stopping && (life.is_over() || is_stuck())) {
        life.stopping = 1;
        weir_stop(life.weir, 30000);
    }
}

static void start_director(void)
{
    const struct itimerspec every_ms = { { 0, 1000000 }, { 0, 1000000 } };

    life.ticks_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    assert_true(life.ticks_fd >= 0);
    assert_int_equal(timerfd_settime(life.ticks_fd, 0, &every_ms, NULL), 0);
    memory.exempt = 1;
    life.director = event_new(weir_worker_base(life.weir, 0), life.ticks_fd, EV_READ | EV_PERSIST, on_tick, NULL);
    assert_non_null(life.director);
    assert_int_equal(event_add(life.director, NULL), 0);
    memory.exempt = 0;
}

static void stop_director(void)
{
    event_free(life.director);
    close(life.ticks_fd);
}

/* ---- One life ---- */

/* A line, with a state that needs an allocation. */
static struct weir_codec roomy;

static void open_listeners(void)
{
    const struct weir_service services[] = {
        [TCP] = WEIR_SERVICE(.frame = "line", .on_open = on_open, .on_message = on_message, .on_close = on_close,
                             .message_bytes_max = LINE_MAX, .linger_timeout_ms = 5000),
        [UNIX] = WEIR_SERVICE(.codec = &roomy, .on_open = on_open, .on_message = on_message, .on_close = on_close,
                              .message_bytes_max = LINE_MAX, .output_bytes_max = 64 * 1024, .idle_timeout_ms = 60000),
        [IMPATIENT] = WEIR_SERVICE(.frame = "line", .on_open = on_open, .on_message = on_message, .on_close = on_close,
                                   .frame_timeout_ms = 20),
    };
    char path[64];

    snprintf(path, sizeof(path), "unix:%s/socket", folder);
    for (int i = 0; i < LISTENERS_COUNT; i++) {
        const char *url = i == UNIX ? path : "tcp://127.0.0.1:0";

        if (!is_fine_with_sentence(weir_listen(life.weir, url, &services[i], &life.listeners[i]), "memory"))
            CHECK(!life.listeners[i]);
    }
}

static void start_clients(void)
{
    for (int i = 0; i < SCRIPTS_COUNT; i++) {
        struct weir_listener *listener = life.listeners[scripts[i].listener];

        if (!listener) continue;
        life.clients[i] = (struct client){ .script = &scripts[i] };
        client_connect(&life.clients[i], listener);
    }
}

static int lowest_free_descriptor(void)
{
    const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    close(fd);
    return fd;
}

static void check_promises(void)
{
    const struct promises *promises = &life.promises;

    CHECK(promises->dials == promises->dial_closes);
    CHECK(promises->sends == promises->sends_done);
    CHECK(promises->casts == promises->casts_done);
    CHECK(promises->posts == promises->posts_run);
    CHECK(promises->conn_posts == promises->conn_posts_run);
    CHECK(promises->opens == promises->closes);
}

/* All of it took place: else the sweep sweeps nothing. */
static void check_that_it_was_a_whole_life(void)
{
    assert_int_equal(life.promises.opens, SCRIPTS_COUNT + 2); /* with the dialled one's other end and the probe */
    assert_int_equal(life.promises.dials, 2);
    assert_int_equal(life.promises.sends, 2);
    assert_int_equal(life.promises.casts, 1);
    assert_int_equal(life.promises.posts, 1);
    assert_int_equal(life.promises.conn_posts, 4);
    assert_true(life.clients[0].received > 16 * BIG_LEN);
    assert_int_equal(life.closed[WEIR_REASON_PEER_CLOSED], 4); /* the first, the probe, the dialled one, both ends */
    assert_int_equal(life.closed[WEIR_REASON_CLOSED], 1);
    assert_int_equal(life.closed[WEIR_REASON_FRAME_TIMEOUT], 1);
    assert_int_equal(life.closed[WEIR_REASON_DRAIN], 1);
    assert_int_equal(life.closed[WEIR_REASON_REFUSED], 1);
}

static void run_engine(void)
{
    struct weir_counters counters = { .size = sizeof(counters) };
    int result;

    assert_string_equal(event_base_get_method(weir_worker_base(life.weir, 0)), "epoll");
    open_listeners();
    start_clients();
    life.is_over = is_all_over;
    start_director();
    result = weir_run(life.weir);
    CHECK(result == 0 || (result == -ETIMEDOUT && memory.failed));
    CHECK(memory.for_ever || !life.gave_up);
    weir_counters(life.weir, &counters);
    CHECK(counters.clients == 0);
    stop_director();
    weir_free(life.weir);
    for (int i = 0; i < SCRIPTS_COUNT; i++)
        if (life.clients[i].script) client_end(&life.clients[i]);
    if (life.probe.script) client_end(&life.probe);
}

static void begin(const char *name)
{
    memset(&life, 0, sizeof(life));
    snprintf(life.name, sizeof(life.name), "%s, allocation %lu%s", name, memory.fail_at,
             memory.for_ever ? " and all after" : "");
    memory.calls = 0;
    memory.failed = 0;
}

static void live(void)
{
    const int descriptor = lowest_free_descriptor();
    int result;

    begin("a whole life");
    result = weir_new(NULL, &life.weir);
    if (is_fine_with_sentence(result, "new: ")) {
        run_engine();
        check_promises();
    } else {
        CHECK(!life.weir);
    }
    CHECK(lowest_free_descriptor() == descriptor);
    if (!memory.failed) check_that_it_was_a_whole_life();
}

static void sweep(void (*one)(void), int for_ever)
{
    memory.for_ever = for_ever;
    memory.fail_at = 0;
    do {
        memory.fail_at++;
        one();
    } while (memory.failed);
    memory.fail_at = 0;
}

static void a_whole_life(void **state)
{
    (void)state;
    memory.fail_at = 0;
    live();
}

static void the_nth_allocation_fails_once(void **state)
{
    (void)state;
    sweep(live, 0);
}

static void every_allocation_fails_from_the_nth_on(void **state)
{
    (void)state;
    sweep(live, 1);
}

/* ---- Without weir_run: three workers, and everything still in their mailboxes when it ends ---- */

static void timer_never_runs(struct weir_timer *timer, void *arg)
{
    (void)timer;
    (void)arg;
    fail_msg("%s: no loop has run so long", life.name);
}

static void open_reuseport(void)
{
    const struct weir_service service = WEIR_SERVICE(.frame = "length:u16be", .send_frame = "line", .reuseport = true,
                                                     .on_open = on_open, .on_close = on_close);

    if (!is_fine_with_sentence(weir_listen(life.weir, "tcp://127.0.0.1:0", &service, &life.listeners[TCP]), "memory"))
        return;
    assert_int_equal(weir_listener_disable(life.listeners[TCP]), 0);
    assert_int_equal(weir_listener_enable(life.listeners[TCP]), 0);
}

static void never_run(void)
{
    const struct weir_config config = WEIR_CONFIG(.workers = 3);
    const int descriptor = lowest_free_descriptor();

    begin("not run");
    if (is_fine_with_sentence(weir_new(&config, &life.weir), "new: ")) {
        open_reuseport();
        broadcast();
        for (unsigned i = 0; i < 3; i++) {
            if (is_fine(weir_post(life.weir, i, on_post, NULL))) life.promises.posts++;
            post_to(i, pay);
            if (is_fine(weir_send(life.weir, i, (struct weir_bytes){ NULL, 0 }, on_sent, NULL))) life.promises.sends++;
            is_fine(weir_timer_start(life.weir, i, 0, 5, timer_never_runs, NULL, NULL));
            pay_after(1, i);
            dial("unix:/nobody/listens/here");
        }
        broadcast();
        weir_free(life.weir);
        check_promises();
    }
    CHECK(lowest_free_descriptor() == descriptor);
}

static void what_was_asked_of_an_engine_that_never_runs(void **state)
{
    (void)state;
    sweep(never_run, 0);
    sweep(never_run, 1);
}

/* ---- What waits for its time ---- */

/* The one deadline there is, and the first of the loop's timers to need memory. */
static int is_late_one_gone(void)
{
    return !life.clients[0].script || life.clients[0].ended;
}

static void one_deadline(void)
{
    static const struct script late = { TCP, { "x" }, 0, 0 };
    const struct weir_service service = WEIR_SERVICE(.frame = "line", .frame_timeout_ms = 30);

    begin("one deadline");
    if (!is_fine_with_sentence(weir_new(NULL, &life.weir), "new: ")) return;
    life.is_over = is_late_one_gone;
    if (is_fine_with_sentence(weir_listen(life.weir, "tcp://127.0.0.1:0", &service, &life.listeners[TCP]), "memory")) {
        life.clients[0] = (struct client){ .script = &late };
        client_connect(&life.clients[0], life.listeners[TCP]);
    }
    start_director();
    CHECK(weir_run(life.weir) == 0 || memory.failed);
    CHECK(!life.gave_up);
    stop_director();
    weir_free(life.weir);
    if (life.clients[0].script) client_end(&life.clients[0]);
}

static void a_deadline_is_kept_without_memory(void **state)
{
    (void)state;
    sweep(one_deadline, 0);
}

static unsigned beats, idle_timers, onces;

/* It lives on, since its handle was asked for, and must not be taken for one that has to be set again. */
static void run_once(struct weir_timer *timer, void *arg)
{
    (void)timer;
    (void)arg;
    onces++;
}

static int has_beaten(void)
{
    return beats >= 5;
}

/* Fills the heap of timers at its first beat, so that its own return to it may need a larger one. */
static void beat(struct weir_timer *timer, void *arg)
{
    (void)timer;
    (void)arg;
    happened();
    if (beats++ > 0) return;
    for (unsigned i = 0; i < idle_timers; i++)
        assert_int_equal(weir_timer_start(life.weir, 0, 3600000, 0, timer_never_runs, NULL, NULL), 0);
    memory.fail_at = memory.calls + 1;
}

static void a_repeating_timer_goes_on_without_memory(void **state)
{
    struct weir_timer *once = NULL;
    int failures = 0;

    (void)state;
    for (idle_timers = 0; idle_timers < 20; idle_timers++) {
        memory.fail_at = 0;
        memory.for_ever = 0;
        begin("repeating timer");
        beats = onces = 0;
        assert_int_equal(weir_new(NULL, &life.weir), 0);
        life.is_over = has_beaten;
        assert_int_equal(weir_timer_start(life.weir, 0, 0, 0, run_once, NULL, &once), 0);
        assert_int_equal(weir_timer_start(life.weir, 0, 1, 1, beat, NULL, NULL), 0);
        start_director();
        assert_int_equal(weir_run(life.weir), 0);
        CHECK(!life.gave_up);
        CHECK(onces == 1);
        weir_timer_stop(once);
        stop_director();
        weir_free(life.weir);
        failures += memory.failed;
    }
    assert_true(failures >= 2); /* the heap had to grow */
    memory.fail_at = 0;
}

/* ---- Other things that may fail half way ---- */

static int listens_left = -1; /* -1: all succeed */

/* In place of the C library's, for the library under test. */
int listen(int fd, int backlog)
{
    if (listens_left == 0) {
        errno = EADDRINUSE;
        return -1;
    }
    if (listens_left > 0) listens_left--;
    return (int)syscall(SYS_listen, fd, backlog);
}

/* Of two sockets the second cannot listen: the first one's mail is on its way already. */
static void a_listener_that_fails_half_way_leaves_no_mail(void **state)
{
    const struct weir_service service = WEIR_SERVICE(.reuseport = true);
    const struct weir_config config = WEIR_CONFIG(.workers = 3);
    struct weir *weir = NULL;

    (void)state;
    memory.exempt = 1; /* here are threads, and nothing is counted */
    for (int i = 0; i < 3; i++) {
        assert_int_equal(weir_new(&config, &weir), 0);
        listens_left = i;
        assert_int_equal(weir_listen(weir, "tcp://127.0.0.1:0", &service, NULL), -EADDRINUSE);
        listens_left = -1;
        assert_non_null(strstr(weir_error_text(weir), "listen tcp://127.0.0.1:0: address already in use"));
        weir_stop(weir, 1);
        assert_int_equal(weir_run(weir), 0); /* the workers see to their mail */
        weir_free(weir);
    }
    memory.exempt = 0;
}

static int set_up(void **state)
{
    struct weir_frame *frame = NULL;

    (void)state;
    if (!mkdtemp(folder) || weir_frame_new("line", &frame, NULL, 0) != 0) return -1;
    roomy = *weir_frame_codec(frame);
    roomy.state_bytes = 200;
    roomy.encode = NULL;
    weir_frame_free(frame);
    memset(long_half, 'i', sizeof(long_half) - 1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_life),
        cmocka_unit_test(the_nth_allocation_fails_once),
        cmocka_unit_test(every_allocation_fails_from_the_nth_on),
        cmocka_unit_test(what_was_asked_of_an_engine_that_never_runs),
        cmocka_unit_test(a_deadline_is_kept_without_memory),
        cmocka_unit_test(a_repeating_timer_goes_on_without_memory),
        cmocka_unit_test(a_listener_that_fails_half_way_leaves_no_mail),
    };

    event_set_mem_functions(event_malloc, event_realloc, free);
    event_set_log_callback(be_silent);
    weir__memory_set_gate(may);
    return cmocka_run_group_tests_name("memory", tests, set_up, tear_down);
}

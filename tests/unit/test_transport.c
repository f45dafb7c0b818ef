/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A transport that does as it is told, around the real one: every result, at every call of every function, over
 * connections that live through all there is: answers, pauses, a full output, half-close with answers owed, a lingering
 * close, an end of our side only, a client that only listens any more, a stop. Whatever it says, each connection opens
 * at most once, closes once and last with a reason that fits, nothing is called after its close, and whatever was not
 * lost for good arrives whole and in order. The client is a socket in the same loop, so that a run is one thread and
 * the same each time. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

#include <weir/weir.h>

#include "conn/conn.h"
#include "engine/engine.h"
#include "engine/listener.h"
#include "engine/worker.h"
#include "net/transport/transport.h"

enum {
    PATIENCE_S = 20,
    BIG_LEN = 8 * 1024,
    HIGH_MARK = 64 * 1024,
    BIG_COUNT = 16, /* that fill the output twice */
    STREAM_MAX = 512 * 1024,
    HOARD_MAX = 64 * 1024
};

/* ---- What is to be lived through ---- */

enum step_kind {
    DONE,       /* as in steps that are not given */
    SEND,       /* bytes */
    EXPECT,     /* so many bytes to have come back */
    READ_OFF,   /* let the server's output fill ... */
    UNTIL_HIGH, /* ... up to its high mark */
    READ_ON,
    FIN,
    UNTIL_END, /* of the server's side */
    LEAVE      /* close the socket */
};

struct step {
    enum step_kind kind;
    const char *text;
    size_t len;
};

enum { STEPS_MAX = 8 };

/* The server answers each line by its first letter; see obey. */
struct scenario {
    const char *name;
    int blocks; /* its output is to fill, so the socket's buffer is small */
    struct step steps[STEPS_MAX];
    const char *answers; /* all of them; NULL: BIG_COUNT large ones */
    enum weir_reason reason;
    int loses;          /* the answers may be cut short */
    const char *at_end; /* lines that on_end does; NULL: there is no on_end */
    const char *later;  /* lines that are done a while after it, or once its output has fallen */
};

static const struct scenario scenarios[] = {
    { "answers",
      0,
      { { SEND, "e hello\ne wor", 0 }, { EXPECT, NULL, 8 }, { SEND, "ld\ne a\ne b\n", 0 }, { FIN, NULL, 0 } },
      "e hello\ne world\ne a\ne b\n",
      WEIR_REASON_PEER_CLOSED,
      0 },
    { "answers owed at the client's end",
      0,
      { { SEND, "e 0\nh 1\nh 2\nh 3\n", 0 }, { FIN, NULL, 0 } },
      "e 0\nh 1\nh 2\nh 3\n",
      WEIR_REASON_PEER_CLOSED,
      0 },
    { "pauses",
      0,
      { { SEND, "e 1\np 2\ne 3\ne 4\np 5\np 6\ne 7\n", 0 }, { FIN, NULL, 0 } },
      "e 1\np 2\ne 3\ne 4\np 5\np 6\ne 7\n",
      WEIR_REASON_PEER_CLOSED,
      0 },
    { "a full output",
      1,
      { { READ_OFF, NULL, 0 },
        { SEND, "b\nb\nb\nb\nb\nb\nb\nb\nb\nb\nb\nb\nb\nb\nb\nb\n", 0 },
        { UNTIL_HIGH, NULL, 0 },
        { READ_ON, NULL, 0 },
        { FIN, NULL, 0 } },
      NULL,
      WEIR_REASON_PEER_CLOSED,
      0 },
    { "a lingering close",
      0,
      { { SEND, "e 1\nc 2\ne 3\ne 4\n", 0 }, { UNTIL_END, NULL, 0 }, { SEND, "e 5\n", 0 }, { FIN, NULL, 0 } },
      "e 1\nc 2\n",
      WEIR_REASON_CLOSED,
      0 },
    { "an end of our side",
      0,
      { { SEND, "e 1\nE 2\n", 0 }, { UNTIL_END, NULL, 0 }, { SEND, "i 3\ni 4\n", 0 }, { FIN, NULL, 0 } },
      "e 1\nE 2\n",
      WEIR_REASON_PEER_CLOSED,
      0 },
    { "an end of our side, and nothing to say",
      0,
      { { SEND, "F 1\n", 0 }, { UNTIL_END, NULL, 0 }, { SEND, "i 2\n", 0 }, { FIN, NULL, 0 } },
      "",
      WEIR_REASON_PEER_CLOSED,
      0 },
    { "a close with something held that brings no answer",
      0,
      { { SEND, "H 1\nc 2\n", 0 }, { UNTIL_END, NULL, 0 } },
      "H 1\nc 2\n",
      WEIR_REASON_CLOSED,
      0 },
    { "a stop",
      0,
      { { SEND, "e 1\nh 2\nS 3\n", 0 }, { UNTIL_END, NULL, 0 } },
      "e 1\nS 3\nh 2\n",
      WEIR_REASON_DRAIN,
      0 },
    { "a kick", 0, { { SEND, "e 1\nK 2\ne 3\n", 0 }, { UNTIL_END, NULL, 0 } }, "e 1\n", WEIR_REASON_KICKED, 1 },
    { "a client that listens on",
      0,
      { { SEND, "e 1\ni 2", 0 }, { FIN, NULL, 0 }, { UNTIL_END, NULL, 0 } },
      "e 1\ne 3\ne 4\nc 5\n",
      WEIR_REASON_CLOSED,
      0,
      "e 3\n",
      "e 4\nc 5\n" },
    { "a client that listens on, and an end of our side",
      0,
      { { SEND, "e 1\n", 0 }, { FIN, NULL, 0 }, { UNTIL_END, NULL, 0 } },
      "e 1\ne 2\nE 3\n",
      WEIR_REASON_PEER_CLOSED,
      0,
      "e 2\n",
      "E 3\n" },
    { "an end of our side first, and on_end",
      0,
      { { SEND, "e 1\nE 2\n", 0 }, { UNTIL_END, NULL, 0 }, { SEND, "i 3\n", 0 }, { FIN, NULL, 0 } },
      "e 1\nE 2\n",
      WEIR_REASON_PEER_CLOSED,
      0,
      "F 4\n",
      "" },
    { "an end of our side in on_end, behind a pause",
      0,
      { { SEND, "e 1\np 2\np 3\n", 0 }, { FIN, NULL, 0 }, { UNTIL_END, NULL, 0 } },
      "e 1\np 2\np 3\n",
      WEIR_REASON_PEER_CLOSED,
      0,
      "F 4\n",
      "" },
    { "a close in on_end, with answers owed",
      0,
      { { SEND, "h 1\nh 2\n", 0 }, { FIN, NULL, 0 }, { UNTIL_END, NULL, 0 } },
      "c 3\nh 1\nh 2\n",
      WEIR_REASON_CLOSED,
      0,
      "c 3\n",
      "" },
    { "a stop while a client listens on",
      0,
      { { SEND, "e 1\n", 0 }, { FIN, NULL, 0 }, { UNTIL_END, NULL, 0 } },
      "e 1\nS 2\n",
      WEIR_REASON_DRAIN,
      0,
      "",
      "S 2\n" },
    { "a kick of a client that listens on",
      0,
      { { SEND, "e 1\n", 0 }, { FIN, NULL, 0 }, { UNTIL_END, NULL, 0 } },
      "e 1\n",
      WEIR_REASON_KICKED,
      1,
      "",
      "K 2\n" },
    { "a full output before on_end",
      1,
      { { READ_OFF, NULL, 0 },
        { SEND, "b\nb\nb\nb\nb\nb\nb\nb\nb\nb\nb\nb\nb\nb\nb\nb\n", 0 },
        { UNTIL_HIGH, NULL, 0 },
        { READ_ON, NULL, 0 },
        { FIN, NULL, 0 },
        { UNTIL_END, NULL, 0 } },
      NULL,
      WEIR_REASON_PEER_CLOSED,
      0,
      "F\n",
      "" },
    { "a full output behind on_end",
      1,
      { { SEND, "b\nb\n", 0 }, { FIN, NULL, 0 }, { UNTIL_END, NULL, 0 } },
      NULL,
      WEIR_REASON_PEER_CLOSED,
      0,
      "b\nb\nb\nb\nb\nb\nb\nb\n",
      "b\nb\nb\nb\nb\nb\nF\n" },
};

enum { SCENARIOS_COUNT = sizeof(scenarios) / sizeof(scenarios[0]) };

/* ---- What the transport is told ---- */

enum function { HANDSHAKE, READ, WRITE, FINISH, PENDING, FUNCTIONS_COUNT };

static const char *const function_names[] = { "handshake", "read", "write", "finish", "pending" };

struct result {
    const char *name;
    enum weir__io io;
    int error;
    size_t bytes; /* BYTES: at most so many */
};

/* From call number `at` on, so many times. */
struct rule {
    enum function function;
    unsigned at, times;
    const struct result *result;
};

/* Which functions the transport has, and how it reads. */
enum kind {
    PLAIN,
    HANDSHAKING, /* opens after a handshake of three calls */
    HOARDING     /* takes in all that the socket has, in the handshake already, and gives it out piece by piece */
};

static const char *const kind_names[] = { "plain", "handshaking", "hoarding" };

struct client {
    int fd;
    struct event *readable, *writable;
    const struct step *step;
    size_t step_sent;
    int reads, fin_sent, saw_end;
    size_t nudges;
    size_t received_len;
    unsigned char received[STREAM_MAX];
};

/* One run. */
static struct run {
    const struct scenario *scenario;
    enum kind kind;
    const char *url;
    struct rule rule;

    unsigned calls[FUNCTIONS_COUNT];
    int hit;
    enum weir__conn_state hit_state;
    struct weir__transport_context context;
    int transport_opened, transport_closed, context_freed;
    unsigned char hoard[HOARD_MAX];
    size_t hoard_begin, hoard_end;
    size_t hoard_piece;

    struct weir *weir;
    struct weir_listener *listener;
    unsigned opened, ended, closed, writables;
    enum weir_reason reason;
    int error;
    int was_high;
    char owed[64];
    struct weir_message_info last;

    struct client client;
    char name[256];
} run;

static void check_end(void);
static void client_go_on(void);

/* An AGAIN is followed by what it waits for: the client sends a byte that means nothing, and reads. */
static void nudge(enum weir__io io)
{
    run.client.reads = 1;
    if (io == WEIR__IO_AGAIN_READ && run.client.fd >= 0 && !run.client.fin_sent) {
        if (send(run.client.fd, "#", 1, MSG_NOSIGNAL) == 1) run.client.nudges++;
    }
    event_active(run.client.writable, EV_WRITE, 0);
}

static enum weir__conn_state state_of(struct weir__link link)
{
    struct weir_conn *conn = NULL;
    uint32_t place = 0;

    while ((conn = weir__conn_table_next(&run.weir->workers[0]->conns, &place)))
        if (weir__conn_fd(conn) == link.fd) return (enum weir__conn_state)conn->state;
    return WEIR__UNUSED;
}

/* Not 0: the rule is for this call. */
static const struct result *told(struct weir__link link, enum function function)
{
    const struct rule *rule = &run.rule;
    const unsigned call = ++run.calls[function];

    assert_ptr_equal(link.state, run.kind == PLAIN ? NULL : &run);
    assert_int_equal(run.context_freed, 0);
    if (run.transport_closed) fail_msg("%s: %s after close", run.name, function_names[function]);
    if (link.fd < 0) fail_msg("%s: %s without a socket", run.name, function_names[function]);
    if (!rule->result || rule->function != function || call < rule->at || call - rule->at >= rule->times) return NULL;
    if (!run.hit) run.hit_state = state_of(link);
    run.hit = 1;
    nudge(rule->result->io);
    return rule->result;
}

/* ---- The transport ---- */

static enum weir__io fill_hoard(struct weir__link link, int *ret_error)
{
    size_t len = 0;
    const enum weir__io io =
        weir__transport_tcp.read(link, run.hoard + run.hoard_end, HOARD_MAX - run.hoard_end, &len, ret_error);

    run.hoard_end += len;
    return io;
}

static enum weir__io scripted_handshake(struct weir__link link, int *ret_error)
{
    const struct result *result = told(link, HANDSHAKE);

    if (result) {
        *ret_error = result->error;
        return result->io;
    }
    if (run.kind == HOARDING) {
        const enum weir__io io = fill_hoard(link, ret_error);
        return run.hoard_end == 0 && io != WEIR__IO_BYTES ? io : WEIR__IO_BYTES;
    }
    if (run.calls[HANDSHAKE] == 1) return WEIR__IO_AGAIN_WRITE;
    return run.calls[HANDSHAKE] == 2 ? WEIR__IO_AGAIN_READ : WEIR__IO_BYTES;
}

static enum weir__io read_hoard(struct weir__link link, unsigned char *ret, size_t room, size_t *ret_len,
                                int *ret_error)
{
    size_t len;

    if (run.hoard_begin == run.hoard_end) {
        enum weir__io io;

        run.hoard_begin = run.hoard_end = 0;
        io = fill_hoard(link, ret_error);
        if (io != WEIR__IO_BYTES) return io;
    }
    len = run.hoard_end - run.hoard_begin;
    if (len > run.hoard_piece) len = run.hoard_piece;
    if (len > room) len = room;
    memcpy(ret, run.hoard + run.hoard_begin, len);
    run.hoard_begin += len;
    *ret_len = len;
    return WEIR__IO_BYTES;
}

static enum weir__io scripted_read(struct weir__link link, unsigned char *ret, size_t room, size_t *ret_len,
                                   int *ret_error)
{
    const struct result *result = told(link, READ);
    const int again = result && (result->io == WEIR__IO_AGAIN_READ || result->io == WEIR__IO_AGAIN_WRITE);

    if (result && result->io == WEIR__IO_BYTES && room > result->bytes) room = result->bytes;
    /* Nothing has to be waited for while there is a hoard. */
    if (result && result->io != WEIR__IO_BYTES && !(again && run.hoard_begin < run.hoard_end)) {
        *ret_error = result->error;
        return result->io;
    }
    if (run.kind == HOARDING) return read_hoard(link, ret, room, ret_len, ret_error);
    return weir__transport_tcp.read(link, ret, room, ret_len, ret_error);
}

static enum weir__io scripted_write(struct weir__link link, const struct iovec *parts, int count, size_t *ret_len,
                                    int *ret_error)
{
    const struct result *result = told(link, WRITE);
    struct iovec part;

    assert_true(count > 0);
    if (!result) return weir__transport_tcp.write(link, parts, count, ret_len, ret_error);
    if (result->io != WEIR__IO_BYTES) {
        *ret_error = result->error;
        return result->io;
    }
    part = parts[0];
    if (part.iov_len > result->bytes) part.iov_len = result->bytes;
    return weir__transport_tcp.write(link, &part, 1, ret_len, ret_error);
}

static enum weir__io scripted_finish(struct weir__link link, int *ret_error)
{
    const struct result *result = told(link, FINISH);

    if (!result || result->io == WEIR__IO_BYTES) return weir__transport_tcp.finish(link, ret_error);
    *ret_error = result->error;
    return result->io;
}

/* What it is told here is a lie, once: there is nothing. */
static size_t scripted_pending(struct weir__link link)
{
    assert_ptr_equal(link.state, &run);
    assert_false(run.transport_closed);
    run.calls[PENDING]++;
    if (run.rule.function == PENDING && run.rule.result && run.calls[PENDING] == run.rule.at) {
        run.hit = 1;
        return 1;
    }
    return run.hoard_end - run.hoard_begin;
}

static void scripted_close(struct weir__link link)
{
    assert_false(run.transport_closed);
    run.transport_closed = 1;
    weir__transport_tcp.close(link);
}

static void *scripted_open(struct weir__transport_context *context, int fd)
{
    assert_ptr_equal(context, &run.context);
    assert_true(fd >= 0);
    run.transport_opened++;
    return &run;
}

static void free_context(struct weir__transport_context *context)
{
    assert_ptr_equal(context, &run.context);
    run.context_freed++;
}

static const struct weir__transport transports[] = {
    [PLAIN] = { "plain", true, NULL, NULL, scripted_read, scripted_write, NULL, scripted_finish, scripted_close },
    [HANDSHAKING] = { "handshaking", false, scripted_open, scripted_handshake, scripted_read, scripted_write, NULL,
                      scripted_finish, scripted_close },
    [HOARDING] = { "hoarding", false, scripted_open, scripted_handshake, scripted_read, scripted_write,
                   scripted_pending, scripted_finish, scripted_close },
};

/* ---- The server ---- */

static void answer(struct weir_conn *conn, struct weir_bytes message)
{
    const int result = weir_conn_send(conn, message);

    if (result < 0) fail_msg("%s: send: %s", run.name, weir_strerror(result));
    if (result == 1 && !run.was_high) {
        run.was_high = 1;
        event_active(run.client.writable, EV_WRITE, 0);
    }
}

static void pay(struct weir_conn *conn, void *arg)
{
    char *owed = run.owed;

    (void)arg;
    if (!conn) return;
    assert_int_equal(run.closed, 0);
    while (*owed != '\0') {
        char *end = strchr(owed, '\n');

        answer(conn, (struct weir_bytes){ (const unsigned char *)owed, (size_t)(end - owed) });
        owed = end + 1;
    }
    run.owed[0] = '\0';
    while (weir__conn_fd(conn) >= 0 && conn->holds > 0)
        weir_conn_release(conn);
}

static void go_on(struct weir_conn *conn, void *arg)
{
    (void)arg;
    if (conn) weir_conn_resume(conn, 0);
}

static void pay_later(struct weir_timer *timer, void *arg)
{
    (void)timer;
    (void)arg;
    assert_int_equal(weir_post_conn(run.weir, 1, pay, NULL), 0);
}

static void go_on_later(struct weir_timer *timer, void *arg)
{
    (void)timer;
    (void)arg;
    assert_int_equal(weir_post_conn(run.weir, 1, go_on, NULL), 0);
}

static void owe(struct weir_conn *conn, struct weir_bytes message)
{
    const size_t len = strlen(run.owed);

    weir_conn_hold(conn);
    snprintf(run.owed + len, sizeof(run.owed) - len, "%.*s\n", (int)message.len, (const char *)message.data);
    if (len == 0) assert_int_equal(weir_timer_start(run.weir, 0, 1, 0, pay_later, NULL, NULL), 0);
}

static void answer_big(struct weir_conn *conn, int count)
{
    static unsigned char big[BIG_LEN - 1];

    memset(big, 'b', sizeof(big));
    while (count-- > 0)
        answer(conn, (struct weir_bytes){ big, sizeof(big) });
}

static void on_open(struct weir_conn *conn, void *user)
{
    const int small = 4096;

    (void)user;
    assert_int_equal(++run.opened, 1);
    assert_int_equal(run.closed, 0);
    assert_int_equal(weir_conn_id(conn), 1);
    if (run.scenario->blocks) setsockopt(weir__conn_fd(conn), SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
}

static void obey(struct weir_conn *conn, struct weir_bytes message)
{
    switch (*message.data) {
    case 'e': /* echo */
        answer(conn, message);
        break;
    case 'h': /* owe it for a while */
        owe(conn, message);
        break;
    case 'H': /* hold, and answer at once */
        answer(conn, message);
        weir_conn_hold(conn);
        assert_int_equal(weir_timer_start(run.weir, 0, 1, 0, pay_later, NULL, NULL), 0);
        break;
    case 'F':
        weir_conn_end(conn);
        break;
    case 'p':
        answer(conn, message);
        weir_conn_pause(conn, 0);
        assert_int_equal(weir_timer_start(run.weir, 0, 1, 0, go_on_later, NULL, NULL), 0);
        break;
    case 'b':
        answer_big(conn, 1);
        break;
    case 'c':
        answer(conn, message);
        weir_conn_close(conn);
        break;
    case 'E':
        answer(conn, message);
        weir_conn_end(conn);
        break;
    case 'S':
        answer(conn, message);
        weir_stop(run.weir, 60000);
        break;
    case 'K': /* more than is gathered before it leaves */
        answer_big(conn, 9);
        weir_conn_abort(conn, WEIR_REASON_NONE);
        break;
    default: /* ignore */
        break;
    }
}

static void on_message(struct weir_conn *conn, struct weir_bytes message, void *user)
{
    (void)user;
    assert_int_equal(run.opened, 1);
    assert_int_equal(run.ended, 0);
    assert_int_equal(run.closed, 0);
    weir_conn_message(conn, &run.last);
    while (message.len > 0 && *message.data == '#') { /* nudges */
        message.data++;
        message.len--;
    }
    if (message.len == 0 || run.last.flags & WEIR_MESSAGE_UNFINISHED) return;
    obey(conn, message);
}

static void obey_lines(struct weir_conn *conn, const char *lines)
{
    for (const char *end; *lines != '\0' && run.closed == 0; lines = end + 1) {
        end = strchr(lines, '\n');
        obey(conn, (struct weir_bytes){ (const unsigned char *)lines, (size_t)(end - lines) });
    }
}

static void do_later(struct weir_conn *conn, void *arg)
{
    (void)arg;
    if (conn && conn->state != WEIR__CLOSED) obey_lines(conn, run.scenario->later);
}

static void post_later(struct weir_timer *timer, void *arg)
{
    (void)timer;
    (void)arg;
    assert_int_equal(weir_post_conn(run.weir, 1, do_later, NULL), 0);
}

/* It comes once, last of what comes in, and as a message would: not into a pause, nor onto a full output. */
static void on_end(struct weir_conn *conn, void *user)
{
    (void)user;
    assert_int_equal(run.opened, 1);
    assert_int_equal(run.closed, 0);
    assert_int_equal(++run.ended, 1);
    assert_int_equal(conn->state, WEIR__OPEN);
    assert_false(conn->pauses);
    assert_false(weir__conn_output_stops_input(conn));
    obey_lines(conn, run.scenario->at_end);
    if (run.scenario->later[0] != '\0' && !run.scenario->blocks)
        assert_int_equal(weir_timer_start(run.weir, 0, 1, 0, post_later, NULL, NULL), 0);
}

static void on_writable(struct weir_conn *conn, void *user)
{
    struct weir_conn_counters counters;

    (void)user;
    assert_int_equal(run.closed, 0);
    weir_conn_counters(conn, &counters);
    assert_in_range(counters.output_bytes, 0, HIGH_MARK / 2);
    if (run.writables++ == 0 && run.ended != 0) obey_lines(conn, run.scenario->later);
}

static void on_close(struct weir_conn *conn, enum weir_reason reason, void *user)
{
    (void)user;
    assert_int_equal(run.opened, 1);
    assert_int_equal(++run.closed, 1);
    assert_true(run.transport_closed);
    assert_int_equal(weir_conn_send(conn, (struct weir_bytes){ NULL, 0 }), WEIR_ECLOSING);
    run.reason = reason;
    run.error = weir_conn_error(conn);
    check_end();
}

/* ---- The client ---- */

static void client_close(void)
{
    if (run.client.fd < 0) return;
    event_free(run.client.readable);
    close(run.client.fd);
    run.client.fd = -1;
    check_end();
}

/* When both sides are through, the engine has nothing left to do. */
static void check_end(void)
{
    if (run.client.fd < 0 && run.closed == run.opened) weir_stop(run.weir, 60000);
}

static void client_read(void)
{
    struct client *client = &run.client;

    while (client->reads && !client->saw_end) {
        unsigned char bytes[4096];
        const ssize_t n = recv(client->fd, bytes, sizeof(bytes), 0);

        if (n < 0 && errno == EAGAIN) return;
        client->saw_end = n <= 0; /* a reset is an end too */
        for (ssize_t i = 0; i < n; i++) {
            assert_true(client->received_len < STREAM_MAX);
            if (bytes[i] != '#') client->received[client->received_len++] = bytes[i];
        }
    }
}

static int client_send(const struct step *step)
{
    struct client *client = &run.client;
    const size_t len = strlen(step->text);

    while (client->step_sent < len) {
        const ssize_t n = send(client->fd, step->text + client->step_sent, len - client->step_sent, MSG_NOSIGNAL);

        if (n < 0 && errno == EAGAIN) return 0;
        if (n < 0) return 1; /* reading will tell how it ended */
        client->step_sent += (size_t)n;
    }
    client->step_sent = 0;
    return 1;
}

/* Not 0: done; 0: it has to wait. */
static int client_take(const struct step *step)
{
    struct client *client = &run.client;

    switch (step->kind) {
    case SEND:
        return client_send(step);
    case EXPECT:
        return client->received_len >= step->len;
    case READ_OFF:
        client->reads = 0;
        return 1;
    case UNTIL_HIGH:
        return run.was_high || client->reads; /* whoever is nudged reads */
    case READ_ON:
        client->reads = 1;
        return 1;
    case FIN:
        shutdown(client->fd, SHUT_WR);
        client->fin_sent = 1;
        return 1;
    case UNTIL_END:
        return client->saw_end;
    case LEAVE:
        client->saw_end = 1;
        return 1;
    case DONE:
        break;
    }
    return 0;
}

static void client_go_on(void)
{
    struct client *client = &run.client;
    const struct step *end = run.scenario->steps + STEPS_MAX;
    int writes = 0;

    if (client->fd < 0) return;
    client_read();
    while (client->step < end && client->step->kind != DONE && client_take(client->step)) {
        client->step++;
        client_read();
    }
    if (client->saw_end && (client->step == end || client->step->kind != SEND)) {
        client_close();
        return;
    }
    writes = client->step < end && client->step->kind == SEND;
    if (client->reads && !client->saw_end) {
        event_add(client->readable, NULL);
    } else {
        event_del(client->readable);
    }
    if (writes) event_add(client->writable, NULL);
}

static void on_client_event(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
    client_go_on();
}

static int connect_client(void)
{
    char address[WEIR_ADDRESS_BYTES_MAX];
    struct weir_url url;
    struct sockaddr_storage storage;
    socklen_t len;
    int fd;

    assert_int_equal(weir_listener_address(run.listener, 0, address), 0);
    assert_int_equal(weir_url_parse(address, &url, NULL, 0), 0);
    memset(&storage, 0, sizeof(storage));
    if (url.kind == WEIR_URL_UNIX) {
        struct sockaddr_un name = { .sun_family = AF_UNIX };
        memcpy(name.sun_path, url.path, sizeof(name.sun_path));
        memcpy(&storage, &name, len = sizeof(name));
    } else {
        struct weir__address resolved;
        unsigned count = 0;
        int error = 0;
        assert_int_equal(weir__url_resolve(&url, false, &resolved, 1, &count, &error), 0);
        memcpy(&storage, &resolved.addr, len = resolved.len);
    }
    fd = socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&storage, len), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static void start_client(void)
{
    struct client *client = &run.client;
    struct event_base *base = weir_worker_base(run.weir, 0);

    client->fd = connect_client();
    client->readable = event_new(base, client->fd, EV_READ | EV_PERSIST, on_client_event, NULL);
    client->writable = event_new(base, client->fd, EV_WRITE, on_client_event, NULL);
    client->step = run.scenario->steps;
    client->reads = 1;
    client_go_on();
}

/* ---- One run ---- */

static char folder[] = "/tmp/weir-transport-XXXXXX";
static const char unix_url[] = "unix"; /* stands for a path of its own for each run */
static const char tcp_url[] = "tcp://127.0.0.1:0";

static void on_patience_lost(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
    fail_msg("%s: hangs; opened %u, closed %u, %zu bytes came, client at step %d", run.name, run.opened, run.closed,
             run.client.received_len, (int)(run.client.step - run.scenario->steps));
}

static enum weir_reason reason_of(const struct result *result)
{
    switch (result->error) {
    case ECONNRESET:
    case EPIPE:
    case ENOTCONN:
        return WEIR_REASON_RESET;
    case ETIMEDOUT:
        return WEIR_REASON_LOST;
    case ENOMEM:
        return WEIR_REASON_MEMORY;
    default:
        return WEIR_REASON_FAILED;
    }
}

static int breaks(const struct rule *rule)
{
    return rule->result && rule->function != PENDING &&
           (rule->result->io == WEIR__IO_END || rule->result->io == WEIR__IO_TRUNCATED ||
            rule->result->io == WEIR__IO_ERROR);
}

/* The reason must be the scenario's own, unless the connection was broken while there was still something to lose. */
static void check_reason(void)
{
    const struct result *result = run.rule.result;
    enum weir_reason expected = run.scenario->reason;
    int error = 0;

    if (run.hit && breaks(&run.rule) && run.hit_state != WEIR__LINGERING &&
        !(run.rule.function == FINISH && run.hit_state == WEIR__DRAINING)) {
        expected = result->io == WEIR__IO_ERROR ? reason_of(result) : WEIR_REASON_RESET;
        error = result->io == WEIR__IO_ERROR ? result->error : ECONNRESET;
        if (result->io == WEIR__IO_END && run.rule.function == READ) {
            expected = run.scenario->at_end ? run.scenario->reason : WEIR_REASON_PEER_CLOSED;
            error = 0;
        }
    }
    if (run.reason != expected)
        fail_msg("%s: closed with \"%s\" and not \"%s\"", run.name, weir_reason_text(run.reason),
                 weir_reason_text(expected));
    if (run.hit_state == WEIR__DRAINING && run.rule.function == FINISH) return; /* told or not: it was the end */
    if (run.error != error) fail_msg("%s: error %d and not %d", run.name, run.error, error);
}

static void check_stream(void)
{
    static unsigned char expected[STREAM_MAX];
    size_t len = BIG_LEN * BIG_COUNT;

    if (!run.scenario->answers) {
        memset(expected, 'b', len);
        for (size_t i = BIG_LEN - 1; i < len; i += BIG_LEN)
            expected[i] = '\n';
    } else {
        len = strlen(run.scenario->answers);
        memcpy(expected, run.scenario->answers, len);
    }
    if (!run.scenario->loses && !(run.hit && breaks(&run.rule)) && run.client.received_len != len)
        fail_msg("%s: %zu bytes came back and not %zu", run.name, run.client.received_len, len);
    if (run.client.received_len <= len && memcmp(run.client.received, expected, run.client.received_len) == 0) return;
    /* An end that comes too early is answered as any: only what was not read is missing. */
    if (run.scenario->at_end && run.hit && run.rule.function == READ && run.rule.result->io == WEIR__IO_END) return;
    if (run.scenario->loses && run.client.received_len > len) return;
    fail_msg("%s: other bytes came back: %.*s", run.name, (int)run.client.received_len, (char *)run.client.received);
}

/* All is given back but for what the worker keeps for the next connection. */
static void check_nothing_is_left(void)
{
    const struct weir__worker *worker = run.weir->workers[0];
    struct weir_counters counters = { .size = sizeof(counters) };
    uint64_t spare = 0;

    for (const struct weir__chunk *chunk = worker->spare_chunks; chunk; chunk = chunk->next)
        spare += sizeof(*chunk) + chunk->room;
    weir_counters(run.weir, &counters);
    assert_int_equal(counters.memory_bytes, spare);
    assert_int_equal(counters.clients, 0);
    assert_int_equal(counters.accepted, 1);
    assert_int_equal(worker->conns.count, 0);
    assert_int_equal(worker->runnable_count, 0);
    assert_int_equal(worker->dirty_count, 0);
    assert_true(TAILQ_EMPTY(&worker->held));
    assert_int_equal(worker->gather_lent, 0);
    for (unsigned i = 0; i < WEIR__TIMEOUT_SLOTS / 64; i++)
        assert_int_equal(worker->timeouts.taken[i], 0);
}

static void check_outcome(int result)
{
    if (result != 0) fail_msg("%s: %s", run.name, weir_error_text(run.weir));
    assert_true(run.transport_closed);
    assert_int_equal(run.closed, run.opened);
    if (run.hit && breaks(&run.rule) && run.hit_state == WEIR__ARRIVING) {
        assert_int_equal(run.opened, 0);
    } else {
        assert_int_equal(run.opened, 1);
        check_reason();
    }
    check_stream();
    if (run.scenario->at_end && !(run.hit && breaks(&run.rule))) assert_int_equal(run.ended, 1);
    if (run.was_high && !run.hit && !run.scenario->loses) assert_true(run.writables > 0);
    check_nothing_is_left();
}

static void describe(void)
{
    const struct rule *rule = &run.rule;

    snprintf(run.name, sizeof(run.name), "%s, %s, %.4s", run.scenario->name, kind_names[run.kind], run.url);
    if (rule->result)
        snprintf(run.name + strlen(run.name), sizeof(run.name) - strlen(run.name), ", %s %u times at %s number %u",
                 rule->result->name, rule->times, function_names[rule->function], rule->at);
}

/* Returns whether the rule was asked for. */
static int live(const struct scenario *scenario, enum kind kind, const char *url, const struct rule *rule,
                size_t hoard_piece)
{
    const struct weir_service service =
        WEIR_SERVICE(.frame = "line", .on_open = on_open, .on_message = on_message, .on_writable = on_writable,
                     .on_end = scenario->at_end ? on_end : NULL, .on_close = on_close, .message_bytes_max = 2 * BIG_LEN,
                     .output_bytes_max = HIGH_MARK, .wake_bytes_max = 8, .wake_messages_max = 2,
                     .drain_timeout_ms = 60000, .linger_timeout_ms = 60000);
    const struct timeval patience = { .tv_sec = PATIENCE_S };
    static unsigned runs;
    char path[64];
    struct event *deadline;
    int result;

    memset(&run, 0, sizeof(run));
    run.scenario = scenario;
    run.kind = kind;
    run.url = url;
    run.hoard_piece = hoard_piece;
    if (rule) run.rule = *rule;
    describe();
    assert_int_equal(weir_new(NULL, &run.weir), 0);
    snprintf(path, sizeof(path), "unix:%s/%u", folder, ++runs);
    if (weir_listen(run.weir, url == unix_url ? path : url, &service, &run.listener) != 0)
        fail_msg("%s", weir_error_text(run.weir));
    run.context = (struct weir__transport_context){ .free = free_context };
    weir__listener_set_transport(run.listener, &transports[kind], &run.context);
    deadline = evtimer_new(weir_worker_base(run.weir, 0), on_patience_lost, NULL);
    evtimer_add(deadline, &patience);
    start_client();
    result = weir_run(run.weir);
    client_read(); /* a stop does not wait for the client to have read */
    client_close();
    check_outcome(result);
    event_free(deadline);
    event_free(run.client.writable);
    weir_free(run.weir);
    assert_int_equal(run.context_freed, 1); /* with the listener's service, and not before its connection's end */
    assert_int_equal(run.transport_opened, kind == PLAIN ? 0 : 1);
    return run.hit;
}

/* ---- The tests ---- */

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder)) return -1;
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder); /* and every run has removed its socket */
}

static void lives_without_faults(void **state)
{
    (void)state;
    for (int i = 0; i < SCENARIOS_COUNT; i++) {
        for (int kind = PLAIN; kind <= HOARDING; kind++) {
            live(&scenarios[i], (enum kind)kind, unix_url, NULL, 5);
            live(&scenarios[i], (enum kind)kind, tcp_url, NULL, HOARD_MAX);
        }
    }
}

/* What the socket no longer knows of is nobody's but ours to remember: no event will come for it. */
static void bytes_that_the_transport_holds_are_delivered(void **state)
{
    static const size_t pieces[] = { 1, 2, 3, 4, 7, 64, 65, HOARD_MAX };

    (void)state;
    for (int i = 0; i < SCENARIOS_COUNT; i++) {
        for (size_t k = 0; k < sizeof(pieces) / sizeof(pieces[0]); k++)
            live(&scenarios[i], HOARDING, unix_url, NULL, pieces[k]);
    }
}

static void always_short(void **state)
{
    static const struct result one = { "one byte", WEIR__IO_BYTES, 0, 1 }, some = { "some", WEIR__IO_BYTES, 0, 1009 };

    (void)state;
    for (int i = 0; i < SCENARIOS_COUNT; i++) {
        for (int kind = PLAIN; kind <= HOARDING; kind++) {
            const struct rule reads = { READ, 1, 1 << 30, &one };
            const struct rule writes = { WRITE, 1, 1 << 30, scenarios[i].answers ? &one : &some };
            live(&scenarios[i], (enum kind)kind, unix_url, &reads, 100);
            live(&scenarios[i], (enum kind)kind, tcp_url, &writes, 100);
        }
    }
}

static const struct result harmless[] = {
    { "one byte", WEIR__IO_BYTES, 0, 1 },
    { "again when readable", WEIR__IO_AGAIN_READ, 0, 0 },
    { "again when writable", WEIR__IO_AGAIN_WRITE, 0, 0 },
};

static const struct result harmful[] = {
    { "the end", WEIR__IO_END, 0, 0 },
    { "truncated", WEIR__IO_TRUNCATED, 0, 0 },
    { "ECONNRESET", WEIR__IO_ERROR, ECONNRESET, 0 },
    { "EPIPE", WEIR__IO_ERROR, EPIPE, 0 },
    { "ETIMEDOUT", WEIR__IO_ERROR, ETIMEDOUT, 0 },
    { "ENOTCONN", WEIR__IO_ERROR, ENOTCONN, 0 }, /* what shutdown(2) says after a reset */
    { "ENOMEM", WEIR__IO_ERROR, ENOMEM, 0 },
};

enum {
    HARMLESS_COUNT = sizeof(harmless) / sizeof(harmless[0]),
    HARMFUL_COUNT = sizeof(harmful) / sizeof(harmful[0]),
    CALLS_MAX = 500
};

/* The result at call number 1, 2, 3 ..., until a run has not so many calls. */
static void sweep(const struct scenario *scenario, enum kind kind, const char *url, enum function function,
                  const struct result *result, unsigned times)
{
    struct rule rule = { .function = function, .times = times, .result = result };

    for (rule.at = 1; live(scenario, kind, url, &rule, 6); rule.at++)
        assert_true(rule.at < CALLS_MAX);
}

static int has(enum kind kind, enum function function)
{
    return (function != HANDSHAKE || kind != PLAIN) && (function != PENDING || kind == HOARDING);
}

static void sweep_all(const struct result *results, size_t count, const char *url, unsigned times)
{
    for (int i = 0; i < SCENARIOS_COUNT; i++) {
        for (int kind = PLAIN; kind <= HOARDING; kind++) {
            for (int function = HANDSHAKE; function < PENDING; function++) {
                for (size_t k = 0; k < count && has((enum kind)kind, (enum function)function); k++)
                    sweep(&scenarios[i], (enum kind)kind, url, (enum function)function, &results[k], times);
            }
        }
    }
}

static void every_again_and_short_result_at_every_call(void **state)
{
    (void)state;
    sweep_all(harmless, HARMLESS_COUNT, unix_url, 1);
}

static void every_again_and_short_result_three_times_in_a_row(void **state)
{
    (void)state;
    sweep_all(harmless, HARMLESS_COUNT, unix_url, 3);
}

static void every_failure_at_every_call(void **state)
{
    (void)state;
    sweep_all(harmful, HARMFUL_COUNT, unix_url, 1);
}

/* TCP sockets end otherwise than unix ones: with resets, and with FINs on their way. */
static void every_failure_over_tcp(void **state)
{
    (void)state;
    for (int i = 0; i < SCENARIOS_COUNT; i++) {
        for (int function = READ; function <= FINISH; function++)
            sweep(&scenarios[i], PLAIN, tcp_url, (enum function)function, &harmful[i % 3], 1);
    }
}

/* A unix socket tells that there is nobody left to send to. */
static void client_that_has_gone_altogether_is_noticed(void **state)
{
    static const struct scenario gone = { "gone at once",
                                          0,
                                          { { SEND, "e 1\n", 0 }, { EXPECT, NULL, 4 }, { LEAVE, NULL, 0 } },
                                          "e 1\n",
                                          WEIR_REASON_PEER_CLOSED,
                                          0,
                                          "",
                                          "" };
    static const struct scenario gone_later = {
        "gone later",
        0,
        { { SEND, "i 1\n", 0 }, { FIN, NULL, 0 }, { EXPECT, NULL, 4 }, { LEAVE, NULL, 0 } },
        "e 2\n",
        WEIR_REASON_PEER_CLOSED,
        0,
        "",
        "e 2\n"
    };

    (void)state;
    for (int kind = PLAIN; kind <= HOARDING; kind++) {
        live(&gone, (enum kind)kind, unix_url, NULL, HOARD_MAX);
        live(&gone_later, (enum kind)kind, unix_url, NULL, HOARD_MAX);
    }
}

static void pending_that_lies_once(void **state)
{
    (void)state;
    for (int i = 0; i < SCENARIOS_COUNT; i++)
        sweep(&scenarios[i], HOARDING, unix_url, PENDING, &harmless[0], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lives_without_faults),
        cmocka_unit_test(bytes_that_the_transport_holds_are_delivered),
        cmocka_unit_test(always_short),
        cmocka_unit_test(every_again_and_short_result_at_every_call),
        cmocka_unit_test(every_again_and_short_result_three_times_in_a_row),
        cmocka_unit_test(every_failure_at_every_call),
        cmocka_unit_test(every_failure_over_tcp),
        cmocka_unit_test(client_that_has_gone_altogether_is_noticed),
        cmocka_unit_test(pending_that_lies_once),
    };

    return cmocka_run_group_tests_name("transport", tests, make_folder, remove_folder);
}

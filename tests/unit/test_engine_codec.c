/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A codec of the caller's own in the engine: its state lives with the connection, it may change and drop bytes in
 * place, what it refuses to encode is not sent. And one that lies, in every way there is, costs its connection and
 * nothing else. What is told of each message, and what is counted, is checked here too. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
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

#include <weir/weir.h>

#include "conn/conn.h"
#include "engine/listener.h"
#include "net/transport/transport.h"

enum { CLIENTS_MAX = 3, MESSAGES_MAX = 4096, PATIENCE_MS = 20000, STREAM_MAX = 4 << 20 };

/* ---- A server for one exchange ---- */

/* What one client sends, on a thread of its own, and what comes back to it. */
struct client {
    struct weir_bytes sends;
    int stays; /* does not end its side */
    unsigned char *received;
    size_t received_len;
    int fd;
    const char *complaint;
    pthread_t thread;
};

static struct exchange {
    struct weir *weir;
    unsigned clients_count;
    struct client clients[CLIENTS_MAX];
    int echoes;

    unsigned closed;
    enum weir_reason reason; /* of the last */
    uint64_t left_over;
    struct weir_message_info infos[MESSAGES_MAX];
    size_t lens[MESSAGES_MAX];
    size_t messages_count;
    struct weir_counters counters;
} now;

static char folder[] = "/tmp/weir-codec-XXXXXX";
static size_t read_room; /* what one read may bring at most */

static enum weir__io short_read(struct weir__link link, unsigned char *ret, size_t room, size_t *ret_len,
                                int *ret_error)
{
    return weir__transport_tcp.read(link, ret, room < read_room ? room : read_room, ret_len, ret_error);
}

static void on_message(struct weir_conn *conn, struct weir_bytes message, void *user)
{
    (void)user;
    assert_true(now.messages_count < MESSAGES_MAX);
    weir_conn_message(conn, &now.infos[now.messages_count]);
    now.lens[now.messages_count++] = message.len;
    if (now.echoes) assert_in_range(weir_conn_send(conn, message), 0, 1);
}

static void on_close(struct weir_conn *conn, enum weir_reason reason, void *user)
{
    struct weir_conn_counters counters;

    (void)user;
    weir_conn_counters(conn, &counters);
    now.left_over = counters.input_bytes;
    now.reason = reason;
    if (++now.closed == now.clients_count) weir_stop(now.weir, PATIENCE_MS);
}

/* Sends and receives at once, because neither end takes everything without the other. */
static const char *talk(struct client *client)
{
    size_t sent = 0;

    for (;;) {
        struct pollfd waits = { .fd = client->fd, .events = POLLIN };
        ssize_t n;

        if (sent < client->sends.len) waits.events = POLLIN | POLLOUT;
        if (poll(&waits, 1, PATIENCE_MS) != 1) return "the server fell silent";
        if (waits.revents & POLLIN) {
            n = recv(client->fd, client->received + client->received_len, STREAM_MAX - client->received_len,
                     MSG_DONTWAIT);
            if (n == 0 || (n < 0 && errno != EAGAIN)) return NULL;
            if (n > 0) client->received_len += (size_t)n;
        } else if (waits.revents & (POLLHUP | POLLERR)) {
            return NULL;
        }
        if (sent == client->sends.len) continue;
        n = send(client->fd, client->sends.data + sent, client->sends.len - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0) sent += (size_t)n;
        if (n < 0 && errno != EAGAIN) sent = client->sends.len;
        if (sent == client->sends.len && !client->stays) shutdown(client->fd, SHUT_WR);
    }
}

static void *client_thread(void *arg)
{
    struct client *client = arg;

    client->complaint = talk(client);
    close(client->fd);
    return NULL;
}

static void start_client(struct client *client, const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    client->received = malloc(STREAM_MAX);
    client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_non_null(client->received);
    assert_int_equal(connect(client->fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    if (client->sends.len == 0) shutdown(client->fd, SHUT_WR);
    assert_int_equal(pthread_create(&client->thread, NULL, client_thread, client), 0);
}

/* Begins an exchange: now is empty but for what the test fills in before `run`. */
static void begin(void)
{
    memset(&now, 0, sizeof(now));
    read_room = SIZE_MAX;
}

static void add_client(const void *bytes, size_t len)
{
    now.clients[now.clients_count++].sends = (struct weir_bytes){ bytes, len };
}

static void run(const struct weir_config *config, struct weir_service service)
{
    struct weir__transport transport = weir__transport_tcp;
    struct weir_listener *listener = NULL;
    char url[64];

    transport.read = short_read;
    if (!service.on_close) service.on_close = on_close;
    if (!service.on_message) service.on_message = on_message;
    snprintf(url, sizeof(url), "unix:%s/socket", folder);
    assert_int_equal(weir_new(config, &now.weir), 0);
    if (weir_listen(now.weir, url, &service, &listener) != 0) fail_msg("%s", weir_error_text(now.weir));
    weir__listener_set_transport(listener, &transport, NULL);
    for (unsigned i = 0; i < now.clients_count; i++)
        start_client(&now.clients[i], url + sizeof("unix:") - 1);
    if (weir_run(now.weir) != 0) fail_msg("%s", weir_error_text(now.weir));
    now.counters.size = sizeof(now.counters);
    weir_counters(now.weir, &now.counters);
    weir_free(now.weir);
    for (unsigned i = 0; i < now.clients_count; i++) {
        pthread_join(now.clients[i].thread, NULL);
        if (now.clients[i].complaint) fail_msg("%s", now.clients[i].complaint);
    }
    assert_int_equal(now.closed, now.clients_count);
}

static void end(void)
{
    for (unsigned i = 0; i < now.clients_count; i++)
        free(now.clients[i].received);
}

static void check_received(unsigned client, const void *expected, size_t len)
{
    assert_int_equal(now.clients[client].received_len, len);
    if (len > 0) assert_memory_equal(now.clients[client].received, expected, len);
}

/* ---- Three bytes a message, and a state with a memory ---- */

/* Each byte of a stream must be one more than the last: a state that is another's, or was not zeroed, or did not last,
 * is found out. Leaves as "<abc>". */
struct triples_state {
    uint64_t messages;
    unsigned char history[56];
};

static enum weir_decoded decode_triples(const void *config, void *memory, struct weir_decode *decode)
{
    struct triples_state *state = memory;

    assert_string_equal(config, "triples");
    if (decode->len < 3) return WEIR_DECODED_MORE;
    for (int i = 0; i < 3; i++) {
        const unsigned char last = state->history[sizeof(state->history) - 1];

        if (state->messages > 0 && decode->bytes[i] != (unsigned char)(last + 1)) return WEIR_DECODED_MALFORMED;
        if (state->messages == 0) {
            for (size_t k = 0; i == 0 && k < sizeof(state->history); k++)
                assert_int_equal(state->history[k], 0);
        }
        memmove(state->history, state->history + 1, sizeof(state->history) - 1);
        state->history[sizeof(state->history) - 1] = decode->bytes[i];
    }
    state->messages++;
    decode->message = (struct weir_bytes){ decode->bytes, 3 };
    decode->original_len = 3;
    decode->consumed = 3;
    return WEIR_DECODED_MESSAGE;
}

static size_t two_more(const void *config, size_t len)
{
    assert_string_equal(config, "triples");
    return len + 2;
}

static ssize_t encode_in_brackets(const void *config, struct weir_bytes message, unsigned char *ret, size_t room)
{
    assert_string_equal(config, "triples");
    assert_true(room >= message.len + 2);
    ret[0] = '<';
    memcpy(ret + 1, message.data, message.len);
    ret[message.len + 1] = '>';
    return (ssize_t)message.len + 2;
}

static const struct weir_codec triples =
    WEIR_CODEC(.name = "triples", .state_bytes = sizeof(struct triples_state), .decode = decode_triples,
               .encoded_bytes_max = two_more, .encode = encode_in_brackets);

static void a_large_state_belongs_to_its_connection(void **state)
{
    static const size_t rooms[] = { 1, 2, 3, 4, 100, SIZE_MAX };
    enum { LEN = 900 };
    unsigned char streams[CLIENTS_MAX][LEN + 2], expected[LEN / 3 * 5];

    (void)state;
    for (size_t k = 0; k < sizeof(rooms) / sizeof(rooms[0]); k++) {
        begin();
        now.echoes = 1;
        read_room = rooms[k];
        for (unsigned i = 0; i < CLIENTS_MAX; i++) {
            for (unsigned j = 0; j < LEN + 2; j++)
                streams[i][j] = (unsigned char)(100 * i + j);
            add_client(streams[i], LEN + i);
        }
        run(NULL, (struct weir_service)WEIR_SERVICE(.codec = &triples, .codec_config = "triples",
                                                    .wake_messages_max = 1, .wake_bytes_max = 7));
        assert_int_equal(now.reason, WEIR_REASON_PEER_CLOSED);
        assert_int_equal(now.counters.closed[WEIR_REASON_PEER_CLOSED], CLIENTS_MAX);
        assert_in_range(now.left_over, 0, 2);
        for (unsigned i = 0; i < CLIENTS_MAX; i++) {
            for (unsigned j = 0; j < LEN / 3; j++)
                encode_in_brackets("triples", (struct weir_bytes){ streams[i] + 3 * j, 3 }, expected + 5 * j, 5);
            check_received(i, expected, sizeof(expected));
        }
        end();
    }
}

/* ---- Bytes changed and dropped in place ---- */

/* HDLC-like: 0x7e ends a message, 0x7d and a byte xor 0x20 stand for one. The state fits into 16 bytes. */
struct stuffed_state {
    uint64_t clean; /* bytes at the window's start that are unescaped already */
    uint32_t escaped;
};

static enum weir_decoded decode_stuffed(const void *config, void *memory, struct weir_decode *decode)
{
    struct stuffed_state *state = memory;
    size_t clean = (size_t)state->clean, i = clean;

    (void)config;
    for (; i < decode->len; i++) {
        unsigned char byte = decode->bytes[i];

        if (byte == 0x7e) {
            memset(state, 0, sizeof(*state));
            decode->message = (struct weir_bytes){ decode->bytes, clean };
            decode->original_len = clean;
            decode->consumed = i + 1;
            return WEIR_DECODED_MESSAGE;
        }
        if (byte == 0x7d && !state->escaped) {
            state->escaped = 1;
            continue;
        }
        if (state->escaped) byte ^= 0x20;
        state->escaped = 0;
        decode->bytes[clean++] = byte;
    }
    state->clean = clean;
    decode->dropped = decode->len - clean;
    return WEIR_DECODED_MORE;
}

static size_t twice_and_one(const void *config, size_t len)
{
    (void)config;
    return 2 * len + 1;
}

static ssize_t encode_stuffed(const void *config, struct weir_bytes message, unsigned char *ret, size_t room)
{
    size_t len = 0;

    (void)config;
    assert_true(room >= 2 * message.len + 1);
    for (size_t i = 0; i < message.len; i++) {
        if (message.data[i] == 0x7e || message.data[i] == 0x7d) {
            ret[len++] = 0x7d;
            ret[len++] = message.data[i] ^ 0x20;
        } else {
            ret[len++] = message.data[i];
        }
    }
    ret[len++] = 0x7e;
    return (ssize_t)len;
}

static const struct weir_codec stuffed =
    WEIR_CODEC(.name = "stuffed", .state_bytes = sizeof(struct stuffed_state), .decode = decode_stuffed,
               .encoded_bytes_max = twice_and_one, .encode = encode_stuffed);

/* Messages of 0 to 100,000 bytes, every other byte in need of an escape; the longest do not fit into what one read can
 * take in. */
static size_t make_stuffed_stream(unsigned char *ret)
{
    static const size_t lens[] = { 0, 1, 2, 3, 100, 255, 256, 257, 5000, 16384, 16385, 40000, 65536, 100000, 7 };
    static unsigned char message[100000];
    size_t len = 0;

    for (size_t i = 0; i < sizeof(message); i++)
        message[i] = i % 2 ? (unsigned char)(0x7d + i % 3 % 2) : (unsigned char)(i * 31);
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        const struct weir_bytes bytes = { message, lens[i] };
        len += (size_t)encode_stuffed(NULL, bytes, ret + len, 2 * lens[i] + 1);
    }
    return len;
}

static void bytes_may_be_changed_and_dropped_in_place(void **state)
{
    static const size_t rooms[] = { 3, 7, 255, 4096, 16384, 40001, SIZE_MAX };
    unsigned char *stream = malloc(STREAM_MAX);
    size_t len;

    (void)state;
    assert_non_null(stream);
    len = make_stuffed_stream(stream);
    for (size_t k = 0; k < sizeof(rooms) / sizeof(rooms[0]); k++) {
        begin();
        now.echoes = 1;
        read_room = rooms[k];
        add_client(stream, len);
        run(NULL, (struct weir_service)WEIR_SERVICE(.codec = &stuffed, .message_bytes_max = 100000));
        assert_int_equal(now.reason, WEIR_REASON_PEER_CLOSED);
        assert_int_equal(now.messages_count, 15);
        check_received(0, stream, len); /* which is what encode makes of the same messages */
        end();
    }
    free(stream);
}

/* ---- An encode that fails ---- */

static ssize_t encode_or_fail(const void *config, struct weir_bytes message, unsigned char *ret, size_t room)
{
    (void)config;
    if (message.len == 0) return 0; /* has no form on the wire */
    switch (message.data[0]) {
    case 'L':
        memset(ret, '!', room); /* what was written before failing must not leave */
        return -EMSGSIZE;
    case 'I':
        return -EINVAL;
    case 'R':
        return (ssize_t)room + 1; /* a lie */
    default:
        memcpy(ret, message.data, message.len);
        return (ssize_t)message.len;
    }
}

static size_t just_as_long(const void *config, size_t len)
{
    (void)config;
    return len;
}

static enum weir_decoded decode_byte(const void *config, void *memory, struct weir_decode *decode)
{
    (void)config;
    (void)memory;
    decode->message = (struct weir_bytes){ decode->bytes, 1 };
    decode->original_len = decode->consumed = 1;
    return WEIR_DECODED_MESSAGE;
}

static const struct weir_codec failing =
    WEIR_CODEC(.name = "failing", .decode = decode_byte, .encoded_bytes_max = just_as_long, .encode = encode_or_fail);

static struct weir_bytes text_bytes(const char *text)
{
    return (struct weir_bytes){ (const unsigned char *)text, strlen(text) };
}

static int send_text(struct weir_conn *conn, const char *text)
{
    return weir_conn_send(conn, text_bytes(text));
}

static void send_good_and_bad(struct weir_conn *conn, struct weir_bytes message, void *user)
{
    (void)message;
    (void)user;
    assert_int_equal(send_text(conn, "L first, while nothing waits"), -EMSGSIZE);
    assert_int_equal(send_text(conn, "one "), 0);
    assert_int_equal(send_text(conn, "L"), -EMSGSIZE);
    assert_int_equal(send_text(conn, "I"), -EINVAL);
    assert_int_equal(send_text(conn, "R"), -EINVAL);
    assert_int_equal(send_text(conn, ""), 0);
    assert_int_equal(send_text(conn, "two "), 0);
}

static void what_cannot_be_framed_is_not_sent(void **state)
{
    (void)state;
    begin();
    add_client("..", 2);
    run(NULL, (struct weir_service)WEIR_SERVICE(.codec = &failing, .on_message = send_good_and_bad));
    assert_int_equal(now.reason, WEIR_REASON_PEER_CLOSED);
    assert_int_equal(now.counters.messages_out, 4);
    check_received(0, "one two one two ", 16);
    end();
}

static unsigned dones;
static int done_result;
static uint64_t done_sent;

static void on_sent(int result, void *arg)
{
    (void)arg;
    dones++;
    done_result = result;
}

static void on_broadcast(uint64_t sent, void *user)
{
    (void)user;
    dones++;
    done_sent += sent;
}

static unsigned told;

static void on_one_sent(struct weir_conn *conn, void *user)
{
    assert_int_equal(weir_conn_id(conn), 1);
    assert_ptr_equal(user, &told);
    told++;
}

static void close_it(struct weir_conn *conn, void *arg)
{
    (void)arg;
    assert_non_null(conn); /* nothing before has closed it */
    weir_conn_close(conn);
}

static void send_and_broadcast(struct weir_conn *conn, struct weir_bytes message, void *user)
{
    const struct weir_filter filter = WEIR_FILTER(.done = on_broadcast, .user = &told, .sent = on_one_sent);
    const uint64_t id = weir_conn_id(conn);

    (void)message;
    (void)user;
    assert_int_equal(weir_send(now.weir, id, text_bytes("L"), on_sent, NULL), 0);
    assert_int_equal(weir_broadcast(now.weir, &filter, text_bytes("L")), 0);
    assert_int_equal(weir_broadcast(now.weir, &filter, text_bytes("good ")), 0);
    assert_int_equal(weir_broadcast(now.weir, &filter, text_bytes("I")), 0);
    assert_int_equal(weir_post_conn(now.weir, id, close_it, NULL), 0);
}

static void what_cannot_be_framed_closes_nobody(void **state)
{
    (void)state;
    begin();
    dones = 0;
    done_sent = 0;
    told = 0;
    add_client(".", 1);
    now.clients[0].stays = 1;
    run(NULL, (struct weir_service)WEIR_SERVICE(.codec = &failing, .on_message = send_and_broadcast));
    assert_int_equal(dones, 4);
    assert_int_equal(done_result, -EMSGSIZE);
    assert_int_equal(now.reason, WEIR_REASON_CLOSED);
    assert_int_equal(done_sent, 1); /* only the good one counts as sent */
    assert_int_equal(told, 1);
    check_received(0, "good ", 5);
    end();
}

/* ---- A decode that lies ---- */

struct lie {
    const char *name;
    enum weir_decoded result;
    size_t consumed, dropped;
    ptrdiff_t message_offset;
    size_t message_len;
    int only_at_end;
};

static const size_t too_many = SIZE_MAX / 2; /* stands for one more than the window has */

static const struct lie lies[] = {
    { "a message of nothing", WEIR_DECODED_MESSAGE, 0, 0, 0, 1, 0 },
    { "a message that takes more than there is", WEIR_DECODED_MESSAGE, SIZE_MAX / 2, 0, 0, 1, 0 },
    { "a message that takes everything in the world", WEIR_DECODED_MESSAGE, SIZE_MAX, 0, 0, 1, 0 },
    { "a message longer than the window", WEIR_DECODED_MESSAGE, 1, 0, 0, SIZE_MAX / 2, 0 },
    { "a message as long as the world", WEIR_DECODED_MESSAGE, 1, 0, 0, SIZE_MAX, 0 },
    { "a message before the window", WEIR_DECODED_MESSAGE, 1, 0, -1, 1, 0 },
    { "a message behind the window", WEIR_DECODED_MESSAGE, 1, 0, 1 << 20, 1, 0 },
    { "a message that begins inside and ends outside", WEIR_DECODED_MESSAGE, 1, 0, 1, SIZE_MAX - 8, 0 },
    { "a message at no address", WEIR_DECODED_MESSAGE, 1, 0, PTRDIFF_MIN, 1, 0 },
    { "nothing skipped", WEIR_DECODED_SKIPPED, 0, 0, 0, 0, 0 },
    { "more skipped than there is", WEIR_DECODED_SKIPPED, SIZE_MAX / 2, 0, 0, 0, 0 },
    { "more taken than there is", WEIR_DECODED_MORE, SIZE_MAX / 2, 0, 0, 0, 0 },
    { "more dropped than there is", WEIR_DECODED_MORE, 0, SIZE_MAX / 2, 0, 0, 0 },
    { "taken and dropped, together too much", WEIR_DECODED_MORE, 3, SIZE_MAX / 2, 0, 0, 0 },
    { "taken and dropped, together nothing", WEIR_DECODED_MORE, SIZE_MAX, 1, 0, 0, 0 },
    { "taken and dropped, together little", WEIR_DECODED_MORE, 3, SIZE_MAX - 1, 0, 0, 0 },
    { "an answer that does not exist", (enum weir_decoded)99, 1, 0, 0, 1, 0 },
    { "a message of nothing at the end", WEIR_DECODED_MESSAGE, 0, 0, 0, 1, 1 },
    { "a message too long at the end", WEIR_DECODED_MESSAGE, 1, 0, 0, SIZE_MAX / 2, 1 },
    { "too much at the end", WEIR_DECODED_MESSAGE, SIZE_MAX / 2, 0, 0, 1, 1 },
    { "nothing skipped at the end", WEIR_DECODED_SKIPPED, 0, 0, 0, 0, 1 },
    { "an answer that does not exist, at the end", (enum weir_decoded)99, 1, 0, 0, 1, 1 },
};

static unsigned lie_calls;

static enum weir_decoded decode_lying(const void *config, void *memory, struct weir_decode *decode)
{
    const struct lie *lie = config;

    (void)memory;
    if (++lie_calls > 100) fail_msg("%s: asked again and again", lie->name);
    if (lie->only_at_end && !decode->ended) return WEIR_DECODED_MORE;
    decode->consumed = lie->consumed == too_many ? decode->len + 1 : lie->consumed;
    decode->dropped = lie->dropped == too_many ? decode->len + 1 : lie->dropped;
    decode->message.len = lie->message_len == too_many ? decode->len + 1 : lie->message_len;
    if (lie->message_offset != PTRDIFF_MIN)
        decode->message.data = (const unsigned char *)((uintptr_t)decode->bytes + (uintptr_t)lie->message_offset);
    return lie->result;
}

static const struct weir_codec lying = WEIR_CODEC(.name = "lying", .decode = decode_lying);

static void a_decode_that_lies_costs_its_connection(void **state)
{
    static const size_t rooms[] = { 5, SIZE_MAX };

    (void)state;
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        for (size_t k = 0; k < sizeof(rooms) / sizeof(rooms[0]); k++) {
            begin();
            lie_calls = 0;
            read_room = rooms[k];
            add_client("ten bytes.", 10);
            run(NULL, (struct weir_service)WEIR_SERVICE(.codec = &lying, .codec_config = &lies[i]));
            if (now.reason != WEIR_REASON_MALFORMED) fail_msg("%s: %s", lies[i].name, weir_reason_text(now.reason));
            assert_int_equal(now.messages_count, 0);
            end();
        }
    }
}

/* It keeps all it gets and never makes a message of it: the bound on memory is there for this too. */
static enum weir_decoded decode_never(const void *config, void *memory, struct weir_decode *decode)
{
    (void)config;
    (void)memory;
    (void)decode;
    return WEIR_DECODED_MORE;
}

static void a_decode_that_only_wants_more_ends_at_the_memory_bound(void **state)
{
    static const struct weir_codec never = WEIR_CODEC(.name = "never", .decode = decode_never);
    const struct weir_config config = WEIR_CONFIG(.memory_bytes_max = 1 << 20);
    unsigned char *stream = calloc(1, STREAM_MAX);

    (void)state;
    assert_non_null(stream);
    begin();
    add_client(stream, STREAM_MAX);
    run(&config, (struct weir_service)WEIR_SERVICE(.codec = &never));
    assert_int_equal(now.reason, WEIR_REASON_MEMORY);
    /* The bound is looked at once a turn: what a turn reads, 256 KiB and as much as its last read brings, is on top. */
    assert_in_range(now.counters.bytes_in, 256 << 10, STREAM_MAX / 2);
    end();
    free(stream);
}

/* encoded_bytes_max that goes over the edge of a size_t must not come out as a small buffer. */
static size_t endless(const void *config, size_t len)
{
    (void)config;
    return len > 0 ? SIZE_MAX - 8 : 0;
}

static void send_the_endless(struct weir_conn *conn, struct weir_bytes message, void *user)
{
    const struct weir_filter filter = WEIR_FILTER(.done = on_broadcast);

    (void)user;
    assert_true(weir_conn_send(conn, message) < 0);
    assert_int_equal(weir_broadcast(now.weir, &filter, message), 0);
}

static ssize_t encode_too_far(const void *config, struct weir_bytes message, unsigned char *ret, size_t room)
{
    (void)config;
    (void)message;
    memset(ret, 0, room < 100000 ? room : 100000); /* there is room, it was told */
    return 1;
}

static void an_encode_without_bound_gets_no_buffer(void **state)
{
    static const struct weir_codec far =
        WEIR_CODEC(.name = "far", .decode = decode_byte, .encoded_bytes_max = endless, .encode = encode_too_far);

    (void)state;
    begin();
    dones = 0;
    done_sent = 0;
    add_client("x", 1);
    run(NULL, (struct weir_service)WEIR_SERVICE(.codec = &far, .on_message = send_the_endless));
    assert_int_equal(done_sent, 0);
    check_received(0, "", 0);
    end();
}

/* ---- What is told of a message ---- */

static void info_and_counters_skip(void **state)
{
    static const char stream[] = "a\nthis line is too long by far\nbc\nand this one as well\n\nlast";

    (void)state;
    for (size_t room = 1; room < sizeof(stream); room++) {
        begin();
        read_room = room;
        add_client(stream, sizeof(stream) - 1);
        run(NULL, (struct weir_service)WEIR_SERVICE(.frame = "line", .message_bytes_max = 10,
                                                    .too_long = WEIR_TOO_LONG_SKIP));
        assert_int_equal(now.reason, WEIR_REASON_PEER_CLOSED);
        assert_int_equal(now.counters.messages_in, 6);
        assert_int_equal(now.counters.messages_skipped, 2);
        assert_int_equal(now.counters.messages_truncated, 0);
        assert_int_equal(now.counters.bytes_in, sizeof(stream) - 1);
        assert_int_equal(now.messages_count, 4);
        for (size_t i = 0; i < 4; i++) {
            static const uint64_t seqs[] = { 1, 3, 5, 6 }, lens[] = { 1, 2, 0, 4 };

            assert_int_equal(now.infos[i].seq, seqs[i]);
            assert_int_equal(now.infos[i].original_len, lens[i]);
            assert_int_equal(now.lens[i], lens[i]);
            assert_int_equal(now.infos[i].flags, i == 3 ? WEIR_MESSAGE_UNFINISHED : 0);
        }
        assert_int_equal(now.left_over, 0);
        end();
    }
}

static void info_and_counters_truncate(void **state)
{
    static const char stream[] = "a\nthis line is too long by far\nbc\n";

    (void)state;
    for (size_t room = 1; room < sizeof(stream); room++) {
        begin();
        read_room = room;
        add_client(stream, sizeof(stream) - 1);
        run(NULL, (struct weir_service)WEIR_SERVICE(.frame = "line", .message_bytes_max = 10,
                                                    .too_long = WEIR_TOO_LONG_TRUNCATE));
        assert_int_equal(now.counters.messages_in, 3);
        assert_int_equal(now.counters.messages_skipped, 0);
        assert_int_equal(now.counters.messages_truncated, 1);
        assert_int_equal(now.messages_count, 3);
        assert_int_equal(now.infos[1].seq, 2);
        assert_int_equal(now.infos[1].original_len, 28);
        assert_int_equal(now.infos[1].flags, WEIR_MESSAGE_TRUNCATED);
        assert_int_equal(now.lens[1], 10);
        assert_int_equal(now.infos[2].seq, 3);
        assert_int_equal(now.infos[2].flags, 0);
        end();
    }
}

/* A codec's own SKIPPED counts as one of the engine's does. */
static enum weir_decoded decode_every_other(const void *config, void *memory, struct weir_decode *decode)
{
    const enum weir_decoded result = decode_byte(config, memory, decode);

    return decode->bytes[0] == '-' ? WEIR_DECODED_SKIPPED : result;
}

/* What weir_conn_unfinished says once all has come, in a callback about nobody and in on_close. */
static struct {
    size_t sent_bytes;
    unsigned char seen[2][256];
    size_t seen_len[2];
    struct weir_timer *timer;
} unfinished;

static void keep_unfinished(const struct weir_conn *conn, unsigned place)
{
    const struct weir_bytes bytes = weir_conn_unfinished(conn);

    assert_true(bytes.len <= sizeof(unfinished.seen[place]));
    if (bytes.len > 0) memcpy(unfinished.seen[place], bytes.data, bytes.len);
    unfinished.seen_len[place] = bytes.len;
}

static void look_at(struct weir_conn *conn, void *arg)
{
    struct weir_conn_counters counters;

    (void)arg;
    weir_conn_counters(conn, &counters);
    if (counters.bytes_in < unfinished.sent_bytes) return;
    keep_unfinished(conn, 0);
    weir_timer_stop(unfinished.timer);
    weir_conn_abort(conn, WEIR_REASON_KICKED);
}

static void look_at_all(struct weir_timer *timer, void *arg)
{
    (void)timer;
    (void)arg;
    weir_conn_each(now.weir, 0, look_at, NULL);
}

static void on_open_unfinished(struct weir_conn *conn, void *user)
{
    (void)user;
    assert_int_equal(weir_conn_unfinished(conn).len, 0);
    assert_int_equal(weir_timer_start(now.weir, 0, 1, 1, look_at_all, NULL, &unfinished.timer), 0);
}

static void on_message_unfinished(struct weir_conn *conn, struct weir_bytes message, void *user)
{
    on_message(conn, message, user);
    assert_int_equal(weir_conn_unfinished(conn).len, 0);
}

static void on_close_unfinished(struct weir_conn *conn, enum weir_reason reason, void *user)
{
    keep_unfinished(conn, 1);
    on_close(conn, reason, user);
}

static void the_message_in_progress_can_be_looked_at(void **state)
{
    static const struct {
        const char *frame, *sent;
        size_t sent_len;
        const char *left;
        size_t left_len, messages;
    } cases[] = {
        { "line", "one\ntwo\nthr", 11, "thr", 3, 2 },
        { "line", "one\n", 4, "", 0, 1 },
        { "line", "ends with\r", 10, "ends with\r", 10, 0 },
        { "delimiter:--", "one--two-", 9, "two-", 4, 1 },
        { "length:u16be", "\0\1a\0\5abc", 8, "\0\5abc", 5, 1 },
        { "length:u16be", "\0", 1, "\0", 1, 0 },
        { "fixed:4", "abcdef", 6, "ef", 2, 1 },
        { "netstring", "12:abc", 6, "12:abc", 6, 0 },
        { "between:\\x02,\\x03", "noise\2abc", 9, "\2abc", 4, 0 },
        { "between:\\x02,\\x03", "\2abc\3noise", 10, "", 0, 1 },
        /* What is unescaped in place moves forward; the escape of a byte that has not come stands where it will be. */
        { "slip", "\xc0one\xc0\xc0\xdb\xdc\xdb\xddxyz", 13, "\xc0\xdbxyz", 5, 1 },
        { "slip", "\xc0\xdb\xdcxyz\xdb", 7, "\xc0xyz\xdb", 5, 0 },
        { "raw", "all of it", 9, "", 0, 1 },
    };
    static const size_t rooms[] = { 1, 2, SIZE_MAX };

    (void)state;
    for (size_t k = 0; k < sizeof(cases) / sizeof(cases[0]) * 3; k++) {
        begin();
        read_room = rooms[k % 3];
        add_client(cases[k / 3].sent, cases[k / 3].sent_len);
        now.clients[0].stays = 1;
        unfinished.sent_bytes = cases[k / 3].sent_len;
        run(NULL,
            (struct weir_service)WEIR_SERVICE(.frame = cases[k / 3].frame, .on_open = on_open_unfinished,
                                              .on_message = on_message_unfinished, .on_close = on_close_unfinished));
        if (read_room == SIZE_MAX || strcmp(cases[k / 3].frame, "raw") != 0)
            assert_int_equal(now.messages_count, cases[k / 3].messages);
        for (unsigned place = 0; place < 2; place++) {
            assert_int_equal(unfinished.seen_len[place], cases[k / 3].left_len);
            if (cases[k / 3].left_len > 0)
                assert_memory_equal(unfinished.seen[place], cases[k / 3].left, cases[k / 3].left_len);
        }
        end();
    }
}

static void what_a_codec_skips_is_counted(void **state)
{
    static const struct weir_codec other = WEIR_CODEC(.name = "other", .decode = decode_every_other);

    (void)state;
    begin();
    now.echoes = 1;
    add_client("a--b-c-", 7);
    run(NULL, (struct weir_service)WEIR_SERVICE(.codec = &other, .wake_messages_max = 2));
    assert_int_equal(now.counters.messages_in, 7);
    assert_int_equal(now.counters.messages_skipped, 4);
    assert_int_equal(now.messages_count, 3);
    assert_int_equal(now.infos[1].seq, 4);
    assert_int_equal(now.infos[2].seq, 6);
    check_received(0, "abc", 3);
    end();
}

/* ---- A codec that cannot be taken ---- */

static void a_codec_is_checked_before_it_is_used(void **state)
{
    const struct weir_codec bad[] = {
        { .name = "no size", .decode = decode_byte },
        WEIR_CODEC(.name = "no decode"),
        WEIR_CODEC(.name = "no bound", .decode = decode_byte, .encode = encode_or_fail),
        WEIR_CODEC(.name = "a huge state", .decode = decode_byte, .state_bytes = 4097),
        WEIR_CODEC(.state_bytes = 4097, .decode = decode_byte), /* and no name */
    };
    struct weir *weir = NULL;

    (void)state;
    assert_int_equal(weir_new(NULL, &weir), 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const struct weir_service service = WEIR_SERVICE(.codec = &bad[i]);

        assert_int_equal(weir_listen(weir, "tcp://127.0.0.1:0", &service, NULL), WEIR_ECONFIG);
        assert_non_null(strstr(weir_error_text(weir), "codec"));
    }
    {
        const struct weir_service both = WEIR_SERVICE(.codec = &triples, .frame = "line");
        assert_int_equal(weir_listen(weir, "tcp://127.0.0.1:0", &both, NULL), WEIR_ECONFIG);
    }
    weir_free(weir);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_large_state_belongs_to_its_connection),
        cmocka_unit_test(bytes_may_be_changed_and_dropped_in_place),
        cmocka_unit_test(what_cannot_be_framed_is_not_sent),
        cmocka_unit_test(what_cannot_be_framed_closes_nobody),
        cmocka_unit_test(a_decode_that_lies_costs_its_connection),
        cmocka_unit_test(a_decode_that_only_wants_more_ends_at_the_memory_bound),
        cmocka_unit_test(an_encode_without_bound_gets_no_buffer),
        cmocka_unit_test(info_and_counters_skip),
        cmocka_unit_test(info_and_counters_truncate),
        cmocka_unit_test(the_message_in_progress_can_be_looked_at),
        cmocka_unit_test(what_a_codec_skips_is_counted),
        cmocka_unit_test(a_codec_is_checked_before_it_is_used),
    };

    return cmocka_run_group_tests_name("engine_codec", tests, make_folder, remove_folder);
}

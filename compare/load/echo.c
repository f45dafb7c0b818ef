/* SPDX-License-Identifier: BSD-3-Clause
 *
 * compare/load/echo.c: what is sent comes back. Closed: a number of messages is in flight on each connection, and each
 * that returns is replaced, so the server sets the pace. Paced: messages are due at fixed times whatever the server
 * does, and their latency counts from then, so that a server that stands still is charged for every message that had
 * to wait, not only for the one that met it (coordinated omission). A run ends only when everything sent has returned:
 * a server that loses a byte fails it. */
#include <string.h>
#include <sys/epoll.h>

#include "load.h"

enum { LONG_NS = 300000, WAKE_UP_NS = 100000 };

static struct {
    uint64_t started; /* messages */
    uint64_t returned;
    bool stopping;
} closed;

/* Puts up to count further messages in flight, fewer when the run has a fixed number and that is reached. */
static void start_messages(struct connection *connection, uint64_t count)
{
    if (options.messages > 0 && count > options.messages - closed.started) count = options.messages - closed.started;
    if (count == 0) return;
    closed.started += count;
    connection->to_send += count * options.wire_bytes;
    connection_send(connection);
}

static void on_closed_event(struct connection *connection, uint32_t events)
{
    if (events & EPOLLOUT) connection_send(connection);
    if (!(events & ~(uint32_t)EPOLLOUT)) return;
    const uint64_t messages = connection_receive(connection, connection->sent);
    closed.returned += messages;
    if (!closed.stopping && messages > 0) start_messages(connection, messages);
}

void run_closed(double seconds, struct result *ret)
{
    const uint64_t start_ns = now_ns();
    const uint64_t end_ns = start_ns + (uint64_t)(seconds * 1e9);

    memset(&closed, 0, sizeof(closed));
    closed.stopping = options.messages == 0 && seconds <= 0;
    connections_rewind();
    for (unsigned long i = 0; i < options.connections; i++)
        start_messages(&connections[i], options.depth);
    while (!closed.stopping || closed.returned < closed.started) {
        if (!connections_wait(STALLED_US, on_closed_event))
            die("%llu messages did not come back", (unsigned long long)(closed.started - closed.returned));
        if (options.messages > 0)
            closed.stopping = closed.started == options.messages;
        else if (!closed.stopping)
            closed.stopping = now_ns() >= end_ns;
    }
    ret->messages = closed.returned;
    ret->seconds = (double)(now_ns() - start_ns) / 1e9;
}

static struct {
    double start_ns;
    double interval_ns;
    uint64_t messages;
    uint64_t started;
    uint64_t returned;
    struct result *result;
} paced;

/* The connections take turns, so a message's number, and with it its time, follows from its connection and its place
 * there: nothing has to be remembered of what is in flight. */
static uint64_t due_ns(uint64_t number)
{
    return (uint64_t)(paced.start_ns + (double)number * paced.interval_ns);
}

static void start_due(void)
{
    uint64_t now = now_ns();

    while (paced.started < paced.messages && due_ns(paced.started) <= now) {
        struct connection *connection = &connections[paced.started % options.connections];
        connection->to_send += options.wire_bytes;
        connection_send(connection);
        now = now_ns();
        histogram_add(&paced.result->late, now - due_ns(paced.started));
        paced.started++;
    }
}

static void on_paced_event(struct connection *connection, uint32_t events)
{
    if (events & EPOLLOUT) connection_send(connection);
    if (!(events & ~(uint32_t)EPOLLOUT)) return;
    const uint64_t messages = connection_receive(connection, connection->sent);
    const uint64_t place_end = connection->received / options.wire_bytes;
    const uint64_t now = now_ns();

    for (uint64_t place = place_end - messages; place < place_end; place++) {
        const uint64_t number = place * options.connections + (uint64_t)(connection - connections);
        histogram_add(&paced.result->latency, now - due_ns(number));
    }
    paced.returned += messages;
}

/* How long it may sleep. While messages follow closely not at all: it asks again and again, since waking up would take
 * longer than what is measured; but where the server needs the core too it rests, and what was due meanwhile is late.
 */
static int64_t idle_us(void)
{
    const uint64_t now = now_ns();
    const uint64_t next = paced.started < paced.messages ? due_ns(paced.started) : now + STALLED_US * UINT64_C(1000);

    return next > now + LONG_NS ? (int64_t)((next - now - WAKE_UP_NS) / 1000) : (int64_t)options.rest_us;
}

void run_paced(double seconds, double rate, struct result *ret)
{
    memset(&paced, 0, sizeof(paced));
    paced.messages = options.messages > 0 ? options.messages : (uint64_t)(seconds * rate);
    paced.interval_ns = 1e9 / rate;
    paced.result = ret;
    ret->is_paced = true;
    connections_rewind();
    paced.start_ns = (double)now_ns();
    while (paced.returned < paced.messages) {
        start_due();
        const bool all_sent = paced.started == paced.messages;
        if (!connections_wait(idle_us(), on_paced_event) && all_sent)
            die("%llu messages did not come back", (unsigned long long)(paced.started - paced.returned));
    }
    ret->messages = paced.returned;
    ret->seconds = ((double)now_ns() - paced.start_ns) / 1e9;
}

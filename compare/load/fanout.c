/* SPDX-License-Identifier: BSD-3-Clause
 *
 * compare/load/fanout.c: one connection sends a message and every connection gets it, the sender too; the next one is
 * sent when all have all of it. The sender is the connection that was opened last: when the server hears of it, it has
 * accepted all the others. A message counts as often as it was delivered. */
#include <sys/epoll.h>

#include "load.h"

static struct {
    uint64_t sent_bytes; /* of each stream */
    uint64_t awaited;    /* deliveries */
} fanout;

static void on_event(struct connection *connection, uint32_t events)
{
    if (events & EPOLLOUT) connection_send(connection);
    if (events & ~(uint32_t)EPOLLOUT) fanout.awaited -= connection_receive(connection, fanout.sent_bytes);
}

static void deliver_one(void)
{
    struct connection *sender = &connections[options.connections - 1];

    fanout.sent_bytes += options.wire_bytes;
    fanout.awaited = options.connections;
    sender->to_send = fanout.sent_bytes;
    connection_send(sender);
    while (fanout.awaited > 0)
        if (!connections_wait(STALLED_US, on_event))
            die("%llu connections did not get the message", (unsigned long long)fanout.awaited);
}

void run_fanout(double seconds, struct result *ret)
{
    const uint64_t start_ns = now_ns();
    const uint64_t end_ns = start_ns + (uint64_t)(seconds * 1e9);

    connections_rewind();
    fanout.sent_bytes = 0;
    ret->messages = 0;
    do {
        deliver_one();
        ret->messages += options.connections;
    } while (now_ns() < end_ns);
    ret->seconds = (double)(now_ns() - start_ns) / 1e9;
}

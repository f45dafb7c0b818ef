/* SPDX-License-Identifier: BSD-3-Clause
 *
 * compare/load/one_way.c: messages that nobody answers, in writes of many, as fast as the server takes them. A run
 * opens its own connections and ends each with a FIN behind a whole message; the server's own FIN, which it sends once
 * it has read everything, is what shows that it has: all that was sent then counts. */
#include <sys/epoll.h>
#include <sys/socket.h>

#include "load.h"

static struct {
    unsigned long open;
    uint64_t end_ns;
} one_way;

static void send_on(struct connection *connection)
{
    if (now_ns() >= one_way.end_ns && connection->to_send == UINT64_MAX) {
        const uint64_t messages = (connection->sent + options.wire_bytes - 1) / options.wire_bytes;
        connection->to_send = messages * options.wire_bytes;
    }
    connection_send(connection);
    if (connection->sent == connection->to_send) shutdown(connection->fd, SHUT_WR);
}

static void on_event(struct connection *connection, uint32_t events)
{
    if (events & EPOLLOUT && connection->sent < connection->to_send) send_on(connection);
    if (!(events & ~(uint32_t)EPOLLOUT)) return;
    if (!connection_has_ended(connection)) return;
    if (connection->sent < connection->to_send) die("the server closed a connection");
    connection_close(connection);
    one_way.open--;
}

/* What a connection is to send: its share of a fixed number of messages, or whatever the time allows. */
static uint64_t one_way_bytes(void)
{
    return options.messages > 0 ? options.messages / options.connections * options.wire_bytes : UINT64_MAX;
}

void run_one_way(double seconds, struct result *ret)
{
    const uint64_t start_ns = now_ns();

    connections_open();
    one_way.open = options.connections;
    one_way.end_ns = start_ns + (uint64_t)(seconds * 1e9);
    for (unsigned long i = 0; i < options.connections; i++) {
        connections[i].to_send = one_way_bytes();
        send_on(&connections[i]);
    }
    while (one_way.open > 0)
        if (!connections_wait(STALLED_US, on_event)) die("the server does not read to the end");

    ret->messages = 0;
    for (unsigned long i = 0; i < options.connections; i++)
        ret->messages += connections[i].sent / options.wire_bytes;
    ret->seconds = (double)(now_ns() - start_ns) / 1e9;
}

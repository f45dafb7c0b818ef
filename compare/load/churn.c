/* SPDX-License-Identifier: BSD-3-Clause
 *
 * compare/load/churn.c: connections that live for one message. Each connects, sends, has its answer and closes, first,
 * as clients do; then the next takes its place. */
#include "load.h"

static struct {
    uint64_t answered;
    uint64_t end_ns;
    unsigned long open;
} churn;

static void begin(struct connection *connection)
{
    connection_open(connection);
    connection->to_send = options.wire_bytes;
    connection_send(connection);
    if (connection->sent < connection->to_send) die("a new connection does not take a message");
}

static void on_event(struct connection *connection, uint32_t events)
{
    (void)events;
    if (connection_receive(connection, connection->sent) == 0) return;
    churn.answered++;
    connection_close(connection);
    if (now_ns() < churn.end_ns)
        begin(connection);
    else
        churn.open--;
}

void run_churn(double seconds, struct result *ret)
{
    const uint64_t start_ns = now_ns();

    churn.answered = 0;
    churn.end_ns = start_ns + (uint64_t)(seconds * 1e9);
    churn.open = options.connections;
    for (unsigned long i = 0; i < options.connections; i++)
        begin(&connections[i]);
    while (churn.open > 0)
        if (!connections_wait(STALLED_US, on_event)) die("%lu connections have no answer", churn.open);
    ret->messages = churn.answered;
    ret->seconds = (double)(now_ns() - start_ns) / 1e9;
}

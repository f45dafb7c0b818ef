/* SPDX-License-Identifier: BSD-3-Clause
 *
 * compare/load/answers.c: what a message looks like to each kind of server, and how its answers are counted. Where a
 * message comes back as it was, connection.c compares it; elsewhere an answer is a line or two of text, which come in
 * the order of the messages, so that counting them says which are answered. An answer that says no ends the load. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "load.h"

enum { HEAD_BYTES_MAX = 128, STRETCH_BYTES = 64 * 1024 };

/* What stands before the message's bytes: XADD with one field for Redis, and for NATS a publication whose answer goes
 * to a subject of the connection's own. */
static int write_head(unsigned long number, char ret[HEAD_BYTES_MAX])
{
    switch (options.answers) {
    case ANSWERS_SAME:
    case ANSWERS_NUMBERS:
        break;
    case ANSWERS_REDIS:
        return snprintf(ret, HEAD_BYTES_MAX, "*5\r\n$4\r\nXADD\r\n$4\r\nweir\r\n$1\r\n*\r\n$1\r\nm\r\n$%zu\r\n",
                        options.message_bytes);
    case ANSWERS_NATS:
        return snprintf(ret, HEAD_BYTES_MAX, "PUB weir ack.%08lu %zu\r\n", number, options.message_bytes);
    }
    return 0;
}

static size_t tail_bytes(void)
{
    return options.answers == ANSWERS_REDIS || options.answers == ANSWERS_NATS ? 2 : 0;
}

/* Requests one behind the other: any stretch of the stream lies in it. */
static unsigned char *make_pattern(unsigned long number, size_t bytes)
{
    char head[HEAD_BYTES_MAX];
    const size_t head_bytes = (size_t)write_head(number, head);
    unsigned char *pattern = malloc(bytes);

    if (!pattern) die("out of memory");
    for (size_t i = 0; i < bytes; i++) {
        const size_t at = i % options.wire_bytes;
        const size_t place = at - head_bytes; /* in the message */

        if (at < head_bytes)
            pattern[i] = (unsigned char)head[at];
        else if (place < options.message_bytes - (tail_bytes() == 0))
            pattern[i] = (unsigned char)('!' + place % 89);
        else
            pattern[i] = place == options.message_bytes ? '\r' : '\n';
    }
    return pattern;
}

void answers_init(void)
{
    const bool is_compared = options.answers == ANSWERS_SAME;
    char head[HEAD_BYTES_MAX];
    unsigned char *shared = NULL;
    size_t stretch = 0;

    options.wire_bytes = (size_t)write_head(0, head) + options.message_bytes + tail_bytes();
    stretch = options.depth * options.wire_bytes;
    if (is_compared && stretch < RECEIVE_BYTES) stretch = RECEIVE_BYTES;
    if (!is_compared && stretch > STRETCH_BYTES) stretch = STRETCH_BYTES;
    options.pattern_bytes = stretch + options.wire_bytes;
    for (unsigned long i = 0; i < options.connections; i++) {
        if (!shared || options.answers == ANSWERS_NATS) shared = make_pattern(i, options.pattern_bytes);
        connections[i].pattern = shared;
    }
}

/* NATS wants to be told first who we are and what we listen to. Its own greeting, and a PING that it sends once and
 * would miss the answer to after minutes only, are passed over. */
void answers_greet(const struct connection *connection)
{
    char text[HEAD_BYTES_MAX];
    const int len =
        snprintf(text, sizeof(text), "CONNECT {\"verbose\":false,\"pedantic\":false}\r\nSUB ack.%08lu 1\r\n",
                 (unsigned long)(connection - connections));

    if (options.answers != ANSWERS_NATS) return;
    if (send(connection->fd, text, (size_t)len, MSG_NOSIGNAL) != len) die("send: %s", strerror(errno));
}

static bool begins_with(const struct connection *connection, const char *text)
{
    return strncmp(connection->line, text, strlen(text)) == 0;
}

static bool is_answer(const struct connection *connection, uint64_t number)
{
    switch (options.answers) {
    case ANSWERS_SAME:
        break;
    case ANSWERS_NUMBERS:
        if (strtoull(connection->line, NULL, 10) == number) return true;
        break;
    case ANSWERS_REDIS: /* the length of an entry's id, and the id */
        if (connection->line[0] >= '0' && connection->line[0] <= '9') return true;
        if (connection->line[0] == '$') return false;
        break;
    case ANSWERS_NATS:
        if (begins_with(connection, "{\"stream\":")) return true;
        if (begins_with(connection, "MSG ") || begins_with(connection, "INFO ") || begins_with(connection, "PING"))
            return false;
        break;
    }
    die("message %llu is answered with: %s", (unsigned long long)number, connection->line);
}

uint64_t answers_count(struct connection *connection, const unsigned char *bytes, size_t len)
{
    const unsigned char *end = bytes + len;
    uint64_t count = 0;

    while (bytes < end) {
        const unsigned char *newline = memchr(bytes, '\n', (size_t)(end - bytes));
        const size_t part = (size_t)((newline ? newline : end) - bytes);
        const size_t room = sizeof(connection->line) - 1 - connection->line_len;
        const size_t kept = part < room ? part : room; /* how a line begins says all */

        memcpy(connection->line + connection->line_len, bytes, kept);
        connection->line_len += kept;
        connection->line[connection->line_len] = '\0';
        if (!newline) break;
        count += is_answer(connection, connection->answered + count + 1);
        connection->line_len = 0;
        bytes = newline + 1;
    }
    connection->answered += count;
    return count;
}

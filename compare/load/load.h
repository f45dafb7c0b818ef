/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the parts of the load share. It is one thread that measures one server; what it was asked for, its connections
 * and the bytes it sends are therefore the program's, not somebody's. */
#ifndef COMPARE_LOAD_H
#define COMPARE_LOAD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "histogram.h"

/* Nothing happens for so long: the server has lost something. */
enum { STALLED_US = 10000000 };

enum { RECEIVE_BYTES = 256 * 1024 };

enum mode { MODE_ECHO, MODE_ONE_WAY, MODE_FANOUT, MODE_CHURN };

/* What a server says to a message: the same bytes; the message's number on its connection, as a line; or what Redis and
 * NATS JetStream say. */
enum answers { ANSWERS_SAME, ANSWERS_NUMBERS, ANSWERS_REDIS, ANSWERS_NATS };

struct options {
    enum mode mode;
    enum answers answers;
    unsigned long connections;
    unsigned long depth;
    size_t message_bytes;
    size_t wire_bytes;    /* of a message with what its protocol puts around it */
    size_t pattern_bytes; /* of a connection's pattern */
    uint64_t messages;    /* 0: as long as `seconds` say */
    double seconds;
    double rate;           /* messages a second; 0: as fast as they return */
    unsigned long rest_us; /* at a rate, while nothing has come back and messages follow closely */
    bool control;
    in_port_t port;
};

extern struct options options;

/* What one run came to. */
struct result {
    uint64_t messages; /* returned, taken by the server or delivered; with --churn connections */
    double seconds;
    bool is_paced;
    struct histogram latency; /* from when a message was due to when it was back; of paced runs */
    struct histogram late;    /* from when it was due to when it was sent: the load's own part of that */
};

__attribute__((format(printf, 1, 2), noreturn)) void die(const char *format, ...);
uint64_t now_ns(void);

/* ---- Connections (connection.c) ---- */

/* Every stream is the same message over and over, so any stretch of it is known. */
struct connection {
    int fd;
    bool wants_write;             /* the socket refused bytes */
    uint64_t sent;                /* bytes */
    uint64_t received;            /* bytes; where answers are counted, those of the messages that are answered */
    uint64_t to_send;             /* bytes: what `sent` should reach */
    const unsigned char *pattern; /* what is sent, from any message's start; may be shared */
    uint64_t answered;            /* messages, since it was opened */
    char line[64];                /* how the line of an answer that is not complete begins */
    size_t line_len;
};

extern struct connection *connections; /* options.connections of them */

void connections_init(void);
void connection_open(struct connection *connection);
void connection_close(struct connection *connection);
void connections_open(void);
/* Begins to count anew; only when nothing is in flight. */
void connections_rewind(void);

/* Sends what the socket takes, in one call, and sees to it that the rest follows once it takes more. */
void connection_send(struct connection *connection);
/* Reads once and compares it with what was sent. The whole messages that this completed. More than expected_bytes
 * since the last rewind, other bytes than were sent, and the server's FIN end the load. */
uint64_t connection_receive(struct connection *connection, uint64_t expected_bytes);
/* Whether the server has ended the connection; a byte from it ends the load, as does its reset. */
bool connection_has_ended(const struct connection *connection);
/* Calls on_event for what is ready, at most timeout_us later; false when nothing was. */
bool connections_wait(int64_t timeout_us, void (*on_event)(struct connection *connection, uint32_t events));

/* ---- What is sent, and what is answered (answers.c) ---- */

/* Gives each connection its pattern. */
void answers_init(void);
/* What the protocol wants to hear before the first message. */
void answers_greet(const struct connection *connection);
/* How many messages these bytes answer. */
uint64_t answers_count(struct connection *connection, const unsigned char *bytes, size_t len);

/* ---- Runs: each measures once; those that hold their connections find them open ---- */

void run_closed(double seconds, struct result *ret);
void run_paced(double seconds, double rate, struct result *ret);
void run_one_way(double seconds, struct result *ret);
void run_fanout(double seconds, struct result *ret);
void run_churn(double seconds, struct result *ret);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What happens on a listener's connections, with every default filled in. */
#ifndef WEIR__SERVICE_H
#define WEIR__SERVICE_H

#include <stdbool.h>

#include <weir/weir.h>

#include "net/address.h"
#include "net/transport/transport.h"
#include "tally.h"

struct weir__worker;

/* One worker's copy of a struct weir_service. A copy a worker: counting who uses it needs no lock, and a connection
 * finds its worker through it. Freed when its listener or dial and its last connection have let go. */
struct weir__service {
    /* Read for each message. */
    enum weir_decoded (*decode)(const void *config, void *state, struct weir_decode *decode);
    const void *decode_config;
    void (*on_message)(struct weir_conn *conn, struct weir_bytes message, void *user);
    const struct weir__transport *transport;
    struct weir__worker *worker;
    struct weir__tally *tally; /* where this worker counts its connections; lives until weir_free */
    size_t message_bytes_max;
    enum weir_too_long too_long;
    size_t state_bytes; /* of the decoder */

    const struct weir_codec *encoder; /* encode NULL: bytes as they are */
    const void *encoder_config;
    size_t output_high; /* the high mark */
    size_t output_low;  /* at it, input goes on */
    size_t output_cap;  /* above it, sending fails */
    size_t wake_bytes_max;
    size_t wake_messages_max;

    void (*on_open)(struct weir_conn *conn, void *user);
    void (*on_writable)(struct weir_conn *conn, void *user);
    void (*on_end)(struct weir_conn *conn, void *user); /* NULL: the peer's end begins the closing */
    void (*on_close)(struct weir_conn *conn, enum weir_reason reason, void *user);
    void (*on_refused)(struct weir_listener *listener, const char *peer, enum weir_reason reason, void *user);
    void *user;

    /* All in milliseconds; INT64_MAX: never. */
    int64_t idle_timeout_ms;
    int64_t frame_timeout_ms;
    int64_t write_timeout_ms;
    int64_t drain_timeout_ms;
    int64_t linger_timeout_ms; /* 0: do not linger */
    int64_t arrive_timeout_ms;
    int64_t connect_timeout_ms;
    int64_t keepalive_idle_ms; /* 0: no keepalive */
    int64_t keepalive_interval_ms;
    int64_t keepalive_count;
    uint64_t linger_bytes_max;

    struct weir__transport_context *transport_context; /* one use of it is ours; NULL: none */

    struct weir__address source;    /* dialled: where from; len 0: from anywhere */
    struct weir_listener *listener; /* NULL: dialled */
    struct weir_frame *frame;       /* ours; NULL with a caller's codec */
    struct weir_frame *send_frame;  /* ours; NULL: the same, or none */
    unsigned users;                 /* the listener or dial, and each connection */
    int64_t refused_s;              /* the second in which on_refused was last called, */
    unsigned refused_count;         /* and how often in it */
};

/* The settings of a listener's sockets, with the defaults filled in. */
struct weir__listen_options {
    int accepts_max;
    int backlog;
    int defer_accept_s; /* 0: off */
    unsigned unix_mode;
    bool reuseport;
    bool disabled;
};

/* Checks what a caller gave and fills in the defaults. On success *ret has one user, the caller. Returns a code with a
 * sentence. Any thread. */
int weir__service_new(struct weir__worker *worker, const struct weir_service *given, struct weir__service **ret);
void weir__service_release(struct weir__service *service);

/* Before the first connection; the context (NULL: none) is freed with its last service. */
void weir__service_set_transport(struct weir__service *service, const struct weir__transport *transport,
                                 struct weir__transport_context *context);

/* A client gets no connection, or is not let in: counted as closed for that reason, and on_refused is told, a bounded
 * number of times a second. The second tells only, of one whose close is counted with its connection. */
void weir__service_refused(struct weir__service *service, const struct weir__peer *peer, enum weir_reason reason);
void weir__service_tell_refused(struct weir__service *service, const struct weir__peer *peer, enum weir_reason reason);

int weir__listen_options(const struct weir *weir, const struct weir_service *given, struct weir__listen_options *ret);

/* Sets what each of the service's sockets has: no delay, keepalive and the user timeout. A connection inherits it from
 * its listening socket, so accepting costs no call. Errors are ignored: none of it is needed to serve. */
void weir__service_set_socket(const struct weir__service *service, int fd);

#endif

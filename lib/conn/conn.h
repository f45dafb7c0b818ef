/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A connection: its memory, and its life from accept to on_close. */
#ifndef WEIR__CONN_H
#define WEIR__CONN_H

#include <stdbool.h>

#include <event2/event_struct.h>

#include <weir/weir.h>

#include "net/address.h"
#include "service.h"
#include "work.h"

struct weir__worker;

/* States, and which may follow which:
 *
 *   CONNECTING  dialled, waiting for connect(2)                  -> ARRIVING, CLOSED
 *   ARRIVING    has a socket: handshake, admission               -> OPEN, CLOSED
 *   OPEN        messages are delivered and sent                  -> DRAINING, CLOSED
 *   DRAINING    nothing is delivered any more; owed answers leave -> LINGERING, CLOSED
 *   LINGERING   our FIN is sent; the peer's is awaited           -> CLOSED
 *   CLOSED      the socket is gone; on_close runs at the turn's end */
#define WEIR__CONN_STATES(X)                                             \
    X(CONNECTING, "connecting", 1 << WEIR__ARRIVING | 1 << WEIR__CLOSED) \
    X(ARRIVING, "arriving", 1 << WEIR__OPEN | 1 << WEIR__CLOSED)         \
    X(OPEN, "open", 1 << WEIR__DRAINING | 1 << WEIR__CLOSED)             \
    X(DRAINING, "draining", 1 << WEIR__LINGERING | 1 << WEIR__CLOSED)    \
    X(LINGERING, "lingering", 1 << WEIR__CLOSED)                         \
    X(CLOSED, "closed", 0)

enum weir__conn_state {
    WEIR__UNUSED, /* a free place in the table */
#define WEIR__CONN_STATE_ENUM(name, text, next) WEIR__##name,
    WEIR__CONN_STATES(WEIR__CONN_STATE_ENUM)
#undef WEIR__CONN_STATE_ENUM
};

/* What the connection asks of its socket; see wanted_interest. */
enum weir__interest {
    WEIR__WANT_NOTHING,
    WEIR__WANT_READ,
    WEIR__WANT_WRITE,
    WEIR__WANT_READ_WRITE,
    WEIR__WANT_GONE /* only to hear of a peer that goes away */
};

enum { WEIR__CODEC_STATE_BYTES = 16 };

/* A connection lives in its worker's table; nothing outside the worker's thread touches it. 240 bytes: every one counts
 * 20,000 times. */
struct weir_conn {
    struct event event;
    uint64_t id;
    struct weir__service *service;
    void *user;
    struct weir__work *work; /* NULL while idle */
    uint64_t messages_in, messages_out;
    uint64_t bytes_in, bytes_out;
    struct weir__peer peer;
    uint16_t error; /* errno behind the reason */
    uint8_t state;  /* enum weir__conn_state */
    uint8_t reason; /* enum weir_reason */
    uint32_t holds;
    unsigned interest : 3; /* enum weir__interest */
    bool announced : 1;    /* on_close is owed */
    bool admitted : 1;     /* admission has let it in, and hears of its end */
    unsigned pauses : 8;   /* a bit for each owner of one (weir_conn_pause) */
    bool undecoded : 1;    /* the rest has bytes the codec has not seen, or an end it has not been told */
    bool in_frame : 1;     /* the codec is inside a message */
    bool waits : 1;        /* the codec is to be called again though nothing comes */
    bool input_ended : 1;  /* the peer's FIN has been read */
    bool end_told : 1;     /* on_end has been called: only sending goes on */
    bool end_asked : 1;    /* weir_conn_end: FIN once the output has left */
    bool output_ended : 1; /* our FIN has been sent */
    bool blocked : 1;      /* the socket takes no more for now */
    bool above_high : 1;   /* the output reached its high mark and has not fallen to the low one */
    bool writable_due : 1; /* it has fallen: on_writable is owed */
    bool had_enough : 1;   /* LINGERING: nothing more is read */
    bool runnable : 1, dirty : 1, held : 1; /* in the worker's lists */
    bool write_needs_read : 1;              /* the transport must read before it can write (TLS) */
    bool read_needs_write : 1;              /* and the other way round */
    union {
        unsigned char bytes[WEIR__CODEC_STATE_BYTES]; /* the decoder's state */
        void *large;                                  /* or, when it needs more, a pointer to it */
        uint64_t align;
        struct weir_conn *next_dead; /* CLOSED: the worker's list */
    } codec_state;
};

static inline int weir__conn_fd(const struct weir_conn *conn)
{
    return conn->event.ev_fd;
}

/* For its transport. */
static inline struct weir__link weir__conn_link(const struct weir_conn *conn)
{
    return (struct weir__link){ conn->event.ev_fd, conn->work ? conn->work->transport_state : NULL };
}

static inline struct weir__worker *weir__conn_worker(const struct weir_conn *conn)
{
    return conn->service->worker;
}

/* A full output stops the input, so that whoever sends requests and reads no answers waits. Not of a connection that we
 * dialled: there we are the one who asks, and two ends that both stop reading would wait for each other. */
static inline bool weir__conn_output_stops_input(const struct weir_conn *conn)
{
    return conn->above_high && conn->service->listener;
}

static inline size_t weir__conn_output_bytes(const struct weir_conn *conn)
{
    return conn->work ? conn->work->out_bytes : 0;
}

static inline size_t weir__conn_rest_bytes(const struct weir_conn *conn)
{
    return conn->work ? conn->work->rest_end - conn->work->rest_begin : 0;
}

/* Takes over an accepted socket that admission has counted in; the service is this worker's. Closes it when there is no
 * memory. */
void weir__conn_accepted(struct weir__service *service, int fd, const struct weir__peer *peer, uint64_t id);

/* Begins a dialled connection in CONNECTING, counted in, without a socket yet; takes the dial over, and one use of the
 * service. Returns NULL without memory, and takes nothing then. */
struct weir_conn *weir__conn_dialled(struct weir__service *service, uint64_t id, void *user, struct weir__dial *dial);
/* The next socket of a dialled connection, in place of the last; it is waited for. Takes fd over. */
void weir__conn_try(struct weir_conn *conn, int fd, const struct weir__peer *peer);
/* Its socket is connected: it goes on like an accepted one. */
void weir__conn_connected(struct weir_conn *conn);

/* Ends politely: owed answers leave, then FIN, then the peer's end is awaited. Nothing when it is ending already. No
 * callback. */
void weir__conn_finish(struct weir_conn *conn, enum weir_reason reason);
/* Ends at once: the one way into CLOSED. error is an errno or 0. No callback. */
void weir__conn_abort(struct weir_conn *conn, enum weir_reason reason, int error);
/* A hold was released, or the like: ends if nothing is owed any more. No callback. */
void weir__conn_advance(struct weir_conn *conn);
/* Ends our side once the output has left. */
void weir__conn_end(struct weir_conn *conn);

void weir__conn_pause(struct weir_conn *conn, unsigned owner);
void weir__conn_resume(struct weir_conn *conn, unsigned owner);
/* weir_input_resume has let this one, which is in the worker's held list, go on. */
void weir__conn_unhold(struct weir_conn *conn);

/* Sends: what was put leaves at the end of the turn. */
int weir__conn_send(struct weir_conn *conn, struct weir_bytes message);
int weir__conn_send_blob(struct weir_conn *conn, struct weir__blob *blob);

/* Offers what waits to the socket, and does what follows from it; callbacks may run. */
void weir__conn_flush(struct weir_conn *conn);
/* Delivers what the connection has in hand, as far as it may. */
void weir__conn_run(struct weir_conn *conn);
/* Acts on the deadlines that have passed, and returns when to ask again; INT64_MAX: never. For weir__timeouts_run. */
int64_t weir__conn_check_deadlines(struct weir__work *work, int64_t now_ms);

/* Calls on_close for each connection that has closed, and frees it. */
void weir__conn_bury_all(struct weir__worker *worker);

/* For a forked process, whose copies these are: closes the sockets and frees the connections; nobody is told. */
void weir__conn_forget_all(struct weir__worker *worker);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Sends numbered messages on connections that are dialled again when they end, and writes down in
 * the ledger what was sent and what was acknowledged. Private to this folder. */
#ifndef APP_VERIFY_SENDER_H
#define APP_VERIFY_SENDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <weir/weir.h>

#include "dial/again.h"
#include "dial/timetable.h"
#include "ledger.h"
#include "terminal/live.h"

struct event;

/* What is to be done. Nothing of it changes once the run has begun. */
struct sender_plan {
    struct weir_service service; /* framing and times; the callbacks are sender.c's */
    const char *url;
    uint32_t run;
    uint32_t connections;
    uint64_t messages; /* in total; shared out evenly */
    size_t message_bytes;
    uint64_t depth;     /* messages without their acknowledgement on a connection */
    double interval_ns; /* between two messages of all; 0: as fast as they are acknowledged */
    int64_t give_up_ms; /* without any acknowledgement; 0: never */
};

/* How it ended. */
enum sender_end {
    SENDER_DONE,           /* all is acknowledged */
    SENDER_INTERRUPTED,    /* by a signal */
    SENDER_NEVER_THERE,    /* the first connection failed: reason, error */
    SENDER_UNACKNOWLEDGED, /* the server takes messages and has never acknowledged any */
    SENDER_GAVE_UP,        /* nothing is acknowledged any more: reason, error, unless was_open */
    SENDER_WRONG,          /* what it acknowledges is wrong: sentence */
    SENDER_BROKEN          /* for want of something on this machine: error; or the ledger's: is_ledger */
};

/* One of the connections: the same for verify's whole life, whatever becomes of those to the server. Messages are sent
 * and acknowledged in order, so three numbers say all about them. */
struct sender_client {
    struct sender *sender;
    uint32_t number;        /* 1, 2, 3 */
    struct weir_conn *conn; /* NULL: not open */
    uint64_t messages;      /* its share: numbers 1 to this */
    uint64_t acknowledged;  /* all up to this number */
    uint64_t noted;         /* of these, in the ledger */
    uint64_t before;        /* those acknowledged when it was connected last: the server counts from there */
    uint64_t sent;          /* the last one sent on this connection; from before on */
    uint64_t planned;       /* the last one to be sent this turn */
    uint64_t highest;       /* ever sent: those up to it are sent again */
    int64_t dial_ns;        /* not before then */
    int64_t wait_ms;        /* before the next dialling but one */
    /* Whether its acknowledgements are text, which the first one on a connection tells: number 1 in binary is none in
     * any form, and 48 in a byte is. Where they are not, a digit is a byte like others. */
    bool has_text;
    bool is_touched;
    bool is_able;
    TAILQ_ENTRY(sender_client) in_touched; /* something was acknowledged, or it has opened */
    TAILQ_ENTRY(sender_client) in_able;    /* more may be sent, the one that has not for longest first */
    TAILQ_ENTRY(sender_client) in_list;    /* to be sent to this turn; or, not open, to be dialled later */
};

TAILQ_HEAD(sender_clients, sender_client);

enum { SENDER_SENTENCE_BYTES_MAX = 512, SENDER_SIGNALS = 2 };

struct sender {
    const struct sender_plan *plan;
    struct ledger *ledger;
    struct weir *weir;
    char url[AGAIN_URL_BYTES_MAX];
    struct weir_service service;
    struct sender_client *clients;
    struct sender_clients touched;
    struct sender_clients able;
    struct sender_clients later;
    unsigned char *message; /* the one being made */
    struct timetable timetable;
    struct event *signals[SENDER_SIGNALS];
    struct live live;

    uint32_t open;
    uint32_t done; /* connections all of whose messages are acknowledged */
    bool is_interrupted;
    bool is_over;

    int64_t start_ns;
    int64_t end_ns;
    int64_t progress_ns; /* when something was acknowledged last */
    int64_t still_ns;    /* since then no connection has opened or ended */
    int64_t shown_ns;
    uint64_t shown_acknowledged;

    /* What came of it. */
    enum sender_end end;
    bool was_open;           /* some connection was, then */
    enum weir_reason reason; /* of the last connection that ended or failed */
    int error;
    bool is_ledger;
    char sentence[SENDER_SENTENCE_BYTES_MAX];
    uint64_t sent;
    uint64_t sent_again; /* of these */
    uint64_t acknowledged;
    uint64_t opened;
    uint64_t lost; /* connections that ended before all was acknowledged */
};

enum { SENDER_UNACKNOWLEDGED_S = 5 };

/* Makes it ready and dials the first connection; weir_run does the rest. The plan and the ledger must live as long.
 * Returns 0; what weir_dial does; or another negative code. sender_fini in any case. */
int sender_start(struct sender *sender, const struct sender_plan *plan, struct ledger *ledger, struct weir *weir);

/* For weir_config.on_turn; the sender is its user. */
void sender_on_turn(struct weir *weir, unsigned worker, void *user);

/* After weir_run and before weir_free: takes the live line off, and frees the events. */
void sender_stop(struct sender *sender);

/* After weir_free. */
void sender_fini(struct sender *sender);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the faults, the life cycle around them and the report share. Nobody else
 * includes it. */
#ifndef APP_BENCH_MISBEHAVE_INTERNAL_H
#define APP_BENCH_MISBEHAVE_INTERNAL_H

#include <stdatomic.h>

#include "base/clock.h"
#include "misbehave.h"

/* Connections that ended in one way, and how long after the fault, or their opening. */
struct misbehave_ends {
    uint64_t count;
    int64_t least_ns;
    int64_t most_ns;
};

/* What came of lives; a life is one connection from its dialling to its end. */
struct misbehave_totals {
    uint64_t lives; /* opened, and not cut off by the run's end when they had hardly begun */
    uint64_t connects_failed;
    uint64_t messages; /* whole ones */
    uint64_t pieces;   /* sends that messages were cut into */
    uint64_t answers;
    uint64_t answers_as_sent;
    uint64_t answered;      /* lives in which every whole message was answered */
    uint64_t answered_half; /* lives in which what was no whole message was answered too */
    uint64_t sent_all;      /* lives in which the server took all that there was to send */
    uint64_t bytes_out;
    uint64_t bytes_in;
    uint64_t taken_least; /* bytes_out of one life */
    uint64_t taken_most;
    uint64_t reset_by_us;
    struct misbehave_ends closed; /* by the server */
    struct misbehave_ends reset;  /* by the server */
    struct misbehave_ends open;   /* when the time was over */
    uint64_t failed[WEIR_REASON_COUNT];
};

/* A faulty client: what it has come to in all its lives, and where it is in this one. Belongs to its connection's
 * worker, or to the timer's that dials again; read by others when the engine is at rest. */
struct culprit {
    struct misbehave *misbehave;
    struct misbehave_totals totals;
    uint64_t seed; /* of its lives: counts on */

    struct misbehave_totals life; /* added to totals once it is known that it counts */
    uint64_t random;
    struct weir_conn *conn;          /* while there is a timer */
    struct weir_timer *timer;        /* NULL: none runs. Stopped when the life ends */
    size_t sent;                     /* bytes of the message, or of the garbage, that have been handed over */
    size_t answer_at;                /* over raw: bytes of the answer in progress */
    int64_t since_ns;                /* of the ends' times */
    enum weir_reason connect_reason; /* why the last connect failed; NONE: none did */
    int connect_error;
    bool has_connected; /* ever */
    bool was_open;
    bool is_within;       /* a message is counted of which not all has been handed over */
    bool is_all_sent;     /* handed over, that is */
    bool is_answer_other; /* over raw: the answer in progress differs from what was sent */
    bool is_ours;         /* we have ended it, as the fault has it */
};

/* What one fault is made of. All run on the connection's worker. */
struct misbehave_fault_spec {
    void (*begin)(struct culprit *culprit, struct weir_conn *conn);  /* it is open */
    void (*step)(struct culprit *culprit, struct weir_conn *conn);   /* a turn after misbehave_step_later */
    void (*answer)(struct culprit *culprit, struct weir_conn *conn); /* one more answer is whole */
    bool is_raw;                                                     /* answers are bytes, whatever the framing */
    bool is_repeated;                                                /* when it is over, it is done again */
    int64_t output_bytes_max;
};

struct misbehave {
    struct weir *weir;
    struct misbehave_config config;
    struct weir_service service;
    const struct misbehave_fault_spec *fault;
    bool is_raw;          /* answers are counted in bytes */
    unsigned char *burst; /* whole messages as they go over the wire, then half of one more; owned */
    size_t wire_len;      /* of one message in it */
    size_t whole;         /* messages in it */
    size_t burst_len;
    struct culprit *culprits; /* config.connections of them; owned */
    int64_t began_ns;
    _Atomic int64_t stopped_ns; /* 0: not yet */
};

extern const struct misbehave_fault_spec misbehave_faults[MISBEHAVE_FAULT_COUNT];

void misbehave_totals_add(struct misbehave_totals *totals, const struct misbehave_totals *other);

/* As in "slow-read". */
const char *misbehave_fault_name(enum misbehave_fault fault);

/* Calls the fault's step in the worker's next turn: what was handed over before has left by then, in a send of its own.
 */
void misbehave_step_later(struct culprit *culprit, struct weir_conn *conn);

#endif

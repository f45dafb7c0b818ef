/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The clients of a run, and the workers that drive them. Private to this folder. */
#ifndef APP_BENCH_LOAD_H
#define APP_BENCH_LOAD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <weir/weir.h>

#include "base/clock.h"
#include "dial/again.h"
#include "messages.h"
#include "pace.h"
#include "results.h"
#include "sources.h"

struct load;
struct load_worker;

/* What is to be done. Nothing of it changes once the run has begun. */
struct load_plan {
    struct weir_service service; /* framing and times; the callbacks are load.c's */
    struct messages messages;
    struct sources sources;
    size_t clients;
    uint32_t depth;             /* messages in flight on a connection */
    uint64_t messages_max;      /* in total; 0: no bound */
    uint64_t lifetime_messages; /* of a connection; UINT64_MAX: no bound */
    int64_t lifetime_ns;        /* 0: no bound */
    double interval_ns;         /* open loop: between two messages of all; 0: closed loop */
    int64_t duration_ns;        /* of the sending; 0: no bound */
    bool one_way;               /* answers are not waited for */
    bool by_bytes;              /* an answer is as many bytes as were sent */
};

/* A message without its answer. */
struct load_pending {
    int64_t since_ns; /* when it was due, or sent */
    size_t bytes;     /* of its answer, by bytes */
};

/* One of the clients that are to be connected: a connection at a time, and another when that has ended. Belongs to the
 * worker of its connection, from the dialling, which hands it over, to on_close. */
struct client {
    struct load *load;
    struct load_worker *worker;  /* its connection's; NULL before the first is open */
    struct weir_conn *conn;      /* NULL: not open */
    TAILQ_ENTRY(client) in_list; /* of those that are open, or of those that dial again later */
    TAILQ_ENTRY(client) in_idle;
    bool is_idle;     /* open loop: in the list of those that could send */
    bool is_blocked;  /* until on_writable */
    bool is_settled;  /* its first connection has opened or failed */
    int64_t since_ns; /* when it was dialled; then, when it opened; then, when it ended */
    uint64_t sent;    /* on this connection */
    uint64_t left;    /* messages that may still be begun on it */
    uint32_t in_flight;
    uint32_t first;            /* the oldest of them, in the ring */
    size_t answered_bytes;     /* of the oldest one's answer: what is there */
    struct load_pending *ring; /* of depth places */
};

TAILQ_HEAD(client_list, client);

struct load_worker {
    struct load *load;
    unsigned index;
    bool is_sending;
    struct client_list open;  /* in the order of opening */
    struct client_list later; /* to be dialled again, in the order of ending */
    struct client_list idle;  /* open loop: those that could send, the one that has not for longest first */
    struct pace pace;
    size_t cursor;  /* the next message */
    bool is_over;   /* it has been told to send no more */
    uint64_t begun; /* messages; never less again, as results.sent is */
    uint64_t open_count;
    uint64_t in_flight;
    int64_t last_ns;         /* when something was answered; one-way: when the last connection ended */
    enum weir_reason reason; /* of the last connection that went wrong; NONE: none */
    int error;
    struct bench_results results;

    /* For worker 0, which runs the whole. */
    atomic_uint_fast64_t seen_begun;
    atomic_uint_fast64_t seen_sent;
    atomic_uint_fast64_t seen_progress;
    atomic_uint_fast64_t seen_open;
    atomic_bool is_quiet;
    struct bench_results seen; /* below load.lock */
    int64_t shown_ns;
};

struct load {
    const struct load_plan *plan;
    struct weir *weir;
    struct weir_service service;
    char url[AGAIN_URL_BYTES_MAX]; /* what is dialled: from the first connection on its address, so that a name is
                                     resolved once */
    bool is_watched;               /* the workers show what they have, for the live line */
    struct client *clients;
    struct load_pending *rings;
    struct load_worker *workers;
    unsigned worker_count;
    int64_t first_dial_ns;
    int64_t start_ns; /* of the sending, and its end; 0: not yet */
    int64_t end_ns;
    atomic_uint_fast64_t granted; /* messages, where they are bounded: begun, or about to be. What a connection then
                                     refuses is taken off again, so it does not say that all are begun */
    atomic_uint_fast64_t dials;
    atomic_uint_fast64_t settled; /* clients */
    atomic_uint_fast64_t opened;  /* connections, ever */
    atomic_bool is_ending;        /* connections end because we want it */
    atomic_int error;             /* what a worker could not begin with */
    pthread_mutex_t lock;
};

/* Makes the clients and the workers; nothing is dialled. Returns 0 or -ENOMEM; load_fini in any case, after weir_free.
 */
int load_init(struct load *load, const struct load_plan *plan, struct weir *weir, const char *url);
void load_fini(struct load *load);

/* What each worker does before and beside sending. Before weir_run. Returns 0 or a negative code; what goes wrong later
 * is in load.error. */
int load_prepare(struct load *load);

/* Opens the client's first connection. On worker 0, or before weir_run. Returns what weir_dial does. */
int load_dial(struct load *load, size_t index);

/* From now on all clients send, those too that connect later; or none does any more. On worker 0. Each returns what
 * weir_post does: then it is to be called again. */
int load_begin_sending(struct load *load);
int load_end_sending(struct load *load);

/* What the workers have told last: it lags some 10 ms behind. */
struct load_sight {
    uint64_t sent;
    uint64_t progress; /* messages answered, or sent where no answer is awaited */
    uint64_t open;     /* connections */
    bool is_all_begun; /* all of a bounded number of messages have been handed over */
    bool is_quiet;     /* nothing is sent any more, and no answer is missing */
};
struct load_sight load_look(struct load *load);

/* Adds up what the workers have shown last; when load.is_watched. Any thread. */
void load_see_results(struct load *load, struct bench_results *ret);

/* After weir_run: what came of all of it, and why the last connection that went wrong did; WEIR_REASON_NONE: none. */
void load_results(const struct load *load, struct bench_results *ret);
enum weir_reason load_reason(const struct load *load, int *ret_error);

/* For the open loop: puts one message that was due at that time on the way. Returns 1; 0 when this client cannot; -1
 * when there is none left to send. */
int load_send_due(struct client *client, int64_t due_ns);

/* For the open loop: a message that was due then will not be sent; it has waited until now_ns. times: as many like it.
 */
void load_count_unsent(struct load_worker *worker, int64_t due_ns, int64_t now_ns, uint64_t times);

#endif

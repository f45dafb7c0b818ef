/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a run of the bench came to, and how it is told: a line that is rewritten while it runs, a
 * summary for people, a JSON object for programs. */
#ifndef APP_BENCH_RESULTS_H
#define APP_BENCH_RESULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/weir.h>

#include "histogram.h"
#include "terminal/live.h"
#include "text/line.h"

/* What can go wrong: name, its name in JSON and in --fail-if, text for people. */
/* clang-format off */
#define BENCH_ERRORS(X)                                                                                                \
    X(REFUSED, "refused", "connection refused")                                                                        \
    X(UNREACHABLE, "unreachable", "host or network unreachable")                                                       \
    X(CONNECT_TIMEOUT, "connect_timeout", "no answer to connecting")                                                   \
    X(CONNECT, "connect", "connecting failed otherwise")                                                               \
    X(CLOSED, "closed", "closed by the server")                                                                        \
    X(RESET, "reset", "reset by the server")                                                                           \
    X(LOST, "lost", "server lost")                                                                                     \
    X(TIMEOUT, "timeout", "the server took or sent nothing in time")                                                   \
    X(MALFORMED, "malformed", "answer not in the framing")                                                             \
    X(TOO_LONG, "too_long", "answer too long")                                                                         \
    X(UNANSWERED, "unanswered", "message not answered")                                                                \
    X(UNSENT, "unsent", "message due and not sent in time")                                                            \
    X(UNASKED, "unasked", "answer that no message had asked for")                                                      \
    X(OTHER, "other", "failed otherwise")
/* clang-format on */

enum bench_error {
#define BENCH_ERROR_ENUM(name, key, text) BENCH_ERROR_##name,
    BENCH_ERRORS(BENCH_ERROR_ENUM)
#undef BENCH_ERROR_ENUM
        BENCH_ERROR_COUNT
};

/* The kind of error that a connection's end is; was_open: its on_open ran. For an end that is no error in itself, the
 * server's or ours, CLOSED: whether it came too early is for the caller to know. */
enum bench_error bench_error_of(enum weir_reason reason, bool was_open);

/* What was asked for: told again with what came of it. */
struct bench_asked {
    const char *url;
    const char *frame;
    uint64_t connections;
    uint64_t depth;         /* messages in flight on each */
    uint64_t message_bytes; /* of each message; of a file's messages their mean */
    double rate;            /* messages a second in all; 0: as fast as possible */
    double seconds;         /* 0: until messages are done */
    uint64_t messages;      /* 0: until seconds are over */
    bool one_way;
};

/* Starts zeroed. Large: not for the stack. One a worker, added up with bench_results_merge. */
struct bench_results {
    double seconds; /* of sending, without the ramp's and the end's; the same on all workers, not added up */
    uint64_t sent;
    uint64_t answered;
    uint64_t bytes_out; /* framing included */
    uint64_t bytes_in;
    uint64_t connects_done;
    uint64_t connects_failed;
    uint64_t errors[BENCH_ERROR_COUNT];
    double connect_seconds;   /* from the first dial to the last answer to one */
    struct histogram latency; /* from when a message was due to its answer */
    struct histogram connect;
};

void bench_results_merge(struct bench_results *results, const struct bench_results *other);
uint64_t bench_results_errors(const struct bench_results *results);
/* Messages a second: answered ones, or sent ones where none are awaited. */
double bench_results_rate(const struct bench_asked *asked, const struct bench_results *results);

/* The live line: one line of a terminal, rewritten. Starts zeroed. It owns what it knows of the second before. */
struct bench_live {
    struct bench_results *before;
    struct histogram *window;
    struct live line;
    int64_t then_ns;
};

/* Whether and where it is shown is decided here: on standard error, when that is a terminal. Returns 0 or -ENOMEM. */
int bench_live_init(struct bench_live *live);
/* Once a second: the rate, p50 and p99 since the last call, and the connections that are open. Costs nothing where
 * nothing is shown. */
void bench_live_show(struct bench_live *live, const struct bench_asked *asked, const struct bench_results *results,
                     uint64_t open);
/* Takes the line off the terminal, before anything else is written there. */
void bench_live_clear(struct bench_live *live);
void bench_live_fini(struct bench_live *live);

/* Adds the summary: whole lines. */
void bench_results_add_text(struct line *line, const struct bench_asked *asked, const struct bench_results *results);

/* Adds the members of the JSON object, without its braces, so that others can add theirs. */
void bench_results_add_json(struct line *line, const struct bench_asked *asked, const struct bench_results *results);

/* Adds "85 ns", "12.3 us", "4.56 ms", "1.20 s": three digits. */
void bench_add_time(struct line *line, double ns);
/* Adds "512 B", "1.20 KiB", "118 MiB". */
void bench_add_size(struct line *line, double bytes);

#endif

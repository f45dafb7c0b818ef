/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The faults themselves: what each sends, and when. Must never keep more than a little output
 * waiting, but for the fault that is about just that: the faults are the server's to bear, not ours. */
#include "misbehave_internal.h"

#include "base/pause.h"

enum {
    PIECES_MAX = 1024,            /* of one message: a byte each up to so many, then of random length */
    GARBAGE_CHUNK_BYTES = 1024,   /* in one send */
    GARBAGE_WAIT_MS = 100,        /* for the server to close */
    GARBAGE_BYTES = 64 * 1024,    /* in one life */
    OUTPUT_BYTES_MAX = 64 * 1024, /* that wait while a server does not read */
    UNREAD_BYTES_MAX = 64 << 20,  /* asked of a server by one client that does not read */
    UNREAD_BYTES_MIN = 16 << 20   /* more than the kernels of both sides hold */
};

/* By all of them together, while each has at least the minimum: it may all wait in the server's memory. */
static const size_t UNREAD_BYTES_TOTAL = 1 << 30;

/* splitmix64: any seed will do. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t mixed = *state += 0x9e3779b97f4a7c15U;

    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9U;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebU;
    return mixed ^ (mixed >> 31);
}

/* The whole messages at once, and the half one behind them. */
static void send_burst(struct culprit *culprit, struct weir_conn *conn)
{
    const struct misbehave *misbehave = culprit->misbehave;

    weir_conn_send(conn, (struct weir_bytes){ misbehave->burst, misbehave->burst_len });
    culprit->life.messages += misbehave->whole;
}

/* ---- split ---- */

static size_t piece_len(struct culprit *culprit, size_t left)
{
    const size_t mean = culprit->misbehave->wire_len / PIECES_MAX;
    const size_t len = mean ? 1 + (size_t)(next_random(&culprit->random) % (2 * mean)) : 1;

    return len < left ? len : left;
}

/* A message counts from its first piece on: over raw its answer may begin to come then. */
static void split_step(struct culprit *culprit, struct weir_conn *conn)
{
    const struct misbehave *misbehave = culprit->misbehave;
    const size_t len = piece_len(culprit, misbehave->wire_len - culprit->sent);

    if (weir_conn_send(conn, (struct weir_bytes){ misbehave->burst + culprit->sent, len }) < 0) return;
    if (culprit->sent == 0) culprit->life.messages++;
    culprit->life.pieces++;
    culprit->sent += len;
    culprit->is_within = culprit->sent < misbehave->wire_len;
    if (culprit->is_within) {
        misbehave_step_later(culprit, conn);
        return;
    }
    culprit->sent = 0;
    if (misbehave->config.one_way || culprit->life.answers == culprit->life.messages)
        misbehave_step_later(culprit, conn);
}

static void split_answer(struct culprit *culprit, struct weir_conn *conn)
{
    const bool waits = !culprit->is_within && !culprit->misbehave->config.one_way;

    if (waits && culprit->life.answers == culprit->life.messages) misbehave_step_later(culprit, conn);
}

/* ---- half ---- */

static void half_begin(struct culprit *culprit, struct weir_conn *conn)
{
    send_burst(culprit, conn);
    weir_conn_end(conn);
}

/* ---- reset ---- */

/* With this reason the engine closes with a reset (weir_conn_abort). */
static void reset_step(struct culprit *culprit, struct weir_conn *conn)
{
    culprit->is_ours = true;
    weir_conn_abort(conn, WEIR_REASON_SLOW_READER);
}

/* Whoever waits for the answers knows that the server has the half message too, and that the resets before this one
 * have done it no harm. */
static void reset_begin(struct culprit *culprit, struct weir_conn *conn)
{
    send_burst(culprit, conn);
    if (culprit->misbehave->config.one_way) misbehave_step_later(culprit, conn);
}

static void reset_answer(struct culprit *culprit, struct weir_conn *conn)
{
    if (culprit->life.answers == culprit->misbehave->whole) reset_step(culprit, conn);
}

/* ---- slow-read ---- */

static size_t unread_bytes_max(const struct misbehave *misbehave)
{
    const size_t share = UNREAD_BYTES_TOTAL / misbehave->config.connections;

    if (share < UNREAD_BYTES_MIN) return UNREAD_BYTES_MIN;
    return share < UNREAD_BYTES_MAX ? share : UNREAD_BYTES_MAX;
}

static void slow_read_step(struct culprit *culprit, struct weir_conn *conn)
{
    const struct misbehave *misbehave = culprit->misbehave;
    const size_t most = unread_bytes_max(misbehave);

    while (!culprit->is_all_sent) {
        const int result = weir_conn_send(conn, (struct weir_bytes){ misbehave->burst, misbehave->wire_len });
        if (result < 0) return;
        culprit->sent += misbehave->wire_len;
        culprit->life.messages++;
        culprit->is_all_sent = culprit->sent >= most;
        if (result > 0) return;
    }
}

static void slow_read_begin(struct culprit *culprit, struct weir_conn *conn)
{
    weir_conn_pause(conn, PAUSE_FAULT);
    slow_read_step(culprit, conn);
}

/* ---- garbage ---- */

/* It has not closed: it has taken what no client of its own would send. */
static void garbage_end(struct weir_timer *timer, void *arg)
{
    struct culprit *culprit = arg;

    (void)timer;
    culprit->is_all_sent = true;
    culprit->since_ns = clock_ns();
    weir_conn_end(culprit->conn);
}

/* A server that closes for the first bytes may read the others for a while, and throw them away: its end is waited for.
 */
static void garbage_wait(struct culprit *culprit, struct weir_conn *conn)
{
    culprit->conn = conn;
    if (weir_timer_start(culprit->misbehave->weir, weir_conn_worker(conn), GARBAGE_WAIT_MS, 0, garbage_end, culprit,
                         &culprit->timer))
        weir_conn_abort(conn, WEIR_REASON_MEMORY);
}

static void garbage_step(struct culprit *culprit, struct weir_conn *conn)
{
    uint64_t chunk[GARBAGE_CHUNK_BYTES / sizeof(uint64_t)];
    int result = 0;

    if (culprit->sent >= GARBAGE_BYTES) return;
    for (size_t i = 0; i < sizeof(chunk) / sizeof(chunk[0]); i++)
        chunk[i] = next_random(&culprit->random);
    result = weir_conn_send(conn, (struct weir_bytes){ (const unsigned char *)chunk, sizeof(chunk) });
    if (result < 0) return;
    culprit->sent += sizeof(chunk);
    if (culprit->sent >= GARBAGE_BYTES)
        garbage_wait(culprit, conn);
    else if (result == 0)
        misbehave_step_later(culprit, conn);
}

/* ---- The table ---- */

const struct misbehave_fault_spec misbehave_faults[MISBEHAVE_FAULT_COUNT] = {
    [MISBEHAVE_SPLIT] = { .begin = split_step, .step = split_step, .answer = split_answer, .is_repeated = true },
    [MISBEHAVE_HALF] = { .begin = half_begin, .is_repeated = true },
    [MISBEHAVE_RESET] = { .begin = reset_begin, .step = reset_step, .answer = reset_answer, .is_repeated = true },
    [MISBEHAVE_SILENT] = { .begin = NULL },
    [MISBEHAVE_SLOW_READ] = { .begin = slow_read_begin, .step = slow_read_step, .output_bytes_max = OUTPUT_BYTES_MAX },
    [MISBEHAVE_GARBAGE] = { .begin = garbage_step,
                            .step = garbage_step,
                            .is_raw = true,
                            .is_repeated = true,
                            .output_bytes_max = OUTPUT_BYTES_MAX },
};

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The end of a turn. Each list is gone through once, as long as it was at the start: what is added meanwhile waits for
 * the next turn, so that no turn is endless and sockets have theirs in between. */
#include "turn.h"

#include <errno.h>
#include <inttypes.h>

#include "conn/conn.h"
#include "engine.h"
#include "log.h"
#include "portable.h"
#include "timer.h"
#include "worker.h"

static bool is_over_memory(const struct weir__worker *worker)
{
    return atomic_load_explicit(&worker->memory_over, memory_order_relaxed);
}

/* Those that were listed when the turn began: who joined since has had its share of this turn already. Over the memory
 * bound the rest have theirs in the next one. */
static void serve_runnable(struct weir__worker *worker)
{
    for (size_t left = worker->runnable_before; left > 0 && !TAILQ_EMPTY(&worker->runnable); left--) {
        struct weir__work *work = TAILQ_FIRST(&worker->runnable);

        if (is_over_memory(worker)) return;
        weir__worker_wakes(worker);
        weir__work_unlist_runnable(worker, work);
        weir__conn_run(work->conn);
    }
}

static void flush_dirty(struct weir__worker *worker)
{
    for (size_t left = worker->dirty_count; left > 0 && !TAILQ_EMPTY(&worker->dirty); left--) {
        struct weir__work *work = TAILQ_FIRST(&worker->dirty);

        weir__work_unlist_dirty(worker, work);
        weir__conn_flush(work->conn);
    }
}

static size_t bytes_held(const struct weir_conn *conn)
{
    if (!conn->work || conn->state == WEIR__CLOSED) return 0;
    return conn->work->rest_room + conn->work->out_bytes;
}

static size_t most_held(const struct weir__worker *worker)
{
    size_t most = 0;
    uint32_t place = 0;

    for (const struct weir_conn *conn; (conn = weir__conn_table_next(&worker->conns, &place));) {
        if (bytes_held(conn) > most) most = bytes_held(conn);
    }
    return most;
}

static struct weir__worker *heaviest_worker(const struct weir *weir)
{
    struct weir__worker *heaviest = weir->workers[0];

    for (unsigned i = 1; i < weir->workers_count; i++) {
        if (atomic_load_explicit(&weir->workers[i]->memory_bytes, memory_order_relaxed) >
            atomic_load_explicit(&heaviest->memory_bytes, memory_order_relaxed))
            heaviest = weir->workers[i];
    }
    return heaviest;
}

/* One walk closes all that hold more than half of the most, but no more of them than it takes. */
static void close_heaviest(struct weir__worker *worker, size_t most, uint64_t enough)
{
    struct weir *weir = worker->weir;
    uint64_t freed = 0;
    uint32_t place = 0;

    for (struct weir_conn *conn; (conn = weir__conn_table_next(&worker->conns, &place));) {
        if (bytes_held(conn) <= most / 2) continue;
        if (atomic_load_explicit(&weir->memory_bytes, memory_order_relaxed) <= enough + freed) break;
        freed += bytes_held(conn);
        weir__log(worker, WEIR_LOG_WARNING, WEIR_LOG_MEMORY,
                  "#%" PRIu64 " closed for memory: it held %zu bytes, and all together hold more than %" PRIu64,
                  conn->id, bytes_held(conn), weir->memory_bytes_max);
        weir__conn_abort(conn, WEIR_REASON_MEMORY, ENOMEM);
    }
    weir__conn_bury_all(worker); /* this gives their memory back */
}

/* Over the bound, those who hold the most go, until a sixteenth is free: with that much air the table is not walked for
 * every buffer. They may be another worker's; then it is told, and whoever came last here, with little, stays. */
static void relieve_memory(struct weir__worker *worker)
{
    struct weir *weir = worker->weir;
    const uint64_t enough = weir->memory_bytes_max - weir->memory_bytes_max / 16;

    atomic_store_explicit(&worker->memory_over, false, memory_order_relaxed);
    while (atomic_load_explicit(&weir->memory_bytes, memory_order_relaxed) > enough) {
        struct weir__worker *heaviest = heaviest_worker(weir);
        const size_t most = most_held(worker);

        if (heaviest != worker) {
            atomic_store_explicit(&heaviest->memory_over, true, memory_order_relaxed);
            weir__mailbox_wake(&heaviest->mailbox);
            return;
        }
        if (most == 0) return;
        close_heaviest(worker, most, enough);
    }
}

/* Without memory for a timer the loop would sleep through a deadline. Then we look in each turn, and turns do not wait.
 */
static void keep_time(struct weir__worker *worker)
{
    if (!weir__timeouts_will_wake(&worker->timeouts))
        weir__timeouts_run(&worker->timeouts, weir__worker_now(worker), weir__conn_check_deadlines);
    if (worker->sleepless) weir__timer_sleep_all(worker);
}

/* A callback that runs behind on_turn, on_close above all, makes the worker busy anew, and the next turn comes without
 * an event: what the program gathers there would otherwise lie until there is one, which can be an hour. */
static void tell_turn(struct weir__worker *worker)
{
    const struct weir_config *config = &worker->weir->config;

    if (!worker->busy) return;
    weir__count(&worker->counters.turns, 1);
    if (config->on_turn) config->on_turn(worker->weir, worker->index, config->user);
    worker->busy = false;
}

static bool owes_more(const struct weir__worker *worker)
{
    return worker->runnable_count > 0 || worker->dirty_count > 0 || worker->sleepless ||
           (worker->busy && worker->weir->config.on_turn) || !weir__timeouts_will_wake(&worker->timeouts);
}

bool weir__turn_end(struct weir__worker *worker)
{
    WEIR__DEBUG_ASSERT(weir__worker_is_own(worker) && !worker->reading && !worker->delivering);
    serve_runnable(worker);
    tell_turn(worker);
    flush_dirty(worker);
    if (is_over_memory(worker)) relieve_memory(worker);
    keep_time(worker);
    weir__conn_bury_all(worker);
    worker->runnable_before = worker->runnable_count;
    worker->now_ms = 0;
    return owes_more(worker);
}

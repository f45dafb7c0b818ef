/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The public entry points: check what was asked, and hand it to the room that does it. Listening, dialling, timers and
 * what any thread may ask are in listener.c, dial.c, timer.c and post.c. */
#include "engine.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "conn/conn.h"
#include "conn/stream_out.h"
#include "fail.h"
#include "fork.h"
#include "listener.h"
#include "memory.h"
#include "portable.h"
#include "timer.h"
#include "worker.h"

enum { WORKERS_MAX = 256 };

/* ---- The engine ---- */

struct bound {
    const char *name;
    int64_t *value;
    int64_t standard;
    int64_t most;
};

static int fill_bounds(struct weir_config *config)
{
    const int64_t tebibyte = INT64_C(1) << 40;
    const struct bound bounds[] = {
        { "clients_max", &config->clients_max, 1 << 28, 1 << 28 }, /* by default what weir_new finds room for */
        { "memory_bytes_max", &config->memory_bytes_max, INT64_C(1) << 30, tebibyte },
        { "mailbox_items_max", &config->mailbox_items_max, 65536, 1 << 28 },
        { "mailbox_bytes_max", &config->mailbox_bytes_max, 64 << 20, tebibyte },
    };

    for (size_t i = 0; i < sizeof(bounds) / sizeof(*bounds); i++) {
        if (*bounds[i].value == 0) *bounds[i].value = bounds[i].standard;
        if (*bounds[i].value < 1 || *bounds[i].value > bounds[i].most)
            return weir__fail(NULL, WEIR_ECONFIG, "%s: %lld is not between 1 and %lld", bounds[i].name,
                              (long long)*bounds[i].value, (long long)bounds[i].most);
    }
    return 0;
}

static int fill_config(const struct weir_config *given, struct weir_config *ret)
{
    memset(ret, 0, sizeof(*ret));
    if (given) {
        if (given->size < sizeof(given->size) || given->size > sizeof(*ret))
            return weir__fail(NULL, WEIR_ECONFIG, "config: size is not set, or of a newer version; use WEIR_CONFIG");
        memcpy(ret, given, given->size);
    }
    if (ret->workers == 0) ret->workers = 1;
    if (ret->workers > WORKERS_MAX)
        return weir__fail(NULL, WEIR_ECONFIG, "workers: %u is more than %d", ret->workers, WORKERS_MAX);
    if (ret->first_id == 0) ret->first_id = 1;
    if (ret->first_id >= UINT64_C(1) << 53)
        return weir__fail(NULL, WEIR_ECONFIG, "first_id: %llu is not under 2^53", (unsigned long long)ret->first_id);
    if (ret->log_level == 0) ret->log_level = WEIR_LOG_INFO;
    if ((unsigned)ret->log_level > WEIR_LOG_DEBUG)
        return weir__fail(NULL, WEIR_ECONFIG, "log_level: %d is no level", (int)ret->log_level);
    return fill_bounds(ret);
}

static int make_workers(struct weir *weir)
{
    weir->workers = weir__zalloc(weir->config.workers * sizeof(*weir->workers));
    if (!weir->workers) return -ENOMEM;
    for (unsigned i = 0; i < weir->config.workers; i++) {
        const int err = weir__worker_new(weir, i, &weir->workers[i]);
        if (err != 0) return err;
        weir->workers_count++;
    }
    return 0;
}

int weir_new(const struct weir_config *config, struct weir **ret)
{
    struct weir_config filled;
    struct weir *weir;
    int err;

    if (!ret) return weir__fail(NULL, -EINVAL, "new: the place for the engine is NULL");
    err = fill_config(config, &filled);
    if (err != 0) return err;
    weir = weir__forks_watch() == 0 ? weir__zalloc(sizeof(*weir)) : NULL;
    if (!weir) return weir__fail(NULL, -ENOMEM, "new: %s", weir_strerror(-ENOMEM));
    weir->forks = atomic_load(&weir__forks);
    weir->config = filled;
    weir->memory_bytes_max = (uint64_t)filled.memory_bytes_max;
    weir->next_id = filled.first_id;
    weir->id_limit = UINT64_MAX;
    weir->stop_deadline_ms = INT64_MAX;
    pthread_mutex_init(&weir->lock, NULL);
    err = make_workers(weir);
    if (err != 0) {
        weir_free(weir);
        return weir__fail(NULL, err, "new: %s", weir_strerror(err));
    }
    weir->room_is_found = !config || config->clients_max == 0;
    weir->admission.clients_max = weir->room_is_found ? weir__admission_room() : (uint64_t)filled.clients_max;
    *ret = weir;
    return 0;
}

int weir_set_first_id(struct weir *weir, uint64_t first_id)
{
    if (!weir__is_usable(weir)) return weir__misuse(weir, "set_first_id", NULL);
    if (first_id == 0 || first_id >= UINT64_C(1) << 53)
        return weir__fail(weir, WEIR_ECONFIG, "first_id: %llu is not from 1 to under 2^53",
                          (unsigned long long)first_id);
    atomic_store_explicit(&weir->next_id, first_id, memory_order_relaxed);
    return 0;
}

void weir_set_id_limit(struct weir *weir, uint64_t limit)
{
    atomic_store(&weir->id_limit, limit);
    weir__listener_resume_all(weir);
}

uint64_t weir_next_id(const struct weir *weir)
{
    return atomic_load_explicit(&weir->next_id, memory_order_relaxed);
}

static void *worker_thread(void *arg)
{
    struct weir__worker *worker = arg;

    worker->result = weir__worker_run(worker);
    if (worker->result != 0) weir_stop(worker->weir, 0);
    return NULL;
}

/* A thread that takes no signals: a handler of the program's expects to run in a thread of the program's. */
static int start_thread(struct weir__worker *worker)
{
    sigset_t all;
    sigset_t before;
    int error;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&worker->thread, NULL, worker_thread, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -error;
}

/* All but the first worker have threads of their own; when one cannot start, those that did are stopped again. */
static int start_threads(struct weir *weir)
{
    for (unsigned i = 1; i < weir->workers_count; i++) {
        struct weir__worker *worker = weir->workers[i];
        const int err = start_thread(worker);

        if (err != 0) {
            weir_stop(weir, 1);
            return weir__fail(weir, err, "worker %u: %s", i, weir_strerror(err));
        }
        worker->started = true;
    }
    return 0;
}

static int join_threads(struct weir *weir, int err)
{
    for (unsigned i = 1; i < weir->workers_count; i++) {
        struct weir__worker *worker = weir->workers[i];

        if (!worker->started) continue;
        pthread_join(worker->thread, NULL);
        worker->started = false;
        if (err == 0) err = worker->result;
    }
    return err;
}

/* Whoever has another thread may bring something from there, and from a signal handler nobody may: so only a process
 * that never had one is told, and it is certain. */
static bool would_wait_for_ever(const struct weir *weir)
{
    if (!WEIR__SINGLE_THREADED || atomic_load(&weir->stopping) || weir->listeners) return false;
    for (unsigned i = 0; i < weir->workers_count; i++) {
        if (!weir__worker_has_nothing(weir->workers[i])) return false;
    }
    return true;
}

/* Under the lock: whoever has found that it had not run yet is done with what it does at once. */
static bool begin_run(struct weir *weir)
{
    bool has_run;

    pthread_mutex_lock(&weir->lock);
    has_run = atomic_exchange(&weir->has_run, true);
    pthread_mutex_unlock(&weir->lock);
    return has_run;
}

int weir_run(struct weir *weir)
{
    int err;

    if (!weir__is_usable(weir)) return weir__misuse(weir, "run", NULL);
    if (would_wait_for_ever(weir))
        return weir__fail(weir, -EDEADLK,
                          "run: it would wait for ever: there is no listener, connection, timer, post or event, and no "
                          "other thread to bring one; weir_listen, weir_dial or weir_timer_start first");
    if (begin_run(weir)) return weir__fail(weir, WEIR_ESTOPPED, "run: it has run already");
    atomic_store(&weir->running, true);
    err = start_threads(weir);
    if (err == 0) {
        err = weir__worker_run(weir->workers[0]);
        if (err != 0) weir_stop(weir, 0);
    }
    err = join_threads(weir, err);
    atomic_store(&weir->running, false);
    if (err != 0) return weir__fail(weir, err, "run: %s", weir_strerror(err));
    if (atomic_load(&weir->cut_off) == 0) return 0;
    return weir__fail(weir, -ETIMEDOUT, "stop: %llu connections had not drained at the deadline",
                      (unsigned long long)atomic_load(&weir->cut_off));
}

static void finish_workers(struct weir *weir)
{
    for (unsigned i = 0; i < weir->workers_count; i++)
        weir__worker_finish(weir->workers[i]);
}

void weir_free(struct weir *weir)
{
    struct weir_listener *listener;

    if (!weir) return;
    if (!weir__is_foreign(weir)) {
        finish_workers(weir);
    } else if (!weir__fork_let_go(weir)) {
        return;
    }
    while ((listener = weir->listeners)) {
        weir->listeners = weir__listener_next(listener);
        weir__listener_free(listener);
    }
    for (unsigned i = 0; i < weir->workers_count; i++) {
        weir__timer_free_all(weir->workers[i]);
        weir__worker_free(weir->workers[i]);
    }
    pthread_mutex_destroy(&weir->lock);
    weir__free(weir->workers);
    weir__free(weir);
}

unsigned weir_workers(const struct weir *weir)
{
    return weir ? weir->workers_count : 0;
}

struct event_base *weir_worker_base(struct weir *weir, unsigned worker)
{
    return weir__is_usable(weir) && worker < weir->workers_count ? weir->workers[worker]->base : NULL;
}

/* ---- Counters ---- */

static void add_tally(struct weir_counters *sum, const struct weir__tally *tally)
{
    sum->accepted += weir__read_count(&tally->accepted);
    sum->dialled += weir__read_count(&tally->dialled);
    sum->messages_in += weir__read_count(&tally->messages_in);
    sum->messages_out += weir__read_count(&tally->messages_out);
    sum->messages_skipped += weir__read_count(&tally->messages_skipped);
    sum->messages_truncated += weir__read_count(&tally->messages_truncated);
    sum->skipped_bytes += weir__read_count(&tally->skipped_bytes);
    sum->bytes_in += weir__read_count(&tally->bytes_in);
    sum->bytes_out += weir__read_count(&tally->bytes_out);
    sum->strangers += weir__read_count(&tally->strangers);
    for (unsigned i = 0; i < WEIR_REASON_COUNT; i++)
        sum->closed[i] += weir__read_count(&tally->closed[i]);
}

static void add_worker(struct weir_counters *sum, struct weir__worker *worker)
{
    sum->accept_errors += weir__read_count(&worker->counters.accept_errors);
    sum->accept_pauses += weir__read_count(&worker->counters.accept_pauses);
    sum->turns += weir__read_count(&worker->counters.turns);
    sum->mailbox_full += weir__mailbox_refused(&worker->mailbox);
    add_tally(sum, &worker->dialled);
}

/* The list only grows at its head, until weir_free. */
static const struct weir_listener *first_listener(struct weir *weir)
{
    const struct weir_listener *first;

    pthread_mutex_lock(&weir->lock);
    first = weir->listeners;
    pthread_mutex_unlock(&weir->lock);
    return first;
}

static void add_engine(struct weir_counters *sum, struct weir *weir)
{
    for (unsigned i = 0; i < weir->workers_count; i++)
        add_worker(sum, weir->workers[i]);
    for (const struct weir_listener *listener = first_listener(weir); listener;
         listener = weir__listener_next(listener)) {
        for (unsigned i = 0; i < weir->workers_count; i++)
            add_tally(sum, weir__listener_tally(listener, i));
    }
    sum->clients = weir__read_count(&weir->admission.clients);
    sum->clients_max = weir__read_count(&weir->admission.clients_max);
    sum->memory_bytes = weir__read_count(&weir->memory_bytes);
    sum->memory_bytes_max = weir->memory_bytes_max;
}

void weir_counters(struct weir *weir, struct weir_counters *ret)
{
    struct weir_counters sum = { .size = ret ? ret->size : 0 };

    if (!ret) return;
    if (weir__is_usable(weir)) add_engine(&sum, weir);
    memcpy(ret, &sum, sum.size < sizeof(sum) ? sum.size : sizeof(sum));
}

/* ---- A connection ---- */

/* What is called once or a few times for a connection; calls for each message ask in debug builds only. */
static void assert_own(const struct weir_conn *conn)
{
    assert(!conn || weir__worker_is_own(weir__conn_worker(conn)));
}

int weir_conn_send(struct weir_conn *conn, struct weir_bytes message)
{
    WEIR__DEBUG_ASSERT(!conn || weir__worker_is_own(weir__conn_worker(conn)));
    return conn ? weir__conn_send(conn, message) : -EINVAL;
}

void weir_conn_close(struct weir_conn *conn)
{
    assert_own(conn);
    if (conn) weir__conn_finish(conn, WEIR_REASON_CLOSED);
}

void weir_conn_end(struct weir_conn *conn)
{
    assert_own(conn);
    if (conn) weir__conn_end(conn);
}

void weir_conn_abort(struct weir_conn *conn, enum weir_reason reason)
{
    const bool known = reason > WEIR_REASON_NONE && reason < WEIR_REASON_COUNT;

    assert_own(conn);
    if (conn) weir__conn_abort(conn, known ? reason : WEIR_REASON_KICKED, 0);
}

void weir_conn_pause(struct weir_conn *conn, unsigned owner)
{
    assert(owner < WEIR_PAUSE_OWNERS_MAX);
    WEIR__DEBUG_ASSERT(!conn || weir__worker_is_own(weir__conn_worker(conn)));
    if (conn) weir__conn_pause(conn, owner);
}

void weir_conn_resume(struct weir_conn *conn, unsigned owner)
{
    assert(owner < WEIR_PAUSE_OWNERS_MAX);
    WEIR__DEBUG_ASSERT(!conn || weir__worker_is_own(weir__conn_worker(conn)));
    if (conn) weir__conn_resume(conn, owner);
}

void weir_conn_hold(struct weir_conn *conn)
{
    if (!conn) return;
    WEIR__DEBUG_ASSERT(weir__worker_is_own(weir__conn_worker(conn)));
    assert(conn->holds < UINT32_MAX);
    conn->holds++;
}

void weir_conn_release(struct weir_conn *conn)
{
    if (!conn) return;
    WEIR__DEBUG_ASSERT(weir__worker_is_own(weir__conn_worker(conn)));
    assert(conn->holds > 0);
    conn->holds--;
    weir__conn_advance(conn);
}

uint64_t weir_conn_id(const struct weir_conn *conn)
{
    return conn ? conn->id : 0;
}

const char *weir_conn_peer(const struct weir_conn *conn, char ret[WEIR_ADDRESS_BYTES_MAX])
{
    const struct weir__peer nobody = { 0 };

    return ret ? weir__peer_text(conn ? &conn->peer : &nobody, ret) : "unknown";
}

int weir_conn_credentials(const struct weir_conn *conn, struct weir_credentials *ret)
{
    struct ucred found;
    socklen_t len = sizeof(found);

    assert_own(conn);
    if (!conn || !ret) return -EINVAL;
    if (weir__conn_fd(conn) < 0) return -ENOTCONN;
    if (conn->peer.family != WEIR__FAMILY_UNIX) return -ENOTSUP;
    if (getsockopt(weir__conn_fd(conn), SOL_SOCKET, SO_PEERCRED, &found, &len) != 0) return -errno;
    *ret = (struct weir_credentials){ .pid = found.pid, .uid = found.uid, .gid = found.gid };
    return 0;
}

int weir_conn_unacknowledged(const struct weir_conn *conn, uint64_t *ret)
{
    int bytes = 0;
    int err;

    assert_own(conn);
    if (!conn || !ret) return -EINVAL;
    if (weir__conn_fd(conn) < 0) return -ENOTCONN;
    err = weir__stream_out_unacknowledged(conn, &bytes);
    if (err == 0) *ret = (uint64_t)bytes;
    return err;
}

unsigned weir_conn_worker(const struct weir_conn *conn)
{
    return conn ? weir__conn_worker(conn)->index : 0;
}

struct weir *weir_conn_weir(const struct weir_conn *conn)
{
    return conn ? weir__conn_worker(conn)->weir : NULL;
}

struct weir_listener *weir_conn_listener(const struct weir_conn *conn)
{
    return conn ? conn->service->listener : NULL;
}

void *weir_conn_user(const struct weir_conn *conn)
{
    return conn ? conn->user : NULL;
}

void weir_conn_set_user(struct weir_conn *conn, void *user)
{
    assert_own(conn);
    if (conn) conn->user = user;
}

int weir_conn_error(const struct weir_conn *conn)
{
    return conn ? conn->error : 0;
}

struct event_base *weir_conn_base(const struct weir_conn *conn)
{
    return conn && weir__is_usable(weir__conn_worker(conn)->weir) ? weir__conn_worker(conn)->base : NULL;
}

void weir_conn_message(const struct weir_conn *conn, struct weir_message_info *ret)
{
    const struct weir_decode *message = conn ? weir__conn_worker(conn)->delivering : NULL;

    WEIR__DEBUG_ASSERT(!conn || weir__worker_is_own(weir__conn_worker(conn)));
    if (!ret) return;
    *ret = (struct weir_message_info){ .seq = conn ? conn->messages_in : 0 };
    if (!message) return;
    ret->original_len = message->original_len;
    ret->flags = message->flags;
}

void weir_conn_counters(const struct weir_conn *conn, struct weir_conn_counters *ret)
{
    WEIR__DEBUG_ASSERT(!conn || weir__worker_is_own(weir__conn_worker(conn)));
    if (!ret) return;
    *ret = (struct weir_conn_counters){ 0 };
    if (!conn) return;
    *ret = (struct weir_conn_counters){
        .messages_in = conn->messages_in,
        .messages_out = conn->messages_out,
        .bytes_in = conn->bytes_in,
        .bytes_out = conn->bytes_out,
        .input_bytes = weir__conn_rest_bytes(conn),
        .output_bytes = weir__conn_output_bytes(conn),
        .holds = conn->holds,
    };
}

struct weir_bytes weir_conn_unfinished(const struct weir_conn *conn)
{
    const struct weir__work *work = conn ? conn->work : NULL;

    if (!work || weir__conn_rest_bytes(conn) == 0 || conn->undecoded || weir__conn_worker(conn)->reading == conn ||
        (conn->end_told && conn->state != WEIR__CLOSED))
        return (struct weir_bytes){ NULL, 0 };
    return (struct weir_bytes){ work->rest + work->rest_begin, work->rest_end - work->rest_begin };
}

void weir_conn_each(struct weir *weir, unsigned worker, void (*fn)(struct weir_conn *conn, void *arg), void *arg)
{
    uint32_t place = 0;

    if (!weir__is_usable(weir) || worker >= weir->workers_count || !fn) return;
    assert(weir__worker_is_own(weir->workers[worker]));
    for (struct weir_conn *conn; (conn = weir__conn_table_next(&weir->workers[worker]->conns, &place));) {
        if (conn->state == WEIR__OPEN || conn->state == WEIR__DRAINING) fn(conn, arg);
    }
}

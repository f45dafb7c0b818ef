/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The clients: connects them, keeps each as busy as the plan says, counts what comes of it, and
 * connects again whatever has ended. Everything about a client runs on the worker of its connection, and nothing on the
 * way of a message is shared between workers, but for the number of messages where that is bounded. Must never be what
 * a server waits for. */
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LOOK_EVERY_MS = 10,     /* what is done now and then: ends of lifetimes, dialling again, telling worker 0 */
    SHOW_EVERY_MS = 500,    /* the results, for the live line */
    DIAL_AGAIN_MS = 100,    /* after a connection that went wrong */
    ONE_WAY_BYTES = 65536,  /* what waits on a connection: enough for the kernel to be busy, and soon gone at the end */
    ONE_WAY_MESSAGES = 4096 /* begun at once */
};

/* ---- Messages ---- */

/* How many of those wanted may be begun: all, unless their number is bounded. Must be asked for no more than is sent
 * right away: whom nothing is left for does not ask again. */
static uint64_t grant(struct load *load, uint64_t wanted)
{
    const uint64_t max = load->plan->messages_max;
    uint64_t before = atomic_load_explicit(&load->granted, memory_order_relaxed);
    uint64_t granted = wanted;

    if (!max) return wanted;
    do
        granted = max - before < wanted ? max - before : wanted;
    while (granted && !atomic_compare_exchange_weak(&load->granted, &before, before + granted));
    return granted;
}

static void give_back(struct load *load, uint64_t count)
{
    if (load->plan->messages_max) atomic_fetch_sub(&load->granted, count);
}

static bool is_all_granted(const struct load *load)
{
    const uint64_t max = load->plan->messages_max;

    return max && atomic_load(&load->granted) >= max;
}

/* The next piece, of up to so many messages, as far as they may be begun. *ret_count is 0 when none may. */
static struct weir_bytes take_granted(struct load_worker *worker, uint64_t wanted, size_t *ret_count)
{
    const struct messages *messages = &worker->load->plan->messages;
    size_t cursor = worker->cursor;
    struct weir_bytes bytes = messages_take(messages, &cursor, wanted, ret_count);
    const uint64_t granted = grant(worker->load, *ret_count);

    if (!granted) {
        *ret_count = 0;
        return bytes;
    }
    if (granted < *ret_count) {
        cursor = worker->cursor;
        bytes = messages_take(messages, &cursor, granted, ret_count);
    }
    worker->cursor = cursor;
    return bytes;
}

/* Notes messages that have just been sent, from number `cursor` on. */
static void note_sent(struct client *client, size_t cursor, size_t count, int64_t since_ns)
{
    struct load_worker *worker = client->worker;
    const struct load_plan *plan = client->load->plan;

    worker->begun += count;
    worker->results.sent += count;
    client->sent += count;
    if (client->left != UINT64_MAX) client->left -= count;
    if (plan->one_way) return;
    worker->in_flight += count;
    for (size_t i = 0; i < count; i++) {
        const uint32_t at = client->first + client->in_flight++;
        client->ring[at < plan->depth ? at : at - plan->depth] =
            (struct load_pending){ since_ns, messages_bytes(&plan->messages, cursor + i) };
    }
}

/* Sends so many messages, or as many as may be begun. Returns their number. */
static uint64_t send_messages(struct client *client, uint64_t count, int64_t since_ns)
{
    struct load_worker *worker = client->worker;
    uint64_t left = count < client->left ? count : client->left;
    uint64_t sent = 0;

    while (left > 0 && !client->is_blocked) {
        const size_t cursor = worker->cursor;
        size_t taken = 0;
        const struct weir_bytes bytes = take_granted(worker, left, &taken);
        int result = 0;

        if (!taken) break;
        result = weir_conn_send(client->conn, bytes);
        if (result == -ENOMEM || result == -ENOBUFS) weir_conn_abort(client->conn, WEIR_REASON_MEMORY);
        if (result < 0) { /* on its way out: on_close says why */
            give_back(client->load, taken);
            break;
        }
        note_sent(client, cursor, taken, since_ns);
        client->is_blocked = result > 0;
        left -= taken;
        sent += taken;
    }
    return sent;
}

/* A connection that may begin no further message ends once all it began are answered. */
static void close_if_done(struct client *client)
{
    if (!client->left && !client->in_flight) weir_conn_close(client->conn);
}

/* Goes on with a client that may be able to send. */
static void go_on(struct client *client, int64_t now_ns)
{
    struct load_worker *worker = client->worker;
    const struct load_plan *plan = client->load->plan;

    if (!client->left || !worker->is_sending || client->is_blocked) {
        close_if_done(client);
    } else if (plan->interval_ns > 0) {
        if (client->in_flight < plan->depth) pace_add(worker, client);
        pace_run(worker, now_ns);
    } else {
        while (send_messages(client, plan->one_way ? ONE_WAY_MESSAGES : plan->depth - client->in_flight, now_ns) &&
               plan->one_way) {
        }
        close_if_done(client);
    }
}

int load_send_due(struct client *client, int64_t due_ns)
{
    if (!send_messages(client, 1, due_ns)) return is_all_granted(client->load) ? -1 : 0;
    if (client->left && !client->is_blocked && client->in_flight < client->load->plan->depth)
        pace_add(client->worker, client);
    close_if_done(client);
    return 1;
}

/* It would have taken that long at least: without it, a server that stands still would look fast. */
void load_count_unsent(struct load_worker *worker, int64_t due_ns, int64_t now_ns, uint64_t times)
{
    const uint64_t count = grant(worker->load, times);

    worker->results.errors[BENCH_ERROR_UNSENT] += count;
    if (count && !worker->load->plan->one_way)
        histogram_record_times(&worker->results.latency, (uint64_t)(now_ns > due_ns ? now_ns - due_ns : 0), count);
}

/* ---- Answers ---- */

/* The oldest message in flight has its answer. */
static void take_answer(struct client *client, int64_t now_ns)
{
    struct load_worker *worker = client->worker;
    const int64_t took_ns = now_ns - client->ring[client->first].since_ns;

    histogram_record(&worker->results.latency, took_ns > 0 ? (uint64_t)took_ns : 0);
    worker->results.answered++;
    worker->in_flight--;
    client->in_flight--;
    client->first = client->first + 1 < client->load->plan->depth ? client->first + 1 : 0;
    client->answered_bytes = 0;
}

/* What comes before the first message is a greeting. */
static void count_unasked(struct client *client)
{
    if (client->sent) client->worker->results.errors[BENCH_ERROR_UNASKED]++;
}

static void on_answer(struct weir_conn *conn, struct weir_bytes message, void *user)
{
    struct client *client = user;
    int64_t now_ns = 0;

    (void)conn;
    (void)message;
    if (!client->in_flight) {
        count_unasked(client);
        return;
    }
    now_ns = clock_ns();
    client->worker->last_ns = now_ns;
    take_answer(client, now_ns);
    go_on(client, now_ns);
}

static void on_answer_bytes(struct weir_conn *conn, struct weir_bytes bytes, void *user)
{
    struct client *client = user;
    size_t left = bytes.len;
    int64_t now_ns = 0;

    (void)conn;
    if (!client->in_flight) {
        count_unasked(client);
        return;
    }
    now_ns = clock_ns();
    client->worker->last_ns = now_ns;
    while (client->in_flight) {
        const size_t missing = client->ring[client->first].bytes - client->answered_bytes;
        if (left < missing) break;
        left -= missing;
        take_answer(client, now_ns);
    }
    if (client->in_flight)
        client->answered_bytes += left;
    else if (left > 0)
        count_unasked(client);
    go_on(client, now_ns);
}

static void on_writable(struct weir_conn *conn, void *user)
{
    struct client *client = user;

    (void)conn;
    client->is_blocked = false;
    go_on(client, clock_ns());
}

/* ---- Connections ---- */

static int dial(struct client *client)
{
    struct load *load = client->load;
    const struct load_plan *plan = load->plan;
    struct weir_service service = load->service;
    char source[SOURCE_BYTES_MAX];

    if (plan->sources.count) service.source = sources_text(&plan->sources, atomic_fetch_add(&load->dials, 1), source);
    client->since_ns = clock_ns();
    return weir_dial(load->weir, load->url, &service, client, NULL);
}

static void dial_later(struct load_worker *worker, struct client *client, int64_t now_ns)
{
    client->since_ns = now_ns;
    TAILQ_INSERT_TAIL(&worker->later, client, in_list);
}

static void settle(struct client *client)
{
    if (client->is_settled) return;
    client->is_settled = true;
    atomic_fetch_add(&client->load->settled, 1); /* behind what worker 0 then looks at */
}

static void on_open(struct weir_conn *conn, void *user)
{
    struct client *client = user;
    struct load *load = client->load;
    struct load_worker *worker = &load->workers[weir_conn_worker(conn)];
    const int64_t now_ns = clock_ns();

    if (!atomic_fetch_add(&load->opened, 1)) again_url(load->url, conn); /* the one that all others dial */
    histogram_record(&worker->results.connect, (uint64_t)(now_ns - client->since_ns));
    worker->results.connects_done++;
    worker->results.connect_seconds = (double)(now_ns - load->first_dial_ns) / 1e9;
    client->worker = worker;
    client->conn = conn;
    client->since_ns = now_ns;
    client->sent = 0;
    client->left = load->plan->lifetime_messages;
    client->first = client->in_flight = 0;
    client->answered_bytes = 0;
    client->is_blocked = false;
    TAILQ_INSERT_TAIL(&worker->open, client, in_list);
    worker->open_count++;
    settle(client);
    if (worker->is_sending) go_on(client, now_ns);
}

/* At a fixed rate what has no answer counts with the time that it waited for one, as what was not sent does. */
static void count_waited(struct client *client)
{
    const uint32_t depth = client->load->plan->depth;
    const int64_t now_ns = clock_ns();

    for (uint32_t i = 0; i < client->in_flight; i++) {
        const uint32_t at = client->first + i;
        const int64_t waited_ns = now_ns - client->ring[at < depth ? at : at - depth].since_ns;

        histogram_record(&client->worker->results.latency, waited_ns > 0 ? (uint64_t)waited_ns : 0);
    }
}

/* What was begun on the connection and is not done. */
static void count_undone(struct client *client, const struct weir_conn_counters *counters)
{
    struct load_worker *worker = client->worker;
    const uint64_t out = counters->bytes_out + counters->output_bytes;

    worker->results.bytes_in += counters->bytes_in;
    worker->results.bytes_out += counters->bytes_out;
    worker->in_flight -= client->in_flight;
    worker->results.errors[BENCH_ERROR_UNANSWERED] += client->in_flight;
    if (client->load->plan->interval_ns > 0) count_waited(client);
    client->in_flight = 0;
    /* Of messages that differ in length this is as near as can be. */
    if (counters->output_bytes)
        worker->results.sent -= (uint64_t)((double)client->sent * (double)counters->output_bytes / (double)out + 0.999);
}

/* A server may go once it has answered all that there was. */
static bool is_all_done(const struct client *client, const struct load_worker *worker)
{
    return !client->in_flight && (worker->is_over || is_all_granted(client->load));
}

static void count_end(struct load_worker *worker, enum weir_reason reason, int error, bool was_open)
{
    worker->reason = reason;
    worker->error = error;
    worker->results.errors[bench_error_of(reason, was_open)]++;
    worker->results.connects_failed += !was_open;
}

static void on_close(struct weir_conn *conn, enum weir_reason reason, void *user)
{
    struct client *client = user;
    struct load *load = client->load;
    struct load_worker *worker = &load->workers[weir_conn_worker(conn)];
    const bool was_open = client->conn != NULL;
    const bool is_ending = atomic_load(&load->is_ending);
    const bool is_wanted = was_open && !weir_reason_is_error(reason) && (!client->left || is_all_done(client, worker));
    const int64_t now_ns = clock_ns();
    struct weir_conn_counters counters;

    if (was_open) {
        weir_conn_counters(conn, &counters);
        count_undone(client, &counters);
        pace_remove(worker, client);
        TAILQ_REMOVE(&worker->open, client, in_list);
        worker->open_count--;
        client->conn = NULL;
    }
    if (load->plan->one_way) worker->last_ns = now_ns;
    if (!is_wanted && !is_ending) count_end(worker, reason, weir_conn_error(conn), was_open);
    settle(client);
    if (is_ending || !atomic_load(&load->opened)) return; /* a server that was never there is not asked again */
    if (!is_wanted || dial(client)) dial_later(worker, client, now_ns);
}

int load_dial(struct load *load, size_t index)
{
    return dial(&load->clients[index]);
}

/* ---- Now and then, on each worker ---- */

/* Nothing leaves the list of those that are open before the turn's end. */
static void end_lifetimes(struct load_worker *worker, int64_t now_ns)
{
    const int64_t lifetime_ns = worker->load->plan->lifetime_ns;

    if (!lifetime_ns) return;
    for (struct client *client = TAILQ_FIRST(&worker->open); client; client = TAILQ_NEXT(client, in_list)) {
        if (now_ns - client->since_ns < lifetime_ns) return;
        client->left = 0;
        pace_remove(worker, client);
        close_if_done(client);
    }
}

static void dial_again(struct load_worker *worker, int64_t now_ns)
{
    struct client *client = NULL;

    while ((client = TAILQ_FIRST(&worker->later))) {
        if (now_ns - client->since_ns < DIAL_AGAIN_MS * INT64_C(1000000)) return;
        TAILQ_REMOVE(&worker->later, client, in_list);
        if (!dial(client)) continue;
        dial_later(worker, client, now_ns);
        return;
    }
}

static void tell(struct load_worker *worker)
{
    const bool one_way = worker->load->plan->one_way;

    atomic_store(&worker->seen_begun, worker->begun);
    atomic_store(&worker->seen_sent, worker->results.sent);
    atomic_store(&worker->seen_progress, one_way ? worker->results.sent : worker->results.answered);
    atomic_store(&worker->seen_open, worker->open_count);
    atomic_store(&worker->is_quiet, worker->is_over && !worker->in_flight);
}

/* Copying all is some 70 KiB: not more often than somebody looks. */
static void show(struct load_worker *worker, int64_t now_ns)
{
    struct load *load = worker->load;

    if (!load->is_watched || now_ns - worker->shown_ns < SHOW_EVERY_MS * INT64_C(1000000)) return;
    worker->shown_ns = now_ns;
    pthread_mutex_lock(&load->lock);
    worker->seen = worker->results;
    pthread_mutex_unlock(&load->lock);
}

static void look(struct weir_timer *timer, void *arg)
{
    struct load_worker *worker = arg;
    const int64_t now_ns = clock_ns();

    (void)timer;
    if (!atomic_load(&worker->load->is_ending)) {
        end_lifetimes(worker, now_ns);
        dial_again(worker, now_ns);
    }
    tell(worker);
    show(worker, now_ns);
}

/* ---- The start and the end of sending ---- */

static void prepare_worker(struct weir *weir, void *arg)
{
    struct load_worker *worker = arg;
    int err = weir_timer_start(weir, worker->index, LOOK_EVERY_MS, LOOK_EVERY_MS, look, worker, NULL);

    if (!err && worker->load->plan->interval_ns > 0) err = pace_open(worker);
    if (err) atomic_store(&worker->load->error, err);
}

static void begin_sending(struct weir *weir, void *arg)
{
    struct load_worker *worker = arg;

    (void)weir;
    worker->is_sending = true;
    pace_start(worker);
    for (struct client *client = TAILQ_FIRST(&worker->open); client; client = TAILQ_NEXT(client, in_list))
        go_on(client, clock_ns());
}

static void end_sending(struct weir *weir, void *arg)
{
    struct load_worker *worker = arg;

    (void)weir;
    worker->is_sending = false;
    worker->is_over = true;
    pace_end(worker, clock_ns());
    tell(worker);
}

static int post_all(struct load *load, void (*fn)(struct weir *weir, void *arg))
{
    int err = 0;

    for (unsigned i = 0; i < load->worker_count && !err; i++)
        err = weir_post(load->weir, i, fn, &load->workers[i]);
    return err;
}

int load_prepare(struct load *load)
{
    return post_all(load, prepare_worker);
}

int load_begin_sending(struct load *load)
{
    load->start_ns = clock_ns();
    return post_all(load, begin_sending);
}

int load_end_sending(struct load *load)
{
    load->end_ns = clock_ns();
    return post_all(load, end_sending);
}

/* ---- What is known of it ---- */

struct load_sight load_look(struct load *load)
{
    const uint64_t max = load->plan->messages_max;
    uint64_t begun = 0;
    struct load_sight sight = { .is_quiet = true };

    for (unsigned i = 0; i < load->worker_count; i++) {
        struct load_worker *worker = &load->workers[i];
        sight.is_quiet &= atomic_load(&worker->is_quiet);
        begun += atomic_load(&worker->seen_begun);
        sight.sent += atomic_load(&worker->seen_sent);
        sight.progress += atomic_load(&worker->seen_progress);
        sight.open += atomic_load(&worker->seen_open);
    }
    sight.is_all_begun = max && begun >= max;
    return sight;
}

void load_see_results(struct load *load, struct bench_results *ret)
{
    memset(ret, 0, sizeof(*ret));
    pthread_mutex_lock(&load->lock);
    for (unsigned i = 0; i < load->worker_count; i++)
        bench_results_merge(ret, &load->workers[i].seen);
    pthread_mutex_unlock(&load->lock);
}

/* All messages of a bounded number were sent when the last was answered; otherwise sending went on to its end, answered
 * or not. */
void load_results(const struct load *load, struct bench_results *ret)
{
    int64_t last_ns = is_all_granted(load) ? 0 : load->end_ns;

    memset(ret, 0, sizeof(*ret));
    for (unsigned i = 0; i < load->worker_count; i++) {
        bench_results_merge(ret, &load->workers[i].results);
        if (load->workers[i].last_ns > last_ns) last_ns = load->workers[i].last_ns;
    }
    if (!last_ns) last_ns = load->end_ns;
    if (load->start_ns) ret->seconds = (double)(last_ns - load->start_ns) / 1e9;
}

enum weir_reason load_reason(const struct load *load, int *ret_error)
{
    for (unsigned i = 0; i < load->worker_count; i++) {
        if (load->workers[i].reason == WEIR_REASON_NONE) continue;
        *ret_error = load->workers[i].error;
        return load->workers[i].reason;
    }
    *ret_error = 0;
    return WEIR_REASON_NONE;
}

/* ---- Life ---- */

int load_init(struct load *load, const struct load_plan *plan, struct weir *weir, const char *url)
{
    *load =
        (struct load){ .plan = plan, .weir = weir, .worker_count = weir_workers(weir), .first_dial_ns = clock_ns() };
    pthread_mutex_init(&load->lock, NULL);
    snprintf(load->url, sizeof(load->url), "%s", url);
    load->service = plan->service;
    load->service.on_open = on_open;
    load->service.on_message = plan->one_way ? NULL : plan->by_bytes ? on_answer_bytes : on_answer;
    load->service.on_writable = on_writable;
    load->service.on_close = on_close;
    if (plan->one_way) load->service.output_bytes_max = ONE_WAY_BYTES;
    load->clients = calloc(plan->clients, sizeof(*load->clients));
    load->rings = calloc(plan->clients, plan->depth * sizeof(*load->rings));
    load->workers = calloc(load->worker_count, sizeof(*load->workers));
    if (!load->clients || !load->rings || !load->workers) return -ENOMEM;
    for (size_t i = 0; i < plan->clients; i++)
        load->clients[i] = (struct client){ .load = load, .ring = load->rings + i * plan->depth };
    for (unsigned i = 0; i < load->worker_count; i++) {
        struct load_worker *worker = &load->workers[i];
        worker->load = load;
        worker->index = i;
        TAILQ_INIT(&worker->open);
        TAILQ_INIT(&worker->later);
        TAILQ_INIT(&worker->idle);
    }
    return 0;
}

void load_fini(struct load *load)
{
    free(load->clients);
    free(load->rings);
    free(load->workers);
    pthread_mutex_destroy(&load->lock);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A worker: its loop, its mailbox event, and how it starts and stops. */
#include "worker.h"

#include "engine.h"
#include "listener.h"
#include "memory.h"
#include "turn.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

int64_t weir__clock_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t weir__worker_now(struct weir__worker *worker)
{
    if (worker->now_ms == 0) worker->now_ms = weir__clock_ms();
    return worker->now_ms;
}

/* ---- Mail and flags ---- */

static void run_mail(struct weir__worker *worker, struct weir__mail *mail)
{
    while (mail != NULL) {
        struct weir__mail *next = mail->next;

        weir__worker_wakes(worker);
        mail->run(worker, mail);
        mail = next;
    }
}

static void let_input_go_on(struct weir__worker *worker)
{
    while (!TAILQ_EMPTY(&worker->held))
        weir__conn_unhold(TAILQ_FIRST(&worker->held)->conn);
}

static void cut_off(struct weir__worker *worker)
{
    uint64_t count = 0;
    uint32_t place = 0;

    for (struct weir_conn *conn; (conn = weir__conn_table_next(&worker->conns, &place)) != NULL;) {
        if (conn->state == WEIR__CLOSED) continue;
        if (conn->state == WEIR__LINGERING) { /* all it was owed has left */
            weir__conn_abort(conn, (enum weir_reason)conn->reason, conn->error);
            continue;
        }
        count++;
        weir__conn_abort(conn, WEIR_REASON_DRAIN_TIMEOUT, 0);
    }
    atomic_fetch_add(&worker->weir->cut_off, count);
}

static void on_stop_deadline(evutil_socket_t fd, short what, void *arg)
{
    struct weir__worker *worker = arg;

    (void)fd;
    (void)what;
    weir__worker_wakes(worker);
    cut_off(worker);
}

static void set_stop_deadline(struct weir__worker *worker)
{
    const int64_t deadline_ms = atomic_load(&worker->weir->stop_deadline_ms);
    const int64_t wait_ms = deadline_ms - weir__worker_now(worker);
    const struct timeval wait = { .tv_sec = wait_ms > 0 ? wait_ms / 1000 : 0,
                                  .tv_usec = wait_ms > 0 ? wait_ms % 1000 * 1000 : 0 };

    if (deadline_ms == INT64_MAX) return;
    if (evtimer_add(worker->stop_event, &wait) != 0) cut_off(worker);
}

static void start_stopping(struct weir__worker *worker)
{
    uint32_t place = 0;

    worker->stop_seen = 1;
    weir__listener_stop_all(worker);
    for (struct weir_conn *conn; (conn = weir__conn_table_next(&worker->conns, &place)) != NULL;)
        weir__conn_finish(conn, WEIR_REASON_DRAIN);
}

static void see_flags(struct weir__worker *worker)
{
    struct weir *weir = worker->weir;
    const int paused = atomic_load(&weir->input_pauses) > 0;

    if (paused != worker->input_paused) {
        worker->input_paused = paused;
        if (!paused) let_input_go_on(worker);
    }
    if (!atomic_load(&weir->stopping)) return;
    if (!worker->stop_seen) start_stopping(worker);
    set_stop_deadline(worker);
}

static void on_mailbox(evutil_socket_t fd, short what, void *arg)
{
    struct weir__worker *worker = arg;

    (void)fd;
    (void)what;
    weir__worker_wakes(worker);
    run_mail(worker, weir__mailbox_take(&worker->mailbox));
    see_flags(worker);
}

static void on_timeouts(evutil_socket_t fd, short what, void *arg)
{
    struct weir__worker *worker = arg;

    (void)fd;
    (void)what;
    weir__worker_wakes(worker);
    weir__timeouts_run(&worker->timeouts, weir__worker_now(worker), weir__conn_check_deadlines);
}

/* ---- Life ---- */

/* Libevent ends the process when it has no descriptors for its signal pipe (evsig_init_). So it is asked only when
 * there are enough: epoll's, two for the pipe, and one to spare. Returns 0, -EMFILE or the like. */
static int have_descriptors(void)
{
    enum { needed = 4 };
    int fds[needed];
    int count = 0;
    int err = 0;

    while (count < needed && err == 0) {
        fds[count] = eventfd(0, EFD_CLOEXEC);
        if (fds[count] < 0) {
            err = -errno;
        } else {
            count++;
        }
    }
    while (count > 0)
        close(fds[--count]);
    return err;
}

/* On epoll or not at all. Libevent falls back to poll when epoll has no memory or the environment says so; there
 * WEIR__WANT_GONE would be level-triggered, and one paused connection burn a core. */
static int new_base(struct event_base **ret)
{
    const int err = have_descriptors();
    struct event_config *config = err == 0 ? event_config_new() : NULL;

    if (config == NULL) return err != 0 ? err : -ENOMEM;
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV);
    event_config_require_features(config, EV_FEATURE_ET | EV_FEATURE_EARLY_CLOSE);
    *ret = event_base_new_with_config(config);
    event_config_free(config);
    return *ret == NULL ? -ENOMEM : 0;
}

static int init_events(struct weir__worker *worker)
{
    worker->mailbox_event = event_new(worker->base, worker->mailbox.eventfd, EV_READ | EV_PERSIST, on_mailbox, worker);
    worker->stop_event = evtimer_new(worker->base, on_stop_deadline, worker);
    if (worker->mailbox_event == NULL || worker->stop_event == NULL) return -ENOMEM;
    if (event_add(worker->mailbox_event, NULL) != 0 || weir__log_init(worker) != 0) return -ENOMEM;
    return weir__timeouts_init(&worker->timeouts, worker->base, on_timeouts, worker, weir__clock_ms());
}

static int init(struct weir__worker *worker)
{
    const struct weir_config *config = &worker->weir->config;
    int err =
        weir__mailbox_init(&worker->mailbox, (size_t)config->mailbox_items_max, (size_t)config->mailbox_bytes_max);

    if (err == 0) err = new_base(&worker->base);
    if (err != 0) return err;
    worker->scratch = weir__malloc(weir__scratch_bytes);
    if (worker->scratch == NULL) return -ENOMEM;
    err = weir__work_init(worker);
    return err != 0 ? err : init_events(worker);
}

int weir__worker_new(struct weir *weir, unsigned index, struct weir__worker **ret)
{
    struct weir__worker *worker = weir__zalloc(sizeof *worker);
    int err;

    if (worker == NULL) return -ENOMEM;
    worker->weir = weir;
    worker->index = index;
    TAILQ_INIT(&worker->runnable);
    TAILQ_INIT(&worker->dirty);
    TAILQ_INIT(&worker->held);
    TAILQ_INIT(&worker->timers);
    err = init(worker);
    if (err != 0) {
        weir__worker_free(worker);
        return err;
    }
    *ret = worker;
    return 0;
}

void weir__worker_free(struct weir__worker *worker)
{
    if (worker == NULL) return;
    weir__timeouts_fini(&worker->timeouts);
    weir__log_fini(worker);
    if (worker->stop_event != NULL) event_free(worker->stop_event);
    if (worker->mailbox_event != NULL) event_free(worker->mailbox_event);
    if (worker->base != NULL) event_base_free(worker->base);
    weir__mailbox_fini(&worker->mailbox);
    weir__conn_table_fini(&worker->conns);
    weir__work_fini(worker);
    weir__free(worker->scratch);
    weir__free(worker);
}

/* A worker without connections ends before the others do, and they may accept until they have seen the stop themselves:
 * a client handed over to us would be neither served nor sent away until weir_free. So the last look into the mailbox
 * shuts it for clients. */
static void retire(struct weir__worker *worker)
{
    run_mail(worker, weir__mailbox_retire(&worker->mailbox));
    weir__turn_end(worker);
    if (worker->busy) weir__turn_end(worker); /* the last on_close has its on_turn */
    weir__log_finish(worker);
}

/* EVLOOP_ONCE waits for events, runs their callbacks once, and returns: one turn. */
int weir__worker_run(struct weir__worker *worker)
{
    int more = 0;

    while (!worker->stop_seen || worker->conns.count > 0) {
        if (event_base_loop(worker->base, EVLOOP_ONCE | (more ? EVLOOP_NONBLOCK : 0)) < 0) return -EIO;
        more = weir__turn_end(worker);
    }
    retire(worker);
    return 0;
}

void weir__worker_finish(struct weir__worker *worker)
{
    uint32_t place = 0;

    worker->ended = 1;
    weir__mailbox_close(&worker->mailbox);
    run_mail(worker, weir__mailbox_take(&worker->mailbox));
    for (struct weir_conn *conn; (conn = weir__conn_table_next(&worker->conns, &place)) != NULL;)
        weir__conn_abort(conn, WEIR_REASON_DRAIN, 0);
    weir__conn_bury_all(worker);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A worker: its loop, its mailbox event, and how it starts and stops. */
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/event.h>

#include "engine.h"
#include "listener.h"
#include "memory.h"
#include "turn.h"

/* ---- Mail and flags ---- */

static void run_mail(struct weir__worker *worker, struct weir__mail *mail)
{
    while (mail) {
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

    for (struct weir_conn *conn; (conn = weir__conn_table_next(&worker->conns, &place));) {
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

    worker->stop_seen = true;
    weir__listener_stop_all(worker);
    for (struct weir_conn *conn; (conn = weir__conn_table_next(&worker->conns, &place));)
        weir__conn_finish(conn, WEIR_REASON_DRAIN);
}

static void see_flags(struct weir__worker *worker)
{
    struct weir *weir = worker->weir;
    const bool paused = atomic_load(&weir->input_pauses) > 0;

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

enum { BASE_FDS_MAX = 4 }; /* epoll's, two for the signal pipe, and one to spare */

/* Libevent ends the process when it has no descriptors for its signal pipe (evsig_init_). So it is asked only when
 * there are enough. Returns 0, -EMFILE or the like, and the numbers that libevent will take, unless another thread is
 * quicker. */
static int have_descriptors(int ret[BASE_FDS_MAX])
{
    int count = 0;
    int err = 0;

    while (count < BASE_FDS_MAX && err == 0) {
        ret[count] = eventfd(0, EFD_CLOEXEC);
        if (ret[count] < 0) {
            err = -errno;
        } else {
            count++;
        }
    }
    while (count > 0)
        close(ret[--count]);
    return err;
}

/* On epoll or not at all. Libevent falls back to poll when epoll has no memory or the environment says so; there
 * WEIR__WANT_GONE would be level-triggered, and one paused connection burn a core. */
static int new_base(struct event_base **ret, int ret_fds[BASE_FDS_MAX])
{
    const int err = have_descriptors(ret_fds);
    struct event_config *config = err == 0 ? event_config_new() : NULL;

    if (!config) return err != 0 ? err : -ENOMEM;
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV);
    event_config_require_features(config, EV_FEATURE_ET | EV_FEATURE_EARLY_CLOSE);
    *ret = event_base_new_with_config(config);
    event_config_free(config);
    return *ret ? 0 : -ENOMEM;
}

/* Libevent does not say which descriptor its epoll set has. It is the one that cannot take our eventfd, because it has
 * it already; one that can is another's, and gives it back. */
static int find_epoll(int eventfd)
{
    struct epoll_event none = { 0 };
    struct rlimit limit = { .rlim_cur = INT_MAX };

    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur > INT_MAX) limit.rlim_cur = INT_MAX;
    for (rlim_t i = 1; i < limit.rlim_cur; i++) {
        const int fd = (int)(((rlim_t)eventfd + i) % limit.rlim_cur); /* it is the next, as a rule */

        if (epoll_ctl(fd, EPOLL_CTL_ADD, eventfd, &none) == 0) {
            epoll_ctl(fd, EPOLL_CTL_DEL, eventfd, &none);
        } else if (errno == EEXIST) {
            return fd;
        }
    }
    return -1;
}

/* The two ends of libevent's pipe for signals, of the descriptors that it can have taken. When another thread has taken
 * some of them meanwhile, so that there may be another pipe among them, they stay unknown. */
static void find_signal_pipe(const int fds[BASE_FDS_MAX], int ret[2])
{
    struct stat ends[BASE_FDS_MAX];
    int count = 0;

    for (int i = 0; i < BASE_FDS_MAX; i++) {
        if (fstat(fds[i], &ends[count]) != 0 || !S_ISFIFO(ends[count].st_mode)) continue;
        if (count < 2) ret[count] = fds[i];
        count++;
    }
    if (count != 2 || ends[0].st_ino != ends[1].st_ino) ret[0] = ret[1] = -1;
}

static int count_events(const struct weir__worker *worker)
{
    return event_base_get_num_events(worker->base,
                                     EVENT_BASE_COUNT_ADDED | EVENT_BASE_COUNT_ACTIVE | EVENT_BASE_COUNT_VIRTUAL);
}

static int init_events(struct weir__worker *worker)
{
    worker->mailbox_event = event_new(worker->base, worker->mailbox.eventfd, EV_READ | EV_PERSIST, on_mailbox, worker);
    worker->stop_event = evtimer_new(worker->base, on_stop_deadline, worker);
    if (!worker->mailbox_event || !worker->stop_event) return -ENOMEM;
    if (event_add(worker->mailbox_event, NULL) != 0 || weir__log_init(worker) != 0) return -ENOMEM;
    worker->events_own = count_events(worker);
    worker->epoll_fd = find_epoll(worker->mailbox.eventfd);
    return weir__timeouts_init(&worker->timeouts, worker->base, on_timeouts, worker, weir__clock_ms());
}

static int init(struct weir__worker *worker)
{
    const struct weir_config *config = &worker->weir->config;
    int base_fds[BASE_FDS_MAX];
    int err =
        weir__mailbox_init(&worker->mailbox, (size_t)config->mailbox_items_max, (size_t)config->mailbox_bytes_max);

    if (err == 0) err = new_base(&worker->base, base_fds);
    if (err != 0) return err;
    find_signal_pipe(base_fds, worker->signal_fds);
    worker->scratch = weir__malloc_aligned(WEIR__SCRATCH_BYTES);
    if (!worker->scratch) return -ENOMEM;
    err = weir__work_init(worker);
    return err != 0 ? err : init_events(worker);
}

int weir__worker_new(struct weir *weir, unsigned index, struct weir__worker **ret)
{
    struct weir__worker *worker = weir__zalloc(sizeof(*worker));
    int err;

    if (!worker) return -ENOMEM;
    worker->weir = weir;
    worker->index = index;
    worker->epoll_fd = -1;
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
    if (!worker) return;
    weir__timeouts_fini(&worker->timeouts);
    weir__log_fini(worker);
    if (worker->stop_event) event_free(worker->stop_event);
    if (worker->mailbox_event) event_free(worker->mailbox_event);
    if (worker->base) event_base_free(worker->base);
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

bool weir__worker_has_nothing(const struct weir__worker *worker)
{
    return !worker->mailbox.first && worker->conns.count == 0 && TAILQ_EMPTY(&worker->timers) &&
           count_events(worker) <= worker->events_own;
}

/* EVLOOP_ONCE waits for events, runs their callbacks once, and returns: one turn. */
static int run(struct weir__worker *worker)
{
    bool more = false;

    while (!worker->stop_seen || worker->conns.count > 0) {
        if (event_base_loop(worker->base, EVLOOP_ONCE | (more ? EVLOOP_NONBLOCK : 0)) < 0) return -EIO;
        more = weir__turn_end(worker);
    }
    retire(worker);
    return 0;
}

int weir__worker_run(struct weir__worker *worker)
{
    int err;

    weir__here_enter(worker);
    err = run(worker);
    weir__here_leave(worker);
    return err;
}

void weir__worker_finish(struct weir__worker *worker)
{
    uint32_t place = 0;

    worker->ended = true;
    weir__mailbox_close(&worker->mailbox);
    run_mail(worker, weir__mailbox_take(&worker->mailbox));
    for (struct weir_conn *conn; (conn = weir__conn_table_next(&worker->conns, &place));)
        weir__conn_abort(conn, WEIR_REASON_DRAIN, 0);
    weir__conn_bury_all(worker);
}

/* ---- In a forked process ---- */

/* What libevent takes off an empty set is not missed; and a descriptor that is merely closed could be another file's by
 * the time that libevent closes it. */
static void replace_epoll(struct weir__worker *worker)
{
    const int empty = epoll_create1(EPOLL_CLOEXEC);

    if (empty < 0 || dup3(empty, worker->epoll_fd, O_CLOEXEC) < 0) close(worker->epoll_fd);
    if (empty >= 0) close(empty);
}

void weir__worker_let_go(struct weir__worker *worker)
{
    worker->ended = worker->is_copy = true;
    replace_epoll(worker);
    weir__mailbox_let_go(&worker->mailbox);
    run_mail(worker, weir__mailbox_take(&worker->mailbox));
    weir__conn_forget_all(worker);
}

void weir__worker_close_descriptors(struct weir__worker *worker)
{
    close(worker->epoll_fd);
    close(worker->mailbox.eventfd);
    if (worker->signal_fds[0] >= 0) close(worker->signal_fds[0]);
    if (worker->signal_fds[1] >= 0) close(worker->signal_fds[1]);
}

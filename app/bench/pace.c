/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app/bench/pace.c: sends each message when it is due, or as soon after as a client can. The next one's time follows
 * from its number alone, so nothing that comes late moves those behind it. Must never skip a message. */
#include "pace.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <event2/event.h>

#include "bench/load.h"

enum { LATE_LOOKS_MAX = 100000 };

static int64_t due_ns(const struct pace *pace)
{
    return pace->start_ns + (int64_t)((double)pace->next * pace->interval_ns);
}

/* For the next message. A time that has passed fires at once. */
static void arm(struct pace *pace)
{
    const int64_t due = due_ns(pace);
    const struct itimerspec when = { .it_value = { due / 1000000000, due % 1000000000 } };

    if (!pace->is_armed) pace->is_armed = timerfd_settime(pace->timer_fd, TFD_TIMER_ABSTIME, &when, NULL) == 0;
}

static void on_due(int fd, short what, void *user)
{
    struct load_worker *const worker = user;
    uint64_t times = 0;

    (void)what;
    if (read(fd, &times, sizeof(times)) < 0 && errno == EAGAIN) return;
    worker->pace.is_armed = false;
    pace_run(worker, bench_now_ns());
}

int pace_open(struct load_worker *worker)
{
    struct pace *const pace = &worker->pace;

    pace->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (pace->timer_fd < 0) return -errno;
    pace->event = event_new(weir_worker_base(worker->load->weir, worker->index), pace->timer_fd, EV_READ | EV_PERSIST,
                            on_due, worker);
    return pace->event && !event_add(pace->event, NULL) ? 0 : -ENOMEM;
}

void pace_close(struct load_worker *worker)
{
    struct pace *const pace = &worker->pace;

    if (pace->event) event_free(pace->event);
    if (pace->timer_fd > 0) close(pace->timer_fd);
    *pace = (struct pace){ 0 };
}

/* The workers take turns, so that all of them together are even. */
void pace_start(struct load_worker *worker)
{
    const struct load *const load = worker->load;

    worker->pace.interval_ns = load->plan->interval_ns * load->worker_count;
    worker->pace.start_ns = load->start_ns + (int64_t)(load->plan->interval_ns * worker->index);
    worker->pace.end_ns = load->plan->duration_ns ? load->start_ns + load->plan->duration_ns : INT64_MAX;
}

/* Of millions that were never sent not each is looked at. */
void pace_end(struct load_worker *worker, int64_t now_ns)
{
    struct pace *const pace = &worker->pace;
    const int64_t end_ns = now_ns < pace->end_ns ? now_ns : pace->end_ns;
    const double due = pace->interval_ns > 0 ? (double)(end_ns - pace->start_ns) / pace->interval_ns : 0;
    const uint64_t until = due > 0 ? (uint64_t)due + ((double)(uint64_t)due < due) : 0;
    const uint64_t step = until > pace->next ? 1 + (until - pace->next) / LATE_LOOKS_MAX : 1;

    for (; pace->next < until; pace->next += step)
        load_count_unsent(worker, due_ns(pace), end_ns, step < until - pace->next ? step : until - pace->next);
    pace_close(worker);
}

void pace_add(struct load_worker *worker, struct client *client)
{
    if (client->is_idle) return;
    client->is_idle = true;
    TAILQ_INSERT_TAIL(&worker->idle, client, in_idle);
}

void pace_remove(struct load_worker *worker, struct client *client)
{
    if (!client->is_idle) return;
    client->is_idle = false;
    TAILQ_REMOVE(&worker->idle, client, in_idle);
}

void pace_run(struct load_worker *worker, int64_t now_ns)
{
    struct pace *const pace = &worker->pace;
    struct client *client = NULL;

    if (now_ns >= pace->end_ns) now_ns = pace->end_ns - 1;
    while ((client = TAILQ_FIRST(&worker->idle)) && due_ns(pace) <= now_ns) {
        int sent = 0;
        pace_remove(worker, client); /* it comes back, to the end, when it can send more */
        sent = load_send_due(client, due_ns(pace));
        if (sent < 0) return;
        pace->next += (uint64_t)sent;
    }
    if (client) arm(pace);
}

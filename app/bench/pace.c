/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Sends each message when it is due, or as soon after as a client can. Must never skip a message. */
#include "pace.h"

#include "load.h"

enum { LATE_LOOKS_MAX = 100000 };

static void on_due(void *user)
{
    pace_run(user, clock_ns());
}

int pace_open(struct load_worker *worker)
{
    return timetable_open(&worker->pace.timetable, weir_worker_base(worker->load->weir, worker->index), on_due, worker);
}

static void close_timer(struct load_worker *worker)
{
    timetable_close(&worker->pace.timetable);
    worker->pace = (struct pace){ 0 };
}

/* The workers take turns, so that all of them together are even. */
void pace_start(struct load_worker *worker)
{
    const struct load *load = worker->load;

    worker->pace.timetable.interval_ns = load->plan->interval_ns * load->worker_count;
    worker->pace.timetable.start_ns = load->start_ns + (int64_t)(load->plan->interval_ns * worker->index);
    worker->pace.end_ns = load->plan->duration_ns ? load->start_ns + load->plan->duration_ns : INT64_MAX;
}

/* Of millions that were never sent not each is looked at. */
void pace_end(struct load_worker *worker, int64_t now_ns)
{
    struct pace *pace = &worker->pace;
    struct timetable *timetable = &pace->timetable;
    const int64_t end_ns = now_ns < pace->end_ns ? now_ns : pace->end_ns;
    const double due = timetable->interval_ns > 0 ? (double)(end_ns - timetable->start_ns) / timetable->interval_ns : 0;
    const uint64_t until = due > 0 ? (uint64_t)due + ((double)(uint64_t)due < due) : 0;
    const uint64_t step = until > timetable->next ? 1 + (until - timetable->next) / LATE_LOOKS_MAX : 1;

    for (; timetable->next < until; timetable->next += step)
        load_count_unsent(worker, timetable_due_ns(timetable), end_ns,
                          step < until - timetable->next ? step : until - timetable->next);
    close_timer(worker);
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
    const struct pace *pace = &worker->pace;
    struct timetable *timetable = &worker->pace.timetable;
    struct client *client = NULL;

    if (now_ns >= pace->end_ns) now_ns = pace->end_ns - 1;
    while ((client = TAILQ_FIRST(&worker->idle)) && timetable_due_ns(timetable) <= now_ns) {
        int sent = 0;
        pace_remove(worker, client); /* it comes back, to the end, when it can send more */
        sent = load_send_due(client, timetable_due_ns(timetable));
        if (sent < 0) return;
        timetable->next += (uint64_t)sent;
    }
    if (client) timetable_arm(timetable);
}

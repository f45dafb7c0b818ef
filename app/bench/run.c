/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The phases of a run: one connection to see that the server is there, the others at the ramp's pace,
 * sending, waiting for the last answers, the end. On worker 0, by a timer; what happens on connections is load.c's.
 * Must never end the engine while workers still send: what they have for that is theirs to free. */
#include "run.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "misbehave.h"

#define SECOND_NS INT64_C(1000000000)

enum {
    LOOK_EVERY_MS = 10,
    SHOW_EVERY_MS = 1000,
    LAST_CONNECTS_MS = 1000, /* then the others send, and who comes late joins them */
    LAST_ANSWERS_MS = 2000,  /* for the next of them to come */
    ALL_ANSWERS_MS = 10000,
    STOP_MS = 2000 /* for what has been sent, one-way, to leave */
};

static bool is_over(int64_t since_ns, int64_t now_ns, int64_t limit_ms)
{
    return now_ns - since_ns >= limit_ms * (SECOND_NS / 1000);
}

static void enter(struct run *run, enum run_phase phase, int64_t now_ns)
{
    run->phase = phase;
    run->since_ns = now_ns;
    run->progress_ns = now_ns;
}

/* Sees whether there is progress. */
static struct load_sight look_at_load(struct run *run, int64_t now_ns)
{
    const struct load_sight sight = load_look(run->load);

    if (sight.progress != run->progress) run->progress_ns = now_ns;
    run->progress = sight.progress;
    return sight;
}

/* ---- The phases ---- */

/* No more is sent. Tries again at the next look when a worker's mailbox is full. */
static void end_sending(struct run *run, enum run_end end, int64_t now_ns)
{
    if (load_end_sending(run->load)) return;
    run->end = end;
    enter(run, RUN_WAITS, now_ns);
}

static void contact(struct run *run, int64_t now_ns)
{
    struct load *load = run->load;

    if (load->plan->clients && !atomic_load(&load->settled)) return;
    if (load->plan->clients && !atomic_load(&load->opened))
        end_sending(run, RUN_DONE, now_ns);
    else
        enter(run, RUN_CONNECTS, now_ns);
}

/* Clients, and behind them those that misbehave. Returns what weir_dial does. */
static int dial_next(struct run *run)
{
    const size_t clients = run->load->plan->clients;

    return run->dialled < clients ? load_dial(run->load, run->dialled)
                                  : misbehave_dial(run->misbehave, run->dialled - clients);
}

static void connect_more(struct run *run, int64_t now_ns)
{
    struct load *load = run->load;
    const double due = (double)(now_ns - run->since_ns) / SECOND_NS * (double)run->ramp;
    const size_t all = load->plan->clients + run->misbehaving;

    while (run->dialled < all && (!run->ramp || (double)run->dialled <= due)) {
        if (dial_next(run)) return; /* the mailbox is full: soon again */
        run->dialled++;
        run->dialled_ns = now_ns;
    }
    if (run->dialled < all) return;
    if (atomic_load(&load->settled) < load->plan->clients && !is_over(run->dialled_ns, now_ns, LAST_CONNECTS_MS))
        return;
    if (!load_begin_sending(load)) enter(run, RUN_SENDS, now_ns);
}

static void watch_sending(struct run *run, int64_t now_ns)
{
    struct load *load = run->load;
    const struct load_sight sight = look_at_load(run, now_ns);
    const bool is_silent = sight.sent && !sight.progress;

    if (run->duration_ns && now_ns - load->start_ns >= run->duration_ns)
        end_sending(run, RUN_DONE, now_ns);
    else if (sight.is_all_begun)
        end_sending(run, RUN_DONE, now_ns);
    else if (is_silent && is_over(run->since_ns, now_ns, RUN_UNANSWERED_S * 1000))
        end_sending(run, RUN_UNANSWERED, now_ns);
    else if (load->plan->clients && is_over(run->progress_ns, now_ns, RUN_STALLED_S * 1000))
        end_sending(run, RUN_STALLED, now_ns);
}

static void wait_for_answers(struct run *run, int64_t now_ns)
{
    const struct load_sight sight = look_at_load(run, now_ns);
    const bool is_given_up = run->end == RUN_UNANSWERED || run->end == RUN_STALLED || run->end == RUN_BROKEN;

    if (!is_given_up && !sight.is_quiet && !is_over(run->progress_ns, now_ns, LAST_ANSWERS_MS) &&
        !is_over(run->since_ns, now_ns, ALL_ANSWERS_MS))
        return;
    enter(run, RUN_ENDS, now_ns);
    atomic_store(&run->load->is_ending, true);
    if (run->misbehave) misbehave_stop(run->misbehave);
    weir_stop(run->load->weir, STOP_MS);
}

static void show(struct run *run, int64_t now_ns)
{
    if (!run->shown || !is_over(run->shown_ns, now_ns, SHOW_EVERY_MS)) return;
    run->shown_ns = now_ns;
    load_see_results(run->load, run->shown);
    bench_live_show(&run->live, run->asked, run->shown, load_look(run->load).open);
}

static void look(struct weir_timer *timer, void *arg)
{
    static void (*const steps[])(struct run * run, int64_t now_ns) = { [RUN_CONTACTS] = contact,
                                                                       [RUN_CONNECTS] = connect_more,
                                                                       [RUN_SENDS] = watch_sending,
                                                                       [RUN_WAITS] = wait_for_answers };
    struct run *run = arg;
    const int64_t now_ns = clock_ns();

    (void)timer;
    if (run->phase == RUN_ENDS) return;
    show(run, now_ns);
    run->error = run->error ? run->error : atomic_load(&run->load->error);
    if (run->phase < RUN_WAITS && run->error)
        end_sending(run, RUN_BROKEN, now_ns);
    else if (run->phase < RUN_WAITS && run->is_interrupted)
        end_sending(run, RUN_INTERRUPTED, now_ns);
    else
        steps[run->phase](run, now_ns);
}

/* ---- From start to end ---- */

static const int stop_signals[RUN_SIGNALS] = { SIGINT, SIGTERM };

/* A second one ends the program at once, as it does any. */
static void on_signal(int number, short what, void *user)
{
    struct run *run = user;

    (void)number;
    (void)what;
    run->is_interrupted = true;
    for (size_t i = 0; i < RUN_SIGNALS; i++)
        event_del(run->signals[i]);
}

static int start_signals(struct run *run)
{
    for (size_t i = 0; i < RUN_SIGNALS; i++) {
        run->signals[i] = evsignal_new(weir_worker_base(run->load->weir, 0), stop_signals[i], on_signal, run);
        if (!run->signals[i] || event_add(run->signals[i], NULL)) return -ENOMEM;
    }
    return 0;
}

static int start_showing(struct run *run)
{
    const int err = bench_live_init(&run->live);

    if (err || !run->live.line.is_shown) return err;
    run->shown = calloc(1, sizeof(*run->shown));
    run->load->is_watched = run->shown != NULL;
    return run->shown ? 0 : -ENOMEM;
}

int run_start(struct run *run)
{
    int err = start_showing(run);

    if (!err) err = start_signals(run);
    if (!err) err = weir_timer_start(run->load->weir, 0, LOOK_EVERY_MS, LOOK_EVERY_MS, look, run, NULL);
    enter(run, RUN_CONTACTS, clock_ns());
    run->dialled = run->load->plan->clients ? 1 : 0;
    if (!err && run->dialled) err = load_dial(run->load, 0);
    return err ? err : load_prepare(run->load);
}

void run_fini(struct run *run)
{
    for (size_t i = 0; i < RUN_SIGNALS; i++)
        if (run->signals[i]) event_free(run->signals[i]);
    memset(run->signals, 0, sizeof(run->signals));
    bench_live_clear(&run->live);
    bench_live_fini(&run->live);
    free(run->shown);
    run->shown = NULL;
}

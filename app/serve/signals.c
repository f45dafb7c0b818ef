/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Signals as events of one worker's loop. The second one must end a server that cannot end by itself. */
#include "signals.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/time.h>

enum { SAME_SIGNAL_MS = 100 /* a second signal so soon is the first one again */ };

static const int stop_signals[SIGNALS_STOP_COUNT] = { SIGINT, SIGTERM, SIGHUP };

/* The next one does what it does to any program: end it at once. A signal handler and no timer of the worker's, because
 * a worker without connections ends before the others do. */
static void let_next_signal_end_it(int number)
{
    (void)number;
    for (size_t i = 0; i < SIGNALS_STOP_COUNT; i++)
        if (stop_signals[i] != SIGHUP) signal(stop_signals[i], SIG_DFL);
}

static void on_stop_signal(int number, short what, void *user)
{
    struct signals *signals = user;
    const struct itimerval same_signal = { .it_value.tv_usec = SAME_SIGNAL_MS * 1000 };

    (void)number;
    (void)what;
    if (signals->is_told) return; /* SIGHUP again: a terminal that goes away sends more than one */
    signals->is_told = true;
    signals->on_stop(signals->user);
    /* timeout(1) sends its signal twice, to the process and to its group: that is one wish to stop. */
    signal(SIGALRM, let_next_signal_end_it);
    if (setitimer(ITIMER_REAL, &same_signal, NULL)) let_next_signal_end_it(SIGALRM);
}

static void on_resize_signal(int number, short what, void *user)
{
    const struct signals *signals = user;

    (void)number;
    (void)what;
    signals->on_resize(signals->user);
}

/* nohup(1) leaves SIGHUP ignored: whoever started the server so wants it to outlive the terminal. */
static bool is_ignored(int number)
{
    struct sigaction action;

    return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

int signals_start(struct signals *signals, struct event_base *base)
{
    for (size_t i = 0; i < SIGNALS_STOP_COUNT; i++) {
        if (stop_signals[i] == SIGHUP && is_ignored(SIGHUP)) continue;
        signals->stop_events[i] = evsignal_new(base, stop_signals[i], on_stop_signal, signals);
        if (!signals->stop_events[i] || event_add(signals->stop_events[i], NULL)) return -ENOMEM;
    }
    if (!signals->on_resize) return 0;
    signals->resize_event = evsignal_new(base, SIGWINCH, on_resize_signal, signals);
    return signals->resize_event && !event_add(signals->resize_event, NULL) ? 0 : -ENOMEM;
}

/* With their events go our handlers. A terminal that has gone may send SIGHUP until the very end: that must not turn a
 * good end into a bad one. */
void signals_stop(struct signals *signals)
{
    sigset_t hangup;

    sigemptyset(&hangup);
    sigaddset(&hangup, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &hangup, NULL);
    for (size_t i = 0; i < SIGNALS_STOP_COUNT; i++)
        if (signals->stop_events[i]) event_free(signals->stop_events[i]);
    if (signals->resize_event) event_free(signals->resize_event);
}

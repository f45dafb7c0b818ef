/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Puts the terminal back as it was, however the process ends or stops. Must never change the
 * attributes of a terminal that another process has in the foreground; and the handlers here may only do what is safe
 * in one: that, and state that is the process's own, is why there are variables of the file. */
#include "tty.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <termios.h>
#include <unistd.h>

static const int end_signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
static const int job_signals[] = { SIGTSTP, SIGCONT };

enum {
    END_SIGNAL_COUNT = sizeof(end_signals) / sizeof(end_signals[0]),
    JOB_SIGNAL_COUNT = sizeof(job_signals) / sizeof(job_signals[0])
};

static struct termios before;  /* written before is_changed is ever set */
static atomic_bool is_changed; /* from before, which is to be put back */
static atomic_bool stop_noted;
static atomic_bool continue_noted;
static atomic_int noted_fd = -1;

bool tty_has_job_control(void)
{
    return tcgetpgrp(STDIN_FILENO) >= 0;
}

/* On a terminal that is not its session's own (ENOTTY) a process is never in the background: it reads as any other
 * file is read, and nothing stops it. */
int tty_is_ours(void)
{
    const pid_t group = tcgetpgrp(STDIN_FILENO);
    struct termios attributes;

    if (group >= 0) return group == getpgrp();
    if (errno != ENOTTY) return -errno;
    return tcgetattr(STDIN_FILENO, &attributes) ? -errno : 1;
}

int tty_remember(void)
{
    return tcgetattr(STDIN_FILENO, &before) ? -errno : 0;
}

void tty_will_change(void)
{
    atomic_store(&is_changed, true);
}

void tty_restore(void)
{
    sigset_t output;
    sigset_t others;

    /* From the background this would stop the process (SIGTTOU), and that it is there may be news of this instant. */
    sigemptyset(&output);
    sigaddset(&output, SIGTTOU);
    pthread_sigmask(SIG_BLOCK, &output, &others);
    if (atomic_load(&is_changed) && tty_is_ours() == 1) {
        atomic_store(&is_changed, false);
        tcsetattr(STDIN_FILENO, TCSANOW, &before); /* and not TCSADRAIN, which a stopped terminal lets wait for ever */
    }
    pthread_sigmask(SIG_SETMASK, &others, NULL);
}

/* ---- Signals ---- */

/* By the time this returns the signal has its default, and comes again. */
static void on_end_signal(int number)
{
    const int error = errno;

    tty_restore();
    signal(number, SIG_DFL);
    raise(number);
    errno = error;
}

static void on_job_signal(int number)
{
    const int error = errno;
    const uint64_t one = 1;

    atomic_store(number == SIGTSTP ? &stop_noted : &continue_noted, true);
    while (write(atomic_load(&noted_fd), &one, sizeof(one)) < 0 && errno == EINTR)
        continue; /* full: it is readable anyway */
    errno = error;
}

static bool has_handler(int number, void (*handler)(int))
{
    struct sigaction action;

    return sigaction(number, NULL, &action) == 0 && !(action.sa_flags & SA_SIGINFO) && action.sa_handler == handler;
}

static void replace_handler(int number, void (*from)(int), void (*to)(int))
{
    struct sigaction action = { .sa_flags = SA_RESTART };

    if (!has_handler(number, from)) return;
    action.sa_handler = to;
    sigfillset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

void tty_guard(int wake_fd)
{
    atomic_store(&noted_fd, wake_fd);
    for (size_t i = 0; i < END_SIGNAL_COUNT; i++)
        replace_handler(end_signals[i], SIG_DFL, on_end_signal);
    for (size_t i = 0; i < JOB_SIGNAL_COUNT; i++)
        replace_handler(job_signals[i], SIG_DFL, on_job_signal);
}

void tty_unguard(void)
{
    for (size_t i = 0; i < END_SIGNAL_COUNT; i++)
        replace_handler(end_signals[i], on_end_signal, SIG_DFL);
    for (size_t i = 0; i < JOB_SIGNAL_COUNT; i++)
        replace_handler(job_signals[i], on_job_signal, SIG_DFL);
}

bool tty_take_stop(void)
{
    return atomic_exchange(&stop_noted, false);
}

bool tty_take_continue(void)
{
    return atomic_exchange(&continue_noted, false);
}

void tty_stop(void)
{
    sigset_t stop;

    /* By the signal's own default, which does nothing where no shell could make the process go on. */
    replace_handler(SIGTSTP, on_job_signal, SIG_DFL);
    sigemptyset(&stop);
    sigaddset(&stop, SIGTSTP);
    raise(SIGTSTP);
    pthread_sigmask(SIG_UNBLOCK, &stop, NULL); /* here it stops */
    pthread_sigmask(SIG_BLOCK, &stop, NULL);
    replace_handler(SIGTSTP, SIG_DFL, on_job_signal);
}

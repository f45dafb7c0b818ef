/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Counting forks (pthread_atfork(3)), because getpid(2) at each call would cost those that any thread makes a system
 * call. */
#include "forks.h"

#include <pthread.h>

_Atomic unsigned weir__forks;

static int watch_error;

static void count_fork(void)
{
    atomic_fetch_add(&weir__forks, 1);
}

static void watch(void)
{
    watch_error = -pthread_atfork(NULL, NULL, count_fork);
}

int weir__forks_watch(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, watch);
    return watch_error;
}

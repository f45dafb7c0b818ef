/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the threads beside the workers have in common. */
#ifndef APP_BASE_THREAD_H
#define APP_BASE_THREAD_H

#include <pthread.h>
#include <time.h>

/* Starts a thread with all signals blocked: they are the workers' to take. Returns 0 or a negative code. */
int thread_start(pthread_t *ret, void *(*run)(void *arg), void *arg);

/* A condition whose deadlines are of the clock that nobody sets. */
void thread_cond_init(pthread_cond_t *cond);

/* The time in so many milliseconds, for pthread_cond_timedwait with such a condition. */
struct timespec thread_deadline(int wait_ms);

#endif

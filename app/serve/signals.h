/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the server does at a signal. */
#ifndef APP_SERVE_SIGNALS_H
#define APP_SERVE_SIGNALS_H

#include <stdbool.h>

#include <event2/event.h>

enum { SIGNALS_STOP_COUNT = 3 };

/* The caller sets the callbacks, which run on the base's thread, and zeroes the rest. */
struct signals {
    void (*on_stop)(void *user);   /* SIGINT, SIGTERM or SIGHUP, the first time only */
    void (*on_resize)(void *user); /* SIGWINCH; NULL: it is ignored */
    void *user;
    bool is_told;
    struct event *stop_events[SIGNALS_STOP_COUNT];
    struct event *resize_event;
};

/* Once on_stop has run, the next signal ends the process at once. Returns 0 or -ENOMEM, and then it is to be ended too.
 */
int signals_start(struct signals *signals, struct event_base *base);

/* Takes no more of them, from when on SIGHUP is blocked. One that never started is accepted. */
void signals_stop(struct signals *signals);

#endif

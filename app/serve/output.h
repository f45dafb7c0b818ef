/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the server shows on standard output. */
#ifndef APP_SERVE_OUTPUT_H
#define APP_SERVE_OUTPUT_H

#include <stdatomic.h>
#include <stdbool.h>

#include <event2/event.h>

#include "log.h"
#include "plan.h"
#include "terminal/printer.h"
#include "terminal/show.h"

/* The caller sets the first three, and zeroes the rest. */
struct output {
    /* When it is set, it is no failure that the reader goes, as Ctrl-C ends both sides of a pipe. */
    const atomic_bool *is_stopping;
    /* All that is done with messages is to print them, and they cannot be printed any more: says why. Once; any thread.
     */
    void (*on_failed)(const char *text, void *user);
    void *user;

    const struct plan *plan; /* from output_open on */
    struct printer *lines;   /* as the next one, NULL when nothing is shown */
    struct show *show;
    struct event *reader_event; /* NULL: nobody whose end would matter reads standard output */
    atomic_int error;           /* for which on_failed was called; 0: it was not */
};

/* Makes the way out, and does not start it yet: nothing runs before all addresses are bound. plan must outlive
 * it. Returns 0 or a negative code. */
int output_open(struct output *output, const struct plan *plan, struct log *log);

/* Notices a reader that goes while there is nothing to print, on the base's thread. Returns 0 or -ENOMEM. */
int output_watch(struct output *output, struct event_base *base);

/* No more of that. One that was never watched is accepted. */
void output_unwatch(struct output *output);

/* Whether a person looks, who is helped by more than what happens. */
bool output_is_watched(const struct output *output);

#endif

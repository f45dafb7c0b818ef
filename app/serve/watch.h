/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Shows people what has come of messages that do not end. */
#ifndef APP_SERVE_WATCH_H
#define APP_SERVE_WATCH_H

#include <weir/weir.h>

#include "terminal/show.h"

struct watch;

/* Looks at all connections once a second, on each worker, and has show say which of them are in the middle of a message
 * for two seconds and more. missing says what a listener's messages lack then ("no newline yet"); on the workers.
 * Between weir_new and weir_run. Returns 0 or -ENOMEM. */
int watch_start(struct weir *weir, struct show *show,
                const char *(*missing)(const struct weir_listener *listener, void *user), void *user,
                struct watch **ret);

/* After weir_free. NULL is accepted. */
void watch_free(struct watch *watch);

#endif

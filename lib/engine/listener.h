/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Bind, listen, accept. */
#ifndef WEIR__LISTENER_H
#define WEIR__LISTENER_H

#include <weir/weir.h>

struct weir__tally;
struct weir__transport;
struct weir__transport_context;
struct weir__worker;

/* Frees a listener: closes its sockets, removes its unix socket's file. No loop may run any more. */
void weir__listener_free(struct weir_listener *listener);

/* For a forked process: closes the sockets, and does nothing else. */
void weir__listener_close(struct weir_listener *listener);

/* For a forked process, before weir__listener_free: the file is another's. */
void weir__listener_leave_path(struct weir_listener *listener);

/* Closes the sockets that this worker accepts on, of all listeners; for weir_stop. */
void weir__listener_stop_all(struct weir__worker *worker);

/* Sockets on which accepting pauses are tried again at once, on their workers. Any thread. */
void weir__listener_resume_all(struct weir *weir);

/* For tests, before weir_run: how the listener's connections move their bytes. The context (NULL: none) is freed with
 * the last service that uses it. */
void weir__listener_set_transport(struct weir_listener *listener, const struct weir__transport *transport,
                                  struct weir__transport_context *context);

/* What the worker with that number counts of its connections. */
const struct weir__tally *weir__listener_tally(const struct weir_listener *listener, unsigned worker);

/* The next in the engine's list. */
struct weir_listener *weir__listener_next(const struct weir_listener *listener);

#endif

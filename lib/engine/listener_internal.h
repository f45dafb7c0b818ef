/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What opening a listener (listener.c) and accepting on it (accept.c) share. Nobody else includes it. */
#ifndef WEIR__LISTENER_INTERNAL_H
#define WEIR__LISTENER_INTERNAL_H

#include <stdatomic.h>
#include <stdbool.h>

#include <event2/util.h>

#include "conn/service.h"
#include "listener.h"
#include "mailbox.h"
#include "net/unix_path.h"

struct event;

/* One socket of a listener; its events belong to the worker that accepts on it. */
struct weir__socket {
    struct weir_listener *listener;
    struct weir__worker *worker;
    int fd; /* -1: closed */
    struct event *accept_event;
    struct event *resume_event; /* the end of a pause */
    bool enabled;               /* as the worker knows it */
    bool paused;
    bool lacks_ids;         /* and that was said */
    struct weir__mail mail; /* tells the worker of `wanted`, and is in its mailbox at most once */
    _Atomic bool mailed;
    _Atomic bool wanted; /* enabled, as any thread last asked */
};

/* Owned by the engine's list, from weir_listen to weir_free. */
struct weir_listener {
    struct weir *weir;
    struct weir_listener *next;
    struct weir__listen_options options;
    struct weir__service **services; /* one for each worker */
    struct weir__socket *sockets;
    unsigned sockets_count;
    bool was_given;              /* its descriptor was open before */
    bool is_closed;              /* weir_listener_close; under the engine's lock */
    struct weir__tally *tallies; /* one for each worker */
    unsigned addresses_count;    /* fewer than sockets with reuseport */
    char (*addresses)[WEIR_ADDRESS_BYTES_MAX];
    struct weir__unix_path unix_path;
};

/* Accepts as many clients as the listener's options allow in one go: the accept event's callback. */
void weir__socket_on_acceptable(evutil_socket_t fd, short what, void *arg);

/* The end of a pause: the resume event's callback. */
void weir__socket_on_resume(evutil_socket_t fd, short what, void *arg);

/* Asks the loop for clients or not, as `enabled` and `paused` say. The worker's thread. */
void weir__socket_set_accepting(struct weir__socket *socket);

/* Has the worker look at what is wanted of the socket. Any thread. */
void weir__socket_mail_worker(struct weir__socket *socket);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Accepting. A listener never dies of a failed accept: what concerns one client is counted and passed over, what
 * concerns the process pauses accepting for a moment. */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "conn/conn.h"
#include "engine.h"
#include "listener_internal.h"
#include "log.h"
#include "memory.h"
#include "net/address.h"
#include "portable.h"
#include "worker.h"

enum { PAUSE_MS = 250 };

/* A socket on its way to the worker that its id belongs to. */
struct arrival {
    struct weir__mail mail;
    struct weir_listener *listener;
    struct weir__peer peer;
    uint64_t id;
    int fd;
};

static void take_in(struct weir__worker *worker, struct weir__mail *mail)
{
    struct arrival *arrival = WEIR__CONTAINER(mail, struct arrival, mail);

    if (worker->stop_seen || worker->ended) {
        close(arrival->fd);
        weir__admission_return_place(&worker->weir->admission);
    } else {
        weir__conn_accepted(arrival->listener->services[worker->index], arrival->fd, &arrival->peer, arrival->id);
    }
    weir__free(arrival);
}

/* Returns 0, -ENOMEM, or -ESHUTDOWN when that worker has ended. */
static int hand_to(struct weir__worker *worker, struct weir_listener *listener, int fd, const struct weir__peer *peer,
                   uint64_t id)
{
    struct arrival *arrival = weir__zalloc(sizeof(*arrival));

    if (!arrival) return -ENOMEM;
    *arrival = (struct arrival){ .listener = listener, .peer = *peer, .id = id, .fd = fd };
    arrival->mail.run = take_in;
    if (weir__mailbox_hand(&worker->mailbox, &arrival->mail)) return 0; /* clients_max bounds these */
    weir__free(arrival);
    return -ESHUTDOWN;
}

static void admit(struct weir__socket *socket, int fd, const struct weir__peer *peer)
{
    struct weir__worker *worker = socket->worker;
    struct weir *weir = worker->weir;
    struct weir__service *service = socket->listener->services[worker->index];
    struct weir__worker *home;
    uint64_t id;
    int err;

    if (!weir__admission_take_place(&weir->admission)) {
        weir__service_refused(service, peer, WEIR_REASON_LIMIT); /* counted before the client can know */
        close(fd);
        weir__log(worker, WEIR_LOG_WARNING, WEIR_LOG_LIMIT,
                  "a client was refused: %llu are connected, and no more may be",
                  (unsigned long long)atomic_load(&weir->admission.clients_max));
        return;
    }
    id = weir__take_id(weir);
    if (id == 0) { /* a dial took the last one, after has_ids */
        weir__service_refused(service, peer, WEIR_REASON_LIMIT);
        close(fd);
        weir__admission_return_place(&weir->admission);
        return;
    }
    home = weir__worker_of(weir, id);
    if (home == worker) {
        weir__conn_accepted(service, fd, peer, id);
        return;
    }
    err = hand_to(home, socket->listener, fd, peer, id);
    if (err == 0) return;
    close(fd);
    weir__admission_return_place(&weir->admission);
    if (err == -ENOMEM) weir__service_refused(service, peer, WEIR_REASON_MEMORY);
}

void weir__socket_mail_worker(struct weir__socket *socket)
{
    if (!atomic_exchange(&socket->mailed, true)) weir__mailbox_force(&socket->worker->mailbox, &socket->mail);
}

/* There is no memory to wait for clients with: it is tried again in a moment, or, without even a timer, by mail in the
 * next turn. Better a busy loop than a deaf server. */
static void accept_later(struct weir__socket *socket)
{
    const struct timeval wait = { .tv_usec = PAUSE_MS * 1000 };

    weir__count(&socket->worker->counters.accept_pauses, 1);
    weir__log(socket->worker, WEIR_LOG_WARNING, WEIR_LOG_ACCEPT, "accepting pauses: %s", weir_strerror(-ENOMEM));
    if (evtimer_add(socket->resume_event, &wait) != 0) weir__socket_mail_worker(socket);
}

void weir__socket_set_accepting(struct weir__socket *socket)
{
    const bool accepting = socket->enabled && !socket->paused && socket->fd >= 0;

    if (!socket->accept_event) return;
    if (!accepting) {
        event_del(socket->accept_event);
    } else if (event_add(socket->accept_event, NULL) != 0) {
        accept_later(socket);
    }
}

/* Level-triggered readiness would report the client that waits again at once: without a pause, want of descriptors
 * burns a core. */
static void pause_accepting(struct weir__socket *socket)
{
    const struct timeval wait = { .tv_usec = PAUSE_MS * 1000 };

    weir__count(&socket->worker->counters.accept_pauses, 1);
    if (evtimer_add(socket->resume_event, &wait) != 0) return; /* better a busy loop than a deaf server */
    socket->paused = true;
    weir__socket_set_accepting(socket);
}

static void pause_for_error(struct weir__socket *socket, int error)
{
    weir__log(socket->worker, WEIR_LOG_WARNING, WEIR_LOG_ACCEPT, "accepting pauses: %s%s", weir_strerror(-error),
              error == EMFILE ? "; raise the descriptor limit (ulimit -n) or lower the number of clients" : "");
    pause_accepting(socket);
}

/* Whoever sets the limit may be held up for long, and says so himself. */
static void pause_for_ids(struct weir__socket *socket)
{
    weir__worker_wakes(socket->worker);
    if (!socket->lacks_ids)
        weir__log(socket->worker, WEIR_LOG_WARNING, WEIR_LOG_ACCEPT, "accepting pauses until more ids may be given");
    socket->lacks_ids = true;
    pause_accepting(socket);
}

void weir__socket_on_resume(evutil_socket_t fd, short what, void *arg)
{
    struct weir__socket *socket = arg;

    (void)fd;
    (void)what;
    weir__worker_wakes(socket->worker);
    socket->paused = false;
    weir__socket_set_accepting(socket);
}

/* What accept(2) reports of one client that went away, or that a firewall refused, says nothing of the next one. */
static bool concerns_one_client(int error)
{
    switch (error) {
    case ECONNABORTED:
    case EINTR:
    case EPERM:
    case EPROTO:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
    case ETIMEDOUT:
        return true;
    default:
        return false;
    }
}

/* Each worker takes one at most between asking here and weir__take_id. */
static bool has_ids(const struct weir *weir)
{
    const uint64_t limit = atomic_load(&weir->id_limit);

    return limit >= weir->workers_count &&
           atomic_load_explicit(&weir->next_id, memory_order_relaxed) <= limit - weir->workers_count;
}

void weir__socket_on_acceptable(evutil_socket_t fd, short what, void *arg)
{
    struct weir__socket *socket = arg;
    int accepted = 0;

    (void)what;
    for (int left = socket->listener->options.accepts_max; left > 0; left--) {
        struct sockaddr_storage address;
        socklen_t len = sizeof(address);
        struct weir__peer peer;
        int client;
        int error;

        if (!has_ids(socket->listener->weir)) {
            pause_for_ids(socket);
            return;
        }
        socket->lacks_ids = false;
        client = accept4(fd, (struct sockaddr *)&address, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        error = errno;
        weir__worker_wakes(socket->worker); /* for each: none came before it connected */
        if (client >= 0) {
            weir__peer_from_sockaddr((const struct sockaddr *)&address, len, &peer);
            admit(socket, client, &peer);
            accepted++;
            continue;
        }
        if (error == EAGAIN) return;
        weir__count(&socket->worker->counters.accept_errors, 1);
        if (concerns_one_client(error) && (left > 1 || accepted > 0)) continue;
        pause_for_error(socket, error); /* also when a whole wake-up brought nothing but failures */
        return;
    }
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Listeners: an address each, with one socket or several, each accepted by one worker (accept.c). */
#include "listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/event.h>

#include "engine.h"
#include "fail.h"
#include "listener_internal.h"
#include "mailbox.h"
#include "memory.h"
#include "net/address.h"
#include "net/unix_path.h"
#include "portable.h"
#include "worker.h"

enum { ADDRESSES_MAX = 16 };

/* ---- Enabling ---- */

/* Under the lock: another thread may be about to listen on it. */
static void close_socket(struct weir__socket *socket)
{
    if (socket->accept_event) event_free(socket->accept_event);
    if (socket->resume_event) event_free(socket->resume_event);
    socket->accept_event = socket->resume_event = NULL;
    if (socket->fd >= 0) close(socket->fd);
    socket->fd = -1;
}

static bool is_closed(const struct weir_listener *listener)
{
    bool closed;

    pthread_mutex_lock(&listener->weir->lock);
    closed = listener->is_closed;
    pthread_mutex_unlock(&listener->weir->lock);
    return closed;
}

static void apply_wanted(struct weir__worker *worker, struct weir__mail *mail)
{
    struct weir__socket *socket = WEIR__CONTAINER(mail, struct weir__socket, mail);

    atomic_store(&socket->mailed, false);
    if (worker->ended || socket->fd < 0) return;
    if (worker->stop_seen || is_closed(socket->listener)) {
        pthread_mutex_lock(&worker->weir->lock);
        close_socket(socket);
        pthread_mutex_unlock(&worker->weir->lock);
        return;
    }
    socket->enabled = atomic_load(&socket->wanted);
    if (socket->paused) weir__socket_on_resume(-1, 0, socket); /* there may be ids again; if not, it pauses again */
    weir__socket_set_accepting(socket);
}

static void tell_worker(struct weir__socket *socket, bool wanted)
{
    atomic_store(&socket->wanted, wanted);
    weir__socket_mail_worker(socket);
}

/* The list only grows at its head, until weir_free. */
void weir__listener_resume_all(struct weir *weir)
{
    struct weir_listener *listener;

    pthread_mutex_lock(&weir->lock);
    listener = weir->listeners;
    pthread_mutex_unlock(&weir->lock);
    for (; listener; listener = listener->next) {
        for (unsigned i = 0; i < listener->sockets_count; i++)
            weir__socket_mail_worker(&listener->sockets[i]);
    }
}

static int set_flag(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof(value)) == 0 ? 0 : -errno;
}

/* Under the lock, because weir_stop closes sockets on their workers. */
static int listen_on(struct weir__socket *socket)
{
    struct weir_listener *listener = socket->listener;
    int err = 0;

    pthread_mutex_lock(&listener->weir->lock);
    if (listener->is_closed) {
        err = WEIR_ECLOSED;
    } else if (socket->fd < 0) {
        err = WEIR_ESTOPPED;
    } else {
        if (listener->options.disabled) set_flag(socket->fd, SOL_SOCKET, SO_REUSEADDR, 1);
        if (listen(socket->fd, listener->options.backlog) != 0) err = -errno;
    }
    pthread_mutex_unlock(&listener->weir->lock);
    return err;
}

static bool is_usable(const struct weir_listener *listener)
{
    return listener && !weir__is_foreign(listener->weir);
}

static int misuse(const struct weir_listener *listener, const char *call)
{
    return listener ? weir__misuse(listener->weir, call, NULL)
                    : weir__fail(NULL, -EINVAL, "%s: the listener is NULL", call);
}

static int refuse_closed(const struct weir_listener *listener)
{
    return weir__fail(listener->weir, WEIR_ECLOSED, "listener %s: %s", listener->addresses[0],
                      weir_strerror(WEIR_ECLOSED));
}

/* Only once all listen is any worker told: a listener that failed half way is freed, and its mail must not be under
 * way.
 */
int weir_listener_enable(struct weir_listener *listener)
{
    if (!is_usable(listener)) return misuse(listener, "listener_enable");
    for (unsigned i = 0; i < listener->sockets_count; i++) {
        const int err = listen_on(&listener->sockets[i]);

        if (err != 0)
            return weir__fail(listener->weir, err, "listen %s: %s", listener->addresses[0], weir_strerror(err));
    }
    for (unsigned i = 0; i < listener->sockets_count; i++)
        tell_worker(&listener->sockets[i], true);
    return 0;
}

int weir_listener_disable(struct weir_listener *listener)
{
    if (!is_usable(listener)) return misuse(listener, "listener_disable");
    if (is_closed(listener)) return refuse_closed(listener);
    for (unsigned i = 0; i < listener->sockets_count; i++)
        tell_worker(&listener->sockets[i], false);
    return 0;
}

int weir_listener_close(struct weir_listener *listener)
{
    struct weir *weir = listener ? listener->weir : NULL;
    bool is_first, has_run;

    if (!is_usable(listener)) return misuse(listener, "listener_close");
    pthread_mutex_lock(&weir->lock);
    is_first = !listener->is_closed;
    has_run = atomic_load(&weir->has_run);
    listener->is_closed = true;
    for (unsigned i = 0; !has_run && i < listener->sockets_count; i++)
        close_socket(&listener->sockets[i]);
    if (is_first) weir__unix_path_remove(&listener->unix_path);
    weir__listener_leave_path(listener); /* who makes one there now may get the same inode */
    pthread_mutex_unlock(&weir->lock);
    if (!is_first) return 0;
    if (weir->room_is_found && !listener->was_given) weir__admission_grow(&weir->admission, listener->sockets_count);
    for (unsigned i = 0; has_run && i < listener->sockets_count; i++)
        weir__socket_mail_worker(&listener->sockets[i]);
    return 0;
}

static void add_tally(struct weir_listener_counters *sum, const struct weir__tally *tally)
{
    for (unsigned i = 0; i < WEIR_REASON_COUNT; i++)
        sum->closed[i] += weir__read_count(&tally->closed[i]);
    sum->refused += weir__read_count(&tally->refused);
    sum->accepted += weir__read_count(&tally->accepted);
    sum->messages_in += weir__read_count(&tally->messages_in);
    sum->messages_out += weir__read_count(&tally->messages_out);
    sum->messages_skipped += weir__read_count(&tally->messages_skipped);
    sum->messages_truncated += weir__read_count(&tally->messages_truncated);
    sum->bytes_in += weir__read_count(&tally->bytes_in);
    sum->bytes_out += weir__read_count(&tally->bytes_out);
    sum->skipped_bytes += weir__read_count(&tally->skipped_bytes);
    sum->strangers += weir__read_count(&tally->strangers);
}

void weir_listener_counters(const struct weir_listener *listener, struct weir_listener_counters *ret)
{
    struct weir_listener_counters sum = { .size = ret ? ret->size : 0 };

    if (!ret) return;
    for (unsigned i = 0; is_usable(listener) && i < listener->weir->workers_count; i++)
        add_tally(&sum, &listener->tallies[i]);
    /* What was closed is read first, so that this is never below 0. */
    sum.clients = sum.accepted + sum.refused;
    for (unsigned i = 0; i < WEIR_REASON_COUNT; i++)
        sum.clients -= sum.closed[i];
    sum.refused += sum.closed[WEIR_REASON_DENIED];
    memcpy(ret, &sum, sum.size < sizeof(sum) ? sum.size : sizeof(sum));
}

int weir_listener_address(const struct weir_listener *listener, unsigned index, char ret[WEIR_ADDRESS_BYTES_MAX])
{
    if (!listener || !ret) return -EINVAL;
    if (index >= listener->addresses_count) return -ENOENT;
    memcpy(ret, listener->addresses[index], WEIR_ADDRESS_BYTES_MAX);
    return 0;
}

/* ---- Opening ---- */

/* The port that the first address took, for the others, when port 0 was asked for. */
static void set_port(struct weir__address *address, in_port_t port)
{
    if (address->addr.ss_family == AF_INET) ((struct sockaddr_in *)&address->addr)->sin_port = port;
    if (address->addr.ss_family == AF_INET6) ((struct sockaddr_in6 *)&address->addr)->sin6_port = port;
}

static in_port_t get_port(const struct weir__address *address)
{
    if (address->addr.ss_family == AF_INET) return ((const struct sockaddr_in *)&address->addr)->sin_port;
    if (address->addr.ss_family == AF_INET6) return ((const struct sockaddr_in6 *)&address->addr)->sin6_port;
    return 0;
}

static int new_socket(const struct weir__address *address, const struct weir_listener *listener)
{
    const int family = address->addr.ss_family;
    const int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0) return -errno;
    if (family == AF_UNIX) return fd;
    set_flag(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (family == AF_INET6) set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY, !address->dual_stack);
    if (listener->options.defer_accept_s > 0)
        set_flag(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, listener->options.defer_accept_s);
    weir__service_set_socket(listener->services[0], fd);
    return fd;
}

/* SO_REUSEPORT is set on the first socket only after it is bound: a second server then finds the port taken, as it
 * should, while our own further sockets, which have it from the start, may join. */
static int bind_socket(struct weir_listener *listener, struct weir__address *address, bool is_first, int *ret_fd)
{
    const int fd = new_socket(address, listener);
    int err = 0;

    if (fd < 0) return fd;
    if (!is_first) err = set_flag(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (err == 0 && address->addr.ss_family == AF_UNIX) {
        err = weir__unix_path_bind(&listener->unix_path, fd, (const struct sockaddr_un *)&address->addr,
                                   listener->options.unix_mode, listener->options.backlog);
    } else if (err == 0) {
        if (bind(fd, (const struct sockaddr *)&address->addr, address->len) != 0) err = -errno;
        address->len = sizeof(address->addr);
        if (err == 0 && getsockname(fd, (struct sockaddr *)&address->addr, &address->len) != 0) err = -errno;
        /* Until it listens, another could bind the same address with SO_REUSEADDR, unless we take ours back. */
        if (listener->options.disabled) set_flag(fd, SOL_SOCKET, SO_REUSEADDR, 0);
        if (err == 0 && is_first && listener->options.reuseport) err = set_flag(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    }
    if (err != 0) {
        close(fd);
        return err;
    }
    *ret_fd = fd;
    return 0;
}

static void add_socket(struct weir_listener *listener, int fd, unsigned worker)
{
    struct weir__socket *socket = &listener->sockets[listener->sockets_count];

    *socket = (struct weir__socket){ .listener = listener, .worker = listener->weir->workers[worker], .fd = fd };
    socket->mail.run = apply_wanted;
    listener->sockets_count++;
}

static int open_first_of_each(struct weir_listener *listener, struct weir__address *addresses, unsigned count)
{
    in_port_t port = 0;
    int last_err = 0;

    for (unsigned i = 0; i < count; i++) {
        int fd = -1;
        int err;

        if (port != 0) set_port(&addresses[i], port);
        err = bind_socket(listener, &addresses[i], true, &fd);
        if (err == -EADDRNOTAVAIL || err == -EAFNOSUPPORT) { /* a name may have addresses that this machine lacks */
            last_err = err;
            continue;
        }
        if (err != 0) return err;
        port = get_port(&addresses[i]);
        addresses[listener->addresses_count] = addresses[i];
        weir__sockaddr_text((const struct sockaddr *)&addresses[i].addr, addresses[i].len, addresses[i].dual_stack,
                            listener->addresses[listener->addresses_count]);
        listener->addresses_count++;
        add_socket(listener, fd, 0);
    }
    return listener->addresses_count > 0 ? 0 : last_err;
}

static int open_reuseport(struct weir_listener *listener, struct weir__address *addresses)
{
    for (unsigned i = 0; i < listener->addresses_count && addresses[i].addr.ss_family != AF_UNIX; i++) {
        for (unsigned worker = 1; worker < listener->weir->workers_count; worker++) {
            int fd = -1;
            const int err = bind_socket(listener, &addresses[i], false, &fd);
            if (err != 0) return err;
            add_socket(listener, fd, worker);
        }
    }
    return 0;
}

/* A descriptor is taken over once: two owners would close it twice. */
static bool is_taken(struct weir *weir, int fd)
{
    bool taken = false;

    pthread_mutex_lock(&weir->lock);
    for (const struct weir_listener *listener = weir->listeners; listener; listener = listener->next) {
        for (unsigned i = 0; i < listener->sockets_count; i++)
            taken |= listener->sockets[i].fd == fd;
    }
    pthread_mutex_unlock(&weir->lock);
    return taken;
}

static int take_over_fd(struct weir_listener *listener, int fd)
{
    struct sockaddr_storage address = { 0 };
    socklen_t len = sizeof(address);
    int listening = 0, type = 0;
    socklen_t listening_len = sizeof(listening), type_len = sizeof(type);

    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &listening_len) != 0) return -errno;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) != 0) return -errno;
    if (!listening || type != SOCK_STREAM) return -EINVAL;
    if (is_taken(listener->weir, fd)) return -EADDRINUSE;
    if (getsockname(fd, (struct sockaddr *)&address, &len) != 0) return -errno;
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 || fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) != 0) return -errno;
    if (address.ss_family != AF_UNIX) weir__service_set_socket(listener->services[0], fd);
    weir__sockaddr_text((const struct sockaddr *)&address, len, false, listener->addresses[0]);
    listener->addresses_count = 1;
    listener->was_given = true;
    add_socket(listener, fd, 0);
    return 0;
}

static int resolve(struct weir_listener *listener, const struct weir_url *url, struct weir__address *ret,
                   unsigned *ret_count)
{
    int gai_error = 0;
    const int err = weir__url_resolve(url, true, ret, ADDRESSES_MAX, ret_count, &gai_error);

    if (err != WEIR_ERESOLVE) return err;
    return weir__fail(listener->weir, err, "%s: %s", url->host, gai_strerror(gai_error));
}

/* Where there is no IPv6, every address means every IPv4 address. */
static void fall_back_to_ipv4(struct weir__address *address)
{
    const struct sockaddr_in any = { .sin_family = AF_INET,
                                     .sin_port = ((const struct sockaddr_in6 *)&address->addr)->sin6_port,
                                     .sin_addr.s_addr = htonl(INADDR_ANY) };

    memset(&address->addr, 0, sizeof(address->addr));
    memcpy(&address->addr, &any, sizeof(any));
    address->len = sizeof(any);
}

static int open_addresses(struct weir_listener *listener, const struct weir_url *url)
{
    struct weir__address addresses[ADDRESSES_MAX];
    unsigned count = 0;
    int err = resolve(listener, url, addresses, &count);

    if (err != 0) return err;
    err = open_first_of_each(listener, addresses, count);
    if (err == -EAFNOSUPPORT && addresses[0].dual_stack) {
        fall_back_to_ipv4(&addresses[0]);
        err = open_first_of_each(listener, addresses, 1);
    }
    return err == 0 && listener->options.reuseport ? open_reuseport(listener, addresses) : err;
}

static int make_events(struct weir_listener *listener)
{
    for (unsigned i = 0; i < listener->sockets_count; i++) {
        struct weir__socket *socket = &listener->sockets[i];
        struct event_base *base = socket->worker->base;

        socket->accept_event = event_new(base, socket->fd, EV_READ | EV_PERSIST, weir__socket_on_acceptable, socket);
        socket->resume_event = evtimer_new(base, weir__socket_on_resume, socket);
        if (!socket->accept_event || !socket->resume_event) return -ENOMEM;
    }
    return 0;
}

static int make_service(struct weir_listener *listener, const struct weir_service *given, unsigned worker,
                        struct weir__service **ret)
{
    const int err = weir__service_new(listener->weir->workers[worker], given, ret);

    if (err != 0) return err;
    (*ret)->listener = listener;
    (*ret)->tally = &listener->tallies[worker];
    return 0;
}

static int make_services(struct weir_listener *listener, const struct weir_service *service)
{
    const unsigned count = listener->weir->workers_count;
    int err = 0;

    listener->services = weir__zalloc(count * sizeof(*listener->services));
    listener->tallies = weir__zalloc(count * sizeof(*listener->tallies));
    if (!listener->services || !listener->tallies)
        return weir__fail(listener->weir, -ENOMEM, "%s", weir_strerror(-ENOMEM));
    for (unsigned i = 0; i < count && err == 0; i++)
        err = make_service(listener, service, i, &listener->services[i]);
    return err;
}

static int make_room(struct weir_listener *listener)
{
    listener->sockets =
        weir__zalloc((ADDRESSES_MAX + listener->weir->workers_count * ADDRESSES_MAX) * sizeof(*listener->sockets));
    listener->addresses = weir__zalloc(ADDRESSES_MAX * sizeof(*listener->addresses));
    return listener->sockets && listener->addresses ? 0 : -ENOMEM;
}

static int open_listener(struct weir_listener *listener, const struct weir_url *url)
{
    int err = make_room(listener);

    if (err != 0) return err;
    if (url->kind == WEIR_URL_FD) {
        err = take_over_fd(listener, (int)url->port);
    } else {
        err = open_addresses(listener, url);
    }
    if (err == 0) err = make_events(listener);
    if (err != 0 || listener->options.disabled) return err;
    return weir_listener_enable(listener);
}

static int parse(const struct weir *weir, const char *text, struct weir_url *ret)
{
    char error[256];
    const int err = weir_url_parse(text, ret, error, sizeof(error));

    if (err != 0) return weir__fail(weir, err, "%s", error);
    if (ret->kind == WEIR_URL_TLS) return weir__fail(weir, WEIR_EADDRESS, "%s: TLS is not in this version yet", text);
    if (atomic_load(&weir->stopping))
        return weir__fail(weir, WEIR_ESTOPPED, "listen %s: %s", text, weir_strerror(WEIR_ESTOPPED));
    return 0;
}

static void add_to_list(struct weir_listener *listener)
{
    struct weir *weir = listener->weir;

    pthread_mutex_lock(&weir->lock);
    listener->next = weir->listeners;
    weir->listeners = listener;
    pthread_mutex_unlock(&weir->lock);
    if (weir->room_is_found && !listener->was_given) weir__admission_shrink(&weir->admission, listener->sockets_count);
}

/* What a descriptor or a file is not, in words that say so; the rest says the system. */
static const char *why(const struct weir_url *url, int err)
{
    if (url->kind == WEIR_URL_FD && err == -EINVAL) return "not a listening stream socket";
    if (url->kind == WEIR_URL_UNIX && err == -EEXIST) return "a file that is no socket is there already";
    return weir_strerror(err);
}

int weir_listen(struct weir *weir, const char *url, const struct weir_service *service, struct weir_listener **ret)
{
    struct weir_listener *listener;
    struct weir_url parsed;
    char text[WEIR__URL_BYTES_MAX];
    int err;

    if (!weir__is_usable(weir) || !url) return weir__misuse(weir, "listen", "address");
    err = parse(weir, url, &parsed);
    if (err != 0) return err;
    weir__url_text(&parsed, text);
    listener = weir__zalloc(sizeof(*listener));
    if (!listener) return weir__fail(weir, -ENOMEM, "listen %s: %s", text, weir_strerror(-ENOMEM));
    listener->weir = weir;
    err = weir__listen_options(weir, service, &listener->options);
    if (err == 0) err = make_services(listener, service);
    if (err != 0) goto out;
    err = open_listener(listener, &parsed);
    if (err != 0 && err != WEIR_ERESOLVE) weir__fail(weir, err, "listen %s: %s", text, why(&parsed, err));
out:
    if (err != 0) {
        weir__listener_free(listener);
        return err;
    }
    add_to_list(listener);
    if (ret) *ret = listener;
    return 0;
}

/* ---- Another service ---- */

/* On its way to a worker. */
struct renewal {
    struct weir__mail mail;
    struct weir_listener *listener;
    struct weir__service *service;
};

static void free_renewal(struct renewal *renewal)
{
    if (renewal) weir__service_release(renewal->service);
    weir__free(renewal);
}

/* The address decides how bytes cross, so that stays. */
static void renew(struct renewal *renewal)
{
    struct weir_listener *listener = renewal->listener;
    struct weir__service *service = renewal->service;
    struct weir__service **place = &listener->services[service->worker->index];

    weir__service_set_transport(service, (*place)->transport, (*place)->transport_context);
    renewal->service = *place;
    *place = service;
    for (unsigned i = 0; i < listener->sockets_count; i++)
        if (listener->sockets[i].worker == service->worker && listener->sockets[i].fd >= 0)
            weir__service_set_socket(service, listener->sockets[i].fd);
}

static void take_renewal(struct weir__worker *worker, struct weir__mail *mail)
{
    struct renewal *renewal = WEIR__CONTAINER(mail, struct renewal, mail);

    if (!worker->ended) renew(renewal);
    free_renewal(renewal);
}

/* Returns 0, or a code with a sentence. */
static int make_renewals(struct weir_listener *listener, const struct weir_service *given, struct renewal **ret)
{
    int err = 0;

    for (unsigned i = 0; i < listener->weir->workers_count && err == 0; i++) {
        ret[i] = weir__zalloc(sizeof(**ret));
        if (!ret[i]) return weir__fail(listener->weir, -ENOMEM, "listener: %s", weir_strerror(-ENOMEM));
        ret[i]->mail.run = take_renewal;
        ret[i]->listener = listener;
        err = make_service(listener, given, i, &ret[i]->service);
    }
    return err;
}

/* All workers learn of two updates in the same order, by the lock. What is left in renewals is the caller's. */
static int hand_out(struct weir_listener *listener, struct renewal **renewals)
{
    struct weir *weir = listener->weir;
    const bool is_open = !listener->is_closed;

    for (unsigned i = 0; i < weir->workers_count && is_open; i++) {
        if (!atomic_load(&weir->has_run))
            renew(renewals[i]);
        else if (weir__mailbox_hand(&weir->workers[i]->mailbox, &renewals[i]->mail))
            renewals[i] = NULL;
    }
    return is_open ? 0 : WEIR_ECLOSED;
}

int weir_listener_update(struct weir_listener *listener, const struct weir_service *service)
{
    struct renewal **renewals;
    int err;

    if (!is_usable(listener)) return misuse(listener, "listener_update");
    renewals = weir__zalloc(listener->weir->workers_count * sizeof(struct renewal *));
    if (!renewals) return weir__fail(listener->weir, -ENOMEM, "listener: %s", weir_strerror(-ENOMEM));
    err = make_renewals(listener, service, renewals);
    if (err == 0) {
        pthread_mutex_lock(&listener->weir->lock);
        err = hand_out(listener, renewals);
        pthread_mutex_unlock(&listener->weir->lock);
        if (err != 0) refuse_closed(listener);
    }
    for (unsigned i = 0; i < listener->weir->workers_count; i++)
        free_renewal(renewals[i]);
    weir__free(renewals);
    return err;
}

/* ---- Closing ---- */

struct weir_listener *weir__listener_next(const struct weir_listener *listener)
{
    return listener->next;
}

const struct weir__tally *weir__listener_tally(const struct weir_listener *listener, unsigned worker)
{
    return &listener->tallies[worker];
}

void weir__listener_set_transport(struct weir_listener *listener, const struct weir__transport *transport,
                                  struct weir__transport_context *context)
{
    for (unsigned i = 0; i < listener->weir->workers_count; i++)
        weir__service_set_transport(listener->services[i], transport, context);
}

void weir__listener_stop_all(struct weir__worker *worker)
{
    struct weir *weir = worker->weir;

    pthread_mutex_lock(&weir->lock);
    for (struct weir_listener *listener = weir->listeners; listener; listener = listener->next) {
        for (unsigned i = 0; i < listener->sockets_count; i++) {
            if (listener->sockets[i].worker == worker) close_socket(&listener->sockets[i]);
        }
    }
    pthread_mutex_unlock(&weir->lock);
}

void weir__listener_close(struct weir_listener *listener)
{
    for (unsigned i = 0; i < listener->sockets_count; i++) {
        if (listener->sockets[i].fd >= 0) close(listener->sockets[i].fd);
    }
}

void weir__listener_leave_path(struct weir_listener *listener)
{
    listener->unix_path.path[0] = '\0';
}

void weir__listener_free(struct weir_listener *listener)
{
    if (!listener) return;
    for (unsigned i = 0; i < listener->sockets_count; i++)
        close_socket(&listener->sockets[i]);
    weir__unix_path_remove(&listener->unix_path);
    for (unsigned i = 0; listener->services && i < listener->weir->workers_count; i++)
        weir__service_release(listener->services[i]);
    weir__free(listener->services);
    weir__free(listener->tallies);
    weir__free(listener->sockets);
    weir__free(listener->addresses);
    weir__free(listener);
}

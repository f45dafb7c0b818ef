/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Dialling: names are resolved in the caller's thread; then the addresses are tried one after the other on the
 * connection's worker. */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weir/weir.h>

#include "conn/conn.h"
#include "engine.h"
#include "fail.h"
#include "mailbox.h"
#include "memory.h"
#include "net/address.h"
#include "portable.h"
#include "worker.h"

enum { ADDRESSES_MAX = 8 };

/* A dial: mail on its way to the worker, then what the connection tries. Owned by the mailbox, then by the connection.
 */
struct dial {
    struct weir__dial base;
    struct weir__mail mail;
    struct weir__service *service;
    void *user;
    uint64_t id;
    unsigned count, next;
    struct weir__address addresses[ADDRESSES_MAX];
};

static struct dial *dial_of(const struct weir_conn *conn)
{
    return WEIR__CONTAINER(conn->work->dial, struct dial, base);
}

static void free_dial(struct weir__dial *base)
{
    weir__free(WEIR__CONTAINER(base, struct dial, base));
}

static enum weir_reason reason_of(int error)
{
    switch (error) {
    case ECONNREFUSED:
    case ENOENT:
        return WEIR_REASON_REFUSED; /* no such unix socket */
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
    case ENETDOWN:
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
        return WEIR_REASON_UNREACHABLE;
    case ETIMEDOUT:
        return WEIR_REASON_CONNECT_TIMEOUT;
    case ENOMEM:
        return WEIR_REASON_MEMORY;
    default:
        return WEIR_REASON_FAILED;
    }
}

/* The port is chosen only by connect (ip(7)): chosen here, each could be taken but once, whoever it connects to.
 * Returns 0 or -errno. */
static int bind_source(const struct weir__address *source, int fd)
{
    const int on = 1;

    (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    return bind(fd, (const struct sockaddr *)&source->addr, source->len) == 0 ? 0 : -errno;
}

/* A socket that is connecting to the address, or -errno. */
static int start_connecting(const struct weir__service *service, const struct weir__address *address)
{
    const struct weir__address *source = &service->source;
    int fd, err = 0;

    if (source->len > 0 && source->addr.ss_family != address->addr.ss_family) return -EAFNOSUPPORT;
    fd = socket(address->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    if (address->addr.ss_family != AF_UNIX) weir__service_set_socket(service, fd);
    if (source->len > 0) err = bind_source(source, fd);
    if (err == 0 && (connect(fd, (const struct sockaddr *)&address->addr, address->len) == 0 || errno == EINPROGRESS))
        return fd;
    if (err == 0) err = -errno;
    close(fd);
    return err;
}

static void try_next(struct weir_conn *conn, int last_error)
{
    struct dial *dial = dial_of(conn);

    while (dial->next < dial->count) {
        const struct weir__address *address = &dial->addresses[dial->next++];
        const int fd = start_connecting(conn->service, address);

        if (fd >= 0) {
            struct weir__peer peer;
            weir__peer_from_sockaddr((const struct sockaddr *)&address->addr, address->len, &peer);
            weir__conn_try(conn, fd, &peer);
            return;
        }
        last_error = -fd;
    }
    weir__conn_abort(conn, reason_of(last_error), last_error);
}

static void on_ready(struct weir_conn *conn)
{
    int error = 0;
    socklen_t len = sizeof(error);

    if (getsockopt(weir__conn_fd(conn), SOL_SOCKET, SO_ERROR, &error, &len) != 0) error = errno;
    if (error == 0) {
        weir__conn_connected(conn);
    } else {
        try_next(conn, error);
    }
}

static void on_timeout(struct weir_conn *conn)
{
    try_next(conn, ETIMEDOUT);
}

/* Without memory for a connection on_close is owed all the same: it is called with one that never was, closed, and
 * known to nobody. */
static void close_stillborn(struct weir__worker *worker, const struct dial *dial)
{
    struct weir_conn conn = { .service = dial->service,
                              .id = dial->id,
                              .user = dial->user,
                              .state = WEIR__CLOSED,
                              .reason = WEIR_REASON_MEMORY,
                              .error = ENOMEM };

    conn.event.ev_fd = -1;
    weir__count(&worker->dialled.dialled, 1);
    weir__count(&worker->dialled.closed[WEIR_REASON_MEMORY], 1);
    if (conn.service->on_close) conn.service->on_close(&conn, WEIR_REASON_MEMORY, conn.user);
}

static void begin(struct weir__worker *worker, struct weir__mail *mail)
{
    struct dial *dial = WEIR__CONTAINER(mail, struct dial, mail);
    struct weir__service *service = dial->service;
    struct weir_conn *conn = worker->is_copy ? NULL : weir__conn_dialled(service, dial->id, dial->user, &dial->base);

    if (worker->is_copy) {
        weir__free(dial);
    } else if (!conn) {
        close_stillborn(worker, dial);
        weir__free(dial);
    } else if (worker->stop_seen || worker->ended) {
        weir__conn_abort(conn, WEIR_REASON_DRAIN, 0);
    } else {
        try_next(conn, 0);
    }
    weir__service_release(service); /* the connection has its own use of it */
}

static int resolve(const struct weir *weir, const char *text, struct dial *dial)
{
    struct weir_url url;
    char error[256];
    int gai_error = 0;
    int err = weir_url_parse(text, &url, error, sizeof(error));

    if (err != 0) return weir__fail(weir, err, "%s", error);
    if (url.kind == WEIR_URL_TLS || url.kind == WEIR_URL_FD)
        return weir__fail(weir, WEIR_EADDRESS, "%s: cannot be dialled%s", text,
                          url.kind == WEIR_URL_TLS ? "; TLS is not in this version yet" : "");
    err = weir__url_resolve(&url, false, dial->addresses, ADDRESSES_MAX, &dial->count, &gai_error);
    if (err == WEIR_ERESOLVE) return weir__fail(weir, err, "%s: %s", url.host, gai_strerror(gai_error));
    return err == 0 ? 0 : weir__fail(weir, err, "dial %s: %s", text, weir_strerror(err));
}

int weir_dial(struct weir *weir, const char *url, const struct weir_service *service, void *user, uint64_t *ret_id)
{
    struct dial *dial;
    uint64_t id;
    int err;

    if (!weir__is_usable(weir) || !url) return weir__misuse(weir, "dial", "address");
    dial = weir__zalloc(sizeof(*dial));
    if (!dial) return weir__fail(weir, -ENOMEM, "dial %s: %s", url, weir_strerror(-ENOMEM));
    err = resolve(weir, url, dial);
    if (err != 0) goto out;
    id = weir__take_id(weir);
    if (id == 0) {
        err = weir__fail(weir, -EAGAIN, "dial %s: the limit of ids is reached", url);
        goto out;
    }
    err = weir__service_new(weir__worker_of(weir, id), service, &dial->service);
    if (err != 0) goto out;
    dial->base = (struct weir__dial){ .on_ready = on_ready, .on_timeout = on_timeout, .free = free_dial };
    dial->mail.run = begin;
    dial->id = id;
    dial->user = user ? user : dial->service->user;
    err = weir__mailbox_reserve(&weir__worker_of(weir, id)->mailbox, dial->mail.bytes);
    if (err == 0) {
        if (ret_id) *ret_id = id; /* first: on_open may run before this returns */
        weir__mailbox_put(&weir__worker_of(weir, id)->mailbox, &dial->mail);
        return 0;
    }
    weir__fail(weir, err, "dial %s: %s", url, weir_strerror(err));
out:
    weir__service_release(dial->service);
    weir__free(dial);
    return err;
}

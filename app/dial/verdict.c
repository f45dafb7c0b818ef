/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Turns a close reason into an exit status and a sentence that helps. Must never guess: a hint is
 * given only for what was tried. */
#include "verdict.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PROBE_MS = 250 };

void verdict_target(const struct weir_url *url, char ret[TARGET_BYTES_MAX])
{
    if (url->kind == WEIR_URL_UNIX)
        snprintf(ret, TARGET_BYTES_MAX, "unix:%s", url->path);
    else if (strcmp(url->host, "*") == 0) /* every address to listen on, this machine to connect to */
        snprintf(ret, TARGET_BYTES_MAX, "tcp://localhost:%u", url->port);
    else
        snprintf(ret, TARGET_BYTES_MAX, strchr(url->host, ':') ? "tcp://[%s]:%u" : "tcp://%s:%u", url->host, url->port);
}

/* ---- The byte-swapped port ---- */

/* Whether something accepts there. A connection that met itself (a port that this end happened to be given) is nobody.
 */
static bool answers(const struct sockaddr *address, socklen_t len)
{
    struct sockaddr_storage own = { 0 };
    struct sockaddr_storage peer = { 0 };
    socklen_t own_len = sizeof(own);
    socklen_t peer_len = sizeof(peer);
    struct pollfd ready = { .events = POLLOUT };
    bool answered = false;

    ready.fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (ready.fd < 0) return false;
    if (connect(ready.fd, address, len) == 0 || (errno == EINPROGRESS && poll(&ready, 1, PROBE_MS) == 1))
        answered = getpeername(ready.fd, (struct sockaddr *)&peer, &peer_len) == 0 &&
                   getsockname(ready.fd, (struct sockaddr *)&own, &own_len) == 0 &&
                   (own_len != peer_len || memcmp(&own, &peer, own_len) != 0);
    close(ready.fd);
    return answered;
}

static bool loopback_answers(const struct weir_url *url, unsigned port)
{
    const bool any = strcmp(url->host, "localhost") == 0 || strcmp(url->host, "*") == 0;
    struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) };

    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    v6.sin6_addr = in6addr_loopback;
    if (any || strncmp(url->host, "127.", 4) == 0) {
        if (!any && inet_pton(AF_INET, url->host, &v4.sin_addr) != 1) return false;
        if (answers((const struct sockaddr *)&v4, sizeof(v4))) return true;
    }
    return (any || strcmp(url->host, "::1") == 0) && answers((const struct sockaddr *)&v6, sizeof(v6));
}

/* Where a server on this machine alone would do. */
static bool is_loopback(const struct weir_url *url)
{
    return strncmp(url->host, "127.", 4) == 0 || strcmp(url->host, "localhost") == 0;
}

/* A server that stored its port without htons listens on the port with its two bytes swapped. */
static enum status refused(const struct weir_url *url, const char *target, char *ret)
{
    const unsigned swapped = (url->port & 0xff) << 8 | url->port >> 8;

    if (url->kind == WEIR_URL_TCP && swapped && swapped != url->port && loopback_answers(url, swapped))
        snprintf(ret, VERDICT_BYTES_MAX,
                 "connection refused: nothing listens on %u, but something does on %u, which is %u without htons",
                 url->port, swapped, url->port);
    else if (url->kind == WEIR_URL_TCP)
        snprintf(ret, VERDICT_BYTES_MAX,
                 "connection refused: nothing listens on %s; start a server there with: weir serve %s%u", target,
                 is_loopback(url) ? "" : ":", url->port);
    else
        snprintf(ret, VERDICT_BYTES_MAX,
                 "connection refused: nothing listens on %s; start a server there with: weir serve %s", target, target);
    return STATUS_REFUSED;
}

/* ---- All reasons ---- */

/* What a reason means here: the status, and the words before and behind the server's address. Reasons without a row are
 * a failure that only their own text describes. */
static const struct {
    enum status status;
    const char *before;
    const char *behind;
} meanings[WEIR_REASON_COUNT] = {
    [WEIR_REASON_RESET] = { STATUS_RESET,
                            "connection reset: ", " dropped the connection; what was on the way may be lost" },
    [WEIR_REASON_CONNECT_TIMEOUT] = { STATUS_TIMED_OUT, "timed out: no answer from ",
                                      "; is that machine on, and does its firewall let this port through?" },
    [WEIR_REASON_LOST] = { STATUS_TIMED_OUT, "timed out: nothing is heard from ", " any more" },
    [WEIR_REASON_WRITE_TIMEOUT] = { STATUS_TIMED_OUT, "timed out: ", " takes nothing of what is sent" },
    [WEIR_REASON_DRAIN_TIMEOUT] = { STATUS_TIMED_OUT, "timed out: ", " did not take all that was sent" },
    [WEIR_REASON_UNREACHABLE] = { STATUS_NO_ROUTE,
                                  "no route: ", " cannot be reached from here; check the address and the network" },
};

enum status verdict(enum weir_reason reason, int error, const struct weir_url *url, char ret[VERDICT_BYTES_MAX])
{
    char target[TARGET_BYTES_MAX];

    verdict_target(url, target);
    ret[0] = 0;
    if (!weir_reason_is_error(reason)) return STATUS_DONE;
    if (reason == WEIR_REASON_FAILED && error == ECONNRESET) reason = WEIR_REASON_RESET; /* while it was dialled */
    /* A unix socket that is not there is a server that is not there. */
    if (reason == WEIR_REASON_REFUSED || (url->kind == WEIR_URL_UNIX && error == ENOENT))
        return refused(url, target, ret);
    if (meanings[reason].before) {
        snprintf(ret, VERDICT_BYTES_MAX, "%s%s%s", meanings[reason].before, target, meanings[reason].behind);
        return meanings[reason].status;
    }
    snprintf(ret, VERDICT_BYTES_MAX, "%s: %.200s", target,
             reason == WEIR_REASON_FAILED && error ? weir_strerror(-error) : weir_reason_text(reason));
    return STATUS_FAILED;
}

enum status verdict_say(enum weir_reason reason, int error, const struct weir_url *url)
{
    char sentence[VERDICT_BYTES_MAX];
    const enum status status = verdict(reason, error, url, sentence);

    status_say_error(sentence);
    return status;
}

enum status verdict_say_text(enum status status, const char *target, const char *text)
{
    char sentence[VERDICT_BYTES_MAX];

    snprintf(sentence, sizeof(sentence), "%s: %s", target, text);
    status_say_error(sentence);
    return status;
}

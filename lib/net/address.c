/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Addresses: from what people write to what the kernel takes, and back. The one place where a port changes its byte
 * order. It must never open a socket, and only weir__url_resolve may ask the network. */
#include "address.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "portable.h"

#define PORT_MAX 65535

_Static_assert(sizeof(struct weir__peer) <= 20, "every idle connection pays for it");
_Static_assert(sizeof(((struct weir_url *)0)->path) == sizeof(((struct sockaddr_un *)0)->sun_path),
               "a path that was accepted can be bound");

/* ---- Reading URLs ---- */

/* A URL while it is read, for the sentence about it. */
struct reading {
    const char *text;
    char *error;
    size_t error_size;
};

WEIR__PRINTF(2, 3) static int fail(const struct reading *reading, const char *format, ...)
{
    va_list args;
    int prefix;

    if (!reading->error || reading->error_size == 0) return WEIR_EADDRESS;
    prefix = snprintf(reading->error, reading->error_size, "address \"%.150s\": ", reading->text);
    if (prefix < 0 || (size_t)prefix >= reading->error_size) return WEIR_EADDRESS;
    va_start(args, format);
    vsnprintf(reading->error + prefix, reading->error_size - (size_t)prefix, format, args);
    va_end(args);
    return WEIR_EADDRESS;
}

/* Decimal digits and nothing else. */
static bool number_read(const char *text, unsigned max, unsigned *ret)
{
    unsigned long value = 0;

    if (*text == '\0') return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9') return false;
        value = value * 10 + (unsigned long)(*text - '0');
        if (value > max) return false;
    }
    *ret = (unsigned)value;
    return true;
}

static int port_read(const struct reading *reading, const char *text, struct weir_url *url)
{
    if (number_read(text, PORT_MAX, &url->port)) return 0;
    return fail(reading, "port \"%s\" is not a number from 0 to %d", text, PORT_MAX);
}

/* Puts a host of len bytes into the URL, without a look at what it says. */
static int host_set(const struct reading *reading, const char *host, size_t len, struct weir_url *url)
{
    if (len >= sizeof(url->host)) return fail(reading, "the host has more than %zu bytes", sizeof(url->host) - 1);
    memcpy(url->host, host, len);
    url->host[len] = '\0';
    return 0;
}

/* `[IPV6]:PORT`, with or without a zone behind the address ("fe80::1%eth0"). */
static int bracketed_read(const struct reading *reading, const char *text, struct weir_url *url)
{
    const char *end = strchr(text, ']');
    char numeric[sizeof(url->host)];
    struct in6_addr ignored;
    int err;

    if (!end) return fail(reading, "\"[\" without \"]\"");
    err = host_set(reading, text + 1, (size_t)(end - text - 1), url);
    if (err) return err;
    memcpy(numeric, url->host, sizeof(numeric));
    numeric[strcspn(numeric, "%")] = '\0';
    if (inet_pton(AF_INET6, numeric, &ignored) != 1) {
        return fail(reading, "\"%s\" is not an IPv6 address; only those stand in brackets", url->host);
    }
    if (end[1] != ':') return fail(reading, "needs a port, as in [::1]:8000");
    return port_read(reading, end + 2, url);
}

/* `HOST:PORT`, `*:PORT`, `:PORT`. */
static int host_port_read(const struct reading *reading, const char *text, struct weir_url *url)
{
    static const char host_bytes[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
    const char *colon = strchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : 0;
    int err;

    if (text[0] == '[') return bracketed_read(reading, text, url);
    if (!colon) return fail(reading, "needs a port, as in localhost:8000");
    if (strchr(colon + 1, ':') && strspn(text, "0123456789abcdefABCDEF:.") == strlen(text)) {
        return fail(reading, "an IPv6 address stands in brackets, as in [::1]:8000");
    }
    if (len == 0 || (len == 1 && text[0] == '*')) {
        err = host_set(reading, "*", 1, url);
    } else if (strspn(text, host_bytes) != len) {
        err = fail(reading, "\"%.*s\" is not a host name", (int)len, text);
    } else {
        err = host_set(reading, text, len, url);
    }
    return err ? err : port_read(reading, colon + 1, url);
}

static int unix_read(const struct reading *reading, const char *path, struct weir_url *url)
{
    size_t len = strlen(path);

    if (len == 0) return fail(reading, "needs a path, as in unix:/run/weir.sock");
    if (len >= sizeof(url->path))
        return fail(reading, "the path has %zu bytes; at most %zu", len, sizeof(url->path) - 1);
    memcpy(url->path, path, len + 1);
    return 0;
}

static int fd_read(const struct reading *reading, const char *number, struct weir_url *url)
{
    if (number_read(number, INT_MAX, &url->port)) return 0;
    return fail(reading, "needs the number of a descriptor, as in fd:3");
}

/* The URLs that begin with a scheme. */
static const struct {
    const char *prefix;
    int kind;
    int (*read)(const struct reading *reading, const char *rest, struct weir_url *url);
} schemes[] = {
    { "tcp://", WEIR_URL_TCP, host_port_read },
    { "tls://", WEIR_URL_TLS, host_port_read },
    { "unix:", WEIR_URL_UNIX, unix_read },
    { "fd:", WEIR_URL_FD, fd_read },
};

/* The forms without a scheme. */
static int short_read(const struct reading *reading, struct weir_url *url)
{
    const char *text = reading->text;
    const char *slashes = strstr(text, "://");

    url->kind = WEIR_URL_TCP;
    if (slashes) {
        return fail(reading, "unknown scheme \"%.*s\"; known: tcp://HOST:PORT, tls://HOST:PORT, unix:PATH, fd:N",
                    (int)(slashes - text), text);
    }
    if (strchr(text, ':') || text[0] == '[') return host_port_read(reading, text, url);
    if (number_read(text, PORT_MAX, &url->port)) return host_set(reading, "127.0.0.1", strlen("127.0.0.1"), url);
    if (text[0] != '\0' && text[strspn(text, "0123456789")] == '\0') return port_read(reading, text, url);
    return fail(reading, "neither a port, as in 8000, nor HOST:PORT, as in localhost:8000");
}

int weir_url_parse(const char *text, struct weir_url *ret, char *error, size_t error_size)
{
    const struct reading reading = { text, error, error_size };
    struct weir_url url = { 0 };
    size_t i = 0;
    int err;

    if (!text || !ret) {
        if (error && error_size > 0) snprintf(error, error_size, "the address, or the place for the URL, is NULL");
        return -EINVAL;
    }
    while (i < sizeof(schemes) / sizeof(schemes[0]) && strncmp(text, schemes[i].prefix, strlen(schemes[i].prefix)) != 0)
        i++;
    if (i < sizeof(schemes) / sizeof(schemes[0])) {
        url.kind = schemes[i].kind;
        err = schemes[i].read(&reading, text + strlen(schemes[i].prefix), &url);
    } else {
        err = short_read(&reading, &url);
    }
    if (!err) *ret = url;
    return err;
}

/* ---- Peers ---- */

void weir__peer_from_sockaddr(const struct sockaddr *address, socklen_t len, struct weir__peer *ret)
{
    struct sockaddr_in ipv4;
    struct sockaddr_in6 ipv6;

    *ret = (struct weir__peer){ .family = WEIR__FAMILY_NONE };
    if (len < sizeof(address->sa_family)) return;
    if (address->sa_family == AF_UNIX) {
        ret->family = WEIR__FAMILY_UNIX;
    } else if (address->sa_family == AF_INET && len >= sizeof(ipv4)) {
        memcpy(&ipv4, address, sizeof(ipv4));
        memcpy(ret->addr, &ipv4.sin_addr, sizeof(ipv4.sin_addr));
        ret->port = ntohs(ipv4.sin_port);
        ret->family = WEIR__FAMILY_IPV4;
    } else if (address->sa_family == AF_INET6 && len >= sizeof(ipv6)) {
        bool mapped;
        memcpy(&ipv6, address, sizeof(ipv6));
        mapped = IN6_IS_ADDR_V4MAPPED(&ipv6.sin6_addr);
        memcpy(ret->addr, ipv6.sin6_addr.s6_addr + (mapped ? 12 : 0), mapped ? 4 : 16);
        ret->port = ntohs(ipv6.sin6_port);
        ret->family = mapped ? WEIR__FAMILY_IPV4 : WEIR__FAMILY_IPV6;
    }
}

const char *weir__peer_text(const struct weir__peer *peer, char ret[WEIR_ADDRESS_BYTES_MAX])
{
    char host[INET6_ADDRSTRLEN] = "";

    switch (peer->family) {
    case WEIR__FAMILY_UNIX:
        snprintf(ret, WEIR_ADDRESS_BYTES_MAX, "unix");
        break;
    case WEIR__FAMILY_IPV4:
        inet_ntop(AF_INET, peer->addr, host, sizeof(host));
        snprintf(ret, WEIR_ADDRESS_BYTES_MAX, "%s:%u", host, (unsigned)peer->port);
        break;
    case WEIR__FAMILY_IPV6:
        inet_ntop(AF_INET6, peer->addr, host, sizeof(host));
        snprintf(ret, WEIR_ADDRESS_BYTES_MAX, "[%s]:%u", host, (unsigned)peer->port);
        break;
    default:
        snprintf(ret, WEIR_ADDRESS_BYTES_MAX, "unknown");
        break;
    }
    return ret;
}

/* ---- Bound addresses ---- */

/* The path is as long as len says; the kernel need not end it with a NUL. */
static void unix_text(const struct sockaddr *address, socklen_t len, char ret[WEIR_ADDRESS_BYTES_MAX])
{
    const size_t offset = offsetof(struct sockaddr_un, sun_path);
    struct sockaddr_un path = { 0 };
    size_t bytes = len < sizeof(path) ? len : sizeof(path);

    memcpy(&path, address, bytes);
    snprintf(ret, WEIR_ADDRESS_BYTES_MAX, "unix:%.*s", (int)(bytes > offset ? bytes - offset : 0), path.sun_path);
}

const char *weir__sockaddr_text(const struct sockaddr *address, socklen_t len, bool dual_stack,
                                char ret[WEIR_ADDRESS_BYTES_MAX])
{
    char host[WEIR_ADDRESS_BYTES_MAX - sizeof("tcp://[]:65535")];
    char port[sizeof("65535")];

    if (len >= sizeof(address->sa_family) && address->sa_family == AF_UNIX) {
        unix_text(address, len, ret);
    } else if (getnameinfo(address, len, host, sizeof(host), port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) !=
               0) {
        snprintf(ret, WEIR_ADDRESS_BYTES_MAX, "unknown");
    } else if (dual_stack) {
        snprintf(ret, WEIR_ADDRESS_BYTES_MAX, "tcp://*:%s", port);
    } else if (address->sa_family == AF_INET6) {
        snprintf(ret, WEIR_ADDRESS_BYTES_MAX, "tcp://[%s]:%s", host, port);
    } else {
        snprintf(ret, WEIR_ADDRESS_BYTES_MAX, "tcp://%s:%s", host, port);
    }
    return ret;
}

/* ---- Resolving ---- */

static void resolve_unix(const struct weir_url *url, struct weir__address *ret)
{
    struct sockaddr_un path = { .sun_family = AF_UNIX };

    memcpy(path.sun_path, url->path, sizeof(path.sun_path));
    *ret = (struct weir__address){ .len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(url->path) + 1) };
    memcpy(&ret->addr, &path, sizeof(path));
}

static void resolve_every(const struct weir_url *url, struct weir__address *ret)
{
    struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT };

    any.sin6_port = htons((uint16_t)url->port);
    *ret = (struct weir__address){ .len = sizeof(any), .dual_stack = true };
    memcpy(&ret->addr, &any, sizeof(any));
}

static bool is_known(const struct addrinfo *info, const struct weir__address *known, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (known[i].len == info->ai_addrlen && memcmp(&known[i].addr, info->ai_addr, info->ai_addrlen) == 0)
            return true;
    }
    return false;
}

/* Copies what can be bound or connected to, once each: the resolver may name an address once for each line in a file
 * that has it. */
static unsigned collect(const struct addrinfo *info, struct weir__address *ret, unsigned room)
{
    unsigned count = 0;

    for (; info && count < room; info = info->ai_next) {
        if (info->ai_family != AF_INET && info->ai_family != AF_INET6) continue;
        if (is_known(info, ret, count)) continue;
        ret[count] = (struct weir__address){ .len = info->ai_addrlen };
        memcpy(&ret[count].addr, info->ai_addr, info->ai_addrlen);
        count++;
    }
    return count;
}

static int resolve_host(const struct weir_url *url, struct weir__address *ret, unsigned room, unsigned *ret_count,
                        int *ret_gai_error)
{
    /* Without AI_ADDRCONFIG: it takes ::1 away where there is no IPv6 but on loopback. */
    const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
    const char *host = strcmp(url->host, "*") == 0 ? NULL : url->host; /* NULL: this machine */
    struct addrinfo *found = NULL;
    char port[sizeof("65535")];
    int err;

    snprintf(port, sizeof(port), "%hu", (unsigned short)url->port);
    err = getaddrinfo(host, port, &hints, &found);
    if (err == 0) {
        *ret_count = collect(found, ret, room);
        freeaddrinfo(found);
        if (*ret_count == 0) err = EAI_NONAME;
    }
    *ret_gai_error = err;
    if (err == EAI_MEMORY) return -ENOMEM;
    return err ? WEIR_ERESOLVE : 0;
}

int weir__address_parse(const char *text, struct weir__address *ret)
{
    const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST };
    struct addrinfo *found = NULL;
    unsigned count = 0;

    if (getaddrinfo(text, NULL, &hints, &found) != 0) return WEIR_EADDRESS;
    count = collect(found, ret, 1);
    freeaddrinfo(found);
    return count == 1 ? 0 : WEIR_EADDRESS;
}

int weir__url_resolve(const struct weir_url *url, bool passive, struct weir__address *ret, unsigned room,
                      unsigned *ret_count, int *ret_gai_error)
{
    assert(url->kind != WEIR_URL_FD && room > 0);
    *ret_gai_error = 0;
    *ret_count = 1;
    if (url->kind == WEIR_URL_UNIX) {
        resolve_unix(url, ret);
        return 0;
    }
    if (passive && strcmp(url->host, "*") == 0) {
        resolve_every(url, ret);
        return 0;
    }
    return resolve_host(url, ret, room, ret_count, ret_gai_error);
}

const char *weir__url_text(const struct weir_url *url, char ret[WEIR__URL_BYTES_MAX])
{
    const char *scheme = url->kind == WEIR_URL_TLS ? "tls" : "tcp";
    const bool is_ipv6 = strchr(url->host, ':') != NULL;

    switch (url->kind) {
    case WEIR_URL_UNIX:
        snprintf(ret, WEIR__URL_BYTES_MAX, "unix:%s", url->path);
        break;
    case WEIR_URL_FD:
        snprintf(ret, WEIR__URL_BYTES_MAX, "fd:%u", url->port);
        break;
    default:
        snprintf(ret, WEIR__URL_BYTES_MAX, is_ipv6 ? "%s://[%s]:%u" : "%s://%s:%u", scheme, url->host, url->port);
        break;
    }
    return ret;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Puts bound addresses in words, and finds the machine's own addresses for those who must type one into
 * a device. Must never fail the start: what cannot be found out is not said. */
#include "announce.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "text/render.h"

void announce_addresses(struct line *line, const struct weir_listener *listener)
{
    char address[WEIR_ADDRESS_BYTES_MAX];

    for (unsigned i = 0; weir_listener_address(listener, i, address) == 0; i++) {
        line_add_text(line, "listening on ");
        render_sentence(line, address, strlen(address)); /* a path may hold anything */
        line_add_text(line, "\n");
    }
}

static bool is_loopback(const struct weir_url *url)
{
    return strncmp(url->host, "127.", 4) == 0 || strcmp(url->host, "::1") == 0 || strcmp(url->host, "localhost") == 0;
}

/* The families that a listener on every address takes; 0, 0 for any other. */
static void every_address(const struct weir_url *url, bool *ret_v4, bool *ret_v6)
{
    *ret_v4 = strcmp(url->host, "*") == 0 || strcmp(url->host, "0.0.0.0") == 0;
    *ret_v6 = strcmp(url->host, "*") == 0 || strcmp(url->host, "::") == 0;
}

/* The address as devices write it, when it is one they can use: not of this machine alone, nor of one cable alone. */
static bool address_text(const struct ifaddrs *interface, unsigned port, bool v4, bool v6, char *ret, size_t room)
{
    char host[INET6_ADDRSTRLEN];

    if (!interface->ifa_addr || !(interface->ifa_flags & IFF_UP) || interface->ifa_flags & IFF_LOOPBACK) return false;
    if (interface->ifa_addr->sa_family == AF_INET && v4) {
        struct sockaddr_in address;
        memcpy(&address, interface->ifa_addr, sizeof(address));
        inet_ntop(AF_INET, &address.sin_addr, host, sizeof(host));
        snprintf(ret, room, "%s:%u", host, port);
        return true;
    }
    if (interface->ifa_addr->sa_family == AF_INET6 && v6) {
        struct sockaddr_in6 address;
        memcpy(&address, interface->ifa_addr, sizeof(address));
        if (IN6_IS_ADDR_LINKLOCAL(&address.sin6_addr)) return false;
        inet_ntop(AF_INET6, &address.sin6_addr, host, sizeof(host));
        snprintf(ret, room, "[%s]:%u", host, port);
        return true;
    }
    return false;
}

static void add_own_addresses(struct line *line, const struct weir_url *url)
{
    struct ifaddrs *interfaces = NULL;
    char text[INET6_ADDRSTRLEN + 16];
    size_t found = 0;
    bool v4 = false;
    bool v6 = false;

    every_address(url, &v4, &v6);
    if ((!v4 && !v6) || getifaddrs(&interfaces)) return;
    for (const struct ifaddrs *at = interfaces; at; at = at->ifa_next) {
        if (!address_text(at, url->port, v4, v6, text, sizeof(text))) continue;
        line_add_text(line, found++ ? ", " : "devices connect to ");
        line_add_text(line, text);
    }
    if (found) line_add_text(line, "\n");
    freeifaddrs(interfaces);
}

void announce_hints(struct line *line, struct weir_listener *const *listeners, size_t count)
{
    char address[WEIR_ADDRESS_BYTES_MAX];
    struct weir_url url;
    size_t open_count = 0;
    unsigned loopback_port = 0;

    for (size_t i = 0; i < count; i++)
        for (unsigned j = 0; weir_listener_address(listeners[i], j, address) == 0; j++) {
            if (weir_url_parse(address, &url, NULL, 0) || url.kind != WEIR_URL_TCP) continue;
            if (is_loopback(&url)) {
                if (!loopback_port) loopback_port = url.port;
                continue;
            }
            open_count++;
            add_own_addresses(line, &url);
        }
    if (loopback_port && !open_count)
        line_addf(line, "only programs on this machine can connect; for devices: weir serve --listen :%u\n",
                  loopback_port);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Addresses in the forms the engine keeps them in: what to bind or to connect to, and who connected.
 * weir_url_parse, which reads what people write, is in weir.h. */
#ifndef WEIR__ADDRESS_H
#define WEIR__ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

#include <weir/weir.h>

enum weir__family { WEIR__FAMILY_NONE = 0, WEIR__FAMILY_UNIX, WEIR__FAMILY_IPV4, WEIR__FAMILY_IPV6 };

/* Who is at the other end, in the 20 bytes that each idle connection pays for it; a sockaddr_storage is 128. Zeroed it
 * means unknown. An IPv4 client that reached an IPv6 socket is IPv4 here, so that one machine has one address. The
 * scope of a link-local IPv6 address has no room and is not kept. */
struct weir__peer {
    unsigned char addr[16]; /* as on the wire; IPv4 in the first 4, the rest zero */
    uint16_t port;          /* as people count; 0 for a unix socket */
    uint8_t family;         /* enum weir__family */
};

/* A peer from what accept(2) or getpeername(2) wrote. Never fails: what it does not know is WEIR__FAMILY_NONE. */
void weir__peer_from_sockaddr(const struct sockaddr *address, socklen_t len, struct weir__peer *ret);

/* Writes "127.0.0.1:53412", "[::1]:53412", "unix" or "unknown" to ret, and returns ret. */
const char *weir__peer_text(const struct weir__peer *peer, char ret[WEIR_ADDRESS_BYTES_MAX]);

/* Writes a bound address as a URL that weir_url_parse reads back: "tcp://127.0.0.1:8000", "tcp://[::1]:8000",
 * "unix:/path". With dual_stack, for an IPv6 socket that takes IPv4 as well, the host is "*". Returns ret. */
const char *weir__sockaddr_text(const struct sockaddr *address, socklen_t len, bool dual_stack,
                                char ret[WEIR_ADDRESS_BYTES_MAX]);

enum { WEIR__URL_BYTES_MAX = 320 };

/* Writes a URL out whole, as it was meant: "8000" is "tcp://127.0.0.1:8000". Returns ret. */
const char *weir__url_text(const struct weir_url *url, char ret[WEIR__URL_BYTES_MAX]);

/* One address to bind or to connect to. */
struct weir__address {
    struct sockaddr_storage addr;
    socklen_t len;
    bool dual_stack; /* bind it without IPV6_V6ONLY. Where there is no IPv6, bind 0.0.0.0 in its place */
};

/* Reads a numeric address without a port, `192.0.2.1` or `fe80::1%eth0`, to bind to; its port is 0. Returns 0, or
 * WEIR_EADDRESS. Any thread. */
int weir__address_parse(const char *text, struct weir__address *ret);

/* Finds the addresses behind a URL of any kind but WEIR_URL_FD, in the resolver's order and without duplicates. Writes
 * the first `room` of them to ret and their number, at least 1, to *ret_count. passive is for binding: "*" is
 * then one dual-stack entry; for connecting it is this machine, by each family. May ask the network and block. Returns
 * 0, -ENOMEM, or WEIR_ERESOLVE with the reason in *ret_gai_error, for gai_strerror(3). Any thread. */
int weir__url_resolve(const struct weir_url *url, bool passive, struct weir__address *ret, unsigned room,
                      unsigned *ret_count, int *ret_gai_error);

#endif

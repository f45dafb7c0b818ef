/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Naming clients that speak another protocol than the one that is served here, for the log. */
#ifndef WEIR__STRANGER_H
#define WEIR__STRANGER_H

#include <stdbool.h>
#include <stdint.h>

#include "net/address.h"

/* "HTTP", "TLS", "SSH" or "PROXY" when a connection's first bytes look like it, else NULL. A guess for people to read,
 * never a decision about the connection. */
const char *weir__stranger_name(struct weir_bytes first);

#define WEIR__STRANGERS_MAX 64
#define WEIR__STRANGER_SILENCE_MS 60000

/* The addresses that were news during the last minute. Starts zeroed; owned by one thread. */
struct weir__stranger_memory {
    struct {
        uint64_t told_ms;
        unsigned char addr[16];
        uint8_t family;
        bool used;
    } entries[WEIR__STRANGERS_MAX];
};

/* Whether this address (whatever its port) has not been news for a minute; with `told` it then is now. Of more than
 * WEIR__STRANGERS_MAX addresses in a minute the later ones are no news: whoever has many addresses cannot fill the log.
 * now_ms is of a monotonic clock. */
bool weir__stranger_is_news(struct weir__stranger_memory *memory, const struct weir__peer *peer, uint64_t now_ms,
                            bool told);

#endif

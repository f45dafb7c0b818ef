/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Strangers: a browser, a TLS client or a proxy that found its way to a raw port. Its name in the log saves an evening.
 * It must never read past the bytes it is given, allocate, or have a say in what happens to the connection. */
#include "stranger.h"

#include <string.h>

static bool begins_with(struct weir_bytes bytes, const char *text)
{
    size_t len = strlen(text);

    return bytes.len >= len && memcmp(bytes.data, text, len) == 0;
}

static struct weir_bytes behind(struct weir_bytes bytes, size_t len)
{
    return (struct weir_bytes){ bytes.data + len, bytes.len - len };
}

/* A method and the target that goes with it. A device may well begin its messages with GET; hardly with "GET /". */
static bool is_http(struct weir_bytes first)
{
    static const char *const methods[] = { "GET ",     "HEAD ",    "POST ",  "PUT ",  "DELETE ",
                                           "OPTIONS ", "CONNECT ", "PATCH ", "TRACE " };

    if (begins_with(first, "PRI * HTTP/2")) return true;
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (begins_with(first, methods[i])) {
            struct weir_bytes target = behind(first, strlen(methods[i]));
            /* CONNECT's target is HOST:PORT, which says nothing by itself. */
            return begins_with(target, "/") || begins_with(target, "*") || begins_with(target, "http") ||
                   (target.len > 0 && memmem(target.data, target.len, " HTTP/1.", 8));
        }
    }
    return false;
}

/* A handshake record of SSL 3.0 to TLS 1.3 with the start of a ClientHello: its fixed fields alone are 38 bytes, and a
 * record has at most 2^14. */
static bool is_tls(struct weir_bytes first)
{
    size_t record_bytes;

    if (first.len < 6 || first.data[0] != 0x16 || first.data[1] != 3 || first.data[2] > 4) return false;
    record_bytes = (size_t)first.data[3] << 8 | first.data[4];
    return record_bytes >= 4 + 38 && record_bytes <= 1 << 14 && first.data[5] == 1;
}

/* Both versions of the protocol with which a proxy says for whom it connects. */
static bool is_proxy(struct weir_bytes first)
{
    static const unsigned char signature[] = { '\r', '\n', '\r', '\n', '\0', '\r', '\n', 'Q', 'U', 'I', 'T', '\n' };

    if (first.len >= sizeof(signature) && memcmp(first.data, signature, sizeof(signature)) == 0) return true;
    return begins_with(first, "PROXY TCP4 ") || begins_with(first, "PROXY TCP6 ") ||
           begins_with(first, "PROXY UNKNOWN");
}

const char *weir__stranger_name(struct weir_bytes first)
{
    if (is_http(first)) return "HTTP";
    if (is_tls(first)) return "TLS";
    if (begins_with(first, "SSH-")) return "SSH";
    if (is_proxy(first)) return "PROXY";
    return NULL;
}

/* Where this address is remembered, or else where it may be: in a free place, or in that of the oldest. */
static size_t find_place(const struct weir__stranger_memory *memory, const struct weir__peer *peer)
{
    size_t oldest = 0;

    for (size_t i = 0; i < WEIR__STRANGERS_MAX; i++) {
        if (!memory->entries[i].used) return i; /* they fill up in order: nothing is behind it */
        if (memory->entries[i].family == peer->family &&
            memcmp(memory->entries[i].addr, peer->addr, sizeof(peer->addr)) == 0) {
            return i;
        }
        if (memory->entries[i].told_ms < memory->entries[oldest].told_ms) oldest = i;
    }
    return oldest;
}

bool weir__stranger_is_news(struct weir__stranger_memory *memory, const struct weir__peer *peer, uint64_t now_ms,
                            bool told)
{
    size_t i = find_place(memory, peer);

    if (memory->entries[i].used && now_ms < memory->entries[i].told_ms + WEIR__STRANGER_SILENCE_MS) return false;
    if (!told) return true;
    memory->entries[i].told_ms = now_ms;
    memory->entries[i].family = peer->family;
    memory->entries[i].used = true;
    memcpy(memory->entries[i].addr, peer->addr, sizeof(peer->addr));
    return true;
}

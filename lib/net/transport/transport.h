/* SPDX-License-Identifier: BSD-3-Clause
 *
 * How bytes cross to the peer: plain TCP and unix sockets today, TLS behind the same table
 * later. A transport moves bytes of one connection and says how it went; it never calls back, knows nothing of
 * connections, and never closes on its own. */
#ifndef WEIR__TRANSPORT_H
#define WEIR__TRANSPORT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

enum weir__io {
    WEIR__IO_BYTES,       /* it went: *ret_len bytes moved, at least one; handshake and finish: done */
    WEIR__IO_END,         /* read: the peer ended its side, in order */
    WEIR__IO_TRUNCATED,   /* read: the stream broke off without the end that the transport asks for */
    WEIR__IO_AGAIN_READ,  /* call again once the socket can be read (also in a write, while TLS renegotiates keys) */
    WEIR__IO_AGAIN_WRITE, /* call again once the socket can be written */
    WEIR__IO_ERROR        /* the connection is broken; *ret_error is the errno */
};

/* One connection, as its transport sees it. */
struct weir__link {
    int fd;
    void *state; /* what open has made; NULL for a plain transport */
};

/* What a transport is configured with (keys, certificates). The services of all workers share it, and the last one that
 * goes frees it. The first member of the transport's own struct. */
struct weir__transport_context {
    _Atomic unsigned users;
    void (*free)(struct weir__transport_context *context);
};

struct weir__transport {
    const char *name;
    /* The bytes are the socket's own: it has no open, no handshake and no pending, and close(2) is the end in order. */
    bool is_plain;
    /* Makes what it keeps of a connection, before anything else is called; NULL: no memory. */
    void *(*open)(struct weir__transport_context *context, int fd);
    /* Before the connection opens, until it answers WEIR__IO_BYTES. NULL: none is needed. */
    enum weir__io (*handshake)(struct weir__link link, int *ret_error);
    enum weir__io (*read)(struct weir__link link, unsigned char *ret, size_t room, size_t *ret_len, int *ret_error);
    enum weir__io (*write)(struct weir__link link, const struct iovec *parts, int count, size_t *ret_len,
                           int *ret_error);
    /* Bytes that read would give without the socket becoming readable. NULL: never any. */
    size_t (*pending)(struct weir__link link);
    /* Ends our side: everything written before arrives, then the peer sees the end. */
    enum weir__io (*finish)(struct weir__link link, int *ret_error);
    /* Frees what open has made, and closes the descriptor. */
    void (*close)(struct weir__link link);
};

extern const struct weir__transport weir__transport_tcp;

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * How bytes cross to the peer: plain TCP and unix sockets today, TLS behind the same table
 * later. A transport moves bytes of one connection and says how it went; it never calls back and never closes on its
 * own. */
#ifndef WEIR__TRANSPORT_H
#define WEIR__TRANSPORT_H

#include <stddef.h>
#include <sys/uio.h>

struct weir_conn;

enum weir__io {
    WEIR__IO_BYTES,       /* it went: *ret_len bytes moved, at least one; handshake and finish: done */
    WEIR__IO_END,         /* read: the peer ended its side, in order */
    WEIR__IO_TRUNCATED,   /* read: the stream broke off without the end that the transport asks for */
    WEIR__IO_AGAIN_READ,  /* call again once the socket can be read (also in a write, while TLS renegotiates keys) */
    WEIR__IO_AGAIN_WRITE, /* call again once the socket can be written */
    WEIR__IO_ERROR        /* the connection is broken; *ret_error is the errno */
};

struct weir__transport {
    const char *name;
    /* Before the connection opens, until it answers WEIR__IO_BYTES. NULL: none is needed. */
    enum weir__io (*handshake)(struct weir_conn *conn, int *ret_error);
    enum weir__io (*read)(struct weir_conn *conn, unsigned char *ret, size_t room, size_t *ret_len, int *ret_error);
    enum weir__io (*write)(struct weir_conn *conn, const struct iovec *parts, int count, size_t *ret_len,
                           int *ret_error);
    /* Bytes that read would give without the socket becoming readable. NULL: never any. */
    size_t (*pending)(const struct weir_conn *conn);
    /* Ends our side: everything written before arrives, then the peer sees the end. */
    enum weir__io (*finish)(struct weir_conn *conn, int *ret_error);
    /* Frees what the transport holds for the connection, and closes the descriptor. */
    void (*close)(struct weir_conn *conn);
};

extern const struct weir__transport weir__transport_tcp;

#endif

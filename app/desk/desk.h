/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Whoever sits at the terminal of weir serve: sees who is connected, and types to them. */
#ifndef APP_DESK_DESK_H
#define APP_DESK_DESK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/weir.h>

#include "roster.h"
#include "terminal/printer.h"
#include "terminal/show.h"

struct desk;
struct desk_repeat;

/* What matters of the listener that accepted a client. Must live as long as the desk. */
struct desk_listener {
    const char *url;          /* NULL: it is the only one */
    bool sends_raw;           /* bytes leave as they are; else each thing that is sent is a message */
    size_t message_bytes_max; /* the longest file that is sent as one */
};

/* A client, as the desk knows it: a member of whatever its owner knows of it. All members are the desk's. */
struct desk_client {
    struct roster_client place; /* under the desk's lock; but its id */
    struct desk *desk;
    const struct desk_listener *listener;
    int64_t since_us;
    struct desk_repeat *repeat; /* NULL: nothing is repeated */
};

/* What the desk asks of those who own clients, on the client's worker. */
struct desk_host {
    /* NULL: it could not be opened, and is on its way out. */
    struct desk_client *(*find)(const struct weir_conn *conn);
    /* Whether something may be sent to it now. */
    bool (*has_room)(const struct weir_conn *conn);
    /* Something is on its way to it. */
    void (*on_sent)(struct weir_conn *conn, struct weir_bytes message);
};

/* Makes one that takes no lines yet. What it has to say goes to lines, and what is sent to show; they and the host must
 * live longer.
 * The last message of each worker is kept, but for one of more than last_bytes_max. Returns 0 or a negative code. */
int desk_new(struct weir *weir, const struct desk_host *host, struct show *show, struct printer *lines,
             size_t last_bytes_max, struct desk **ret);

/* To be called for each printer that writes to the desk's terminal, before it is started. */
void desk_share(struct desk *desk, struct printer *printer);

/* Starts to take what is typed, once the signals that the program takes itself are taken. Returns 0 or a negative code.
 */
int desk_start(struct desk *desk);

/* Each from the callback of its name, on the connection's worker. desk_open fills in client, which must stay where it
 * is until desk_close; since_us is when it came, since 1970. They take a small lock at most. */
void desk_open(struct desk *desk, struct desk_client *client, const struct weir_conn *conn,
               const struct desk_listener *listener, int64_t since_us);
void desk_message(struct desk_client *client, struct weir_conn *conn, struct weir_bytes message);
void desk_writable(struct desk_client *client);
void desk_close(struct desk_client *client);

/* The terminal's size may have changed. Never waits. Any thread. */
void desk_resize(struct desk *desk);

/* Takes no more lines, and puts the terminal in order. Never waits. Any thread. */
void desk_stop(struct desk *desk);

/* Stops, and waits at most wait_ms. After this nothing is asked of the engine any more. Returns false when something
 * stands still for ever, the terminal or a file: then the desk must not be freed, nor what it was made with, but for
 * the engine, and the process must exit soon. */
bool desk_finish(struct desk *desk, int wait_ms);

/* Frees one that has finished or was never started, after weir_free and after its printers have finished. NULL is
 * accepted. */
void desk_free(struct desk *desk);

#endif

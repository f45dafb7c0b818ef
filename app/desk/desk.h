/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app/desk/desk.h: whoever sits at the terminal of weir serve: sees who is connected, and types to them. */
#ifndef APP_DESK_DESK_H
#define APP_DESK_DESK_H

#include <stdbool.h>
#include <stddef.h>

#include <weir/weir.h>

#include "terminal/printer.h"
#include "terminal/show.h"

struct desk;

/* A connection, as the desk knows it. */
struct desk_client;

/* What matters of the listener that accepted one. Must live as long as the desk. */
struct desk_listener {
    const char *url;          /* NULL: it is the only one */
    bool sends_raw;           /* bytes leave as they are; else each thing that is sent is a message */
    size_t message_bytes_max; /* the longest file that is sent as one */

    /* For whoever keeps what is sent; NULL, both, when nobody does. On the client's worker, with the user of desk_open:
     * whether something may be sent now, and that it is on its way. */
    bool (*has_room)(const void *user);
    void (*on_sent)(struct weir_bytes message, void *user);
};

/* Makes one that takes no lines yet. What it has to say goes to lines, and what is sent to show; both must live longer.
 * Returns 0 or a negative code. */
int desk_new(struct weir *weir, struct show *show, struct printer *lines, struct desk **ret);

/* To be called for each printer that writes to the desk's terminal, before it is started. */
void desk_share(struct desk *desk, struct printer *printer);

/* Starts to take what is typed, once the signals that the program takes itself are taken. Returns 0 or a negative code.
 */
int desk_start(struct desk *desk);

/* Each from the callback of its name, on the connection's worker. desk_open returns NULL for want of memory; what it
 * returns is the connection's user from then on, desk_close frees it, and user is what desk_user returns. They take a
 * small lock at most. */
struct desk_client *desk_open(struct desk *desk, struct weir_conn *conn, const struct desk_listener *listener,
                              void *user);
void *desk_user(const struct desk_client *client);
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

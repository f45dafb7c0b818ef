/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The person at the terminal of weir connect. */
#ifndef APP_CONNECT_TYPIST_H
#define APP_CONNECT_TYPIST_H

#include <stdbool.h>

#include <weir/weir.h>

#include "terminal/editor.h"
#include "text/encoding.h"

struct typist;

struct typist_config {
    struct encoding *encoding; /* of what is sent; must live as long */
    const char *line_end;      /* sent behind text: "" where each line is a message, else "\n" or "\r\n" */
    bool is_framed;            /* each thing sent is a message, a file too */
    bool is_hex;               /* lines are hex */
    /* Nothing more will be typed and all that was typed is sent; error is 0 or the code that ended it. */
    void (*on_end)(struct weir_conn *conn, int error, void *user);
    /* It was asked to end at once. */
    void (*on_quit)(struct weir_conn *conn, void *user);
    /* Both on the connection's worker, and not when the connection is gone. */
    void *user;
};

/* Starts to take what is typed, for this connection, on its worker. Returns 0 or a negative code. */
int typist_start(const struct typist_config *config, struct weir_conn *conn, struct typist **ret);

/* For whoever writes to the terminal meanwhile. */
struct editor *typist_editor(const struct typist *typist);

/* Says something on standard error, around the prompt; without a newline. Any thread. */
void typist_say(struct typist *typist, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* From the callback of its name. NULL is accepted by these and all below. The connection's end returns whether it has
 * cut a file off, which has been said. */
void typist_writable(struct typist *typist);
bool typist_close(struct typist *typist);

/* The terminal's size may have changed. Any thread. */
void typist_resize(struct typist *typist);

/* Takes no more lines, and puts the terminal in order; waits a moment at most. Before weir_free. Returns false when the
 * terminal stands still: then the typist must not be freed, and the process must exit soon. */
bool typist_finish(struct typist *typist);

/* After weir_free. */
void typist_free(struct typist *typist);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the server sends, on its way to standard output. */
#ifndef APP_CONNECT_ANSWERS_H
#define APP_CONNECT_ANSWERS_H

#include <stdbool.h>

#include <weir/weir.h>

#include "cli/options.h"
#include "terminal/editor.h"
#include "text/line.h"
#include "text/render.h"

/* Starts with answers_init; answers_fini frees what it holds. */
struct answers {
    bool is_raw; /* byte for byte, and nothing else */
    bool is_off;
    bool by_message; /* what comes are messages, not whatever a read returned */
    struct render_style style;
    struct editor *editor; /* somebody types on the terminal; NULL: nobody does */
    struct line waiting;
    struct line cut; /* unframed text that ends inside a character, until the rest of it comes */
};

/* Encoding is that of what is shown, and must live as long. */
void answers_init(struct answers *answers, enum answer_mode mode, struct encoding *encoding);
void answers_fini(struct answers *answers);

/* Whether framing matters: it does unless bytes leave as they come. */
bool answers_are_rendered(const struct answers *answers);

/* Takes what has come. Raw bytes are written at once, which may wait for the reader of a pipe; what is rendered waits
 * for answers_flush. Returns 0 or a negative code. */
int answers_take(struct answers *answers, struct weir_bytes message);
int answers_flush(struct answers *answers);

/* Nothing more will come: what was cut off is shown too, with the next answers_flush. Returns as above. */
int answers_end(struct answers *answers);

#endif

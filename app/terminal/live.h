/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A line that tells how something goes: rewritten in place, on standard error, when that is a
 * terminal. */
#ifndef APP_TERMINAL_LIVE_H
#define APP_TERMINAL_LIVE_H

#include <stdbool.h>

#include "text/line.h"

/* Starts with live_init; live_fini frees what it holds. */
struct live {
    bool is_shown;
    struct line line;
};

/* Whether it is shown is decided here. */
void live_init(struct live *live);
void live_fini(struct live *live);

/* What is to be shown is added to the line that this returns, ASCII only, and live_show shows as much of it as the
 * terminal is wide. */
struct line *live_begin(struct live *live);
void live_show(struct live *live);

/* Takes it off the terminal, before anything else is written there. */
void live_clear(struct live *live);

#endif

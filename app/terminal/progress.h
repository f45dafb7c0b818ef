/* SPDX-License-Identifier: BSD-3-Clause
 *
 * How far a long reading is, on a terminal. */
#ifndef APP_TERMINAL_PROGRESS_H
#define APP_TERMINAL_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool is_shown;
    bool has_line; /* one is on the terminal, and the cursor behind it */
    int64_t next_ms;
    uint64_t first, last; /* ids of what is read */
};

/* It is shown where standard error is a terminal, if it is wanted: not where a terminal gets what is read, too. */
void progress_start(struct progress *progress, uint64_t first, uint64_t last, bool is_wanted);

/* Reading is at that id; a few times a second it is shown. */
void progress_at(struct progress *progress, uint64_t id, uint64_t messages);

/* Takes the line away. */
void progress_end(struct progress *progress);

#endif

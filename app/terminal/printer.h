/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Lines to a descriptor that may block, for threads that may not. */
#ifndef APP_TERMINAL_PRINTER_H
#define APP_TERMINAL_PRINTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "text/line.h"

/* A queue of lines, bounded, and a thread that writes them. */
struct printer;

/* Lines for fd, which stays the caller's. name is what it is called when it cannot be written to. What the printer has
 * to say of itself (lines that were not shown, a reader that is gone) goes to notes, another printer that must live
 * longer; NULL: nowhere but, where that still makes sense, to fd itself. Lines can be added at once; they are written
 * after printer_start. Returns 0 or -ENOMEM. */
int printer_new(int fd, const char *name, struct printer *notes, struct printer **ret);

/* For fd's where only whole objects may go: adds the line, of up to 400 bytes, that stands where so many were not
 * shown, instead of a sentence; notes is told of them as well. It runs on the printer's thread. Before printer_start.
 */
void printer_set_gap(struct printer *printer, void (*add_gap)(struct line *line, uint64_t lost));

/* How much may be held: no more lines are taken when queue_bytes_max waits (4 MiB, until this is called), and no long
 * ones (printer_reserve) beyond all_bytes_max, in which what is being written counts, too. Before printer_start. */
void printer_set_bounds(struct printer *printer, size_t queue_bytes_max, size_t all_bytes_max);

/* How a sentence that a printer says of itself, without a newline, becomes a line of what is written here; without it,
 * the sentence and a newline do. wrap runs on printers' threads. Before printer_start. */
void printer_set_wrap(struct printer *printer,
                      void (*wrap)(struct line *line, const char *text, size_t len, void *user), void *user);

/* Is told of each write that failed, with its code, on the printer's thread. When it returns true, nothing more is
 * printed, and notes is not told why: that is the caller's then. Before printer_start. */
void printer_set_on_failed(struct printer *printer, bool (*on_failed)(int err, void *user), void *user);

/* To be called around each write, on the printer's thread: for a terminal on which somebody types meanwhile. What is
 * written between the two are whole lines, and no more than a few hundred unless one is long. Before printer_start. */
struct printer_around {
    void (*begin)(void *user);
    void (*end)(void *user);
    void *user;
};
void printer_set_around(struct printer *printer, const struct printer_around *around);

/* Starts the thread, with all signals blocked. Returns 0 or a negative code. */
int printer_start(struct printer *printer);

/* Adds one whole line, or a few that belong together, with their newlines; the bytes are copied. When too much waits
 * already they are dropped and counted as one. Never waits for fd. Any thread. */
void printer_add(struct printer *printer, const char *line, size_t len);

/* Before a long line is made: for how many of those bytes there is room. That room is the line's. Any thread. */
size_t printer_reserve(struct printer *printer, size_t bytes);

/* printer_add of a line that was made in that room; it may take the line's memory over in place of a copy. The line is
 * to be cleared in any case. One that has failed is counted. */
void printer_take(struct printer *printer, struct line *line, size_t reserved);

/* For a line that could not even be made, for want of memory: counts it. Any thread. */
void printer_count_lost(struct printer *printer);

/* Takes no more lines and waits wait_ms for those that wait to be written. What is left is then counted, and the count
 * written, if there is room for it; that takes a moment more, and half a second where a write is stuck. Returns false
 * when the thread is still stuck in a write: then neither this printer nor its notes may be freed, and the process must
 * exit soon. */
bool printer_finish(struct printer *printer, int wait_ms);

/* Frees a printer that has finished or was never started. NULL is accepted. */
void printer_free(struct printer *printer);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * One line on standard error, written over again and again. */
#include "progress.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "terminal.h"
#include "text/line.h"

enum { EVERY_MS = 200 };

void progress_start(struct progress *progress, uint64_t first, uint64_t last, bool is_wanted)
{
    *progress = (struct progress){ .is_shown = is_wanted && terminal_is_capable(STDERR_FILENO),
                                   .next_ms = clock_ms() + EVERY_MS,
                                   .first = first,
                                   .last = last };
}

void progress_at(struct progress *progress, uint64_t id, uint64_t messages)
{
    char count[COUNT_TEXT_BYTES_MAX];
    const uint64_t all = progress->last - progress->first;

    if (!progress->is_shown || clock_ms() < progress->next_ms) return;
    progress->next_ms = clock_ms() + EVERY_MS;
    progress->has_line = true;
    count_text(messages, "message", count);
    fprintf(stderr, "\r%s, %.0f %%\033[K", count, all ? 100 * (double)(id - progress->first) / (double)all : 100);
}

void progress_end(struct progress *progress)
{
    if (progress->has_line) fputs("\r\033[K", stderr);
    progress->is_shown = progress->has_line = false;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * One line of a terminal, rewritten. Must never write more than fits: a line that wraps could not
 * be taken off again. */
#include "live.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const char to_the_left[] = "\r\033[K";

void live_init(struct live *live)
{
    *live = (struct live){ .is_shown = isatty(STDERR_FILENO) };
}

void live_fini(struct live *live)
{
    line_fini(&live->line);
}

static void write_line(struct line *line)
{
    if (!line->failed) fwrite(line->bytes, 1, line->len, stderr);
    fflush(stderr);
    line_clear(line);
}

/* What it begins with takes no room. */
static void cut_to_width(struct line *line)
{
    const size_t unseen = strlen(to_the_left);
    struct winsize size;

    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 2) return;
    if (line->len > unseen + size.ws_col - 1U) line->len = unseen + size.ws_col - 1U;
}

struct line *live_begin(struct live *live)
{
    line_clear(&live->line);
    line_add_text(&live->line, to_the_left);
    return &live->line;
}

void live_show(struct live *live)
{
    cut_to_width(&live->line);
    write_line(&live->line);
}

void live_clear(struct live *live)
{
    if (!live->is_shown) return;
    live_begin(live);
    write_line(&live->line);
}

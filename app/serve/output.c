/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Standard output and its reader. A server that only prints has nothing left to do once nobody reads; one that stores
 * must never end for that. */
#include "output.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whether all that is done with messages is to print them. Whoever has a server outlive its terminal, by nohup(1),
 * wants no end of it. */
static bool is_all_for_output(const struct output *output)
{
    return output->plan->store == PLAN_STORE_NONE && !isatty(STDOUT_FILENO);
}

/* Any thread, and more than once. */
static void fail(struct output *output, int err)
{
    char text[OPTIONS_ERROR_BYTES_MAX];
    int none = 0;

    if (!atomic_compare_exchange_strong(&output->error, &none, err)) return;
    snprintf(text, sizeof(text),
             "standard output: %s; the server ends, since with --store none messages go nowhere else",
             err == -EPIPE ? "its reader has gone" : weir_strerror(err));
    output->on_failed(text, output->user);
}

/* What is no reason to end: a reader that goes when we do, and a standard output that was never open, by which somebody
 * has said that nobody reads it. */
static bool is_expected(const struct output *output, int err)
{
    return err == -EBADF || (err == -EPIPE && atomic_load(output->is_stopping));
}

/* On the printer's thread. */
static bool on_print_failed(int err, void *user)
{
    struct output *output = user;

    if (is_expected(output, err)) return false;
    fail(output, err);
    return true;
}

/* Something is to be read from standard output: nothing, but for the end of its reader. */
static void on_reader_event(int fd, short what, void *user)
{
    struct output *output = user;
    struct pollfd poll_fd = { .fd = fd };

    (void)what;
    if (poll(&poll_fd, 1, 0) == 1 && poll_fd.revents & (POLLERR | POLLHUP) && !is_expected(output, -EPIPE))
        fail(output, -EPIPE);
}

int output_open(struct output *output, const struct plan *plan, struct log *log)
{
    static const enum render_form forms[] = { [PRINT_AUTO] = RENDER_AUTO,
                                              [PRINT_TEXT] = RENDER_TEXT,
                                              [PRINT_HEX] = RENDER_HEX,
                                              [PRINT_BOTH] = RENDER_BOTH,
                                              [PRINT_JSON] = RENDER_AUTO };
    const int print = plan->options->print;
    int err = 0;

    output->plan = plan;
    if (print == PRINT_OFF || (print == PRINT_AUTO && !isatty(STDOUT_FILENO))) return 0;
    err = printer_new(STDOUT_FILENO, "standard output", log_printer(log), &output->lines);
    if (err) return err;
    printer_set_bounds(output->lines, plan->budget.output_queue, plan->budget.long_lines);
    if (is_all_for_output(output)) printer_set_on_failed(output->lines, on_print_failed, output);
    err = show_new(output->lines, print == PRINT_JSON, forms[print], plan->workers, &output->show);
    if (!err) show_set_encoding(output->show, plan->encoding);
    return err;
}

int output_watch(struct output *output, struct event_base *base)
{
    struct stat status;

    if (!output->lines || !is_all_for_output(output) || fstat(STDOUT_FILENO, &status) != 0) return 0;
    if (!S_ISFIFO(status.st_mode) && !S_ISSOCK(status.st_mode)) return 0;
    output->reader_event = event_new(base, STDOUT_FILENO, EV_READ, on_reader_event, output);
    return output->reader_event && !event_add(output->reader_event, NULL) ? 0 : -ENOMEM;
}

void output_unwatch(struct output *output)
{
    if (output->reader_event) event_free(output->reader_event);
}

bool output_is_watched(const struct output *output)
{
    return output->show && output->plan->options->print != PRINT_JSON && isatty(STDOUT_FILENO);
}

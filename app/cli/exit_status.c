/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The last words on standard error, and the exit status that goes with them. Must never exit itself. */
#include "exit_status.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/journald.h"
#include "text/render.h"

/* A sentence may quote what somebody else has put into an argument or the environment: what would steer a terminal is
 * shown, not obeyed. Without memory even for that, no more than ASCII is shown. */
static void print_sentence(const char *prefix, const char *name, const char *text)
{
    struct line line = { 0 };

    line_add_text(&line, prefix);
    line_add_text(&line, name);
    render_sentence(&line, text, strlen(text));
    line_add_text(&line, "\n");
    if (!line.failed) {
        fwrite(line.bytes, 1, line.len, stderr);
    } else {
        fprintf(stderr, "%s%s", prefix, name);
        for (; *text; text++)
            fputc(*text >= 0x20 && *text < 0x7f ? *text : '?', stderr);
        fputc('\n', stderr);
    }
    line_fini(&line);
}

void status_say(const char *text)
{
    print_sentence("", "", text);
}

void status_say_error(const char *text)
{
    print_sentence(journald_stderr_prefix(WEIR_LOG_ERROR), "weir: ", text);
}

enum status status_usage(enum command command, const char *text)
{
    status_say_error(text);
    fprintf(stderr, "%stry: weir %s --help\n", journald_stderr_prefix(WEIR_LOG_ERROR), command_specs[command].name);
    return STATUS_USAGE;
}

enum status status_no_command(const char *text)
{
    status_say_error(text);
    fprintf(stderr, "%stry: weir --help\n", journald_stderr_prefix(WEIR_LOG_ERROR));
    return STATUS_USAGE;
}

enum status status_of(int err)
{
    return err == WEIR_EADDRESS || err == WEIR_EFRAME || err == WEIR_ECONFIG ? STATUS_USAGE : STATUS_FAILED;
}

enum status status_error(enum command command, int err, const char *text)
{
    if (status_of(err) == STATUS_USAGE) return status_usage(command, text);
    status_say_error(text);
    return STATUS_FAILED;
}

/* Some file systems say only at the close that there was no room. It stays open: other sentences may follow. */
static int close_copy(int fd)
{
    const int copy = dup(fd);

    return copy >= 0 && close(copy) != 0 ? -errno : 0;
}

enum status status_stdout(void)
{
    char text[128];
    int err = !ferror(stdout) ? 0 : errno ? -errno : -EIO;

    if (fflush(stdout) != 0 && !err) err = -errno;
    if (!err) err = close_copy(STDOUT_FILENO);
    if (!err) return STATUS_DONE;
    snprintf(text, sizeof(text), "standard output: %s", weir_strerror(err));
    status_say_error(text);
    return STATUS_FAILED;
}

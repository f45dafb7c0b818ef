/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app/status.c: the last words on standard error, and the exit status that goes with them. Must never exit itself. */
#include "status.h"

#include <errno.h>

#include "log.h"

enum status status_usage(enum command command, const char *text)
{
    const char *const prefix = log_prefix(WEIR_LOG_ERROR);

    fprintf(stderr, "%sweir: %s\n%stry: weir %s --help\n", prefix, text, prefix, command_specs[command].name);
    return STATUS_USAGE;
}

enum status status_of(int err)
{
    return err == WEIR_EADDRESS || err == WEIR_EFRAME || err == WEIR_ECONFIG ? STATUS_USAGE : STATUS_FAILED;
}

enum status status_error(enum command command, int err, const char *text)
{
    if (status_of(err) == STATUS_USAGE) return status_usage(command, text);
    fprintf(stderr, "%sweir: %s\n", log_prefix(WEIR_LOG_ERROR), text);
    return STATUS_FAILED;
}

enum status status_stdout(void)
{
    if (!fflush(stdout) && !ferror(stdout)) return STATUS_DONE;
    fprintf(stderr, "weir: standard output: %s\n", weir_strerror(-errno));
    return STATUS_FAILED;
}

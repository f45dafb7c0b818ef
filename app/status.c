/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app/status.c: the last words on standard error, and the exit status that goes with them. Must never exit itself. */
#include "status.h"

#include <errno.h>

enum status status_usage(enum command command, const char *text)
{
    fprintf(stderr, "weir: %s\ntry: weir %s --help\n", text, command_specs[command].name);
    return STATUS_USAGE;
}

enum status status_error(enum command command, int err, const char *text)
{
    if (err == WEIR_EADDRESS || err == WEIR_EFRAME || err == WEIR_ECONFIG) return status_usage(command, text);
    fprintf(stderr, "weir: %s\n", text);
    return STATUS_FAILED;
}

enum status status_stdout(void)
{
    if (!fflush(stdout) && !ferror(stdout)) return STATUS_DONE;
    fprintf(stderr, "weir: standard output: %s\n", weir_strerror(-errno));
    return STATUS_FAILED;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app/status.c: the last words on standard error, and the exit status that goes with them. Must never exit itself. */
#include "status.h"

#include <errno.h>
#include <stdbool.h>

#include "log.h"

/* A sentence, which may quote what somebody else has put into an argument or the environment: what would steer a
 * terminal is shown, not obeyed. */
static void print_sentence(const char *text)
{
    fprintf(stderr, "%sweir: ", log_prefix(WEIR_LOG_ERROR));
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        const bool is_c1 = at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0;
        if (*at < 0x20 || *at == 0x7f || is_c1)
            fprintf(stderr, is_c1 ? "\\x%02x\\x%02x" : "\\x%02x", at[0], at[1]);
        else
            fputc(*at, stderr);
        at += is_c1;
    }
    fputc('\n', stderr);
}

enum status status_usage(enum command command, const char *text)
{
    print_sentence(text);
    fprintf(stderr, "%stry: weir %s --help\n", log_prefix(WEIR_LOG_ERROR), command_specs[command].name);
    return STATUS_USAGE;
}

enum status status_no_command(const char *text)
{
    print_sentence(text);
    fprintf(stderr, "%stry: weir --help\n", log_prefix(WEIR_LOG_ERROR));
    return STATUS_USAGE;
}

enum status status_of(int err)
{
    return err == WEIR_EADDRESS || err == WEIR_EFRAME || err == WEIR_ECONFIG ? STATUS_USAGE : STATUS_FAILED;
}

enum status status_error(enum command command, int err, const char *text)
{
    if (status_of(err) == STATUS_USAGE) return status_usage(command, text);
    print_sentence(text);
    return STATUS_FAILED;
}

enum status status_stdout(void)
{
    if (!fflush(stdout) && !ferror(stdout)) return STATUS_DONE;
    fprintf(stderr, "weir: standard output: %s\n", weir_strerror(-errno));
    return STATUS_FAILED;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Picks the sub-command. What one does is in its own room. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/bench.h"
#include "check/check.h"
#include "cli/exit_status.h"
#include "cli/options.h"
#include "cli/values.h"
#include "cli/version.h"
#include "connect/connect.h"
#include "log/log.h"
#include "serve/serve.h"
#include "text/utf8.h"
#include "verify/verify.h"

static enum status (*const commands[COMMAND_COUNT])(const struct options *options) = {
    [COMMAND_SERVE] = serve,       [COMMAND_CONNECT] = connect_run, [COMMAND_BENCH] = bench_run,
    [COMMAND_VERIFY] = verify_run, [COMMAND_CHECK] = check_run,     [COMMAND_LOG] = log_run,
};

/* Words that the design keeps for commands to come. */
static const char *const later_commands[] = { "clients", "send", "kick", "tail", "stats" };

static enum status run_command(enum command command, int argc, char **argv)
{
    char error[OPTIONS_ERROR_BYTES_MAX];
    struct options options;
    enum status status = STATUS_DONE;
    const int err = options_parse(command, argc, argv, &options, error);

    if (err == -EINVAL) return status_usage(command, error);
    if (err) return status_error(command, err, error);
    if (options.help) {
        help_print_command(stdout, command);
        status = status_stdout();
    } else {
        status = commands[command](&options);
    }
    options_fini(&options);
    return status;
}

static const char *nearest_command(const char *word)
{
    static const char *const others[] = { "--help", "--version", "help" };
    const char *nearest = NULL;
    size_t least = SIZE_MAX;

    for (size_t i = 0; i < COMMAND_COUNT + sizeof(others) / sizeof(others[0]); i++) {
        const char *name = i < COMMAND_COUNT ? command_specs[i].name : others[i - COMMAND_COUNT];
        const size_t distance = value_distance(word, name);
        if (distance >= least) continue;
        least = distance;
        nearest = name;
    }
    return value_is_near(word, least) ? nearest : NULL;
}

static enum status fail_unknown(const char *word)
{
    const char *nearest = nearest_command(word);
    char text[OPTIONS_ERROR_BYTES_MAX];

    snprintf(text, sizeof(text), "unknown command %s", word);
    for (size_t i = 0; i < sizeof(later_commands) / sizeof(later_commands[0]); i++)
        if (strcmp(word, later_commands[i]) == 0)
            snprintf(text, sizeof(text), "weir %s is not in this version yet", word);
    if (nearest && strcmp(word, nearest) != 0)
        snprintf(text, sizeof(text), "unknown command %s; the nearest is %s", word, nearest);
    else if (word[0] == '-')
        snprintf(text, sizeof(text), "%s: a command comes first, as in: weir serve", word);
    return status_no_command(text);
}

/* `weir help` and `weir help COMMAND`. */
static enum status help(const char *word)
{
    for (size_t i = 0; word && i < COMMAND_COUNT; i++)
        if (strcmp(word, command_specs[i].name) == 0) {
            help_print_command(stdout, (enum command)i);
            return status_stdout();
        }
    if (word) return fail_unknown(word);
    help_print_program(stdout);
    return status_stdout();
}

/* A descriptor 0, 1 or 2 that was not given would become a client's socket, and be printed to. What is printed where
 * nobody can have it must not pass for printed: standard output is one that cannot be written to. */
static void open_standard_descriptors(void)
{
    static const int modes[] = { [STDIN_FILENO] = O_RDWR, [STDOUT_FILENO] = O_RDONLY, [STDERR_FILENO] = O_RDWR };

    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0) open("/dev/null", modes[fd]); /* takes the lowest that is free, which is this one */
}

int main(int argc, char **argv)
{
    open_standard_descriptors();
    utf8_init();
    if (argc < 2) {
        help_print_program(stderr);
        return STATUS_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) return (int)help(NULL);
    if (strcmp(argv[1], "help") == 0) return (int)help(argv[2]);
    if (strcmp(argv[1], "--version") == 0) {
        version_print(stdout);
        return (int)status_stdout();
    }
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(argv[1], command_specs[i].name) == 0) return (int)run_command((enum command)i, argc - 2, argv + 2);
    return (int)fail_unknown(argv[1]);
}

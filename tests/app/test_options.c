/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The command line: what an option is for depends on where it stands, what is wrong is named, and the table is sound.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/options.h"
#include "cli/values.h"

enum { ARGUMENTS_MAX = 32 };

/* Splits a command line at its blanks and reads it. */
static int parse(enum command command, const char *text, char *buffer, struct options *ret, char *error)
{
    char *arguments[ARGUMENTS_MAX];
    char *position = NULL;
    int count = 0;

    strcpy(buffer, text);
    for (char *word = strtok_r(buffer, " ", &position); word; word = strtok_r(NULL, " ", &position)) {
        assert_true(count < ARGUMENTS_MAX);
        arguments[count++] = word;
    }
    return options_parse(command, count, arguments, ret, error);
}

static void expect_error(enum command command, const char *text, const char *expected)
{
    char error[OPTIONS_ERROR_BYTES_MAX] = "";
    char buffer[512];
    struct options options;
    const int result = parse(command, text, buffer, &options, error);

    if (result != -EINVAL || !strstr(error, expected))
        fail_msg("'%s': %d, '%s' without '%s'", text, result, error, expected);
}

static void nothing_means_the_defaults(void **state)
{
    char error[OPTIONS_ERROR_BYTES_MAX];
    char buffer[512];
    struct options options;

    (void)state;
    assert_int_equal(parse(COMMAND_SERVE, "", buffer, &options, error), 0);
    assert_int_equal(options.endpoint_count, 0);
    assert_int_equal(options.print, PRINT_AUTO);
    assert_int_equal(options.log_level + WEIR_LOG_ERROR, WEIR_LOG_INFO);
    assert_int_equal(options.workers, 0);
    assert_int_equal(options.common.service.size, sizeof(struct weir_service));
    assert_null(options.common.service.frame);
    assert_int_equal(options.common.service.idle_timeout_ms, 0);
    options_fini(&options);
}

static void before_the_first_listener_is_for_all(void **state)
{
    char error[OPTIONS_ERROR_BYTES_MAX];
    char buffer[512];
    struct options options;

    (void)state;
    assert_int_equal(parse(COMMAND_SERVE,
                           "--idle-timeout 5m --frame line --listen :7001 --frame raw --workers 3 7002 "
                           "--idle-timeout off --reply echo tcp://[::1]:7003",
                           buffer, &options, error),
                     0);
    assert_int_equal(options.endpoint_count, 3);
    assert_int_equal(options.workers, 3);

    assert_string_equal(options.endpoints[0].url, ":7001");
    assert_string_equal(options.endpoints[0].service.frame, "raw");
    assert_int_equal(options.endpoints[0].service.idle_timeout_ms, 300000);
    assert_null(options.endpoints[0].reply);

    assert_string_equal(options.endpoints[1].url, "7002");
    assert_string_equal(options.endpoints[1].service.frame, "line");
    assert_int_equal(options.endpoints[1].service.idle_timeout_ms, WEIR_OFF);
    assert_string_equal(options.endpoints[1].reply, "echo");

    assert_string_equal(options.endpoints[2].url, "tcp://[::1]:7003");
    assert_string_equal(options.endpoints[2].service.frame, "line");
    assert_int_equal(options.endpoints[2].service.idle_timeout_ms, 300000);
    assert_null(options.endpoints[2].reply);
    options_fini(&options);
}

static void every_type_reaches_its_member(void **state)
{
    char error[OPTIONS_ERROR_BYTES_MAX];
    char buffer[512];
    struct options options;
    const struct weir_service *service = NULL;

    (void)state;
    assert_int_equal(parse(COMMAND_SERVE,
                           "--max-frame=64KiB --too-long truncate --keepalive 30s,5s,3 --reuseport --unix-mode 660 "
                           "--send-frame same --defer-accept 3s --backlog 7 --print json --log-level debug "
                           "--max-memory 2GiB --drain-timeout off",
                           buffer, &options, error),
                     0);
    service = &options.common.service;
    assert_int_equal(service->message_bytes_max, 65536);
    assert_int_equal(service->too_long, WEIR_TOO_LONG_TRUNCATE);
    assert_int_equal(service->keepalive_idle_ms, 30000);
    assert_int_equal(service->keepalive_interval_ms, 5000);
    assert_int_equal(service->keepalive_count, 3);
    assert_true(service->reuseport);
    assert_int_equal(service->unix_mode, 0660);
    assert_string_equal(service->send_frame, "same");
    assert_int_equal(service->defer_accept_ms, 3000);
    assert_int_equal(service->backlog, 7);
    assert_int_equal(options.print, PRINT_JSON);
    assert_int_equal(options.log_level + WEIR_LOG_ERROR, WEIR_LOG_DEBUG);
    assert_int_equal(options.memory_bytes_max, 2147483648LL);
    assert_int_equal(options.drain_timeout_ms, WEIR_OFF);
    options_fini(&options);
}

static void unknown_names_come_with_the_nearest(void **state)
{
    (void)state;
    expect_error(COMMAND_SERVE, "--fram line", "unknown option --fram; the nearest is --frame");
    expect_error(COMMAND_SERVE, "--farme=line", "the nearest is --frame");
    expect_error(COMMAND_SERVE, "--idel-timeout 5s", "the nearest is --idle-timeout");
    expect_error(COMMAND_SERVE, "--worker 2", "the nearest is --workers");
    expect_error(COMMAND_SERVE, "--qqqqqqqqqqqqqq", "unknown option --qqqqqqqqqqqqqq");
    expect_error(COMMAND_SERVE, "-x", "unknown option -x");
    expect_error(COMMAND_CONNECT, "--reply echo 8000", "--reply is an option of weir serve, not of weir connect");
    expect_error(COMMAND_SERVE, "--crlf", "--crlf is an option of weir connect");
}

static void options_of_later_issues_do_not_exist(void **state)
{
    static const char *const later[] = { "--admin none", "--server 8000" };
    (void)state;
    for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++)
        expect_error(COMMAND_SERVE, later[i], "unknown option --");
}

static void wrong_values_are_named(void **state)
{
    (void)state;
    expect_error(COMMAND_SERVE, "--max-frame 64kb", "--max-frame 64kb: not a size");
    expect_error(COMMAND_SERVE, "--max-frame 0", "--max-frame 0: too small; at least 1");
    expect_error(COMMAND_SERVE, "--max-frame 2GiB", "--max-frame 2GiB: too large; at most 1GiB");
    expect_error(COMMAND_SERVE, "--max-frame off", "not a size");
    expect_error(COMMAND_SERVE, "--idle-timeout 0", "too small; at least 1ms, or off");
    expect_error(COMMAND_SERVE, "--idle-timeout soon", "not a time; write 500ms, 10s, 5m, 2h or 30d, or off");
    expect_error(COMMAND_SERVE, "--idle-timeout 999999999999999999999d", "too large; at most 365d");
    expect_error(COMMAND_SERVE, "--defer-accept 1500ms", "must be a multiple of 1s");
    expect_error(COMMAND_SERVE, "--keep-free 5", "--keep-free 5: not a share; write 5%, or off");
    expect_error(COMMAND_SERVE, "--keep-free 0%", "too small; at least 1%, or off");
    expect_error(COMMAND_SERVE, "--keep-free 91%", "too large; at most 90%");
    expect_error(COMMAND_SERVE, "--keep-bytes 1KiB", "too small; at least 1048576, or off");
    expect_error(COMMAND_SERVE, "--workers 0", "at least 1");
    expect_error(COMMAND_SERVE, "--workers 257", "at most 256");
    expect_error(COMMAND_SERVE, "--workers many", "not a number");
    expect_error(COMMAND_SERVE, "--unix-mode 888", "not permissions");
    expect_error(COMMAND_SERVE, "--unix-mode 7777", "at most 0777");
    expect_error(COMMAND_SERVE, "--too-long drop", "must be one of close|skip|truncate");
    expect_error(COMMAND_SERVE, "--keepalive 60s", "IDLE,INTERVAL,COUNT");
    expect_error(COMMAND_SERVE, "--keepalive 60s,1ms,5", "whole seconds");
    expect_error(COMMAND_SERVE, "--keepalive 60s,10s,0", "1 to 127");
    expect_error(COMMAND_SERVE, "--frame", "--frame needs a value: SPEC");
    expect_error(COMMAND_SERVE, "--frame bogus", "--frame: frame \"bogus\"");
    expect_error(COMMAND_SERVE, "--frame same", "--frame: frame \"same\"");
    expect_error(COMMAND_SERVE, "--reuseport=yes", "--reuseport takes no value");
    expect_error(COMMAND_SERVE, "--reply OK", "--reply OK: must be one of none|echo, or text:BYTES");
    expect_error(COMMAND_SERVE, "--reply text:a\\qb", "--reply text:a\\qb: not an escape: \\qb (there are");
    expect_error(COMMAND_SERVE, "--print \x1b[31m\xc2\x9b", "--print ?[31m??: must be");
    expect_error(COMMAND_SERVE, "host:port", "port \"port\" is not a number");
    expect_error(COMMAND_SERVE, "tls://127.0.0.1:1", "not in this version yet");
    expect_error(COMMAND_CONNECT, "8000 8001", "8001: one address is enough");
}

static void letters_and_double_dash_are_understood(void **state)
{
    char error[OPTIONS_ERROR_BYTES_MAX];
    char buffer[512];
    struct options options;

    (void)state;
    assert_int_equal(parse(COMMAND_CONNECT, "-C -- 8000", buffer, &options, error), 0);
    assert_true(options.crlf);
    assert_string_equal(options.endpoints[0].url, "8000");
    options_fini(&options);
    expect_error(COMMAND_SERVE, "-- --frame", "address \"--frame\"");
}

static void letters_take_values(void **state)
{
    char error[OPTIONS_ERROR_BYTES_MAX];
    char buffer[512];
    struct options options;

    (void)state;
    assert_int_equal(parse(COMMAND_BENCH, "-c 7 -p16 -s 1KiB -d500ms 8000", buffer, &options, error), 0);
    assert_int_equal(options.bench.connections, 7);
    assert_int_equal(options.bench.depth, 16);
    assert_int_equal(options.bench.message_bytes, 1024);
    assert_int_equal(options.bench.duration_ms, 500);
    assert_string_equal(options.endpoints[0].url, "8000");
    options_fini(&options);
    expect_error(COMMAND_BENCH, "-c", "-c needs a value: N");
    expect_error(COMMAND_BENCH, "-c 0", "-c 0: too small; at least 1");
    expect_error(COMMAND_BENCH, "-c5x", "-c 5x: not a number");
    expect_error(COMMAND_BENCH, "-x5", "unknown option -x");
}

static void a_setting_remembers_where_it_came_from(void **state)
{
    char error[OPTIONS_ERROR_BYTES_MAX];
    char buffer[512];
    struct options options;

    (void)state;
    setenv("WEIR_MAX_FRAME", "2KiB", 1);
    setenv("WEIR_REUSEPORT", "No", 1);
    assert_int_equal(parse(COMMAND_SERVE, "--frame line 7001 --workers 3", buffer, &options, error), 0);
    unsetenv("WEIR_MAX_FRAME");
    unsetenv("WEIR_REUSEPORT");
    for (size_t i = 0; i < option_count; i++) {
        static const struct {
            const char *name, *text;
            enum option_source source;
        } expected[] = { { "listen", "7001", SOURCE_ARGUMENTS },     { "frame", "line", SOURCE_ARGUMENTS },
                         { "workers", "3", SOURCE_ARGUMENTS },       { "max-frame", "2KiB", SOURCE_ENVIRONMENT },
                         { "reuseport", "off", SOURCE_ENVIRONMENT }, { "reply", NULL, SOURCE_DEFAULT } };
        const struct option_setting *setting = options_setting(&options, &options.endpoints[0], &option_specs[i]);
        if (!(option_specs[i].commands & 1U << COMMAND_SERVE)) continue;
        for (size_t j = 0; j < sizeof(expected) / sizeof(expected[0]); j++) {
            if (strcmp(option_specs[i].name, expected[j].name) != 0) continue;
            assert_int_equal(setting->source, expected[j].source);
            if (expected[j].text)
                assert_string_equal(setting->text, expected[j].text);
            else
                assert_null(setting->text);
        }
    }
    assert_false(options.endpoints[0].service.reuseport);
    options_fini(&options);
}

static void help_ends_the_reading(void **state)
{
    char error[OPTIONS_ERROR_BYTES_MAX];
    char buffer[512];
    struct options options;

    (void)state;
    assert_int_equal(parse(COMMAND_SERVE, "--help --bogus", buffer, &options, error), 0);
    assert_true(options.help);
    options_fini(&options);
}

static void the_environment_comes_first(void **state)
{
    char error[OPTIONS_ERROR_BYTES_MAX];
    char buffer[512];
    struct options options;

    (void)state;
    setenv("WEIR_MAX_FRAME", "2KiB", 1);
    setenv("WEIR_REUSEPORT", "on", 1);
    setenv("WEIR_WORKERS", "", 1);
    assert_int_equal(parse(COMMAND_SERVE, "7001 7002 --max-frame 3KiB", buffer, &options, error), 0);
    assert_int_equal(options.endpoints[0].service.message_bytes_max, 2048);
    assert_true(options.endpoints[0].service.reuseport);
    assert_int_equal(options.endpoints[1].service.message_bytes_max, 3072);
    assert_int_equal(options.workers, 0);
    options_fini(&options);
    setenv("WEIR_MAX_FRAME", "much", 1);
    expect_error(COMMAND_SERVE, "", "WEIR_MAX_FRAME much: not a size");
    unsetenv("WEIR_MAX_FRAME");
    setenv("WEIR_REUSEPORT", "perhaps", 1);
    expect_error(COMMAND_SERVE, "", "WEIR_REUSEPORT perhaps: must be on or off");
    unsetenv("WEIR_REUSEPORT");
    unsetenv("WEIR_WORKERS");
}

static void address_in_the_environment_is_the_only_listener(void **state)
{
    char error[OPTIONS_ERROR_BYTES_MAX];
    char buffer[512];
    struct options options;

    (void)state;
    setenv("WEIR_LISTEN", ":7000", 1);
    assert_int_equal(parse(COMMAND_SERVE, "--frame line", buffer, &options, error), 0);
    assert_int_equal(options.endpoint_count, 0);
    assert_string_equal(options.common.url, ":7000");
    assert_string_equal(options.common.service.frame, "line");
    options_fini(&options);
    assert_int_equal(parse(COMMAND_SERVE, "7001 7002", buffer, &options, error), 0);
    assert_int_equal(options.endpoint_count, 2);
    assert_string_equal(options.endpoints[0].url, "7001");
    assert_string_equal(options.endpoints[1].url, "7002");
    options_fini(&options);
    setenv("WEIR_LISTEN", "tls://:7000", 1);
    expect_error(COMMAND_SERVE, "", "WEIR_LISTEN: tls://:7000: tls:// is not in this version yet");
    unsetenv("WEIR_LISTEN");
}

/* ---- The table itself ---- */

static void names_are_unique_in_each_command(void **state)
{
    (void)state;
    for (size_t i = 0; i < option_count; i++)
        for (size_t j = 0; j < i; j++) {
            if (!(option_specs[i].commands & option_specs[j].commands)) continue;
            assert_string_not_equal(option_specs[i].name, option_specs[j].name);
            assert_true(!option_specs[i].letter || option_specs[i].letter != option_specs[j].letter);
        }
}

/* The library names its framings in a sentence; --help must say how each is written. */
static void framings_are_those_of_the_library(void **state)
{
    char sentence[512];
    struct weir_frame *frame = NULL;
    char *position = NULL;
    char *help = NULL;
    size_t help_len = 0;
    FILE *file = open_memstream(&help, &help_len);
    size_t count = 0;

    (void)state;
    assert_non_null(file);
    help_print_command(file, COMMAND_SERVE);
    fclose(file);
    assert_int_equal(weir_frame_new("?", &frame, sentence, sizeof(sentence)), WEIR_EFRAME);
    assert_non_null(strstr(sentence, "known: "));
    for (char *name = strtok_r(strstr(sentence, "known: ") + 7, ", ", &position); name;
         name = strtok_r(NULL, ", ", &position), count++) {
        const struct weir_framing *framing = weir_framing_get(count);
        assert_non_null(framing);
        assert_memory_equal(framing->syntax, name, strlen(name));
        if (!strstr(help, framing->syntax)) fail_msg("%s is missing", framing->syntax);
    }
    assert_true(count >= 10);
    free(help);
}

static void environment_names_follow_from_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < option_count; i++) {
        char expected[64] = "WEIR_";
        size_t len = strlen(expected);
        if (!option_specs[i].environment) continue;
        for (const char *at = option_specs[i].name; *at; at++)
            expected[len++] = (char)(*at == '-' ? '_' : *at - 'a' + 'A');
        expected[len] = 0;
        assert_string_equal(option_specs[i].environment, expected);
    }
}

static void defaults_are_values_that_would_be_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < option_count; i++) {
        const struct option_spec *option = &option_specs[i];
        char error[OPTIONS_ERROR_BYTES_MAX];
        char buffer[512];
        char line[256];
        struct options options;
        if (!option->default_text || strchr(option->default_text, ' ')) continue;
        snprintf(line, sizeof(line), "--%s %s", option->name, option->default_text);
        if (parse((enum command)__builtin_ctz(option->commands), line, buffer, &options, error))
            fail_msg("%s: %s", line, error);
        options_fini(&options);
    }
}

static void help_names_every_option(void **state)
{
    (void)state;
    for (size_t command = 0; command < COMMAND_COUNT; command++) {
        char *text = NULL;
        size_t len = 0;
        FILE *file = open_memstream(&text, &len);
        assert_non_null(file);
        help_print_command(file, (enum command)command);
        fclose(file);
        for (size_t i = 0; i < option_count; i++) {
            char name[64];
            snprintf(name, sizeof(name), "--%s", option_specs[i].name);
            if (option_specs[i].commands & 1U << command && !strstr(text, name)) fail_msg("%s is missing", name);
        }
        for (const char *line = text; *line; line += strcspn(line, "\n") + 1)
            if (strcspn(line, "\n") > 110) fail_msg("too wide: %.110s", line);
        free(text);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_means_the_defaults),
        cmocka_unit_test(before_the_first_listener_is_for_all),
        cmocka_unit_test(every_type_reaches_its_member),
        cmocka_unit_test(unknown_names_come_with_the_nearest),
        cmocka_unit_test(options_of_later_issues_do_not_exist),
        cmocka_unit_test(wrong_values_are_named),
        cmocka_unit_test(letters_and_double_dash_are_understood),
        cmocka_unit_test(letters_take_values),
        cmocka_unit_test(a_setting_remembers_where_it_came_from),
        cmocka_unit_test(help_ends_the_reading),
        cmocka_unit_test(the_environment_comes_first),
        cmocka_unit_test(address_in_the_environment_is_the_only_listener),
        cmocka_unit_test(names_are_unique_in_each_command),
        cmocka_unit_test(framings_are_those_of_the_library),
        cmocka_unit_test(environment_names_follow_from_names),
        cmocka_unit_test(defaults_are_values_that_would_be_accepted),
        cmocka_unit_test(help_names_every_option),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

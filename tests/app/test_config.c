/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The configuration file: what it sets, what outweighs it, and that whatever is wrong is named with its line. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/options.h"

#define BYTES(text) ((struct weir_bytes){ (const unsigned char *)(text), sizeof(text) - 1 })

static struct weir_bytes bytes_of(const char *text)
{
    return (struct weir_bytes){ (const unsigned char *)text, strlen(text) };
}

static void expect_error_in(enum command command, struct weir_bytes text, const char *expected)
{
    char error[OPTIONS_ERROR_BYTES_MAX] = "";
    struct options options;
    const int result = options_parse_config(command, "weir.yaml", text, &options, error);

    if (result != -EINVAL || !strstr(error, expected))
        fail_msg("'%.*s': %d, '%s' without '%s'", (int)text.len, text.data, result, error, expected);
}

static void expect_error(const char *text, const char *expected)
{
    expect_error_in(COMMAND_SERVE, bytes_of(text), expected);
}

static void read_config(const char *text, struct options *ret)
{
    char error[OPTIONS_ERROR_BYTES_MAX];

    if (options_parse_config(COMMAND_SERVE, "weir.yaml", bytes_of(text), ret, error)) fail_msg("%s: %s", text, error);
}

static const struct option_setting *setting_of(const struct options *options, const struct endpoint_options *endpoint,
                                               const char *name)
{
    return options_setting(options, endpoint, options_find(COMMAND_SERVE, name, strlen(name)));
}

/* ---- What it sets ---- */

static void values_reach_their_members(void **state)
{
    struct options options;

    (void)state;
    read_config("idle-timeout: 5m\n"
                "reply: \"text:OK\\r\\n\"\n"
                "max-frame: 64KiB\n"
                "unix-mode: 0660\n"
                "reuseport: yes\n"
                "keepalive: off\n"
                "workers: 3\n"
                "log-format: json\n",
                &options);
    assert_int_equal(options.endpoint_count, 0);
    assert_int_equal(options.common.service.idle_timeout_ms, 300000);
    assert_string_equal(options.common.reply, "text:OK\r\n");
    assert_int_equal(options.common.service.message_bytes_max, 65536);
    assert_int_equal(options.common.service.unix_mode, 0660);
    assert_true(options.common.service.reuseport);
    assert_int_equal(options.common.service.keepalive_idle_ms, WEIR_OFF);
    assert_int_equal(options.workers, 3);
    assert_int_equal(options.log_format, LOG_FORMAT_JSON);
    assert_int_equal(setting_of(&options, &options.common, "unix-mode")->line, 4);
    assert_int_equal(setting_of(&options, NULL, "workers")->line, 7);
    assert_int_equal(setting_of(&options, NULL, "workers")->source, SOURCE_FILE);
    options_fini(&options);
}

static void flags_have_six_words(void **state)
{
    static const char *const words[] = { "on", "off", "true", "false", "yes", "no", "True", "OFF" };

    (void)state;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        struct options options;
        char text[64];
        snprintf(text, sizeof(text), "reuseport: %s\n", words[i]);
        read_config(text, &options);
        assert_int_equal(options.common.service.reuseport, i % 2 == 0);
        assert_string_equal(setting_of(&options, &options.common, "reuseport")->text, i % 2 ? "off" : "on");
        options_fini(&options);
    }
}

static void listeners_are_a_list(void **state)
{
    struct options options;

    (void)state;
    read_config("frame: line\n"
                "listeners:\n"
                "  - { listen: \":5023\", frame: \"length:u16be\" }\n"
                "  - reply: echo\n"
                "    listen: 7001\n"
                "max-frame: 1KiB\n",
                &options);
    assert_int_equal(options.endpoint_count, 2);
    assert_string_equal(options.endpoints[0].url, ":5023");
    assert_string_equal(options.endpoints[0].service.frame, "length:u16be");
    assert_null(options.endpoints[0].reply);
    assert_int_equal(options.endpoints[0].service.message_bytes_max, 1024);
    assert_string_equal(options.endpoints[1].url, "7001");
    assert_string_equal(options.endpoints[1].service.frame, "line");
    assert_string_equal(options.endpoints[1].reply, "echo");
    assert_int_equal(setting_of(&options, &options.endpoints[1], "listen")->line, 5);
    assert_int_equal(setting_of(&options, &options.endpoints[1], "frame")->line, 1);
    options_fini(&options);
}

static void nothing_in_it_is_nothing_set(void **state)
{
    static const char *const texts[] = { "", "\n", "# only this\n", "---\n", "---\n...\n", "{}\n" };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct options options;
        read_config(texts[i], &options);
        assert_int_equal(options.endpoint_count, 0);
        for (size_t j = 0; j < option_count; j++)
            assert_int_equal(options_setting(&options, &options.common, &option_specs[j])->source, SOURCE_DEFAULT);
        options_fini(&options);
    }
}

/* ---- What is wrong ---- */

static void wrong_keys_are_named(void **state)
{
    (void)state;
    expect_error("workers: 1\nfram: line\n", "weir.yaml:2: unknown key fram; the nearest is frame");
    expect_error("listners: []\n", "weir.yaml:1: unknown key listners; the nearest is listeners");
    expect_error("admin: x\n", "weir.yaml:1: unknown key admin");
    expect_error("listeners:\n- listen: 1\n  fraem: raw\n", "weir.yaml:3: unknown key fraem; the nearest is frame");
    expect_error("listeners:\n- listen: 1\n  listeners: 2\n", "weir.yaml:3: unknown key listeners");
    expect_error("crlf: on\n", "weir.yaml:1: crlf is an option of weir connect, not of weir serve");
    expect_error("help: on\n", "weir.yaml:1: help is for the command line only");
    expect_error("config: other.yaml\n", "weir.yaml:1: config is for the command line only");
    expect_error("listen: 1\n", "weir.yaml:1: listen belongs in the list: listeners: [ { listen:");
    expect_error("listeners:\n- workers: 1\n", "weir.yaml:2: workers is not for one listener");
    expect_error("frame: raw\nworkers: 1\nframe: line\n", "weir.yaml:3: frame is there twice; the first is on line 1");
    expect_error("listeners:\n- listen: 1\n  listen: 2\n",
                 "weir.yaml:3: listen is there twice; the first is on line 2");
    expect_error("listeners: [ { listen: 1 } ]\nlisteners: [ { listen: 2 } ]\n",
                 "weir.yaml:2: listeners is there twice");
    expect_error("[a]: b\n", "weir.yaml:1: a key must be one word");
    expect_error("? \"frame\\0x\"\n: raw\n", "weir.yaml:1: a key must be one word");
    expect_error_in(COMMAND_CONNECT, BYTES("config: x\n"), "config is an option of weir serve, not of weir connect");
}

static void wrong_values_are_named(void **state)
{
    (void)state;
    expect_error("\nmax-frame: 64kb\n", "weir.yaml:2: max-frame 64kb: not a size");
    expect_error("frame: bogus\n", "weir.yaml:1: frame: frame \"bogus\"");
    expect_error("too-long: drop\n", "weir.yaml:1: too-long drop: must be one of close|skip|truncate");
    expect_error("reuseport: 1\n", "weir.yaml:1: reuseport 1: must be on or off");
    expect_error("reply: \"text:\\\\q\"\n", "weir.yaml:1: reply text:\\q: not an escape");
    expect_error("frame:\n", "weir.yaml:1: frame has no value");
    expect_error("frame: [ line ]\n", "weir.yaml:1: frame takes one value, and no list");
    expect_error("frame:\n  line: crlf\n", "weir.yaml:2: frame takes one value");
    expect_error("reply: \"text:a\\0b\"\n", "weir.yaml:1: reply: there is a NUL in it");
    expect_error("reply: !!binary aGk=\n", "weir.yaml:1: reply: the tag tag:yaml.org,2002:binary is not taken");
    expect_error("listeners: 8000\n", "weir.yaml:1: listeners is a list");
    expect_error("listeners:\n  listen: 8000\n", "weir.yaml:2: listeners is a list");
    expect_error("listeners: []\n", "weir.yaml:1: listeners is empty");
    expect_error("listeners:\n- 8000\n", "weir.yaml:2: a listener is keys and values");
    expect_error("listeners:\n- frame: line\n", "weir.yaml:2: a listener without an address");
    expect_error("listeners:\n- listen: host:port\n", "weir.yaml:2: address \"host:port\"");
    expect_error("listeners:\n- listen: tls://:1\n", "weir.yaml:2: tls://:1: tls:// is not in this version yet");
    expect_error("print: \"\\e[31m\"\n", "weir.yaml:1: print ?[31m: must be");
}

static void what_is_no_configuration_is_refused(void **state)
{
    (void)state;
    expect_error("just words\n", "weir.yaml:1: must be keys and values");
    expect_error("- a\n- b\n", "weir.yaml:1: must be keys and values");
    expect_error("frame: line\n---\nframe: raw\n", "weir.yaml:2: one document is all there can be");
    expect_error("frame: &a line\nsend-frame: *a\n", "weir.yaml:2: aliases (*name) are not taken");
    expect_error("&a [*a]\n", "weir.yaml:1: must be keys and values");
    expect_error("listeners:\n\t- listen: 1\n", "weir.yaml:2: indent with blanks, not with tabs");
    expect_error("frame: line\n}\n", "weir.yaml:2: not YAML: ");
    expect_error("frame: \"line\n", "weir.yaml:2: not YAML: ");
    expect_error_in(COMMAND_SERVE, BYTES("frame: line\nx\0: 1\n"), "weir.yaml:2: not YAML: control characters");
    expect_error("frame: line\n# \xff\n", "weir.yaml:2: not YAML: invalid leading UTF-8 octet");
}

/* An alias bomb, and brackets without end: nothing of them is ever built. */
static void depth_and_aliases_cost_nothing(void **state)
{
    enum { DEPTH = 300000 };
    static char text[DEPTH + 64];

    (void)state;
    strcpy(text, "frame: ");
    memset(text + 7, '[', DEPTH);
    text[7 + DEPTH] = 0;
    expect_error(text, "weir.yaml:1: frame takes one value");
    strcpy(text, "listeners: [ ");
    memset(text + 13, '{', DEPTH);
    text[13 + DEPTH] = 0;
    expect_error(text, "weir.yaml:1: a key must be one word");
    expect_error("a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\n", "weir.yaml:1: unknown key a");
}

static void a_long_name_leaves_room_for_the_sentence(void **state)
{
    char error[OPTIONS_ERROR_BYTES_MAX];
    char name[4000];
    struct options options;

    (void)state;
    memset(name, 'n', sizeof(name));
    strcpy(name + sizeof(name) - 11, "/weir.yaml");
    assert_int_equal(options_parse_config(COMMAND_SERVE, name, BYTES("fram: x\n"), &options, error), -EINVAL);
    assert_non_null(strstr(error, "nnn/weir.yaml:1: unknown key fram; the nearest is frame"));
}

/* ---- What outweighs it ---- */

enum { ARGUMENTS_MAX = 16 };

/* Splits a command line at its blanks and reads it. */
static int parse(enum command command, const char *text, char buffer[256], struct options *ret, char *error)
{
    char *arguments[ARGUMENTS_MAX];
    char *position = NULL;
    int count = 0;

    snprintf(buffer, 256, "%s", text);
    for (char *word = strtok_r(buffer, " ", &position); word; word = strtok_r(NULL, " ", &position)) {
        assert_true(count < ARGUMENTS_MAX);
        arguments[count++] = word;
    }
    return options_parse(command, count, arguments, ret, error);
}

/* Reads a command line with a configuration file, FILE in the format, that is there just for that. */
static void parse_with_file(const char *config, const char *format, char buffer[256], struct options *ret)
{
    char path[] = "/tmp/weir-test-config-XXXXXX";
    char error[OPTIONS_ERROR_BYTES_MAX];
    char text[256];
    const char *name = strstr(format, "FILE");
    const int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, config, strlen(config)), (ssize_t)strlen(config));
    close(fd);
    snprintf(text, sizeof(text), "%.*s%s%s", (int)(name - format), format, path, name + 4);
    if (parse(COMMAND_SERVE, text, buffer, ret, error)) fail_msg("%s: %s", text, error);
    unlink(path);
    ret->config = NULL; /* what it names is gone */
}

static const char layered[] = "frame: line\n"
                              "max-frame: 1KiB\n"
                              "workers: 2\n"
                              "listeners:\n"
                              "- { listen: 7001, max-frame: 2KiB, reply: echo }\n"
                              "- { listen: 7002, frame: netstring }\n";

static void the_environment_and_the_arguments_outweigh_the_file(void **state)
{
    char buffer[256];
    struct options options;

    (void)state;
    setenv("WEIR_FRAME", "slip", 1);
    parse_with_file(layered, "--config FILE --max-frame 4KiB", buffer, &options);
    unsetenv("WEIR_FRAME");
    assert_int_equal(options.endpoint_count, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_string_equal(options.endpoints[i].service.frame, "slip");
        assert_int_equal(options.endpoints[i].service.message_bytes_max, 4096);
        assert_int_equal(setting_of(&options, &options.endpoints[i], "frame")->source, SOURCE_ENVIRONMENT);
        assert_int_equal(setting_of(&options, &options.endpoints[i], "max-frame")->source, SOURCE_ARGUMENTS);
    }
    assert_string_equal(options.endpoints[0].reply, "echo");
    assert_null(options.endpoints[1].reply);
    assert_int_equal(options.workers, 2);
    options_fini(&options);
}

static void addresses_among_the_arguments_replace_the_list(void **state)
{
    char buffer[256];
    struct options options;

    (void)state;
    parse_with_file(layered, "--workers 5 8001 --config FILE --frame raw 8002", buffer, &options);
    assert_int_equal(options.endpoint_count, 2);
    assert_string_equal(options.endpoints[0].url, "8001");
    assert_string_equal(options.endpoints[0].service.frame, "raw");
    assert_string_equal(options.endpoints[1].url, "8002");
    assert_string_equal(options.endpoints[1].service.frame, "line");
    assert_int_equal(options.endpoints[1].service.message_bytes_max, 1024);
    assert_null(options.endpoints[0].reply);
    assert_int_equal(options.workers, 5);
    options_fini(&options);
}

static void a_file_that_cannot_be_read_is_no_wrong_usage(void **state)
{
    char error[OPTIONS_ERROR_BYTES_MAX];
    char buffer[256];
    struct options options;

    (void)state;
    assert_int_equal(parse(COMMAND_SERVE, "--config /no/such.yaml", buffer, &options, error), -ENOENT);
    assert_non_null(strstr(error, "--config /no/such.yaml: "));
    assert_int_equal(parse(COMMAND_SERVE, "--config /tmp", buffer, &options, error), -EISDIR);
    assert_int_equal(parse(COMMAND_SERVE, "--config /dev/zero", buffer, &options, error), -EINVAL);
    assert_non_null(strstr(error, "larger than 1 MiB"));
    assert_int_equal(parse(COMMAND_SERVE, "--config /no/such.yaml --help", buffer, &options, error), 0);
    options_fini(&options);
    setenv("WEIR_CONFIG", "/no/such.yaml", 1);
    assert_int_equal(parse(COMMAND_SERVE, "", buffer, &options, error), -ENOENT);
    assert_non_null(strstr(error, "WEIR_CONFIG /no/such.yaml: "));
    assert_int_equal(parse(COMMAND_CONNECT, "", buffer, &options, error), 0);
    options_fini(&options);
    unsetenv("WEIR_CONFIG");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_reach_their_members),
        cmocka_unit_test(flags_have_six_words),
        cmocka_unit_test(listeners_are_a_list),
        cmocka_unit_test(nothing_in_it_is_nothing_set),
        cmocka_unit_test(wrong_keys_are_named),
        cmocka_unit_test(wrong_values_are_named),
        cmocka_unit_test(what_is_no_configuration_is_refused),
        cmocka_unit_test(depth_and_aliases_cost_nothing),
        cmocka_unit_test(a_long_name_leaves_room_for_the_sentence),
        cmocka_unit_test(the_environment_and_the_arguments_outweigh_the_file),
        cmocka_unit_test(addresses_among_the_arguments_replace_the_list),
        cmocka_unit_test(a_file_that_cannot_be_read_is_no_wrong_usage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app/options/parse.c: reads the environment and a command line with the table and fills in struct options. Says what
 * is wrong in one sentence, with the nearest name when one is unknown. Must never print, exit or name an option. */
#include "options.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "values.h"

/* One reading of one command line. */
struct parser {
    enum command command;
    struct options *options;
    struct endpoint_options *endpoint; /* that options are for now: the common one, then the last */
    char *error;
};

static int __attribute__((format(printf, 2, 3))) fail(struct parser *parser, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(parser->error, OPTIONS_ERROR_BYTES_MAX, format, arguments);
    va_end(arguments);
    return -EINVAL;
}

/* ---- Finding an option ---- */

static bool is_for(const struct option_spec *option, enum command command)
{
    return (option->commands & 1U << command) != 0;
}

const struct option_spec *options_find(enum command command, const char *name, size_t name_len)
{
    for (size_t i = 0; i < option_count; i++) {
        const struct option_spec *const option = &option_specs[i];
        if (is_for(option, command) && strlen(option->name) == name_len && memcmp(option->name, name, name_len) == 0)
            return option;
    }
    return NULL;
}

static const struct option_spec *find_letter(enum command command, char letter)
{
    for (size_t i = 0; i < option_count; i++)
        if (is_for(&option_specs[i], command) && option_specs[i].letter == letter) return &option_specs[i];
    return NULL;
}

static const struct option_spec *find_nearest(enum command command, const char *name)
{
    const struct option_spec *nearest = NULL;
    size_t least = SIZE_MAX;

    for (size_t i = 0; i < option_count; i++) {
        const size_t distance = value_distance(name, option_specs[i].name);
        if (!is_for(&option_specs[i], command) || distance >= least) continue;
        least = distance;
        nearest = &option_specs[i];
    }
    return value_is_near(name, least) ? nearest : NULL;
}

static int fail_unknown(struct parser *parser, const char *name, size_t name_len)
{
    char copy[64];
    const struct option_spec *nearest = NULL;

    snprintf(copy, sizeof(copy), "%.*s", (int)(name_len < sizeof(copy) ? name_len : sizeof(copy) - 1), name);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (options_find((enum command)i, copy, strlen(copy)))
            return fail(parser, "--%s is an option of weir %s, not of weir %s", copy, command_specs[i].name,
                        command_specs[parser->command].name);
    nearest = find_nearest(parser->command, copy);
    if (nearest) return fail(parser, "unknown option --%s; the nearest is --%s", copy, nearest->name);
    return fail(parser, "unknown option --%s", copy);
}

/* ---- Setting one ---- */

static void *target_of(struct parser *parser, const struct option_spec *option)
{
    char *const base = option->scope == OPTION_GLOBAL ? (char *)parser->options : (char *)parser->endpoint;

    return base + option->target;
}

/* How values of a type are read, and what to write instead of a wrong one. */
static const struct {
    int (*parse)(const char *text, int64_t *ret);
    const char *advice;
} number_types[] = {
    [OPTION_COUNT] = { value_parse_count, "not a number" },
    [OPTION_SIZE] = { value_parse_size, "not a size; write 4096, 64KiB or 1MiB" },
    [OPTION_TIME] = { value_parse_time, "not a time; write 500ms, 10s, 5m, 2h or 30d" },
    [OPTION_MODE] = { value_parse_mode, "not permissions; write them in octal, as 0660" },
};

/* A bound as people write it. */
static const char *bound_text(const struct option_spec *option, int64_t bound, char ret[32])
{
    if (option->type == OPTION_TIME && bound % (24 * 60 * 60 * 1000) == 0)
        snprintf(ret, 32, "%lldd", (long long)(bound / (24 * 60 * 60 * 1000)));
    else if (option->type == OPTION_TIME && bound % 1000 == 0)
        snprintf(ret, 32, "%llds", (long long)(bound / 1000));
    else if (option->type == OPTION_TIME)
        snprintf(ret, 32, "%lldms", (long long)bound);
    else if (option->type == OPTION_SIZE && bound % (1 << 30) == 0)
        snprintf(ret, 32, "%lldGiB", (long long)(bound >> 30));
    else if (option->type == OPTION_MODE)
        snprintf(ret, 32, "%04llo", (unsigned long long)bound);
    else
        snprintf(ret, 32, "%lld", (long long)bound);
    return ret;
}

static int set_number(struct parser *parser, const struct option_spec *option, const char *label, const char *value)
{
    const int64_t max = option->max ? option->max : INT64_MAX;
    int64_t number = 0;
    char bound[32];
    const int err = number_types[option->type].parse(value, &number);

    if (err == -EINVAL)
        return fail(parser, "%s %s: %s%s", label, value, number_types[option->type].advice,
                    option->off ? ", or off" : "");
    if (err || number > max)
        return fail(parser, "%s %s: too large; at most %s", label, value, bound_text(option, max, bound));
    if (number < option->min)
        return fail(parser, "%s %s: too small; at least %s%s", label, value, bound_text(option, option->min, bound),
                    option->off ? ", or off" : "");
    if (option->step && number % option->step)
        return fail(parser, "%s %s: must be a multiple of %s", label, value, bound_text(option, option->step, bound));
    memcpy(target_of(parser, option), &number, sizeof(number));
    return 0;
}

static int set_choice(struct parser *parser, const struct option_spec *option, const char *label, const char *value)
{
    int choice = 0;

    if (value_parse_choice(option->choices, value, &choice))
        return fail(parser, "%s %s: must be one of %s", label, value, option->choices);
    memcpy(target_of(parser, option), &choice, sizeof(choice));
    return 0;
}

static int set_frame(struct parser *parser, const struct option_spec *option, const char *label, const char *value)
{
    struct weir_frame *frame = NULL;
    char reason[300] = "";
    int is_word = 0;

    if (!option->choices || value_parse_choice(option->choices, value, &is_word)) {
        const int err = weir_frame_new(value, &frame, reason, sizeof(reason));
        const bool is_sendable = !err && weir_frame_is_sendable(frame);
        weir_frame_free(frame);
        if (err) return fail(parser, "%s: %s", label, reason[0] ? reason : weir_strerror(err));
        if (option->sendable && !is_sendable)
            return fail(parser, "%s %s: what is sent in it could not be read back%s", label, value,
                        strncmp(value, "fixed", strlen("fixed")) ? "" : "; give it a pad, as in fixed:128,pad=\\x00");
    }
    memcpy(target_of(parser, option), &value, sizeof(value));
    return 0;
}

static int set_keepalive(struct parser *parser, const char *label, const char *value)
{
    struct value_keepalive keepalive = { 0 };

    if (value_parse_keepalive(value, &keepalive))
        return fail(parser, "%s %s: not a keepalive; write IDLE,INTERVAL,COUNT as in 60s,10s,5, or off", label, value);
    if (keepalive.idle_ms < 1000 || keepalive.interval_ms < 1000 || keepalive.idle_ms % 1000 ||
        keepalive.interval_ms % 1000 || keepalive.idle_ms > 32767000 || keepalive.interval_ms > 32767000)
        return fail(parser, "%s %s: the times must be whole seconds, 1s to 32767s", label, value);
    if (keepalive.count < 1 || keepalive.count > 127)
        return fail(parser, "%s %s: the count must be 1 to 127", label, value);
    parser->endpoint->service.keepalive_idle_ms = keepalive.idle_ms;
    parser->endpoint->service.keepalive_interval_ms = keepalive.interval_ms;
    parser->endpoint->service.keepalive_count = keepalive.count;
    return 0;
}

static int add_endpoint(struct parser *parser, const char *url)
{
    struct options *const options = parser->options;
    const struct command_spec *const command = &command_specs[parser->command];
    struct weir_url parsed;
    char reason[300] = "";

    if (options->endpoint_count == command->endpoints_max) return fail(parser, "%s: one address is enough", url);
    if (weir_url_parse(url, &parsed, reason, sizeof(reason))) return fail(parser, "%s", reason);
    if (parsed.kind == WEIR_URL_TLS) return fail(parser, "%s: tls:// is not in this version yet", url);
    parser->endpoint = &options->endpoints[options->endpoint_count++];
    *parser->endpoint = options->common;
    parser->endpoint->url = url;
    return 0;
}

/* label is how the option was written, for errors: "--max-frame" or "WEIR_MAX_FRAME". */
static int set_option(struct parser *parser, const struct option_spec *option, const char *label, const char *value)
{
    const int64_t off = WEIR_OFF;
    const int on = 1;

    if (option->off && strcmp(value, "off") == 0) {
        memcpy(target_of(parser, option), &off, sizeof(off));
        return 0;
    }
    switch (option->type) {
    case OPTION_FLAG:
        memcpy(target_of(parser, option), &on, sizeof(on));
        return 0;
    case OPTION_TEXT:
        memcpy(target_of(parser, option), &value, sizeof(value));
        /* The analyzer takes it that a target could be `endpoints` itself. */
        return 0; /* NOLINT(clang-analyzer-unix.Malloc) */
    case OPTION_CHOICE:
        return set_choice(parser, option, label, value);
    case OPTION_FRAME:
        return set_frame(parser, option, label, value);
    case OPTION_KEEPALIVE:
        return set_keepalive(parser, label, value);
    case OPTION_ENDPOINT:
        return add_endpoint(parser, value);
    case OPTION_COUNT:
    case OPTION_SIZE:
    case OPTION_TIME:
    case OPTION_MODE:
        return set_number(parser, option, label, value);
    }
    return -EINVAL;
}

/* ---- Reading ---- */

static int parse_environment(struct parser *parser)
{
    for (size_t i = 0; i < option_count; i++) {
        const struct option_spec *const option = &option_specs[i];
        const char *const value = option->environment ? getenv(option->environment) : NULL;
        int err = 0;

        if (!is_for(option, parser->command) || !value || !value[0]) continue;
        if (option->type == OPTION_FLAG && strcmp(value, "off") == 0) continue;
        if (option->type == OPTION_FLAG && strcmp(value, "on") != 0)
            return fail(parser, "%s %s: must be on or off", option->environment, value);
        err = set_option(parser, option, option->environment, value);
        if (err) return err;
    }
    return 0;
}

/* `--name`, `--name VALUE` or `--name=VALUE`. Returns how many more arguments were used, or -EINVAL. */
static int parse_long(struct parser *parser, const char *argument, const char *next)
{
    const size_t name_len = strcspn(argument + 2, "=");
    const char *const inline_value = argument[2 + name_len] ? argument + 2 + name_len + 1 : NULL;
    const struct option_spec *const option = options_find(parser->command, argument + 2, name_len);
    char label[64];
    int err = 0;

    if (!option) return fail_unknown(parser, argument + 2, name_len);
    snprintf(label, sizeof(label), "--%s", option->name);
    if (!option->argument && inline_value) return fail(parser, "%s takes no value", label);
    if (option->argument && !inline_value && !next)
        return fail(parser, "%s needs a value: %s", label, option->argument);
    err = set_option(parser, option, label, !option->argument ? "" : inline_value ? inline_value : next);
    return err ? err : option->argument && !inline_value;
}

/* Letters, one or more behind one dash. None of ours takes a value. */
static int parse_letters(struct parser *parser, const char *argument)
{
    for (const char *letter = argument + 1; *letter; letter++) {
        const struct option_spec *const option = find_letter(parser->command, *letter);
        if (!option) return fail(parser, "unknown option -%c", *letter);
        set_option(parser, option, option->name, "");
    }
    return 0;
}

static int parse_arguments(struct parser *parser, int argc, char *const *argv)
{
    bool only_addresses = false; /* after a bare -- */

    for (int i = 0; i < argc && !parser->options->help; i++) {
        const char *const argument = argv[i];
        int used = 0;

        if (only_addresses || argument[0] != '-' || !argument[1])
            used = add_endpoint(parser, argument);
        else if (strcmp(argument, "--") == 0)
            only_addresses = true;
        else if (argument[1] == '-')
            used = parse_long(parser, argument, i + 1 < argc ? argv[i + 1] : NULL);
        else
            used = parse_letters(parser, argument);
        if (used < 0) return used;
        i += used;
    }
    return 0;
}

int options_parse(enum command command, int argc, char *const *argv, struct options *ret,
                  char error[OPTIONS_ERROR_BYTES_MAX])
{
    const struct weir_service defaults = WEIR_SERVICE(.frame = NULL);
    struct options options = { .common.service = defaults, .log_level = WEIR_LOG_INFO - WEIR_LOG_ERROR };
    struct parser parser = { .command = command, .options = &options, .endpoint = &options.common, .error = error };
    int err = 0;

    options.endpoints = calloc((size_t)argc + 1, sizeof(*options.endpoints));
    if (!options.endpoints) {
        fail(&parser, "%s", weir_strerror(-ENOMEM));
        return -ENOMEM;
    }
    err = parse_environment(&parser);
    if (!err) err = parse_arguments(&parser, argc, argv);
    if (err) {
        options_fini(&options);
        return err;
    }
    *ret = options;
    return 0;
}

void options_fini(struct options *options)
{
    free(options->endpoints);
    options->endpoints = NULL;
    options->endpoint_count = 0;
}

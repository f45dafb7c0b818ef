/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Reads the environment and a command line with the table and fills in struct options; the
 * configuration file is config.c's. Says what is wrong in one sentence, with the nearest name when one is unknown. Must
 * never print, exit or name an option. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "parser.h"
#include "text/encoding.h"
#include "values.h"

/* What was typed may hold anything, and the sentence goes to a terminal: controls, also those of C1 in UTF-8, become
 * question marks. */
static void defuse(char *text)
{
    for (unsigned char *at = (unsigned char *)text; *at; at++) {
        const bool is_c1 = at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0;
        if (*at < 0x20 || *at == 0x7f || is_c1) *at = '?';
        if (is_c1) at[1] = '?';
    }
}

int parser_fail(struct parser *parser, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(parser->error, OPTIONS_ERROR_BYTES_MAX, format, arguments);
    va_end(arguments);
    defuse(parser->error);
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
        const struct option_spec *option = &option_specs[i];
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

const struct option_spec *parser_find_nearest(enum command command, const char *name)
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
            return parser_fail(parser, "--%s is an option of weir %s, not of weir %s", copy, command_specs[i].name,
                               command_specs[parser->command].name);
    nearest = parser_find_nearest(parser->command, copy);
    if (nearest) return parser_fail(parser, "unknown option --%s; the nearest is --%s", copy, nearest->name);
    return parser_fail(parser, "unknown option --%s", copy);
}

const struct option_setting *options_setting(const struct options *options, const struct endpoint_options *endpoint,
                                             const struct option_spec *option)
{
    return (option->scope == OPTION_GLOBAL ? options->settings : endpoint->settings) + (option - option_specs);
}

struct option_setting *parser_setting(struct parser *parser, const struct option_spec *option)
{
    struct option_setting *settings =
        option->scope == OPTION_GLOBAL ? parser->options->settings : parser->endpoint->settings;

    return settings + (option - option_specs);
}

/* ---- Setting one ---- */

static void *target_of(struct parser *parser, const struct option_spec *option)
{
    char *base = option->scope == OPTION_GLOBAL ? (char *)parser->options : (char *)parser->endpoint;

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
    [OPTION_PERCENT] = { value_parse_percent, "not a share; write 5%" },
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
    else if (option->type == OPTION_PERCENT)
        snprintf(ret, 32, "%lld%%", (long long)bound);
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
        return parser_fail(parser, "%s %s: %s%s", label, value, number_types[option->type].advice,
                           option->off ? ", or off" : "");
    if (err || number > max)
        return parser_fail(parser, "%s %s: too large; at most %s", label, value, bound_text(option, max, bound));
    if (number < option->min)
        return parser_fail(parser, "%s %s: too small; at least %s%s", label, value,
                           bound_text(option, option->min, bound), option->off ? ", or off" : "");
    if (option->step && number % option->step)
        return parser_fail(parser, "%s %s: must be a multiple of %s", label, value,
                           bound_text(option, option->step, bound));
    memcpy(target_of(parser, option), &number, sizeof(number));
    return 0;
}

static int set_choice(struct parser *parser, const struct option_spec *option, const char *label, const char *value)
{
    int choice = 0;

    if (value_parse_choice(option->choices, value, &choice))
        return parser_fail(parser, "%s %s: must be one of %s", label, value, option->choices);
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
        if (err) return parser_fail(parser, "%s: %s", label, reason[0] ? reason : weir_strerror(err));
        if (option->sendable && !is_sendable)
            return parser_fail(parser, "%s %s: what is sent in it could not be read back%s", label, value,
                               strncmp(value, "fixed", strlen("fixed")) ? ""
                                                                        : "; give it a pad, as in fixed:128,pad=\\x00");
    }
    memcpy(target_of(parser, option), &value, sizeof(value));
    return 0;
}

static int set_keepalive(struct parser *parser, const char *label, const char *value)
{
    struct value_keepalive keepalive = { 0 };

    if (value_parse_keepalive(value, &keepalive))
        return parser_fail(parser, "%s %s: not a keepalive; write IDLE,INTERVAL,COUNT as in 60s,10s,5, or off", label,
                           value);
    if (keepalive.idle_ms < 1000 || keepalive.interval_ms < 1000 || keepalive.idle_ms % 1000 ||
        keepalive.interval_ms % 1000 || keepalive.idle_ms > 32767000 || keepalive.interval_ms > 32767000)
        return parser_fail(parser, "%s %s: the times must be whole seconds, 1s to 32767s", label, value);
    if (keepalive.count < 1 || keepalive.count > 127)
        return parser_fail(parser, "%s %s: the count must be 1 to 127", label, value);
    parser->endpoint->service.keepalive_idle_ms = keepalive.idle_ms;
    parser->endpoint->service.keepalive_interval_ms = keepalive.interval_ms;
    parser->endpoint->service.keepalive_count = keepalive.count;
    return 0;
}

static int set_flag(struct parser *parser, const struct option_spec *option, const char *label, const char *value)
{
    static const char *const words[] = { "off", "on", "no", "yes", "false", "true" };

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        const bool flag = i % 2;
        if (strcasecmp(value, words[i]) != 0) continue;
        memcpy(target_of(parser, option), &flag, sizeof(flag));
        return 0;
    }
    return parser_fail(parser, "%s %s: must be on or off", label, value);
}

/* Checks what comes behind `text:`; what it means is the business of whoever uses it. */
static int check_escapes(struct parser *parser, const char *label, const char *value, const char *text)
{
    const size_t room = strlen(text) + 1;
    unsigned char *bytes = malloc(room);
    size_t len = 0;
    int err = 0;

    if (!bytes) {
        parser_fail(parser, "%s", weir_strerror(-ENOMEM));
        return -ENOMEM;
    }
    err = weir_unescape(text, bytes, room, &len);
    free(bytes);
    if (!err) return 0;
    return parser_fail(parser,
                       "%s %s: not an escape: %.4s (there are \\n \\r \\t \\0 \\a \\b \\e \\f \\v \\\\ \\\" \\' \\xHH)",
                       label, value, text + len);
}

static int set_text(struct parser *parser, const struct option_spec *option, const char *label, const char *value)
{
    const size_t escaped_len = option->escaped ? strlen(option->escaped) : 0;
    int err = 0;
    int choice = 0;

    if (escaped_len && strncmp(value, option->escaped, escaped_len) == 0)
        err = check_escapes(parser, label, value, value + escaped_len);
    else if (option->choices && value_parse_choice(option->choices, value, &choice))
        err = parser_fail(parser, "%s %s: must be one of %s%s%s%s", label, value, option->choices,
                          escaped_len ? ", or " : "", escaped_len ? option->escaped : "", escaped_len ? "BYTES" : "");
    if (err) return err;
    memcpy(target_of(parser, option), &value, sizeof(value));
    /* The analyzer takes it that a target could be `endpoints` itself. */
    return 0; /* NOLINT(clang-analyzer-unix.Malloc) */
}

/* ---- Endpoints ---- */

int parser_check_url(struct parser *parser, const char *place, const char *url)
{
    struct weir_url parsed;
    char reason[300] = "";

    if (weir_url_parse(url, &parsed, reason, sizeof(reason))) return parser_fail(parser, "%s%s", place, reason);
    if (parsed.kind == WEIR_URL_TLS) return parser_fail(parser, "%s%s: tls:// is not in this version yet", place, url);
    return 0;
}

int parser_begin_endpoint(struct parser *parser, const struct endpoint_options *from)
{
    struct options *options = parser->options;

    if (options->endpoint_count == options->endpoint_room) {
        const size_t room = options->endpoint_room ? 2 * options->endpoint_room : 4;
        struct endpoint_options *grown = realloc(options->endpoints, room * sizeof(*grown));
        if (!grown) {
            parser_fail(parser, "%s", weir_strerror(-ENOMEM));
            return -ENOMEM;
        }
        options->endpoints = grown;
        options->endpoint_room = room;
    }
    parser->endpoint = &options->endpoints[options->endpoint_count++];
    *parser->endpoint = *from;
    return 0;
}

static int set_url(struct parser *parser, const struct option_spec *option, const char *place, const char *url)
{
    const int err = parser_check_url(parser, place, url);

    if (err) return err;
    parser->endpoint->url = url;
    if (option) *parser_setting(parser, option) = (struct option_setting){ url, parser->source, parser->line };
    return 0;
}

/* The command's option of a type that it has at most one of. */
static const struct option_spec *find_type(enum command command, enum option_type type)
{
    for (size_t i = 0; i < option_count; i++)
        if (is_for(&option_specs[i], command) && option_specs[i].type == type) return &option_specs[i];
    return NULL;
}

/* An address that outweighs the file takes the place of all that it has listed. */
static void drop_file_listeners(struct options *options)
{
    if (options->listeners_are_of_file) options->endpoint_count = 0;
    options->listeners_are_of_file = false;
}

/* The address in the environment: that of the only listener, where no argument names one. */
static int set_only_url(struct parser *parser, const struct option_spec *option, const char *label, const char *url)
{
    char place[64];

    drop_file_listeners(parser->options);
    snprintf(place, sizeof(place), "%s: ", label);
    return set_url(parser, option, place, url);
}

/* An address among the arguments. */
static int add_endpoint(struct parser *parser, const char *url)
{
    struct options *options = parser->options;
    int err = 0;

    drop_file_listeners(options);
    if (command_specs[parser->command].endpoints_max == 0)
        return parser_fail(parser, "%s: weir %s takes options only", url, command_specs[parser->command].name);
    if (options->endpoint_count == command_specs[parser->command].endpoints_max)
        return parser_fail(parser, "%s: one address is enough", url);
    err = parser_begin_endpoint(parser, &options->common);
    return err ? err : set_url(parser, find_type(parser->command, OPTION_ENDPOINT), "", url);
}

static int store(struct parser *parser, const struct option_spec *option, const char *label, const char *value)
{
    const int64_t off = WEIR_OFF;

    if (option->off && strcmp(value, "off") == 0) {
        memcpy(target_of(parser, option), &off, sizeof(off));
        return 0;
    }
    switch (option->type) {
    case OPTION_FLAG:
        return set_flag(parser, option, label, value);
    case OPTION_TEXT:
    case OPTION_CONFIG:
        return set_text(parser, option, label, value);
    case OPTION_CHOICE:
        return set_choice(parser, option, label, value);
    case OPTION_FRAME:
        return set_frame(parser, option, label, value);
    case OPTION_KEEPALIVE:
        return set_keepalive(parser, label, value);
    case OPTION_COUNT:
    case OPTION_SIZE:
    case OPTION_TIME:
    case OPTION_PERCENT:
    case OPTION_MODE:
        return set_number(parser, option, label, value);
    case OPTION_ENDPOINT:
        break;
    }
    return -EINVAL;
}

int parser_set(struct parser *parser, const struct option_spec *option, const char *label, const char *value)
{
    int err = 0;

    if (option->type == OPTION_ENDPOINT && parser->source == SOURCE_ENVIRONMENT)
        return set_only_url(parser, option, label, value);
    if (option->type == OPTION_ENDPOINT) return add_endpoint(parser, value);
    err = store(parser, option, label, value);
    if (err) return err;
    if (option->type == OPTION_FLAG) value = *(const bool *)target_of(parser, option) ? "on" : "off";
    *parser_setting(parser, option) = (struct option_setting){ value, parser->source, parser->line };
    return 0;
}

/* ---- Reading ---- */

static int parse_environment(struct parser *parser)
{
    parser->source = SOURCE_ENVIRONMENT;
    for (size_t i = 0; i < option_count; i++) {
        const struct option_spec *option = &option_specs[i];
        const char *value = option->environment ? getenv(option->environment) : NULL;
        int err = 0;

        if (!is_for(option, parser->command) || !value || !value[0]) continue;
        err = parser_set(parser, option, option->environment, value);
        if (err) return err;
    }
    return 0;
}

/* `--name`, `--name VALUE` or `--name=VALUE`. Returns how many more arguments were used, or -EINVAL. */
static int parse_long(struct parser *parser, const char *argument, const char *next)
{
    const size_t name_len = strcspn(argument + 2, "=");
    const char *inline_value = argument[2 + name_len] ? argument + 2 + name_len + 1 : NULL;
    const struct option_spec *option = options_find(parser->command, argument + 2, name_len);
    char label[64];
    int err = 0;

    if (!option) return fail_unknown(parser, argument + 2, name_len);
    snprintf(label, sizeof(label), "--%s", option->name);
    if (!option->argument && inline_value) return parser_fail(parser, "%s takes no value", label);
    if (option->argument && !inline_value && !next)
        return parser_fail(parser, "%s needs a value: %s", label, option->argument);
    err = parser_set(parser, option, label, !option->argument ? "on" : inline_value ? inline_value : next);
    return err ? err : option->argument && !inline_value;
}

/* Letters, one or more behind one dash; the value of one that takes one is the rest of the word, or the next. Returns
 * like parse_long. */
static int parse_letters(struct parser *parser, const char *argument, const char *next)
{
    for (const char *letter = argument + 1; *letter; letter++) {
        const struct option_spec *option = find_letter(parser->command, *letter);
        const char *rest = letter[1] ? letter + 1 : NULL;
        char label[3] = { '-', *letter, 0 };
        int err = 0;

        if (!option) return parser_fail(parser, "unknown option %s", label);
        if (option->argument && !rest && !next)
            return parser_fail(parser, "%s needs a value: %s", label, option->argument);
        err = parser_set(parser, option, label, !option->argument ? "on" : rest ? rest : next);
        if (err) return err;
        if (option->argument) return !rest;
    }
    return 0;
}

static int parse_arguments(struct parser *parser, int argc, char *const *argv)
{
    bool only_addresses = false; /* after a bare -- */

    parser->source = SOURCE_ARGUMENTS;
    for (int i = 0; i < argc && !parser->options->help; i++) {
        const char *argument = argv[i];
        int used = 0;

        if (only_addresses || argument[0] != '-' || !argument[1])
            used = add_endpoint(parser, argument);
        else if (strcmp(argument, "--") == 0)
            only_addresses = true;
        else if (argument[1] == '-')
            used = parse_long(parser, argument, i + 1 < argc ? argv[i + 1] : NULL);
        else
            used = parse_letters(parser, argument, i + 1 < argc ? argv[i + 1] : NULL);
        if (used < 0) return used;
        i += used;
    }
    return 0;
}

/* A listener of the file has its own values. What outweighs the file has the last word even so, and what is unset is as
 * for all. */
static int complete_file_listeners(struct parser *parser)
{
    struct options *options = parser->options;
    int err = 0;

    for (size_t i = 0; options->listeners_are_of_file && i < options->endpoint_count && !err; i++) {
        parser->endpoint = &options->endpoints[i];
        for (size_t j = 0; j < option_count && !err; j++) {
            const struct option_spec *option = &option_specs[j];
            const struct option_setting *common = &options->common.settings[j];
            if (option->scope != OPTION_PER_ENDPOINT || common->source <= parser->endpoint->settings[j].source)
                continue;
            parser->source = common->source;
            parser->line = common->line;
            err = parser_set(parser, option, option->name, common->text);
        }
    }
    return err;
}

static const struct endpoint_options blank = { .service = WEIR_SERVICE(.frame = NULL) };

static void begin(struct parser *parser, struct options *options)
{
    *options = (struct options){ .common = blank, .log_level = WEIR_LOG_INFO - WEIR_LOG_ERROR, .log.after = -1 };
    parser->options = options;
    parser->endpoint = &options->common;
}

static int load_config(struct parser *parser, const struct options *first)
{
    const struct option_spec *option = find_type(parser->command, OPTION_CONFIG);
    char label[64];

    if (options_setting(first, NULL, option)->source == SOURCE_ENVIRONMENT)
        snprintf(label, sizeof(label), "%s", option->environment);
    else
        snprintf(label, sizeof(label), "--%s", option->name);
    return config_load(parser, label, first->config, &blank);
}

/* `first` is an earlier reading, which knows of the configuration file; NULL: this is the first. */
static int parse_in_order(struct parser *parser, int argc, char *const *argv, const struct options *first)
{
    int err = 0;

    if (first) err = load_config(parser, first);
    parser->endpoint = &parser->options->common;
    parser->line = 0;
    if (!err) err = parse_environment(parser);
    if (!err) err = parse_arguments(parser, argc, argv);
    return err ? err : complete_file_listeners(parser);
}

/* The file is read before what names it, so there are two readings: the first finds it. */
int options_parse(enum command command, int argc, char *const *argv, struct options *ret,
                  char error[OPTIONS_ERROR_BYTES_MAX])
{
    struct parser parser = { .command = command, .error = error };
    struct options first;
    struct options options;
    int err = 0;

    begin(&parser, &first);
    err = parse_in_order(&parser, argc, argv, NULL);
    if (!err && (!first.config || first.help)) {
        *ret = first;
        return 0;
    }
    begin(&parser, &options);
    if (!err) err = parse_in_order(&parser, argc, argv, &first);
    options_fini(&first);
    if (err) {
        options_fini(&options);
        return err;
    }
    *ret = options;
    return 0;
}

int options_parse_config(enum command command, const char *name, struct weir_bytes text, struct options *ret,
                         char error[OPTIONS_ERROR_BYTES_MAX])
{
    struct parser parser = { .command = command, .error = error };
    struct options options;
    int err = 0;

    begin(&parser, &options);
    err = config_read(&parser, name, text, &blank);
    if (!err) err = complete_file_listeners(&parser);
    if (err) {
        options_fini(&options);
        return err;
    }
    *ret = options;
    return 0;
}

void options_fini(struct options *options)
{
    config_free_texts(options->texts);
    options->texts = NULL;
    free(options->endpoints);
    options->endpoints = NULL;
    options->endpoint_count = options->endpoint_room = 0;
}

int options_open_encoding(const struct options *options, struct encoding **ret, char error[OPTIONS_ERROR_BYTES_MAX])
{
    const char *name = options->encoding;
    char reason[256];
    int err = 0;

    *ret = NULL;
    if (!name) return 0;
    err = encoding_open(name, ret, reason, sizeof(reason));
    if (err) snprintf(error, OPTIONS_ERROR_BYTES_MAX, "--encoding %s: %s", name, reason);
    return err == -EINVAL ? WEIR_ECONFIG : err;
}

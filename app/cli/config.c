/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Reads the configuration file, YAML, with the table. What it takes is small: keys and values,
 * and one list, `listeners`, of such. So it follows libyaml's events and stops at the first that does not fit: nothing
 * is nested deeper than the three levels there are, and an alias is refused, not expanded. Must never print, and never
 * take half of a file for the whole. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <yaml.h>

#include "parser.h"
#include "values.h"

enum { FILE_BYTES_MAX = 1024 * 1024, PLACE_BYTES_MAX = 256, KEY_BYTES_MAX = 64 };

static const char list_key[] = "listeners";

struct option_text {
    struct option_text *next;
    char text[];
};

struct config {
    struct parser *parser;
    const char *name; /* of the file */
    struct weir_bytes text;
    const struct endpoint_options *blank;
    unsigned list_line; /* where the listeners are; 0: nowhere yet */
    yaml_parser_t yaml;
    yaml_event_t event; /* the one in hand; no event before the first */
};

/* ---- Places and sentences ---- */

/* "weir.yaml:3: ", or the end of a name that is too long for a sentence. */
static const char *place_at(const struct config *config, unsigned line, char ret[PLACE_BYTES_MAX])
{
    const size_t room = PLACE_BYTES_MAX - 32;
    const size_t len = strlen(config->name);

    if (len <= room)
        snprintf(ret, PLACE_BYTES_MAX, "%s:%u: ", config->name, line);
    else
        snprintf(ret, PLACE_BYTES_MAX, "...%s:%u: ", config->name + len - room, line);
    return ret;
}

static unsigned event_line(const struct config *config)
{
    return (unsigned)config->event.start_mark.line + 1;
}

/* Says what is wrong with the event in hand. */
static int fail_here(struct config *config, const char *what)
{
    char place[PLACE_BYTES_MAX];

    return parser_fail(config->parser, "%s%s", place_at(config, event_line(config), place), what);
}

/* The line of an offset in the file. */
static unsigned line_of(const struct config *config, size_t offset)
{
    unsigned line = 1;

    for (size_t i = 0; i < offset && i < config->text.len; i++)
        line += config->text.data[i] == '\n';
    return line;
}

/* Whether that line is indented with a tab, which YAML does not take and does not say. */
static bool has_tab(const struct config *config, unsigned line)
{
    const unsigned char *at = config->text.data;
    const unsigned char *end = at + config->text.len;

    for (unsigned i = 1; i < line && at < end; at++)
        i += *at == '\n';
    while (at < end && *at == ' ')
        at++;
    return at < end && *at == '\t';
}

/* What libyaml found wrong. */
static int fail_yaml(struct config *config)
{
    const yaml_parser_t *yaml = &config->yaml;
    const char *problem = yaml->problem ? yaml->problem : "cannot be read";
    const bool is_reader = yaml->error == YAML_READER_ERROR;
    const unsigned line = is_reader ? line_of(config, yaml->problem_offset) : (unsigned)yaml->problem_mark.line + 1;
    char place[PLACE_BYTES_MAX];

    place_at(config, line, place);
    if (yaml->error == YAML_MEMORY_ERROR) {
        parser_fail(config->parser, "%s", weir_strerror(-ENOMEM));
        return -ENOMEM;
    }
    if (!is_reader && has_tab(config, line))
        return parser_fail(config->parser, "%sindent with blanks, not with tabs", place);
    if (is_reader || !yaml->context) return parser_fail(config->parser, "%snot YAML: %s", place, problem);
    return parser_fail(config->parser, "%snot YAML: %s %s, which begins on line %zu", place, problem, yaml->context,
                       yaml->context_mark.line + 1);
}

/* ---- Events ---- */

/* Goes on to the next event. */
static int next(struct config *config)
{
    yaml_event_delete(&config->event);
    if (!yaml_parser_parse(&config->yaml, &config->event)) {
        memset(&config->event, 0, sizeof(config->event));
        return fail_yaml(config);
    }
    if (config->event.type == YAML_ALIAS_EVENT)
        return fail_here(config, "aliases (*name) are not taken; what stands outside of listeners is for all of them");
    return 0;
}

static bool is_scalar(const struct config *config)
{
    return config->event.type == YAML_SCALAR_EVENT;
}

static const char *scalar_text(const struct config *config)
{
    return (const char *)config->event.data.scalar.value;
}

/* Whether nothing stands where a value could. */
static bool is_nothing(const struct config *config)
{
    return is_scalar(config) && !config->event.data.scalar.length &&
           config->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

/* The value in hand as a string that lives as long as the options. NULL: memory is out. */
static const char *keep_scalar(struct config *config)
{
    const size_t len = config->event.data.scalar.length;
    struct option_text *text = malloc(sizeof(*text) + len + 1);

    if (!text) {
        parser_fail(config->parser, "%s", weir_strerror(-ENOMEM));
        return NULL;
    }
    memcpy(text->text, config->event.data.scalar.value, len + 1);
    text->next = config->parser->options->texts;
    config->parser->options->texts = text;
    return text->text;
}

void config_free_texts(struct option_text *texts)
{
    while (texts) {
        struct option_text *next_text = texts->next;
        free(texts);
        texts = next_text;
    }
}

/* ---- Keys ---- */

static const char *command_name(const struct config *config)
{
    return command_specs[config->parser->command].name;
}

/* A key that is no option of this command. */
static int fail_unknown(struct config *config, const char *key, bool in_listener)
{
    struct parser *parser = config->parser;
    const struct option_spec *nearest = parser_find_nearest(parser->command, key);
    const char *name = nearest ? nearest->name : NULL;
    char place[PLACE_BYTES_MAX];

    place_at(config, event_line(config), place);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (options_find((enum command)i, key, strlen(key)))
            return parser_fail(parser, "%s%s is an option of weir %s, not of weir %s", place, key,
                               command_specs[i].name, command_name(config));
    if (!in_listener && value_is_near(key, value_distance(key, list_key)) &&
        (!name || value_distance(key, list_key) < value_distance(key, name)))
        name = list_key;
    if (name) return parser_fail(parser, "%sunknown key %s; the nearest is %s", place, key, name);
    return parser_fail(parser, "%sunknown key %s", place, key);
}

/* Whether the option can be set where its key stands. */
static int check_place(struct config *config, const struct option_spec *option, bool in_listener)
{
    struct parser *parser = config->parser;
    const char *key = option->name;
    char place[PLACE_BYTES_MAX];

    place_at(config, event_line(config), place);
    if (option->type == OPTION_CONFIG || (option->type != OPTION_ENDPOINT && !option->environment))
        return parser_fail(parser, "%s%s is for the command line only", place, key);
    if (in_listener && option->scope == OPTION_GLOBAL)
        return parser_fail(parser, "%s%s is not for one listener; write it outside of %s", place, key, list_key);
    if (!in_listener && option->type == OPTION_ENDPOINT)
        return parser_fail(parser, "%s%s belongs in the list: %s: [ { %s: \":8000\" } ]", place, key, list_key, key);
    if (parser_setting(parser, option)->source == SOURCE_FILE)
        return parser_fail(parser, "%s%s is there twice; the first is on line %u", place, key,
                           parser_setting(parser, option)->line);
    return 0;
}

static int set_value(struct config *config, const struct option_spec *option)
{
    struct parser *parser = config->parser;
    const char *value = keep_scalar(config);
    char label[PLACE_BYTES_MAX + KEY_BYTES_MAX];
    char place[PLACE_BYTES_MAX];

    if (!value) return -ENOMEM;
    place_at(config, event_line(config), place);
    parser->line = event_line(config);
    if (option->type == OPTION_ENDPOINT) {
        const int err = parser_check_url(parser, place, value);
        if (err) return err;
        parser->endpoint->url = value;
        *parser_setting(parser, option) = (struct option_setting){ value, parser->source, parser->line };
        return 0;
    }
    snprintf(label, sizeof(label), "%s%s", place, option->name);
    return parser_set(parser, option, label, value);
}

/* What a value must be, whatever option it is for. */
static int check_value(struct config *config, const char *key)
{
    const yaml_char_t *tag = is_scalar(config) ? config->event.data.scalar.tag : NULL;
    char place[PLACE_BYTES_MAX];

    place_at(config, event_line(config), place);
    if (!is_scalar(config)) return parser_fail(config->parser, "%s%s takes one value, and no list", place, key);
    if (is_nothing(config)) return parser_fail(config->parser, "%s%s has no value", place, key);
    if (tag && strcmp((const char *)tag, YAML_STR_TAG) != 0 && strcmp((const char *)tag, "!") != 0)
        return parser_fail(config->parser, "%s%s: the tag %s is not taken", place, key, (const char *)tag);
    if (strlen(scalar_text(config)) != config->event.data.scalar.length)
        return parser_fail(config->parser, "%s%s: there is a NUL in it; where escapes are taken, write \\0", place,
                           key);
    return 0;
}

/* The event in hand is a key; its value follows. */
static int read_option(struct config *config, const char *key, bool in_listener)
{
    const struct option_spec *option = options_find(config->parser->command, key, strlen(key));
    int err = option ? check_place(config, option, in_listener) : fail_unknown(config, key, in_listener);

    if (!option) return err;
    if (!err) err = next(config);
    if (!err) err = check_value(config, key);
    return err ? err : set_value(config, option);
}

/* Goes on to a key and copies it, cut when it is longer than any of ours. Returns 1, or 0 at the mapping's end. */
static int next_key(struct config *config, char ret[KEY_BYTES_MAX])
{
    const int err = next(config);

    if (err) return err;
    if (config->event.type == YAML_MAPPING_END_EVENT) return 0;
    if (!is_scalar(config) || strlen(scalar_text(config)) != config->event.data.scalar.length)
        return fail_here(config, "a key must be one word");
    snprintf(ret, KEY_BYTES_MAX, "%s", scalar_text(config));
    return 1;
}

/* ---- Listeners ---- */

/* The event in hand begins a listener. */
static int read_listener(struct config *config)
{
    const unsigned line = event_line(config);
    char key[KEY_BYTES_MAX];
    char place[PLACE_BYTES_MAX];
    int err = 0;
    int more = 0;

    if (config->event.type != YAML_MAPPING_START_EVENT)
        return fail_here(config, "a listener is keys and values, as in { listen: \":8000\", frame: line }");
    err = parser_begin_endpoint(config->parser, config->blank);
    if (err) return err;
    while ((more = next_key(config, key)) > 0)
        if ((err = read_option(config, key, true)) != 0) return err;
    if (more < 0 || config->parser->endpoint->url) return more;
    return parser_fail(config->parser, "%sa listener without an address; write listen: \":8000\"",
                       place_at(config, line, place));
}

/* The event in hand is the list's key. */
static int read_listeners(struct config *config)
{
    struct parser *parser = config->parser;
    char place[PLACE_BYTES_MAX];
    int err = 0;

    if (config->list_line)
        return parser_fail(parser, "%s%s is there twice; the first is on line %u",
                           place_at(config, event_line(config), place), list_key, config->list_line);
    config->list_line = event_line(config);
    if ((err = next(config)) != 0) return err;
    if (config->event.type != YAML_SEQUENCE_START_EVENT)
        return parser_fail(parser, "%s%s is a list; begin each listener with a dash, as in - listen: \":8000\"",
                           place_at(config, event_line(config), place), list_key);
    parser->options->listeners_are_of_file = true;
    while ((err = next(config)) == 0 && config->event.type != YAML_SEQUENCE_END_EVENT)
        if ((err = read_listener(config)) != 0) return err;
    parser->endpoint = &parser->options->common;
    if (err || parser->options->endpoint_count) return err;
    return parser_fail(parser, "%s%s is empty; leave it out to listen on the usual address",
                       place_at(config, config->list_line, place), list_key);
}

/* ---- The whole ---- */

/* The event in hand begins the document's content. */
static int read_content(struct config *config)
{
    char key[KEY_BYTES_MAX];
    int more = 0;

    if (is_nothing(config)) return 0;
    if (config->event.type != YAML_MAPPING_START_EVENT)
        return fail_here(config, "must be keys and values, as in frame: line");
    while ((more = next_key(config, key)) > 0) {
        const int err = strcmp(key, list_key) == 0 ? read_listeners(config) : read_option(config, key, false);
        if (err) return err;
    }
    return more;
}

static int read_stream(struct config *config)
{
    int err = next(config); /* the stream's start */

    if (!err) err = next(config);
    if (err || config->event.type == YAML_STREAM_END_EVENT) return err;
    err = next(config); /* behind the document's start */
    if (!err) err = read_content(config);
    if (!err) err = next(config); /* the document's end */
    if (!err) err = next(config);
    if (err || config->event.type == YAML_STREAM_END_EVENT) return err;
    return fail_here(config, "one document is all there can be");
}

int config_read(struct parser *parser, const char *name, struct weir_bytes text, const struct endpoint_options *blank)
{
    struct config config = { .parser = parser, .name = name, .text = text, .blank = blank };
    int err = 0;

    if (!yaml_parser_initialize(&config.yaml)) {
        parser_fail(parser, "%s", weir_strerror(-ENOMEM));
        return -ENOMEM;
    }
    yaml_parser_set_input_string(&config.yaml, text.data, text.len);
    parser->source = SOURCE_FILE;
    err = read_stream(&config);
    yaml_event_delete(&config.event);
    yaml_parser_delete(&config.yaml);
    return err;
}

/* Reads all of it, when it is not too much. Returns its length, or a negative code. */
static ssize_t read_all(int fd, unsigned char *ret, size_t room)
{
    size_t len = 0;

    while (len < room) {
        const ssize_t count = read(fd, ret + len, room - len);
        if (count < 0 && errno != EINTR) return -errno;
        if (count == 0) break;
        if (count > 0) len += (size_t)count;
    }
    return (ssize_t)len;
}

int config_load(struct parser *parser, const char *label, const char *path, const struct endpoint_options *blank)
{
    unsigned char *bytes = malloc(FILE_BYTES_MAX + 1);
    const int fd = bytes ? open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY) : -1;
    ssize_t len = bytes ? -errno : -ENOMEM;
    int err = 0;

    if (fd >= 0) {
        len = read_all(fd, bytes, FILE_BYTES_MAX + 1);
        close(fd);
    }
    if (len < 0) {
        parser_fail(parser, "%s %s: %s", label, path, weir_strerror((int)len));
        err = (int)len;
    } else if (len > FILE_BYTES_MAX) {
        err = parser_fail(parser, "%s %s: larger than 1 MiB: that is no configuration", label, path);
    } else {
        err = config_read(parser, path, (struct weir_bytes){ bytes, (size_t)len }, blank);
    }
    free(bytes);
    return err;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Options in, lines out: for people, who want columns, and for scripts, which split at blanks. Must
 * never name an option itself. */
#include "effect.h"

#include <string.h>

#include "text/json.h"
#include "text/utf8.h"

/* One line of it. */
struct row {
    struct line whose;
    const char *name;
    struct line origin;
    struct line value;
};

struct widths {
    size_t whose;
    size_t name;
    size_t origin;
};

/* Text as it is, or as a JSON string, which is one of YAML too, when something in it would mislead. */
static void add_plain(struct line *line, const char *text, bool may_have_blanks)
{
    struct weir_bytes rest = { (const unsigned char *)text, strlen(text) };
    bool is_plain = rest.len && text[0] != '"' && text[0] != ' ';

    while (is_plain && rest.len) {
        uint32_t character = 0;
        const int len = utf8_decode(rest, &character);
        is_plain = len > 0 && utf8_columns(character) >= 0 && (may_have_blanks || character != ' ');
        if (!is_plain) break;
        rest.data += len;
        rest.len -= (size_t)len;
    }
    if (is_plain)
        line_add_text(line, text);
    else
        json_add_string(line, NULL, (struct weir_bytes){ (const unsigned char *)text, strlen(text) });
}

static void add_origin(struct line *line, const struct options *options, const struct option_spec *option,
                       const struct option_setting *setting)
{
    switch (setting->source) {
    case SOURCE_DEFAULT:
        line_add_text(line, "default");
        return;
    case SOURCE_FILE:
        add_plain(line, options->config, false);
        line_addf(line, ":%u", setting->line);
        return;
    case SOURCE_ENVIRONMENT:
        line_add_text(line, option->environment);
        return;
    case SOURCE_ARGUMENTS:
        line_add_text(line, "command-line");
        return;
    }
}

static bool is_store(const struct option_spec *option)
{
    return option->scope == OPTION_GLOBAL && option->target == offsetof(struct options, store);
}

static const char *value_text(const struct plan *plan, const struct option_spec *option,
                              const struct option_setting *setting, const struct plan_listener *listener)
{
    if (is_store(option) && plan->store != PLAN_STORE_NONE) return plan->store_path;
    /* Whatever it should be `the same` as. */
    if (option->sendable && listener && listener->sends_raw) return "raw";
    if (setting->text) return setting->text;
    if (option->default_text) return option->default_text;
    return option->type == OPTION_FLAG ? "off" : "none";
}

static void pad(struct line *line, const struct line *text, size_t width)
{
    line_add(line, text->bytes, text->len);
    for (size_t i = text->len; i < width + 2; i++)
        line_add_text(line, " ");
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static void add_row(struct line *line, struct row *row, struct widths *widths, bool is_measuring)
{
    if (is_measuring) {
        widths->whose = larger(widths->whose, row->whose.len);
        widths->name = larger(widths->name, strlen(row->name));
        widths->origin = larger(widths->origin, row->origin.len);
        return;
    }
    pad(line, &row->whose, widths->whose);
    line_add_text(line, row->name);
    for (size_t i = strlen(row->name); i < widths->name + 2; i++)
        line_add_text(line, " ");
    pad(line, &row->origin, widths->origin);
    line_add(line, row->value.bytes, row->value.len);
    line_add_text(line, "\n");
    line->failed |= row->whose.failed || row->origin.failed || row->value.failed;
}

/* What can be set for a server in more ways than on the command line; --help cannot. */
static bool is_shown(const struct option_spec *option, enum option_scope scope)
{
    return option->scope == scope && (option->commands & 1U << COMMAND_SERVE) &&
           (option->environment || option->type == OPTION_ENDPOINT);
}

/* The options of a listener; NULL: the server's. */
static void add_scope(struct line *line, const struct plan *plan, const struct plan_listener *listener,
                      struct widths *widths, bool is_measuring)
{
    const struct endpoint_options *endpoint = listener ? listener->options : NULL;

    for (size_t i = 0; i < option_count; i++) {
        const struct option_spec *option = &option_specs[i];
        const struct option_setting *setting = NULL;
        struct row row = { .name = option->name };
        if (!is_shown(option, endpoint ? OPTION_PER_ENDPOINT : OPTION_GLOBAL)) continue;
        setting = options_setting(plan->options, endpoint, option);
        if (listener)
            line_addf(&row.whose, "listener-%zu", (size_t)(listener - plan->listeners) + 1);
        else
            line_add_text(&row.whose, "server");
        add_origin(&row.origin, plan->options, option, setting);
        add_plain(&row.value, value_text(plan, option, setting, listener), true);
        add_row(line, &row, widths, is_measuring);
        line_fini(&row.whose);
        line_fini(&row.origin);
        line_fini(&row.value);
    }
}

static void add_size(struct line *line, size_t bytes)
{
    if (bytes % (1024 * 1024) == 0)
        line_addf(line, "%zuMiB", bytes / (1024 * 1024));
    else
        line_addf(line, "%zuKiB", bytes / 1024);
}

/* Who may have how much of the memory. */
static void add_parts(struct line *line, const struct budget *budget, struct widths *widths, bool is_measuring)
{
    const struct {
        const char *name;
        size_t bytes;
    } parts[] = { { "clients", budget->clients },
                  { "store-queue", budget->store_queue },
                  { "store-cache", budget->store_cache },
                  { "output", budget->output },
                  { "spare", budget->spare } };

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        struct row row = { .name = parts[i].name };

        line_add_text(&row.whose, "memory");
        line_add_text(&row.origin, "max-memory");
        add_size(&row.value, parts[i].bytes);
        add_row(line, &row, widths, is_measuring);
        line_fini(&row.whose);
        line_fini(&row.origin);
        line_fini(&row.value);
    }
}

static void add_all(struct line *line, const struct plan *plan, struct widths *widths, bool is_measuring)
{
    for (size_t i = 0; i < plan->listener_count; i++)
        add_scope(line, plan, &plan->listeners[i], widths, is_measuring);
    add_scope(line, plan, NULL, widths, is_measuring);
    add_parts(line, &plan->budget, widths, is_measuring);
}

void effect_add(struct line *line, const struct plan *plan)
{
    struct widths widths = { 0 };

    add_all(line, plan, &widths, true);
    add_all(line, plan, &widths, false);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * options_parse_config: a configuration file is read or refused with a sentence that names a line and is safe to show;
 * what has been read is whole, is the same when it is read again, and what `weir check` says of it is safe to show. */
#include <errno.h>
#include <string.h>

#include "check/effect.h"
#include "cli/options.h"
#include "fuzz.h"

#define NAME "weir.yaml"

static int is_safe(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f) return 0;
    return 1;
}

static size_t count_lines(const uint8_t *data, size_t size)
{
    size_t count = 1;

    /* YAML ends lines with CR, and with NEL, LS and PS, too. */
    for (size_t i = 0; i < size; i++)
        count += data[i] == '\n' || data[i] == '\r' || data[i] >= 0x80;
    return count;
}

static void look_at(const struct option_setting *setting, size_t lines)
{
    REQUIRE(setting->source == SOURCE_DEFAULT || setting->source == SOURCE_FILE);
    REQUIRE((setting->source == SOURCE_DEFAULT) == !setting->text);
    REQUIRE(setting->source == SOURCE_DEFAULT || (setting->line >= 1 && setting->line <= lines));
}

static void look_at_all(const struct options *options, size_t lines)
{
    for (size_t i = 0; i < option_count; i++) {
        look_at(options_setting(options, &options->common, &option_specs[i]), lines);
        for (size_t j = 0; j < options->endpoint_count; j++)
            look_at(options_setting(options, &options->endpoints[j], &option_specs[i]), lines);
    }
    for (size_t i = 0; i < options->endpoint_count; i++) {
        struct weir_url url;
        REQUIRE(options->endpoints[i].url);
        REQUIRE(weir_url_parse(options->endpoints[i].url, &url, NULL, 0) == 0);
    }
}

/* As it would be shown if it made a valid plan. */
static void add_effect(const struct options *options, struct line *line)
{
    const size_t count = options->endpoint_count ? options->endpoint_count : 1;
    struct plan_listener *listeners = calloc(count, sizeof(*listeners));
    const struct plan plan = { .options = options, .budget.all = 1, .listeners = listeners, .listener_count = count };

    REQUIRE(listeners);
    for (size_t i = 0; i < count; i++) {
        const struct endpoint_options *endpoint = options->endpoint_count ? &options->endpoints[i] : &options->common;
        struct weir_frame *frame = NULL;

        REQUIRE(weir_service_send_frame(&endpoint->service, &frame, NULL, 0) == 0 || !frame);
        listeners[i] = (struct plan_listener){ .options = endpoint, .sends_raw = !weir_frame_is_sendable(frame) };
        weir_frame_free(frame);
    }
    effect_add(line, &plan);
    free(listeners);
}

static void show(struct options *options, struct line *line)
{
    options->config = NAME;
    add_effect(options, line);
    REQUIRE(!line->failed && line->len > 0);
    for (size_t begin = 0; begin < line->len;) {
        const char *end = memchr(line->bytes + begin, '\n', line->len - begin);
        REQUIRE(end && is_safe(line->bytes + begin, (size_t)(end - line->bytes) - begin));
        begin = (size_t)(end - line->bytes) + 1;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned char *block = fuzz_block(size);
    char error[OPTIONS_ERROR_BYTES_MAX], error_again[OPTIONS_ERROR_BYTES_MAX];
    struct options options, again;
    struct line line = { 0 }, line_again = { 0 };
    int err;

    if (size > 0) memcpy(block, data, size);
    err = options_parse_config(COMMAND_SERVE, NAME, (struct weir_bytes){ block, size }, &options, error);
    REQUIRE(err == 0 || err == -EINVAL);
    REQUIRE(options_parse_config(COMMAND_SERVE, NAME, (struct weir_bytes){ block, size }, &again, error_again) == err);
    if (err) {
        REQUIRE(memchr(error, '\0', sizeof(error)) && strcmp(error, error_again) == 0);
        REQUIRE(strncmp(error, NAME ":", strlen(NAME ":")) == 0 && is_safe(error, strlen(error)));
    } else {
        look_at_all(&options, count_lines(data, size));
        show(&options, &line);
        show(&again, &line_again);
        REQUIRE(line.len == line_again.len && memcmp(line.bytes, line_again.bytes, line.len) == 0);
        options_fini(&options);
        options_fini(&again);
    }
    line_fini(&line);
    line_fini(&line_again);
    free(block);
    return 0;
}

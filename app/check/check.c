/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app/check/check.c: weir check: says what serve would make of its options, or what a framing makes of some bytes, and
 * does nothing of it. Must never bind, resolve or start a thread. */
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ack.h"
#include "clients/reply.h"
#include "effect.h"
#include "keep.h"
#include "stream.h"
#include "terminal/encoding.h"
#include "terminal/hex.h"
#include "terminal/terminal.h"

enum { PIECE_BYTES_MAX = 64 * 1024 };

/* Prints what has been gathered. */
static enum status print(struct line *line)
{
    const enum status status =
        line->failed ? status_error(COMMAND_CHECK, -ENOMEM, weir_strerror(-ENOMEM)) : STATUS_DONE;

    if (status != STATUS_DONE) return status;
    if (line->len) fwrite(line->bytes, 1, line->len, stdout);
    line_clear(line);
    return ferror(stdout) ? status_stdout() : STATUS_DONE;
}

/* ---- What is in effect ---- */

/* ---- What serve would find wrong beyond the table ---- */

static enum status open_encoding(const struct options *options, struct encoding **ret)
{
    char reason[256];
    char error[OPTIONS_ERROR_BYTES_MAX];
    const int err = options->encoding ? encoding_open(options->encoding, ret, reason, sizeof(reason)) : 0;

    if (!err) return STATUS_DONE;
    snprintf(error, sizeof(error), "--encoding %s: %s", options->encoding, reason);
    return status_error(COMMAND_CHECK, err == -EINVAL ? WEIR_ECONFIG : err, error);
}

static enum status check_reply(const struct endpoint_options *endpoint)
{
    struct reply reply;
    char reason[256];
    char error[OPTIONS_ERROR_BYTES_MAX];
    int err = reply_init(&reply, endpoint->reply, reason, sizeof(reason));

    if (!err) err = reply_check(&reply, &endpoint->service, reason, sizeof(reason));
    reply_fini(&reply);
    if (!err) return STATUS_DONE;
    snprintf(error, sizeof(error), "--reply %s: %s", endpoint->reply, reason);
    return status_error(COMMAND_CHECK, err == -EINVAL ? WEIR_ECONFIG : err, error);
}

static enum status check_keeping(const struct options *options, const struct endpoint_options *endpoint)
{
    struct template *template = NULL;
    char error[OPTIONS_ERROR_BYTES_MAX];
    int err = keep_check(options, endpoint, error, sizeof(error));

    if (!err) err = ack_new(endpoint, keep_is_wanted(options), &template, error, sizeof(error));
    template_free(template);
    return err ? status_error(COMMAND_CHECK, err == -EINVAL ? WEIR_ECONFIG : err, error) : STATUS_DONE;
}

static enum status check_listeners(const struct options *options)
{
    const size_t count = options->endpoint_count ? options->endpoint_count : 1;
    const struct endpoint_options *const endpoints = options->endpoint_count ? options->endpoints : &options->common;
    enum status status = STATUS_DONE;

    for (size_t i = 0; i < count && status == STATUS_DONE; i++) {
        status = check_reply(&endpoints[i]);
        if (status == STATUS_DONE) status = check_keeping(options, &endpoints[i]);
    }
    return status;
}

/* ret is empty when nothing is stored. */
static enum status find_store(const struct options *options, char ret[FOLDER_PATH_BYTES_MAX])
{
    const char *const first = options->endpoint_count ? options->endpoints[0].url : options->common.url;
    char error[KEEP_ERROR_BYTES_MAX];
    int err = 0;

    ret[0] = '\0';
    if (!keep_is_wanted(options)) return STATUS_DONE;
    err = keep_find_path(options, first ? first : SERVE_ADDRESS, ret, error);
    return err ? status_error(COMMAND_CHECK, err, error) : STATUS_DONE;
}

static enum status check_configuration(const struct options *options)
{
    struct line line = { 0 };
    struct encoding *encoding = NULL;
    char store_path[FOLDER_PATH_BYTES_MAX];
    enum status status = open_encoding(options, &encoding);

    encoding_close(encoding);
    if (status == STATUS_DONE) status = check_listeners(options);
    if (status == STATUS_DONE) status = find_store(options, store_path);
    if (status != STATUS_DONE) return status;
    effect_add(&line, options, store_path[0] ? store_path : NULL);
    status = print(&line);
    line_fini(&line);
    return status == STATUS_DONE ? status_stdout() : status;
}

/* ---- What bytes are cut into ---- */

static enum status add_hex(struct stream *stream, const char *text, struct line *line)
{
    unsigned char *const bytes = malloc(strlen(text) / 2 + 1);
    char reason[HEX_ERROR_BYTES_MAX];
    char error[HEX_ERROR_BYTES_MAX + 16];
    enum status status = STATUS_DONE;
    size_t len = 0;

    if (!bytes) return status_error(COMMAND_CHECK, -ENOMEM, weir_strerror(-ENOMEM));
    if (hex_parse(text, bytes, &len, reason)) {
        snprintf(error, sizeof(error), "--hex: %s", reason);
        status = status_usage(COMMAND_CHECK, error);
    } else {
        stream_add(stream, (struct weir_bytes){ bytes, len }, line);
    }
    free(bytes);
    return status;
}

/* Piece by piece, and each piece's messages are printed before the next: however long the file, little is held. */
static enum status add_descriptor(struct stream *stream, int fd, const char *name, struct line *line)
{
    unsigned char *const piece = malloc(PIECE_BYTES_MAX);
    enum stream_state state = STREAM_GOES_ON;
    enum status status = STATUS_DONE;
    ssize_t len = piece ? 1 : -ENOMEM;

    while (len > 0 && state == STREAM_GOES_ON && status == STATUS_DONE) {
        len = read(fd, piece, PIECE_BYTES_MAX);
        if (len < 0 && errno == EINTR)
            len = 1;
        else if (len < 0)
            len = -errno;
        else if (len > 0) {
            state = stream_add(stream, (struct weir_bytes){ piece, (size_t)len }, line);
            status = print(line);
        }
    }
    free(piece);
    if (len >= 0) return status;
    line_add_text(line, name);
    line_addf(line, ": %s", weir_strerror((int)len));
    line_add(line, "", 1);
    if (line->failed) return STATUS_FAILED;
    status = status_error(COMMAND_CHECK, (int)len, line->bytes);
    line_clear(line);
    return status;
}

static enum status add_file(struct stream *stream, const char *path, struct line *line)
{
    const bool is_stdin = strcmp(path, "-") == 0;
    const int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    char error[OPTIONS_ERROR_BYTES_MAX];
    enum status status = STATUS_DONE;

    if (fd < 0) {
        const int err = -errno;
        snprintf(error, sizeof(error), "--file %s: %s", path, weir_strerror(err));
        return status_error(COMMAND_CHECK, err, error);
    }
    status = add_descriptor(stream, fd, is_stdin ? "standard input" : path, line);
    if (!is_stdin) close(fd);
    return status;
}

static struct render_style choose_style(int print_mode, struct encoding *encoding)
{
    static const enum render_form forms[] = {
        [PRINT_AUTO] = RENDER_AUTO, [PRINT_OFF] = RENDER_AUTO,  [PRINT_TEXT] = RENDER_TEXT,
        [PRINT_HEX] = RENDER_HEX,   [PRINT_BOTH] = RENDER_BOTH, [PRINT_JSON] = RENDER_AUTO
    };
    const bool is_terminal = isatty(STDOUT_FILENO);

    return (struct render_style){ .form = forms[print_mode],
                                  .columns = is_terminal ? terminal_columns(STDOUT_FILENO) : 0,
                                  .utf8 = !is_terminal || terminal_has_utf8(),
                                  .encoding = encoding };
}

static enum status check_stream_in(const struct options *options, struct encoding *encoding)
{
    const struct render_style style = choose_style(options->print, encoding);
    struct line line = { 0 };
    struct stream *stream = NULL;
    enum status status = STATUS_DONE;
    enum stream_state state = STREAM_GOES_ON;
    const int err = stream_new(&options->common.service, &style, options->print == PRINT_OFF, &stream);

    if (err) return status_error(COMMAND_CHECK, err, weir_strerror(err));
    if (options->sample_hex)
        status = add_hex(stream, options->sample_hex, &line);
    else
        status = add_file(stream, options->sample_file, &line);
    if (status == STATUS_DONE) {
        state = stream_end(stream, &line);
        status = print(&line);
    }
    if (status == STATUS_DONE) status = status_stdout();
    if (status == STATUS_DONE && state != STREAM_GOES_ON) status = STATUS_FAILED;
    stream_free(stream);
    line_fini(&line);
    return status;
}

static enum status check_stream(const struct options *options)
{
    struct encoding *encoding = NULL;
    enum status status = open_encoding(options, &encoding);

    if (status == STATUS_DONE) status = check_stream_in(options, encoding);
    encoding_close(encoding);
    return status;
}

enum status check_run(const struct options *options)
{
    if (!options->sample_hex && !options->sample_file) return check_configuration(options);
    if (options->sample_hex && options->sample_file)
        return status_usage(COMMAND_CHECK, "--hex and --file exclude each other");
    if (options->endpoint_count)
        return status_usage(COMMAND_CHECK, "--hex and --file take the framing from --frame, and no listeners");
    if (options->print == PRINT_JSON)
        return status_usage(COMMAND_CHECK, "what --hex and --file show is for people: there is no --print json of it");
    return check_stream(options);
}

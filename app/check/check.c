/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Weir check: says what serve would make of its options, or what a framing makes of some bytes, and
 * does nothing of it; or whether a store is whole. Must never bind, resolve or start a thread. */
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "effect.h"
#include "serve/plan.h"
#include "stored.h"
#include "stream.h"
#include "terminal/terminal.h"
#include "text/encoding.h"
#include "text/hex.h"

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

static enum status check_configuration(const struct options *options)
{
    struct line line = { 0 };
    struct plan *plan = NULL;
    char error[OPTIONS_ERROR_BYTES_MAX];
    enum status status = STATUS_DONE;
    const int err = plan_new(options, &plan, error);

    if (err) return status_error(COMMAND_CHECK, err, error);
    effect_add(&line, plan);
    plan_free(plan);
    status = print(&line);
    line_fini(&line);
    return status == STATUS_DONE ? status_stdout() : status;
}

/* ---- What bytes are cut into ---- */

static enum status add_hex(struct stream *stream, const char *text, struct line *line)
{
    unsigned char *bytes = malloc(strlen(text) / 2 + 1);
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
    unsigned char *piece = malloc(PIECE_BYTES_MAX);
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
    char error[OPTIONS_ERROR_BYTES_MAX];
    enum status status = STATUS_DONE;
    const int err = options_open_encoding(options, &encoding, error);

    if (err) return status_error(COMMAND_CHECK, err, error);
    status = check_stream_in(options, encoding);
    encoding_close(encoding);
    return status;
}

enum status check_run(const struct options *options)
{
    if (options->accept_loss && (options->backup || options->new_id))
        return status_usage(COMMAND_CHECK, "--accept-loss goes before a copy or another id: give it alone first");
    if (check_is_of_store(options)) return check_stored(options);
    if (options->accept_loss || options->backup || options->new_id)
        return status_usage(COMMAND_CHECK,
                            "--accept-loss, --backup and --new-id go with --store PATH, and with nothing else");
    if (!options->sample_hex && !options->sample_file) return check_configuration(options);
    if (options->sample_hex && options->sample_file)
        return status_usage(COMMAND_CHECK, "--hex and --file exclude each other");
    if (options->endpoint_count)
        return status_usage(COMMAND_CHECK, "--hex and --file take the framing from --frame, and no listeners");
    if (options->print == PRINT_JSON)
        return status_usage(COMMAND_CHECK, "what --hex and --file show is for people: there is no --print json of it");
    return check_stream(options);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Writes what the server sends to standard output, as it is or as people read it. Must never
 * write anything else there, nor let through as it is what goes to a terminal. */
#include "answers.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "terminal/terminal.h"
#include "text/utf8.h"

enum { CUT_LINE_BYTES_MAX = 4096 };

void answers_init(struct answers *answers, enum answer_mode mode, struct encoding *encoding)
{
    static const enum render_form forms[] = {
        [ANSWER_AUTO] = RENDER_AUTO, [ANSWER_RAW] = RENDER_AUTO,  [ANSWER_TEXT] = RENDER_TEXT,
        [ANSWER_HEX] = RENDER_HEX,   [ANSWER_BOTH] = RENDER_BOTH, [ANSWER_OFF] = RENDER_AUTO
    };
    const bool to_terminal = isatty(STDOUT_FILENO);

    *answers = (struct answers){ .is_raw = mode == ANSWER_RAW || (mode == ANSWER_AUTO && !to_terminal),
                                 .is_off = mode == ANSWER_OFF };
    answers->style =
        (struct render_style){ .form = forms[mode], .utf8 = !to_terminal || terminal_has_utf8(), .encoding = encoding };
}

void answers_fini(struct answers *answers)
{
    line_fini(&answers->waiting);
    line_fini(&answers->cut);
}

bool answers_are_rendered(const struct answers *answers)
{
    return !answers->is_raw;
}

static int write_all(const char *bytes, size_t len)
{
    while (len) {
        const ssize_t written = write(STDOUT_FILENO, bytes, len);
        if (written >= 0) {
            bytes += written;
            len -= (size_t)written;
        } else if (errno == EAGAIN) { /* another program has made the terminal non-blocking */
            struct pollfd room = { .fd = STDOUT_FILENO, .events = POLLOUT };
            poll(&room, 1, -1);
        } else if (errno != EINTR) {
            return -errno;
        }
    }
    return 0;
}

/* Text that came unframed is shown by its own lines; a last one without a newline is shown too, as it may be a question
 * that waits for an answer. */
static void add_text_lines(struct answers *answers, struct weir_bytes bytes)
{
    struct encoding *encoding = answers->style.encoding;
    struct render_style style = answers->style;

    style.form = RENDER_TEXT;
    while (bytes.len) {
        size_t newline = 0;
        const size_t len = encoding_line_len(encoding, bytes, &newline);
        struct weir_bytes text = { bytes.data, len - newline };
        if (newline == 1 && text.len && text.data[text.len - 1] == '\r') text.len--;
        render_bytes(&answers->waiting, &style, text, 0);
        line_add_text(&answers->waiting, "\n");
        bytes.data += len;
        bytes.len -= len;
    }
}

static bool is_unframed_text(const struct answers *answers, struct weir_bytes message)
{
    if (answers->by_message) return false;
    if (answers->style.form == RENDER_TEXT) return true;
    return answers->style.form == RENDER_AUTO && render_is_text(answers->style.encoding, message);
}

static void render(struct answers *answers, struct weir_bytes message)
{
    if (is_unframed_text(answers, message)) {
        add_text_lines(answers, message);
    } else {
        render_bytes(&answers->waiting, &answers->style, message, 0);
        line_add_text(&answers->waiting, "\n");
    }
}

/* When the bytes end inside a character, its rest is on the way: so many bytes at the end wait for it, the line that it
 * is in, or of a long one the character alone. */
static size_t cut_len(struct encoding *encoding, struct weir_bytes bytes)
{
    size_t line_len = bytes.len;

    while (bytes.len) {
        const struct character character = encoding_decode(encoding, bytes);
        if (character.result == UTF8_CUT) return line_len <= CUT_LINE_BYTES_MAX ? line_len : bytes.len;
        bytes.data += character.len;
        bytes.len -= character.len;
        if (character.result == 0 && character.code == '\n') line_len = bytes.len;
    }
    return 0;
}

/* One read may end, and the next begin, anywhere: also inside a character. */
static int take_unframed(struct answers *answers, struct weir_bytes bytes)
{
    struct line joined = { 0 };
    size_t cut = 0;

    if (answers->cut.len) {
        line_add(&joined, answers->cut.bytes, answers->cut.len);
        line_add(&joined, bytes.data, bytes.len);
        line_clear(&answers->cut);
        if (joined.failed) {
            line_fini(&joined);
            return -ENOMEM;
        }
        bytes = (struct weir_bytes){ (const unsigned char *)joined.bytes, joined.len };
    }
    if (is_unframed_text(answers, bytes)) cut = cut_len(answers->style.encoding, bytes);
    if (cut) line_add(&answers->cut, bytes.data + bytes.len - cut, cut);
    if (bytes.len > cut) render(answers, (struct weir_bytes){ bytes.data, bytes.len - cut });
    line_fini(&joined);
    return answers->waiting.failed || answers->cut.failed ? -ENOMEM : 0;
}

int answers_take(struct answers *answers, struct weir_bytes message)
{
    if (answers->is_off) return 0;
    if (answers->is_raw) return write_all((const char *)message.data, message.len);
    if (!answers->by_message) return take_unframed(answers, message);
    render(answers, message);
    return answers->waiting.failed ? -ENOMEM : 0;
}

int answers_end(struct answers *answers)
{
    if (answers->cut.len)
        render(answers, (struct weir_bytes){ (const unsigned char *)answers->cut.bytes, answers->cut.len });
    line_clear(&answers->cut);
    return answers->waiting.failed ? -ENOMEM : 0;
}

int answers_flush(struct answers *answers)
{
    int err = 0;

    if (!answers->waiting.len) return 0;
    if (answers->editor) editor_begin_output(answers->editor);
    err = write_all(answers->waiting.bytes, answers->waiting.len);
    if (answers->editor) editor_end_output(answers->editor);
    line_clear(&answers->waiting);
    return err;
}

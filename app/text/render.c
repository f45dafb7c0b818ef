/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Bytes and events in, lines for people out. Pure: no output, no clock, no terminal. Must never
 * let a byte through that could steer a terminal or begin a line: what came from a client leaves here as printable
 * characters only. */
#include "render.h"

#include <stdio.h>
#include <string.h>

#include "hex.h"
#include "utf8.h"

enum {
    RUN_MIN = 4,               /* so many of one escaped byte in a row become one escape with a count */
    ESCAPED_BYTES_MAX = 8,     /* in one piece; no character has more */
    MARKS_MAX = 8,             /* characters without a column of their own in a row; more would grow a line for ever */
    COLUMNS_MIN = 16,          /* of a message, however narrow the terminal */
    NARROW_COLUMNS = 40,       /* of a terminal: below, lines have no time */
    HEX_ROW_BYTES = 16,        /* of a message that is shown whole */
    LOOKED_AT_BYTES_MAX = 4096 /* of a message, to tell text from other bytes */
};

#define DIM "\033[2m"
#define RED "\033[31m"
#define GREEN "\033[32m"
#define PLAIN "\033[0m"

/* ---- Bytes as text ---- */

/* Where a reading of bytes as text is. */
struct cursor {
    const unsigned char *at;
    const unsigned char *end;
    const struct render_style *style;
    enum { AFTER_CHARACTER, AFTER_ESCAPE, AFTER_COUNT } after;
    unsigned marks; /* characters without a column since the last with one */
};

/* The smallest piece that is shown whole or not at all. */
struct piece {
    char text[40];
    size_t len;
    size_t columns;
};

static struct character look_at(const struct cursor *cursor, const unsigned char *at)
{
    return encoding_decode(cursor->style->encoding, (struct weir_bytes){ at, (size_t)(cursor->end - at) });
}

/* The columns of a character, or -1 when it must not be shown as it is. */
static int columns_of(const struct cursor *cursor, const struct character *character)
{
    if (character->result || (character->code >= 0x80 && !cursor->style->utf8)) return -1;
    return utf8_columns(character->code);
}

static bool is_all(const unsigned char *bytes, size_t len, unsigned char byte)
{
    for (size_t i = 0; i < len; i++)
        if (bytes[i] != byte) return false;
    return true;
}

/* How many bytes from the cursor on are this one, and not shown as they are; the first len are not. */
static size_t run_len(const struct cursor *cursor, size_t len)
{
    const unsigned char byte = *cursor->at;
    size_t run = len;

    while (cursor->at + run < cursor->end && cursor->at[run] == byte) {
        const struct character next = look_at(cursor, cursor->at + run);
        if (columns_of(cursor, &next) >= 0 || !is_all(cursor->at + run, next.len, byte)) break;
        run += next.len;
    }
    return run;
}

static void add_escape(struct piece *piece, unsigned char byte)
{
    static const char short_names[256] = { ['\0'] = '0', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't' };
    char *text = piece->text + piece->len;
    const size_t room = sizeof(piece->text) - piece->len;

    piece->len += (size_t)(short_names[byte] ? snprintf(text, room, "\\%c", short_names[byte])
                                             : snprintf(text, room, "\\x%02x", byte));
}

/* The next len bytes, which are one character or none, as escapes; or a run of one byte, of any length. */
static void take_escapes(struct cursor *cursor, size_t len, struct piece *ret)
{
    const unsigned char byte = *cursor->at;
    size_t run = is_all(cursor->at, len, byte) ? run_len(cursor, len) : 0;

    ret->len = 0;
    if (run >= RUN_MIN) {
        add_escape(ret, byte);
        ret->len += (size_t)snprintf(ret->text + ret->len, sizeof(ret->text) - ret->len, "x%zu", run);
    } else {
        for (size_t i = 0; i < len; i++)
            add_escape(ret, cursor->at[i]);
    }
    ret->columns = ret->len;
    cursor->at += run >= RUN_MIN ? run : len;
    cursor->after = run >= RUN_MIN ? AFTER_COUNT : AFTER_ESCAPE;
    cursor->marks = 0;
}

static void take_character(struct cursor *cursor, const struct character *character, size_t columns, struct piece *ret)
{
    ret->len = utf8_encode(character->code, ret->text);
    ret->columns = columns;
    if (character->code == '\\') {
        ret->text[1] = '\\';
        ret->len = ret->columns = 2;
    }
    cursor->at += character->len;
    cursor->after = AFTER_CHARACTER;
    cursor->marks = columns ? 0 : cursor->marks + 1;
}

static bool is_digit(const struct character *character)
{
    return !character->result && character->code >= '0' && character->code <= '9';
}

/* What, shown as it is, would read as the count of the escape before it, or as more of one. */
static bool is_like_count(const struct cursor *cursor, const struct character *character)
{
    struct character next;

    if (cursor->after == AFTER_COUNT) return is_digit(character);
    if (cursor->after != AFTER_ESCAPE || character->result || character->code != 'x') return false;
    next = look_at(cursor, cursor->at + character->len);
    return is_digit(&next);
}

static void take_piece(struct cursor *cursor, struct piece *ret)
{
    const struct character character = look_at(cursor, cursor->at);
    const int columns = columns_of(cursor, &character);

    if (columns < 0 || (columns == 0 && cursor->marks == MARKS_MAX) || is_like_count(cursor, &character))
        take_escapes(cursor, character.len < ESCAPED_BYTES_MAX ? character.len : ESCAPED_BYTES_MAX, ret);
    else
        take_character(cursor, &character, (size_t)columns, ret);
}

enum { CUT_BYTES_MAX = COUNT_TEXT_BYTES_MAX + 8, NOTE_BYTES_MAX = COUNT_TEXT_BYTES_MAX + 64 };

/* What stands in place of what was cut off. */
static size_t cut_text(size_t len, char ret[CUT_BYTES_MAX])
{
    char count[COUNT_TEXT_BYTES_MAX];

    count_text(len, "byte", count);
    return (size_t)snprintf(ret, CUT_BYTES_MAX, " ... %s", count);
}

static void add_text(struct line *line, const struct render_style *style, struct weir_bytes bytes, size_t columns)
{
    struct cursor cursor = { .at = bytes.data, .end = bytes.data + bytes.len, .style = style };
    char cut[CUT_BYTES_MAX];
    const size_t cut_len = cut_text(bytes.len, cut);
    size_t used = 0;
    size_t kept = line->len; /* up to here the line still has room for the cut text */

    while (cursor.at < cursor.end) {
        struct piece piece;
        take_piece(&cursor, &piece);
        used += piece.columns;
        if (columns && used > columns) {
            line->len = kept;
            line_add(line, cut, cut_len);
            return;
        }
        line_add(line, piece.text, piece.len);
        if (used + cut_len <= columns && !line->failed) kept = line->len;
    }
}

bool render_is_text(struct encoding *encoding, struct weir_bytes bytes)
{
    uint32_t last = 0;
    size_t visible = 0;
    size_t controls = 0;

    if (bytes.len > LOOKED_AT_BYTES_MAX) bytes.len = LOOKED_AT_BYTES_MAX;
    for (size_t at = 0; at < bytes.len;) {
        const struct character character =
            encoding_decode(encoding, (struct weir_bytes){ bytes.data + at, bytes.len - at });
        if (character.result == UTF8_CUT) break;
        if (character.result == UTF8_INVALID) return false;
        if (character.code == '\n' || character.code == '\r' || character.code == '\t')
            ; /* as good in text as elsewhere */
        else if (utf8_columns(character.code) >= 0)
            visible++;
        else if (at == 0 || character.code != last)
            controls++;
        last = character.code;
        at += character.len;
    }
    return visible >= controls;
}

/* The length of what can be shown as it is at the beginning of the text; 0: its first byte cannot. */
static size_t shown_len(struct weir_bytes text)
{
    const size_t plain = utf8_plain_len(text);
    uint32_t character = 0;
    int len = 0;

    if (plain) return plain;
    len = utf8_decode(text, &character);
    return len > 0 && utf8_columns(character) >= 0 ? (size_t)len : 0;
}

void render_sentence(struct line *line, const char *text, size_t len)
{
    struct weir_bytes rest = { (const unsigned char *)text, len };

    while (rest.len) {
        const size_t shown = shown_len(rest);
        const size_t step = shown ? shown : 1;
        if (shown)
            line_add(line, rest.data, shown);
        else
            line_addf(line, "\\x%02x", *rest.data);
        rest.data += step;
        rest.len -= step;
    }
}

/* ---- Bytes as hex ---- */

static void add_gutter(struct line *line, struct weir_bytes bytes)
{
    line_add_text(line, "|");
    for (size_t i = 0; i < bytes.len; i++)
        line_add(line, bytes.data[i] >= 0x20 && bytes.data[i] < 0x7f ? (const char *)&bytes.data[i] : ".", 1);
    line_add_text(line, "|");
}

static void add_hex(struct line *line, struct weir_bytes bytes, bool gutter)
{
    hex_add(line, bytes, ' ');
    if (!gutter) return;
    line_add_text(line, "  ");
    add_gutter(line, bytes);
}

static size_t hex_columns(size_t len, bool gutter)
{
    return gutter ? 4 * len + 3 : 3 * len - (len > 0);
}

static void add_hex_cut(struct line *line, struct weir_bytes bytes, bool gutter, size_t columns)
{
    char cut[CUT_BYTES_MAX];
    const size_t cut_len = cut_text(bytes.len, cut);

    if (!columns || hex_columns(bytes.len, gutter) <= columns) {
        add_hex(line, bytes, gutter);
        return;
    }
    if (bytes.len > columns) bytes.len = columns; /* no need to count down from a megabyte */
    while (bytes.len && hex_columns(bytes.len, gutter) + cut_len > columns)
        bytes.len--;
    if (bytes.len) add_hex(line, bytes, gutter);
    line_add(line, cut, cut_len);
}

void render_bytes(struct line *line, const struct render_style *style, struct weir_bytes bytes, size_t columns)
{
    enum render_form form = style->form;

    if (form == RENDER_AUTO) form = render_is_text(style->encoding, bytes) ? RENDER_TEXT : RENDER_BOTH;
    if (form == RENDER_TEXT)
        add_text(line, style, bytes, columns);
    else
        add_hex_cut(line, bytes, form == RENDER_BOTH, columns);
}

/* ---- Lines ---- */

static void add_coloured(struct line *line, const struct render_style *style, const char *colour, const char *text)
{
    if (style->colour) line_add_text(line, colour);
    line_add_text(line, text);
    if (style->colour) line_add_text(line, PLAIN);
}

/* "10:15:02.123 ", or "2026-11-23 10:15:02.123 ". Returns its columns. */
static size_t add_time(struct line *line, const struct render_style *style, const struct timespec *at)
{
    struct tm day = { 0 };
    char time[40];
    char milliseconds[8];

    if (style->columns && style->columns < NARROW_COLUMNS) return 0;
    localtime_r(&at->tv_sec, &day);
    strftime(time, sizeof(time) - sizeof(milliseconds), style->has_date ? "%Y-%m-%d %H:%M:%S" : "%H:%M:%S", &day);
    snprintf(milliseconds, sizeof(milliseconds), ".%03d", (int)(at->tv_nsec / 1000000 % 1000));
    memcpy(time + strlen(time), milliseconds, strlen(milliseconds) + 1);
    add_coloured(line, style, DIM, time);
    line_add_text(line, " ");
    return strlen(time) + 1;
}

/* "10:15:02.123 #3 ". Returns its columns. */
static size_t add_head(struct line *line, const struct render_style *style, const struct conn_event *event)
{
    /* Neighbours differ, so that two conversations can be told apart. Red is kept for what went wrong. */
    static const char *const colours[] = { "\033[36m", "\033[33m", "\033[35m", "\033[34m", "\033[96m", "\033[95m" };
    const size_t time_columns = add_time(line, style, &event->time);
    char conn[24];

    if (event->conn)
        snprintf(conn, sizeof(conn), "#%llu", (unsigned long long)event->conn);
    else
        snprintf(conn, sizeof(conn), "all");
    add_coloured(line, style, colours[event->conn % (sizeof(colours) / sizeof(colours[0]))], conn);
    line_add_text(line, " ");
    return time_columns + strlen(conn) + 1;
}

void render_open(struct line *line, const struct render_style *style, const struct conn_event *event)
{
    add_head(line, style, event);
    line_addf(line, "%s ", event->peer);
    add_coloured(line, style, GREEN, "connected");
    if (event->listener) {
        line_add_text(line, " to ");
        render_sentence(line, event->listener, strlen(event->listener));
    }
    line_add_text(line, "\n");
}

/* What is odd about a message: nothing, mostly. */
static size_t note_text(const struct conn_event *event, const struct weir_message_info *info, size_t len,
                        char ret[NOTE_BYTES_MAX])
{
    char truncated[COUNT_TEXT_BYTES_MAX + 24] = "";
    char count[COUNT_TEXT_BYTES_MAX];

    if (info->flags & WEIR_MESSAGE_TRUNCATED) {
        count_text(info->original_len, "byte", count);
        snprintf(truncated, sizeof(truncated), " (truncated from %s)", count);
    }
    return (size_t)snprintf(ret, NOTE_BYTES_MAX, "%s%s%s%s", len ? "" : "(0 bytes)", truncated,
                            info->flags & WEIR_MESSAGE_UNFINISHED ? " (unfinished)" : "",
                            event->is_damaged ? " (damaged)" : "");
}

/* What is left for a message behind so many columns; 0: it is not cut. */
static size_t columns_left(const struct render_style *style, size_t taken)
{
    if (!style->columns) return 0;
    return style->columns >= taken + COLUMNS_MIN ? style->columns - taken : COLUMNS_MIN;
}

void render_message(struct line *line, const struct render_style *style, const struct conn_event *event,
                    struct weir_bytes message, const struct weir_message_info *info)
{
    char note[NOTE_BYTES_MAX];
    const size_t note_len = note_text(event, info, message.len, note);
    const size_t taken = add_head(line, style, event) + note_len;

    render_bytes(line, style, message, columns_left(style, taken));
    if (note_len && style->colour) line_add_text(line, DIM);
    line_add(line, note, note_len);
    if (note_len && style->colour) line_add_text(line, PLAIN);
    line_add_text(line, "\n");
}

void render_unfinished(struct line *line, const struct render_style *style, const struct conn_event *event,
                       struct weir_bytes bytes, const char *missing)
{
    char note[NOTE_BYTES_MAX];
    char count[COUNT_TEXT_BYTES_MAX];
    size_t taken = add_head(line, style, event);

    count_text(bytes.len, "byte", count);
    taken += (size_t)snprintf(note, sizeof(note), "%s, %.40s: ", count, missing);
    if (style->colour) line_add_text(line, DIM);
    line_add_text(line, note);
    render_bytes(line, style, bytes, columns_left(style, taken));
    if (style->colour) line_add_text(line, PLAIN);
    line_add_text(line, "\n");
}

void render_hint(struct line *line, const struct render_style *style, const struct conn_event *event, const char *hint)
{
    add_head(line, style, event);
    add_coloured(line, style, DIM, hint);
    line_add_text(line, "\n");
}

void render_sent(struct line *line, const struct render_style *style, const struct conn_event *event,
                 struct weir_bytes message, const char *note)
{
    const size_t note_len = note ? strlen(note) + (message.len > 0) : 0;
    const size_t taken = add_head(line, style, event) + strlen("< ") + note_len;

    add_coloured(line, style, GREEN, "< ");
    render_bytes(line, style, message, columns_left(style, taken));
    if (note && message.len) line_add_text(line, " ");
    if (note) add_coloured(line, style, DIM, note);
    line_add_text(line, "\n");
}

static void add_text_rows(struct line *line, const struct render_style *style, struct weir_bytes bytes)
{
    while (bytes.len) {
        size_t newline = 0;
        const size_t len = encoding_line_len(style->encoding, bytes, &newline);
        line_add_text(line, "  ");
        add_text(line, style, (struct weir_bytes){ bytes.data, len }, 0);
        line_add_text(line, "\n");
        bytes.data += len;
        bytes.len -= len;
    }
}

static void add_hex_rows(struct line *line, struct weir_bytes bytes, bool gutter)
{
    for (size_t at = 0; at < bytes.len; at += HEX_ROW_BYTES) {
        const size_t len = bytes.len - at < HEX_ROW_BYTES ? bytes.len - at : HEX_ROW_BYTES;
        line_addf(line, "  %08zx  ", at);
        add_hex(line, (struct weir_bytes){ bytes.data + at, len }, false);
        if (gutter) {
            line_addf(line, "%*s  ", (int)(3 * (HEX_ROW_BYTES - len)), "");
            add_gutter(line, (struct weir_bytes){ bytes.data + at, len });
        }
        line_add_text(line, "\n");
    }
}

void render_whole(struct line *line, const struct render_style *style, const struct conn_event *event,
                  struct weir_bytes message, const struct weir_message_info *info)
{
    enum render_form form = style->form;
    char note[NOTE_BYTES_MAX];

    add_head(line, style, event);
    line_addf(line, "message %llu, ", (unsigned long long)info->seq);
    line_add_count(line, message.len, "byte");
    note_text(event, info, 1, note);
    line_addf(line, "%s%s\n", note, message.len ? ":" : "");
    if (form == RENDER_AUTO) form = render_is_text(style->encoding, message) ? RENDER_TEXT : RENDER_BOTH;
    if (form == RENDER_TEXT)
        add_text_rows(line, style, message);
    else
        add_hex_rows(line, message, form == RENDER_BOTH);
}

void render_close(struct line *line, const struct render_style *style, const struct conn_event *event,
                  enum weir_reason reason, int error, const struct weir_conn_counters *counters)
{
    const bool is_error = weir_reason_is_error(reason);

    add_head(line, style, event);
    add_coloured(line, style, is_error ? RED : DIM, weir_reason_text(reason));
    if (reason == WEIR_REASON_FAILED && error) line_addf(line, " (%s)", weir_strerror(-error));
    if (style->colour) line_add_text(line, DIM);
    line_add_text(line, ": ");
    line_add_count(line, counters->messages_in, "message");
    line_add_text(line, ", ");
    line_add_count(line, counters->bytes_in, "byte");
    line_add_text(line, " in, ");
    line_add_count(line, counters->bytes_out, "byte");
    line_add_text(line, " out");
    if (counters->input_bytes) {
        line_add_text(line, ", ");
        line_add_count(line, counters->input_bytes, "byte");
        line_add_text(line, " left that made no message");
    }
    if (counters->output_bytes) {
        line_add_text(line, ", ");
        line_add_count(line, counters->output_bytes, "byte");
        line_add_text(line, " not sent");
    }
    if (style->colour) line_add_text(line, PLAIN);
    line_add_text(line, "\n");
}

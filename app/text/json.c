/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Events in, JSON out, one object a line. Pure, like render.c. Must never write a newline inside
 * an object, nor bytes that are not UTF-8, nor a character that steers a terminal. */
#include "json.h"

#include <string.h>
#include <time.h>

#include "utf8.h"

/* ---- Strings ---- */

static void add_unit(struct line *line, uint32_t unit)
{
    static const char digits[] = "0123456789abcdef";
    const char text[] = {
        '\\', 'u', digits[unit >> 12 & 15], digits[unit >> 8 & 15], digits[unit >> 4 & 15], digits[unit & 15]
    };

    line_add(line, text, sizeof(text));
}

static void add_escape(struct line *line, uint32_t character)
{
    if (character > 0xffff) { /* a surrogate pair, as JSON has no other way */
        add_unit(line, 0xd7c0 + (character >> 10));
        character = 0xdc00 | (character & 0x3ff);
    }
    add_unit(line, character);
}

static void add_character(struct line *line, uint32_t character)
{
    char text[UTF8_BYTES_MAX];

    if (character == '"' || character == '\\')
        line_addf(line, "\\%c", (char)character);
    else if (character == '\n')
        line_add_text(line, "\\n");
    else if (character == '\r')
        line_add_text(line, "\\r");
    else if (character == '\t')
        line_add_text(line, "\\t");
    else if (utf8_columns(character) < 0)
        add_escape(line, character);
    else
        line_add(line, text, utf8_encode(character, text));
}

/* How many of the first bytes stand in a string as they are. */
static size_t plain_len_of(struct weir_bytes text)
{
    size_t len = utf8_plain_len(text);
    const unsigned char *quote = len ? memchr(text.data, '"', len) : NULL;
    const unsigned char *backslash = NULL;

    if (quote) len = (size_t)(quote - text.data);
    backslash = len ? memchr(text.data, '\\', len) : NULL;
    return backslash ? (size_t)(backslash - text.data) : len;
}

void json_add_string(struct line *line, struct encoding *encoding, struct weir_bytes text)
{
    line_add_text(line, "\"");
    while (text.len) {
        const size_t plain_len = encoding ? 0 : plain_len_of(text);
        struct character character;

        line_add(line, text.data, plain_len);
        text.data += plain_len;
        text.len -= plain_len;
        if (!text.len) break;
        character = encoding_decode(encoding, text);
        if (character.result)
            add_escape(line, 0xfffd); /* the caller has looked, but JSON stays JSON whatever it is given */
        else
            add_character(line, character.code);
        text.data += character.len;
        text.len -= character.len;
    }
    line_add_text(line, "\"");
}

void json_add_base64(struct line *line, struct weir_bytes bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    line_add_text(line, "\"");
    for (size_t i = 0; i < bytes.len; i += 3) {
        const size_t left = bytes.len - i;
        const uint32_t group = (uint32_t)bytes.data[i] << 16 | (left > 1 ? (uint32_t)bytes.data[i + 1] << 8 : 0) |
                               (left > 2 ? bytes.data[i + 2] : 0);
        const char text[4] = { digits[group >> 18], digits[group >> 12 & 63], left > 1 ? digits[group >> 6 & 63] : '=',
                               left > 2 ? digits[group & 63] : '=' };
        line_add(line, text, sizeof(text));
    }
    line_add_text(line, "\"");
}

static void add_member(struct line *line, const char *name, const char *text)
{
    line_addf(line, ",\"%s\":", name);
    json_add_string(line, NULL, (struct weir_bytes){ (const unsigned char *)text, strlen(text) });
}

static void add_number(struct line *line, const char *name, uint64_t number)
{
    line_addf(line, ",\"%s\":%llu", name, (unsigned long long)number);
}

/* ---- Objects ---- */

void json_add_time(struct line *line, const struct timespec *time)
{
    struct tm day = { 0 };
    char text[40];

    gmtime_r(&time->tv_sec, &day);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &day);
    line_addf(line, "\"%s.%06ldZ\"", text, time->tv_nsec / 1000);
}

static void add_head(struct line *line, const char *name, const struct conn_event *event)
{
    line_addf(line, "{\"event\":\"%s\",\"time\":", name);
    json_add_time(line, &event->time);
    add_number(line, "conn", event->conn);
    add_member(line, "listener", event->listener);
    add_member(line, "peer", event->peer);
    if (event->id) add_number(line, "id", event->id);
    if (event->is_damaged) line_add_text(line, ",\"damaged\":true");
}

static void add_bytes(struct line *line, struct encoding *encoding, struct weir_bytes bytes)
{
    add_number(line, "len", bytes.len);
    if (encoding_is_valid(encoding, bytes)) {
        line_add_text(line, ",\"text\":");
        json_add_string(line, encoding, bytes);
    } else {
        line_add_text(line, ",\"base64\":");
        json_add_base64(line, bytes);
    }
}

void json_open(struct line *line, const struct conn_event *event)
{
    add_head(line, "open", event);
    line_add_text(line, "}\n");
}

void json_message(struct line *line, const struct conn_event *event, struct encoding *encoding,
                  struct weir_bytes message, const struct weir_message_info *info)
{
    add_head(line, "message", event);
    add_number(line, "seq", info->seq);
    add_bytes(line, encoding, message);
    if (info->flags & WEIR_MESSAGE_TRUNCATED) add_number(line, "original_len", info->original_len);
    if (info->flags & WEIR_MESSAGE_UNFINISHED) line_add_text(line, ",\"unfinished\":true");
    line_add_text(line, "}\n");
}

void json_sent(struct line *line, const struct conn_event *event, struct encoding *encoding, struct weir_bytes message)
{
    add_head(line, "sent", event);
    add_bytes(line, encoding, message);
    line_add_text(line, "}\n");
}

void json_end(struct line *line, const struct conn_event *event)
{
    add_head(line, "end", event);
    line_add_text(line, "}\n");
}

void json_close(struct line *line, const struct conn_event *event, enum weir_reason reason, int error,
                const struct weir_conn_counters *counters)
{
    add_head(line, "close", event);
    add_member(line, "reason", weir_reason_text(reason));
    if (error) add_member(line, "error", weir_strerror(-error));
    add_number(line, "messages_in", counters->messages_in);
    add_number(line, "messages_out", counters->messages_out);
    add_number(line, "bytes_in", counters->bytes_in);
    add_number(line, "bytes_out", counters->bytes_out);
    add_number(line, "input_bytes", counters->input_bytes);
    add_number(line, "output_bytes", counters->output_bytes);
    line_add_text(line, "}\n");
}

void json_missed(struct line *line, const struct timespec *time, uint64_t count)
{
    line_add_text(line, "{\"event\":\"missed\",\"time\":");
    json_add_time(line, time);
    add_number(line, "count", count);
    line_add_text(line, "}\n");
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Stored messages in, lines out: those of terminal/, which weir serve shows what comes with, and
 * CSV (RFC 4180). Pure, like them. */
#include "format.h"

#include <string.h>
#include <time.h>

#include "store/record.h"
#include "text/hex.h"
#include "text/json.h"
#include "text/utf8.h"

static struct conn_event event_of(const struct stored_message *message, const struct stored_connection *connection)
{
    return (struct conn_event){ .time = { .tv_sec = message->time_us / 1000000,
                                          .tv_nsec = message->time_us % 1000000 * 1000 },
                                .conn = message->connection,
                                .peer = connection->peer,
                                .listener = connection->listener,
                                .id = message->id,
                                .is_damaged = message->is_damaged };
}

static struct weir_message_info info_of(const struct stored_message *message)
{
    unsigned flags = 0;

    if (message->flags & RECORD_TRUNCATED) flags |= WEIR_MESSAGE_TRUNCATED;
    if (message->flags & RECORD_UNFINISHED) flags |= WEIR_MESSAGE_UNFINISHED;
    return (struct weir_message_info){ .seq = message->seq, .original_len = message->original_len, .flags = flags };
}

/* ---- CSV ---- */

static const char csv_header[] =
    "id,time,conn,listener,peer,direction,seq,len,original_len,unfinished,damaged,text,hex\r\n";

/* Up to the first quote, which is doubled. */
static size_t quoted_len(struct weir_bytes text)
{
    const unsigned char *quote = memchr(text.data, '"', text.len);

    return quote ? (size_t)(quote - text.data) : text.len;
}

/* A field in quotes, which may hold anything. What is readable UTF-8 stays as it is. */
static void add_quoted(struct line *line, struct encoding *encoding, struct weir_bytes text)
{
    line_add_text(line, "\"");
    while (text.len) {
        const size_t len = encoding ? 0 : quoted_len(text);
        struct character character;
        char bytes[UTF8_BYTES_MAX];

        line_add(line, text.data, len);
        text.data += len;
        text.len -= len;
        if (!text.len) break;
        character = encoding_decode(encoding, text);
        if (character.code == '"') line_add_text(line, "\"");
        line_add(line, bytes, utf8_encode(character.code, bytes));
        text.data += character.len;
        text.len -= character.len;
    }
    line_add_text(line, "\"");
}

static void add_address(struct line *line, const char *text)
{
    line_add_text(line, ",");
    if (encoding_is_readable(NULL, (struct weir_bytes){ (const unsigned char *)text, strlen(text) }))
        add_quoted(line, NULL, (struct weir_bytes){ (const unsigned char *)text, strlen(text) });
}

static void add_csv(struct line *line, const struct format *format, const struct stored_message *message,
                    const struct stored_connection *connection)
{
    const struct timespec time = event_of(message, connection).time;

    line_addf(line, "%llu,", (unsigned long long)message->id);
    json_add_time(line, &time); /* in quotes, as here */
    line_addf(line, ",%llu", (unsigned long long)message->connection);
    add_address(line, connection->listener);
    add_address(line, connection->peer);
    line_addf(line, ",%s,", message->is_sent ? "out" : "in");
    if (!message->is_sent) line_addf(line, "%llu", (unsigned long long)message->seq);
    line_addf(line, ",%zu,%llu,%d,%d,", message->bytes.len, (unsigned long long)message->original_len,
              (message->flags & RECORD_UNFINISHED) != 0, message->is_damaged);
    if (encoding_is_readable(format->style.encoding, message->bytes)) {
        add_quoted(line, format->style.encoding, message->bytes);
        line_add_text(line, ",");
    } else {
        line_add_text(line, ",");
        hex_add(line, message->bytes, 0);
    }
    line_add_text(line, "\r\n");
}

/* ---- All of them ---- */

void format_add_header(struct line *line, const struct format *format)
{
    if (format->kind == FORMAT_CSV) line_add_text(line, csv_header);
}

static struct render_style style_of(const struct format *format)
{
    static const enum render_form forms[] = {
        [FORMAT_AUTO] = RENDER_AUTO, [FORMAT_TEXT] = RENDER_TEXT, [FORMAT_HEX] = RENDER_HEX,
        [FORMAT_BOTH] = RENDER_BOTH, [FORMAT_JSON] = RENDER_AUTO, [FORMAT_CSV] = RENDER_AUTO
    };
    struct render_style style = format->style;

    style.form = forms[format->kind];
    style.has_date = true;
    return style;
}

static void add_for_people(struct line *line, const struct format *format, const struct stored_message *message,
                           const struct stored_connection *connection)
{
    const struct conn_event event = event_of(message, connection);
    const struct weir_message_info info = info_of(message);
    const struct render_style style = style_of(format);

    if (message->is_sent)
        render_sent(line, &style, &event, message->bytes, message->is_damaged ? "(damaged)" : NULL);
    else
        render_message(line, &style, &event, message->bytes, &info);
}

static void add_json(struct line *line, const struct format *format, const struct stored_message *message,
                     const struct stored_connection *connection)
{
    const struct conn_event event = event_of(message, connection);
    const struct weir_message_info info = info_of(message);

    if (message->is_sent)
        json_sent(line, &event, format->style.encoding, message->bytes);
    else
        json_message(line, &event, format->style.encoding, message->bytes, &info);
}

void format_add(struct line *line, const struct format *format, const struct stored_message *message,
                const struct stored_connection *connection)
{
    if (format->kind == FORMAT_CSV)
        add_csv(line, format, message, connection);
    else if (format->kind == FORMAT_JSON)
        add_json(line, format, message, connection);
    else
        add_for_people(line, format, message, connection);
}

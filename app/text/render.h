/* SPDX-License-Identifier: BSD-3-Clause
 *
 * How connections and messages look as a line for people.
 *
 * Bytes as text: what can be shown is shown; the rest are escapes, \n \r \t \0 or \xHH a byte, and four or more of one
 * such byte in a row are one escape, x and their count: "hello \0x123" is hello, a space and 123 zero bytes. A
 * backslash is \\. So that every line can be read back in one way only, an escape stands also for an x that comes right
 * after an escape and before a digit, and for a digit right after a count. */
#ifndef APP_TEXT_RENDER_H
#define APP_TEXT_RENDER_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include <weir/weir.h>

#include "encoding.h"
#include "line.h"

enum render_form {
    RENDER_AUTO, /* text or hex, by what the bytes are */
    RENDER_TEXT,
    RENDER_HEX, /* 68 65 6c 6c 6f */
    RENDER_BOTH /* 68 65 6c 6c 6f  |hello| */
};

struct render_style {
    enum render_form form;
    unsigned columns; /* of the terminal; what is longer is cut. 0: nothing is cut */
    bool colour;
    bool has_date;             /* before the time of the day */
    bool utf8;                 /* false: every character beyond ASCII is an escape */
    struct encoding *encoding; /* of the messages; NULL: UTF-8 */
};

/* What is said of a connection in each of its lines. */
struct conn_event {
    struct timespec time; /* of the day */
    uint64_t conn;
    const char *peer;
    const char *listener; /* NULL: there is only one, not worth a word */
    uint64_t id;          /* of the message, in the store; 0: it is not from there */
    bool is_damaged;      /* the message is not what was stored */
};

/* Each adds one whole line, with its newline. */
void render_open(struct line *line, const struct render_style *style, const struct conn_event *event);
void render_message(struct line *line, const struct render_style *style, const struct conn_event *event,
                    struct weir_bytes message, const struct weir_message_info *info);
/* What a person sent, marked with a <. conn 0 is "all". note stands behind the message; NULL: nothing. */
void render_sent(struct line *line, const struct render_style *style, const struct conn_event *event,
                 struct weir_bytes message, const char *note);
void render_close(struct line *line, const struct render_style *style, const struct conn_event *event,
                  enum weir_reason reason, int error, const struct weir_conn_counters *counters);

/* Adds a message whole, in several lines: where it came from, and then what is in it, text by its own lines and other
 * bytes sixteen a line. */
void render_whole(struct line *line, const struct render_style *style, const struct conn_event *event,
                  struct weir_bytes message, const struct weir_message_info *info);

/* What has come of a message that does not end, and what it lacks: "no newline yet". */
void render_unfinished(struct line *line, const struct render_style *style, const struct conn_event *event,
                       struct weir_bytes bytes, const char *missing);
/* Something that is good to know about a connection. */
void render_hint(struct line *line, const struct render_style *style, const struct conn_event *event, const char *hint);

/* Adds the bytes in the style's form, without a newline, cut at so many columns; 0: uncut. */
void render_bytes(struct line *line, const struct render_style *style, struct weir_bytes bytes, size_t columns);

/* Adds a sentence, or a part of one, that may quote somebody's words, such as a path: what must not reach a terminal as
 * it is becomes \xHH a byte, and everything else stays as it is, a backslash too. */
void render_sentence(struct line *line, const char *text, size_t len);

/* Whether the bytes look like text in that encoding: characters (cut off inside its last character, perhaps), and no
 * fewer visible characters than controls, a run of one control counting once. */
bool render_is_text(struct encoding *encoding, struct weir_bytes bytes);

#endif

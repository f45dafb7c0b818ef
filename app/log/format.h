/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Stored messages as lines, for people and for programs. */
#ifndef APP_LOG_FORMAT_H
#define APP_LOG_FORMAT_H

#include "store/reader.h"
#include "text/line.h"
#include "text/render.h"

enum format_kind { FORMAT_AUTO, FORMAT_TEXT, FORMAT_HEX, FORMAT_BOTH, FORMAT_JSON, FORMAT_CSV };

struct format {
    enum format_kind kind;
    struct render_style style; /* its form follows from kind */
};

/* What stands above all messages: nothing, but for CSV. */
void format_add_header(struct line *line, const struct format *format);

/* Adds one message, a line or a record, with its end. */
void format_add(struct line *line, const struct format *format, const struct stored_message *message,
                const struct stored_connection *connection);

#endif

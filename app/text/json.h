/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Connections and messages as JSON, one object a line. */
#ifndef APP_TEXT_JSON_H
#define APP_TEXT_JSON_H

#include <weir/weir.h>

#include "encoding.h"
#include "line.h"
#include "render.h"

/* Each adds one whole line, with its newline. The event's listener is never NULL here. The encoding is that of the
 * message. */
void json_open(struct line *line, const struct conn_event *event);
void json_message(struct line *line, const struct conn_event *event, struct encoding *encoding,
                  struct weir_bytes message, const struct weir_message_info *info);
void json_sent(struct line *line, const struct conn_event *event, struct encoding *encoding, struct weir_bytes message);
void json_end(struct line *line, const struct conn_event *event);
void json_close(struct line *line, const struct conn_event *event, enum weir_reason reason, int error,
                const struct weir_conn_counters *counters);

/* So many events are left out here. */
void json_missed(struct line *line, const struct timespec *time, uint64_t count);

/* Adds text as a JSON string, with its quotes. What is not safe to show on a terminal is escaped too. */
void json_add_string(struct line *line, struct encoding *encoding, struct weir_bytes text);

/* Adds a time of the day as a JSON string, "2026-11-23T08:00:00.000001Z". */
void json_add_time(struct line *line, const struct timespec *time);

/* Adds bytes as a JSON string of base64, with its quotes. */
void json_add_base64(struct line *line, struct weir_bytes bytes);

#endif

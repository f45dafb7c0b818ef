/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A stream of bytes cut into messages, without a connection. */
#ifndef APP_CHECK_STREAM_H
#define APP_CHECK_STREAM_H

#include <stdbool.h>

#include <weir/weir.h>

#include "text/line.h"
#include "text/render.h"

/* Bytes come in pieces and leave as messages; what is held meanwhile is bounded by the longest message there may be. */
struct stream;

enum stream_state {
    STREAM_GOES_ON,
    STREAM_TOO_LONG,  /* a message was, and the policy is to close */
    STREAM_MALFORMED, /* nothing behind it can be understood */
    STREAM_NO_MEMORY
};

/* The service says the framing, the longest message, and what becomes of a longer one. Messages are shown in style,
 * unless is_quiet. Returns 0, or a code of weir_frame_new. */
int stream_new(const struct weir_service *service, const struct render_style *style, bool is_quiet,
               struct stream **ret);
void stream_free(struct stream *stream);

/* Takes the next piece, and adds a line for each message that has ended. */
enum stream_state stream_add(struct stream *stream, struct weir_bytes piece, struct line *line);

/* The stream has ended, or has not gone on: adds what is left over, and what there was in all. */
enum stream_state stream_end(struct stream *stream, struct line *line);

#endif

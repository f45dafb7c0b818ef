/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Drives a codec from memory, as the engine drives it from a socket, and puts in words what comes
 * out. Must never let bytes through that could steer a terminal: what is shown goes through the renderer. */
#include "stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGE_BYTES_DEFAULT = 1024 * 1024, ROOM_MIN = 128 * 1024 };

struct stream {
    struct weir_frame *frame;
    const struct weir_codec *codec;
    void *codec_state;
    size_t message_bytes_max;
    enum weir_too_long too_long;
    struct render_style style;
    bool is_quiet;

    enum stream_state state;
    unsigned char *bytes; /* the window is bytes[begin] to bytes[end] */
    size_t begin;
    size_t end;
    size_t room;
    uint64_t offset;  /* of the window in the stream */
    uint64_t dropped; /* of the message that the window begins with, not in it any more */
    uint64_t seq;
    uint64_t total;
};

int stream_new(const struct weir_service *service, const struct render_style *style, bool is_quiet, struct stream **ret)
{
    struct stream *stream = calloc(1, sizeof(*stream));
    int err = stream ? weir_frame_new(service->frame ? service->frame : "raw", &stream->frame, NULL, 0) : -ENOMEM;

    if (!err) {
        stream->codec = weir_frame_codec(stream->frame);
        stream->codec_state = calloc(1, stream->codec->state_bytes + 1);
        if (!stream->codec_state) err = -ENOMEM;
    }
    if (err) {
        stream_free(stream);
        return err;
    }
    stream->message_bytes_max =
        service->message_bytes_max ? (size_t)service->message_bytes_max : (size_t)MESSAGE_BYTES_DEFAULT;
    stream->too_long = service->too_long;
    stream->style = *style;
    stream->is_quiet = is_quiet;
    *ret = stream;
    return 0;
}

void stream_free(struct stream *stream)
{
    if (!stream) return;
    weir_frame_free(stream->frame);
    free(stream->codec_state);
    free(stream->bytes);
    free(stream);
}

/* ---- Words ---- */

static void add_bytes(const struct stream *stream, struct line *line, struct weir_bytes bytes, size_t begin)
{
    const size_t taken = line->len - begin;
    size_t columns = stream->style.columns;

    if (columns) columns = columns > taken + 24 ? columns - taken : 24;
    if (bytes.len) line_add_text(line, ": ");
    if (bytes.len) render_bytes(line, &stream->style, bytes, columns);
    line_add_text(line, "\n");
}

static void show_message(const struct stream *stream, struct line *line, const struct weir_decode *decode)
{
    const size_t begin = line->len;

    if (stream->is_quiet) return;
    line_addf(line, "message %llu, ", (unsigned long long)stream->seq);
    line_add_count(line, decode->message.len, "byte");
    if (decode->flags & WEIR_MESSAGE_TRUNCATED) {
        line_add_text(line, ", truncated from ");
        line_add_count(line, decode->original_len, "byte");
    }
    if (decode->flags & WEIR_MESSAGE_UNFINISHED) line_add_text(line, ", unfinished");
    add_bytes(stream, line, decode->message, begin);
}

static void show_skipped(const struct stream *stream, struct line *line, uint64_t len)
{
    line_addf(line, "message %llu skipped, ", (unsigned long long)stream->seq);
    line_add_count(line, len, "byte");
    line_add_text(line, ": the longest may have ");
    line_add_count(line, stream->message_bytes_max, "byte");
    line_add_text(line, "\n");
}

/* ---- Cutting ---- */

/* The codec is done with so many bytes at the window's start, and with a message. */
static void consume(struct stream *stream, size_t count)
{
    stream->begin += count;
    stream->offset += count + stream->dropped;
    stream->dropped = 0;
    stream->seq++;
}

static void take_more(struct stream *stream, const struct weir_decode *decode)
{
    stream->begin += decode->consumed;
    stream->offset += decode->consumed;
    stream->end -= decode->dropped;
    stream->dropped += decode->dropped;
    if (stream->begin == stream->end && decode->outside) { /* what was dropped was of no message */
        stream->offset += stream->dropped;
        stream->dropped = 0;
    }
}

/* Takes messages out of the window until more bytes are needed. */
static void cut(struct stream *stream, struct line *line, bool ended)
{
    while (stream->begin < stream->end && stream->state == STREAM_GOES_ON) {
        struct weir_decode decode =
            WEIR_DECODE(.bytes = stream->bytes + stream->begin, .len = stream->end - stream->begin, .ended = ended,
                        .message_bytes_max = stream->message_bytes_max, .too_long = stream->too_long);
        switch (stream->codec->decode(weir_frame_config(stream->frame), stream->codec_state, &decode)) {
        case WEIR_DECODED_MORE:
            take_more(stream, &decode);
            return;
        case WEIR_DECODED_MESSAGE:
            consume(stream, decode.consumed);
            show_message(stream, line, &decode);
            break;
        case WEIR_DECODED_SKIPPED:
            consume(stream, decode.consumed);
            show_skipped(stream, line, decode.original_len);
            break;
        case WEIR_DECODED_TOO_LONG:
            stream->state = STREAM_TOO_LONG;
            break;
        case WEIR_DECODED_MALFORMED:
            stream->state = STREAM_MALFORMED;
            break;
        }
    }
}

/* Room for a piece behind the window: what is left moves to the front, and the buffer doubles when that is not enough.
 */
static bool make_room(struct stream *stream, size_t len)
{
    const size_t left = stream->end - stream->begin;
    size_t room = stream->room ? stream->room : ROOM_MIN;
    unsigned char *grown = NULL;

    if (left) memmove(stream->bytes, stream->bytes + stream->begin, left);
    stream->begin = 0;
    stream->end = left;
    if (len > SIZE_MAX / 2 - left) return false;
    while (room - left < len)
        room *= 2;
    if (room == stream->room) return true;
    grown = realloc(stream->bytes, room);
    if (!grown) return false;
    stream->bytes = grown;
    stream->room = room;
    return true;
}

enum stream_state stream_add(struct stream *stream, struct weir_bytes piece, struct line *line)
{
    if (stream->state != STREAM_GOES_ON || !piece.len) return stream->state;
    if (!make_room(stream, piece.len)) {
        stream->state = STREAM_NO_MEMORY;
        return stream->state;
    }
    memcpy(stream->bytes + stream->end, piece.data, piece.len);
    stream->end += piece.len;
    stream->total += piece.len;
    cut(stream, line, false);
    return stream->state;
}

/* ---- The end ---- */

static void show_rest(const struct stream *stream, struct line *line)
{
    static const char *const words[] = { [STREAM_GOES_ON] = "left over",
                                         [STREAM_TOO_LONG] = "too long, and the connection would be closed",
                                         [STREAM_MALFORMED] = "malformed",
                                         [STREAM_NO_MEMORY] = "out of memory" };
    const struct weir_bytes rest = { stream->bytes + stream->begin, stream->end - stream->begin };
    const size_t begin = line->len;

    line_add_text(line, words[stream->state]);
    line_addf(line, ", from byte %llu on, ", (unsigned long long)stream->offset + 1);
    line_add_count(line, rest.len + stream->dropped, "byte");
    add_bytes(stream, line, rest, begin);
}

enum stream_state stream_end(struct stream *stream, struct line *line)
{
    cut(stream, line, true);
    if (stream->begin < stream->end || stream->dropped || stream->state != STREAM_GOES_ON) show_rest(stream, line);
    line_add_count(line, stream->seq, "message");
    line_add_text(line, " in ");
    line_add_count(line, stream->total, "byte");
    line_add_text(line, "\n");
    return stream->state;
}

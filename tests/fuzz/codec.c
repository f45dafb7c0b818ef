/* SPDX-License-Identifier: BSD-3-Clause
 *
 * One framing (FUZZ_FRAMING): a stream decoded in pieces is the same as decoded in one, nothing is kept beyond the
 * limit, and what encode makes of the stream, taken for a message, is decoded to it again.
 *
 * An input is: a character for the SPEC, one for the policy, one for the limit, one for how many piece lengths follow,
 * these, and the stream. Characters count from '0', so that inputs can be written by hand: "0019" means the first SPEC,
 * close, a limit of 2 bytes and 9 pieces' lengths. */
#include <errno.h>
#include <string.h>

#include <weir/frame.h>

#include "fuzz.h"

static const char *const specs[] = {
    "raw",
    "line",
    "line:crlf",
    "delimiter:;",
    "delimiter:\\r\\n",
    "delimiter:aab",
    "delimiter:abacabad",
    "fixed:1",
    "fixed:4,pad=0",
    "fixed:9",
    "length:u8",
    "length:u16be",
    "length:u24le",
    "length:u32be",
    "length:u64le",
    "length:u64be,adjust=65535",
    "length:u8,adjust=-1",
    "length:u16le,offset=2,adjust=3,strip=1",
    "varint",
    "octet-count",
    "netstring",
    "between:<,>",
    "between:~,~",
    "between:ab,aab",
    "between:\\x02,\\x03,escape=\\x1b",
    "between:~,~,escape=},map=~:2,map=}:1",
    "between:~,~,escape=},xor=0x20",
    "between:\\x10\\x02,\\x10\\x03,escape=\\x10",
    "between:[[,]],escape=#,map=#:h",
    "slip",
};

#define SPECS (sizeof(specs) / sizeof(specs[0]))
#define FRAMING_BYTES_MAX 32 /* the longest header or terminator of these */

/* ---- The input ---- */

struct input {
    const uint8_t *data;
    size_t size;
};

static size_t take(struct input *input, size_t bound)
{
    if (input->size == 0) return 0;
    input->size--;
    return (unsigned char)(*input->data++ - '0') % bound;
}

static struct weir_frame *take_frame(struct input *input)
{
    const char *known[SPECS];
    struct weir_frame *frame = NULL;
    size_t count = 0;

    for (size_t i = 0; i < SPECS; i++) {
        size_t name_len = strcspn(specs[i], ":");
        if (strlen(FUZZ_FRAMING) == name_len && memcmp(specs[i], FUZZ_FRAMING, name_len) == 0)
            known[count++] = specs[i];
    }
    REQUIRE(count > 0);
    REQUIRE(weir_frame_new(known[take(input, count)], &frame, NULL, 0) == 0);
    return frame;
}

/* ---- What comes out ---- */

struct event {
    enum weir_decoded kind;
    size_t len;
    uint64_t original_len;
    unsigned flags;
};

struct outcome {
    struct event *events;
    size_t count;
    unsigned char *bytes; /* of all messages */
    size_t len;
    size_t left_over;
};

static struct outcome outcome_new(size_t stream_len)
{
    return (struct outcome){ .events = (struct event *)(void *)fuzz_block((stream_len + 1) * sizeof(struct event)),
                             .bytes = fuzz_block(stream_len) };
}

static void outcome_free(struct outcome *outcome)
{
    free(outcome->events);
    free(outcome->bytes);
}

static void note(struct outcome *outcome, enum weir_decoded kind, const struct weir_decode *decode)
{
    struct event event = { .kind = kind };

    if (kind == WEIR_DECODED_MESSAGE || kind == WEIR_DECODED_SKIPPED) {
        REQUIRE(decode->consumed > 0 && decode->consumed <= decode->len);
        event.original_len = decode->original_len;
    }
    if (kind == WEIR_DECODED_MESSAGE) {
        REQUIRE(decode->message.len <= decode->message_bytes_max);
        REQUIRE(decode->message.data >= decode->bytes);
        REQUIRE(decode->message.data + decode->message.len <= decode->bytes + decode->consumed);
        event.len = decode->message.len;
        event.flags = decode->flags;
        memcpy(outcome->bytes + outcome->len, decode->message.data, decode->message.len);
        outcome->len += decode->message.len;
    }
    outcome->events[outcome->count++] = event;
}

static void compare(const struct outcome *a, const struct outcome *b)
{
    REQUIRE(a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0);
    if (strcmp(FUZZ_FRAMING, "raw") == 0) return; /* its messages are the pieces */
    REQUIRE(a->count == b->count);
    for (size_t i = 0; i < a->count; i++) {
        REQUIRE(a->events[i].kind == b->events[i].kind);
        REQUIRE(a->events[i].len == b->events[i].len);
        REQUIRE(a->events[i].original_len == b->events[i].original_len);
        REQUIRE(a->events[i].flags == b->events[i].flags);
    }
    REQUIRE(a->left_over == b->left_over);
}

/* ---- Decoding ---- */

/* One stream on its way through a codec, as a connection sees to it. */
struct stream {
    const struct weir_frame *frame;
    size_t max;
    enum weir_too_long policy;
    uint64_t state[2];
    unsigned char *window;
    size_t len;
    int stopped;
    struct outcome outcome;
};

static void replace_window(struct stream *stream, size_t from, size_t len, const uint8_t *more, size_t more_len)
{
    unsigned char *window = fuzz_block(len + more_len);

    if (len > 0) memcpy(window, stream->window + from, len);
    if (more_len > 0) memcpy(window + len, more, more_len);
    free(stream->window);
    stream->window = window;
    stream->len = len + more_len;
}

static void decode_window(struct stream *stream, int ended)
{
    const struct weir_codec *codec = weir_frame_codec(stream->frame);

    while (stream->len > 0 && !stream->stopped) {
        struct weir_decode decode = WEIR_DECODE(.bytes = stream->window, .len = stream->len, .ended = ended,
                                                .message_bytes_max = stream->max, .too_long = stream->policy);
        enum weir_decoded kind = codec->decode(weir_frame_config(stream->frame), stream->state, &decode);

        if (kind == WEIR_DECODED_MORE) {
            REQUIRE(decode.consumed <= decode.len && decode.dropped <= decode.len - decode.consumed);
            if (ended) return;
            replace_window(stream, decode.consumed, decode.len - decode.consumed - decode.dropped, NULL, 0);
            REQUIRE(stream->len <= stream->max + FRAMING_BYTES_MAX);
            return;
        }
        note(&stream->outcome, kind, &decode);
        stream->stopped = kind == WEIR_DECODED_TOO_LONG || kind == WEIR_DECODED_MALFORMED;
        if (!stream->stopped) replace_window(stream, decode.consumed, decode.len - decode.consumed, NULL, 0);
    }
}

/* Without piece lengths: all in one. */
static struct outcome decode_stream(struct stream stream, struct weir_bytes bytes, struct input pieces)
{
    const struct input all_pieces = pieces;
    size_t at = 0;

    stream.outcome = outcome_new(bytes.len);
    while (at < bytes.len && !stream.stopped) {
        size_t len = bytes.len - at;
        if (all_pieces.size > 0) {
            size_t piece;
            if (pieces.size == 0) pieces = all_pieces;
            piece = 1 + take(&pieces, 64);
            if (piece < len) len = piece;
        }
        replace_window(&stream, 0, stream.len, bytes.data + at, len);
        at += len;
        decode_window(&stream, 0);
    }
    decode_window(&stream, 1);
    stream.outcome.left_over = stream.stopped ? 0 : stream.len;
    free(stream.window);
    return stream.outcome;
}

/* ---- Encoding ---- */

/* Line and delimiter send as it is what ends a message inside one. */
static int is_exact(const struct weir_frame *frame)
{
    return weir_frame_is_reversible(frame) && weir_frame_codec(frame)->encode && strcmp(FUZZ_FRAMING, "line") != 0 &&
           strcmp(FUZZ_FRAMING, "delimiter") != 0;
}

static void round_trip(const struct weir_frame *frame, struct weir_bytes message)
{
    const struct weir_codec *codec = weir_frame_codec(frame);
    size_t room = codec->encoded_bytes_max(weir_frame_config(frame), message.len);
    unsigned char *wire = fuzz_block(room);
    ssize_t len = codec->encode(weir_frame_config(frame), message, wire, room);
    uint64_t state[2] = { 0 };

    REQUIRE(len == -EINVAL || len == -EMSGSIZE || (len >= 0 && (size_t)len <= room));
    if (len >= 0 && is_exact(frame)) {
        struct weir_decode decode =
            WEIR_DECODE(.bytes = wire, .len = (size_t)len, .message_bytes_max = message.len + 1);
        REQUIRE(codec->decode(weir_frame_config(frame), state, &decode) == WEIR_DECODED_MESSAGE);
        REQUIRE(decode.consumed == (size_t)len && decode.message.len == message.len);
        REQUIRE(message.len == 0 || memcmp(decode.message.data, message.data, message.len) == 0);
    }
    free(wire);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = { data, size };
    struct weir_frame *frame = take_frame(&input);
    struct stream stream = { .frame = frame, .policy = (enum weir_too_long)take(&input, 3) };
    struct input pieces = { NULL, 0 };
    struct weir_bytes bytes;
    struct outcome whole, split;

    stream.max = 1 + take(&input, 64);
    pieces.size = take(&input, 16);
    if (pieces.size > input.size) pieces.size = input.size;
    pieces.data = input.data;
    bytes = (struct weir_bytes){ input.data + pieces.size, input.size - pieces.size };
    if (pieces.size == 0) pieces = (struct input){ (const uint8_t *)"0", 1 }; /* byte by byte */

    whole = decode_stream(stream, bytes, (struct input){ NULL, 0 });
    split = decode_stream(stream, bytes, pieces);
    compare(&whole, &split);
    outcome_free(&whole);
    outcome_free(&split);
    if (weir_frame_codec(frame)->encode) round_trip(frame, bytes);
    weir_frame_free(frame);
    return 0;
}

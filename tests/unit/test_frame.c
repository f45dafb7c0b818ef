/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Decoding, against a slow and obvious reference. Streams are generated, cut in every way, and decoded by a driver that
 * does what a connection does: each window is a block of memory of exactly its size, so that the sanitizer sees a read
 * past it. The events must be the reference's, each as soon as its last byte has come.
 *
 * That no byte is looked at in two calls is shown by poison: whatever a codec has looked at and keeps is overwritten,
 * with terminators among others. A codec that looked again would see other messages. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <weir/frame.h>

#include "frame_cases.h"

static const size_t limits[] = { 1, 2, 3, 7 };
#define LIMITS (sizeof(limits) / sizeof(limits[0]))

static const char *const policies[] = { "close", "skip", "truncate" };
#define POLICIES (sizeof(policies) / sizeof(policies[0]))

/* ---- The driver ---- */

/* One way to decode one stream. */
struct run {
    const struct framing *framing;
    const struct weir_frame *frame;
    const struct stream *stream;
    const size_t *due;              /* how many events the first n bytes make */
    const unsigned char *under_way; /* whether, behind them, a message has begun */
    const struct outcome *expected;
    size_t max;
    enum weir_too_long policy;
    int ended;
    const char *poison;
    const size_t *cuts; /* offsets at which the stream is cut, ascending */
    size_t cut_count;
};

/* A connection's side of it. */
struct drive {
    const struct run *run;
    void *state;
    unsigned char *window; /* what is kept, then what has come */
    size_t window_len;
    size_t fed;
    size_t count; /* events so far */
    int stopped;  /* TOO_LONG or MALFORMED */
};

static void explain(const struct run *run, size_t fed, const char *what)
{
    fprintf(stderr, "%s: frame %s, max %zu, %s, %s, %s, after %zu bytes, cut at", what, run->framing->spec, run->max,
            policies[run->policy], run->ended ? "ended" : "open", run->poison ? "poisoned" : "plain", fed);
    for (size_t i = 0; i < run->cut_count; i++)
        fprintf(stderr, " %zu", run->cuts[i]);
    fprintf(stderr, ", stream");
    for (size_t i = 0; i < run->stream->len; i++)
        fprintf(stderr, " %02x", run->stream->bytes[i]);
    fprintf(stderr, "\n");
    fail();
}

static void require(const struct drive *drive, int holds, const char *what)
{
    if (!holds) explain(drive->run, drive->fed, what);
}

/* Replaces the window by a block of exactly these bytes of it, and what has come behind them. */
static void drive_window(struct drive *drive, size_t from, size_t len, const unsigned char *more, size_t more_len)
{
    unsigned char *window = malloc(len + more_len);

    assert_non_null(window);
    if (len > 0) memcpy(window, drive->window + from, len);
    if (more_len > 0) memcpy(window + len, more, more_len);
    free(drive->window);
    drive->window = window;
    drive->window_len = len + more_len;
}

/* Overwrites the window, which the codec has looked at, with a pattern that ends at its end. */
static void drive_poison(struct drive *drive, const char *pattern)
{
    size_t len = strlen(pattern) > 0 ? strlen(pattern) : 1;

    for (size_t i = 0; i < drive->window_len; i++)
        drive->window[drive->window_len - 1 - i] = (unsigned char)pattern[len - 1 - i % len];
}

static void check_more(struct drive *drive, const struct weir_decode *decode)
{
    const struct run *run = drive->run;
    int under_way = decode->ended ? run->expected->under_way : run->under_way[drive->fed];
    size_t kept_max = run->max + header_bytes(run->framing);
    int looked_at = run->framing->kind != LENGTH || decode->len >= header_bytes(run->framing);

    if (run->framing->kind == LINE) kept_max += 1; /* its CR */
    if (run->framing->kind == DELIMITER) kept_max += strlen(run->framing->delimiter) - 1;
    if (run->framing->kind == BETWEEN) kept_max += strlen(run->framing->end); /* or an escape */
    if (run->framing->kind == LENGTH) {
        kept_max = run->max + (size_t)run->framing->strip;
        if (kept_max < header_bytes(run->framing) - 1) kept_max = header_bytes(run->framing) - 1;
    }
    require(drive, decode->consumed + decode->dropped <= decode->len, "let go of more than there is");
    drive_window(drive, decode->consumed, decode->len - decode->consumed - decode->dropped, NULL, 0);
    require(drive, drive->window_len <= kept_max, "keeps more than the limit");
    require(drive, (drive->window_len > 0) == under_way, "keeps nothing of a message, or something of none");
    require(drive, decode->outside == (run->framing->kind == BETWEEN && !under_way), "wrong about being outside");
    if (run->poison && looked_at) drive_poison(drive, run->poison);
}

static void check_event(struct drive *drive, enum weir_decoded kind, const struct weir_decode *decode)
{
    const struct event *event = &drive->run->expected->events[drive->count];
    const struct weir_bytes *message = &decode->message;

    require(drive, drive->count < drive->run->expected->count, "an event too many");
    require(drive, kind == event->kind, "another kind of event");
    drive->count++;
    drive->stopped = kind == WEIR_DECODED_TOO_LONG || kind == WEIR_DECODED_MALFORMED;
    if (drive->stopped) return;

    require(drive, decode->consumed >= 1 && decode->consumed <= decode->len && decode->dropped == 0, "bad consumed");
    require(drive, drive->fed - (decode->len - decode->consumed) == event->end, "ends elsewhere");
    require(drive, decode->original_len == event->original_len, "another original length");
    if (kind == WEIR_DECODED_SKIPPED) return;
    require(drive, decode->flags == event->flags, "other flags");
    require(drive, message->len == event->len, "another length");
    require(drive, message->data >= decode->bytes && message->data + message->len <= decode->bytes + decode->consumed,
            "a message outside of its window");
    if (drive->run->poison || message->len == 0) return;
    require(drive, memcmp(message->data, drive->run->expected->content + event->from, message->len) == 0,
            "other bytes");
}

static void drive_feed(struct drive *drive, size_t len, int ended)
{
    const struct run *run = drive->run;
    enum weir_decoded kind;

    drive_window(drive, 0, drive->window_len, run->stream->bytes + drive->fed, len);
    drive->fed += len;
    do {
        struct weir_decode decode = WEIR_DECODE(.bytes = drive->window, .len = drive->window_len, .ended = ended,
                                                .message_bytes_max = run->max, .too_long = run->policy);
        kind = weir_frame_codec(run->frame)->decode(weir_frame_config(run->frame), drive->state, &decode);
        if (kind == WEIR_DECODED_MORE) {
            check_more(drive, &decode);
        } else {
            check_event(drive, kind, &decode);
            drive_window(drive, decode.consumed, decode.len - decode.consumed, NULL, 0);
        }
    } while (kind != WEIR_DECODED_MORE && !drive->stopped);
    require(drive, drive->count == (ended ? run->expected->count : run->due[drive->fed]), "an event is late");
}

static size_t runs;

static void run_once(const struct run *run)
{
    struct drive drive = { .run = run, .state = calloc(1, weir_frame_codec(run->frame)->state_bytes) };

    runs++;
    assert_non_null(drive.state);
    for (size_t i = 0; i <= run->cut_count && !drive.stopped; i++) {
        size_t to = i < run->cut_count ? run->cuts[i] : run->stream->len;
        /* The end comes with the last bytes, or by itself after them. */
        int with_end = run->ended && i == run->cut_count && run->cut_count % 2 == 0;
        drive_feed(&drive, to - drive.fed, with_end);
    }
    if (run->ended && run->cut_count % 2 == 1 && !drive.stopped) drive_feed(&drive, 0, 1);
    require(&drive, drive.count == run->expected->count, "events are missing");
    free(drive.window);
    free(drive.state);
}

/* ---- Every way to cut a stream ---- */

static void cut_at_each_byte(struct run *run)
{
    size_t cuts[STREAM_BYTES_MAX];

    for (size_t i = 0; i + 1 < run->stream->len; i++)
        cuts[i] = i + 1;
    run->cuts = cuts;
    run->cut_count = run->stream->len > 0 ? run->stream->len - 1 : 0;
    run_once(run);
}

static void cut_in_two(struct run *run)
{
    run->cut_count = 1;
    for (size_t i = 0; i <= run->stream->len; i++) {
        run->cuts = &i;
        run_once(run);
    }
}

static void cut_in_three(struct run *run)
{
    size_t cuts[2];

    run->cuts = cuts;
    run->cut_count = 2;
    for (cuts[0] = 0; cuts[0] <= run->stream->len; cuts[0]++) {
        for (cuts[1] = cuts[0]; cuts[1] <= run->stream->len; cuts[1]++)
            run_once(run);
    }
}

static void cut_nowhere(struct run *run)
{
    run->cut_count = 0;
    run_once(run);
}

#define SHORT_STREAM 14

/* All cuts, plain and poisoned. */
static void run_all_cuts(struct run *run)
{
    for (size_t i = 0; i <= 3; i++) {
        run->poison = i < 3 ? run->framing->poisons[i] : NULL;
        if (i < 3 && !run->poison) continue;
        cut_nowhere(run);
        cut_at_each_byte(run);
        cut_in_two(run);
        if (run->stream->len <= SHORT_STREAM) cut_in_three(run);
    }
}

/* One stream under every policy, open and ended. */
static void run_stream(const struct framing *framing, const struct weir_frame *frame, const struct stream *stream,
                       size_t max)
{
    static struct outcome expected;
    size_t due[STREAM_BYTES_MAX + 1];
    unsigned char under_way[STREAM_BYTES_MAX + 1];

    for (size_t policy = 0; policy < POLICIES; policy++) {
        for (size_t n = 0; n <= stream->len; n++) {
            reference(framing, stream, n, 0, max, (enum weir_too_long)policy, &expected);
            due[n] = expected.count;
            under_way[n] = (unsigned char)expected.under_way;
        }
        for (int ended = 0; ended <= 1; ended++) {
            struct run run = { .framing = framing,
                               .frame = frame,
                               .stream = stream,
                               .due = due,
                               .under_way = under_way,
                               .expected = &expected,
                               .max = max,
                               .policy = (enum weir_too_long)policy,
                               .ended = ended };
            reference(framing, stream, stream->len, ended, max, (enum weir_too_long)policy, &expected);
            run_all_cuts(&run);
        }
    }
}

static struct weir_frame *frame_new(const char *spec)
{
    struct weir_frame *frame = NULL;
    char error[256] = "";

    if (weir_frame_new(spec, &frame, error, sizeof(error)) != 0) fail_msg("%s", error);
    return frame;
}

static void every_split_of_short_streams(void **state)
{
    struct stream stream;

    (void)state;
    for (size_t f = 0; f < framing_count; f++) {
        struct weir_frame *frame = frame_new(framings[f].spec);
        for (size_t i = 0; i < 6 * LIMITS; i++) {
            stream_generate(&stream, &framings[f], 1 + random_below(SHORT_STREAM));
            if (stream.len > SHORT_STREAM) stream.len = SHORT_STREAM;
            run_stream(&framings[f], frame, &stream, limits[i % LIMITS]);
        }
        weir_frame_free(frame);
    }
    assert_true(runs > framing_count * LIMITS);
}

static void every_split_of_long_streams(void **state)
{
    struct stream stream;

    (void)state;
    for (size_t f = 0; f < framing_count; f++) {
        struct weir_frame *frame = frame_new(framings[f].spec);
        for (size_t i = 0; i < 3 * LIMITS; i++) {
            stream_generate(&stream, &framings[f], 20 + random_below(80));
            run_stream(&framings[f], frame, &stream, limits[i % LIMITS]);
        }
        weir_frame_free(frame);
    }
}

/* Two messages of any lengths around the limit, one behind the other. */
static void every_glue_of_two_messages(void **state)
{
    const size_t max = 3, lengths = 7;
    struct stream stream;

    (void)state;
    for (size_t f = 0; f < framing_count; f++) {
        struct weir_frame *frame = frame_new(framings[f].spec);
        for (size_t pair = 0; pair < lengths * lengths; pair++) {
            stream.len = 0;
            stream_add_message(&stream, &framings[f], pair / lengths);
            stream_add_message(&stream, &framings[f], pair % lengths);
            run_stream(&framings[f], frame, &stream, max);
        }
        weir_frame_free(frame);
    }
}

/* ---- raw: the windows are the messages ---- */

static void raw_delivers_what_came(void **state)
{
    struct weir_frame *frame = frame_new("raw");
    const struct weir_codec *codec = weir_frame_codec(frame);
    unsigned char window[5] = "abcde";

    (void)state;
    assert_int_equal(codec->state_bytes, 0);
    for (size_t max = 1; max <= 6; max++) {
        for (size_t policy = 0; policy < POLICIES; policy++) {
            for (size_t at = 0; at < sizeof(window);) {
                size_t len = sizeof(window) - at < max ? sizeof(window) - at : max;
                struct weir_decode decode =
                    WEIR_DECODE(.bytes = window + at, .len = sizeof(window) - at, .message_bytes_max = max,
                                .too_long = (enum weir_too_long)policy);
                assert_int_equal(codec->decode(weir_frame_config(frame), NULL, &decode), WEIR_DECODED_MESSAGE);
                assert_ptr_equal(decode.message.data, window + at);
                assert_int_equal(decode.message.len, len);
                assert_int_equal(decode.original_len, len);
                assert_int_equal(decode.consumed, len);
                assert_int_equal(decode.flags, 0);
                at += len;
            }
        }
    }
    struct weir_decode nothing = WEIR_DECODE(.bytes = window, .ended = true, .message_bytes_max = 1);
    assert_int_equal(codec->decode(weir_frame_config(frame), NULL, &nothing), WEIR_DECODED_MORE);
    assert_int_equal(nothing.consumed, 0);
    weir_frame_free(frame);
}

/* ---- Lengths that lie ---- */

/* Decodes a header alone, before any byte of the message. */
static enum weir_decoded decode_header(const char *spec, const char *header, size_t len, enum weir_too_long policy,
                                       struct weir_decode *ret)
{
    struct weir_frame *frame = frame_new(spec);
    unsigned char *window = malloc(len);
    uint64_t codec_state[2] = { 0 };
    enum weir_decoded kind;

    assert_non_null(window);
    memcpy(window, header, len);
    *ret = (struct weir_decode){ .bytes = window, .len = len, .message_bytes_max = 1 << 20, .too_long = policy };
    kind = weir_frame_codec(frame)->decode(weir_frame_config(frame), codec_state, ret);
    free(window);
    weir_frame_free(frame);
    return kind;
}

static const struct {
    const char *spec;
    const char *header;
    size_t len;
    enum weir_decoded kind; /* when the policy is to close */
} claims[] = {
    { "length:u8", "\x00", 1, WEIR_DECODED_MESSAGE },
    { "length:u8", "\xff", 1, WEIR_DECODED_MORE },
    { "length:u24be", "\x10\x00\x00", 3, WEIR_DECODED_MORE },     /* the limit */
    { "length:u24be", "\x10\x00\x01", 3, WEIR_DECODED_TOO_LONG }, /* and one more */
    { "length:u24le", "\x01\x00\x10", 3, WEIR_DECODED_TOO_LONG },
    { "length:u24be,adjust=-1", "\x10\x00\x01", 3, WEIR_DECODED_MORE },
    { "length:u24be,strip=4", "\x10\x00\x01", 3, WEIR_DECODED_MORE },
    { "length:u32be", "\x80\x00\x00\x00", 4, WEIR_DECODED_TOO_LONG },
    { "length:u32be", "\xff\xff\xff\xff", 4, WEIR_DECODED_TOO_LONG },
    { "length:u32be", "\xff\xff\xff\xfc", 4, WEIR_DECODED_TOO_LONG }, /* wraps with its header in 32 bits */
    { "length:u32be,adjust=-4", "\x00\x00\x00\x00", 4, WEIR_DECODED_MALFORMED },
    { "length:u32be,adjust=-4", "\x00\x00\x00\x03", 4, WEIR_DECODED_MALFORMED },
    { "length:u32be,adjust=-4", "\x00\x00\x00\x04", 4, WEIR_DECODED_MESSAGE },
    { "length:u32be,adjust=-4,strip=0", "\x00\x00\x00\x03", 4, WEIR_DECODED_MALFORMED },
    { "length:u32be,adjust=-9,strip=0", "\x00\x00\x00\x04", 4, WEIR_DECODED_MALFORMED },
    { "length:u8,strip=3", "\x01", 1, WEIR_DECODED_MALFORMED },
    { "length:u8,strip=3", "\x02", 1, WEIR_DECODED_MORE },
    { "length:u64be", "\xff\xff\xff\xff\xff\xff\xff\xff", 8, WEIR_DECODED_MALFORMED },
    { "length:u64be", "\xff\xff\xff\xff\xff\xff\xff\xf8", 8, WEIR_DECODED_MALFORMED }, /* 0 with its header */
    { "length:u64be,adjust=-1", "\x00\x00\x00\x00\x00\x00\x00\x00", 8, WEIR_DECODED_MALFORMED },
    { "length:u64be", "\x80\x00\x00\x00\x00\x00\x00\x00", 8, WEIR_DECODED_MALFORMED },
    { "length:u64be", "\x7f\xff\xff\xff\xff\xff\xff\xff", 8, WEIR_DECODED_TOO_LONG },
    { "length:u64le", "\xff\xff\xff\xff\xff\xff\xff\x7f", 8, WEIR_DECODED_TOO_LONG },
    { "length:u64be,adjust=65535", "\x7f\xff\xff\xff\xff\xff\xff\xff", 8, WEIR_DECODED_TOO_LONG },
    { "length:u64be,adjust=65535", "\xff\xff\xff\xff\xff\xff\x00\x00", 8, WEIR_DECODED_MALFORMED },
    { "fixed:1048576", "x", 1, WEIR_DECODED_MORE },
    { "fixed:1048577", "x", 1, WEIR_DECODED_TOO_LONG },
    { "varint", "\x00", 1, WEIR_DECODED_MESSAGE },
    { "varint", "\x80\x80\x40", 3, WEIR_DECODED_MORE },
    { "varint", "\x81\x80\x40", 3, WEIR_DECODED_TOO_LONG },
    { "varint", "\x80\x80\x80\x80\x08", 5, WEIR_DECODED_TOO_LONG },                       /* 2^31 */
    { "varint", "\xff\xff\xff\xff\x0f", 5, WEIR_DECODED_TOO_LONG },                       /* 2^32-1 */
    { "varint", "\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 9, WEIR_DECODED_TOO_LONG },       /* 2^63-1 */
    { "varint", "\x80\x80\x80\x80\x80\x80\x80\x80\x80", 9, WEIR_DECODED_MALFORMED },      /* and more */
    { "varint", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, WEIR_DECODED_MALFORMED }, /* 2^64-1 */
    { "varint", "\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, WEIR_DECODED_MALFORMED }, /* wraps with its header */
    { "varint", "\x80\x00", 2, WEIR_DECODED_MALFORMED },                                  /* 0, with a byte too many */
    { "varint", "\x83\x80\x00", 3, WEIR_DECODED_MALFORMED },
    { "octet-count", "1048576 ", 8, WEIR_DECODED_MORE },
    { "octet-count", "1048577 ", 8, WEIR_DECODED_TOO_LONG },
    { "octet-count", "9999999999 ", 11, WEIR_DECODED_TOO_LONG },
    { "octet-count", "10000000000", 11, WEIR_DECODED_MALFORMED },
    { "octet-count", "0 ", 2, WEIR_DECODED_MALFORMED }, /* RFC 6587: NONZERO-DIGIT *DIGIT */
    { "octet-count", "05 hello", 8, WEIR_DECODED_MALFORMED },
    { "octet-count", " 5 hello", 8, WEIR_DECODED_MALFORMED },
    { "octet-count", "<13>Nov", 7, WEIR_DECODED_MALFORMED }, /* a sender that does not count */
    { "octet-count", "-1 ", 3, WEIR_DECODED_MALFORMED },
    { "octet-count", "5:hello,", 8, WEIR_DECODED_MALFORMED },
    { "netstring", "0:,", 3, WEIR_DECODED_MESSAGE },
    { "netstring", "1048576:", 8, WEIR_DECODED_MORE },
    { "netstring", "1048577:", 8, WEIR_DECODED_TOO_LONG },
    { "netstring", "9999999999:", 11, WEIR_DECODED_TOO_LONG },
    { "netstring", "10000000000", 11, WEIR_DECODED_MALFORMED },
    { "netstring", "00:,", 4, WEIR_DECODED_MALFORMED },
    { "netstring", "0:;", 3, WEIR_DECODED_MALFORMED },
    { "netstring", "2:abc,", 6, WEIR_DECODED_MALFORMED },
    { "netstring", ":,", 2, WEIR_DECODED_MALFORMED },
    { "netstring", "5 hello", 7, WEIR_DECODED_MALFORMED },
};

static void lengths_that_lie(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(claims) / sizeof(claims[0]); i++) {
        int too_long = claims[i].kind == WEIR_DECODED_TOO_LONG;
        struct weir_decode decode;

        assert_int_equal(decode_header(claims[i].spec, claims[i].header, claims[i].len, WEIR_TOO_LONG_CLOSE, &decode),
                         claims[i].kind);
        assert_int_equal(decode_header(claims[i].spec, claims[i].header, claims[i].len, WEIR_TOO_LONG_SKIP, &decode),
                         too_long ? WEIR_DECODED_MORE : claims[i].kind);
        if (too_long) assert_int_equal(decode.consumed, claims[i].len - 1); /* next to nothing of it is kept */
        assert_int_equal(
            decode_header(claims[i].spec, claims[i].header, claims[i].len, WEIR_TOO_LONG_TRUNCATE, &decode),
            too_long ? WEIR_DECODED_MORE : claims[i].kind);
    }
}

/* ---- A message of more than 4 GiB: counters do not wrap, and nothing is collected ---- */

#define BLOCK_BYTES ((size_t)4 << 20)

static void endless(const char *spec, const char *head, size_t head_len, const char *tail, uint64_t len,
                    enum weir_too_long policy)
{
    struct weir_frame *frame = frame_new(spec);
    const struct weir_codec *codec = weir_frame_codec(frame);
    unsigned char *block = malloc(BLOCK_BYTES);
    uint64_t codec_state[2] = { 0 }, left = len;
    size_t kept = head_len;
    enum weir_decoded kind = WEIR_DECODED_MORE;

    assert_non_null(block);
    memset(block, 'x', BLOCK_BYTES);
    memcpy(block, head, head_len);
    while (kind == WEIR_DECODED_MORE) {
        size_t more = BLOCK_BYTES - kept < left ? BLOCK_BYTES - kept : (size_t)left;
        int last = more == left && strlen(tail) <= BLOCK_BYTES - kept - more;
        struct weir_decode decode =
            WEIR_DECODE(.bytes = block, .len = kept + more, .message_bytes_max = 10, .too_long = policy);

        if (last) {
            memcpy(block + kept + more, tail, strlen(tail));
            decode.len += strlen(tail);
        }
        left -= more;
        kind = codec->decode(weir_frame_config(frame), codec_state, &decode);
        kept = decode.len - decode.consumed - decode.dropped;
        if (kind == WEIR_DECODED_MORE) {
            assert_true(!last && kept <= 10 + head_len);
            memmove(block, block + decode.consumed, kept);
            continue;
        }
        assert_true(last);
        assert_int_equal(kind, policy == WEIR_TOO_LONG_SKIP ? WEIR_DECODED_SKIPPED : WEIR_DECODED_MESSAGE);
        assert_true(decode.original_len == len);
        assert_int_equal(kept, 0);
        if (kind == WEIR_DECODED_MESSAGE) assert_memory_equal(decode.message.data, "xxxxxxxxxx", 10);
    }
    free(block);
    weir_frame_free(frame);
}

static void a_message_without_end(void **state)
{
    const uint64_t len = 4362088505;                 /* 4 GiB and many blocks */
    const uint64_t between_len = UINT64_C(20) << 20; /* these are looked at byte by byte */

    (void)state;
    for (enum weir_too_long policy = WEIR_TOO_LONG_SKIP; policy <= WEIR_TOO_LONG_TRUNCATE; policy++) {
        endless("line", "", 0, "\r\n", len, policy);
        endless("delimiter:abc", "", 0, "abc", len, policy);
        endless("length:u64be", "\x00\x00\x00\x01\x04\x00\x30\x39", 8, "", len, policy);
        endless("varint", "\xb9\xe0\x80\xa0\x10", 5, "", len, policy);
        endless("octet-count", "4362088505 ", 11, "", len, policy);
        endless("netstring", "4362088505:", 11, ",", len, policy);
        endless("between:<,>", "<", 1, ">", between_len, policy);
        endless("slip", "", 0, "\xc0", between_len, policy);
    }
}

static void states_fit_into_a_connection(void **state)
{
    (void)state;
    for (size_t f = 0; f < framing_count; f++) {
        struct weir_frame *frame = frame_new(framings[f].spec);
        assert_true(weir_frame_codec(frame)->state_bytes <= 16);
        assert_int_equal(weir_frame_codec(frame)->size, sizeof(struct weir_codec));
        weir_frame_free(frame);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_split_of_short_streams),
        cmocka_unit_test(every_split_of_long_streams),
        cmocka_unit_test(every_glue_of_two_messages),
        cmocka_unit_test(raw_delivers_what_came),
        cmocka_unit_test(lengths_that_lie),
        cmocka_unit_test(a_message_without_end),
        cmocka_unit_test(states_fit_into_a_connection),
    };

    return cmocka_run_group_tests_name("frame", tests, seed, NULL);
}

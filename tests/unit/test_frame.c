/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Codecs against a slow and obvious reference. Streams are generated, cut in every way, and decoded by a driver that
 * does what a connection does: each window is a block of memory of exactly its size, so that the sanitizer sees a read
 * past it. The events must be the reference's, each as soon as its last byte has come.
 *
 * That no byte is looked at in two calls is shown by poison: whatever a codec has looked at and keeps is overwritten,
 * with terminators among others. A codec that looked again would see other messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/frame.h>

/* ---- The framings under test, with their parameters in words of this file, not read from the SPEC ---- */

enum kind { LINE, DELIMITER, LENGTH };

struct framing {
    const char *spec;
    enum kind kind;
    const char *delimiter; /* DELIMITER: the bytes, none of them NUL */
    size_t field_bytes;    /* LENGTH: and so on to strip */
    int little_endian;
    int offset;
    int adjust;
    int strip;
    const char *poisons[3]; /* patterns that mislead a codec that looks again; "" is NUL bytes */
};

#define DELIMITER_64 "abababababababababababababababababababababababababababababababac"
#define LENGTH_POISONS     \
    {                      \
        "", "\xff", "\x01" \
    }

static const struct framing framings[] = {
    { "line", LINE, .poisons = { "\n", "\r", "x" } },
    { "line:crlf", LINE, .poisons = { "\n", "\r", "x" } },
    { "delimiter:;", DELIMITER, ";", .poisons = { ";", "x" } },
    { "delimiter:\\r\\n", DELIMITER, "\r\n", .poisons = { "\r\n", "\r", "x" } },
    { "delimiter:aab", DELIMITER, "aab", .poisons = { "aab", "a", "x" } },
    { "delimiter:abacabad", DELIMITER, "abacabad", .poisons = { "abacabad", "abac", "x" } },
    { "delimiter:" DELIMITER_64, DELIMITER, DELIMITER_64, .poisons = { DELIMITER_64, "ab", "x" } },
    { "length:u8", LENGTH, NULL, 1, 0, 0, 0, 1, LENGTH_POISONS },
    { "length:u16be", LENGTH, NULL, 2, 0, 0, 0, 2, LENGTH_POISONS },
    { "length:u16le", LENGTH, NULL, 2, 1, 0, 0, 2, LENGTH_POISONS },
    { "length:u24be", LENGTH, NULL, 3, 0, 0, 0, 3, LENGTH_POISONS },
    { "length:u24le", LENGTH, NULL, 3, 1, 0, 0, 3, LENGTH_POISONS },
    { "length:u32be", LENGTH, NULL, 4, 0, 0, 0, 4, LENGTH_POISONS },
    { "length:u32le", LENGTH, NULL, 4, 1, 0, 0, 4, LENGTH_POISONS },
    { "length:u64be", LENGTH, NULL, 8, 0, 0, 0, 8, LENGTH_POISONS },
    { "length:u64le", LENGTH, NULL, 8, 1, 0, 0, 8, LENGTH_POISONS },
    { "length:u16be,strip=0", LENGTH, NULL, 2, 0, 0, 0, 0, LENGTH_POISONS },
    { "length:u16be,offset=2", LENGTH, NULL, 2, 0, 2, 0, 0, LENGTH_POISONS },
    { "length:u16be,adjust=-2", LENGTH, NULL, 2, 0, 0, -2, 2, LENGTH_POISONS },
    { "length:u8,adjust=-3,strip=0", LENGTH, NULL, 1, 0, 0, -3, 0, LENGTH_POISONS },
    { "length:u8,offset=1,adjust=1,strip=3", LENGTH, NULL, 1, 0, 1, 1, 3, LENGTH_POISONS },
    { "length:u8,adjust=3", LENGTH, NULL, 1, 0, 0, 3, 1, LENGTH_POISONS },
    { "length:u8,strip=5", LENGTH, NULL, 1, 0, 0, 0, 5, LENGTH_POISONS },
};

#define FRAMINGS (sizeof framings / sizeof framings[0])

static const size_t limits[] = { 1, 2, 3, 7 };
#define LIMITS (sizeof limits / sizeof limits[0])

static const char *const policies[] = { "close", "skip", "truncate" };
#define POLICIES (sizeof policies / sizeof policies[0])

static size_t header_bytes(const struct framing *framing)
{
    return (size_t)framing->offset + framing->field_bytes;
}

/* ---- Random numbers: the same in each run, unless a seed is given ---- */

static uint64_t random_state;

static uint64_t random_next(void)
{
    uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static size_t random_below(size_t bound)
{
    return (size_t)(random_next() % bound);
}

static int seed(void **state)
{
    const char *text = getenv("WEIR_TEST_SEED");

    (void)state;
    random_state = text != NULL ? strtoull(text, NULL, 0) : 20261123;
    fprintf(stderr, "WEIR_TEST_SEED=%llu\n", (unsigned long long)random_state);
    return 0;
}

/* ---- Streams ---- */

#define STREAM_BYTES_MAX 512

struct stream {
    unsigned char bytes[STREAM_BYTES_MAX];
    size_t len;
};

static void stream_add(struct stream *stream, const void *bytes, size_t len)
{
    assert_true(stream->len + len <= sizeof stream->bytes);
    memcpy(stream->bytes + stream->len, bytes, len);
    stream->len += len;
}

static void add_field(struct stream *stream, const struct framing *framing, uint64_t value)
{
    unsigned char field[8];

    for (size_t i = 0; i < framing->field_bytes; i++) {
        size_t shift = 8 * (framing->little_endian ? i : framing->field_bytes - 1 - i);
        field[i] = (unsigned char)(value >> shift);
    }
    stream_add(stream, field, framing->field_bytes);
}

/* One message of content_len bytes, framed. Where a length field cannot say it, it wraps: one more lie. */
static void add_message(struct stream *stream, const struct framing *framing, size_t content_len)
{
    char content[STREAM_BYTES_MAX];

    for (size_t i = 0; i < content_len; i++)
        content[i] = "xyz\r"[random_below(4)];
    if (framing->kind == LENGTH) {
        size_t total = content_len + (size_t)framing->strip;
        size_t rest = total > header_bytes(framing) ? total - header_bytes(framing) : 0;
        stream_add(stream, "headerheader", (size_t)framing->offset);
        add_field(stream, framing, rest - (uint64_t)framing->adjust);
        memset(content, '.', sizeof content);
        stream_add(stream, content, rest);
        return;
    }
    stream_add(stream, content, content_len);
    if (framing->kind == DELIMITER) stream_add(stream, framing->delimiter, strlen(framing->delimiter));
    if (framing->kind == LINE) stream_add(stream, &"\r\n\r\n"[random_below(3)], 1 + random_below(2));
}

/* What no honest client sends: near-terminators, cut ones, lengths that lie. */
static void add_noise(struct stream *stream, const struct framing *framing)
{
    static const uint64_t lies[] = {
        0,
        1,
        8,
        0x7f,
        0x80,
        0xff,
        0x7fffffff,
        0x80000000,
        0xffffffff,
        INT64_MAX,
        1 + (uint64_t)INT64_MAX,
        UINT64_MAX - 8,
        UINT64_MAX,
    };
    size_t len = framing->kind == DELIMITER ? strlen(framing->delimiter) : 0;

    if (framing->kind == LINE) stream_add(stream, &"\r\r\n\n\r\n\r"[random_below(5)], 1 + random_below(2));
    if (framing->kind == DELIMITER) stream_add(stream, framing->delimiter, random_below(len < 8 ? len : 8) + 1);
    if (framing->kind == LENGTH) {
        stream_add(stream, "headerheader", (size_t)framing->offset);
        add_field(stream, framing, lies[random_below(sizeof lies / sizeof lies[0])]);
    }
}

/* At least len bytes: messages, some noise, and a tail that may be cut anywhere. */
static void stream_generate(struct stream *stream, const struct framing *framing, size_t len)
{
    stream->len = 0;
    while (stream->len < len) {
        if (random_below(6) == 0) {
            add_noise(stream, framing);
        } else {
            add_message(stream, framing, random_below(10));
        }
    }
    if (random_below(2)) stream->len = len;
}

/* ---- The reference ---- */

struct event {
    enum weir_decoded kind;
    size_t end;  /* the offset in the stream behind the message and its framing */
    size_t from; /* MESSAGE: where it begins in the stream, and its length as delivered */
    size_t len;
    uint64_t original_len;
    unsigned flags;
};

#define EVENTS_MAX STREAM_BYTES_MAX

struct outcome {
    struct event events[EVENTS_MAX];
    size_t count;
};

/* What begins at an offset of a stream that is known up to len. */
struct found {
    enum { WHOLE, PART, BAD } what;
    size_t from;          /* WHOLE: the content, without framing, begins here */
    uint64_t content_len; /* WHOLE: its length; PART: what is certain of its length by now */
    size_t end;           /* WHOLE */
    unsigned flags;
};

static struct found find_until(const unsigned char *bytes, size_t len, size_t at, const char *terminator, int ended)
{
    size_t terminator_len = strlen(terminator), maybe = 0;

    for (size_t i = at; i + terminator_len <= len; i++) {
        if (memcmp(bytes + i, terminator, terminator_len) == 0) {
            return (struct found){ WHOLE, at, i - at, i + terminator_len, 0 };
        }
    }
    if (ended && at < len) return (struct found){ WHOLE, at, len - at, len, WEIR_MESSAGE_UNFINISHED };
    for (size_t n = 1; n < terminator_len && n <= len - at; n++) {
        if (memcmp(bytes + len - n, terminator, n) == 0) maybe = n;
    }
    return (struct found){ PART, at, len - at - maybe, 0, 0 };
}

static struct found find_line(const unsigned char *bytes, size_t len, size_t at, int ended)
{
    struct found found = find_until(bytes, len, at, "\n", ended);

    if (found.content_len > 0 && bytes[at + found.content_len - 1] == '\r' && !found.flags) found.content_len--;
    return found;
}

__extension__ typedef __int128 wide;

static struct found find_length(const struct framing *framing, const unsigned char *bytes, size_t len, size_t at)
{
    uint64_t value = 0;
    wide total;

    if (len - at < header_bytes(framing)) return (struct found){ PART, at, 0, 0, 0 };
    for (size_t i = 0; i < framing->field_bytes; i++) {
        size_t shift = 8 * (framing->little_endian ? i : framing->field_bytes - 1 - i);
        value |= (uint64_t)bytes[at + (size_t)framing->offset + i] << shift;
    }
    total = (wide)value + framing->adjust + framing->offset + (wide)framing->field_bytes;
    if (value > INT64_MAX || total < (wide)header_bytes(framing) || total < framing->strip) {
        return (struct found){ BAD, 0, 0, 0, 0 };
    }
    if (total > (wide)(len - at)) return (struct found){ PART, at, (uint64_t)(total - framing->strip), 0, 0 };
    return (struct found){ WHOLE, at + (size_t)framing->strip, (uint64_t)(total - framing->strip), at + (size_t)total,
                           0 };
}

static struct found find(const struct framing *framing, const unsigned char *bytes, size_t len, size_t at, int ended)
{
    if (framing->kind == LINE) return find_line(bytes, len, at, ended);
    if (framing->kind == DELIMITER) return find_until(bytes, len, at, framing->delimiter, ended);
    return find_length(framing, bytes, len, at);
}

static void reference(const struct framing *framing, const struct stream *stream, size_t len, int ended, size_t max,
                      enum weir_too_long policy, struct outcome *ret)
{
    size_t at = 0;

    ret->count = 0;
    for (;;) {
        struct found found = find(framing, stream->bytes, len, at, ended);
        struct event *event = &ret->events[ret->count];
        int too_long = found.content_len > max;

        if (found.what == PART && !(too_long && policy == WEIR_TOO_LONG_CLOSE)) return;
        *event = (struct event){ WEIR_DECODED_MESSAGE,      found.end,         found.from,
                                 (size_t)found.content_len, found.content_len, found.flags };
        ret->count++;
        at = found.end;
        if (found.what == BAD || (too_long && policy == WEIR_TOO_LONG_CLOSE)) {
            *event = (struct event){ .kind = found.what == BAD ? WEIR_DECODED_MALFORMED : WEIR_DECODED_TOO_LONG };
            return;
        }
        if (too_long && policy == WEIR_TOO_LONG_SKIP) {
            *event = (struct event){ .kind = WEIR_DECODED_SKIPPED, .end = at, .original_len = found.content_len };
        } else if (too_long) {
            event->len = max;
            event->flags |= WEIR_MESSAGE_TRUNCATED;
        }
    }
}

/* ---- The driver ---- */

/* One way to decode one stream. */
struct run {
    const struct framing *framing;
    const struct weir_frame *frame;
    const struct stream *stream;
    const size_t *due; /* how many events the first n bytes make */
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
    size_t kept_max = run->max + 1; /* line: its CR */
    int looked_at = run->framing->kind != LENGTH || decode->len >= header_bytes(run->framing);

    if (run->framing->kind == DELIMITER) kept_max = run->max + strlen(run->framing->delimiter) - 1;
    if (run->framing->kind == LENGTH) {
        kept_max = run->max + (size_t)run->framing->strip;
        if (kept_max < header_bytes(run->framing) - 1) kept_max = header_bytes(run->framing) - 1;
    }
    require(drive, decode->consumed + decode->dropped <= decode->len, "let go of more than there is");
    drive_window(drive, decode->consumed, decode->len - decode->consumed - decode->dropped, NULL, 0);
    require(drive, drive->window_len <= kept_max, "keeps more than the limit");
    if (run->poison != NULL && looked_at) drive_poison(drive, run->poison);
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
    if (drive->run->poison != NULL || message->len == 0) return;
    require(drive, memcmp(message->data, drive->run->stream->bytes + event->from, message->len) == 0, "other bytes");
}

static void drive_feed(struct drive *drive, size_t len, int ended)
{
    const struct run *run = drive->run;
    enum weir_decoded kind;

    drive_window(drive, 0, drive->window_len, run->stream->bytes + drive->fed, len);
    drive->fed += len;
    do {
        struct weir_decode decode = { .bytes = drive->window,
                                      .len = drive->window_len,
                                      .ended = ended,
                                      .message_bytes_max = run->max,
                                      .too_long = run->policy };
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
        if (i < 3 && run->poison == NULL) continue;
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

    for (size_t policy = 0; policy < POLICIES; policy++) {
        for (size_t n = 0; n <= stream->len; n++) {
            reference(framing, stream, n, 0, max, (enum weir_too_long)policy, &expected);
            due[n] = expected.count;
        }
        for (int ended = 0; ended <= 1; ended++) {
            struct run run = { .framing = framing,
                               .frame = frame,
                               .stream = stream,
                               .due = due,
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

    if (weir_frame_new(spec, &frame, error, sizeof error) != 0) fail_msg("%s", error);
    return frame;
}

static void every_split_of_short_streams(void **state)
{
    struct stream stream;

    (void)state;
    for (size_t f = 0; f < FRAMINGS; f++) {
        struct weir_frame *frame = frame_new(framings[f].spec);
        for (size_t i = 0; i < 10 * LIMITS; i++) {
            stream_generate(&stream, &framings[f], 1 + random_below(SHORT_STREAM));
            if (stream.len > SHORT_STREAM) stream.len = SHORT_STREAM;
            run_stream(&framings[f], frame, &stream, limits[i % LIMITS]);
        }
        weir_frame_free(frame);
    }
    assert_true(runs > FRAMINGS * LIMITS);
}

static void every_split_of_long_streams(void **state)
{
    struct stream stream;

    (void)state;
    for (size_t f = 0; f < FRAMINGS; f++) {
        struct weir_frame *frame = frame_new(framings[f].spec);
        for (size_t i = 0; i < 5 * LIMITS; i++) {
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
    for (size_t f = 0; f < FRAMINGS; f++) {
        struct weir_frame *frame = frame_new(framings[f].spec);
        for (size_t pair = 0; pair < lengths * lengths; pair++) {
            stream.len = 0;
            add_message(&stream, &framings[f], pair / lengths);
            add_message(&stream, &framings[f], pair % lengths);
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
            for (size_t at = 0; at < sizeof window;) {
                size_t len = sizeof window - at < max ? sizeof window - at : max;
                struct weir_decode decode = { .bytes = window + at,
                                              .len = sizeof window - at,
                                              .message_bytes_max = max,
                                              .too_long = (enum weir_too_long)policy };
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
    struct weir_decode nothing = { .bytes = window, .ended = 1, .message_bytes_max = 1 };
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
};

static void lengths_that_lie(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof claims / sizeof claims[0]; i++) {
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

#define BLOCK_BYTES ((size_t)32 << 20)

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
        struct weir_decode decode = { .bytes = block, .len = kept + more, .message_bytes_max = 10, .too_long = policy };

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
    const uint64_t len = (UINT64_C(1) << 32) + 12345;

    (void)state;
    for (enum weir_too_long policy = WEIR_TOO_LONG_SKIP; policy <= WEIR_TOO_LONG_TRUNCATE; policy++) {
        endless("line", "", 0, "\r\n", len, policy);
        endless("delimiter:abc", "", 0, "abc", len, policy);
        endless("length:u64be", "\x00\x00\x00\x01\x00\x00\x30\x39", 8, "", len, policy);
    }
}

/* ---- Sending ---- */

/* Encodes into memory of exactly the promised size, and returns how much was written; *ret is to be freed. */
static ssize_t encode(const struct weir_frame *frame, struct weir_bytes message, unsigned char **ret)
{
    const struct weir_codec *codec = weir_frame_codec(frame);
    size_t room = codec->encoded_bytes_max(weir_frame_config(frame), message.len);
    ssize_t len;

    *ret = malloc(room);
    assert_non_null(*ret);
    len = codec->encode(weir_frame_config(frame), message, *ret, room);
    assert_true(len <= (ssize_t)room);
    return len;
}

static void round_trip(const struct weir_frame *frame, struct weir_bytes message)
{
    const struct weir_codec *codec = weir_frame_codec(frame);
    uint64_t codec_state[2] = { 0 };
    unsigned char *wire;
    ssize_t len = encode(frame, message, &wire);
    struct weir_decode decode = { .bytes = wire, .len = (size_t)len, .message_bytes_max = 1 << 20 };

    assert_true(len > 0);
    assert_int_equal(codec->decode(weir_frame_config(frame), codec_state, &decode), WEIR_DECODED_MESSAGE);
    assert_int_equal(decode.consumed, len);
    assert_int_equal(decode.message.len, message.len);
    if (message.len > 0) assert_memory_equal(decode.message.data, message.data, message.len);
    free(wire);
}

static void what_is_sent_arrives(void **state)
{
    unsigned char bytes[300];
    size_t reversible = 0;

    (void)state;
    for (size_t f = 0; f < FRAMINGS; f++) {
        struct weir_frame *frame = frame_new(framings[f].spec);
        size_t least = framings[f].adjust > 0 ? (size_t)framings[f].adjust : 0;
        for (size_t len = least; weir_frame_is_reversible(frame) && len <= 250; len++) {
            for (size_t i = 0; i < len; i++)
                bytes[i] = (unsigned char)(framings[f].kind == LENGTH ? random_below(256) : 'A' + random_below(26));
            round_trip(frame, (struct weir_bytes){ bytes, len });
            reversible += len == least;
        }
        weir_frame_free(frame);
    }
    assert_int_equal(reversible, 18); /* of the table: all but those with an offset or another strip */
}

#define BYTES(text)                                     \
    {                                                   \
        (const unsigned char *)(text), sizeof(text) - 1 \
    }

static const struct {
    const char *spec;
    struct weir_bytes message;
    struct weir_bytes wire;
} wires[] = {
    { "line", BYTES(""), BYTES("\n") },
    { "line", BYTES("a"), BYTES("a\n") },
    { "line", BYTES("a\n"), BYTES("a\n") },
    { "line", BYTES("a\r\n"), BYTES("a\r\n") },
    { "line", BYTES("\n"), BYTES("\n") },
    { "line", BYTES("a\n\n"), BYTES("a\n\n") },
    { "line:crlf", BYTES(""), BYTES("\r\n") },
    { "line:crlf", BYTES("a"), BYTES("a\r\n") },
    { "line:crlf", BYTES("a\n"), BYTES("a\r\n") },
    { "line:crlf", BYTES("a\r\n"), BYTES("a\r\n") },
    { "line:crlf", BYTES("\n"), BYTES("\r\n") },
    { "line:crlf", BYTES("a\r"), BYTES("a\r\r\n") },
    { "delimiter:\\r\\n", BYTES("a"), BYTES("a\r\n") },
    { "delimiter:\\0", BYTES(""), BYTES("\0") },
    { "delimiter:;", BYTES("a;"), BYTES("a;;") },
    { "length:u8", BYTES("abc"),
      BYTES("\x03"
            "abc") },
    { "length:u8", BYTES(""), BYTES("\0") },
    { "length:u24be,adjust=-3", BYTES("abc"),
      BYTES("\0\0\x06"
            "abc") },
    { "length:u16le,adjust=1", BYTES("abc"),
      BYTES("\x02\0"
            "abc") },
    { "length:u64le", BYTES("a"),
      BYTES("\x01\0\0\0\0\0\0\0"
            "a") },
};

static void wire_formats(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wires / sizeof wires[0]; i++) {
        struct weir_frame *frame = frame_new(wires[i].spec);
        unsigned char *wire;
        ssize_t len = encode(frame, wires[i].message, &wire);

        assert_int_equal(len, wires[i].wire.len);
        assert_memory_equal(wire, wires[i].wire.data, wires[i].wire.len);
        free(wire);
        weir_frame_free(frame);
    }
}

/* One byte less than promised is refused, unless the message needs less. */
static void encode_checks_its_room(void **state)
{
    static const char *const specs[] = { "line", "line:crlf", "delimiter:abc", "length:u32be" };
    unsigned char wire[16];

    (void)state;
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        struct weir_frame *frame = frame_new(specs[i]);
        const struct weir_codec *codec = weir_frame_codec(frame);
        struct weir_bytes message = { (const unsigned char *)"hello", 5 };
        size_t room = codec->encoded_bytes_max(weir_frame_config(frame), message.len);

        assert_int_equal(codec->encode(weir_frame_config(frame), message, wire, room), room);
        assert_int_equal(codec->encode(weir_frame_config(frame), message, wire, room - 1), -ENOBUFS);
        weir_frame_free(frame);
    }
}

static void encode_refuses_what_does_not_fit(void **state)
{
    static const struct {
        const char *spec;
        size_t len;
        int fits;
    } cases[] = {
        { "length:u8", 255, 1 },           { "length:u8", 256, 0 },          { "length:u16be", 65535, 1 },
        { "length:u16be", 65536, 0 },      { "length:u16le", 65536, 0 },     { "length:u8,adjust=-1", 254, 1 },
        { "length:u8,adjust=-1", 255, 0 }, { "length:u8,adjust=2", 2, 1 },   { "length:u8,adjust=2", 1, 0 },
        { "length:u8,adjust=2", 257, 1 },  { "length:u8,adjust=2", 258, 0 }, { "length:u24be", 65536, 1 },
    };
    static const unsigned char zeros[65536];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct weir_frame *frame = frame_new(cases[i].spec);
        unsigned char *wire;
        ssize_t len = encode(frame, (struct weir_bytes){ zeros, cases[i].len }, &wire);

        free(wire);
        if (!cases[i].fits) assert_int_equal(len, -EMSGSIZE);
        if (cases[i].fits) round_trip(frame, (struct weir_bytes){ zeros, cases[i].len });
        weir_frame_free(frame);
    }
}

static void what_cannot_be_reversed_is_not_encoded(void **state)
{
    static const char *const specs[] = { "length:u16be,offset=2", "length:u16be,strip=0", "length:u8,strip=5",
                                         "length:u8,offset=1,strip=2" };

    (void)state;
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        struct weir_frame *frame = frame_new(specs[i]);
        unsigned char *wire;

        assert_false(weir_frame_is_reversible(frame));
        assert_int_equal(encode(frame, (struct weir_bytes){ (const unsigned char *)"hello", 5 }, &wire), -EINVAL);
        free(wire);
        weir_frame_free(frame);
    }
}

static void states_fit_into_a_connection(void **state)
{
    (void)state;
    for (size_t f = 0; f < FRAMINGS; f++) {
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
        cmocka_unit_test(what_is_sent_arrives),
        cmocka_unit_test(wire_formats),
        cmocka_unit_test(encode_checks_its_room),
        cmocka_unit_test(encode_refuses_what_does_not_fit),
        cmocka_unit_test(what_cannot_be_reversed_is_not_encoded),
        cmocka_unit_test(states_fit_into_a_connection),
    };

    return cmocka_run_group_tests_name("frame", tests, seed, NULL);
}

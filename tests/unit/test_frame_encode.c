/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Sending: what is encoded is decoded to what it was, or refused. */
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

static struct weir_frame *frame_new(const char *spec)
{
    struct weir_frame *frame = NULL;
    char error[256] = "";

    if (weir_frame_new(spec, &frame, error, sizeof(error)) != 0) fail_msg("%s", error);
    return frame;
}

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
    struct weir_decode decode = WEIR_DECODE(.bytes = wire, .len = (size_t)len, .message_bytes_max = 1 << 20);

    assert_true(len > 0);
    assert_int_equal(codec->decode(weir_frame_config(frame), codec_state, &decode), WEIR_DECODED_MESSAGE);
    assert_int_equal(decode.consumed, len);
    assert_int_equal(decode.message.len, message.len);
    if (message.len > 0) assert_memory_equal(decode.message.data, message.data, message.len);
    free(wire);
}

/* Text for those that find the end of a message by its bytes. */
static void fill(const struct framing *framing, unsigned char *bytes, size_t len)
{
    int text = framing->kind == LINE || framing->kind == DELIMITER || (framing->kind == BETWEEN && !framing->escape);

    for (size_t i = 0; i < len; i++)
        bytes[i] = (unsigned char)(text ? 'A' + random_below(26) : random_below(256));
    if (framing->kind != BETWEEN || !framing->map) return;
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] == framing->escape || bytes[i] == (unsigned char)framing->end[0]) bytes[i] = 'A';
    }
}

static size_t shortest(const struct framing *framing)
{
    if (framing->kind == LENGTH && framing->adjust > 0) return (size_t)framing->adjust;
    if (framing->kind == OCTET_COUNT) return 1;
    return framing->kind == BETWEEN && strcmp(framing->start, framing->end) == 0;
}

static void what_is_sent_arrives(void **state)
{
    unsigned char bytes[300];
    size_t reversible = 0;

    (void)state;
    for (size_t f = 0; f < framing_count; f++) {
        struct weir_frame *frame = frame_new(framings[f].spec);
        size_t least = shortest(&framings[f]);
        for (size_t len = least; weir_frame_is_reversible(frame) && len <= 250; len++) {
            fill(&framings[f], bytes, len);
            round_trip(frame, (struct weir_bytes){ bytes, len });
            reversible += len == least;
        }
        weir_frame_free(frame);
    }
    assert_int_equal(reversible, framing_count - 8); /* all but 5 of length and the 3 of fixed */
}

/* A message that is full of bytes with a meaning is sent as its SPEC says where it can be read back, else refused. */
static void what_could_not_be_read_back_is_refused(void **state)
{
    static struct outcome outcome;
    size_t sent = 0, refused = 0;

    (void)state;
    for (size_t f = 0; f < framing_count; f++) {
        struct weir_frame *frame = framings[f].kind == BETWEEN ? frame_new(framings[f].spec) : NULL;
        for (size_t i = 0; frame && i < 2000; i++) {
            unsigned char bytes[9], *wire;
            struct weir_bytes message = { bytes, random_below(sizeof(bytes) + 1) };
            struct stream stream = { .len = 0 };
            ssize_t len;

            for (size_t n = 0; n < message.len; n++)
                bytes[n] = random_special(&framings[f]);
            stream_add_between(&stream, &framings[f], message);
            reference(&framings[f], &stream, stream.len, 0, sizeof(bytes), WEIR_TOO_LONG_CLOSE, &outcome);
            len = encode(frame, message, &wire);
            if (outcome.count == 1 && !outcome.under_way && outcome.content_len == message.len &&
                memcmp(outcome.content, bytes, message.len) == 0) {
                assert_int_equal(len, stream.len);
                assert_memory_equal(wire, stream.bytes, stream.len);
                sent++;
            } else {
                assert_int_equal(len, -EINVAL);
                refused++;
            }
            free(wire);
        }
        weir_frame_free(frame);
    }
    assert_true(sent > 10000 && refused > 1000);
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
    { "fixed:5", BYTES("hello"), BYTES("hello") },
    { "fixed:5,pad=0", BYTES("abc"), BYTES("abc\0\0") },
    { "fixed:5,pad=\\x20", BYTES("abc"), BYTES("abc  ") },
    { "fixed:5,pad=48", BYTES(""), BYTES("00000") },
    { "fixed:3,pad=.", BYTES("abc"), BYTES("abc") },
    { "varint", BYTES(""), BYTES("\0") },
    { "varint", BYTES("abc"),
      BYTES("\x03"
            "abc") },
    { "octet-count", BYTES("<13>hello"), BYTES("9 <13>hello") },
    { "octet-count", BYTES("0123456789"), BYTES("10 0123456789") },
    { "netstring", BYTES(""), BYTES("0:,") },
    { "netstring", BYTES("hello world!"), BYTES("12:hello world!,") },
    { "between:\\x02,\\x03", BYTES(""), BYTES("\2\3") },
    { "between:\\x02,\\x03", BYTES("a\2"), BYTES("\2a\2\3") },
    { "between:<<,>>", BYTES("a>b<<"), BYTES("<<a>b<<>>") },
    { "between:\\x02,\\x03,escape=27", BYTES("a\2b\3c\033"), BYTES("\2a\033\2b\033\3c\033\033\3") },
    { "between:\\x10\\x02,\\x10\\x03,escape=\\x10", BYTES("a\x10\x03"), BYTES("\x10\2a\x10\x10\3\x10\3") },
    /* JT/T 808, as its text has it */
    { "between:\\x7e,\\x7e,escape=\\x7d,map=\\x7e:\\x02,map=\\x7d:\\x01", BYTES("\x30\x7e\x08\x7d\x55"),
      BYTES("\x7e\x30\x7d\x02\x08\x7d\x01\x55\x7e") },
    /* HDLC-like framing, RFC 1662 */
    { "between:~,~,escape=0x7d,xor=0x20", BYTES("a~b}c"), BYTES("~a}^b}]c~") },
    { "slip", BYTES("a\xc0\xdb\xdc"),
      BYTES("\xc0"
            "a\xdb\xdc\xdb\xdd\xdc\xc0") },
};

static void wire_formats(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(wires) / sizeof(wires[0]); i++) {
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
    static const char *const specs[] = { "line",   "line:crlf",   "delimiter:abc", "length:u32be", "fixed:9,pad=0",
                                         "varint", "octet-count", "netstring",     "between:<,>" };
    unsigned char wire[16];

    (void)state;
    for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
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
        { "length:u8", 255, 1 },
        { "length:u8", 256, 0 },
        { "length:u16be", 65535, 1 },
        { "length:u16be", 65536, 0 },
        { "length:u16le", 65536, 0 },
        { "length:u8,adjust=-1", 254, 1 },
        { "length:u8,adjust=-1", 255, 0 },
        { "length:u8,adjust=2", 2, 1 },
        { "length:u8,adjust=2", 1, 0 },
        { "length:u8,adjust=2", 257, 1 },
        { "length:u8,adjust=2", 258, 0 },
        { "length:u24be", 65536, 1 },
        { "fixed:8", 8, 1 },
        { "fixed:8", 7, 0 },
        { "fixed:8", 9, 0 },
        { "fixed:8,pad=0", 9, 0 },
        { "varint", 65536, 1 },
        { "octet-count", 0, 0 },
        { "octet-count", 1, 1 },
        { "octet-count", 65536, 1 },
        { "netstring", 65536, 1 },
    };
    static const unsigned char zeros[65536];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct weir_frame *frame = frame_new(cases[i].spec);
        unsigned char *wire;
        ssize_t len = encode(frame, (struct weir_bytes){ zeros, cases[i].len }, &wire);

        free(wire);
        if (!cases[i].fits) assert_int_equal(len, -EMSGSIZE);
        if (cases[i].fits) round_trip(frame, (struct weir_bytes){ zeros, cases[i].len });
        weir_frame_free(frame);
    }
}

/* Of what nobody can send, the length alone has to be enough. */
static void encode_refuses_a_length_that_cannot_be_written(void **state)
{
    static const char *const specs[] = { "octet-count", "netstring" };
    unsigned char nothing;

    (void)state;
    for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
        struct weir_frame *frame = frame_new(specs[i]);
        struct weir_bytes message = { &nothing, 10000000000 };

        assert_int_equal(weir_frame_codec(frame)->encode(weir_frame_config(frame), message, &nothing, 1), -EMSGSIZE);
        message.len--;
        assert_int_equal(weir_frame_codec(frame)->encode(weir_frame_config(frame), message, &nothing, 1), -ENOBUFS);
        weir_frame_free(frame);
    }
}

static void what_cannot_be_reversed_is_not_encoded(void **state)
{
    static const char *const specs[] = { "length:u16be,offset=2", "length:u16be,strip=0", "length:u8,strip=5",
                                         "length:u8,offset=1,strip=2" };

    (void)state;
    for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
        struct weir_frame *frame = frame_new(specs[i]);
        unsigned char *wire;

        assert_false(weir_frame_is_reversible(frame));
        assert_int_equal(encode(frame, (struct weir_bytes){ (const unsigned char *)"hello", 5 }, &wire), -EINVAL);
        free(wire);
        weir_frame_free(frame);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_sent_arrives),
        cmocka_unit_test(what_could_not_be_read_back_is_refused),
        cmocka_unit_test(wire_formats),
        cmocka_unit_test(encode_checks_its_room),
        cmocka_unit_test(encode_refuses_what_does_not_fit),
        cmocka_unit_test(encode_refuses_a_length_that_cannot_be_written),
        cmocka_unit_test(what_cannot_be_reversed_is_not_encoded),
    };

    return cmocka_run_group_tests_name("frame_encode", tests, seed, NULL);
}

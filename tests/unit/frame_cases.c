/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Framings, streams and what is in them. The reference looks at the whole stream from the front for every answer, and
 * shares no code with the codecs. */
#include "frame_cases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- The framings under test ---- */

#define DELIMITER_64 "abababababababababababababababababababababababababababababababac"
/* clang-format off */
#define LENGTH_POISONS { "", "\xff", "\x01" }
#define DECIMAL_POISONS { "0", " :,", "9" }
/* clang-format on */

const struct framing framings[] = {
    { "line", LINE, .poisons = { "\n", "\r", "x" } },
    { "line:crlf", LINE, .poisons = { "\n", "\r", "x" } },
    { "delimiter:;", DELIMITER, ";", .poisons = { ";", "x" } },
    { "delimiter:\\r\\n", DELIMITER, "\r\n", .poisons = { "\r\n", "\r", "x" } },
    { "delimiter:aab", DELIMITER, "aab", .poisons = { "aab", "a", "x" } },
    { "delimiter:abacabad", DELIMITER, "abacabad", .poisons = { "abacabad", "abac", "x" } },
    { "delimiter:" DELIMITER_64, DELIMITER, DELIMITER_64, .poisons = { DELIMITER_64, "ab", "x" } },
    { "length:u8", LENGTH, NULL, 1, 0, 0, 0, 1, .poisons = LENGTH_POISONS },
    { "length:u16be", LENGTH, NULL, 2, 0, 0, 0, 2, .poisons = LENGTH_POISONS },
    { "length:u16le", LENGTH, NULL, 2, 1, 0, 0, 2, .poisons = LENGTH_POISONS },
    { "length:u24be", LENGTH, NULL, 3, 0, 0, 0, 3, .poisons = LENGTH_POISONS },
    { "length:u24le", LENGTH, NULL, 3, 1, 0, 0, 3, .poisons = LENGTH_POISONS },
    { "length:u32be", LENGTH, NULL, 4, 0, 0, 0, 4, .poisons = LENGTH_POISONS },
    { "length:u32le", LENGTH, NULL, 4, 1, 0, 0, 4, .poisons = LENGTH_POISONS },
    { "length:u64be", LENGTH, NULL, 8, 0, 0, 0, 8, .poisons = LENGTH_POISONS },
    { "length:u64le", LENGTH, NULL, 8, 1, 0, 0, 8, .poisons = LENGTH_POISONS },
    { "length:u16be,strip=0", LENGTH, NULL, 2, 0, 0, 0, 0, .poisons = LENGTH_POISONS },
    { "length:u16be,offset=2", LENGTH, NULL, 2, 0, 2, 0, 0, .poisons = LENGTH_POISONS },
    { "length:u16be,adjust=-2", LENGTH, NULL, 2, 0, 0, -2, 2, .poisons = LENGTH_POISONS },
    { "length:u8,adjust=-3,strip=0", LENGTH, NULL, 1, 0, 0, -3, 0, .poisons = LENGTH_POISONS },
    { "length:u8,offset=1,adjust=1,strip=3", LENGTH, NULL, 1, 0, 1, 1, 3, .poisons = LENGTH_POISONS },
    { "length:u8,adjust=3", LENGTH, NULL, 1, 0, 0, 3, 1, .poisons = LENGTH_POISONS },
    { "length:u8,strip=5", LENGTH, NULL, 1, 0, 0, 0, 5, .poisons = LENGTH_POISONS },
    { "fixed:1", FIXED, .fixed_len = 1, .poisons = { "" } },
    { "fixed:3,pad=0", FIXED, .fixed_len = 3, .poisons = { "" } },
    { "fixed:8", FIXED, .fixed_len = 8, .poisons = { "" } },
    { "varint", VARINT, .poisons = { "", "\xff", "\x01" } },
    { "octet-count", OCTET_COUNT, .poisons = DECIMAL_POISONS },
    { "netstring", NETSTRING, .poisons = DECIMAL_POISONS },
    { "between:<,>", BETWEEN, .start = "<", .end = ">", .poisons = { ">", "<", "x" } },
    { "between:ab,aab", BETWEEN, .start = "ab", .end = "aab", .poisons = { "aab", "a", "ab" } },
    { "between:aba,abacabad", BETWEEN, .start = "aba", .end = "abacabad", .poisons = { "abacabad", "abac", "x" } },
    { "between:~,~", BETWEEN, .start = "~", .end = "~", .poisons = { "~", "x" } },
    { "between:--,--", BETWEEN, .start = "--", .end = "--", .poisons = { "--", "-", "x" } },
    { "between:\\x02,\\x03,escape=\\e", BETWEEN, .start = "\x02", .end = "\x03", .escape = 033,
      .poisons = { "\x03", "\033", "\x02" } },
    { "between:ab,aba,escape=\\\\", BETWEEN, .start = "ab", .end = "aba", .escape = '\\',
      .poisons = { "aba", "\\", "ab" } },
    { "between:~,~,escape=},xor=0x20", BETWEEN, .start = "~", .end = "~", .escape = '}', .change = 0x20,
      .poisons = { "~", "}", "x" } },
    { "between:\\x7e,\\x7e,escape=\\x7d,map=\\x7e:\\x02,map=\\x7d:\\x01", BETWEEN, .start = "~", .end = "~",
      .escape = 0x7d, .map = "\x7e\x02\x7d\x01", .poisons = { "~", "}", "\x01" } },
    { "between:[[,]],escape=#,map=]:x,map=y:]", BETWEEN, .start = "[[", .end = "]]", .escape = '#', .map = "]xy]",
      .poisons = { "]]", "#", "x" } },
    { "between:[[,]],escape=#,map=#:h", BETWEEN, .start = "[[", .end = "]]", .escape = '#', .map = "#h",
      .poisons = { "]]", "#", "h" } },
    { "between:\\x10\\x02,\\x10\\x03,escape=\\x10", BETWEEN, .start = "\x10\x02", .end = "\x10\x03", .escape = 0x10,
      .poisons = { "\x10\x03", "\x03", "\x10" } },
    { "between:\\x10,\\x10\\x03,escape=16", BETWEEN, .start = "\x10", .end = "\x10\x03", .escape = 0x10,
      .poisons = { "\x10\x03", "\x03", "\x10" } },
    { "between:!?,!?,escape=!,xor=1", BETWEEN, .start = "!?", .end = "!?", .escape = '!', .change = 1,
      .poisons = { "!?", "?", "!" } },
    { "slip", BETWEEN, .start = "\xc0", .end = "\xc0", .escape = 0xdb, .map = "\xc0\xdc\xdb\xdd", .starts_open = 1,
      .poisons = { "\xc0", "\xdb", "\xdc" } },
};

const size_t framing_count = sizeof(framings) / sizeof(framings[0]);

size_t header_bytes(const struct framing *framing)
{
    switch (framing->kind) {
    case LENGTH:
        return (size_t)framing->offset + framing->field_bytes;
    case VARINT:
        return 9;
    case OCTET_COUNT:
    case NETSTRING:
        return 11;
    case BETWEEN:
        return strlen(framing->start);
    case LINE:
    case DELIMITER:
    case FIXED:
        break;
    }
    return 0;
}

/* ---- Random numbers ---- */

static uint64_t random_state;

static uint64_t random_next(void)
{
    uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

size_t random_below(size_t bound)
{
    return (size_t)(random_next() % bound);
}

int seed(void **state)
{
    const char *text = getenv("WEIR_TEST_SEED");

    (void)state;
    random_state = text ? strtoull(text, NULL, 0) : 20261123;
    fprintf(stderr, "WEIR_TEST_SEED=%llu\n", (unsigned long long)random_state);
    return 0;
}

/* ---- Streams ---- */

void stream_add(struct stream *stream, const void *bytes, size_t len)
{
    assert_true(stream->len + len <= sizeof(stream->bytes));
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

static void add_length_message(struct stream *stream, const struct framing *framing, size_t content_len)
{
    size_t header = header_bytes(framing), total = content_len + (size_t)framing->strip;
    size_t rest = total > header ? total - header : 0;
    char content[STREAM_BYTES_MAX];

    memset(content, '.', sizeof(content));
    stream_add(stream, "headerheader", (size_t)framing->offset);
    add_field(stream, framing, rest - (uint64_t)framing->adjust);
    stream_add(stream, content, rest);
}

/* What stands before a message: its length, and for the decimals another byte. */
static void add_count(struct stream *stream, enum framing_kind kind, uint64_t len)
{
    char header[32];

    if (kind != VARINT) {
        snprintf(header, sizeof(header), "%llu%c", (unsigned long long)len, kind == NETSTRING ? ':' : ' ');
        stream_add(stream, header, strlen(header));
        return;
    }
    for (; len > 127; len /= 128)
        stream_add(stream, &(unsigned char){ (unsigned char)(len % 128 + 128) }, 1);
    stream_add(stream, &(unsigned char){ (unsigned char)len }, 1);
}

/* Behind the escape, what is sent for a byte; -1 for those that are sent as they are. */
static int sent_as(const struct framing *framing, unsigned char byte)
{
    if (framing->escape == 0) return -1;
    for (const char *pair = framing->map; pair && *pair != '\0'; pair += 2) {
        if ((unsigned char)pair[0] == byte) return (unsigned char)pair[1];
    }
    if (framing->map) return -1;
    if (byte != framing->escape && byte != (unsigned char)framing->start[0] && byte != (unsigned char)framing->end[0]) {
        return -1;
    }
    return byte ^ framing->change;
}

void stream_add_between(struct stream *stream, const struct framing *framing, struct weir_bytes message)
{
    stream_add(stream, framing->start, strlen(framing->start));
    for (size_t i = 0; i < message.len; i++) {
        int sent = sent_as(framing, message.data[i]);
        if (sent < 0) {
            stream_add(stream, &message.data[i], 1);
        } else {
            stream_add(stream, &framing->escape, 1);
            stream_add(stream, &(unsigned char){ (unsigned char)sent }, 1);
        }
    }
    stream_add(stream, framing->end, strlen(framing->end));
}

/* A byte that means something to the framing, or not. */
unsigned char random_special(const struct framing *framing)
{
    char bytes[64];
    int len = snprintf(bytes, sizeof(bytes), "%s%s%s%cxy", framing->start, framing->end,
                       framing->map ? framing->map : "\xf0", framing->escape ? framing->escape : 'z');

    return (unsigned char)bytes[random_below((size_t)len)];
}

void stream_add_message(struct stream *stream, const struct framing *framing, size_t content_len)
{
    unsigned char content[STREAM_BYTES_MAX];

    for (size_t i = 0; i < content_len; i++)
        content[i] = framing->kind == BETWEEN ? random_special(framing) : (unsigned char)"xyz\r"[random_below(4)];
    switch (framing->kind) {
    case LENGTH:
        add_length_message(stream, framing, content_len);
        return;
    case BETWEEN:
        stream_add_between(stream, framing, (struct weir_bytes){ content, content_len });
        return;
    case VARINT:
    case OCTET_COUNT:
    case NETSTRING:
        add_count(stream, framing->kind, content_len);
        break;
    case LINE:
    case DELIMITER:
    case FIXED:
        break;
    }
    stream_add(stream, content, content_len);
    if (framing->kind == DELIMITER) stream_add(stream, framing->delimiter, strlen(framing->delimiter));
    if (framing->kind == LINE) stream_add(stream, &"\r\n\r\n"[random_below(3)], 1 + random_below(2));
    if (framing->kind == NETSTRING) stream_add(stream, ",", 1);
}

/* Lengths that cannot be, or that are written as they must not be. */
static void add_bad_count(struct stream *stream, enum framing_kind kind)
{
    static const char *const decimals[] = {
        "0",  "00",   "01 ", "01:", " ",   ":",       "7",           "7:",
        "7 ", "1:x;", "-1:", "+1 ", "1.0", "1234567", "99999999999", "99999999999:"
    };
    static const char *const varints[] = { "\x80",
                                           "\xff",
                                           "\x81",
                                           "\xff\xff\xff\xff\xff\xff\xff\xff",
                                           "\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
                                           "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01" };
    size_t i =
        random_below(kind == VARINT ? sizeof(varints) / sizeof(varints[0]) : sizeof(decimals) / sizeof(decimals[0]));
    const char *text = kind == VARINT ? varints[i] : decimals[i];

    stream_add(stream, text, strlen(text));
    if (kind == VARINT && random_below(2)) stream_add(stream, "", 1); /* too long by a byte */
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
        9999999999,
        INT64_MAX,
        1 + (uint64_t)INT64_MAX,
        UINT64_MAX - 8,
        UINT64_MAX,
    };
    uint64_t lie = lies[random_below(sizeof(lies) / sizeof(lies[0]))];
    size_t len = framing->kind == DELIMITER ? strlen(framing->delimiter) : 0;

    switch (framing->kind) {
    case LINE:
        stream_add(stream, &"\r\r\n\n\r\n\r"[random_below(5)], 1 + random_below(2));
        break;
    case DELIMITER:
        stream_add(stream, framing->delimiter, random_below(len < 8 ? len : 8) + 1);
        break;
    case LENGTH:
        stream_add(stream, "headerheader", (size_t)framing->offset);
        add_field(stream, framing, lie);
        break;
    case VARINT:
    case OCTET_COUNT:
    case NETSTRING:
        if (random_below(2))
            add_count(stream, framing->kind, lie);
        else
            add_bad_count(stream, framing->kind);
        break;
    case BETWEEN:
        if (random_below(2)) stream_add(stream, framing->start, strlen(framing->start));
        for (size_t left = 1 + random_below(4); left > 0; left--)
            stream_add(stream, &(unsigned char){ random_special(framing) }, 1);
        break;
    case FIXED:
        break;
    }
}

void stream_generate(struct stream *stream, const struct framing *framing, size_t len)
{
    stream->len = 0;
    while (stream->len < len) {
        if (random_below(6) == 0) {
            add_noise(stream, framing);
        } else if (framing->kind == VARINT && random_below(8) == 0) {
            stream_add_message(stream, framing, 120 + random_below(20));
        } else {
            stream_add_message(stream, framing, random_below(14));
        }
    }
    if (random_below(2)) stream->len = len;
}

/* ---- The reference ---- */

/* What begins at an offset of a stream that is known up to len. */
struct found {
    enum { WHOLE, PART, BAD } what;
    const unsigned char *content; /* WHOLE: without framing */
    uint64_t content_len;         /* WHOLE: its length; else what is certain of its length by now */
    size_t end;                   /* WHOLE */
    unsigned flags;
    int under_way; /* PART: something of a message has come */
};

static struct found find_until(const unsigned char *bytes, size_t len, size_t at, const char *terminator, int ended)
{
    size_t terminator_len = strlen(terminator), maybe = 0;

    for (size_t i = at; i + terminator_len <= len; i++) {
        if (memcmp(bytes + i, terminator, terminator_len) == 0) {
            return (struct found){ WHOLE, bytes + at, i - at, i + terminator_len, 0, 0 };
        }
    }
    if (ended && at < len) return (struct found){ WHOLE, bytes + at, len - at, len, WEIR_MESSAGE_UNFINISHED, 0 };
    for (size_t n = 1; n < terminator_len && n <= len - at; n++) {
        if (memcmp(bytes + len - n, terminator, n) == 0) maybe = n;
    }
    return (struct found){ PART, NULL, len - at - maybe, 0, 0, at < len };
}

static struct found find_line(const unsigned char *bytes, size_t len, size_t at, int ended)
{
    struct found found = find_until(bytes, len, at, "\n", ended);

    if (found.content_len > 0 && bytes[at + found.content_len - 1] == '\r' && !found.flags) found.content_len--;
    return found;
}

__extension__ typedef __int128 wide;

/* A frame of total bytes, the first `head` and the last `tail` of which are not the message's. */
static struct found found_frame(const unsigned char *bytes, size_t len, size_t at, wide total, size_t head, size_t tail)
{
    uint64_t content_len = (uint64_t)(total - (wide)head - (wide)tail);

    if (total > (wide)(len - at)) return (struct found){ PART, NULL, content_len, 0, 0, 1 };
    return (struct found){ WHOLE, bytes + at + head, content_len, at + (size_t)total, 0, 0 };
}

static struct found find_length(const struct framing *framing, const unsigned char *bytes, size_t len, size_t at)
{
    uint64_t value = 0;
    wide total;

    if (len - at < header_bytes(framing)) return (struct found){ .what = PART, .under_way = len > at };
    for (size_t i = 0; i < framing->field_bytes; i++) {
        size_t shift = 8 * (framing->little_endian ? i : framing->field_bytes - 1 - i);
        value |= (uint64_t)bytes[at + (size_t)framing->offset + i] << shift;
    }
    total = (wide)value + framing->adjust + framing->offset + (wide)framing->field_bytes;
    if (value > INT64_MAX || total < (wide)header_bytes(framing) || total < framing->strip) {
        return (struct found){ .what = BAD };
    }
    return found_frame(bytes, len, at, total, (size_t)framing->strip, 0);
}

static struct found find_fixed(const struct framing *framing, const unsigned char *bytes, size_t len, size_t at)
{
    if (len == at) return (struct found){ .what = PART };
    return found_frame(bytes, len, at, (wide)framing->fixed_len, 0, 0);
}

static struct found find_varint(const unsigned char *bytes, size_t len, size_t at)
{
    wide value = 0;

    for (size_t i = 0; at + i < len; i++) {
        unsigned char byte = bytes[at + i];
        value += (wide)(byte % 128) << 7 * i;
        if (i > 0 && byte == 0) return (struct found){ .what = BAD };
        if (i == 8 && byte >= 128) return (struct found){ .what = BAD };
        if (byte < 128) return found_frame(bytes, len, at, (wide)(i + 1) + value, i + 1, 0);
    }
    return (struct found){ .what = PART, .under_way = len > at };
}

static struct found find_decimal(const struct framing *framing, const unsigned char *bytes, size_t len, size_t at)
{
    const int netstring = framing->kind == NETSTRING;
    size_t digits = 0;
    wide value = 0;
    struct found found;

    while (at + digits < len && bytes[at + digits] >= '0' && bytes[at + digits] <= '9') {
        value = value * 10 + bytes[at + digits] - '0';
        digits++;
        if (digits > 10 || (digits > 1 && bytes[at] == '0')) return (struct found){ .what = BAD };
        if (!netstring && bytes[at] == '0') return (struct found){ .what = BAD };
    }
    if (at + digits == len) return (struct found){ .what = PART, .under_way = digits > 0 };
    if (digits == 0 || bytes[at + digits] != (netstring ? ':' : ' ')) return (struct found){ .what = BAD };
    found = found_frame(bytes, len, at, (wide)digits + 1 + value + netstring, digits + 1, (size_t)netstring);
    if (netstring && found.what == WHOLE && bytes[found.end - 1] != ',') found.what = BAD;
    return found;
}

#define MEANS_END (-1)
#define MEANS_NOTHING (-2)

static int meaning_of(const struct framing *framing, unsigned char byte)
{
    const char end[] = { (char)framing->escape, (char)byte, '\0' };

    if (strcmp(end, framing->end) == 0) return MEANS_END;
    if (!framing->map) return byte ^ framing->change;
    for (const char *pair = framing->map; *pair != '\0'; pair += 2) {
        if ((unsigned char)pair[1] == byte) return (unsigned char)pair[0];
    }
    return MEANS_NOTHING;
}

/* The frame whose content begins at `at`. */
static struct found find_content(const struct framing *framing, const unsigned char *bytes, size_t len, size_t at)
{
    static unsigned char content[STREAM_BYTES_MAX];
    const size_t end_len = strlen(framing->end);
    size_t n = 0;

    for (size_t i = at; i < len; i++) {
        if (framing->escape != 0 && bytes[i] == framing->escape) {
            int meaning;
            if (++i == len) break;
            meaning = meaning_of(framing, bytes[i]);
            if (meaning == MEANS_END) return (struct found){ WHOLE, content, n, i + 1, 0, 0 };
            if (meaning == MEANS_NOTHING) return (struct found){ .what = BAD, .content_len = n };
            content[n++] = (unsigned char)meaning;
        } else if (len - i >= end_len && memcmp(bytes + i, framing->end, end_len) == 0) {
            return (struct found){ WHOLE, content, n, i + end_len, 0, 0 };
        } else if (len - i < end_len && memcmp(bytes + i, framing->end, len - i) == 0) {
            break; /* may become END */
        } else {
            content[n++] = bytes[i];
        }
    }
    return (struct found){ PART, NULL, n, 0, 0, 1 };
}

/* The offset behind the next START, or 0; then *ret_maybe says whether the stream ends with a part of it. */
static size_t find_start(const struct framing *framing, const unsigned char *bytes, size_t len, size_t at,
                         int *ret_maybe)
{
    const size_t start_len = strlen(framing->start);

    *ret_maybe = 0;
    for (; at < len; at++) {
        size_t n = len - at < start_len ? len - at : start_len;
        if (memcmp(bytes + at, framing->start, n) != 0) continue;
        if (n == start_len) return at + start_len;
        *ret_maybe = 1;
        return 0;
    }
    return 0;
}

static struct found find_between(const struct framing *framing, const unsigned char *bytes, size_t len, size_t at)
{
    const int shared = strcmp(framing->start, framing->end) == 0;
    int is_open = shared && (at > 0 || framing->starts_open);

    for (;;) {
        struct found found = { .what = PART };

        if (!is_open) at = find_start(framing, bytes, len, at, &found.under_way);
        if (!is_open && at == 0) return found;
        found = find_content(framing, bytes, len, at);
        if (found.what == PART && shared) found.under_way = len > at;
        if (found.what != WHOLE || !shared || found.content_len > 0) return found;
        at = found.end;
        is_open = 1;
    }
}

static struct found find(const struct framing *framing, const unsigned char *bytes, size_t len, size_t at, int ended)
{
    switch (framing->kind) {
    case LINE:
        return find_line(bytes, len, at, ended);
    case DELIMITER:
        return find_until(bytes, len, at, framing->delimiter, ended);
    case LENGTH:
        return find_length(framing, bytes, len, at);
    case FIXED:
        return find_fixed(framing, bytes, len, at);
    case VARINT:
        return find_varint(bytes, len, at);
    case OCTET_COUNT:
    case NETSTRING:
        return find_decimal(framing, bytes, len, at);
    case BETWEEN:
        break;
    }
    return find_between(framing, bytes, len, at);
}

static void add_content(struct outcome *outcome, struct event *event, const unsigned char *content)
{
    event->from = outcome->content_len;
    if (event->len > 0) memcpy(outcome->content + outcome->content_len, content, event->len);
    outcome->content_len += event->len;
}

void reference(const struct framing *framing, const struct stream *stream, size_t len, int ended, size_t max,
               enum weir_too_long policy, struct outcome *ret)
{
    size_t at = 0;

    ret->count = ret->content_len = 0;
    for (;;) {
        struct found found = find(framing, stream->bytes, len, at, ended);
        struct event *event = &ret->events[ret->count];
        int too_long = found.content_len > max;
        int closes = too_long && policy == WEIR_TOO_LONG_CLOSE;

        ret->under_way = found.under_way;
        if (found.what == PART && !closes) return;
        ret->count++;
        if (found.what == BAD || closes) {
            *event = (struct event){ .kind = closes ? WEIR_DECODED_TOO_LONG : WEIR_DECODED_MALFORMED };
            return;
        }
        at = found.end;
        if (too_long && policy == WEIR_TOO_LONG_SKIP) {
            *event = (struct event){ .kind = WEIR_DECODED_SKIPPED, .end = at, .original_len = found.content_len };
            continue;
        }
        *event = (struct event){ .kind = WEIR_DECODED_MESSAGE,
                                 .end = at,
                                 .len = too_long ? max : (size_t)found.content_len,
                                 .original_len = found.content_len,
                                 .flags = found.flags | (too_long ? WEIR_MESSAGE_TRUNCATED : 0U) };
        add_content(ret, event, found.content);
    }
}

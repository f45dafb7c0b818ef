/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Characters in any encoding that the C library's iconv knows and that needs no memory of the
 * bytes before. iconv is asked for one character at a time, from its first state, so that what is no character costs
 * itself only: whatever follows is read as if it stood alone. Must never take a sequence for more bytes than iconv
 * does.
 */
#include "encoding.h"

#include <errno.h>
#include <iconv.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <weir/error.h>

#include "utf8.h"

#define WIDE "UTF-32LE" /* a code point in four bytes, without a mark in front */

enum {
    CHARACTER_BYTES_MAX = 8,
    NOT_ALONE = 0x110000, /* no code point: that byte begins a longer character, or none */
};

struct encoding {
    size_t unit;              /* bytes of the shortest character; what is no character is stepped over in these */
    unsigned char newline[4]; /* of as many bytes */
    uint32_t single[256];     /* what a byte alone stands for, so that most characters need not ask */
    pthread_mutex_t lock;     /* of what follows: a conversion has a state */
    iconv_t decoder;
    iconv_t encoder;
};

static uint32_t from_wide(const unsigned char bytes[4])
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

/* ---- Asking iconv, with the lock ---- */

/* NULL when there is no such conversion. */
static iconv_t open_conversion(const char *to, const char *from)
{
    iconv_t conversion = iconv_open(to, from);

    return conversion == (iconv_t)-1 ? NULL : conversion; /* NOLINT(performance-no-int-to-ptr): POSIX has it so */
}

/* Converts all the bytes from the first state, and back to it. Returns how many bytes that made, with those that lead
 * back among them and their number in *ret_back, or a negative code. */
static ssize_t convert(iconv_t conversion, unsigned char *bytes, size_t len, unsigned char *ret, size_t room,
                       size_t *ret_back)
{
    char *in = (char *)bytes;
    char *out = (char *)ret;
    size_t left = room;
    size_t before_back = 0;

    iconv(conversion, NULL, NULL, NULL, NULL);
    if (iconv(conversion, &in, &len, &out, &left) == (size_t)-1) return -errno;
    before_back = left;
    if (iconv(conversion, NULL, NULL, &out, &left) == (size_t)-1) return -errno;
    *ret_back = before_back - left;
    return (ssize_t)(room - left);
}

/* Whether these bytes, CHARACTER_BYTES_MAX at most, are exactly one character: 0; -EINVAL: they end inside one;
 * -EILSEQ: they do not begin one, or stand for several code points, which no caller could show as one. */
static int decode_exactly(struct encoding *encoding, const unsigned char *bytes, size_t len, uint32_t *ret)
{
    unsigned char copy[CHARACTER_BYTES_MAX]; /* which iconv may change, as far as C knows */
    unsigned char wide[64];
    size_t back = 0;
    ssize_t made = 0;

    memcpy(copy, bytes, len);
    made = convert(encoding->decoder, copy, len, wide, sizeof(wide), &back);
    if (made < 0) return (int)made;
    if (made != 4) return -EILSEQ;
    *ret = from_wide(wide);
    return 0;
}

static ssize_t encode(struct encoding *encoding, const uint32_t *characters, size_t count, unsigned char *ret,
                      size_t room, size_t *ret_back)
{
    unsigned char wide[2 * 4];

    for (size_t i = 0; i < count * 4; i++)
        wide[i] = (unsigned char)(characters[i / 4] >> i % 4 * 8);
    return convert(encoding->encoder, wide, count * 4, ret, room, ret_back);
}

/* ---- Opening ---- */

/* Whether a character's bytes are always the same. Where they are not, the first ones say in which state those behind
 * them are to be read, or the last ones lead back to the first state. */
static bool is_stateless(struct encoding *encoding)
{
    static const uint32_t samples[] = { 0xe9, 0x416, 0x5d0, 0x3042, 0x4f60, 0x570b, 0xac00 };
    static const uint32_t twice[] = { 'A', 'A' };
    unsigned char bytes[32];
    size_t back = 0;
    const ssize_t one = encode(encoding, twice, 1, bytes, sizeof(bytes), &back);
    const ssize_t two = encode(encoding, twice, 2, bytes, sizeof(bytes), &back);

    if (one < 1 || one > 4 || two != 2 * one) return false;
    encoding->unit = (size_t)one;
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++)
        if (encode(encoding, &samples[i], 1, bytes, sizeof(bytes), &back) > 0 && back) return false;
    return true;
}

static void fill_tables(struct encoding *encoding)
{
    static const uint32_t newline = '\n';
    size_t back = 0;
    const ssize_t len = encode(encoding, &newline, 1, encoding->newline, sizeof(encoding->newline), &back);

    if (len != (ssize_t)encoding->unit) memset(encoding->newline, '\n', sizeof(encoding->newline));
    for (unsigned i = 0; i < 256; i++) {
        const unsigned char byte = (unsigned char)i;
        if (decode_exactly(encoding, &byte, 1, &encoding->single[i])) encoding->single[i] = NOT_ALONE;
    }
    /* In some the backslash and the tilde are a yen and an overline. Whoever sends one means what every program has
     * taken it for, and so does whoever types an escape. */
    if (encoding->single['A'] != 'A') return;
    encoding->single['\\'] = '\\';
    encoding->single['~'] = '~';
}

static int fail(char *error, size_t error_size, const char *sentence, int err)
{
    snprintf(error, error_size, "%s", sentence);
    return err;
}

static bool is_utf8(const char *name)
{
    return strcasecmp(name, "utf-8") == 0 || strcasecmp(name, "utf8") == 0;
}

int encoding_open(const char *name, struct encoding **ret, char *error, size_t error_size)
{
    struct encoding *encoding = NULL;

    *ret = NULL;
    if (is_utf8(name)) return 0;
    encoding = calloc(1, sizeof(*encoding));
    if (!encoding) return fail(error, error_size, weir_strerror(-ENOMEM), -ENOMEM);
    pthread_mutex_init(&encoding->lock, NULL);
    /* A slash would begin what iconv takes for instructions, and no name at all is the locale's. */
    if (name[0] && !strchr(name, '/')) {
        encoding->decoder = open_conversion(WIDE, name);
        encoding->encoder = open_conversion(name, WIDE);
    }
    if (!encoding->decoder || !encoding->encoder) {
        encoding_close(encoding);
        return fail(error, error_size,
                    "not an encoding that this system knows; as in gbk, big5, shift_jis, latin1 "
                    "(iconv -l lists them)",
                    -EINVAL);
    }
    if (!is_stateless(encoding)) {
        encoding_close(encoding);
        return fail(error, error_size,
                    "in it a character's bytes depend on those before, and each message stands for "
                    "itself; name one without, as gbk, euc-jp or utf-16le",
                    -EINVAL);
    }
    fill_tables(encoding);
    *ret = encoding;
    return 0;
}

void encoding_close(struct encoding *encoding)
{
    if (!encoding) return;
    if (encoding->decoder) iconv_close(encoding->decoder);
    if (encoding->encoder) iconv_close(encoding->encoder);
    pthread_mutex_destroy(&encoding->lock);
    free(encoding);
}

/* ---- Bytes to characters ---- */

static struct character decode_utf8(struct weir_bytes bytes)
{
    struct character character = { 0 };
    const int len = utf8_decode(bytes, &character.code);

    if (len > 0) {
        character.len = (size_t)len;
    } else {
        character.result = len;
        character.len = bytes.len > 0;
    }
    return character;
}

/* How much to step over of `tried` bytes that are no character: a byte that could be one by itself is left to be it. */
static size_t bad_len(const struct encoding *encoding, struct weir_bytes bytes, size_t tried)
{
    size_t len = encoding->unit;

    if (encoding->unit > 1) return bytes.len < len ? bytes.len : len;
    while (len < tried && bytes.data[len] >= 0x80)
        len++;
    return len;
}

/* Tries longer and longer sequences: iconv tells one that goes on from one that does not. */
static struct character decode_longer(struct encoding *encoding, struct weir_bytes bytes)
{
    struct character character = { .result = UTF8_CUT, .len = bytes.len };
    const size_t longest = bytes.len < CHARACTER_BYTES_MAX ? bytes.len : CHARACTER_BYTES_MAX;
    int err = -EINVAL;
    size_t len = 0;

    pthread_mutex_lock(&encoding->lock);
    while (err == -EINVAL && len < longest)
        err = decode_exactly(encoding, bytes.data, ++len, &character.code);
    pthread_mutex_unlock(&encoding->lock);
    if (!err) return (struct character){ .code = character.code, .len = len };
    if (err == -EINVAL && bytes.len < CHARACTER_BYTES_MAX) return character;
    return (struct character){ .result = UTF8_INVALID, .len = bad_len(encoding, bytes, len) };
}

struct character encoding_decode(struct encoding *encoding, struct weir_bytes bytes)
{
    if (!encoding) return decode_utf8(bytes);
    if (!bytes.len) return (struct character){ .result = UTF8_CUT };
    if (encoding->single[bytes.data[0]] != NOT_ALONE)
        return (struct character){ .code = encoding->single[bytes.data[0]], .len = 1 };
    return decode_longer(encoding, bytes);
}

static bool is_readable(uint32_t code)
{
    return code == '\t' || code == '\n' || code == '\r' || utf8_columns(code) >= 0;
}

static bool is_whole(struct encoding *encoding, struct weir_bytes bytes, bool must_be_readable)
{
    while (bytes.len) {
        const size_t plain_len = encoding ? 0 : utf8_plain_len(bytes);
        struct character character = { .code = ' ', .len = plain_len };

        if (!plain_len) character = encoding_decode(encoding, bytes);
        if (character.result || (must_be_readable && !is_readable(character.code))) return false;
        bytes.data += character.len;
        bytes.len -= character.len;
    }
    return true;
}

bool encoding_is_valid(struct encoding *encoding, struct weir_bytes bytes)
{
    return is_whole(encoding, bytes, false);
}

typedef signed char vector __attribute__((vector_size(16)));

/* -1 for each byte that is not printable ASCII: as a signed number a byte of 128 and more is less than a space, too. */
static vector odd_bytes(const unsigned char *bytes)
{
    vector block;

    memcpy(&block, bytes, sizeof(block));
    return (block < ' ') | (block == 0x7f);
}

/* Most messages are printable ASCII: sixteen bytes are compared at once, and the last sixteen may overlap others. */
static bool is_plain(struct weir_bytes bytes)
{
    vector odd = { 0 };
    uint64_t halves[sizeof(odd) / sizeof(uint64_t)];

    if (bytes.len < sizeof(odd)) return utf8_plain_len(bytes) == bytes.len;
    for (size_t i = 0; i + sizeof(odd) < bytes.len; i += sizeof(odd))
        odd |= odd_bytes(bytes.data + i);
    odd |= odd_bytes(bytes.data + bytes.len - sizeof(odd));
    memcpy(halves, &odd, sizeof(odd));
    return (halves[0] | halves[1]) == 0;
}

bool encoding_is_readable(struct encoding *encoding, struct weir_bytes bytes)
{
    return (!encoding && is_plain(bytes)) || is_whole(encoding, bytes, true);
}

size_t encoding_line_len(struct encoding *encoding, struct weir_bytes bytes, size_t *ret_newline)
{
    const size_t unit = encoding ? encoding->unit : 1;
    const unsigned char *newline = encoding ? encoding->newline : (const unsigned char *)"\n";
    size_t at = 0;

    *ret_newline = unit;
    if (unit == 1) {
        const unsigned char *found = bytes.len ? memchr(bytes.data, newline[0], bytes.len) : NULL;
        if (found) return (size_t)(found - bytes.data) + 1;
        at = bytes.len;
    }
    for (; at + unit <= bytes.len; at += unit)
        if (memcmp(bytes.data + at, newline, unit) == 0) return at + unit;
    *ret_newline = 0;
    return bytes.len;
}

/* ---- Characters to bytes ---- */

int encoding_add(struct encoding *encoding, uint32_t character, struct line *line)
{
    unsigned char bytes[CHARACTER_BYTES_MAX];
    size_t back = 0;
    ssize_t len = 0;

    if (!encoding || (character < 0x80 && encoding->single[character] == character)) {
        char text[UTF8_BYTES_MAX];
        line_add(line, text, utf8_encode(character, text));
        return 0;
    }
    pthread_mutex_lock(&encoding->lock);
    len = encode(encoding, &character, 1, bytes, sizeof(bytes), &back);
    pthread_mutex_unlock(&encoding->lock);
    if (len <= 0) return -EILSEQ;
    line_add(line, bytes, (size_t)len);
    return 0;
}

/* One escape at the start of text. Returns its length, or 0 when it is none. */
static size_t add_escape(const char *text, struct line *line)
{
    char escape[sizeof("\\xHH")] = "";
    unsigned char byte = 0;
    size_t len = 0;

    strncpy(escape, text, text[1] == 'x' ? 4 : 2);
    if (weir_unescape(escape, &byte, 1, &len)) return 0;
    line_add(line, &byte, 1);
    return strlen(escape);
}

int encoding_add_typed(struct encoding *encoding, const char *text, struct line *line, size_t *ret_offset)
{
    struct weir_bytes rest = { (const unsigned char *)text, strlen(text) };

    while (rest.len) {
        const struct character character = decode_utf8(rest);
        size_t len = character.len;
        int err = 0;
        if (character.result) {
            line_add(line, rest.data, len); /* typed on a terminal that sends something else */
            err = encoding ? -EINVAL : 0;
        } else if (character.code == '\\') {
            len = add_escape((const char *)rest.data, line);
            err = len ? 0 : -EINVAL;
        } else {
            err = encoding_add(encoding, character.code, line);
        }
        if (err) {
            *ret_offset = (size_t)((const char *)rest.data - text);
            return err;
        }
        rest.data += len;
        rest.len -= len;
    }
    return 0;
}

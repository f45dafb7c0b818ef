/* SPDX-License-Identifier: BSD-3-Clause
 *
 * between: a message stands between START and END. What is outside of frames is skipped, and counted as skipped bytes,
 * not as a message: line ends behind END, noise. START inside a frame is a part of the message. When START and END are
 * the same, each is the end of one frame and the start of the next, so frames may share it, and empty frames are
 * skipped; otherwise an empty frame is an empty message. Behind the escape byte a byte means another and is never a
 * part of END, unless END is the escape and that byte (DLE ETX).
 *
 * It must never look at a byte in two calls. So the message is unescaped in place as it comes, and what is kept of a
 * window is START and, right behind it, the message so far, to which the start of an END belongs until it turns out to
 * be one. Nor may it send what it would not read back as the same message: that is -EINVAL. */
#include "between.h"

#include <errno.h>
#include <string.h>

#include "frame_internal.h"

/* ---- Receiving ---- */

/* Where a call of decode stands in its window. */
struct scan {
    const struct weir__between *config;
    struct weir__between_state *state;
    struct weir_decode *decode;
    size_t begin; /* of what is kept of the frame */
    size_t at;    /* of what has not been looked at */
};

/* How many bytes the message has, for certain. */
static uint64_t message_len(const struct weir__between_state *state)
{
    return state->gone + state->written - state->matched;
}

/* Looks for START. Without it there is nothing to keep but what may be its beginning. */
static bool find_start(struct scan *scan)
{
    size_t matched = scan->state->matched;
    size_t head = scan->config->is_shared ? 0 : scan->config->start.len;
    size_t end = weir__pattern_find(&scan->config->start, scan->decode->bytes, scan->at, scan->decode->len, &matched);

    if (end == 0) {
        scan->state->matched = (unsigned char)matched;
        scan->decode->consumed = scan->decode->skipped_bytes = scan->decode->len - matched;
        scan->decode->outside = matched == 0;
        return false;
    }
    *scan->state = (struct weir__between_state){ .is_open = true, .head = (unsigned char)head };
    scan->begin = end - head;
    scan->at = end;
    scan->decode->skipped_bytes = end - scan->config->start.len;
    return true;
}

/* Takes in the bytes up to the next that can begin an END or is the escape: nearly all of a message. Nothing of an END
 * is matched. */
static void read_plain(struct scan *scan, struct weir__between_state *state, unsigned char *message)
{
    const int escape = scan->config->escape, end = scan->config->end.bytes[0];
    const unsigned char *bytes = scan->decode->bytes;
    const size_t len = scan->decode->len;
    size_t at = scan->at, written = state->written;

    while (at < len && bytes[at] != end && bytes[at] != escape)
        message[written++] = bytes[at++];
    scan->at = at;
    state->written = (uint32_t)written;
}

/* Looks for END, and unescapes what comes before it. MESSAGE: it has been found, and its last `matched` bytes are still
 * among those written. */
static enum weir_decoded read_frame(struct scan *scan)
{
    const struct weir__between *config = scan->config;
    struct weir__between_state state = *scan->state; /* nothing written to the window can change a copy */
    unsigned char *message = scan->decode->bytes + scan->begin + state.head;
    enum weir_decoded decoded = WEIR_DECODED_MORE;

    while (decoded == WEIR_DECODED_MORE && scan->at < scan->decode->len) {
        unsigned char byte = scan->decode->bytes[scan->at++];

        if (state.escaping) {
            int meaning = config->meaning[byte];
            state.escaping = 0;
            if (meaning >= 0) message[state.written++] = (unsigned char)meaning;
            if (meaning == WEIR__BETWEEN_END) decoded = WEIR_DECODED_MESSAGE;
            if (meaning == WEIR__BETWEEN_NONE) decoded = WEIR_DECODED_MALFORMED;
        } else if (byte == config->escape) {
            state.escaping = 1;
            state.matched = 0;
        } else {
            message[state.written++] = byte;
            state.matched = (unsigned char)weir__pattern_advance(&config->end, state.matched, byte);
            if (state.matched == config->end.len) decoded = WEIR_DECODED_MESSAGE;
            if (state.matched == 0) read_plain(scan, &state, message);
        }
    }
    *scan->state = state;
    return decoded;
}

/* The frame has not ended with the window. Keeps START and the message so far; of one that is too long no more than its
 * last byte (SKIP) or what will be delivered (TRUNCATE). */
static enum weir_decoded wait_for_more(struct scan *scan)
{
    struct weir__between_state *state = scan->state;
    struct weir_decode *decode = scan->decode;
    size_t begin = scan->begin, end = begin + state->head + state->written;

    if (message_len(state) > decode->message_bytes_max) {
        size_t keep = decode->too_long == WEIR_TOO_LONG_SKIP ? 1 : decode->message_bytes_max;
        if (decode->too_long == WEIR_TOO_LONG_CLOSE) return WEIR_DECODED_TOO_LONG;
        if (decode->too_long == WEIR_TOO_LONG_SKIP) {
            state->head = 0;
            begin = end - keep;
        } else {
            end = begin + state->head + keep;
        }
        state->gone += state->written - keep;
        state->written = (uint32_t)keep;
    }
    if (state->escaping) decode->bytes[end++] = (unsigned char)scan->config->escape; /* for whoever looks at the rest */
    decode->consumed = begin;
    decode->dropped = decode->len - end;
    decode->outside = begin == end; /* between two frames that may share what is between them */
    return WEIR_DECODED_MORE;
}

static enum weir_decoded end_frame(struct scan *scan)
{
    struct weir__between_state state = *scan->state;
    struct weir_decode *decode = scan->decode;
    uint64_t len = message_len(&state);

    *scan->state = (struct weir__between_state){ .is_open = scan->config->is_shared != 0 };
    decode->consumed = scan->at;
    decode->original_len = len;
    if (len > decode->message_bytes_max) {
        if (decode->too_long == WEIR_TOO_LONG_CLOSE) return WEIR_DECODED_TOO_LONG;
        if (decode->too_long == WEIR_TOO_LONG_SKIP) return WEIR_DECODED_SKIPPED;
        len = decode->message_bytes_max;
        decode->flags = WEIR_MESSAGE_TRUNCATED;
    }
    decode->message = (struct weir_bytes){ decode->bytes + scan->begin + state.head, (size_t)len };
    return WEIR_DECODED_MESSAGE;
}

/* A message that was too long already is too long, however the bytes behind it came. */
static enum weir_decoded bad_escape(const struct scan *scan)
{
    bool too_long = message_len(scan->state) > scan->decode->message_bytes_max;

    return too_long && scan->decode->too_long == WEIR_TOO_LONG_CLOSE ? WEIR_DECODED_TOO_LONG : WEIR_DECODED_MALFORMED;
}

enum weir_decoded weir__between_decode(const void *config, void *state_memory, struct weir_decode *decode)
{
    const struct weir__between *between = config;
    struct weir__between_state *state = state_memory;
    struct scan scan = { .config = between, .state = state, .decode = decode };

    if (between->starts_open) state->is_open = true;
    scan.at = state->is_open ? (size_t)state->head + state->written + state->escaping : state->matched;
    for (;;) {
        enum weir_decoded decoded;

        if (!state->is_open && !find_start(&scan)) return WEIR_DECODED_MORE;
        decoded = read_frame(&scan);
        if (decoded == WEIR_DECODED_MORE) return wait_for_more(&scan);
        if (decoded == WEIR_DECODED_MALFORMED) return bad_escape(&scan);
        if (!between->is_shared || message_len(state) > 0) return end_frame(&scan);
        *state = (struct weir__between_state){ .is_open = true }; /* an empty frame; the next takes its place */
    }
}

/* ---- Sending ---- */

size_t weir__between_encoded_bytes_max(const void *config, size_t len)
{
    const struct weir__between *between = config;
    size_t frame = between->start.len + between->end.len;

    if (len > (SIZE_MAX - frame) / 2) return SIZE_MAX;
    return frame + (between->escape == WEIR__BETWEEN_NONE ? len : len * 2);
}

/* Whether END, behind a message whose last bytes match `matched` of it, would be found where it stands and not before.
 */
static bool end_is_found(const struct weir__between *config, size_t matched)
{
    for (size_t i = 0; i < config->end.len; i++) {
        if (matched == config->end.len) return false;
        matched = weir__pattern_advance(&config->end, matched, config->end.bytes[i]);
    }
    return true;
}

ssize_t weir__between_encode(const void *config, struct weir_bytes message, unsigned char *ret, size_t room)
{
    const struct weir__between *between = config;
    size_t matched = 0;
    size_t len = between->start.len;

    if (message.len == 0 && between->is_shared) return -EINVAL;
    if (room < weir__between_encoded_bytes_max(config, message.len)) return -ENOBUFS;
    memcpy(ret, between->start.bytes, between->start.len);
    for (size_t i = 0; i < message.len; i++) {
        unsigned char byte = message.data[i];
        int sent_as = between->sent_as[byte];

        if (sent_as >= 0) {
            ret[len++] = (unsigned char)between->escape;
            ret[len++] = (unsigned char)sent_as;
            matched = 0;
            continue;
        }
        ret[len++] = byte;
        matched = weir__pattern_advance(&between->end, matched, byte);
        if (byte == between->escape || matched == between->end.len) return -EINVAL;
    }
    if (!end_is_found(between, matched)) return -EINVAL;
    memcpy(ret + len, between->end.bytes, between->end.len);
    return (ssize_t)(len + between->end.len);
}

/* ---- The configuration ---- */

void weir__between_init(struct weir__between *config)
{
    weir__pattern_init(&config->start);
    weir__pattern_init(&config->end);
    config->is_shared =
        config->start.len == config->end.len && memcmp(config->start.bytes, config->end.bytes, config->end.len) == 0;
    config->escape = WEIR__BETWEEN_NONE;
    for (int i = 0; i < 256; i++)
        config->meaning[i] = config->sent_as[i] = WEIR__BETWEEN_NONE;
}

void weir__between_map(struct weir__between *config, unsigned char byte, unsigned char sent)
{
    config->meaning[sent] = byte;
    config->sent_as[byte] = sent;
}

/* ---- The SPEC ---- */

/* The options after START and END, in the order of their values. */
enum option { ESCAPE, MAP, XOR, OPTIONS };
static const char *const option_names[] = { "escape", "map", "xor", NULL };
static const char *const option_needs[] = { "a byte, as in escape=\\x7d", "two bytes, as in map=\\x7e:\\x02",
                                            "a byte, as in xor=\\x20" };

/* One `FROM:TO`. */
static int parse_map(const struct weir__spec *spec, struct weir_bytes value, struct weir__between *config)
{
    const char *text = (const char *)value.data;
    struct weir_bytes from = weir__spec_word(text, ":,");
    struct weir_bytes to = { value.data + from.len + 1, value.len - from.len - 1 };
    unsigned char byte, sent;
    int err;

    if (text[from.len] != ':') return weir__spec_fail(spec, "map needs %s", option_needs[MAP]);
    err = weir__spec_byte(spec, "map=", from, &byte);
    if (!err) err = weir__spec_byte(spec, "map=FROM:", to, &sent);
    if (err) return err;
    if (config->sent_as[byte] >= 0) return weir__spec_fail(spec, "map has \\x%02x twice on its left", byte);
    if (config->meaning[sent] >= 0) return weir__spec_fail(spec, "map has \\x%02x twice on its right", sent);
    weir__between_map(config, byte, sent);
    return 0;
}

/* One `NAME=VALUE`. */
static int parse_option(const struct weir__spec *spec, const char *text, struct weir__between *config,
                        bool given[OPTIONS], unsigned char *ret_xor)
{
    struct weir_bytes value;
    unsigned char escape;
    int i = weir__spec_option(spec, text, option_names, &value);
    int err;

    if (i < 0) return i;
    if (given[i] && i != MAP) return weir__spec_fail(spec, "%s is given twice", option_names[i]);
    given[i] = true;
    if (!value.data) return weir__spec_fail(spec, "%s needs %s", option_names[i], option_needs[i]);
    if (i == MAP) return parse_map(spec, value, config);
    if (i == XOR) return weir__spec_byte(spec, "xor=", value, ret_xor);
    err = weir__spec_byte(spec, "escape=", value, &escape);
    if (!err) config->escape = escape;
    return err;
}

/* Without a map every byte may come escaped, as itself or changed by xor. Sent like that are those that would end a
 * frame, begin one or be the escape. */
static void fill_map(struct weir__between *config, unsigned char change)
{
    const unsigned char special[] = { (unsigned char)config->escape, config->start.bytes[0], config->end.bytes[0] };

    for (int i = 0; i < 256; i++)
        config->meaning[i] = (int16_t)(i ^ change);
    for (size_t i = 0; i < sizeof(special); i++)
        weir__between_map(config, special[i], special[i] ^ change);
}

/* An END with the escape in it is only found when it is the escape and a byte that is not sent behind it otherwise. */
static int check_end(const struct weir__spec *spec, struct weir__between *config)
{
    unsigned char escape = (unsigned char)config->escape;
    unsigned char last = config->end.bytes[config->end.len - 1];

    if (!memchr(config->end.bytes, escape, config->end.len)) return 0;
    if (config->end.len != 2 || last == escape) {
        return weir__spec_fail(spec, "END has the escape byte in it; it can only be the first of two");
    }
    for (int i = 0; i < 256; i++) {
        if (config->sent_as[i] == last) return weir__spec_fail(spec, "\\x%02x is sent escaped as what is END", i);
    }
    config->meaning[last] = WEIR__BETWEEN_END;
    return 0;
}

static int parse_options(const struct weir__spec *spec, const char *at, struct weir__between *config)
{
    bool given[OPTIONS] = { false };
    unsigned char change = 0;

    for (; *at == ','; at += 1 + strcspn(at + 1, ",")) {
        int err = parse_option(spec, at + 1, config, given, &change);
        if (err) return err;
    }
    if (given[MAP] && given[XOR]) return weir__spec_fail(spec, "map and xor exclude each other");
    if (given[XOR] && change == 0) return weir__spec_fail(spec, "xor=0 changes nothing; leave it out");
    if (!given[ESCAPE] && (given[MAP] || given[XOR])) {
        return weir__spec_fail(spec, "%s needs an escape, as in escape=\\x7d", given[MAP] ? "map" : "xor");
    }
    if (!given[ESCAPE]) return 0;
    if (!given[MAP]) fill_map(config, change);
    return check_end(spec, config);
}

static int between_parse(const struct weir__spec *spec, void *config)
{
    struct weir__between *between = config;
    const char *text = spec->options ? spec->options : "";
    struct weir_bytes start = weir__spec_word(text, ",");
    struct weir_bytes end = weir__spec_word(text + start.len + (text[start.len] == ','), ",");
    int err;

    if (start.len == 0 || end.len == 0) {
        return weir__spec_fail(spec, "needs the bytes that begin and end a message, as in between:\\x02,\\x03");
    }
    err =
        weir__spec_bytes(spec, "START", start, between->start.bytes, WEIR__BETWEEN_MARK_BYTES_MAX, &between->start.len);
    if (!err) {
        err = weir__spec_bytes(spec, "END", end, between->end.bytes, WEIR__BETWEEN_MARK_BYTES_MAX, &between->end.len);
    }
    if (err) return err;
    weir__between_init(between);
    return parse_options(spec, (const char *)end.data + end.len, between);
}

const struct weir_codec weir__codec_between =
    WEIR_CODEC(.name = "between", .state_bytes = sizeof(struct weir__between_state), .decode = weir__between_decode,
               .encoded_bytes_max = weir__between_encoded_bytes_max, .encode = weir__between_encode);

const struct weir__framing weir__framing_between = {
    .codec = &weir__codec_between,
    .about = { "between:START,END[,escape=BYTE[[,map=FROM:TO]...|,xor=BYTE]]",
               "1 to 8 bytes begin a message, 1 to 8 end it; what is outside is skipped. Behind the escape byte a byte "
               "is itself, or the FROM of the map (one for each) whose TO it is, or changed by xor." },
    .config_bytes = sizeof(struct weir__between),
    .parse = between_parse
};

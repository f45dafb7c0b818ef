/* SPDX-License-Identifier: BSD-3-Clause
 *
 * length: a header says how long the message is. The numbers are those of Netty's LengthFieldBasedFrameDecoder: the
 * length field lies `offset` bytes into the frame, the frame is offset + the field's size + field + adjust bytes long,
 * and its first `strip` bytes are not delivered.
 *
 * The length is a claim of somebody unknown. It must never decide how much memory is used, and no sum with it may wrap:
 * it is checked against the limit as soon as it is read, and a claim that cannot be is malformed. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "counted.h"
#include "frame_internal.h"

/* Of offset, strip and adjust. No protocol comes near, and sums with them need no further care. */
#define LENGTH_OPTION_MAX 65535

struct length_config {
    unsigned field_bytes;
    bool little_endian;
    uint32_t offset;
    int32_t adjust;
    uint32_t strip;
};

static size_t header_bytes(const struct length_config *config)
{
    return (size_t)config->offset + config->field_bytes;
}

static uint64_t field_max(const struct length_config *config)
{
    return config->field_bytes == 8 ? INT64_MAX : (UINT64_C(1) << 8 * config->field_bytes) - 1;
}

static uint64_t read_field(const struct length_config *config, const unsigned char *field)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < config->field_bytes; i++) {
        value = value << 8 | field[config->little_endian ? config->field_bytes - 1 - i : i];
    }
    return value;
}

static void write_field(const struct length_config *config, unsigned char *field, uint64_t value)
{
    for (unsigned i = 0; i < config->field_bytes; i++) {
        field[config->little_endian ? i : config->field_bytes - 1 - i] = (unsigned char)(value & 0xff);
        value >>= 8;
    }
}

/* The length of the frame whose field says `field`; 0 when there is no such frame. A field of 8 bytes stops at
 * INT64_MAX, as in Netty, which leaves room for the sum. */
static uint64_t frame_len(const struct length_config *config, uint64_t field)
{
    uint64_t len;

    if (field > field_max(config)) return 0;
    if (config->adjust < 0 && field < (uint64_t)-config->adjust) return 0; /* it would end inside its header */
    len = field + (uint64_t)config->adjust + header_bytes(config);
    return len < config->strip ? 0 : len;
}

static enum weir_decoded length_decode(const void *config, void *state, struct weir_decode *decode)
{
    const struct length_config *length = config;
    struct weir__counted *counted = state;

    if (!counted->is_known) {
        uint64_t len;

        if (decode->len < header_bytes(length)) return WEIR_DECODED_MORE;
        len = frame_len(length, read_field(length, decode->bytes + length->offset));
        if (len == 0) return WEIR_DECODED_MALFORMED;
        weir__counted_start(counted, len - length->strip);
    }
    return weir__counted_decode(counted, decode, length->strip, 0);
}

/* What is sent has no other header than the length, so the receiver must not expect one, nor get to see it. */
static bool length_is_reversible(const void *config)
{
    const struct length_config *length = config;

    return length->offset == 0 && length->strip == length->field_bytes;
}

static size_t length_encoded_bytes_max(const void *config, size_t len)
{
    const struct length_config *length = config;

    return len + length->field_bytes;
}

static ssize_t length_encode(const void *config, struct weir_bytes message, unsigned char *ret, size_t room)
{
    const struct length_config *length = config;
    int64_t field = (int64_t)message.len - length->adjust;

    if (!length_is_reversible(config)) return -EINVAL;
    if (field < 0 || (uint64_t)field > field_max(length)) return -EMSGSIZE;
    if (room < message.len + length->field_bytes) return -ENOBUFS;
    write_field(length, ret, (uint64_t)field);
    if (message.len > 0) memcpy(ret + length->field_bytes, message.data, message.len);
    return (ssize_t)(message.len + length->field_bytes);
}

/* ---- The SPEC ---- */

static const struct {
    const char *name;
    unsigned bytes;
    bool little_endian;
} fields[] = {
    { "u8", 1, false },    { "u16be", 2, false }, { "u16le", 2, true },  { "u24be", 3, false }, { "u24le", 3, true },
    { "u32be", 4, false }, { "u32le", 4, true },  { "u64be", 8, false }, { "u64le", 8, true },
};

#define FIELDS (sizeof(fields) / sizeof(fields[0]))

/* The options after the field, in the order of their values in parse. */
enum option { OFFSET, ADJUST, STRIP, OPTIONS };
static const char *const option_names[] = { "offset", "adjust", "strip", NULL };

static int parse_field(const struct weir__spec *spec, struct weir_bytes word, struct length_config *config)
{
    const char *known[FIELDS + 1] = { NULL };

    for (size_t i = 0; i < FIELDS; i++) {
        if (weir__spec_word_is(word, fields[i].name)) {
            config->field_bytes = fields[i].bytes;
            config->little_endian = fields[i].little_endian;
            return 0;
        }
        known[i] = fields[i].name;
    }
    return weir__spec_fail_unknown(spec, "length field", word, known);
}

/* One `NAME=NUMBER`. */
static int parse_option(const struct weir__spec *spec, const char *text, int32_t values[OPTIONS], bool given[OPTIONS])
{
    struct weir_bytes number;
    int i = weir__spec_option(spec, text, option_names, &number);
    char what[16];

    if (i < 0) return i;
    if (given[i]) return weir__spec_fail(spec, "%s is given twice", option_names[i]);
    given[i] = true;
    if (!number.data) {
        return weir__spec_fail(spec, "%s needs a number, as in %s=2", option_names[i], option_names[i]);
    }
    snprintf(what, sizeof(what), "%s=", option_names[i]);
    return weir__spec_number(spec, what, number, i == ADJUST ? -LENGTH_OPTION_MAX : 0, LENGTH_OPTION_MAX, &values[i]);
}

static int length_parse(const struct weir__spec *spec, void *config)
{
    struct length_config *length = config;
    int32_t values[OPTIONS] = { 0 };
    bool given[OPTIONS] = { false };
    const char *at = spec->options;
    int err;

    if (!at || *at == '\0') return weir__spec_fail(spec, "needs a length field, as in length:u16be");
    err = parse_field(spec, weir__spec_word(at, ","), length);
    for (at += strcspn(at, ","); !err && *at == ','; at += 1 + strcspn(at + 1, ",")) {
        err = parse_option(spec, at + 1, values, given);
    }
    if (err) return err;

    length->offset = (uint32_t)values[OFFSET];
    length->adjust = values[ADJUST];
    length->strip = (uint32_t)values[STRIP];
    if (!given[STRIP] && length->offset == 0) length->strip = length->field_bytes;
    if (frame_len(length, field_max(length)) > 0) return 0;
    /* Better told now than by closing every client as malformed. */
    return weir__spec_fail(spec, "no frame is long enough for adjust=%d and strip=%u", (int)length->adjust,
                           (unsigned)length->strip);
}

const struct weir_codec weir__codec_length =
    WEIR_CODEC(.name = "length", .state_bytes = sizeof(struct weir__counted), .decode = length_decode,
               .encoded_bytes_max = length_encoded_bytes_max, .encode = length_encode);

const struct weir__framing weir__framing_length = {
    .codec = &weir__codec_length,
    .about = { "length:u8|u16be|u16le|u24be|u24le|u32be|u32le|u64be|u64le[,offset=N][,adjust=N][,strip=N]",
               "A length before the message, be with its high byte first, le with its low one. offset bytes stand "
               "before the length; adjust is added to it; strip bytes of the front are no part of the message, by "
               "default the length itself when it stands first, else none." },
    .config_bytes = sizeof(struct length_config),
    .parse = length_parse,
    .is_reversible = length_is_reversible
};

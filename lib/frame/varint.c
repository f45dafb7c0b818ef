/* SPDX-License-Identifier: BSD-3-Clause
 *
 * varint: a message's length stands before it in base 128, 7 bits a byte, the lowest first, the highest bit set on all
 * but the last byte (LEB128). Protocol Buffers delimit messages in a stream like this.
 *
 * The length is a claim of somebody unknown. It must never be taken in two ways or wrap: one that is written longer
 * than it needs to be, or that is more than INT64_MAX, is malformed. So 9 bytes are the most that a length can have,
 * and one that goes on is refused there, although 64 bits would take a tenth. */
#include <errno.h>
#include <string.h>

#include "counted.h"
#include "frame_internal.h"

#define VARINT_BYTES_MAX 9 /* 63 bits */

/* How many bytes it takes to write a length. */
static size_t header_bytes(uint64_t len)
{
    size_t bytes = 1;

    for (; len >= 0x80; len >>= 7)
        bytes++;
    return bytes;
}

/* Reads on in the header: 0 when it is malformed. The length is known once it has come whole. */
static bool read_header(struct weir__counted *counted, const struct weir_decode *decode)
{
    while (!counted->is_known && counted->done < decode->len) {
        unsigned at = counted->done & 0xf;
        unsigned char byte = decode->bytes[at];

        if (byte == 0 && at > 0) return false;
        if (byte >= 0x80 && at == VARINT_BYTES_MAX - 1) return false;
        counted->message_len |= (uint64_t)(byte & 0x7f) << 7 * at;
        counted->done++;
        if (byte < 0x80) weir__counted_start(counted, counted->message_len);
    }
    return true;
}

static enum weir_decoded varint_decode(const void *config, void *state, struct weir_decode *decode)
{
    struct weir__counted *counted = state;

    (void)config;
    if (!read_header(counted, decode)) return WEIR_DECODED_MALFORMED;
    if (!counted->is_known) return WEIR_DECODED_MORE;
    return weir__counted_decode(counted, decode, header_bytes(counted->message_len), 0);
}

static size_t varint_encoded_bytes_max(const void *config, size_t len)
{
    (void)config;
    return header_bytes(len) + len;
}

static ssize_t varint_encode(const void *config, struct weir_bytes message, unsigned char *ret, size_t room)
{
    size_t at = 0;
    uint64_t left = message.len;

    (void)config;
    if (left > INT64_MAX) return -EMSGSIZE;
    if (room < header_bytes(left) || room - header_bytes(left) < left) return -ENOBUFS;
    for (; left >= 0x80; left >>= 7)
        ret[at++] = (unsigned char)(left & 0x7f) | 0x80;
    ret[at++] = (unsigned char)left;
    if (message.len > 0) memcpy(ret + at, message.data, message.len);
    return (ssize_t)(at + message.len);
}

static int varint_parse(const struct weir__spec *spec, void *config)
{
    (void)config;
    return spec->options ? weir__spec_fail(spec, "varint takes no options") : 0;
}

const struct weir_codec weir__codec_varint =
    WEIR_CODEC(.name = "varint", .state_bytes = sizeof(struct weir__counted), .decode = varint_decode,
               .encoded_bytes_max = varint_encoded_bytes_max, .encode = varint_encode);

const struct weir__framing weir__framing_varint = {
    .codec = &weir__codec_varint,
    .about = { "varint", "The length in base 128, as Protocol Buffers delimit streams." },
    .parse = varint_parse
};

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * netstring: LEN:MSG, as D. J. Bernstein's netstrings are. The length has at most 10 digits. It must never deliver a
 * message before the comma behind it has come: where there is none, the length was a lie. */
#include <errno.h>

#include "decimal.h"
#include "frame_internal.h"

static enum weir_decoded netstring_decode(const void *config, void *state, struct weir_decode *decode)
{
    struct weir__counted *counted = state;
    enum weir_decoded decoded;

    (void)config;
    if (!weir__decimal_read(counted, decode, ':')) return WEIR_DECODED_MALFORMED;
    if (!counted->is_known) return WEIR_DECODED_MORE;
    decoded = weir__counted_decode(counted, decode, weir__decimal_bytes(counted->message_len), 1);
    if (decoded != WEIR_DECODED_MESSAGE && decoded != WEIR_DECODED_SKIPPED) return decoded;
    return decode->bytes[decode->consumed - 1] == ',' ? decoded : WEIR_DECODED_MALFORMED;
}

static size_t netstring_encoded_bytes_max(const void *config, size_t len)
{
    (void)config;
    return weir__decimal_bytes(len) + len + 1;
}

static ssize_t netstring_encode(const void *config, struct weir_bytes message, unsigned char *ret, size_t room)
{
    size_t len;

    if (message.len > WEIR__DECIMAL_MAX) return -EMSGSIZE;
    if (room < netstring_encoded_bytes_max(config, message.len)) return -ENOBUFS;
    len = weir__decimal_write(message, ':', ret);
    ret[len++] = ',';
    return (ssize_t)len;
}

static int netstring_parse(const struct weir__spec *spec, void *config)
{
    (void)config;
    return spec->options ? weir__spec_fail(spec, "netstring takes no options") : 0;
}

const struct weir_codec weir__codec_netstring =
    WEIR_CODEC(.name = "netstring", .state_bytes = sizeof(struct weir__counted), .decode = netstring_decode,
               .encoded_bytes_max = netstring_encoded_bytes_max, .encode = netstring_encode);

const struct weir__framing weir__framing_netstring = {
    .codec = &weir__codec_netstring,
    .about = { "netstring", "The length in digits, a colon, the message, a comma." },
    .parse = netstring_parse
};

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * octet-count: LEN SP MSG, as syslog is sent over TCP (RFC 6587, 3.4.1). There are no empty messages: a length begins
 * with a digit other than 0, and has at most 10. It must never take the first bytes of a sender that does not count for
 * a length: what is not a digit is malformed where it stands. */
#include <errno.h>

#include "decimal.h"
#include "frame_internal.h"

static enum weir_decoded octet_count_decode(const void *config, void *state, struct weir_decode *decode)
{
    struct weir__counted *counted = state;

    (void)config;
    if (!weir__decimal_read(counted, decode, ' ')) return WEIR_DECODED_MALFORMED;
    if (counted->message_len == 0 && (counted->is_known || counted->done > 0)) return WEIR_DECODED_MALFORMED;
    if (!counted->is_known) return WEIR_DECODED_MORE;
    return weir__counted_decode(counted, decode, weir__decimal_bytes(counted->message_len), 0);
}

static size_t octet_count_encoded_bytes_max(const void *config, size_t len)
{
    (void)config;
    return weir__decimal_bytes(len) + len;
}

static ssize_t octet_count_encode(const void *config, struct weir_bytes message, unsigned char *ret, size_t room)
{
    if (message.len == 0 || message.len > WEIR__DECIMAL_MAX) return -EMSGSIZE;
    if (room < octet_count_encoded_bytes_max(config, message.len)) return -ENOBUFS;
    return (ssize_t)weir__decimal_write(message, ' ', ret);
}

static int octet_count_parse(const struct weir__spec *spec, void *config)
{
    (void)config;
    return spec->options ? weir__spec_fail(spec, "octet-count takes no options") : 0;
}

const struct weir_codec weir__codec_octet_count =
    WEIR_CODEC(.name = "octet-count", .state_bytes = sizeof(struct weir__counted), .decode = octet_count_decode,
               .encoded_bytes_max = octet_count_encoded_bytes_max, .encode = octet_count_encode);

const struct weir__framing weir__framing_octet_count = {
    .codec = &weir__codec_octet_count,
    .about = { "octet-count", "The length in digits and a blank, as syslog is sent over TCP (RFC 6587)." },
    .parse = octet_count_parse
};

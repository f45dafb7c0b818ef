/* SPDX-License-Identifier: BSD-3-Clause
 *
 * raw: no framing. What one read returned is a message, cut where it is longer than the limit. TCP keeps no boundaries,
 * so where these messages begin and end means nothing; that is for people who look, and for streams whose bytes are all
 * alike. It must never wait for more, nor call anything too long. */
#include "frame_internal.h"

static enum weir_decoded raw_decode(const void *config, void *state, struct weir_decode *decode)
{
    size_t len = decode->len < decode->message_bytes_max ? decode->len : decode->message_bytes_max;

    (void)config;
    (void)state;
    if (len == 0) return WEIR_DECODED_MORE;
    decode->message = (struct weir_bytes){ decode->bytes, len };
    decode->original_len = len;
    decode->consumed = len;
    return WEIR_DECODED_MESSAGE;
}

static int raw_parse(const struct weir__spec *spec, void *config)
{
    (void)config;
    return spec->options ? weir__spec_fail(spec, "raw takes no options") : 0;
}

const struct weir_codec weir__codec_raw = WEIR_CODEC(.name = "raw", .decode = raw_decode);

const struct weir__framing weir__framing_raw = { .codec = &weir__codec_raw,
                                                 .about = { "raw", "No framing: what one read returned is a message." },
                                                 .parse = raw_parse };

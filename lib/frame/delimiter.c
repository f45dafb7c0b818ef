/* SPDX-License-Identifier: BSD-3-Clause
 *
 * delimiter: a message ends where a fixed sequence of 1 to 64 bytes ends. Sending appends it; a message that contains
 * the delimiter is sent as it is and arrives as several. It must never look at a byte in two calls, nor go back in one:
 * how much of the delimiter has been matched is remembered. */
#include <errno.h>
#include <string.h>

#include "frame_internal.h"
#include "pattern.h"
#include "until.h"

static enum weir_decoded delimiter_decode(const void *config, void *state, struct weir_decode *decode)
{
    const struct weir__pattern *delimiter = config;
    struct weir__until *until = state;
    size_t matched = until->partial;
    size_t end = weir__pattern_find(delimiter, decode->bytes, until->scanned, decode->len, &matched);

    until->partial = (uint32_t)matched;
    if (end == 0) return weir__until_more(until, decode);
    return weir__until_end(until, decode, end, delimiter->len, 0);
}

static size_t delimiter_encoded_bytes_max(const void *config, size_t len)
{
    const struct weir__pattern *delimiter = config;

    return len + delimiter->len;
}

static ssize_t delimiter_encode(const void *config, struct weir_bytes message, unsigned char *ret, size_t room)
{
    const struct weir__pattern *delimiter = config;

    if (room < message.len + delimiter->len) return -ENOBUFS;
    if (message.len > 0) memcpy(ret, message.data, message.len);
    memcpy(ret + message.len, delimiter->bytes, delimiter->len);
    return (ssize_t)(message.len + delimiter->len);
}

static int delimiter_parse(const struct weir__spec *spec, void *config)
{
    struct weir__pattern *delimiter = config;
    int err;

    if (!spec->options || spec->options[0] == '\0') {
        return weir__spec_fail(spec, "needs the bytes that end a message, as in delimiter:\\x03");
    }
    err = weir__spec_bytes(spec, "the delimiter", weir__spec_word(spec->options, ""), delimiter->bytes,
                           sizeof(delimiter->bytes), &delimiter->len);
    if (err) return err;
    weir__pattern_init(delimiter);
    return 0;
}

const struct weir_codec weir__codec_delimiter =
    WEIR_CODEC(.name = "delimiter", .state_bytes = sizeof(struct weir__until), .decode = delimiter_decode,
               .encoded_bytes_max = delimiter_encoded_bytes_max, .encode = delimiter_encode);

const struct weir__framing weir__framing_delimiter = { .codec = &weir__codec_delimiter,
                                                       .about = { "delimiter:BYTES", "1 to 64 bytes end a message." },
                                                       .config_bytes = sizeof(struct weir__pattern),
                                                       .parse = delimiter_parse };

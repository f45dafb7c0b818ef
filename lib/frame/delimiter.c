/* SPDX-License-Identifier: BSD-3-Clause
 *
 * delimiter: a message ends where a fixed sequence of 1 to 64 bytes ends. Sending appends it; a message that contains
 * the delimiter is sent as it is and arrives as several. It must never look at a byte in two calls, nor go back in one:
 * a delimiter can begin inside a failed attempt at itself ("aab" in "aaab"), so how much of it has been matched follows
 * the bytes by the table of Knuth, Morris and Pratt. */
#include "frame/frame_internal.h"

#include <errno.h>
#include <string.h>

#include "frame/until.h"

#define DELIMITER_BYTES_MAX 64

struct delimiter_config {
    size_t len;
    unsigned char bytes[DELIMITER_BYTES_MAX];
    /* fallback[n]: when n bytes are matched and the next does not fit, how many of them still are */
    unsigned char fallback[DELIMITER_BYTES_MAX];
};

/* Looks at the window from `at` on, with the first *matched bytes of the delimiter right before it. Returns the offset
 * behind the delimiter, or 0 when the window ends first; *matched is then what its end matches. */
static size_t find_end(const struct delimiter_config *config, const struct weir_decode *decode, size_t at,
                       uint32_t *matched)
{
    size_t n = *matched;

    while (n < config->len && at < decode->len) {
        if (n == 0) {
            const unsigned char *first = memchr(decode->bytes + at, config->bytes[0], decode->len - at);
            if (first == NULL) break;
            at = (size_t)(first - decode->bytes) + 1;
            n = 1;
            continue;
        }
        while (n > 0 && config->bytes[n] != decode->bytes[at])
            n = config->fallback[n];
        if (config->bytes[n] == decode->bytes[at]) n++;
        at++;
    }
    *matched = (uint32_t)n;
    return n == config->len ? at : 0;
}

static enum weir_decoded delimiter_decode(const void *config, void *state, struct weir_decode *decode)
{
    const struct delimiter_config *delimiter = config;
    struct weir__until *until = state;
    size_t end = find_end(delimiter, decode, until->scanned, &until->partial);

    if (end == 0) return weir__until_more(until, decode);
    return weir__until_end(until, decode, end, delimiter->len, 0);
}

static size_t delimiter_encoded_bytes_max(const void *config, size_t len)
{
    const struct delimiter_config *delimiter = config;

    return len + delimiter->len;
}

static ssize_t delimiter_encode(const void *config, struct weir_bytes message, unsigned char *ret, size_t room)
{
    const struct delimiter_config *delimiter = config;

    if (room < message.len + delimiter->len) return -ENOBUFS;
    if (message.len > 0) memcpy(ret, message.data, message.len);
    memcpy(ret + message.len, delimiter->bytes, delimiter->len);
    return (ssize_t)(message.len + delimiter->len);
}

static void fill_fallback(struct delimiter_config *config)
{
    size_t n = 0;

    for (size_t i = 1; i < config->len; i++) {
        config->fallback[i] = (unsigned char)n;
        while (n > 0 && config->bytes[n] != config->bytes[i])
            n = config->fallback[n];
        if (config->bytes[n] == config->bytes[i]) n++;
    }
}

static int delimiter_parse(const struct weir__spec *spec, void *config)
{
    struct delimiter_config *delimiter = config;
    int err;

    if (spec->options == NULL || spec->options[0] == '\0') {
        return weir__spec_fail(spec, "needs the bytes that end a message, as in delimiter:\\x03");
    }
    err = weir__spec_bytes(spec, "the delimiter", weir__spec_word(spec->options, ""), delimiter->bytes,
                           sizeof delimiter->bytes, &delimiter->len);
    if (err) return err;
    fill_fallback(delimiter);
    return 0;
}

const struct weir_codec weir__codec_delimiter =
    WEIR_CODEC(.name = "delimiter", .state_bytes = sizeof(struct weir__until), .decode = delimiter_decode,
               .encoded_bytes_max = delimiter_encoded_bytes_max, .encode = delimiter_encode);

const struct weir__framing weir__framing_delimiter = { .codec = &weir__codec_delimiter,
                                                       .config_bytes = sizeof(struct delimiter_config),
                                                       .parse = delimiter_parse };

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * fixed: every message has the same length, and nothing else is on the wire. What is left over at the end, because it
 * is shorter, is no message. Sending fills a shorter message up with the byte `pad`; without one it has to have the
 * length, which nobody can promise of every answer, so that a listener sends in it only where there is a pad. It must
 * never take the filling off again: it cannot be told from a message that ends like it, which is why what is sent here
 * does not count as reversible. */
#include <errno.h>
#include <string.h>

#include "counted.h"
#include "frame_internal.h"

#define FIXED_BYTES_MAX (1 << 30)

struct fixed_config {
    uint32_t message_bytes;
    unsigned char pad;
    unsigned char has_pad;
};

static enum weir_decoded fixed_decode(const void *config, void *state, struct weir_decode *decode)
{
    const struct fixed_config *fixed = config;
    struct weir__counted *counted = state;

    if (decode->len == 0) return WEIR_DECODED_MORE;
    if (!counted->is_known) weir__counted_start(counted, fixed->message_bytes);
    return weir__counted_decode(counted, decode, 0, 0);
}

static size_t fixed_encoded_bytes_max(const void *config, size_t len)
{
    const struct fixed_config *fixed = config;

    (void)len;
    return fixed->message_bytes;
}

static ssize_t fixed_encode(const void *config, struct weir_bytes message, unsigned char *ret, size_t room)
{
    const struct fixed_config *fixed = config;
    size_t len = fixed->message_bytes;

    if (message.len > len || (message.len < len && !fixed->has_pad)) return -EMSGSIZE;
    if (room < len) return -ENOBUFS;
    if (message.len > 0) memcpy(ret, message.data, message.len);
    memset(ret + message.len, fixed->pad, len - message.len);
    return (ssize_t)len;
}

static bool fixed_is_reversible(const void *config)
{
    (void)config;
    return false;
}

static bool fixed_is_sendable(const void *config)
{
    const struct fixed_config *fixed = config;

    return fixed->has_pad;
}

static int fixed_parse(const struct weir__spec *spec, void *config)
{
    static const char *const known[] = { "pad", NULL };
    struct fixed_config *fixed = config;
    struct weir_bytes word, pad;
    int32_t number;
    int err;

    if (!spec->options || spec->options[0] == '\0') {
        return weir__spec_fail(spec, "needs the messages' length, as in fixed:128");
    }
    word = weir__spec_word(spec->options, ",");
    err = weir__spec_number(spec, "", word, 1, FIXED_BYTES_MAX, &number);
    if (err) return err;
    fixed->message_bytes = (uint32_t)number;
    for (const char *at = spec->options + word.len; *at == ','; at += 1 + strcspn(at + 1, ",")) {
        err = weir__spec_option(spec, at + 1, known, &pad);
        if (err < 0) return err;
        if (fixed->has_pad) return weir__spec_fail(spec, "pad is given twice");
        if (!pad.data) return weir__spec_fail(spec, "pad needs a byte, as in pad=\\x00");
        fixed->has_pad = 1;
        err = weir__spec_byte(spec, "pad=", pad, &fixed->pad);
        if (err) return err;
    }
    return 0;
}

const struct weir_codec weir__codec_fixed =
    WEIR_CODEC(.name = "fixed", .state_bytes = sizeof(struct weir__counted), .decode = fixed_decode,
               .encoded_bytes_max = fixed_encoded_bytes_max, .encode = fixed_encode);

const struct weir__framing weir__framing_fixed = {
    .codec = &weir__codec_fixed,
    .about = { "fixed:N[,pad=BYTE]",
               "Every message has N bytes. Sends shorter ones filled up with pad; without it bytes leave as given." },
    .config_bytes = sizeof(struct fixed_config),
    .parse = fixed_parse,
    .is_reversible = fixed_is_reversible,
    .is_sendable = fixed_is_sendable
};

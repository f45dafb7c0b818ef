/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Frames a message, sends it to nobody, and reads it back. */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include <weir/weir.h>

#include "frame_internal.h"
#include "memory.h"

/* Whether what was framed, which this may change, is read as that one message. Some framings leave an end behind that
 * begins the next one. */
static bool arrives(const struct weir_frame *frame, unsigned char *state, struct weir_bytes message,
                    unsigned char *bytes, size_t len, size_t *ret_len)
{
    const struct weir_codec *codec = weir_frame_codec(frame);
    enum weir_decoded found = WEIR_DECODED_MESSAGE;
    bool is_same = true;
    size_t count = 0;

    while (len > 0 && found == WEIR_DECODED_MESSAGE) {
        struct weir_decode decode = WEIR_DECODE(.bytes = bytes, .len = len, .message_bytes_max = len);

        found = codec->decode(weir_frame_config(frame), state, &decode);
        if (found == WEIR_DECODED_MESSAGE && !count++) {
            const size_t both = decode.message.len < message.len ? decode.message.len : message.len;

            is_same = both == 0 || memcmp(decode.message.data, message.data, both) == 0;
            *ret_len = decode.message.len;
        }
        bytes += decode.consumed;
        len -= decode.consumed;
    }
    return count == 1 && is_same;
}

int weir_frame_check(const struct weir_frame *frame, struct weir_bytes message, size_t *ret_len)
{
    const struct weir_codec *codec = weir_frame_codec(frame);
    const void *config = weir_frame_config(frame);
    const size_t room = codec && codec->encode ? codec->encoded_bytes_max(config, message.len) : 0;
    unsigned char *bytes = NULL;
    size_t arrives_len = 0;
    ssize_t len = 0;
    int err = 0;

    if (!codec || (!message.data && message.len > 0)) return -EINVAL;
    if (!codec->encode) return -ENOTSUP;
    bytes = weir__malloc(WEIR_CODEC_STATE_BYTES_MAX + room + 1);
    if (!bytes) return -ENOMEM;
    memset(bytes, 0, WEIR_CODEC_STATE_BYTES_MAX);
    len = codec->encode(config, message, bytes + WEIR_CODEC_STATE_BYTES_MAX, room);
    if (len < 0)
        err = (int)len;
    else if (!arrives(frame, bytes, message, bytes + WEIR_CODEC_STATE_BYTES_MAX, (size_t)len, &arrives_len))
        err = -EBADMSG;
    weir__free(bytes);
    if (!err && ret_len) *ret_len = arrives_len;
    return err;
}

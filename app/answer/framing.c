/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Reads a service's framing as the library does, for those who must know before it listens. */
#include "framing.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STATE_BYTES_MAX = 4096 }; /* of a codec's, as weir/frame.h says */

struct weir_frame *framing_asked_for(const struct weir_service *service)
{
    const bool same = !service->send_frame || strcmp(service->send_frame, "same") == 0;
    const char *spec = same ? service->frame : service->send_frame;
    struct weir_frame *frame = NULL;

    if (!spec || strcmp(spec, "raw") == 0 || weir_frame_new(spec, &frame, NULL, 0)) return NULL;
    return frame;
}

struct weir_frame *framing_of_sent(const struct weir_service *service)
{
    struct weir_frame *frame = framing_asked_for(service);

    if (!frame) return NULL;
    if (weir_frame_is_sendable(frame) && weir_frame_codec(frame)->encode) return frame;
    weir_frame_free(frame);
    return NULL;
}

/* Whether what was framed, which this may change, is read as that one message. Some framings leave an end behind that
 * begins the next one. */
static bool arrives(const struct weir_frame *frame, unsigned char *bytes, size_t len, struct weir_bytes message,
                    size_t *ret_len)
{
    const struct weir_codec *codec = weir_frame_codec(frame);
    _Alignas(max_align_t) unsigned char state[STATE_BYTES_MAX] = { 0 };
    enum weir_decoded found = WEIR_DECODED_MESSAGE;
    bool is_same = true;
    size_t count = 0;

    while (len > 0 && found == WEIR_DECODED_MESSAGE) {
        struct weir_decode decode = { .bytes = bytes, .len = len, .message_bytes_max = len };

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

/* The caller's; NULL with a code. */
static unsigned char *encode(const struct weir_frame *frame, struct weir_bytes message, ssize_t *ret_len)
{
    const struct weir_codec *codec = weir_frame_codec(frame);
    const void *config = weir_frame_config(frame);
    const size_t room = codec->encoded_bytes_max(config, message.len);
    unsigned char *encoded = malloc(room + 1);

    *ret_len = encoded ? codec->encode(config, message, encoded, room) : -ENOMEM;
    if (*ret_len >= 0) return encoded;
    free(encoded);
    return NULL;
}

int framing_try(const struct weir_frame *frame, struct weir_bytes message, size_t *ret_arrives_len)
{
    ssize_t len = 0;
    unsigned char *encoded = encode(frame, message, &len);
    const bool is_one = encoded && arrives(frame, encoded, (size_t)len, message, ret_arrives_len);

    free(encoded);
    if (len < 0) return (int)len;
    return is_one ? 0 : -EBADMSG;
}

int framing_check(const struct weir_service *service, struct weir_bytes message, char *error, size_t error_size)
{
    struct weir_frame *frame = framing_of_sent(service);
    ssize_t len = 0;

    if (!frame) return 0;
    free(encode(frame, message, &len));
    if (len == -ENOMEM)
        snprintf(error, error_size, "%s", weir_strerror(-ENOMEM));
    else if (len < 0)
        snprintf(error, error_size, "cannot be sent in the framing %s: %s", weir_frame_codec(frame)->name,
                 len != -EMSGSIZE ? "it could not be read back"
                 : message.len    ? "it is too long"
                                  : "it is empty");
    weir_frame_free(frame);
    if (len >= 0) return 0;
    return len == -ENOMEM ? -ENOMEM : -EINVAL;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app/clients/framing.c: reads a service's framing as the library does, for those who must know before it listens. */
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
    const char *const spec = same ? service->frame : service->send_frame;
    struct weir_frame *frame = NULL;

    if (!spec || strcmp(spec, "raw") == 0 || weir_frame_new(spec, &frame, NULL, 0)) return NULL;
    return frame;
}

struct weir_frame *framing_of_sent(const struct weir_service *service)
{
    struct weir_frame *const frame = framing_asked_for(service);

    if (!frame) return NULL;
    if (weir_frame_is_sendable(frame) && weir_frame_codec(frame)->encode) return frame;
    weir_frame_free(frame);
    return NULL;
}

/* Counts the messages in bytes that were framed, which it may change. Some framings leave an end behind that begins the
 * next one. */
static size_t count_messages(const struct weir_frame *frame, unsigned char *bytes, size_t len)
{
    const struct weir_codec *const codec = weir_frame_codec(frame);
    _Alignas(max_align_t) unsigned char state[STATE_BYTES_MAX] = { 0 };
    enum weir_decoded found = WEIR_DECODED_MESSAGE;
    size_t count = 0;

    for (; len > 0 && found == WEIR_DECODED_MESSAGE; count += found == WEIR_DECODED_MESSAGE) {
        struct weir_decode decode = { .bytes = bytes, .len = len, .message_bytes_max = len };

        found = codec->decode(weir_frame_config(frame), state, &decode);
        bytes += decode.consumed;
        len -= decode.consumed;
    }
    return count;
}

/* Returns 0, or a code, for -EINVAL and -EMSGSIZE with the reason. */
static int try_to_send(const struct weir_frame *frame, struct weir_bytes message, bool as_one, const char **ret_reason)
{
    const struct weir_codec *const codec = weir_frame_codec(frame);
    const void *const config = weir_frame_config(frame);
    const size_t room = codec->encoded_bytes_max(config, message.len);
    unsigned char *const encoded = malloc(room + 1);
    const ssize_t len = encoded ? codec->encode(config, message, encoded, room) : -ENOMEM;
    int err = len < 0 ? (int)len : 0;

    if (err == -EMSGSIZE)
        *ret_reason = message.len ? "it is too long" : "it is empty";
    else if (err)
        *ret_reason = "it could not be read back";
    if (!err && as_one && count_messages(frame, encoded, (size_t)len) != 1) {
        *ret_reason = "it would not arrive as one message";
        err = -EINVAL;
    }
    free(encoded);
    return err;
}

int framing_check(const struct weir_service *service, struct weir_bytes message, bool as_one, char *error,
                  size_t error_size)
{
    struct weir_frame *const frame = framing_of_sent(service);
    const char *reason = "it is empty";
    int err = 0;

    if (frame)
        err = try_to_send(frame, message, as_one, &reason);
    else if (as_one && !message.len)
        err = -EINVAL;
    if (err == -ENOMEM)
        snprintf(error, error_size, "%s", weir_strerror(err));
    else if (err)
        snprintf(error, error_size, "cannot be sent in the framing %s: %s",
                 frame ? weir_frame_codec(frame)->name : "raw", reason);
    weir_frame_free(frame);
    return err && err != -ENOMEM ? -EINVAL : err;
}

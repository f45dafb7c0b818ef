/* SPDX-License-Identifier: BSD-3-Clause
 *
 * weir_frame_new: a SPEC is read or refused with a sentence that stays in its room, and what has been read works. */
#include <errno.h>
#include <string.h>

#include <weir/error.h>
#include <weir/frame.h>

#include "text.h"

#define ROOM_MAX (1 << 20) /* fixed takes lengths of up to 1 GiB */

static const char sample[] = "a message, of ~some} \x10\x02\x03 bytes";

/* Of every SPEC but those that send as it is what ends a message inside one. */
static int is_exact(const struct weir_frame *frame)
{
    const char *name = weir_frame_codec(frame)->name;

    return weir_frame_is_reversible(frame) && strcmp(name, "line") != 0 && strcmp(name, "delimiter") != 0;
}

static void use(const struct weir_frame *frame, struct weir_bytes message)
{
    const struct weir_codec *codec = weir_frame_codec(frame);
    uint64_t state[2] = { 0 };
    unsigned char *wire;
    size_t room;
    ssize_t len;

    REQUIRE(codec->state_bytes <= sizeof(state));
    if (!codec->encode) return;
    room = codec->encoded_bytes_max(weir_frame_config(frame), message.len);
    if (room > ROOM_MAX) return;
    wire = fuzz_block(room);
    len = codec->encode(weir_frame_config(frame), message, wire, room);
    REQUIRE(len == -EINVAL || len == -EMSGSIZE || (len > 0 && (size_t)len <= room));
    if (len > 0) {
        struct weir_decode decode = WEIR_DECODE(.bytes = wire, .len = (size_t)len, .message_bytes_max = ROOM_MAX);
        enum weir_decoded kind = codec->decode(weir_frame_config(frame), state, &decode);
        if (is_exact(frame)) {
            REQUIRE(kind == WEIR_DECODED_MESSAGE && decode.consumed == (size_t)len);
            REQUIRE(decode.message.len == message.len);
            REQUIRE(memcmp(decode.message.data, message.data, message.len) == 0);
        }
    }
    free(wire);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size);
    struct weir_frame *frame = NULL, *again = NULL;
    size_t room = 1 + strlen(text) % 300;
    char *error = (char *)fuzz_block(room);
    int err = weir_frame_new(text, &frame, error, room);

    REQUIRE(err == 0 || err == WEIR_EFRAME);
    REQUIRE(weir_frame_new(text, &again, NULL, 0) == err);
    if (err) {
        REQUIRE(!frame && !again);
        REQUIRE(memchr(error, '\0', room));
        REQUIRE(room == 1 || strncmp(error, "frame \"", strlen(error) < 7 ? strlen(error) : 7) == 0);
    } else {
        const char *name = weir_frame_codec(frame)->name;
        REQUIRE(strncmp(text, name, strlen(name)) == 0);
        use(frame, (struct weir_bytes){ (const unsigned char *)sample, sizeof(sample) - 1 });
        use(frame, (struct weir_bytes){ (const unsigned char *)text, strlen(text) });
    }
    weir_frame_free(frame);
    weir_frame_free(again);
    free(error);
    free(text);
    return 0;
}

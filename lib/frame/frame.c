/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Framings by name: which there are, and the one that a SPEC means. It owns struct weir_frame. It must never know what
 * a framing does with its bytes or its options: that is in the framing's own file.
 */
#include "frame_internal.h"

#include <errno.h>
#include <stdalign.h>
#include <string.h>

#include "memory.h"

struct weir_frame {
    const struct weir__framing *framing;
    alignas(max_align_t) unsigned char config[];
};

#define FRAMING_ROW(name) &weir__framing_##name,
static const struct weir__framing *const framings[] = { WEIR__FRAMINGS(FRAMING_ROW) };

#define FRAMINGS (sizeof(framings) / sizeof(framings[0]))

/* The framing with the SPEC's name, or NULL once the error has been written. */
static const struct weir__framing *find_framing(const struct weir__spec *spec)
{
    struct weir_bytes name = { (const unsigned char *)spec->text, strcspn(spec->text, ":") };
    const char *known[FRAMINGS + 1] = { NULL };

    for (size_t i = 0; i < FRAMINGS; i++) {
        known[i] = framings[i]->codec->name;
        if (strlen(known[i]) == name.len && memcmp(known[i], name.data, name.len) == 0) return framings[i];
    }
    weir__spec_fail_unknown(spec, "framing", name, known);
    return NULL;
}

int weir_frame_new(const char *text, struct weir_frame **ret, char *error, size_t error_size)
{
    struct weir__spec spec = { .text = text ? text : "", .error = error, .error_size = error_size };
    const struct weir__framing *framing;
    const char *colon;
    struct weir_frame *frame;
    int err;

    if (!text || !ret) {
        weir__spec_fail(&spec, "the SPEC, or the place for the frame, is NULL");
        return -EINVAL;
    }
    framing = find_framing(&spec);
    colon = strchr(text, ':');
    if (!framing) return WEIR_EFRAME;
    frame = weir__zalloc(sizeof(*frame) + framing->config_bytes);
    if (!frame) {
        weir__spec_fail(&spec, "out of memory");
        return -ENOMEM;
    }
    frame->framing = framing;
    spec.options = colon ? colon + 1 : NULL;
    err = framing->parse(&spec, frame->config);
    if (err) {
        weir_frame_free(frame);
        return err;
    }
    *ret = frame;
    return 0;
}

const struct weir_framing *weir_framing_get(size_t index)
{
    return index < FRAMINGS ? &framings[index]->about : NULL;
}

void weir_frame_free(struct weir_frame *frame)
{
    weir__free(frame);
}

const struct weir_codec *weir_frame_codec(const struct weir_frame *frame)
{
    return frame ? frame->framing->codec : NULL;
}

const void *weir_frame_config(const struct weir_frame *frame)
{
    return frame ? frame->config : NULL;
}

bool weir_frame_is_reversible(const struct weir_frame *frame)
{
    if (!frame) return false;
    return !frame->framing->is_reversible || frame->framing->is_reversible(frame->config);
}

bool weir_frame_is_sendable(const struct weir_frame *frame)
{
    if (!frame) return false;
    if (!frame->framing->is_sendable) return weir_frame_is_reversible(frame);
    return frame->framing->is_sendable(frame->config);
}

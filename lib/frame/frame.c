/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Framing SPECs: which framings there are, and what is said about a SPEC that cannot be read. It owns struct
 * weir_frame. It must never know what a framing does with its bytes or its options: that is in the framing's own file.
 */
#include "frame/frame_internal.h"

#include <errno.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "memory.h"

struct weir_frame {
    const struct weir__framing *framing;
    alignas(max_align_t) unsigned char config[];
};

#define FRAMING_ROW(name) &weir__framing_##name,
static const struct weir__framing *const framings[] = { WEIR__FRAMINGS(FRAMING_ROW) };

#define FRAMINGS (sizeof framings / sizeof framings[0])

/* ---- What is wrong with a SPEC ---- */

#define WORD_BYTES_MAX 32 /* longer ones are not compared; nothing we know is as long */

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* How many letters have to be added, removed, changed or swapped with their neighbour to turn one word into the other
 * (the "optimal string alignment" distance): what a slip of the fingers counts as one. */
static size_t word_distance(struct weir_bytes a, const char *b)
{
    size_t b_len = strlen(b);
    size_t rows[3][WORD_BYTES_MAX + 1];

    for (size_t j = 0; j <= b_len; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t *now = rows[i % 3], *last = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            char c = (char)a.data[i - 1];
            now[j] = smaller(last[j - 1] + (c != b[j - 1]), smaller(last[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && c == b[j - 2] && (char)a.data[i - 2] == b[j - 1]) {
                now[j] = smaller(now[j], before[j - 2] + 1);
            }
        }
    }
    return rows[a.len % 3][b_len];
}

/* The word that was probably meant: at most half of its letters may differ. NULL when there is none. */
static const char *nearest_word(struct weir_bytes word, const char *const known[])
{
    const char *nearest = NULL;
    size_t best = WORD_BYTES_MAX;

    if (word.len > WORD_BYTES_MAX) return NULL;
    for (size_t i = 0; known[i] != NULL; i++) {
        size_t distance = word_distance(word, known[i]);
        if (distance < best && distance * 2 <= strlen(known[i])) {
            best = distance;
            nearest = known[i];
        }
    }
    return nearest;
}

int weir__spec_fail(const struct weir__spec *spec, const char *format, ...)
{
    va_list args;
    int prefix;

    if (spec->error == NULL || spec->error_size == 0) return WEIR_EFRAME;
    prefix = snprintf(spec->error, spec->error_size, "frame \"%.100s\": ", spec->text);
    if (prefix < 0 || (size_t)prefix >= spec->error_size) return WEIR_EFRAME;
    va_start(args, format);
    vsnprintf(spec->error + prefix, spec->error_size - (size_t)prefix, format, args);
    va_end(args);
    return WEIR_EFRAME;
}

int weir__spec_fail_unknown(const struct weir__spec *spec, const char *what, struct weir_bytes word,
                            const char *const known[])
{
    const char *nearest = nearest_word(word, known);
    char list[256] = "";

    for (size_t i = 0, used = 0; known[i] != NULL && used < sizeof list; i++) {
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i > 0 ? ", " : "", known[i]);
    }
    return weir__spec_fail(spec, "unknown %s \"%.*s\"%s%s%s known: %s", what, (int)smaller(word.len, 100),
                           (const char *)word.data, nearest ? "; did you mean \"" : ";", nearest ? nearest : "",
                           nearest ? "\"?" : "", list);
}

/* ---- Frames ---- */

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
    struct weir__spec spec = { .text = text, .error = error, .error_size = error_size };
    const struct weir__framing *framing = find_framing(&spec);
    const char *colon = strchr(text, ':');
    struct weir_frame *frame;
    int err;

    if (framing == NULL) return WEIR_EFRAME;
    frame = weir__zalloc(sizeof *frame + framing->config_bytes);
    if (frame == NULL) {
        weir__spec_fail(&spec, "out of memory");
        return -ENOMEM;
    }
    frame->framing = framing;
    spec.options = colon != NULL ? colon + 1 : NULL;
    err = framing->parse(&spec, frame->config);
    if (err) {
        weir_frame_free(frame);
        return err;
    }
    *ret = frame;
    return 0;
}

void weir_frame_free(struct weir_frame *frame)
{
    weir__free(frame);
}

const struct weir_codec *weir_frame_codec(const struct weir_frame *frame)
{
    return frame->framing->codec;
}

const void *weir_frame_config(const struct weir_frame *frame)
{
    return frame->config;
}

int weir_frame_is_reversible(const struct weir_frame *frame)
{
    return frame->framing->is_reversible == NULL || frame->framing->is_reversible(frame->config);
}

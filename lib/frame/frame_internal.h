/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a framing is made of, for frame.c, which reads SPECs, and for the files of this room,
 * one for each framing. */
#ifndef WEIR__FRAME_INTERNAL_H
#define WEIR__FRAME_INTERNAL_H

#include <stdbool.h>

#include <weir/error.h>
#include <weir/frame.h>

#include "portable.h"

/* A SPEC while it is read: `NAME` or `NAME:OPTIONS`. */
struct weir__spec {
    const char *text;    /* all of it */
    const char *options; /* behind the first colon; NULL without one */
    char *error;         /* for the sentence; may be NULL */
    size_t error_size;
};

/* A framing as SPECs name it. */
struct weir__framing {
    const struct weir_codec *codec;
    struct weir_framing about; /* begins with the codec's name */
    size_t config_bytes;
    /* Fills a zeroed config from the SPEC's options. Returns 0, or what weir__spec_fail returned. */
    int (*parse)(const struct weir__spec *spec, void *config);
    /* Whether encode is the inverse of decode; NULL: always. */
    bool (*is_reversible)(const void *config);
    /* Whether what is sent arrives as one message, if not as the same; NULL: when it is reversible. */
    bool (*is_sendable)(const void *config);
};

/* Every framing there is, in the order in which people are told of them. NAME, with - for _, is also the codec's name;
 * it is a file that defines weir__codec_NAME and weir__framing_NAME. */
#define WEIR__FRAMINGS(X) \
    X(raw)                \
    X(line)               \
    X(delimiter)          \
    X(fixed)              \
    X(length)             \
    X(varint)             \
    X(octet_count)        \
    X(netstring)          \
    X(between)            \
    X(slip)

#define WEIR__FRAMING_DECLARE(name)                    \
    extern const struct weir_codec weir__codec_##name; \
    extern const struct weir__framing weir__framing_##name;
WEIR__FRAMINGS(WEIR__FRAMING_DECLARE)
#undef WEIR__FRAMING_DECLARE

/* Writes `frame "SPEC": ` and the sentence to the SPEC's error, and returns WEIR_EFRAME. */
int weir__spec_fail(const struct weir__spec *spec, const char *format, ...) WEIR__PRINTF(2, 3);

/* The same for a word that is not among those known (a list that ends with NULL): `unknown WHAT "WORD"; did you mean
 * "length"? known: raw, line, ...`. */
int weir__spec_fail_unknown(const struct weir__spec *spec, const char *what, struct weir_bytes word,
                            const char *const known[]);

/* A word is a part of the SPEC's text: it ends before the first of `stops`, or with the text. */
struct weir_bytes weir__spec_word(const char *text, const char *stops);
bool weir__spec_word_is(struct weir_bytes word, const char *name);

/* Reads `NAME` or `NAME=VALUE`, up to a comma: the place of NAME among those known (a list that ends with NULL), with
 * the VALUE as a word; its data is NULL without a `=`. */
int weir__spec_option(const struct weir__spec *spec, const char *text, const char *const known[],
                      struct weir_bytes *ret_value);

/* Decimal digits and nothing else, after a minus where the number may be negative. `what` stands before the word in the
 * sentence: "offset=". */
int weir__spec_number(const struct weir__spec *spec, const char *what, struct weir_bytes word, int32_t min, int32_t max,
                      int32_t *ret);

/* A word with escapes, of at most `room` bytes, itself at most 64. `what` is the sentence's subject. */
int weir__spec_bytes(const struct weir__spec *spec, const char *what, struct weir_bytes word, unsigned char *ret,
                     size_t room, size_t *ret_len);

/* One byte: a number, decimal or 0xHH, or a character or escape that stands for itself, unless it is a digit. `what`
 * stands before the word in the sentence: "pad=". */
int weir__spec_byte(const struct weir__spec *spec, const char *what, struct weir_bytes word, unsigned char *ret);

#endif

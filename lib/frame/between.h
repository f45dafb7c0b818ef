/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Messages between a START and an END, with bytes escaped in between: the configuration and the
 * codec's functions, for the framings that are a case of it. */
#ifndef WEIR__BETWEEN_H
#define WEIR__BETWEEN_H

#include <stdbool.h>

#include <weir/frame.h>

#include "pattern.h"

#define WEIR__BETWEEN_MARK_BYTES_MAX 8

struct weir__between {
    struct weir__pattern start;
    struct weir__pattern end;
    bool is_shared;   /* START and END are the same: each is the end of one frame and the start of the next */
    bool starts_open; /* the stream begins inside a frame, as if a START had come before it */
    int escape;       /* the byte that changes the meaning of the one behind it; WEIR__BETWEEN_NONE without one */
    /* What a byte behind the escape means, and what is sent behind the escape for a byte; else WEIR__BETWEEN_NONE.
     * meaning is WEIR__BETWEEN_END for the byte that makes an END of the escape. */
    int16_t meaning[256];
    int16_t sent_as[256];
};

enum { WEIR__BETWEEN_NONE = -1, WEIR__BETWEEN_END = -2 };

/* Once START and END are filled in: no escapes yet. */
void weir__between_init(struct weir__between *config);

/* Behind the escape, `sent` means `byte`. */
void weir__between_map(struct weir__between *config, unsigned char byte, unsigned char sent);

enum weir_decoded weir__between_decode(const void *config, void *state, struct weir_decode *decode);
size_t weir__between_encoded_bytes_max(const void *config, size_t len);
ssize_t weir__between_encode(const void *config, struct weir_bytes message, unsigned char *ret, size_t room);

/* Of one stream: of the message that is under way. */
struct weir__between_state {
    uint32_t written;       /* bytes of it at the window's front, behind those of START, unescaped */
    bool is_open;           /* inside a frame */
    unsigned char head;     /* bytes of START in front of the message */
    unsigned char matched;  /* how much of START, or inside a frame of END, the bytes looked at last are */
    unsigned char escaping; /* the byte looked at last was the escape; its place is behind the message */
    uint64_t gone;          /* bytes of the message that were consumed or dropped, because it is too long */
};

_Static_assert(sizeof(struct weir__between_state) <= 16, "a stream's state has to fit into its connection");

#endif

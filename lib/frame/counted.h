/* SPDX-License-Identifier: BSD-3-Clause
 *
 * frame/counted.h: what the framings share whose frames have a length that is known before their messages have come:
 * their header says it, or it is always the same. They read the header; this waits for the frame's end, and answers
 * what the policy for too long messages makes of it.
 *
 * The length is a claim of somebody unknown. It is judged as soon as it is known, and a message that is too long is not
 * collected: SKIP lets go of its bytes as they come, all but the last, so that what is kept always shows that a message
 * is under way; TRUNCATE keeps the header and the first message_bytes_max bytes behind it. */
#ifndef WEIR__COUNTED_H
#define WEIR__COUNTED_H

#include <weir/frame.h>

/* Of one stream: of the frame that is under way. */
struct weir__counted {
    uint64_t frame_len; /* with its framing, at most INT64_MAX and a little; 0 until its header has been read */
    union {
        uint64_t gone;           /* bytes of the frame that were consumed or dropped, because its message is too long */
        struct {                 /* before that, while the header has come in part */
            uint64_t value : 56; /* what it says by now */
            uint64_t bytes : 8;  /* how many of its bytes have been read */
        } header;
    };
};

_Static_assert(sizeof(struct weir__counted) <= 16, "a stream's state has to fit into its connection");

/* Whether the window reaches up to the frame's end; if not, lets go of what need not be kept of a message that is too
 * long. */
static inline int weir__counted_has_come(struct weir__counted *counted, struct weir_decode *decode, size_t head,
                                         int too_long)
{
    size_t keep = decode->too_long == WEIR_TOO_LONG_SKIP ? 1 : head + decode->message_bytes_max;
    size_t let_go = too_long && decode->len > keep ? decode->len - keep : 0;

    if (decode->len >= counted->frame_len - counted->gone) return 1;
    if (decode->too_long == WEIR_TOO_LONG_SKIP) {
        decode->consumed = let_go;
    } else {
        decode->dropped = let_go;
    }
    counted->gone += let_go;
    return 0;
}

/* Answers for a frame whose length is known: its message lies behind `head` bytes and before `tail` bytes of framing.
 */
static inline enum weir_decoded weir__counted_decode(struct weir__counted *counted, struct weir_decode *decode,
                                                     size_t head, size_t tail)
{
    uint64_t message_len = counted->frame_len - head - tail;
    int too_long = message_len > decode->message_bytes_max;

    if (too_long && decode->too_long == WEIR_TOO_LONG_CLOSE) return WEIR_DECODED_TOO_LONG;
    if (!weir__counted_has_come(counted, decode, head, too_long)) return WEIR_DECODED_MORE;

    decode->consumed = (size_t)(counted->frame_len - counted->gone);
    decode->original_len = message_len;
    *counted = (struct weir__counted){ 0 };
    if (too_long && decode->too_long == WEIR_TOO_LONG_SKIP) return WEIR_DECODED_SKIPPED;
    if (too_long) {
        message_len = decode->message_bytes_max;
        decode->flags = WEIR_MESSAGE_TRUNCATED;
    }
    decode->message = (struct weir_bytes){ decode->bytes + head, (size_t)message_len };
    return WEIR_DECODED_MESSAGE;
}

#endif

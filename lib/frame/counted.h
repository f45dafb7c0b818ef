/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the framings share that know how long a message is before it has come: its header says it, or
 * it is always the same. They read the header; this waits for the frame's end, and answers what the policy for too long
 * messages makes of it.
 *
 * The length is a claim of somebody unknown. It is judged as soon as it is known, and a message that is too long is not
 * collected: SKIP lets go of its bytes as they come, all but the last, so that what is kept always shows that a message
 * is under way; TRUNCATE keeps the header and the first message_bytes_max bytes behind it. */
#ifndef WEIR__COUNTED_H
#define WEIR__COUNTED_H

#include <stdbool.h>

#include <weir/frame.h>

/* Of one stream: of the frame that is under way. */
struct weir__counted {
    uint64_t message_len;  /* as far as the header has been read; at most INT64_MAX and a little */
    uint64_t is_known : 1; /* all of it has been */
    uint64_t done : 63;    /* bytes of the header that have been read; once the length is known, bytes of the frame that
                              were consumed or dropped because the message is too long */
};

_Static_assert(sizeof(struct weir__counted) <= 16, "a stream's state has to fit into its connection");

/* The header has been read. */
static inline void weir__counted_start(struct weir__counted *counted, uint64_t message_len)
{
    *counted = (struct weir__counted){ .message_len = message_len, .is_known = 1 };
}

/* Waits for more of the frame. Of a message that is too long, lets go of what need not be kept. */
static inline enum weir_decoded weir__counted_more(struct weir__counted *counted, struct weir_decode *decode,
                                                   size_t head, bool too_long)
{
    size_t keep = decode->too_long == WEIR_TOO_LONG_SKIP ? 1 : head + decode->message_bytes_max;
    size_t let_go = too_long && decode->len > keep ? decode->len - keep : 0;

    if (decode->too_long == WEIR_TOO_LONG_SKIP) {
        decode->consumed = let_go;
    } else {
        decode->dropped = let_go;
    }
    counted->done = (counted->done + let_go) & INT64_MAX;
    return WEIR_DECODED_MORE;
}

/* Answers for a frame whose length is known: its message lies behind `head` bytes and before `tail` bytes of framing.
 */
static inline enum weir_decoded weir__counted_decode(struct weir__counted *counted, struct weir_decode *decode,
                                                     size_t head, size_t tail)
{
    uint64_t message_len = counted->message_len;
    uint64_t left = head + message_len + tail - counted->done;
    bool too_long = message_len > decode->message_bytes_max;

    if (too_long && decode->too_long == WEIR_TOO_LONG_CLOSE) return WEIR_DECODED_TOO_LONG;
    if (decode->len < left) return weir__counted_more(counted, decode, head, too_long);

    decode->consumed = (size_t)left;
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

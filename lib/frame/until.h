/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the framings share whose messages last until a terminator is seen: how long the message is by
 * now, and what the policy for too long ones makes of it. They find the terminator; this answers.
 *
 * A message that is too long is not collected: SKIP lets go of its bytes as they come, all but the last, so that there
 * is one left to consume when its end is found; TRUNCATE keeps the first message_bytes_max and drops what follows. */
#ifndef WEIR__UNTIL_H
#define WEIR__UNTIL_H

#include <assert.h>

#include <weir/frame.h>

#define WEIR__MESSAGE_BYTES_MAX (1U << 30)

/* Of one stream: of the message that is under way. */
struct weir__until {
    uint32_t scanned; /* bytes at the window's start that have been looked at */
    uint32_t partial; /* of these, how many at the end may be the start of the terminator */
    uint64_t gone;    /* bytes of it that were consumed or dropped, because it is too long */
};

_Static_assert(sizeof(struct weir__until) <= 16, "a stream's state has to fit into its connection");

/* The message ends: `consumed` bytes of the window are its own, the last `terminator` of them framing. */
static inline enum weir_decoded weir__until_end(struct weir__until *until, struct weir_decode *decode, size_t consumed,
                                                size_t terminator, unsigned flags)
{
    decode->consumed = consumed;
    decode->original_len = until->gone + consumed - terminator;
    *until = (struct weir__until){ 0 };

    if (decode->original_len <= decode->message_bytes_max) {
        decode->message = (struct weir_bytes){ decode->bytes, (size_t)decode->original_len };
        decode->flags = flags;
        return WEIR_DECODED_MESSAGE;
    }
    if (decode->too_long == WEIR_TOO_LONG_SKIP) return WEIR_DECODED_SKIPPED;
    if (decode->too_long == WEIR_TOO_LONG_CLOSE) return WEIR_DECODED_TOO_LONG;
    decode->message = (struct weir_bytes){ decode->bytes, decode->message_bytes_max };
    decode->flags = flags | WEIR_MESSAGE_TRUNCATED;
    return WEIR_DECODED_MESSAGE;
}

/* The whole window has been looked at and holds no terminator, but its last until->partial bytes may be the start of
 * one: only those before them are the message's for certain. */
static inline enum weir_decoded weir__until_more(struct weir__until *until, struct weir_decode *decode)
{
    size_t let_go = 0;

    assert(decode->message_bytes_max <= WEIR__MESSAGE_BYTES_MAX);
    if (decode->ended && decode->len > 0) {
        return weir__until_end(until, decode, decode->len, 0, WEIR_MESSAGE_UNFINISHED);
    }
    if (until->gone + decode->len - until->partial > decode->message_bytes_max) {
        if (decode->too_long == WEIR_TOO_LONG_CLOSE) return WEIR_DECODED_TOO_LONG;
        if (decode->too_long == WEIR_TOO_LONG_SKIP) {
            let_go = decode->consumed = decode->len - 1;
        } else {
            let_go = decode->dropped = decode->len - decode->message_bytes_max;
        }
    }
    until->gone += let_go;
    until->scanned = (uint32_t)(decode->len - let_go);
    return WEIR_DECODED_MORE;
}

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What is sent, over and over: framed once, before the run. */
#ifndef APP_BENCH_MESSAGES_H
#define APP_BENCH_MESSAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/weir.h>

/* Messages in their framing, one behind the other, so that several leave in one piece. Starts zeroed; owns its bytes.
 */
struct messages {
    unsigned char *bytes;
    size_t len;
    size_t room;
    size_t *ends; /* of each message: where it ends */
    size_t count;
    size_t ends_room;
    uint64_t unframed_bytes; /* of all of them, without framing */
    unsigned char *sample;   /* the first, without framing */
    size_t sample_len;
    bool are_alike; /* the first will do for all: it stays in the processor's nearest cache */
};

enum { MESSAGES_ERROR_BYTES_MAX = 300 };

/* Messages of that many bytes, made up, framed as the service sends. Returns 0; or, with a sentence in error, -ENOMEM
 * or the code of the framing, -EMSGSIZE or -EINVAL, when it cannot carry one. */
int messages_make(struct messages *messages, const struct weir_service *service, size_t bytes,
                  char error[MESSAGES_ERROR_BYTES_MAX]);

/* The lines of a file, without LF and a CR before it; empty ones are left out. `-` is standard input. Returns like
 * messages_make; -ENODATA for a file without lines, or what reading it failed with. */
int messages_read(struct messages *messages, const struct weir_service *service, const char *path,
                  char error[MESSAGES_ERROR_BYTES_MAX]);

void messages_fini(struct messages *messages);

/* What message number index takes, framing included. */
static inline size_t messages_bytes(const struct messages *messages, size_t index)
{
    return messages->ends[index] - (index ? messages->ends[index - 1] : 0);
}

/* The next messages, from number *cursor on: up to `count` of them, as many as lie together and are not too much for
 * one piece; their number is *ret_count, at least 1. Moves the cursor behind them. */
struct weir_bytes messages_take(const struct messages *messages, size_t *cursor, uint64_t count, size_t *ret_count);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * frame_cases.h: framings under test, streams of theirs, and a slow and obvious reference that says what is in them.
 * The parameters are in words of these files, not read from a SPEC, so that reading SPECs is under test as well. */
#ifndef WEIR__TEST_FRAME_CASES_H
#define WEIR__TEST_FRAME_CASES_H

#include <weir/frame.h>

enum framing_kind { LINE, DELIMITER, LENGTH, FIXED, VARINT, OCTET_COUNT, NETSTRING, BETWEEN };

struct framing {
    const char *spec;
    enum framing_kind kind;
    const char *delimiter; /* DELIMITER: the bytes, none of them NUL */
    size_t field_bytes;    /* LENGTH: and so on to strip */
    int little_endian;
    int offset;
    int adjust;
    int strip;
    size_t fixed_len;       /* FIXED */
    const char *start;      /* BETWEEN: the bytes, none of them NUL */
    const char *end;        /* BETWEEN */
    unsigned char escape;   /* BETWEEN: 0 for none */
    const char *map;        /* BETWEEN: FROM TO FROM TO ..; NULL: any byte may be escaped, and comes changed */
    unsigned char change;   /* BETWEEN: the xor */
    int starts_open;        /* BETWEEN: as if START had come */
    const char *poisons[3]; /* patterns that mislead a codec that looks again; "" is NUL bytes */
};

extern const struct framing framings[];
extern const size_t framing_count;

/* The longest header that stands before a message. */
size_t header_bytes(const struct framing *framing);

/* Random numbers: the same in each run, unless WEIR_TEST_SEED is given. seed is a setup of cmocka. */
int seed(void **state);
size_t random_below(size_t bound);

#define STREAM_BYTES_MAX 512

struct stream {
    unsigned char bytes[STREAM_BYTES_MAX];
    size_t len;
};

/* BETWEEN: a byte that means something to the framing, or not. */
unsigned char random_special(const struct framing *framing);

void stream_add(struct stream *stream, const void *bytes, size_t len);

/* One message of about content_len bytes, framed. Where a length field cannot say it, it wraps: one more lie. */
void stream_add_message(struct stream *stream, const struct framing *framing, size_t content_len);

/* At least len bytes: messages, some noise, and a tail that may be cut anywhere. */
void stream_generate(struct stream *stream, const struct framing *framing, size_t len);

/* BETWEEN: a message of at most STREAM_BYTES_MAX / 4 bytes framed as its SPEC says, whether it can be read back or not.
 */
void stream_add_between(struct stream *stream, const struct framing *framing, struct weir_bytes message);

struct event {
    enum weir_decoded kind;
    size_t end;  /* the offset in the stream behind the message and its framing */
    size_t from; /* MESSAGE: where it begins in the outcome's content, and its length as delivered */
    size_t len;
    uint64_t original_len;
    unsigned flags;
};

/* What is in a stream. */
struct outcome {
    struct event events[STREAM_BYTES_MAX];
    size_t count;
    unsigned char content[STREAM_BYTES_MAX]; /* of its messages, one behind the other */
    size_t content_len;
    int under_way; /* behind the last event, a message has begun to come */
};

/* What is in the first len bytes of a stream. */
void reference(const struct framing *framing, const struct stream *stream, size_t len, int ended, size_t max,
               enum weir_too_long policy, struct outcome *ret);

#endif

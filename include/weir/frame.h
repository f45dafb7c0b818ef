/* SPDX-License-Identifier: BSD-3-Clause
 *
 * weir/frame.h: framing. A codec cuts a stream of bytes into messages and wraps messages for sending. It knows bytes
 * and a state, no sockets, so it can be driven from memory: by a test, by a fuzzer, by `weir check`. */
#ifndef WEIR_FRAME_H
#define WEIR_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <weir/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes that somebody else owns: a pointer never travels without its length. Not a C string: no NUL follows. data may
 * be NULL only when len is 0. */
struct weir_bytes {
    const unsigned char *data;
    size_t len;
};

/* What happens to a message longer than the limit. */
enum weir_too_long {
    WEIR_TOO_LONG_CLOSE = 0, /* the connection closes, with the reason WEIR_REASON_TOO_LONG */
    WEIR_TOO_LONG_SKIP,      /* the message is dropped and counted; the stream goes on behind it */
    WEIR_TOO_LONG_TRUNCATE   /* its first message_bytes_max bytes are delivered, flagged, once its end has been seen */
};

/* Flags of a delivered message. */
enum {
    WEIR_MESSAGE_TRUNCATED = 1,  /* it was longer than the limit; original_len says how long */
    WEIR_MESSAGE_UNFINISHED = 2, /* the peer ended its side, or was silent for too long, before the message's end */
    /* The codec does not accept these bytes (a wrong checksum, say), and the program shall answer so: the connection
     * goes on, where WEIR_DECODED_MALFORMED closes it. None of the framings that have a SPEC sets it. */
    WEIR_MESSAGE_REFUSED = 4
};

/* What a call of decode found. */
enum weir_decoded {
    WEIR_DECODED_MORE = 0, /* no whole message in the window: more bytes are needed */
    WEIR_DECODED_MESSAGE,  /* one message */
    WEIR_DECODED_SKIPPED,  /* the end of one message that was too long and has been dropped */
    WEIR_DECODED_TOO_LONG, /* a message over the limit, and the policy is to close */
    WEIR_DECODED_MALFORMED /* bytes that cannot be a message in this framing */
};

/* One call of decode: the first part is the caller's, made with WEIR_DECODE; the second is the codec's answer, zeroed
 * by the caller. */
struct weir_decode {
    /* sizeof(struct weir_decode), set by WEIR_DECODE: members behind it are unknown to the caller */
    size_t size;
    /* the window: all bytes of the stream not yet consumed, oldest first; may be changed in place */
    unsigned char *bytes;
    /* its length in bytes */
    size_t len;
    /* the longest message that may be delivered, at least 1 */
    size_t message_bytes_max;
    /* what becomes of a longer one */
    enum weir_too_long too_long;
    /* the peer has ended its side, nothing follows the window */
    bool ended;
    /* this call is the one that the codec has asked for with wait_ms: the silence has passed, or frame_timeout_ms */
    bool late;

    /* MORE only: no message has begun, so none can be late (frame_timeout_ms) */
    bool outside;
    /* MESSAGE: WEIR_MESSAGE_* */
    unsigned flags;
    /* bytes at the window's start that are done with */
    size_t consumed;
    /* MORE only: bytes at the window's end that are done with; those between are kept */
    size_t dropped;
    /* how many of the consumed bytes stood between messages and belong to none; counted (weir_counters), and no more
     * than have been consumed */
    size_t skipped_bytes;
    /* MORE only, with bytes kept: call again, with `late`, when no byte has come for so many milliseconds, and when
     * frame_timeout_ms have passed; WEIR_OFF (weir.h): only then; 0: with the next bytes only. MORE to the call at the
     * frame timeout lets the connection close, as without one. A silence is told late by up to 10 milliseconds, and by
     * as much as the worker is held up, but not while bytes wait to be read. Times of a pause do not count, and a
     * silence begins anew behind it; the peer's end ends it */
    int64_t wait_ms;
    /* MESSAGE: where it lies, inside the window */
    struct weir_bytes message;
    /* MESSAGE, SKIPPED: its length in bytes on the wire, without framing */
    uint64_t original_len;
};

/* The largest state that a codec may have of one stream. */
enum { WEIR_CODEC_STATE_BYTES_MAX = 4096 };

/* A codec: functions over bytes and a state. One may be shared by any number of connections and threads; what it must
 * remember of one stream is in the state, what it was configured with in config, which it never changes.
 *
 * decode looks at the window and answers with the first message in it. After MESSAGE and SKIPPED it is called again
 * with the window less `consumed` bytes; both must consume at least one byte. After MORE it is called again once bytes
 * have come: the window is then the kept bytes and the new ones behind them. A codec remembers in its state how much of
 * the kept bytes it has looked at, so that no byte is looked at twice. With `ended` set it may deliver what is left as
 * a message flagged WEIR_MESSAGE_UNFINISHED, or answer MORE, which leaves it to the caller to count what is left over.
 * With `late` set the window is what it was, and silence may be what ends a message. After MESSAGE and SKIPPED the next
 * call has `late` too, unless the connection has been paused or has had its turn: then the codec asks anew.
 *
 * encode writes the framed message to ret, which has room for encoded_bytes_max(config, message.len) bytes, and returns
 * the number of bytes written, or a negative code when the message cannot be framed. Without an encode (NULL), bytes
 * leave as given. */
struct weir_codec {
    size_t size;      /* sizeof(struct weir_codec), set by WEIR_CODEC */
    const char *name; /* for people: "line" */
    /* Of one stream's state, zeroed at its start. Up to 16 cost no allocation, more one when the connection comes; at
     * most WEIR_CODEC_STATE_BYTES_MAX. */
    size_t state_bytes;
    enum weir_decoded (*decode)(const void *config, void *state, struct weir_decode *decode);
    size_t (*encoded_bytes_max)(const void *config, size_t len);
    ssize_t (*encode)(const void *config, struct weir_bytes message, unsigned char *ret, size_t room);
};

/* In C: `= WEIR_CODEC(.decode = my_decode)`. C++17 has no designated initialisers; there it takes no arguments, and the
 * members are set after: `weir_codec codec = WEIR_CODEC(); codec.decode = my_decode;`. So too WEIR_DECODE,
 * WEIR_CONFIG, WEIR_SERVICE and WEIR_FILTER. */
#ifdef __cplusplus
#define WEIR_CODEC() weir__sized<struct weir_codec>()
#define WEIR_DECODE() weir__sized<struct weir_decode>()
#else
#define WEIR_DECODE(...)                                \
    {                                                   \
        .size = sizeof(struct weir_decode), __VA_ARGS__ \
    }
#define WEIR_CODEC(...)                                \
    {                                                  \
        .size = sizeof(struct weir_codec), __VA_ARGS__ \
    }
#endif

/* A framing SPEC that has been read: a codec and its configuration. */
struct weir_frame;

/* Reads a framing SPEC:
 *
 * - `raw`: no framing; what one read returned is a message.
 * - `line[:crlf]`: LF ends a message, and a CR before it goes with it. Sends LF, or CR LF.
 * - `delimiter:BYTES`: 1 to 64 bytes end a message.
 * - `fixed:N[,pad=BYTE]`: every message has N bytes. Sends shorter ones filled up with `pad`, and refuses longer ones
 *   with -EMSGSIZE; without `pad` bytes leave as given.
 * - `length:u8|u16be|u16le|u24be|u24le|u32be|u32le|u64be|u64le[,offset=N][,adjust=N][,strip=N]`: a length field before
 *   the message. Offset, adjust and strip mean what they mean in Netty's LengthFieldBasedFrameDecoder; strip defaults
 *   to the length field when offset is 0, else to 0.
 * - `varint`: the length in base 128 before the message, as Protocol Buffers delimit streams.
 * - `octet-count`: `LEN SP MSG`, as syslog is sent over TCP (RFC 6587); no message is empty.
 * - `netstring`: `LEN:MSG,`.
 * - `between:START,END[,escape=BYTE[,map=FROM:TO]...|,xor=BYTE]`: START and END have 1 to 8 bytes each. What is outside
 *   of them is skipped. When they are the same, each ends one frame and begins the next, and empty frames are skipped.
 *   Behind the escape byte a byte is itself, or the FROM of the `map` whose TO it is (`map` is given once for each), or
 *   changed by `xor`. END may be the escape and one byte more, as in DLE ETX. The escape, the first bytes of START and
 *   END, or with `map` the FROMs, are sent escaped; a message that could not be read back even so is refused with
 *   -EINVAL.
 * - `slip`: RFC 1055, sent with END on both sides; empty frames are skipped.
 *
 * BYTES, START and END are text with the escapes of weir_unescape; in START and END a comma is \x2c. BYTE, FROM and TO
 * are one byte: \xHH or another escape, a number (126, 0x7e), or a character that is not a digit.
 *
 * On success *ret is the caller's, to be freed with weir_frame_free. On failure returns WEIR_EFRAME or -ENOMEM and
 * writes a sentence that names what is wrong to error (of error_size bytes, always ended with NUL); error may be NULL.
 * Any thread. */
WEIR_PUBLIC int weir_frame_new(const char *spec, struct weir_frame **ret, char *error, size_t error_size);

/* A framing, as people are told of it. */
struct weir_framing {
    const char *syntax; /* of its SPECs, "fixed:N[,pad=BYTE]": capitals stand for values, [] for what may be left out */
    const char *summary; /* sentences */
};

/* The framings that weir_frame_new knows, in the order in which people are told of them: index 0 is the first, and
 * behind the last is NULL. They live as long as the program. Any thread. */
WEIR_PUBLIC const struct weir_framing *weir_framing_get(size_t index);

/* Frees a frame; NULL is accepted. Any thread. */
WEIR_PUBLIC void weir_frame_free(struct weir_frame *frame);

/* The frame's codec and the configuration to call it with; both live as long as the frame. Any thread. */
WEIR_PUBLIC const struct weir_codec *weir_frame_codec(const struct weir_frame *frame);
WEIR_PUBLIC const void *weir_frame_config(const struct weir_frame *frame);

/* Whether encode is the inverse of decode, so that what is sent in this framing arrives as the message it was; with
 * `line` and `delimiter` as long as it does not hold what ends a message. Any thread. */
WEIR_PUBLIC bool weir_frame_is_reversible(const struct weir_frame *frame);

/* Whether a service with this frame sends in it too, and whether it can be a send_frame: what is sent arrives as one
 * message. Those are the reversible ones and `fixed` with a `pad`, whose messages arrive filled up. Any thread. */
WEIR_PUBLIC bool weir_frame_is_sendable(const struct weir_frame *frame);

/* Frames a message as encode does and reads it back with decode; nothing is sent. *ret_len (may be NULL) is the length
 * with which it arrives: a framing may fill it up, or take off a line end that it had. Returns 0 when it arrives as one
 * message; -EMSGSIZE or -EINVAL when the framing cannot carry it, -EBADMSG when something else would arrive, -ENOTSUP
 * when the frame has no encode (raw), or -ENOMEM. Any thread. */
WEIR_PUBLIC int weir_frame_check(const struct weir_frame *frame, struct weir_bytes message, size_t *ret_len);

/* Turns text with escapes into bytes: \n \r \t \0 \a \b \e \f \v \\ \" \' \xHH; every other character stands for
 * itself. Writes at most room bytes to ret and their number to *ret_len. ret may be text itself: it never grows.
 * Returns 0, or -EINVAL with the offset of the bad escape in *ret_len, or -ENOBUFS. Any thread. */
WEIR_PUBLIC int weir_unescape(const char *text, unsigned char *ret, size_t room, size_t *ret_len);

#ifdef __cplusplus
}

/* A zeroed struct that knows its size. */
template <class T> inline T weir__sized()
{
    T sized = {};
    sized.size = sizeof(T);
    return sized;
}
#endif

#endif

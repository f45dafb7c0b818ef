/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Makes or reads the messages and frames them, so that sending one in the run is a copy and
 * nothing else. Must never change once the run has begun: all workers read it. */
#include "messages.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In one send; made-up messages are repeated up to that many. */
enum { TOGETHER_BYTES = 16 * 1024, FILE_BYTES_MAX = 1 << 30, MESSAGE_BYTES_MAX = 1 << 30 };

/* ---- Adding one ---- */

static void *grown(void *memory, size_t *room, size_t needed, size_t item_bytes)
{
    size_t wanted = *room ? *room : 64;
    void *larger = NULL;

    while (wanted < needed)
        wanted *= 2;
    if (wanted == *room) return memory;
    larger = realloc(memory, wanted * item_bytes);
    if (larger) *room = wanted;
    return larger;
}

static int make_room(struct messages *messages, size_t bytes)
{
    unsigned char *larger = grown(messages->bytes, &messages->room, messages->len + bytes, 1);
    size_t *ends = NULL;

    if (!larger) return -ENOMEM;
    messages->bytes = larger;
    ends = grown(messages->ends, &messages->ends_room, messages->count + 1, sizeof(*ends));
    if (!ends) return -ENOMEM;
    messages->ends = ends;
    return 0;
}

static int keep_sample(struct messages *messages, struct weir_bytes message)
{
    messages->sample = malloc(message.len);
    if (!messages->sample) return -ENOMEM;
    memcpy(messages->sample, message.data, message.len);
    messages->sample_len = message.len;
    return 0;
}

/* Whether the server will find one message in these bytes, and nothing else: if not, more or fewer answers come than
 * are waited for. */
static int check_one(const struct weir_frame *frame, const unsigned char *bytes, size_t len)
{
    const struct weir_codec *codec = weir_frame_codec(frame);
    unsigned char *copy = malloc(len + 1); /* decoding may change it */
    void *state = calloc(1, codec->state_bytes + 1);
    struct weir_decode decode = WEIR_DECODE(.bytes = copy, .len = len, .message_bytes_max = MESSAGE_BYTES_MAX);
    int err = copy && state ? 0 : -ENOMEM;

    if (!err) memcpy(copy, bytes, len);
    if (!err &&
        (codec->decode(weir_frame_config(frame), state, &decode) != WEIR_DECODED_MESSAGE || decode.consumed != len))
        err = -EBADMSG;
    free(copy);
    free(state);
    return err;
}

/* How the server cuts what it is sent, as far as we know, and whether messages are sent framed so; NULL: bytes as they
 * are. */
struct framing {
    struct weir_frame *frame;
    bool is_sent;
};

static int framing_init(struct framing *framing, const struct weir_service *service)
{
    const int err = weir_service_send_frame(service, &framing->frame, NULL, 0);

    framing->is_sent = !err && weir_frame_is_sendable(framing->frame);
    return err;
}

static int add(struct messages *messages, const struct framing *framing, struct weir_bytes message)
{
    const struct weir_frame *frame = framing->is_sent ? framing->frame : NULL;
    const struct weir_codec *codec = frame ? weir_frame_codec(frame) : NULL;
    const void *config = frame ? weir_frame_config(frame) : NULL;
    const size_t room = codec ? codec->encoded_bytes_max(config, message.len) : message.len;
    ssize_t len = (ssize_t)message.len;
    int err = make_room(messages, room);

    if (!err && !messages->sample) err = keep_sample(messages, message);
    if (err) return err;
    if (codec)
        len = codec->encode(config, message, messages->bytes + messages->len, room);
    else
        memcpy(messages->bytes + messages->len, message.data, message.len);
    if (len <= 0) return len ? (int)len : -EINVAL;
    if (framing->frame && !messages->are_alike)
        err = check_one(framing->frame, messages->bytes + messages->len, (size_t)len);
    if (err) return err;
    messages->len += (size_t)len;
    messages->ends[messages->count++] = messages->len;
    messages->unframed_bytes += message.len;
    return 0;
}

static int say(int err, const char *what, char error[MESSAGES_ERROR_BYTES_MAX])
{
    snprintf(error, MESSAGES_ERROR_BYTES_MAX, "%s: %s", what, weir_strerror(err));
    return err;
}

static int say_unsendable(int err, const char *what, char error[MESSAGES_ERROR_BYTES_MAX])
{
    if (err == -EMSGSIZE)
        snprintf(error, MESSAGES_ERROR_BYTES_MAX, "%s: too long for one message in this framing", what);
    if (err == -EINVAL) snprintf(error, MESSAGES_ERROR_BYTES_MAX, "%s: cannot be sent in this framing", what);
    if (err == -EBADMSG)
        snprintf(error, MESSAGES_ERROR_BYTES_MAX,
                 "%s: in this framing not one message; -s says how long each is, or --file which they are", what);
    if (err == -EBADMSG) return -EINVAL;
    return err == -EMSGSIZE || err == -EINVAL ? err : say(err, what, error);
}

/* ---- Made up ---- */

int messages_make(struct messages *messages, const struct weir_service *service, size_t bytes,
                  char error[MESSAGES_ERROR_BYTES_MAX])
{
    struct framing framing = { 0 };
    unsigned char *text = malloc(bytes);
    int err = text ? framing_init(&framing, service) : -ENOMEM;
    char what[64];

    for (size_t i = 0; text && i < bytes; i++) /* letters: hardly a framing ends a message at one */
        text[i] = (unsigned char)('a' + i % 26);
    while (!err && (!messages->count || messages->len + messages->ends[0] <= TOGETHER_BYTES)) {
        err = add(messages, &framing, (struct weir_bytes){ text, bytes });
        messages->are_alike = true;
    }
    free(text);
    weir_frame_free(framing.frame);
    snprintf(what, sizeof(what), "messages of %zu bytes", bytes);
    return err ? say_unsendable(err, what, error) : 0;
}

/* ---- Of a file ---- */

static int read_all(FILE *file, struct messages *ret)
{
    size_t len = 0;

    do {
        unsigned char *larger = grown(ret->bytes, &ret->room, ret->len + 65536, 1);
        if (!larger) return -ENOMEM;
        ret->bytes = larger;
        errno = 0;
        len = fread(ret->bytes + ret->len, 1, ret->room - ret->len, file);
        ret->len += len;
        if (ret->len > FILE_BYTES_MAX) return -EFBIG;
    } while (len > 0);
    return ferror(file) ? -(errno ? errno : EIO) : 0;
}

static int add_lines(struct messages *messages, const struct framing *framing, struct weir_bytes text, size_t *ret_line)
{
    int err = 0;

    for (*ret_line = 1; text.len && !err; (*ret_line)++) {
        const unsigned char *end = memchr(text.data, '\n', text.len);
        struct weir_bytes line = { text.data, end ? (size_t)(end - text.data) : text.len };
        const size_t used = line.len + (end != NULL);

        if (line.len && line.data[line.len - 1] == '\r') line.len--;
        if (line.len) err = add(messages, framing, line);
        if (err) return err;
        text.data += used;
        text.len -= used;
    }
    return 0;
}

int messages_read(struct messages *messages, const struct weir_service *service, const char *path,
                  char error[MESSAGES_ERROR_BYTES_MAX])
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rbe");
    struct framing framing = { 0 };
    struct messages text = { 0 };
    char what[200];
    size_t line = 0;
    int err = file ? read_all(file, &text) : -errno;

    snprintf(what, sizeof(what), "%.150s", path);
    if (err) {
        say(err, what, error);
        goto out;
    }
    err = framing_init(&framing, service);
    if (!err) err = add_lines(messages, &framing, (struct weir_bytes){ text.bytes, text.len }, &line);
    snprintf(what, sizeof(what), "%.150s:%zu", path, line);
    if (err) say_unsendable(err, what, error);
    if (err || messages->count) goto out;
    err = -ENODATA;
    snprintf(error, MESSAGES_ERROR_BYTES_MAX, "%.150s: has no line that could be sent", path);
out:
    if (file && file != stdin) fclose(file);
    messages_fini(&text);
    weir_frame_free(framing.frame);
    return err;
}

void messages_fini(struct messages *messages)
{
    free(messages->bytes);
    free(messages->ends);
    free(messages->sample);
    *messages = (struct messages){ 0 };
}

/* ---- In the run ---- */

struct weir_bytes messages_take(const struct messages *messages, size_t *cursor, uint64_t count, size_t *ret_count)
{
    const size_t first = *cursor;
    const size_t begin = first ? messages->ends[first - 1] : 0;
    size_t last = first;

    while (last + 1 < messages->count && last + 1 - first < count && messages->ends[last + 1] - begin <= TOGETHER_BYTES)
        last++;
    *cursor = last + 1 < messages->count && !messages->are_alike ? last + 1 : 0;
    *ret_count = last + 1 - first;
    return (struct weir_bytes){ messages->bytes + begin, messages->ends[last] - begin };
}

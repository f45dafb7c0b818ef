/* SPDX-License-Identifier: BSD-3-Clause
 *
 * An acknowledgement must say what is so, and must be able to leave: acknowledging what is not stored, or
 * what is no message, is refused before the first client comes, and so is what the framing does not carry whatever
 * the fields hold. How that is found: with each count of digits, each byte that a field can hold is tried in
 * it, and what ends a message at each place where fields can become it.
 */
#include "ack.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reply.h"

/* What it would say that is not so; NULL: nothing. */
static const char *find_untruth(const struct endpoint_options *options, const struct template *template, bool is_stored)
{
    if (!is_stored)
        return "nothing is on disk that could be acknowledged, with --store none; store the messages, or answer with "
               "--reply";
    if (!options->service.frame)
        return "what one read brings is not a message; say where messages end, as with --frame line, or --frame raw "
               "when each read is to be acknowledged";
    if (options->ack_when == ACK_WHEN_RECEIVED && template_needs_store(template))
        return "{id} is known once a message is stored, and --ack-when received is before that";
    return NULL;
}

/* ---- Whether it can be sent ---- */

/* What marks where messages begin and end is shorter; what is longer fills a message up. */
enum { MARKS_BYTES_MAX = 256 };

struct trial {
    const struct template *template;
    const struct weir_frame *frame;
    unsigned digits; /* of its numbers */
    unsigned char *bytes;
    unsigned char *kinds; /* of its bytes, enum template_byte */
    size_t len;
    size_t arrives_len; /* of the first that arrived */
    size_t good, bad;   /* how many arrived, and how many did not */
    int last_err;       /* of the bad */
};

static void begin(struct trial *trial)
{
    trial->len = template_write_shape(trial->template, trial->digits, trial->bytes, trial->kinds);
}

/* Values have to arrive equally long: a line end is taken off when a value ends with one. Returns 0, or a code when
 * other values need not be tried. */
static int try_values(struct trial *trial)
{
    const struct weir_bytes message = { trial->bytes, trial->len };
    size_t arrives_len = 0;
    int err = weir_frame_check(trial->frame, message, &arrives_len);

    if (!err && trial->good && arrives_len != trial->arrives_len) err = -EBADMSG;
    if (err && err != -EINVAL && err != -EBADMSG) return err;
    if (err) {
        trial->bad++;
        trial->last_err = err;
        return 0;
    }
    if (!trial->good++) trial->arrives_len = arrives_len;
    return 0;
}

/* Writes it at a place that may be before the text or reach behind it, as far as the text can become it there; returns
 * whether anything was written. */
static bool overlay(struct trial *trial, struct weir_bytes bytes, ptrdiff_t at)
{
    bool is_written = false;

    for (size_t i = 0; i < bytes.len; i++, at++) {
        if (at < 0 || (size_t)at >= trial->len || !template_byte_can_be(trial->kinds[at], bytes.data[i])) continue;
        trial->bytes[at] = bytes.data[i];
        is_written = true;
    }
    return is_written;
}

/* Each byte wherever it can be. */
static int try_each_byte(struct trial *trial)
{
    int err = 0;

    for (unsigned value = 0; value < 256 && !err; value++) {
        bool is_written = false;

        begin(trial);
        for (size_t i = 0; i < trial->len; i++) {
            if (!template_byte_can_be(trial->kinds[i], (unsigned char)value)) continue;
            trial->bytes[i] = (unsigned char)value;
            is_written = true;
        }
        if (is_written) err = try_values(trial);
    }
    return err;
}

/* What marks the ends of messages there, at each place where it can be: more than one byte makes a mark. */
static int try_marks(struct trial *trial, struct weir_bytes marks)
{
    int err = 0;

    for (ptrdiff_t at = 1 - (ptrdiff_t)marks.len; at < (ptrdiff_t)trial->len && !err; at++) {
        begin(trial);
        if (overlay(trial, marks, at)) err = try_values(trial);
    }
    return err;
}

/* As a frame that has next to nothing in it. Not every framing has an empty message, and x may be in the mark. */
static size_t find_marks(const struct weir_frame *frame, unsigned char ret[MARKS_BYTES_MAX])
{
    static const char *const messages[] = { "", "x", "y" };
    const struct weir_codec *codec = weir_frame_codec(frame);

    for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
        const struct weir_bytes message = { (const unsigned char *)messages[i], strlen(messages[i]) };
        const ssize_t len = codec->encode(weir_frame_config(frame), message, ret, MARKS_BYTES_MAX);

        if (len >= 0) return (size_t)len;
    }
    return 0;
}

/* Makes so much of nothing that it looks for no marks. Trying every byte would take long where each becomes a frame of
 * a gigabyte. */
static bool fills_up(const struct weir_frame *frame)
{
    return weir_frame_codec(frame)->encoded_bytes_max(weir_frame_config(frame), 0) > MARKS_BYTES_MAX;
}

static const char *find_length_fault(const struct trial *trial)
{
    if (!trial->len) return "it is empty";
    if (!weir_frame_is_sendable(trial->frame))
        return "each message has the same length there; make it that long, with fields like {seq:u32be}, or give a "
               "pad, as in fixed:128,pad=\\x20, or another --send-frame (raw: as it is)";
    if (trial->digits == 1) return "it is too long";
    return "it is too long once its numbers are; make it shorter, or them, as {seq:u32be}";
}

static const char *find_value_fault(const struct trial *trial)
{
    if (!trial->bad) return NULL;
    if (!trial->good)
        return trial->last_err == -EINVAL ? "it could not be read back" : "it would not arrive as one message";
    if (memchr(trial->kinds, TEMPLATE_BYTE_ANY, trial->len))
        return "a field in binary can hold what ends a message there; write it as text, as {seq}, or choose a framing "
               "that takes every byte, as --send-frame length:u16be";
    return "a field can hold what ends a message there; choose another framing, as --send-frame length:u16be";
}

/* Returns 0, or a code, for -EINVAL with the reason. */
static int try_shape(struct trial *trial, const char **ret_reason)
{
    unsigned char marks[MARKS_BYTES_MAX];
    size_t arrives_len = 0;
    int err = 0;

    trial->good = trial->bad = 0;
    if (!weir_frame_is_sendable(trial->frame)) {
        err = weir_frame_check(trial->frame, (struct weir_bytes){ trial->bytes, trial->len }, &arrives_len);
        if (err == -EINVAL && trial->len) err = 0; /* bytes leave as they are, and make their header themselves */
    } else {
        err = try_values(trial);
        if (!err && !fills_up(trial->frame)) err = try_each_byte(trial);
        if (!err && !fills_up(trial->frame))
            err = try_marks(trial, (struct weir_bytes){ marks, find_marks(trial->frame, marks) });
    }
    if (err && err != -ENOMEM)
        *ret_reason = find_length_fault(trial);
    else if (!err)
        *ret_reason = find_value_fault(trial);
    return err == -ENOMEM ? err : *ret_reason ? -EINVAL : 0;
}

/* With each count of digits, as what is given before and behind them may make a mark of them. */
static int try_shapes(struct trial *trial, const char **ret_reason)
{
    size_t len_before = SIZE_MAX;
    int err = 0;

    for (trial->digits = 1; trial->digits <= TEMPLATE_DIGITS_MAX && !err; trial->digits++) {
        begin(trial);
        if (trial->len == len_before) break;
        len_before = trial->len;
        err = try_shape(trial, ret_reason);
    }
    return err;
}

static int try_raw(struct trial *trial, const char **ret_reason)
{
    trial->digits = 1;
    begin(trial);
    if (trial->len) return 0;
    *ret_reason = "it is empty";
    return -EINVAL;
}

/* Whatever its fields are: a connection would end at a message that cannot be acknowledged. */
static int check_framing(const struct template *template, const struct weir_service *service, char *error,
                         size_t error_size)
{
    const size_t room = template_bytes_max(template) + 1;
    struct weir_frame *frame = NULL;
    struct trial trial = { .template = template, .bytes = malloc(room), .kinds = malloc(room) };
    const char *reason = NULL;
    int err = weir_service_send_frame(service, &frame, NULL, 0);

    trial.frame = frame;
    if (!trial.bytes || !trial.kinds) err = -ENOMEM;
    if (!err) err = frame ? try_shapes(&trial, &reason) : try_raw(&trial, &reason);
    if (err == -ENOMEM)
        snprintf(error, error_size, "%s", weir_strerror(err));
    else if (err)
        snprintf(error, error_size, "cannot be sent in the framing %s: %s",
                 frame ? weir_frame_codec(frame)->name : "raw", reason ? reason : weir_strerror(err));
    free(trial.kinds);
    free(trial.bytes);
    weir_frame_free(frame);
    return err;
}

/* ---- Reading it ---- */

int ack_new(const struct endpoint_options *options, bool is_stored, struct template **ret, char *error,
            size_t error_size)
{
    struct template *template = NULL;
    const char *untruth = NULL;
    char reason[320];
    int err = 0;

    *ret = NULL;
    if (!options->ack) return 0;
    err = template_new(options->ack, &template, reason, sizeof(reason));
    if (!err) untruth = find_untruth(options, template, is_stored);
    if (untruth) {
        snprintf(reason, sizeof(reason), "%s", untruth);
        err = -EINVAL;
    }
    if (!err) err = check_framing(template, &options->service, reason, sizeof(reason));
    if (err) {
        snprintf(error, error_size, "--ack %.200s: %s", options->ack, reason);
        template_free(template);
        return err;
    }
    *ret = template;
    return 0;
}

/* ---- Sending it ---- */

enum { BYTES_USUAL = 128 };

bool ack_is_due(const struct ack *ack, const struct weir_message_info *info)
{
    if (!ack->template || info->flags & (WEIR_MESSAGE_UNFINISHED | WEIR_MESSAGE_REFUSED)) return false;
    return !(info->flags & WEIR_MESSAGE_TRUNCATED) || ack->acks_truncated;
}

size_t ack_send(const struct ack *ack, struct weir_conn *conn, const struct template_values *values,
                void (*on_sent)(struct weir_bytes bytes, void *user), void *user)
{
    unsigned char small[BYTES_USUAL];
    const size_t room = template_bytes_max(ack->template);
    unsigned char *bytes = room <= sizeof(small) ? small : malloc(room);
    struct weir_bytes message = { .data = bytes };

    if (!bytes) {
        weir_conn_abort(conn, WEIR_REASON_MEMORY);
        return 0;
    }
    message.len = template_write(ack->template, values, bytes);
    if (reply_send(conn, message) >= 0 && on_sent) on_sent(message, user);
    if (bytes != small) free(bytes);
    return message.len;
}

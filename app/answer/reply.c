/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The answer to each message: none, the message itself, or a text. Must never answer with a hole:
 * an answer that cannot be sent ends its connection. */
#include "reply.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int init_text(struct reply *reply, const char *text, char *error, size_t error_size)
{
    const size_t room = strlen(text) + 1;
    unsigned char *bytes = malloc(room);
    size_t len = 0;

    if (!bytes) {
        snprintf(error, error_size, "%s", weir_strerror(-ENOMEM));
        return -ENOMEM;
    }
    if (weir_unescape(text, bytes, room, &len)) {
        free(bytes);
        snprintf(error, error_size,
                 "not an escape: %.4s (there are \\n \\r \\t \\0 \\a \\b \\e \\f \\v \\\\ \\\" \\' \\xHH)", text + len);
        return -EINVAL;
    }
    *reply = (struct reply){ .kind = REPLY_TEXT, .bytes = bytes, .len = len };
    return 0;
}

int reply_init(struct reply *reply, const char *spec, char *error, size_t error_size)
{
    *reply = (struct reply){ .kind = REPLY_NONE };
    if (!spec || strcmp(spec, "none") == 0) return 0;
    if (strcmp(spec, "echo") == 0) {
        reply->kind = REPLY_ECHO;
        return 0;
    }
    if (strncmp(spec, "text:", 5) == 0) return init_text(reply, spec + 5, error, error_size);
    snprintf(error, error_size, "must be none, echo or text:BYTES");
    return -EINVAL;
}

int reply_check(const struct reply *reply, const struct weir_service *service, char *error, size_t error_size)
{
    struct weir_frame *frame = NULL;
    int err = 0;

    if (reply->kind != REPLY_TEXT) return 0;
    err = weir_service_send_frame(service, &frame, NULL, 0);
    if (!err && weir_frame_is_sendable(frame))
        err = weir_frame_check(frame, (struct weir_bytes){ reply->bytes, reply->len }, NULL);
    if (err == -EBADMSG) err = 0; /* several messages, as its words ask for */
    if (err == -EMSGSIZE || err == -EINVAL)
        snprintf(error, error_size, "cannot be sent in the framing %s: %s", weir_frame_codec(frame)->name,
                 err == -EINVAL ? "it could not be read back"
                 : reply->len   ? "it is too long"
                                : "it is empty");
    else if (err)
        snprintf(error, error_size, "%s", weir_strerror(err));
    weir_frame_free(frame);
    return err == -EMSGSIZE ? -EINVAL : err;
}

void reply_fini(struct reply *reply)
{
    free(reply->bytes);
    *reply = (struct reply){ .kind = REPLY_NONE };
}

struct weir_bytes reply_to(const struct reply *reply, struct weir_bytes message)
{
    return reply->kind == REPLY_ECHO ? message : (struct weir_bytes){ reply->bytes, reply->len };
}

static int give_up(struct weir_conn *conn, int err)
{
    if (err == WEIR_ECLOSING) return err; /* its end is already on the way */
    if (err == -ENOBUFS)
        weir_conn_abort(conn, WEIR_REASON_SLOW_READER);
    else if (err == -ENOMEM)
        weir_conn_abort(conn, WEIR_REASON_MEMORY);
    else
        weir_conn_abort(conn, WEIR_REASON_FAILED); /* the framing of what is sent cannot carry it */
    return err;
}

int reply_send(struct weir_conn *conn, struct weir_bytes answer)
{
    const int result = weir_conn_send(conn, answer);

    return result >= 0 ? result : give_up(conn, result);
}

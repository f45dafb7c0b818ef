/* SPDX-License-Identifier: BSD-3-Clause
 *
 * In what framing clients are sent to. */
#ifndef APP_ANSWER_FRAMING_H
#define APP_ANSWER_FRAMING_H

#include <stdbool.h>
#include <stddef.h>

#include <weir/weir.h>

/* The framing that was asked for for what is sent, sendable or not; NULL for raw. Otherwise like framing_of_sent. */
struct weir_frame *framing_asked_for(const struct weir_service *service);

/* The framing of what a listener with that service sends, to be freed with weir_frame_free; NULL where bytes leave as
 * they are, because no framing was asked for or none that messages can be sent in. A SPEC that is wrong is another's to
 * tell of. */
struct weir_frame *framing_of_sent(const struct weir_service *service);

/* Whether a listener with that service can send the message: better told now than by closing every client. Returns 0,
 * or -EINVAL or -ENOMEM with a sentence in error. */
int framing_check(const struct weir_service *service, struct weir_bytes message, char *error, size_t error_size);

/* Sends the message in the frame to nobody and reads it back. Returns 0 when it arrives as one, and how long: a framing
 * may fill it up, or take off a line end that it had; -EMSGSIZE and -EINVAL are the framing's, which does not send it,
 * -EBADMSG when something else would arrive, and -ENOMEM. */
int framing_try(const struct weir_frame *frame, struct weir_bytes message, size_t *ret_arrives_len);

#endif

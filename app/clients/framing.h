/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app/clients/framing.h: in what framing clients are sent to. */
#ifndef APP_CLIENTS_FRAMING_H
#define APP_CLIENTS_FRAMING_H

#include <stdbool.h>
#include <stddef.h>

#include <weir/weir.h>

/* The framing that was asked for for what is sent, sendable or not; NULL for raw. Otherwise like framing_of_sent. */
struct weir_frame *framing_asked_for(const struct weir_service *service);

/* The framing of what a listener with that service sends, to be freed with weir_frame_free; NULL where bytes leave as
 * they are, because no framing was asked for or none that messages can be sent in. A SPEC that is wrong is another's to
 * tell of. */
struct weir_frame *framing_of_sent(const struct weir_service *service);

/* Whether a listener with that service can send the message: better told now than by closing every client. With
 * as_one it has to be one message for whoever reads it: not nothing, nor more than one because it holds what ends them.
 * Returns 0, or -EINVAL or -ENOMEM with a sentence in error. */
int framing_check(const struct weir_service *service, struct weir_bytes message, bool as_one, char *error,
                  size_t error_size);

#endif

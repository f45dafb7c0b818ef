/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app/ack.h: the acknowledgement that a listener's options ask for, and what is wrong with it. */
#ifndef APP_ACK_H
#define APP_ACK_H

#include <stdbool.h>
#include <stddef.h>

#include "journal/template.h"
#include "options/options.h"

/* Reads --ack; *ret is the caller's, for template_free, or NULL when nothing is acknowledged. is_stored: whether
 * messages are stored at all. Refuses what cannot be sent in the listener's framing with every value of its fields.
 * Returns 0, or -EINVAL or -ENOMEM with a sentence in error. */
int ack_new(const struct endpoint_options *options, bool is_stored, struct template **ret, char *error,
            size_t error_size);

#endif

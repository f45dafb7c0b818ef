/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The acknowledgement that a listener's options ask for, what is wrong with it, and how it leaves. */
#ifndef APP_ANSWER_ACK_H
#define APP_ANSWER_ACK_H

#include <stdbool.h>
#include <stddef.h>

#include <weir/weir.h>

#include "cli/options.h"
#include "template.h"

/* When a message is acknowledged: once it is stored, or as it comes. */
enum ack_when { ACK_WHEN_STORED, ACK_WHEN_RECEIVED };

/* Reads --ack; *ret is the caller's, for template_free, or NULL when nothing is acknowledged. is_stored: whether
 * messages are stored at all. Refuses what cannot be sent in the listener's framing with every value of its fields.
 * Returns 0, or -EINVAL or -ENOMEM with a sentence in error. */
int ack_new(const struct endpoint_options *options, bool is_stored, struct template **ret, char *error,
            size_t error_size);

/* What a listener acknowledges. */
struct ack {
    struct template *template; /* NULL: nothing */
    enum ack_when when;
    bool acks_truncated; /* also what was cut at the longest message's length */
};

/* Whether a message is acknowledged, sooner or later. */
bool ack_is_due(const struct ack *ack, const struct weir_message_info *info);

/* Sends it, and calls on_sent with its bytes if that is not NULL. When it does not leave, the connection ends, and so
 * does the row of acknowledgements: it has no gap. Returns its length. */
size_t ack_send(const struct ack *ack, struct weir_conn *conn, const struct template_values *values,
                void (*on_sent)(struct weir_bytes bytes, void *user), void *user);

#endif

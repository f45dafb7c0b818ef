/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app/ack.c: an acknowledgement must say what is so, and must be able to leave: acknowledging what is not stored, or
 * what is no message, is refused before the first client comes, and so is what the framing carries under no
 * circumstances.
 */
#include "ack.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "clients/framing.h"
#include "journal/journal.h"

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

/* A digit may be what ends a message: then another one will do. When the shortest is too long, all are. */
static int check_framing(const struct template *template, const struct weir_service *service, char *error,
                         size_t error_size)
{
    unsigned char *const bytes = malloc(template_bytes_max(template) + 1);
    int err = -EINVAL;

    if (!bytes) {
        snprintf(error, error_size, "%s", weir_strerror(-ENOMEM));
        return -ENOMEM;
    }
    for (unsigned digit = 1; digit <= 9 && err == -EINVAL; digit++) {
        const struct weir_bytes sample = { bytes, template_write_sample(template, digit, bytes) };

        err = framing_check(service, sample, true, error, error_size);
    }
    free(bytes);
    return err;
}

int ack_new(const struct endpoint_options *options, bool is_stored, struct template **ret, char *error,
            size_t error_size)
{
    struct template *template = NULL;
    const char *untruth = NULL;
    char reason[300];
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

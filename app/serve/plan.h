/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The options of weir serve as one valid whole: weir check prints it, weir serve runs it. */
#ifndef APP_SERVE_PLAN_H
#define APP_SERVE_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "answer/ack.h"
#include "answer/reply.h"
#include "budget.h"
#include "cli/options.h"
#include "journal/retention.h"
#include "store/folder.h"

struct encoding;

/* AUTO: named after the first listener's address, in the folder for that. */
enum plan_store { PLAN_STORE_NONE, PLAN_STORE_AUTO, PLAN_STORE_PATH };

struct plan_listener {
    const struct endpoint_options *options; /* of the endpoint, or those common to all where none was given */
    const char *url;
    const char *frame; /* SPEC of the framing, "raw" when none was given */
    bool sends_raw;    /* what is sent leaves as it is */
    struct reply reply;
    struct ack ack;
};

/* Owned, for plan_free; the options must outlive it. */
struct plan {
    const struct options *options;
    unsigned workers;
    struct budget budget;
    struct encoding *encoding; /* NULL: UTF-8 */
    struct plan_listener *listeners;
    size_t listener_count; /* at least 1 */
    enum plan_store store;
    char store_path[FOLDER_PATH_BYTES_MAX]; /* empty without a store; as plan_find_store says for the first URL */
    struct retention_wish retention;
};

/* Validates the options, in the order of the members, and opens no file, socket or thread. Returns 0, or a negative
 * code with a sentence: WEIR_ECONFIG for what the words of an option are to blame for. */
int plan_new(const struct options *options, struct plan **ret, char error[OPTIONS_ERROR_BYTES_MAX]);

/* NULL is accepted. */
void plan_free(struct plan *plan);

/* The absolute path of the store when the first listener has that address. With AUTO the name has PORT in it when the
 * address has no port yet. Not with NONE. Returns 0, or a negative code with a sentence. */
int plan_find_store(const struct plan *plan, const char *address, char ret[FOLDER_PATH_BYTES_MAX],
                    char error[FOLDER_ERROR_BYTES_MAX]);

#endif

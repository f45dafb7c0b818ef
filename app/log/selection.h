/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Which messages of a store are asked for, by client and by time. */
#ifndef APP_LOG_SELECTION_H
#define APP_LOG_SELECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "store/reader.h"

struct selection;

struct selection_config {
    const char *client; /* a connection's number (17 or #17), a client's name, or an address with its port or without;
                           NULL: all. Must outlive the selection */
    int64_t since_us;   /* since 1970; INT64_MIN: from the first */
    int64_t until_us;   /* messages before; INT64_MAX: to the last */
};

/* Looks the client's name up in the store. The reader must outlive it. Returns 0; or a negative code, whose sentence is
 * the reader's, or -ENOMEM. */
int selection_new(struct reader *reader, const struct selection_config *config, struct selection **ret);

/* NULL is accepted. */
void selection_free(struct selection *selection);

/* The only connection that is asked for; 0: it is not one by its number. */
uint64_t selection_connection(const struct selection *selection);

/* Whether messages of all clients are asked for. */
bool selection_has_all(const struct selection *selection);

/* Whether there was a connection of the client that was asked for, as far as it was looked for until now. */
bool selection_has_found(const struct selection *selection);

/* For struct reader_range and struct newest_query; user is the selection. */
bool selection_wants(const struct stored_message *message, void *user);
bool selection_is_of(const struct stored_connection *connection, void *user);

/* A message's connection: what the store knows of it, in a cache of a bounded size. Valid until the next call. */
const struct stored_connection *selection_place(struct selection *selection, uint64_t connection);

#endif

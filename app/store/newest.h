/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The newest messages of some connections, found along the chains that lead from each
 * connection's last message to its first, so that those of others are not looked at, and no index is needed. */
#ifndef APP_STORE_NEWEST_H
#define APP_STORE_NEWEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reader.h"

struct newest_query {
    uint64_t after;                                                        /* messages with a higher id */
    uint64_t until;                                                        /* up to and with this */
    uint64_t connection;                                                   /* the only one; 0: those that are_of says */
    bool (*is_of)(const struct stored_connection *connection, void *user); /* NULL: all */
    /* Of these, the messages that it wants; of messages of other connections it says no. It sees all but the bytes. As
     * in struct reader_range. */
    bool (*wants)(const struct stored_message *message, void *user);
    void *user;
};

/* Writes the ids of the newest such messages to ret_ids, count at most, the newest first. Returns how many there are,
 * or reader's negative code. */
int64_t newest_find(struct reader *reader, const struct newest_query *query, uint64_t *ret_ids, size_t count);

#endif

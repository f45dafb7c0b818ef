/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Who is connected, in the order of their numbers, and which one of them is chosen. */
#ifndef APP_DESK_ROSTER_H
#define APP_DESK_ROSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One client: a member of whatever its owner knows of it. */
struct roster_client {
    uint64_t id;
    struct roster_client *before;
    struct roster_client *after;
};

/* Starts zeroed. It owns no client and locks nothing: both are its owner's business. */
struct roster {
    struct roster_client *first;
    struct roster_client *last;
    size_t count;
    uint64_t chosen; /* the first that came, until another is chosen or it leaves; 0: nobody is there */
};

void roster_add(struct roster *roster, struct roster_client *client);

/* When it was the chosen one, the next in order is chosen, behind the last the first. */
void roster_remove(struct roster *roster, struct roster_client *client);

/* NULL when there is none with that number. Goes through the list: for what people ask. */
struct roster_client *roster_find(const struct roster *roster, uint64_t id);

/* Returns whether that client is there to be chosen. */
bool roster_choose(struct roster *roster, uint64_t id);

#endif

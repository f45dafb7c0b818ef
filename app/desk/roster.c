/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A list in order. Adding and removing must never cost more for more clients: the workers do it
 * for each connection. */
#include "roster.h"

#include <assert.h>

void roster_add(struct roster *roster, struct roster_client *client)
{
    struct roster_client *before = roster->last;

    /* Numbers count up, so it belongs to the end but for the little that workers overtake each other. */
    while (before && before->id > client->id)
        before = before->before;
    client->before = before;
    client->after = before ? before->after : roster->first;
    *(client->before ? &client->before->after : &roster->first) = client;
    *(client->after ? &client->after->before : &roster->last) = client;
    roster->count++;
    if (!roster->chosen) roster->chosen = client->id;
}

void roster_remove(struct roster *roster, struct roster_client *client)
{
    const struct roster_client *next = client->after;

    assert(roster->count > 0);
    *(client->before ? &client->before->after : &roster->first) = client->after;
    *(client->after ? &client->after->before : &roster->last) = client->before;
    roster->count--;
    if (roster->chosen != client->id) return;
    if (!next) next = roster->first;
    roster->chosen = next ? next->id : 0;
}

struct roster_client *roster_find(const struct roster *roster, uint64_t id)
{
    struct roster_client *client = roster->first;

    while (client && client->id < id)
        client = client->after;
    return client && client->id == id ? client : NULL;
}

bool roster_choose(struct roster *roster, uint64_t id)
{
    if (!roster_find(roster, id)) return false;
    roster->chosen = id;
    return true;
}

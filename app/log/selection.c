/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Picks messages. What is known of their connections is kept, so that ten million messages of
 * a few thousand connections do not cost ten million look-ups. */
#include "selection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { PLACES = 16384 };

struct place {
    struct stored_connection connection; /* number 0: nobody yet */
    bool is_wanted;
};

struct selection {
    struct reader *reader;
    struct selection_config config;
    uint64_t connection; /* 0: not by number */
    uint64_t client;     /* 0: not by name */
    bool has_found;
    struct place places[PLACES]; /* by the number's last bits */
};

/* `17` or `#17`; 0: it is no number. */
static uint64_t parse_number(const char *text)
{
    uint64_t number = 0;

    if (*text == '#') text++;
    if (!*text) return 0;
    for (; *text; text++) {
        if (*text < '0' || *text > '9' || number > INT64_MAX / 10 - 1) return 0;
        number = 10 * number + (uint64_t)(*text - '0');
    }
    return number;
}

int selection_new(struct reader *reader, const struct selection_config *config, struct selection **ret)
{
    struct selection *selection = calloc(1, sizeof(*selection));
    int err = 0;

    if (!selection) return -ENOMEM;
    selection->reader = reader;
    selection->config = *config;
    if (config->client) selection->connection = parse_number(config->client);
    if (config->client && !selection->connection) err = reader_find_client(reader, config->client, &selection->client);
    if (err) {
        selection_free(selection);
        return err;
    }
    *ret = selection;
    return 0;
}

void selection_free(struct selection *selection)
{
    free(selection);
}

uint64_t selection_connection(const struct selection *selection)
{
    return selection->connection;
}

bool selection_has_all(const struct selection *selection)
{
    return !selection->config.client;
}

bool selection_has_found(const struct selection *selection)
{
    return selection->has_found;
}

/* An address without its port, and without brackets. */
static struct weir_bytes host_of(const char *address)
{
    const char *colon = strrchr(address, ':');
    const bool is_one = colon && strchr(address, ':') == colon; /* several, unless it is in brackets, are IPv6's own */
    const bool has_brackets = *address == '[' && strchr(address, ']');
    const char *start = address + has_brackets;
    const char *end = has_brackets ? strchr(address, ']') : is_one ? colon : address + strlen(address);

    return (struct weir_bytes){ (const unsigned char *)start, (size_t)(end - start) };
}

/* An address that was asked for without a port stands for all ports of it. */
static bool is_peer(const char *peer, const char *wanted)
{
    const struct weir_bytes host = host_of(peer);
    const struct weir_bytes wanted_host = host_of(wanted);
    const size_t len = strlen(wanted);
    const bool has_port = (const char *)wanted_host.data + wanted_host.len + (*wanted == '[') != wanted + len;

    if (strcmp(peer, wanted) == 0) return true;
    return !has_port && host.len == wanted_host.len && memcmp(host.data, wanted_host.data, host.len) == 0;
}

bool selection_is_of(const struct stored_connection *connection, void *user)
{
    struct selection *selection = user;
    bool is = true;

    if (selection->connection)
        is = connection->number == selection->connection;
    else if (selection->client)
        is = connection->client == selection->client;
    else if (selection->config.client)
        is = is_peer(connection->peer, selection->config.client);
    selection->has_found |= is;
    return is;
}

static struct place *find_place(struct selection *selection, uint64_t connection)
{
    struct place *place = &selection->places[connection % PLACES];

    if (place->connection.number == connection) return place;
    if (reader_connection(selection->reader, connection, &place->connection))
        place->connection = (struct stored_connection){ .number = connection };
    place->is_wanted = selection_is_of(&place->connection, selection);
    return place;
}

bool selection_wants(const struct stored_message *message, void *user)
{
    struct selection *selection = user;

    if (message->time_us < selection->config.since_us || message->time_us >= selection->config.until_us) return false;
    if (!selection->config.client) return true;
    if (selection->connection && message->connection != selection->connection) return false;
    return find_place(selection, message->connection)->is_wanted;
}

const struct stored_connection *selection_place(struct selection *selection, uint64_t connection)
{
    return &find_place(selection, connection)->connection;
}

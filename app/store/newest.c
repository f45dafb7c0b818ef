/* SPDX-License-Identifier: BSD-3-Clause
 *
 * First the messages that no connection's row knows of yet, one by one; then, where each chain
 * begins, and always the newest of these. Of more chains than messages are wanted, those that begin last are enough. */
#include "newest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct search {
    struct reader *reader;
    const struct newest_query *query;
    uint64_t *ids; /* found */
    size_t found;
    size_t wanted;
    uint64_t *heads; /* where chains go on, room for twice those that are wanted */
    size_t head_count;
};

/* ---- What came after the heads were written ---- */

static int find_in_tail(struct search *search, uint64_t after)
{
    struct reader_range range = { .after = after,
                                  .until = search->query->until,
                                  .wants = search->query->wants,
                                  .user = search->query->user,
                                  .is_backward = true,
                                  .is_without_bytes = true };
    struct reader_page page;
    int err = 0;

    while (!err && range.after < range.until && search->found < search->wanted) {
        err = reader_read(search->reader, &range, &page);
        for (size_t i = 0; !err && i < page.count && search->found < search->wanted; i++)
            search->ids[search->found++] = page.messages[i].id;
    }
    return err;
}

/* ---- Where chains begin ---- */

static int compare_newest_first(const void *one, const void *other)
{
    uint64_t a = 0, b = 0;

    memcpy(&a, one, sizeof(a));
    memcpy(&b, other, sizeof(b));
    return a < b ? 1 : a > b ? -1 : 0;
}

static void keep_newest_heads(struct search *search)
{
    qsort(search->heads, search->head_count, sizeof(*search->heads), compare_newest_first);
    if (search->head_count > search->wanted) search->head_count = search->wanted;
}

static void add_head(const struct stored_connection *connection, void *user)
{
    struct search *search = user;

    if (connection->last_message <= search->query->after) return;
    if (!search->query->connection && !search->query->is_of(connection, search->query->user)) return;
    if (search->head_count == 2 * search->wanted) keep_newest_heads(search);
    search->heads[search->head_count++] = connection->last_message;
}

static int find_heads(struct search *search)
{
    struct stored_connection connection;
    int err = 0;

    if (search->query->connection) {
        err = reader_connection(search->reader, search->query->connection, &connection);
        if (!err) add_head(&connection, search);
        return err == -ENOENT ? 0 : err;
    }
    err = reader_each_connection(search->reader, add_head, search);
    keep_newest_heads(search);
    return err;
}

/* ---- Along the chains ---- */

/* The heads are a heap, the newest on top; sorted, they were one. The topmost has become older. */
static void sift_down(uint64_t *heads, size_t count)
{
    size_t at = 0;

    for (;;) {
        size_t newest = at;
        uint64_t head = heads[at];

        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < count; child++)
            if (heads[child] > heads[newest]) newest = child;
        if (newest == at) return;
        heads[at] = heads[newest];
        heads[newest] = head;
        at = newest;
    }
}

/* Takes the chain's place in the heap for the message before; where it ends, it gives it up. */
static void go_on(struct search *search, uint64_t previous)
{
    if (previous > search->query->after)
        search->heads[0] = previous;
    else
        search->heads[0] = search->heads[--search->head_count];
    sift_down(search->heads, search->head_count);
}

static int follow_chains(struct search *search, uint64_t until)
{
    while (search->head_count > 0 && search->found < search->wanted) {
        const uint64_t id = search->heads[0];
        struct stored_message message;
        const int err = reader_message(search->reader, id, &message);

        if (err && err != -ENOENT) return err;
        /* A chain ends where older messages have been deleted, and one that led upwards would never end. */
        go_on(search, !err && message.previous < id ? message.previous : 0);
        if (!err && id <= until && search->query->wants(&message, search->query->user))
            search->ids[search->found++] = id;
    }
    return 0;
}

/* What a connection's row says may have grown since heads_until was read: such messages were found already. */
static int find(struct search *search)
{
    uint64_t heads_until = 0;
    const bool is_of_all = !search->query->connection && !search->query->is_of;
    int err = is_of_all ? 0 : reader_heads_until(search->reader, &heads_until);

    if (!err) err = find_in_tail(search, heads_until > search->query->after ? heads_until : search->query->after);
    if (err || is_of_all || search->found == search->wanted) return err;
    err = find_heads(search);
    return err ? err : follow_chains(search, heads_until < search->query->until ? heads_until : search->query->until);
}

int64_t newest_find(struct reader *reader, const struct newest_query *query, uint64_t *ret_ids, size_t count)
{
    struct search search = { .reader = reader, .query = query, .ids = ret_ids, .wanted = count };
    int err = 0;

    if (count == 0) return 0;
    search.heads = calloc(2 * count, sizeof(*search.heads));
    if (!search.heads) return -ENOMEM;
    err = find(&search);
    free(search.heads);
    return err ? err : (int64_t)search.found;
}

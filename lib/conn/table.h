/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Where a worker's connections live, and how an id finds its connection. */
#ifndef WEIR__CONN_TABLE_H
#define WEIR__CONN_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct weir_conn;

/* Connections lie in slabs, so that one costs its own bytes and no allocator's header; a hash of 4-byte places finds
 * them by id. Both grow with the connections and are kept for the next ones. A connection never moves. */
struct weir__conn_table {
    struct weir_conn **slabs;
    uint32_t slabs_count, slabs_room;
    uint32_t first_free;    /* place + 1; 0: none */
    uint32_t *buckets;      /* place + 1; 0: empty. Open addressing, linear probing */
    uint32_t buckets_count; /* a power of two, or 0 */
    uint32_t count;
};

void weir__conn_table_fini(struct weir__conn_table *table);

/* A zeroed connection with that id, in the table, or NULL without memory. */
struct weir_conn *weir__conn_table_add(struct weir__conn_table *table, uint64_t id);
void weir__conn_table_remove(struct weir__conn_table *table, struct weir_conn *conn);

/* The connection with that id, in whatever state, or NULL. */
struct weir_conn *weir__conn_table_find(const struct weir__conn_table *table, uint64_t id);

/* The connections one after the other: *place starts as 0; NULL: no more. The table may lose and gain connections
 * meanwhile. */
struct weir_conn *weir__conn_table_next(const struct weir__conn_table *table, uint32_t *place);

#endif

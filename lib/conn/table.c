/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The table of a worker's connections. It knows places and ids, and nothing of what a connection does. */
#include "table.h"

#include <assert.h>
#include <string.h>

#include "conn.h"
#include "memory.h"
#include "portable.h"

enum { SLAB_COUNT = 256, BUCKETS_LEAST = 64 };

static struct weir_conn *at(const struct weir__conn_table *table, uint32_t place)
{
    return &table->slabs[place / SLAB_COUNT][place % SLAB_COUNT];
}

/* A free place is marked against use after free; its first bytes hold the number of the next free one. */
static void free_place(struct weir__conn_table *table, uint32_t place)
{
    struct weir_conn *conn = at(table, place);

    conn->state = WEIR__UNUSED;
    conn->id = table->first_free;
    table->first_free = place + 1;
    WEIR__POISON(&conn->event, sizeof(conn->event));
}

static uint32_t take_place(struct weir__conn_table *table)
{
    const uint32_t place = table->first_free - 1;
    struct weir_conn *conn = at(table, place);

    table->first_free = (uint32_t)conn->id;
    WEIR__UNPOISON(&conn->event, sizeof(conn->event));
    return place;
}

static bool add_slab(struct weir__conn_table *table)
{
    struct weir_conn *slab;

    if (table->slabs_count == table->slabs_room) {
        const uint32_t room = table->slabs_room == 0 ? 8 : table->slabs_room * 2;
        struct weir_conn **slabs = weir__realloc(table->slabs, room * sizeof(*slabs));
        if (!slabs) return false;
        table->slabs = slabs;
        table->slabs_room = room;
    }
    slab = weir__malloc(SLAB_COUNT * sizeof(*slab));
    if (!slab) return false;
    table->slabs[table->slabs_count++] = slab;
    for (uint32_t i = SLAB_COUNT; i-- > 0;)
        free_place(table, (table->slabs_count - 1) * SLAB_COUNT + i);
    return true;
}

/* Fibonacci hashing: ids of one worker are a few apart, and this spreads any such row evenly. */
static uint32_t home(const struct weir__conn_table *table, uint64_t id)
{
    return (uint32_t)((id * UINT64_C(0x9E3779B97F4A7C15)) >> 32) & (table->buckets_count - 1);
}

static void put(struct weir__conn_table *table, uint32_t place)
{
    uint32_t bucket = home(table, at(table, place)->id);

    while (table->buckets[bucket] != 0)
        bucket = (bucket + 1) & (table->buckets_count - 1);
    table->buckets[bucket] = place + 1;
}

/* At most three quarters full, so that a probe stays short. */
static bool grow_buckets(struct weir__conn_table *table)
{
    uint32_t *old = table->buckets;
    const uint32_t old_count = table->buckets_count;
    const uint32_t count = old_count == 0 ? BUCKETS_LEAST : old_count * 2;
    uint32_t *buckets = weir__zalloc(count * sizeof(*buckets));

    if (!buckets) return false;
    table->buckets = buckets;
    table->buckets_count = count;
    for (uint32_t i = 0; i < old_count; i++) {
        if (old[i] != 0) put(table, old[i] - 1);
    }
    weir__free(old);
    return true;
}

void weir__conn_table_fini(struct weir__conn_table *table)
{
    for (uint32_t i = 0; i < table->slabs_count; i++) {
        WEIR__UNPOISON(table->slabs[i], SLAB_COUNT * sizeof(**table->slabs));
        weir__free(table->slabs[i]);
    }
    weir__free(table->slabs);
    weir__free(table->buckets);
    memset(table, 0, sizeof(*table));
}

struct weir_conn *weir__conn_table_add(struct weir__conn_table *table, uint64_t id)
{
    uint32_t place;

    WEIR__DEBUG_ASSERT(!weir__conn_table_find(table, id)); /* ids never come again */
    if (table->count >= table->buckets_count / 4 * 3 && !grow_buckets(table)) return NULL;
    if (table->first_free == 0 && !add_slab(table)) return NULL;
    place = take_place(table);
    memset(at(table, place), 0, sizeof(struct weir_conn));
    at(table, place)->id = id;
    put(table, place);
    table->count++;
    return at(table, place);
}

/* The bucket of an id, or buckets_count. */
static uint32_t find_bucket(const struct weir__conn_table *table, uint64_t id)
{
    uint32_t bucket;

    if (table->buckets_count == 0) return 0;
    for (bucket = home(table, id); table->buckets[bucket] != 0; bucket = (bucket + 1) & (table->buckets_count - 1)) {
        if (at(table, table->buckets[bucket] - 1)->id == id) return bucket;
    }
    return table->buckets_count;
}

/* Closes the gap that a removed entry leaves in its row of probes, so that no marker is needed: each entry behind it
 * that may stand in the gap (its home does not lie between the gap and itself) moves there, and leaves the gap. Knuth,
 * TAOCP 6.4, algorithm R. */
static void close_gap(struct weir__conn_table *table, uint32_t gap)
{
    const uint32_t mask = table->buckets_count - 1;

    for (uint32_t i = (gap + 1) & mask; table->buckets[i] != 0; i = (i + 1) & mask) {
        const uint32_t wanted = home(table, at(table, table->buckets[i] - 1)->id);
        if (((i - wanted) & mask) >= ((i - gap) & mask)) {
            table->buckets[gap] = table->buckets[i];
            gap = i;
        }
    }
    table->buckets[gap] = 0;
}

void weir__conn_table_remove(struct weir__conn_table *table, struct weir_conn *conn)
{
    const uint32_t bucket = find_bucket(table, conn->id);
    uint32_t place;

    assert(bucket < table->buckets_count); /* it is in the table */
    place = table->buckets[bucket] - 1;
    close_gap(table, bucket);
    free_place(table, place);
    table->count--;
}

struct weir_conn *weir__conn_table_find(const struct weir__conn_table *table, uint64_t id)
{
    const uint32_t bucket = find_bucket(table, id);

    return bucket < table->buckets_count ? at(table, table->buckets[bucket] - 1) : NULL;
}

struct weir_conn *weir__conn_table_next(const struct weir__conn_table *table, uint32_t *place)
{
    while (*place < table->slabs_count * SLAB_COUNT) {
        struct weir_conn *conn = at(table, (*place)++);
        if (conn->state != WEIR__UNUSED) return conn;
    }
    return NULL;
}

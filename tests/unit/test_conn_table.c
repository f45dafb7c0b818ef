/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The table of connections beside a reference that is too simple to be wrong: a plain array of ids. Whatever comes and
 * goes, an id finds its own connection or nothing, and a connection never moves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conn/conn.h"
#include "conn/table.h"
#include "memory.h"

enum { REFERENCE_MAX = 4096 };

struct reference {
    uint64_t ids[REFERENCE_MAX];
    struct weir_conn *conns[REFERENCE_MAX];
    size_t count;
};

struct fixture {
    struct weir__conn_table table;
    struct reference in;
    uint64_t gone[REFERENCE_MAX]; /* the ids that were removed last */
    size_t gone_count;            /* in all */
    uint64_t random;
};

/* xorshift64: the same numbers on every run. */
static uint64_t next_random(uint64_t *random)
{
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return *random;
}

static struct fixture *new_fixture(uint64_t seed)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));

    assert_non_null(fixture);
    fixture->random = seed;
    return fixture;
}

static void free_fixture(struct fixture *fixture)
{
    weir__conn_table_fini(&fixture->table);
    free(fixture);
}

static struct weir_conn *add(struct fixture *fixture, uint64_t id)
{
    struct weir_conn *conn = weir__conn_table_add(&fixture->table, id);
    static const struct weir_conn zeroed;

    assert_non_null(conn);
    assert_int_equal(conn->id, id);
    conn->id = 0;
    assert_memory_equal(conn, &zeroed, sizeof(zeroed));
    conn->id = id;
    conn->state = WEIR__OPEN;
    assert_true(fixture->in.count < REFERENCE_MAX);
    fixture->in.ids[fixture->in.count] = id;
    fixture->in.conns[fixture->in.count++] = conn;
    return conn;
}

static void remove_at(struct fixture *fixture, size_t i)
{
    struct reference *in = &fixture->in;

    fixture->gone[fixture->gone_count++ % REFERENCE_MAX] = in->ids[i];
    weir__conn_table_remove(&fixture->table, in->conns[i]);
    in->count--;
    in->ids[i] = in->ids[in->count];
    in->conns[i] = in->conns[in->count];
}

/* Everything that is in is found, nothing that is gone is, and one walk meets each once. */
static void check_all(const struct fixture *fixture)
{
    const struct reference *in = &fixture->in;
    const size_t gone = fixture->gone_count < REFERENCE_MAX ? fixture->gone_count : REFERENCE_MAX;
    uint32_t place = 0;
    size_t met = 0;

    assert_int_equal(fixture->table.count, in->count);
    for (size_t i = 0; i < in->count; i++) {
        assert_ptr_equal(weir__conn_table_find(&fixture->table, in->ids[i]), in->conns[i]);
        assert_int_equal(in->conns[i]->id, in->ids[i]);
    }
    for (size_t i = 0; i < gone; i++)
        assert_null(weir__conn_table_find(&fixture->table, fixture->gone[i]));
    for (struct weir_conn *conn; (conn = weir__conn_table_next(&fixture->table, &place)); met++)
        assert_ptr_equal(weir__conn_table_find(&fixture->table, conn->id), conn);
    assert_int_equal(met, in->count);
}

/* The table swings between empty and full several times, so that it grows, and rows of probes form and dissolve. */
static void swing(struct fixture *fixture, uint64_t (*next_id)(struct fixture *), size_t operations, size_t most)
{
    for (size_t i = 0; i < operations; i++) {
        const int grows = i / most % 2 == 0;
        const int adds = next_random(&fixture->random) % 4 != 0 ? grows : !grows;

        if (adds && fixture->in.count < most) {
            add(fixture, next_id(fixture));
        } else if (fixture->in.count > 0) {
            remove_at(fixture, next_random(&fixture->random) % fixture->in.count);
        }
        if (i % (most / 2) == 0) check_all(fixture);
    }
    check_all(fixture);
    while (fixture->in.count > 0)
        remove_at(fixture, 0);
    check_all(fixture);
}

static uint64_t id_of_one_worker_of_two(struct fixture *fixture)
{
    return (fixture->gone_count + fixture->in.count) * 2 + 1;
}

static uint64_t id_of_one_worker_of_256_late(struct fixture *fixture)
{
    return (UINT64_C(1) << 52) + (fixture->gone_count + fixture->in.count) * 256 + 17;
}

/* Different, though random: the low bits count. */
static uint64_t random_id(struct fixture *fixture)
{
    const uint64_t number = fixture->gone_count + fixture->in.count + 1;

    return (next_random(&fixture->random) << 24) | number;
}

static void ids_find_their_connections(void **state)
{
    uint64_t (*const kinds[])(struct fixture *) = { id_of_one_worker_of_two, id_of_one_worker_of_256_late, random_id };

    (void)state;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct fixture *fixture = new_fixture(i + 1);

        swing(fixture, kinds[i], 40000, 3000);
        free_fixture(fixture);
    }
}

/* In a table of the least size, at most three quarters full, rows of probes run into each other and around the end:
 * what closing a gap must get right. */
static void rows_of_probes_close_their_gaps(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct fixture *fixture = new_fixture(seed * 7919);

        swing(fixture, random_id, 400, 48);
        assert_int_equal(fixture->table.buckets_count, 64);
        free_fixture(fixture);
    }
}

static void an_empty_table_finds_nothing(void **state)
{
    struct weir__conn_table table;
    uint32_t place = 0;

    (void)state;
    memset(&table, 0, sizeof(table));
    assert_null(weir__conn_table_find(&table, 0));
    assert_null(weir__conn_table_find(&table, 1));
    assert_null(weir__conn_table_next(&table, &place));
    weir__conn_table_fini(&table);
}

static void an_old_id_never_finds_who_has_its_place_now(void **state)
{
    struct fixture *fixture = new_fixture(1);
    struct weir_conn *conn = NULL;

    (void)state;
    for (uint64_t id = 1; id <= 20; id++)
        conn = add(fixture, id);
    for (uint64_t id = 20; id < 2000; id++) {
        struct weir_conn *next;

        remove_at(fixture, fixture->in.count - 1);
        assert_null(weir__conn_table_find(&fixture->table, id));
        next = add(fixture, id + 1);
        assert_ptr_equal(next, conn);                            /* the place is taken again ... */
        assert_null(weir__conn_table_find(&fixture->table, id)); /* ... and its old id is nobody's */
    }
    check_all(fixture);
    free_fixture(fixture);
}

/* What on_close of one connection may do to others while all are walked. */
static void a_walk_survives_removing_and_adding(void **state)
{
    struct fixture *fixture = new_fixture(99);
    uint64_t id = 0;

    (void)state;
    for (int round = 0; round < 20; round++) {
        unsigned char met[REFERENCE_MAX] = { 0 };
        const uint64_t newest = id + 1000;
        const uint64_t oldest = id + 1;
        uint32_t place = 0;

        while (id < newest)
            add(fixture, ++id);
        for (struct weir_conn *conn; (conn = weir__conn_table_next(&fixture->table, &place));) {
            assert_in_range(conn->id, 1, id);
            if (conn->id >= oldest && conn->id <= newest) met[conn->id - oldest]++;
            if (next_random(&fixture->random) % 3 == 0 && id < newest + 500) add(fixture, ++id);
            while (fixture->in.count > 0 && next_random(&fixture->random) % 2 == 0) {
                const size_t i = next_random(&fixture->random) % fixture->in.count;
                if (fixture->in.ids[i] >= oldest && fixture->in.ids[i] <= newest) met[fixture->in.ids[i] - oldest] |= 2;
                remove_at(fixture, i);
            }
        }
        for (size_t i = 0; i < newest - oldest + 1; i++)
            assert_in_range(met[i], 1, 3); /* met once, or removed, or first the one and then the other */
        check_all(fixture);
        while (fixture->in.count > 300)
            remove_at(fixture, 0);
    }
    free_fixture(fixture);
}

static int allocations_left;

static bool may_allocate(size_t size)
{
    (void)size;
    return allocations_left-- > 0;
}

static void without_memory_nothing_changes(void **state)
{
    (void)state;
    for (int allowed = 0; allowed < 12; allowed++) {
        struct fixture *fixture = new_fixture(3);
        struct weir_conn *conn;
        uint64_t id = 1;

        allocations_left = allowed;
        weir__memory_set_gate(may_allocate);
        while ((conn = weir__conn_table_add(&fixture->table, id)) && id < REFERENCE_MAX) {
            conn->state = WEIR__OPEN;
            fixture->in.ids[fixture->in.count] = id++;
            fixture->in.conns[fixture->in.count++] = conn;
        }
        weir__memory_set_gate(NULL);
        assert_null(conn);
        assert_null(weir__conn_table_find(&fixture->table, id));
        check_all(fixture);
        add(fixture, id); /* and with memory it goes on */
        check_all(fixture);
        free_fixture(fixture);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_find_their_connections),
        cmocka_unit_test(rows_of_probes_close_their_gaps),
        cmocka_unit_test(an_empty_table_finds_nothing),
        cmocka_unit_test(an_old_id_never_finds_who_has_its_place_now),
        cmocka_unit_test(a_walk_survives_removing_and_adding),
        cmocka_unit_test(without_memory_nothing_changes),
    };

    return cmocka_run_group_tests_name("conn_table", tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What weir verify sends, what it writes down, and what it makes of a store. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "scratch.h"
#include "verify/ledger.h"
#include "verify/numbered.h"
#include "verify/proof.h"

static struct weir_bytes bytes_of(const char *text)
{
    return (struct weir_bytes){ (const unsigned char *)text, strlen(text) };
}

/* ---- Messages ---- */

static void a_message_says_which_it_is_and_differs_from_all_others(void **state)
{
    const struct numbered numbered = { 0x1f2e3d4c, 3, 17 };
    struct numbered other = numbered, read = { 0 };
    unsigned char bytes[64], others[64];

    (void)state;
    numbered_write(&numbered, bytes, sizeof(bytes));
    assert_memory_equal(bytes, "1f2e3d4c 3 17 ", 14);
    assert_true(numbered_read((struct weir_bytes){ bytes, sizeof(bytes) }, &read));
    assert_int_equal(read.run, 0x1f2e3d4c);
    assert_int_equal(read.connection, 3);
    assert_int_equal(read.number, 17);

    numbered_write(&numbered, others, sizeof(others));
    assert_memory_equal(bytes, others, sizeof(bytes));
    other.number = 18;
    numbered_write(&other, others, sizeof(others));
    assert_memory_not_equal(bytes + 14, others + 14, 50);
    other = (struct numbered){ 0x1f2e3d4c, 4, 17 };
    numbered_write(&other, others, sizeof(others));
    assert_memory_not_equal(bytes + 14, others + 14, 50);
}

static void the_shortest_message_is_its_numbers_and_a_blank(void **state)
{
    const struct numbered numbered = { 7, 10, 1234567 };
    unsigned char bytes[32];
    struct numbered read;

    (void)state;
    assert_int_equal(numbered_bytes_min(&numbered), strlen("00000007 10 1234567 "));
    numbered_write(&numbered, bytes, numbered_bytes_min(&numbered));
    assert_memory_equal(bytes, "00000007 10 1234567 ", 20);
    assert_true(numbered_read((struct weir_bytes){ bytes, 20 }, &read));
    assert_int_equal(read.number, 1234567);
}

static void what_is_no_numbered_message_is_none(void **state)
{
    static const char *const texts[] = { "",
                                         "1f2e3d4c",
                                         "1f2e3d4c 3 17",
                                         "1f2e3d4c 3 017 x",
                                         "1f2e3d4c  3 17 x",
                                         "1F2E3D4C 3 17 x",
                                         "1f2e3d4 3 17 x",
                                         "1f2e3d4c 3 x17 x",
                                         "1f2e3d4c 3 0 x",
                                         "1f2e3d4c 4294967296 17 x",
                                         "1f2e3d4c 3 18446744073709551616 x",
                                         "1f2e3d4c -3 17 x" };
    struct numbered read;

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_false(numbered_read(bytes_of(texts[i]), &read));
    assert_true(numbered_read(bytes_of("1f2e3d4c 4294967295 18446744073709551615 "), &read));
    assert_true(read.number == UINT64_MAX);
}

/* ---- The ledger ---- */

static void a_line_of_the_ledger_is_read(void **state)
{
    struct ledger_entry entry;

    (void)state;
    assert_int_equal(ledger_parse(bytes_of("run 1f2e3d4c 10 128 2026-11-25T04:00:00Z"), &entry), 0);
    assert_int_equal(entry.kind, LEDGER_RUN);
    assert_int_equal(entry.run, 0x1f2e3d4c);
    assert_int_equal(entry.connection, 10);
    assert_int_equal(entry.message_bytes, 128);
    assert_int_equal(ledger_parse(bytes_of("sent 3 17-80"), &entry), 0);
    assert_int_equal(entry.kind, LEDGER_SENT);
    assert_int_equal(entry.connection, 3);
    assert_int_equal(entry.first, 17);
    assert_int_equal(entry.last, 80);
    assert_int_equal(ledger_parse(bytes_of("acknowledged 3 5-5"), &entry), 0);
    assert_int_equal(entry.kind, LEDGER_ACKNOWLEDGED);
    assert_int_equal(entry.last, 5);
}

static void another_line_is_refused(void **state)
{
    static const char *const texts[] = { "",
                                         "sent",
                                         "sent 3",
                                         "sent 3 17",
                                         "sent 3 17-",
                                         "sent 3 17-16",
                                         "sent 0 1-2",
                                         "sent 3 0-2",
                                         "sent 3 17-80 ",
                                         "sent  3 17-80",
                                         "sent 3 17-80x",
                                         "sent 3 -1-2",
                                         "sent 3 1--2",
                                         "Sent 3 17-80",
                                         "received 3 17-80",
                                         "run 1f2e3d4 10 128 t",
                                         "run 1f2e3d4c 0 128 t",
                                         "run 1f2e3d4c 10 0 t",
                                         "run 0x2e3d4c 10 128 t",
                                         "sent 4294967296 1-2",
                                         "sent 3 1-18446744073709551616" };
    struct ledger_entry entry;

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_int_equal(ledger_parse(bytes_of(texts[i]), &entry), -EBADMSG);
    assert_int_equal(ledger_parse((struct weir_bytes){ (const unsigned char *)"sent 3 17-80\0x", 14 }, &entry),
                     -EBADMSG);
}

/* Adds each line to a text. */
static int add_to_text(const struct ledger_entry *entry, void *user)
{
    char *text = user;
    const size_t len = strlen(text);

    if (entry->kind == LEDGER_RUN)
        snprintf(text + len, 512 - len, "run %x, ", entry->run);
    else
        snprintf(text + len, 512 - len, "%s %u %u-%u, ", entry->kind == LEDGER_SENT ? "sent" : "acknowledged",
                 entry->connection, (unsigned)entry->first, (unsigned)entry->last);
    return 0;
}

static void append(const char *path, const char *text)
{
    FILE *file = fopen(path, "a");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void a_ledger_is_added_to_and_a_line_that_was_not_ended_is_cut_off(void **state)
{
    char path[SCRATCH_BYTES_MAX];
    char error[LEDGER_ERROR_BYTES_MAX];
    char text[512] = "";
    struct ledger *ledger = NULL, *other = NULL;
    uint64_t line = 0;

    (void)state;
    scratch_path("ledger", path);
    assert_int_equal(ledger_open(path, &ledger, error), 0);
    ledger_add_run(ledger, 0xa1, 2, 128);
    ledger_add_sent(ledger, 1, 1, 64);
    assert_int_equal(ledger_read(path, add_to_text, text, &line), 0);
    assert_string_equal(text, ""); /* not before ledger_write */
    assert_int_equal(ledger_write(ledger), 0);
    assert_int_equal(ledger_open(path, &other, error), -EWOULDBLOCK);
    assert_non_null(strstr(error, "another weir verify writes to it"));
    ledger_close(ledger);

    append(path, "acknowledged 1 1-6");
    assert_int_equal(ledger_read(path, add_to_text, text, &line), 0);
    assert_string_equal(text, "run a1, sent 1 1-64, ");
    assert_int_equal(ledger_open(path, &ledger, error), 0);
    ledger_add_run(ledger, 0xa2, 2, 128);
    ledger_add_acknowledged(ledger, 1, 1, 64);
    assert_int_equal(ledger_write(ledger), 0);
    ledger_close(ledger);
    text[0] = 0;
    assert_int_equal(ledger_read(path, add_to_text, text, &line), 0);
    assert_string_equal(text, "run a1, sent 1 1-64, run a2, acknowledged 1 1-64, ");
}

static void a_file_of_somebody_else_is_not_added_to(void **state)
{
    char path[SCRATCH_BYTES_MAX];
    char error[LEDGER_ERROR_BYTES_MAX];
    struct ledger *ledger = NULL;
    uint64_t line = 0;

    (void)state;
    scratch_path("letter", path);
    append(path, "run for your life\nDear all\n");
    assert_int_equal(ledger_read(path, add_to_text, error, &line), -EBADMSG);
    assert_int_equal(line, 1);
    scratch_path("notes", path);
    append(path, "Dear all");
    assert_int_equal(ledger_open(path, &ledger, error), -EBADMSG);
    assert_non_null(strstr(error, "no ledger"));
    append(path, ",");
    assert_int_equal(ledger_open(path, &ledger, error), -EBADMSG);
}

/* ---- The proof ---- */

enum { RUN = 0xabc, SIZE = 40 };

static void add_line(struct proof *proof, const char *text, int expected)
{
    struct ledger_entry entry;

    assert_int_equal(ledger_parse(bytes_of(text), &entry), 0);
    assert_int_equal(proof_add_entry(&entry, proof), expected);
}

/* Connection 1 has sent 10 messages of which 8 are acknowledged, and connection 2 two. */
static struct proof *a_proof(void)
{
    struct proof *proof = NULL;

    assert_int_equal(proof_new(&proof), 0);
    add_line(proof, "run 00000abc 2 40 t", 0);
    add_line(proof, "sent 1 1-10", 0);
    add_line(proof, "acknowledged 1 1-5", 0);
    add_line(proof, "acknowledged 1 6-8", 0);
    add_line(proof, "sent 2 1-2", 0);
    add_line(proof, "acknowledged 2 1-2", 0);
    return proof;
}

struct stored {
    uint32_t client;
    uint64_t number;
    uint64_t connection;
    uint64_t seq;
};

static void add_stored(struct proof *proof, const struct stored *stored, uint64_t id, bool is_late, size_t altered)
{
    const struct numbered numbered = { RUN, stored->client, stored->number };
    unsigned char bytes[SIZE];
    const struct proof_row row = { .id = id,
                                   .connection = stored->connection,
                                   .seq = stored->seq,
                                   .is_late = is_late,
                                   .bytes = { bytes, sizeof(bytes) } };

    numbered_write(&numbered, bytes, sizeof(bytes));
    if (altered) bytes[altered - 1] ^= 1;
    assert_int_equal(proof_add_row(proof, &row), 0);
}

/* Messages first to last of connection 1, from seq 1 on, and those of connection 2. */
static void add_all(struct proof *proof, uint64_t first, uint64_t last)
{
    for (uint64_t number = first; number <= last; number++)
        add_stored(proof, &(struct stored){ 1, number, 7, number - first + 1 }, number, false, 0);
    for (uint64_t number = 1; number <= 2; number++)
        add_stored(proof, &(struct stored){ 2, number, 8, number }, 100 + number, false, 0);
}

static void expect(struct proof *proof, uint64_t missing, uint64_t altered, uint64_t disordered, uint64_t repeated)
{
    const struct proof_result *result = proof_end(proof);

    assert_int_equal(result->counts[PROOF_MISSING], missing);
    assert_int_equal(result->counts[PROOF_ALTERED], altered);
    assert_int_equal(result->counts[PROOF_DISORDERED], disordered);
    assert_int_equal(result->counts[PROOF_REPEATED], repeated);
}

static void what_was_not_acknowledged_may_be_there_or_not(void **state)
{
    (void)state;
    for (uint64_t last = 8; last <= 10; last++) {
        struct proof *proof = a_proof();
        add_all(proof, 1, last);
        expect(proof, 0, 0, 0, 0);
        assert_int_equal(proof_end(proof)->acknowledged, 10);
        assert_int_equal(proof_end(proof)->messages, 12);
        assert_int_equal(proof_end(proof)->stored, last + 2);
        assert_int_equal(proof_end(proof)->stored_beyond, last - 8);
        proof_free(proof);
    }
}

static void each_missing_one_is_counted_and_the_first_are_named(void **state)
{
    struct proof *proof = a_proof();

    (void)state;
    add_all(proof, 3, 8);
    expect(proof, 2, 0, 0, 0);
    assert_int_equal(proof_end(proof)->faults[PROOF_MISSING][1].number, 2);
    assert_int_equal(proof_end(proof)->faults[PROOF_MISSING][1].connection, 1);
    assert_int_equal(proof_end(proof)->faults[PROOF_MISSING][1].run, RUN);
    proof_free(proof);

    proof_free(NULL);
}

static void a_bit_anywhere_is_noticed(void **state)
{
    (void)state;
    for (size_t at = 1; at <= SIZE; at++) {
        struct proof *proof = a_proof();
        for (uint64_t number = 1; number <= 10; number++)
            add_stored(proof, &(struct stored){ 1, number, 7, number }, number, false, number == 4 ? at : 0);
        add_stored(proof, &(struct stored){ 2, 1, 8, 1 }, 11, false, 0);
        add_stored(proof, &(struct stored){ 2, 2, 8, 2 }, 12, false, 0);
        expect(proof, 0, 1, 0, 0);
        assert_int_equal(proof_end(proof)->faults[PROOF_ALTERED][0].number, 4);
        assert_int_equal(proof_end(proof)->faults[PROOF_ALTERED][0].row, 4);
        proof_free(proof);
    }
}

/* Before the first whole message of a lane nothing tells whose it is, but what is left of it. */
static void an_altered_first_one_is_noticed(void **state)
{
    (void)state;
    for (size_t at = 1; at <= SIZE; at++) {
        struct proof *proof = a_proof();
        const struct proof_result *result = NULL;

        add_stored(proof, &(struct stored){ 1, 1, 7, 1 }, 1, false, at);
        for (uint64_t number = 2; number <= 8; number++)
            add_stored(proof, &(struct stored){ 1, number, 7, number }, number, false, 0);
        result = proof_end(proof);
        assert_true(result->counts[PROOF_ALTERED] + result->counts[PROOF_MISSING] >= 1);
        proof_free(proof);
    }
}

static void two_that_changed_places_are_out_of_order(void **state)
{
    static const uint64_t order[] = { 1, 2, 4, 3, 5, 6, 7, 8 };
    struct proof *rows = a_proof();
    struct proof *contents = a_proof();

    (void)state;
    for (size_t i = 0; i < 8; i++) {
        add_stored(rows, &(struct stored){ 1, order[i], 7, order[i] }, i + 1, false, 0);
        add_stored(contents, &(struct stored){ 1, order[i], 7, i + 1 }, i + 1, false, 0);
    }
    add_stored(rows, &(struct stored){ 2, 1, 8, 1 }, 9, false, 0);
    add_stored(rows, &(struct stored){ 2, 2, 8, 2 }, 10, false, 0);
    expect(rows, 0, 0, 1, 0);
    assert_int_equal(proof_end(rows)->faults[PROOF_DISORDERED][0].number, 3);
    expect(contents, 2, 0, 2, 0);
    proof_free(rows);
    proof_free(contents);
}

static void one_that_was_sent_once_is_there_once(void **state)
{
    struct proof *proof = a_proof();
    const struct proof_fault *fault = NULL;

    (void)state;
    add_all(proof, 1, 10);
    add_stored(proof, &(struct stored){ 1, 6, 7, 6 }, 200, false, 0);
    expect(proof, 0, 0, 0, 1);
    fault = &proof_end(proof)->faults[PROOF_REPEATED][0];
    assert_int_equal(fault->number, 6);
    assert_int_equal(fault->row, 200);
    assert_int_equal(fault->stored, 2);
    assert_int_equal(fault->sent, 1);
    proof_free(proof);
}

static void one_that_was_sent_again_may_be_there_again(void **state)
{
    (void)state;
    for (int times = 1; times <= 3; times++) {
        struct proof *proof = a_proof();
        add_line(proof, "sent 1 9-10", 0);
        add_line(proof, "acknowledged 1 9-10", 0);
        add_all(proof, 1, 10);
        for (int i = 1; i < times; i++)
            for (uint64_t number = 9; number <= 10; number++)
                add_stored(proof, &(struct stored){ 1, number, 10 + (uint64_t)i, number - 8 }, 200 + number, false, 0);
        expect(proof, 0, 0, 0, times == 3 ? 2 : 0);
        assert_int_equal(proof_end(proof)->stored_again, 2 * (times - 1));
        proof_free(proof);
    }
}

/* The end of one connection may be read while the next one is served. */
static void lanes_may_overlap(void **state)
{
    struct proof *proof = a_proof();

    (void)state;
    add_line(proof, "sent 1 6-10", 0);
    add_all(proof, 1, 7);
    add_stored(proof, &(struct stored){ 1, 6, 9, 1 }, 200, false, 0);
    add_stored(proof, &(struct stored){ 1, 8, 7, 8 }, 201, false, 0);
    add_stored(proof, &(struct stored){ 1, 7, 9, 2 }, 202, false, 0);
    expect(proof, 0, 0, 0, 0);
    proof_free(proof);
}

static void a_number_that_two_connections_have_is_noticed(void **state)
{
    struct proof *proof = a_proof();

    (void)state;
    for (uint64_t number = 1; number <= 8; number++)
        add_stored(proof, &(struct stored){ 1, number, 7, number }, number, false, 0);
    add_stored(proof, &(struct stored){ 2, 1, 7, 1 }, 9, false, 0);
    add_stored(proof, &(struct stored){ 2, 2, 7, 2 }, 10, false, 0);
    expect(proof, 0, 0, 2, 0);
    proof_free(proof);
}

static void what_came_after_the_ledger_was_read_is_not_held_against_it(void **state)
{
    struct proof *proof = a_proof();

    (void)state;
    add_all(proof, 1, 10);
    add_stored(proof, &(struct stored){ 1, 11, 7, 11 }, 200, true, 0);
    add_stored(proof, &(struct stored){ 1, 9, 9, 1 }, 201, true, 0);
    expect(proof, 0, 0, 0, 0);
    add_stored(proof, &(struct stored){ 1, 12, 7, 12 }, 202, false, 0);
    expect(proof, 0, 0, 0, 1);
    proof_free(proof);
}

static void messages_of_others_are_counted_and_left_alone(void **state)
{
    static const char *const texts[] = { "hello", "00000abd 1 1 padding", "00000abc 3 1 padding", "" };
    struct proof *proof = a_proof();

    (void)state;
    add_all(proof, 1, 10);
    for (size_t i = 0; i < 4; i++) {
        const struct proof_row row = { .id = 300 + i, .connection = 30, .seq = i + 1, .bytes = bytes_of(texts[i]) };
        assert_int_equal(proof_add_row(proof, &row), 0);
    }
    expect(proof, 0, 0, 0, 0);
    assert_int_equal(proof_end(proof)->others, 4);
    proof_free(proof);
}

static void a_ledger_that_contradicts_itself_is_refused(void **state)
{
    struct proof *proof = a_proof();
    struct proof *empty = NULL;

    (void)state;
    add_line(proof, "sent 1 12-13", -EBADMSG);         /* 11 was left out */
    add_line(proof, "acknowledged 1 10-10", -EBADMSG); /* so was 9 */
    add_line(proof, "acknowledged 1 9-11", -EBADMSG);  /* not sent */
    add_line(proof, "acknowledged 1 8-8", -EBADMSG);   /* once only */
    add_line(proof, "sent 3 1-1", -EBADMSG);           /* there are two connections */
    add_line(proof, "run 00000abc 2 40 t", -EBADMSG);  /* the same run again */
    proof_free(proof);
    assert_int_equal(proof_new(&empty), 0);
    add_line(empty, "sent 1 1-1", -EBADMSG); /* before any run */
    proof_free(empty);
}

/* As many as the table of them has to grow for. */
static void there_may_be_many_lanes_and_messages(void **state)
{
    struct proof *proof = NULL;

    (void)state;
    assert_int_equal(proof_new(&proof), 0);
    add_line(proof, "run 00000abc 1 40 t", 0);
    add_line(proof, "sent 1 1-5000", 0);
    add_line(proof, "acknowledged 1 1-5000", 0);
    for (uint64_t number = 1; number <= 5000; number++)
        if (number != 4711) add_stored(proof, &(struct stored){ 1, number, number * 64, 1 }, number, false, 0);
    /* It still knows whose the first of them is. */
    assert_int_equal(
        proof_add_row(proof, &(struct proof_row){ .id = 5001, .connection = 64, .seq = 2, .bytes = bytes_of("hello") }),
        0);
    expect(proof, 1, 1, 0, 0);
    assert_int_equal(proof_end(proof)->faults[PROOF_MISSING][0].number, 4711);
    assert_int_equal(proof_end(proof)->faults[PROOF_ALTERED][0].number, 2);
    proof_free(proof);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_says_which_it_is_and_differs_from_all_others),
        cmocka_unit_test(the_shortest_message_is_its_numbers_and_a_blank),
        cmocka_unit_test(what_is_no_numbered_message_is_none),
        cmocka_unit_test(a_line_of_the_ledger_is_read),
        cmocka_unit_test(another_line_is_refused),
        cmocka_unit_test_setup_teardown(a_ledger_is_added_to_and_a_line_that_was_not_ended_is_cut_off, scratch_make,
                                        scratch_remove),
        cmocka_unit_test_setup_teardown(a_file_of_somebody_else_is_not_added_to, scratch_make, scratch_remove),
        cmocka_unit_test(what_was_not_acknowledged_may_be_there_or_not),
        cmocka_unit_test(each_missing_one_is_counted_and_the_first_are_named),
        cmocka_unit_test(a_bit_anywhere_is_noticed),
        cmocka_unit_test(an_altered_first_one_is_noticed),
        cmocka_unit_test(two_that_changed_places_are_out_of_order),
        cmocka_unit_test(one_that_was_sent_once_is_there_once),
        cmocka_unit_test(one_that_was_sent_again_may_be_there_again),
        cmocka_unit_test(lanes_may_overlap),
        cmocka_unit_test(a_number_that_two_connections_have_is_noticed),
        cmocka_unit_test(what_came_after_the_ledger_was_read_is_not_held_against_it),
        cmocka_unit_test(messages_of_others_are_counted_and_left_alone),
        cmocka_unit_test(a_ledger_that_contradicts_itself_is_refused),
        cmocka_unit_test(there_may_be_many_lanes_and_messages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

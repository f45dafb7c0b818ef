/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Goes through the store's messages and makes each anew from what it says that it is. Must never
 * believe a message that its bytes do not bear out.
 *
 * Order is that on a connection of the server, a lane here: there verify has sent its messages one after the other,
 * each once. What is sent again is sent on another lane, and the end of the one before may still be read meanwhile. */
#include "proof.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "numbered.h"

enum { COUNT_MAX = UINT8_MAX, LANES_FIRST = 64 };

/* Of a message: as often as this it was sent, and is stored; COUNT_MAX is that or more. */
struct mark {
    uint8_t sent;
    uint8_t stored;
};

/* A connection of a run. */
struct sent {
    struct mark *marks; /* of messages 1 to highest */
    uint64_t room;
    uint64_t highest;
    uint64_t acknowledged; /* up to this number */
};

struct run {
    uint32_t id;
    uint32_t connections;
    size_t message_bytes;
    struct sent *sent;
};

/* A connection of the server that messages of the ledger came on. */
struct lane {
    uint64_t connection; /* 0: a free place */
    uint64_t last;       /* the highest number so far */
    uint64_t offset;     /* from its seq to its number, on all of the lane */
    size_t run;
    uint32_t client; /* of the run */
};

struct proof {
    struct run *runs;
    size_t run_count;
    size_t run_found; /* the last one looked for */
    struct lane *lanes;
    size_t lane_room; /* a power of two */
    size_t lane_count;
    unsigned char *expected; /* a message made anew */
    size_t expected_room;
    struct proof_result result;
};

int proof_new(struct proof **ret)
{
    struct proof *proof = calloc(1, sizeof(*proof));
    struct lane *lanes = calloc(LANES_FIRST, sizeof(*lanes));

    if (!proof || !lanes) {
        free(proof);
        free(lanes);
        return -ENOMEM;
    }
    proof->lanes = lanes;
    proof->lane_room = LANES_FIRST;
    *ret = proof;
    return 0;
}

void proof_free(struct proof *proof)
{
    if (!proof) return;
    for (size_t i = 0; i < proof->run_count; i++) {
        for (uint32_t j = 0; j < proof->runs[i].connections; j++)
            free(proof->runs[i].sent[j].marks);
        free(proof->runs[i].sent);
    }
    free(proof->runs);
    free(proof->lanes);
    free(proof->expected);
    free(proof);
}

/* ---- The ledger ---- */

/* The last one that was found is tried first: a run's messages lie together. */
static struct run *find_run(struct proof *proof, uint32_t id)
{
    if (proof->run_found < proof->run_count && proof->runs[proof->run_found].id == id)
        return &proof->runs[proof->run_found];
    for (size_t i = 0; i < proof->run_count; i++) {
        if (proof->runs[i].id != id) continue;
        proof->run_found = i;
        return &proof->runs[i];
    }
    return NULL;
}

static int make_room_for_message(struct proof *proof, size_t bytes)
{
    unsigned char *larger = NULL;

    if (bytes <= proof->expected_room) return 0;
    larger = realloc(proof->expected, bytes);
    if (!larger) return -ENOMEM;
    proof->expected = larger;
    proof->expected_room = bytes;
    return 0;
}

static int add_run(struct proof *proof, const struct ledger_entry *entry)
{
    struct run *runs = NULL;
    struct sent *sent = NULL;

    if (find_run(proof, entry->run)) return -EBADMSG;
    if (make_room_for_message(proof, entry->message_bytes)) return -ENOMEM;
    runs = reallocarray(proof->runs, proof->run_count + 1, sizeof(*runs));
    if (!runs) return -ENOMEM;
    proof->runs = runs;
    sent = calloc(entry->connection, sizeof(*sent));
    if (!sent) return -ENOMEM;
    runs[proof->run_count++] = (struct run){
        .id = entry->run, .connections = entry->connection, .message_bytes = entry->message_bytes, .sent = sent
    };
    proof->result.runs++;
    return 0;
}

static int grow(struct sent *sent, uint64_t last)
{
    uint64_t room = sent->room ? sent->room : 64;
    struct mark *marks = NULL;

    while (room < last)
        if (__builtin_mul_overflow(room, 2, &room)) return -ENOMEM;
    if (room == sent->room) return 0;
    marks = reallocarray(sent->marks, room, sizeof(*marks));
    if (!marks) return -ENOMEM;
    memset(marks + sent->room, 0, (room - sent->room) * sizeof(*marks));
    sent->marks = marks;
    sent->room = room;
    return 0;
}

static void count_up(uint8_t *count)
{
    if (*count < COUNT_MAX) ++*count;
}

/* Each message is sent for the first time behind all that come before it. */
static int add_sent(struct proof *proof, struct sent *sent, const struct ledger_entry *entry)
{
    if (entry->first > sent->highest + 1) return -EBADMSG;
    if (grow(sent, entry->last)) return -ENOMEM;
    for (uint64_t number = entry->first; number <= entry->last; number++)
        count_up(&sent->marks[number - 1].sent);
    if (entry->last <= sent->highest) return 0;
    proof->result.messages += entry->last - sent->highest;
    sent->highest = entry->last;
    return 0;
}

static int add_acknowledged(struct proof *proof, struct sent *sent, const struct ledger_entry *entry)
{
    if (entry->first != sent->acknowledged + 1 || entry->last > sent->highest) return -EBADMSG;
    sent->acknowledged = entry->last;
    proof->result.acknowledged += entry->last - entry->first + 1;
    return 0;
}

int proof_add_entry(const struct ledger_entry *entry, void *user)
{
    struct proof *proof = user;
    const struct run *run = proof->run_count ? &proof->runs[proof->run_count - 1] : NULL;

    if (entry->kind == LEDGER_RUN) return add_run(proof, entry);
    if (!run || entry->connection > run->connections) return -EBADMSG;
    return entry->kind == LEDGER_SENT ? add_sent(proof, &run->sent[entry->connection - 1], entry)
                                      : add_acknowledged(proof, &run->sent[entry->connection - 1], entry);
}

/* ---- Lanes ---- */

/* Its place, or the free one that it would have. */
static struct lane *find_lane(const struct proof *proof, uint64_t connection)
{
    size_t at = (size_t)(connection * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (proof->lane_room - 1);

    while (proof->lanes[at].connection && proof->lanes[at].connection != connection)
        at = (at + 1) & (proof->lane_room - 1);
    return &proof->lanes[at];
}

static int make_room_for_lane(struct proof *proof)
{
    struct lane *before = proof->lanes;
    const size_t room = proof->lane_room;

    if (proof->lane_count < room / 2) return 0;
    proof->lanes = calloc(room * 2, sizeof(*proof->lanes));
    if (!proof->lanes) {
        proof->lanes = before;
        return -ENOMEM;
    }
    proof->lane_room = room * 2;
    for (size_t i = 0; i < room; i++)
        if (before[i].connection) *find_lane(proof, before[i].connection) = before[i];
    free(before);
    return 0;
}

/* ---- The store ---- */

/* A message of the ledger. */
struct known {
    size_t run;
    uint32_t client;
    uint64_t number;
};

static struct sent *sent_of(const struct proof *proof, const struct known *known)
{
    return &proof->runs[known->run].sent[known->client - 1];
}

static void add_fault(struct proof *proof, enum proof_fault_kind kind, const struct known *known, uint64_t row)
{
    const struct sent *sent = sent_of(proof, known);
    const bool is_known = known->number > 0 && known->number <= sent->highest;
    const uint64_t count = proof->result.counts[kind]++;

    if (count >= PROOF_NAMED_MAX) return;
    proof->result.faults[kind][count] =
        (struct proof_fault){ .run = proof->runs[known->run].id,
                              .connection = known->client,
                              .number = known->number,
                              .row = row,
                              .stored = is_known ? sent->marks[known->number - 1].stored : 1,
                              .sent = is_known ? sent->marks[known->number - 1].sent : 0 };
}

/* Which message of the ledger it says that it is. */
static bool identify(struct proof *proof, struct weir_bytes bytes, struct known *ret)
{
    struct numbered numbered;
    const struct run *run = NULL;

    if (!numbered_read(bytes, &numbered)) return false;
    run = find_run(proof, numbered.run);
    if (!run || numbered.connection > run->connections) return false;
    *ret = (struct known){ (size_t)(run - proof->runs), numbered.connection, numbered.number };
    return true;
}

static bool is_unaltered(struct proof *proof, struct weir_bytes bytes, const struct known *known)
{
    const struct run *run = &proof->runs[known->run];
    const struct numbered numbered = { run->id, known->client, known->number };

    if (bytes.len != run->message_bytes || bytes.len < numbered_bytes_min(&numbered)) return false;
    numbered_write(&numbered, proof->expected, run->message_bytes);
    return memcmp(bytes.data, proof->expected, bytes.len) == 0;
}

/* Counts it as there. Returns whether that is more often than it was sent. */
static bool count_stored(struct proof *proof, const struct known *known)
{
    const struct sent *sent = sent_of(proof, known);
    struct mark *mark = known->number > 0 && known->number <= sent->highest ? &sent->marks[known->number - 1] : NULL;

    if (!mark) return true;
    proof->result.stored_again += mark->stored > 0;
    proof->result.stored_beyond += !mark->stored && known->number > sent->acknowledged;
    count_up(&mark->stored);
    return mark->stored > mark->sent;
}

/* On a lane it is known which message each should be: of one that is altered, too. */
static void add_altered(struct proof *proof, const struct proof_row *row, const struct lane *lane,
                        const struct known *said)
{
    const struct known expected = { lane->run, lane->client, lane->offset + row->seq };
    const struct known *known = lane->connection ? &expected : said;

    count_stored(proof, known); /* what is altered is not missing, too */
    add_fault(proof, PROOF_ALTERED, known, row->id);
}

static void add_unaltered(struct proof *proof, const struct proof_row *row, struct lane *lane,
                          const struct known *known)
{
    const bool is_first = !lane->connection;
    const bool is_in_order = is_first || (lane->run == known->run && lane->client == known->client &&
                                          lane->offset == known->number - row->seq && known->number > lane->last);

    proof->result.stored++;
    if (count_stored(proof, known)) {
        if (!row->is_late) add_fault(proof, PROOF_REPEATED, known, row->id);
    } else if (!is_in_order) {
        add_fault(proof, PROOF_DISORDERED, known, row->id);
    }
    if (is_first) {
        *lane = (struct lane){ .connection = row->connection,
                               .offset = known->number - row->seq,
                               .run = known->run,
                               .client = known->client };
        proof->lane_count++;
    }
    if (known->number > lane->last) lane->last = known->number;
}

int proof_add_row(struct proof *proof, const struct proof_row *row)
{
    struct known known = { 0 };
    const bool is_identified = identify(proof, row->bytes, &known);
    struct lane *lane = NULL;

    if (make_room_for_lane(proof)) return -ENOMEM;
    lane = find_lane(proof, row->connection);
    if (is_identified && is_unaltered(proof, row->bytes, &known))
        add_unaltered(proof, row, lane, &known);
    else if (is_identified || lane->connection)
        add_altered(proof, row, lane, &known);
    else
        proof->result.others++;
    return 0;
}

/* ---- The result ---- */

static void look_for_missing(struct proof *proof, size_t run, uint32_t client)
{
    const struct sent *sent = &proof->runs[run].sent[client - 1];

    for (uint64_t number = 1; number <= sent->acknowledged; number++) {
        const struct known known = { run, client, number };
        if (!sent->marks[number - 1].stored) add_fault(proof, PROOF_MISSING, &known, 0);
    }
}

const struct proof_result *proof_end(struct proof *proof)
{
    for (size_t i = 0; i < proof->run_count; i++)
        for (uint32_t client = 1; client <= proof->runs[i].connections; client++)
            look_for_missing(proof, i, client);
    return &proof->result;
}

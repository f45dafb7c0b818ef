/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a ledger says against what a store has. First the ledger's lines, then the store's messages
 * in their order, then the result. It takes two bytes of memory for each message that was sent, and some 40 for each
 * connection that the server had. */
#ifndef APP_VERIFY_PROOF_H
#define APP_VERIFY_PROOF_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/weir.h>

#include "ledger.h"

struct proof;

enum proof_fault_kind {
    PROOF_MISSING,    /* acknowledged, and not there */
    PROOF_ALTERED,    /* there with other bytes, acknowledged or not */
    PROOF_DISORDERED, /* behind one that was sent later on the same connection */
    PROOF_REPEATED,   /* there more often than it was sent */
    PROOF_FAULT_COUNT
};

struct proof_fault {
    uint32_t run;
    uint32_t connection;
    uint64_t number;
    uint64_t row;    /* id in the store; 0: none */
    unsigned stored; /* REPEATED: as often */
    unsigned sent;
};

enum { PROOF_NAMED_MAX = 5 };

struct proof_result {
    uint64_t runs;
    uint64_t messages; /* different ones that were sent */
    uint64_t acknowledged;
    uint64_t stored;        /* of the ledger's, whole ones, those that are there again too */
    uint64_t stored_again;  /* of these */
    uint64_t stored_beyond; /* of these: not acknowledged */
    uint64_t others;        /* messages that are none of the ledger's */
    uint64_t counts[PROOF_FAULT_COUNT];
    struct proof_fault faults[PROOF_FAULT_COUNT][PROOF_NAMED_MAX]; /* the first of each kind */
};

/* A message in the store. */
struct proof_row {
    uint64_t id;
    uint64_t connection; /* the server's number for it */
    uint64_t seq;
    bool is_late; /* it may have come after the ledger was read, which then need not know of it */
    struct weir_bytes bytes;
};

int proof_new(struct proof **ret);
void proof_free(struct proof *proof); /* NULL is accepted */

/* A line of the ledger. Returns 0, -ENOMEM, or -EBADMSG when it does not fit those before it. For ledger_read; user is
 * the proof. */
int proof_add_entry(const struct ledger_entry *entry, void *user);

/* A message of the store, in the order of ids. Returns 0 or -ENOMEM. */
int proof_add_row(struct proof *proof, const struct proof_row *row);

/* All are there. The result is valid until proof_free. */
const struct proof_result *proof_end(struct proof *proof);

#endif

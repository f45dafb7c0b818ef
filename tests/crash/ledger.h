/* SPDX-License-Identifier: BSD-3-Clause
 *
 * tests/crash/ledger.h: what was put into a store, and when the store said that it has it; and whether a store that
 * somebody found after a power cut keeps that word. Instants are positions in what the recorder has written down.
 *
 * What a message says follows from its connection and its number there, so that each row can be judged, also one that
 * nobody had been told of. */
#ifndef TESTS_CRASH_LEDGER_H
#define TESTS_CRASH_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/record.h"

struct ledger;

enum { LEDGER_FAULT_BYTES_MAX = 512 };

struct ledger *ledger_new(void);
void ledger_free(struct ledger *ledger);

/* A connection was given this number, whatever is stored of it. */
void ledger_give(struct ledger *ledger, uint64_t connection, size_t position);

/* The next record of its connection goes its way: adds it to the batch. NULL when it does not fit. */
struct record *ledger_put_open(struct ledger *ledger, struct batch *batch, struct head *head, int64_t time_us);
struct record *ledger_put_message(struct ledger *ledger, struct batch *batch, struct head *head, int64_t time_us);
struct record *ledger_put_close(struct ledger *ledger, struct batch *batch, struct head *head, int64_t time_us);

/* The batch was put, and given up: nothing of it may ever be seen. */
void ledger_take_back(struct ledger *ledger, struct batch *batch);

/* The batch is stored, as of this instant. */
void ledger_stored(struct ledger *ledger, struct batch *batch, size_t position);

/* Opens the store at path as the server does, and looks whether all that was stored at that instant is in it, as it was
 * put, and nothing that cannot be; then stores one message more. thoroughly: SQLite's own check, too. Returns whether
 * it is as it must be, or else a sentence. */
bool ledger_check(struct ledger *ledger, const char *path, size_t position, bool thoroughly,
                  char fault[LEDGER_FAULT_BYTES_MAX]);

/* Only what the server does with the log before it opens the store. */
bool ledger_check_log(const char *path, char fault[LEDGER_FAULT_BYTES_MAX]);

/* Goes on from the store of the last ledger_check, as it was found: what was in it is stored for good, and what came
 * after that instant has never been. */
void ledger_go_on(struct ledger *ledger, size_t position);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * tests/crash/load.h: keeps a store busy, by the writer's thread or by the store's own functions: connections come and
 * go, messages come in batches of any size, the log is moved to the database early or late, somebody reads meanwhile.
 * The same dice do the same. */
#ifndef TESTS_CRASH_LOAD_H
#define TESTS_CRASH_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "dice.h"
#include "ledger.h"
#include "recorder.h"

struct load {
    const char *path; /* of the store */
    struct ledger *ledger;
    struct recorder *recorder;
    struct dice *dice;
    int64_t *time_us;        /* the clock of what comes */
    bool is_stored_too_soon; /* a lie: what is not committed yet is called stored */
};

/* From opening the store to closing it; some hundred records. Ends the process when the store fails. */
void load_by_writer(const struct load *load);
void load_by_store(const struct load *load);

#endif

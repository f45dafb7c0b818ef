/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What weir verify has sent and what was acknowledged, in a file that is only added to, and that
 * says the truth whenever the server, or verify itself, is killed: what is sent stands in it before it leaves. Lines of
 * text; docs/ledger.md says what they mean:
 *
 *   run 1f2e3d4c 10 128 2026-11-25T04:00:00Z    a run begins: its id, its connections, the bytes of each message
 *   sent 3 17-80                                these messages of connection 3 leave, perhaps again
 *   acknowledged 3 1-16                         these were acknowledged; each once, in their order
 */
#ifndef APP_VERIFY_LEDGER_H
#define APP_VERIFY_LEDGER_H

#include <stdint.h>
#include <stdio.h>

#include <weir/weir.h>

enum { LEDGER_ERROR_BYTES_MAX = 600 };

/* ---- Writing ---- */

struct ledger;

/* Opens the file, or makes it; nobody else may write to it meanwhile. A last line that was not written to its end is
 * cut off: it was never acted upon. Returns 0 and *ret, for ledger_close; or a negative code with a sentence. */
int ledger_open(const char *path, struct ledger **ret, char error[LEDGER_ERROR_BYTES_MAX]);
void ledger_close(struct ledger *ledger); /* NULL is accepted */

/* Each adds a line, which ledger_write writes. */
void ledger_add_run(struct ledger *ledger, uint32_t run, uint32_t connections, size_t message_bytes);
void ledger_add_sent(struct ledger *ledger, uint32_t connection, uint64_t first, uint64_t last);
void ledger_add_acknowledged(struct ledger *ledger, uint32_t connection, uint64_t first, uint64_t last);

/* Hands all that was added to the kernel, as one piece: from then on it is there, whatever becomes of the process.
 * Returns 0 or a negative code. */
int ledger_write(struct ledger *ledger);

/* ---- Reading ---- */

enum ledger_kind { LEDGER_RUN, LEDGER_SENT, LEDGER_ACKNOWLEDGED };

struct ledger_entry {
    enum ledger_kind kind;
    uint32_t run;           /* RUN */
    uint32_t connection;    /* RUN: how many there are */
    uint64_t message_bytes; /* RUN */
    uint64_t first;         /* the others: these messages */
    uint64_t last;
};

/* Reads one line, without its end. Returns 0, or -EBADMSG when it is none of a ledger's. */
int ledger_parse(struct weir_bytes line, struct ledger_entry *ret);

/* Calls fn for each whole line; verify may be adding to it meanwhile. Returns 0, what fn returned when not 0, or
 * another negative code; -EBADMSG with the number of the line in *ret_line. */
int ledger_read(const char *path, int (*fn)(const struct ledger_entry *entry, void *user), void *user,
                uint64_t *ret_line);

#endif

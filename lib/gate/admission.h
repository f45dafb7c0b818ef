/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Who may come in: at accept a bound on how many, and in ARRIVING, when it is known who the peer is, whether it. */
#ifndef WEIR__ADMISSION_H
#define WEIR__ADMISSION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <weir/weir.h>

struct weir__peer;

/* Asked of each accepted client, from any worker's thread; leave once for each that entered. None is needed yet. */
struct weir__admission_rule {
    enum weir_reason (*enter)(const struct weir__peer *peer); /* WEIR_REASON_NONE: it may come in */
    void (*leave)(const struct weir__peer *peer);
};

struct weir__admission {
    _Atomic uint64_t clients; /* connections now, of all workers */
    _Atomic uint64_t clients_max;
    const struct weir__admission_rule *rule; /* NULL: all may; set before weir_run */
};

/* What the descriptor limit leaves room for: the soft limit, less what is open now and a reserve for everything that is
 * not a client. At least 1. */
uint64_t weir__admission_room(void);

/* So many descriptors more are no client's: room that was found out, not asked for, shrinks. At least 1 is left. Any
 * thread. */
void weir__admission_shrink(struct weir__admission *admission, uint64_t descriptors);

/* They are free again. Any thread. */
void weir__admission_grow(struct weir__admission *admission, uint64_t descriptors);

/* Takes a client's place; false when there is none. Any thread. */
bool weir__admission_take_place(struct weir__admission *admission);
/* Takes one without asking: for connections that we dial ourselves. */
void weir__admission_force_place(struct weir__admission *admission);
void weir__admission_return_place(struct weir__admission *admission);

/* Whether this peer may come in: WEIR_REASON_NONE, or why not. Who has entered leaves, once. Any thread. */
enum weir_reason weir__admission_enter(struct weir__admission *admission, const struct weir__peer *peer);
void weir__admission_leave(struct weir__admission *admission, const struct weir__peer *peer);

#endif

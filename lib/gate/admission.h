/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Who may come in. Today a bound on how many; address rules take the same two calls. */
#ifndef WEIR__ADMISSION_H
#define WEIR__ADMISSION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct weir__admission {
    _Atomic uint64_t clients; /* connections now, of all workers */
    _Atomic uint64_t clients_max;
};

/* What the descriptor limit leaves room for: the soft limit, less what is open now and a reserve for everything that is
 * not a client. At least 1. */
uint64_t weir__admission_room(void);

/* So many descriptors more are no client's: room that was found out, not asked for, shrinks. At least 1 is left. Any
 * thread. */
void weir__admission_shrink(struct weir__admission *admission, uint64_t descriptors);

/* Counts one client in; false when there is no room for it. Any thread. */
bool weir__admission_enter(struct weir__admission *admission);
/* Counts one in without asking: for connections that we dial ourselves. */
void weir__admission_force(struct weir__admission *admission);
void weir__admission_leave(struct weir__admission *admission);

#endif

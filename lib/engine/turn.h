/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a worker still owes at the end of a turn of its loop. */
#ifndef WEIR__TURN_H
#define WEIR__TURN_H

#include <stdbool.h>

struct weir__worker;

/* Serves the runnable, lets the program have its turn, sends what is dirty, keeps the memory bound, buries the closed.
 * Returns whether more is owed already (an on_turn for what the program was told since, among others), so that the
 * next turn must not wait for an event. */
bool weir__turn_end(struct weir__worker *worker);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * turn.h: what a worker still owes at the end of a turn of its loop. */
#ifndef WEIR__TURN_H
#define WEIR__TURN_H

struct weir__worker;

/* Serves the runnable, lets the program have its turn, sends what is dirty, keeps the memory bound, buries the closed.
 * Returns not 0 when more is owed already (an on_turn for what the program was told since, among others), so that the
 * next turn must not wait for an event. */
int weir__turn_end(struct weir__worker *worker);

#endif

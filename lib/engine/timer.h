/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The private side of the program's timers. */
#ifndef WEIR__TIMER_H
#define WEIR__TIMER_H

struct weir__worker;

/* For weir_free. */
void weir__timer_free_all(struct weir__worker *worker);

/* Sets those timers again that there was no memory for, when worker->sleepless says that there are such; it says so on
 * while there still is none. */
void weir__timer_sleep_all(struct weir__worker *worker);

#endif

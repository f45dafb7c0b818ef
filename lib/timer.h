/* SPDX-License-Identifier: BSD-3-Clause
 *
 * timer.h: the private side of the program's timers. */
#ifndef WEIR__TIMER_H
#define WEIR__TIMER_H

struct weir__worker;

/* For weir_free. */
void weir__timer_free_all(struct weir__worker *worker);

#endif

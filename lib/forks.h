/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A count of forks tells a process from its copy without a system call. */
#ifndef WEIR__FORKS_H
#define WEIR__FORKS_H

#include <stdatomic.h>

/* How many forks lead from the process that loaded the library to this one. */
extern _Atomic unsigned weir__forks;

/* From now on weir__forks counts. Returns 0 or -ENOMEM. */
int weir__forks_watch(void);

#endif

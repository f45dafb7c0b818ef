/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What becomes of an engine's copy in a process that was forked. */
#ifndef WEIR__FORK_H
#define WEIR__FORK_H

#include <stdbool.h>

struct weir;

/* For weir_free of a foreign engine: lets go of everything that leads to the process it belongs to, and calls nobody
 * back. True: its memory can be freed as any engine's; false: it has to be left. */
bool weir__fork_let_go(struct weir *weir);

#endif

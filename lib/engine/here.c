/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Which worker a thread runs. */
#include <assert.h>

#include "engine.h"
#include "worker.h"

/* A thread of a forked process can tell by it which worker it ran, for it alone has a thread's variables. */
static _Thread_local struct weir__worker *here;

void weir__here_enter(struct weir__worker *worker)
{
    worker->outer = here;
    here = worker;
}

void weir__here_leave(struct weir__worker *worker)
{
    assert(here == worker);
    here = worker->outer;
}

bool weir__worker_is_here(const struct weir__worker *worker)
{
    return here == worker;
}

bool weir__worker_is_own(const struct weir__worker *worker)
{
    const struct weir__worker *running = here;

    while (running && running != worker)
        running = running->outer;
    return running || !atomic_load(&worker->weir->running) || weir__is_foreign(worker->weir);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A forked process has a copy of the engine's memory, and the same epoll sets, eventfds and sockets as the process that
 * the engine belongs to. So here nothing may be done to what a descriptor leads to, but close(2): no epoll_ctl, which
 * would take the other process's events off, no shutdown, no unlink. No callback runs, and no lock is taken: the thread
 * that held it may not be here. */
#include "fork.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "conn/conn.h"
#include "conn/table.h"
#include "engine.h"
#include "listener.h"
#include "worker.h"

/* A worker that another thread ran when the process was forked was copied in the middle of something: its lists may
 * lead nowhere, and what they lead to may be free. */
static bool is_whole(const struct weir *weir)
{
    return !atomic_load(&weir->running) || (weir->workers_count == 1 && weir__worker_is_here(weir->workers[0]));
}

/* As far as they can be found without following a list; the rest goes with the process. */
static void close_descriptors(struct weir *weir)
{
    for (unsigned i = 0; i < weir->workers_count; i++) {
        uint32_t place = 0;

        for (struct weir_conn *conn; (conn = weir__conn_table_next(&weir->workers[i]->conns, &place));) {
            if (weir__conn_fd(conn) >= 0) close(weir__conn_fd(conn));
        }
        weir__worker_close_descriptors(weir->workers[i]);
    }
    for (struct weir_listener *listener = weir->listeners; listener; listener = weir__listener_next(listener))
        weir__listener_close(listener);
}

bool weir__fork_let_go(struct weir *weir)
{
    if (!is_whole(weir)) {
        close_descriptors(weir);
        return false;
    }
    pthread_mutex_init(&weir->lock, NULL);
    for (struct weir_listener *listener = weir->listeners; listener; listener = weir__listener_next(listener))
        weir__listener_leave_path(listener);
    for (unsigned i = 0; i < weir->workers_count; i++)
        weir__worker_let_go(weir->workers[i]);
    return true;
}

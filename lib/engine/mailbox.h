/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The only way into a worker from outside its thread. */
#ifndef WEIR__MAILBOX_H
#define WEIR__MAILBOX_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct weir__worker;

/* One piece of work for a worker, the first member of a larger struct. run is called exactly once, on the worker's
 * thread, or by weir_free after the thread has ended; it frees the mail. */
struct weir__mail {
    struct weir__mail *next;
    void (*run)(struct weir__worker *worker, struct weir__mail *mail);
    size_t bytes; /* what it counts for against the mailbox's bound, besides one item */
};

struct weir__mailbox {
    pthread_mutex_t lock;
    struct weir__mail *first;
    struct weir__mail **last;
    size_t items;
    size_t bytes;
    size_t items_max;
    size_t bytes_max;
    uint64_t refused; /* times that there was no room */
    bool woken;       /* the eventfd has been written and not read yet */
    bool closed;      /* nothing more can be reserved */
    bool retired;     /* nobody looks into it any more, but weir_free */
    int eventfd;      /* readable while there is something to do */
};

/* Returns 0 or -errno. */
int weir__mailbox_init(struct weir__mailbox *box, size_t items_max, size_t bytes_max);
/* The box must be empty. */
void weir__mailbox_fini(struct weir__mailbox *box);

/* Keeps room for one mail of so many bytes: 0, -EAGAIN when the box is full, -EMSGSIZE when even an empty one is too
 * small, or WEIR_ESTOPPED when it is closed. A reservation ends with put or cancel. Any thread. */
int weir__mailbox_reserve(struct weir__mailbox *box, size_t bytes);
void weir__mailbox_cancel(struct weir__mailbox *box, size_t bytes);

/* Puts mail whose room is reserved. Never fails; wakes the worker. Any thread. */
void weir__mailbox_put(struct weir__mailbox *box, struct weir__mail *mail);

/* Reserves and puts. The mail remains the caller's when it fails. Any thread. */
int weir__mailbox_post(struct weir__mailbox *box, struct weir__mail *mail);

/* Puts mail that something else bounds already (the clients of an accept), though the box may be full. Never fails. Any
 * thread. */
void weir__mailbox_force(struct weir__mailbox *box, struct weir__mail *mail);

/* As force, for mail that must not lie until weir_free. False: the worker has retired, and the mail remains the
 * caller's. Any thread. */
bool weir__mailbox_hand(struct weir__mailbox *box, struct weir__mail *mail);

/* Wakes the worker without mail: it looks at the flags of struct weir. Never fails. Any thread. */
void weir__mailbox_wake(struct weir__mailbox *box);

/* How often there was no room. Any thread. */
uint64_t weir__mailbox_refused(struct weir__mailbox *box);

/* From now on nothing more can be reserved: every try is told WEIR_ESTOPPED. Any thread. */
void weir__mailbox_close(struct weir__mailbox *box);

/* For a forked process, whose copy this is: the eventfd closes, which may ring elsewhere, and the lock is a new one. */
void weir__mailbox_let_go(struct weir__mailbox *box);

/* Takes all mail out, oldest first. The worker's thread. */
struct weir__mail *weir__mailbox_take(struct weir__mailbox *box);

/* The same for the last time: its loop has ended. */
struct weir__mail *weir__mailbox_retire(struct weir__mailbox *box);

#endif

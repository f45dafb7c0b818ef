/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A bounded list under a lock, and an eventfd that is written once however much is put in before the worker looks. No
 * other lock is held inside it, and nothing runs under it. */
#include "mailbox.h"

#include <assert.h>
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <weir/error.h>

int weir__mailbox_init(struct weir__mailbox *box, size_t items_max, size_t bytes_max)
{
    *box = (struct weir__mailbox){ .items_max = items_max, .bytes_max = bytes_max };
    box->last = &box->first;
    box->eventfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (box->eventfd < 0) return -errno;
    pthread_mutex_init(&box->lock, NULL);
    return 0;
}

void weir__mailbox_fini(struct weir__mailbox *box)
{
    if (!box->last || box->eventfd < 0) return; /* never initialised */
    pthread_mutex_destroy(&box->lock);
    close(box->eventfd);
    box->eventfd = -1;
}

int weir__mailbox_reserve(struct weir__mailbox *box, size_t bytes)
{
    int err = 0;

    if (bytes > box->bytes_max) return -EMSGSIZE; /* there will never be room for it */
    pthread_mutex_lock(&box->lock);
    if (box->closed) {
        err = WEIR_ESTOPPED;
    } else if (box->items >= box->items_max || bytes > box->bytes_max - box->bytes) {
        box->refused++;
        err = -EAGAIN;
    } else {
        box->items++;
        box->bytes += bytes;
    }
    pthread_mutex_unlock(&box->lock);
    return err;
}

void weir__mailbox_cancel(struct weir__mailbox *box, size_t bytes)
{
    pthread_mutex_lock(&box->lock);
    assert(box->items > 0 && box->bytes >= bytes);
    box->items--;
    box->bytes -= bytes;
    pthread_mutex_unlock(&box->lock);
}

/* Until the worker has looked nobody rings again, so this must sound. EAGAIN: the counter is full, and so readable. */
static void ring(struct weir__mailbox *box)
{
    const uint64_t one = 1;

    while (write(box->eventfd, &one, sizeof(one)) < 0 && errno == EINTR)
        continue;
}

/* Under the lock. */
static void append(struct weir__mailbox *box, struct weir__mail *mail, size_t uncounted)
{
    mail->next = NULL;
    *box->last = mail;
    box->last = &mail->next;
    box->items += uncounted;
}

/* mail NULL: only wakes. */
static void put(struct weir__mailbox *box, struct weir__mail *mail, size_t uncounted)
{
    bool asleep;

    pthread_mutex_lock(&box->lock);
    if (mail) append(box, mail, uncounted);
    asleep = !box->woken;
    box->woken = true;
    pthread_mutex_unlock(&box->lock);
    if (asleep) ring(box);
}

void weir__mailbox_put(struct weir__mailbox *box, struct weir__mail *mail)
{
    put(box, mail, 0);
}

void weir__mailbox_force(struct weir__mailbox *box, struct weir__mail *mail)
{
    mail->bytes = 0;
    put(box, mail, 1);
}

bool weir__mailbox_hand(struct weir__mailbox *box, struct weir__mail *mail)
{
    bool taken;
    bool asleep;

    mail->bytes = 0;
    pthread_mutex_lock(&box->lock);
    taken = !box->retired;
    asleep = taken && !box->woken;
    if (taken) {
        append(box, mail, 1);
        box->woken = true;
    }
    pthread_mutex_unlock(&box->lock);
    if (asleep) ring(box);
    return taken;
}

void weir__mailbox_wake(struct weir__mailbox *box)
{
    put(box, NULL, 0);
}

int weir__mailbox_post(struct weir__mailbox *box, struct weir__mail *mail)
{
    const int err = weir__mailbox_reserve(box, mail->bytes);

    if (err == 0) weir__mailbox_put(box, mail);
    return err;
}

uint64_t weir__mailbox_refused(struct weir__mailbox *box)
{
    uint64_t refused;

    pthread_mutex_lock(&box->lock);
    refused = box->refused;
    pthread_mutex_unlock(&box->lock);
    return refused;
}

void weir__mailbox_close(struct weir__mailbox *box)
{
    pthread_mutex_lock(&box->lock);
    box->closed = true;
    pthread_mutex_unlock(&box->lock);
}

void weir__mailbox_let_go(struct weir__mailbox *box)
{
    pthread_mutex_init(&box->lock, NULL);
    close(box->eventfd);
    box->eventfd = -1;
}

static struct weir__mail *take(struct weir__mailbox *box, bool retires)
{
    struct weir__mail *first;
    uint64_t rings;
    const ssize_t n = read(box->eventfd, &rings, sizeof(rings));

    (void)n; /* EAGAIN: nobody has rung; EINTR: it stays readable, and the worker looks once more */
    pthread_mutex_lock(&box->lock);
    first = box->first;
    box->first = NULL;
    box->last = &box->first;
    for (const struct weir__mail *mail = first; mail; mail = mail->next) {
        assert(box->items > 0 && box->bytes >= mail->bytes);
        box->items--;
        box->bytes -= mail->bytes;
    }
    box->woken = false;
    box->retired |= retires;
    pthread_mutex_unlock(&box->lock);
    return first;
}

struct weir__mail *weir__mailbox_take(struct weir__mailbox *box)
{
    return take(box, false);
}

struct weir__mail *weir__mailbox_retire(struct weir__mailbox *box)
{
    return take(box, true);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What any thread may ask of the engine: each call is a piece of mail for the worker that it concerns, or a flag that
 * workers look at. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include <weir/weir.h>

#include "clock.h"
#include "conn/conn.h"
#include "conn/stream_out.h"
#include "conn/table.h"
#include "engine.h"
#include "mailbox.h"
#include "memory.h"
#include "portable.h"
#include "worker.h"

/* The open connection with that id, for mail that has come too late is for nobody. */
static struct weir_conn *find(struct weir__worker *worker, uint64_t id)
{
    struct weir_conn *conn = worker->ended ? NULL : weir__conn_table_find(&worker->conns, id);

    return !conn || conn->state == WEIR__CLOSED ? NULL : conn;
}

static bool lacks_data(struct weir_bytes message)
{
    return !message.data && message.len > 0;
}

static int post(struct weir__worker *worker, struct weir__mail *mail)
{
    const int err = weir__mailbox_post(&worker->mailbox, mail);

    if (err != 0) weir__free(mail); /* the mail is the first member of what was allocated */
    return err;
}

/* ---- weir_post ---- */

struct post {
    struct weir__mail mail;
    void (*fn)(struct weir *weir, void *arg);
    void *arg;
};

static void run_post(struct weir__worker *worker, struct weir__mail *mail)
{
    const struct post post = *WEIR__CONTAINER(mail, struct post, mail);

    weir__free(mail);
    if (!worker->is_copy) post.fn(worker->weir, post.arg);
}

int weir_post(struct weir *weir, unsigned worker, void (*fn)(struct weir *weir, void *arg), void *arg)
{
    struct post *mail;

    if (!weir__is_usable(weir) || !fn) return weir__misuse(weir, "post", "function");
    if (worker >= weir->workers_count) return -EINVAL;
    mail = weir__zalloc(sizeof(*mail));
    if (!mail) return -ENOMEM;
    *mail = (struct post){ .mail.run = run_post, .fn = fn, .arg = arg };
    return post(weir->workers[worker], &mail->mail);
}

/* ---- weir_post_conn ---- */

struct post_conn {
    struct weir__mail mail;
    uint64_t id;
    void (*fn)(struct weir_conn *conn, void *arg);
    void *arg;
};

static void run_post_conn(struct weir__worker *worker, struct weir__mail *mail)
{
    const struct post_conn post = *WEIR__CONTAINER(mail, struct post_conn, mail);

    weir__free(mail);
    if (!worker->is_copy) post.fn(find(worker, post.id), post.arg);
}

int weir_post_conn(struct weir *weir, uint64_t id, void (*fn)(struct weir_conn *conn, void *arg), void *arg)
{
    struct post_conn *mail;

    if (!weir__is_usable(weir) || !fn) return weir__misuse(weir, "post_conn", "function");
    mail = weir__zalloc(sizeof(*mail));
    if (!mail) return -ENOMEM;
    *mail = (struct post_conn){ .mail.run = run_post_conn, .id = id, .fn = fn, .arg = arg };
    return post(weir__worker_of(weir, id), &mail->mail);
}

/* ---- weir_send ---- */

struct letter {
    struct weir__mail mail;
    uint64_t id;
    void (*done)(int result, void *arg);
    void *arg;
    size_t len;
    unsigned char bytes[];
};

static void run_letter(struct weir__worker *worker, struct weir__mail *mail)
{
    struct letter *letter = WEIR__CONTAINER(mail, struct letter, mail);
    struct weir_conn *conn = find(worker, letter->id);
    int result = -ENOENT;

    if (conn) result = weir__conn_send(conn, (struct weir_bytes){ letter->bytes, letter->len });
    if (letter->done && !worker->is_copy) letter->done(result, letter->arg);
    weir__free(letter);
}

int weir_send(struct weir *weir, uint64_t id, struct weir_bytes message, void (*done)(int result, void *arg), void *arg)
{
    struct letter *mail;

    if (!weir__is_usable(weir) || lacks_data(message)) return weir__misuse(weir, "send", "message's data");
    mail = weir__malloc(sizeof(*mail) + message.len);
    if (!mail) return -ENOMEM;
    *mail = (struct letter){ .mail.run = run_letter, .id = id, .done = done, .arg = arg, .len = message.len };
    mail->mail.bytes = message.len;
    if (message.len > 0) memcpy(mail->bytes, message.data, message.len);
    return post(weir__worker_of(weir, id), &mail->mail);
}

/* ---- weir_broadcast ---- */

/* What the workers share of one broadcast; freed by the last of them. */
struct broadcast {
    struct weir_filter filter;
    _Atomic unsigned workers_left;
    _Atomic uint64_t sent;
    size_t len;
    unsigned char bytes[];
};

struct broadcast_mail {
    struct weir__mail mail;
    struct broadcast *broadcast;
};

/* A message as one service's connections send it. */
struct edition {
    const struct weir__service *service;
    struct weir__blob *blob;
};

enum { EDITIONS_MAX = 8 };

/* One encoding a service. Of more services than that, the last place is taken over and over: slower, and right. */
static int edition_for(struct edition *editions, const struct weir__service *service, struct weir_bytes message,
                       struct weir__blob **ret)
{
    struct edition *edition = editions;
    struct weir__blob *blob = NULL;

    while (edition->service != service && edition->service && edition < editions + EDITIONS_MAX - 1)
        edition++;
    if (edition->service != service) {
        const int err = weir__stream_out_encode(service, message, &blob);

        if (err != 0) return err;
        if (edition->blob) weir__blob_release(service->worker, edition->blob);
        *edition = (struct edition){ service, blob };
    }
    *ret = edition->blob;
    return 0;
}

static bool passes(const struct weir_filter *filter, struct weir_conn *conn)
{
    if (conn->state != WEIR__OPEN || conn->id == filter->except_id) return false;
    if (filter->listener && conn->service->listener != filter->listener) return false;
    return !filter->match || filter->match(conn, filter->user);
}

/* Whether it was sent. A hole in somebody's stream is worse than an end that he notices; what a framing cannot carry is
 * no part of its stream. */
static bool send_edition(struct weir_conn *conn, struct edition *editions, struct weir_bytes message)
{
    struct weir__blob *blob = NULL;
    int result = edition_for(editions, conn->service, message, &blob);

    if (result == 0) result = weir__conn_send_blob(conn, blob);
    if (result >= 0) return true;
    if (result == -ENOBUFS) weir__conn_abort(conn, WEIR_REASON_SLOW_READER, 0);
    if (result == -ENOMEM) weir__conn_abort(conn, WEIR_REASON_MEMORY, ENOMEM);
    return false;
}

static void send_to_all(struct weir__worker *worker, struct broadcast *broadcast)
{
    const struct weir_filter *filter = &broadcast->filter;
    const struct weir_bytes message = { broadcast->bytes, broadcast->len };
    struct edition editions[EDITIONS_MAX] = { { NULL, NULL } };
    uint32_t place = 0;
    uint64_t sent = 0;

    for (struct weir_conn *conn; (conn = weir__conn_table_next(&worker->conns, &place));) {
        if (!passes(filter, conn) || conn->state != WEIR__OPEN) continue;
        if (!send_edition(conn, editions, message)) continue;
        sent++;
        if (filter->sent) filter->sent(conn, filter->user);
    }
    for (int i = 0; i < EDITIONS_MAX && editions[i].blob; i++)
        weir__blob_release(worker, editions[i].blob);
    atomic_fetch_add(&broadcast->sent, sent);
}

static void finish_share(const struct weir__worker *worker, struct broadcast *broadcast)
{
    const struct weir_filter *filter = &broadcast->filter;

    if (atomic_fetch_sub(&broadcast->workers_left, 1) > 1) return;
    if (filter->done && !worker->is_copy) filter->done(atomic_load(&broadcast->sent), filter->user);
    weir__free(broadcast);
}

static void run_broadcast(struct weir__worker *worker, struct weir__mail *mail)
{
    struct broadcast *broadcast = WEIR__CONTAINER(mail, struct broadcast_mail, mail)->broadcast;

    weir__free(mail);
    if (!worker->ended) send_to_all(worker, broadcast);
    finish_share(worker, broadcast);
}

/* Mail for every worker, its room reserved: all of it or none. Returns the number of workers, or a code. */
static int reserve_all(struct weir *weir, struct broadcast *broadcast, struct broadcast_mail **mails)
{
    int err = 0;
    unsigned count = 0;

    for (; count < weir->workers_count && err == 0; count++) {
        mails[count] = weir__zalloc(sizeof(**mails));
        if (!mails[count]) {
            err = -ENOMEM;
            break;
        }
        *mails[count] = (struct broadcast_mail){ .mail.run = run_broadcast, .broadcast = broadcast };
        mails[count]->mail.bytes = broadcast->len;
        err = weir__mailbox_reserve(&weir->workers[count]->mailbox, broadcast->len);
        if (err != 0) weir__free(mails[count]);
    }
    if (err == 0) return 0;
    if (err != -ENOMEM) count--;
    while (count-- > 0) {
        weir__mailbox_cancel(&weir->workers[count]->mailbox, broadcast->len);
        weir__free(mails[count]);
    }
    return err;
}

static struct broadcast *new_broadcast(const struct weir *weir, const struct weir_filter *filter,
                                       struct weir_bytes message)
{
    struct broadcast *broadcast = weir__malloc(sizeof(*broadcast) + message.len);

    if (!broadcast) return NULL;
    memset(broadcast, 0, sizeof(*broadcast));
    if (filter) memcpy(&broadcast->filter, filter, filter->size < sizeof(*filter) ? filter->size : sizeof(*filter));
    broadcast->workers_left = weir->workers_count;
    broadcast->len = message.len;
    if (message.len > 0) memcpy(broadcast->bytes, message.data, message.len);
    return broadcast;
}

int weir_broadcast(struct weir *weir, const struct weir_filter *filter, struct weir_bytes message)
{
    struct broadcast *broadcast;
    struct broadcast_mail **mails;
    int err = -ENOMEM;

    if (!weir__is_usable(weir) || lacks_data(message)) return weir__misuse(weir, "broadcast", "message's data");
    broadcast = new_broadcast(weir, filter, message);
    mails = weir__zalloc(weir->workers_count * sizeof(struct broadcast_mail *));
    if (filter && (filter->size < sizeof(filter->size) || filter->size > sizeof(*filter))) err = WEIR_ECONFIG;
    if (err == WEIR_ECONFIG || !broadcast || !mails) goto out;
    err = reserve_all(weir, broadcast, mails);
    if (err != 0) goto out;
    for (unsigned i = 0; i < weir->workers_count; i++)
        weir__mailbox_put(&weir->workers[i]->mailbox, &mails[i]->mail);
    broadcast = NULL;
out:
    weir__free(broadcast);
    weir__free(mails);
    return err;
}

/* ---- Flags ---- */

static void wake_all(struct weir *weir)
{
    for (unsigned i = 0; i < weir->workers_count; i++)
        weir__mailbox_wake(&weir->workers[i]->mailbox);
}

void weir_input_pause(struct weir *weir)
{
    if (weir__is_usable(weir) && atomic_fetch_add(&weir->input_pauses, 1) == 0) wake_all(weir);
}

void weir_input_resume(struct weir *weir)
{
    unsigned before;

    if (!weir__is_usable(weir)) return;
    before = atomic_fetch_sub(&weir->input_pauses, 1);
    assert(before > 0);
    if (before == 1) wake_all(weir);
}

void weir_stop(struct weir *weir, int64_t deadline_ms)
{
    const int64_t wait_ms = deadline_ms == 0 ? 10000 : deadline_ms;
    const int64_t wanted = wait_ms < 0 ? INT64_MAX : weir__clock_later(weir__clock_ms(), wait_ms);
    int64_t before;

    if (!weir__is_usable(weir)) return;
    before = atomic_load(&weir->stop_deadline_ms);
    while (wanted < before && !atomic_compare_exchange_weak(&weir->stop_deadline_ms, &before, wanted)) {
    }
    atomic_store(&weir->stopping, true);
    wake_all(weir);
}

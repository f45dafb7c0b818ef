/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A connection and its socket: how it comes in, what is read and sent, and what an event of the loop means in each
 * state. What follows for the connection's life is in conn.c. */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "conn_internal.h"
#include "engine/engine.h"
#include "engine/worker.h"
#include "memory.h"
#include "stream_in.h"
#include "stream_out.h"

static void on_event(evutil_socket_t fd, short what, void *arg);

/* ---- Getting in ---- */

static bool make_codec_state(struct weir_conn *conn)
{
    if (conn->service->state_bytes <= WEIR__CODEC_STATE_BYTES) return true;
    conn->codec_state.large = weir__zalloc(conn->service->state_bytes);
    return conn->codec_state.large != NULL;
}

static void open_up(struct weir_conn *conn)
{
    struct weir__worker *worker = weir__conn_worker(conn);

    weir__conn_enter(conn, WEIR__OPEN);
    if (weir__conn_is_never_idle(conn)) {
        if (!weir__work_get(conn)) {
            weir__conn_abort(conn, WEIR_REASON_MEMORY, ENOMEM);
            return;
        }
        conn->work->active_ms = weir__worker_now(worker);
    }
    conn->announced = true;
    if (conn->service->on_open) conn->service->on_open(conn, conn->user);
    if (conn->service->transport->pending) weir__conn_go_on_with_rest(conn); /* what came behind the handshake */
    if (conn->work) {
        weir__conn_arm(conn);
        weir__conn_settle(conn);
    }
    weir__conn_update_interest(conn);
}

/* Once a connection; a plain transport keeps nothing. */
static bool open_transport(struct weir_conn *conn)
{
    const struct weir__service *service = conn->service;

    if (!service->transport->open || (conn->work && conn->work->transport_state)) return true;
    if (!weir__work_get(conn)) return false;
    conn->work->transport_state = service->transport->open(service->transport_context, weir__conn_fd(conn));
    return conn->work->transport_state;
}

/* Once a connection that was accepted; whom we dial ourselves we let in. False: it is closed. */
static bool enter(struct weir_conn *conn)
{
    struct weir__admission *admission = &weir__conn_worker(conn)->weir->admission;
    enum weir_reason reason;

    if (conn->admitted || !conn->service->listener) return true;
    reason = weir__admission_enter(admission, &conn->peer);
    conn->admitted = reason == WEIR_REASON_NONE;
    if (conn->admitted) return true;
    weir__service_tell_refused(conn->service, &conn->peer, reason);
    weir__conn_abort(conn, reason, 0);
    return false;
}

/* What stands between a socket and OPEN. A PROXY header will come first: it changes who the peer is. */
static void arrive(struct weir_conn *conn)
{
    const struct weir__transport *transport = conn->service->transport;
    int error = 0;

    if (!enter(conn)) return;
    if (!open_transport(conn)) {
        weir__conn_abort(conn, WEIR_REASON_MEMORY, ENOMEM);
        return;
    }
    switch (transport->handshake ? transport->handshake(weir__conn_link(conn), &error) : WEIR__IO_BYTES) {
    case WEIR__IO_BYTES:
        conn->read_needs_write = false;
        open_up(conn);
        return;
    case WEIR__IO_AGAIN_READ:
        conn->read_needs_write = false;
        break;
    case WEIR__IO_AGAIN_WRITE:
        conn->read_needs_write = true;
        break;
    case WEIR__IO_END:
        weir__conn_abort(conn, WEIR_REASON_PEER_CLOSED, 0);
        return;
    case WEIR__IO_TRUNCATED:
        weir__conn_abort(conn, WEIR_REASON_RESET, ECONNRESET);
        return;
    case WEIR__IO_ERROR:
        weir__conn_abort(conn, weir__conn_reason_of(error), error);
        return;
    }
    if (!weir__work_get(conn)) {
        weir__conn_abort(conn, WEIR_REASON_MEMORY, ENOMEM);
        return;
    }
    if (conn->work->since_ms == 0) conn->work->since_ms = weir__worker_now(weir__conn_worker(conn));
    weir__conn_arm(conn);
    weir__conn_update_interest(conn);
}

static struct weir_conn *new_conn(struct weir__service *service, uint64_t id, void *user)
{
    struct weir__worker *worker = service->worker;
    struct weir_conn *conn = weir__conn_table_add(&worker->conns, id);

    if (!conn) return NULL;
    conn->service = service;
    conn->user = user;
    event_assign(&conn->event, worker->base, -1, 0, on_event, conn);
    if (!make_codec_state(conn)) {
        weir__conn_table_remove(&worker->conns, conn);
        return NULL;
    }
    service->users++;
    return conn;
}

void weir__conn_accepted(struct weir__service *service, int fd, const struct weir__peer *peer, uint64_t id)
{
    struct weir__worker *worker = service->worker;
    struct weir_conn *conn = new_conn(service, id, service->user);

    if (!conn) {
        close(fd);
        weir__admission_return_place(&worker->weir->admission);
        weir__service_refused(service, peer, WEIR_REASON_MEMORY);
        return;
    }
    weir__count(&service->tally->accepted, 1);
    conn->state = WEIR__ARRIVING;
    conn->peer = *peer;
    conn->event.ev_fd = fd;
    arrive(conn);
}

struct weir_conn *weir__conn_dialled(struct weir__service *service, uint64_t id, void *user, struct weir__dial *dial)
{
    struct weir__worker *worker = service->worker;
    struct weir_conn *conn = new_conn(service, id, user);

    if (!conn) return NULL;
    if (!weir__work_get(conn)) {
        if (service->state_bytes > WEIR__CODEC_STATE_BYTES) weir__free(conn->codec_state.large);
        weir__conn_table_remove(&worker->conns, conn);
        service->users--;
        return NULL;
    }
    weir__count(&service->tally->dialled, 1);
    weir__admission_force_place(&worker->weir->admission);
    conn->state = WEIR__CONNECTING;
    conn->announced = true;
    conn->work->dial = dial;
    return conn;
}

void weir__conn_try(struct weir_conn *conn, int fd, const struct weir__peer *peer)
{
    weir__conn_close_socket(conn);
    conn->event.ev_fd = fd;
    conn->peer = *peer;
    conn->work->since_ms = weir__worker_now(weir__conn_worker(conn));
    weir__conn_arm(conn);
    weir__conn_update_interest(conn);
}

void weir__conn_connected(struct weir_conn *conn)
{
    weir__conn_drop_dial(conn);
    weir__conn_enter(conn, WEIR__ARRIVING);
    arrive(conn);
}

/* ---- Input and output ---- */

static void after_output(struct weir_conn *conn)
{
    if (conn->writable_due) {
        conn->writable_due = false;
        weir__conn_restart_clocks(conn);
        if (conn->state == WEIR__OPEN && conn->service->on_writable) {
            weir__conn_worker(conn)->busy = true; /* the end of a turn may be what has sent it */
            conn->service->on_writable(conn, conn->user);
        }
    }
    if (conn->state == WEIR__OPEN && conn->end_asked && weir__conn_output_bytes(conn) == 0) weir__conn_end_side(conn);
    if (conn->state != WEIR__OPEN) weir__conn_advance(conn);
    if (conn->state == WEIR__CLOSED) return;
    weir__conn_go_on_with_rest(conn);
    if (conn->blocked) weir__conn_arm(conn);
    weir__conn_settle(conn);
    weir__conn_update_interest(conn);
}

void weir__conn_flush(struct weir_conn *conn)
{
    if (conn->state != WEIR__OPEN && conn->state != WEIR__DRAINING) return;
    switch (weir__stream_out_flush(conn)) {
    case WEIR__OUTPUT_BROKEN:
        weir__conn_abort(conn, weir__conn_reason_of(conn->error), conn->error);
        return;
    case WEIR__OUTPUT_NO_MEMORY:
        weir__conn_abort(conn, WEIR_REASON_MEMORY, ENOMEM);
        return;
    case WEIR__OUTPUT_LEFT:
    case WEIR__OUTPUT_WAITS:
        break;
    }
    after_output(conn);
}

/* The peer's end, behind everything it sent. Who wants to hear of it keeps the connection, for sending. */
static void take_end(struct weir_conn *conn)
{
    const struct weir__service *service = conn->service;

    if (!service->on_end) {
        weir__conn_finish(conn, WEIR_REASON_PEER_CLOSED);
        return;
    }
    if (conn->state != WEIR__OPEN) return;
    conn->end_told = true;
    conn->undecoded = false;
    conn->in_frame = conn->waits = false; /* what has been begun is not late: it will never be whole */
    service->on_end(conn, conn->user);
}

static void after_input(struct weir_conn *conn, enum weir__input input)
{
    if (conn->state == WEIR__CLOSED) return;
    switch (input) {
    case WEIR__INPUT_GOES_ON:
        break;
    case WEIR__INPUT_ENDED:
        take_end(conn);
        break;
    case WEIR__INPUT_TOO_LONG:
        weir__conn_finish(conn, WEIR_REASON_TOO_LONG);
        break;
    case WEIR__INPUT_MALFORMED:
        weir__conn_finish(conn, WEIR_REASON_MALFORMED);
        break;
    case WEIR__INPUT_NO_MEMORY:
        weir__conn_abort(conn, WEIR_REASON_MEMORY, ENOMEM);
        return;
    case WEIR__INPUT_BROKEN:
        weir__conn_abort(conn, weir__conn_reason_of(conn->error), conn->error);
        return;
    }
    if (conn->state == WEIR__CLOSED) return;
    if (conn->in_frame || conn->waits) weir__conn_arm(conn);
    /* A write that waited for the socket to be readable may find that this read has taken in what it waited for. */
    if ((!conn->blocked || conn->write_needs_read) && weir__conn_output_bytes(conn) > 0) {
        weir__conn_flush(conn);
        return;
    }
    after_output(conn);
}

void weir__conn_run(struct weir_conn *conn)
{
    struct weir__worker *worker = weir__conn_worker(conn);
    const bool reads = weir__conn_transport_has_bytes(conn);
    enum weir__input input;

    if (conn->state != WEIR__OPEN || !(conn->undecoded || reads)) return;
    worker->reading = conn;
    input = reads ? weir__stream_in_read(conn) : weir__stream_in_deliver(conn);
    worker->reading = NULL;
    after_input(conn, input);
}

/* The word of a pause comes by mail, behind the sockets that are ready: they may be thousands. That of its end is
 * waited for. */
static void see_input_pause(struct weir__worker *worker)
{
    if (atomic_load_explicit(&worker->weir->input_pauses, memory_order_relaxed) > 0) worker->input_paused = true;
}

static void read_and_deliver(struct weir_conn *conn)
{
    struct weir__worker *worker = weir__conn_worker(conn);
    enum weir__input input;

    see_input_pause(worker);
    if (worker->input_paused && !conn->held) {
        if (!weir__work_get(conn)) {
            weir__conn_abort(conn, WEIR_REASON_MEMORY, ENOMEM);
            return;
        }
        conn->held = true;
        TAILQ_INSERT_TAIL(&worker->held, conn->work, held_entry);
        weir__conn_update_interest(conn);
        return;
    }
    worker->reading = conn;
    input = weir__stream_in_read(conn);
    worker->reading = NULL;
    after_input(conn, input);
}

/* ---- Deadlines ---- */

/* While it is we who do not read, a message in progress is not late, and there is no silence; nor while bytes are in
 * hand that have not had their turn. Nor is the peer idle, unless what keeps us from reading is that it does not read.
 */
static void hold_clocks(struct weir_conn *conn, int64_t now_ms)
{
    const bool may_go_on = weir__stream_in_may_go_on(conn);
    struct weir__work *work = conn->work;

    if (conn->in_frame && !may_go_on) work->frame_since_ms = now_ms;
    if (conn->waits && (!may_go_on || conn->runnable)) work->silence_since_ms = now_ms;
    if (conn->pauses || weir__conn_worker(conn)->input_paused) work->active_ms = now_ms;
}

/* The codec may end the message in progress for want of bytes. Whether it was asked. */
static bool is_codec_asked(struct weir_conn *conn, enum weir_reason reason)
{
    struct weir__worker *worker = weir__conn_worker(conn);
    enum weir__input input;

    if (conn->state != WEIR__OPEN || !conn->waits) return false;
    if (reason != WEIR_REASON_NONE && reason != WEIR_REASON_FRAME_TIMEOUT) return false;
    WEIR__DEBUG_ASSERT(!worker->reading && !conn->undecoded && !conn->input_ended);
    worker->busy = true; /* messages have their on_turn */
    worker->reading = conn;
    input = reason == WEIR_REASON_NONE ? weir__stream_in_be_silent(conn) : weir__stream_in_be_late(conn);
    worker->reading = NULL;
    after_input(conn, input);
    return true;
}

int64_t weir__conn_check_deadlines(struct weir__work *work, int64_t now_ms)
{
    struct weir_conn *conn = work->conn;
    struct weir__deadline next;
    bool is_frame_told = false; /* the codec has had its chance at the frame timeout */

    /* What is done for one deadline moves it, and another may have passed meanwhile. */
    for (;;) {
        if (conn->work != work || conn->state == WEIR__CLOSED) return INT64_MAX; /* nothing in hand any more */
        see_input_pause(weir__conn_worker(conn));
        hold_clocks(conn, now_ms);
        next = weir__conn_next_deadline(conn);
        if (next.at_ms > now_ms) return next.at_ms;
        if (next.reason == WEIR_REASON_WRITE_TIMEOUT && weir__stream_out_moves(conn)) continue;
        if (next.reason == WEIR_REASON_FRAME_TIMEOUT && is_frame_told) break;
        if (!is_codec_asked(conn, next.reason)) break;
        if (next.reason == WEIR_REASON_FRAME_TIMEOUT) is_frame_told = true;
    }
    assert(next.reason != WEIR_REASON_NONE); /* the codec was asked */
    if (conn->state == WEIR__CONNECTING) {
        work->dial->on_timeout(conn);
    } else {
        weir__conn_abort(conn, next.reason, conn->state == WEIR__LINGERING ? conn->error : ETIMEDOUT);
    }
    return INT64_MAX;
}

/* ---- Sending ---- */

static int may_send(const struct weir_conn *conn)
{
    if ((conn->state == WEIR__OPEN || conn->state == WEIR__DRAINING) && !conn->end_asked) return 0;
    return conn->state == WEIR__CONNECTING || conn->state == WEIR__ARRIVING ? -ENOTCONN : WEIR_ECLOSING;
}

/* Whoever is being read is flushed when its read is done; the others stand in line for the end of the turn. */
static void leave_later(struct weir_conn *conn)
{
    struct weir__worker *worker = weir__conn_worker(conn);

    if (worker->reading != conn && conn->work && !conn->blocked) weir__work_list_dirty(worker, conn->work);
}

int weir__conn_send(struct weir_conn *conn, struct weir_bytes message)
{
    int result = may_send(conn);

    if (result != 0) return result;
    result = weir__stream_out_put(conn, message);
    if (result >= 0) leave_later(conn);
    return result;
}

int weir__conn_send_blob(struct weir_conn *conn, struct weir__blob *blob)
{
    int result = may_send(conn);

    if (result != 0) return result;
    result = weir__stream_out_put_blob(conn, blob);
    if (result >= 0) leave_later(conn);
    return result;
}

/* The peer goes on sending. Whoever has taken what was sent is closed; to others the reset would cost it, so they keep
 * their time for it, unread. */
static void stop_discarding(struct weir_conn *conn)
{
    if (!weir__stream_out_is_on_its_way(conn)) {
        weir__conn_abort(conn, (enum weir_reason)conn->reason, conn->error);
        return;
    }
    conn->had_enough = true;
    weir__conn_update_interest(conn);
}

/* Reads and throws away, within the bounds of the service. */
static void linger(struct weir_conn *conn)
{
    const struct weir__service *service = conn->service;
    struct weir__worker *worker = service->worker;
    size_t turn = 0;

    while (turn < service->wake_bytes_max) {
        size_t len = 0;
        int error = 0;
        const enum weir__io io =
            service->transport->read(weir__conn_link(conn), worker->scratch, WEIR__SCRATCH_BYTES, &len, &error);

        conn->read_needs_write = io == WEIR__IO_AGAIN_WRITE;
        if (io == WEIR__IO_AGAIN_READ || io == WEIR__IO_AGAIN_WRITE) break;
        turn += len;
        conn->work->lingered_bytes += len;
        if (io != WEIR__IO_BYTES) {
            weir__conn_abort(conn, (enum weir_reason)conn->reason, conn->error);
            return;
        }
        if (conn->work->lingered_bytes > service->linger_bytes_max) {
            stop_discarding(conn);
            return;
        }
    }
    weir__conn_update_interest(conn);
}

/* Whether the socket says that nothing can be sent either. We have not ended our side: the peer has closed, which only
 * a unix socket tells. */
static bool has_hung_up(const struct weir_conn *conn)
{
    struct pollfd hangup = { .fd = weir__conn_fd(conn) };

    return poll(&hangup, 1, 0) == 1 && (hangup.revents & POLLHUP) != 0;
}

/* Something happened on a socket that we do not want to read: is the peer gone? Unread bytes and a FIN are no reason to
 * close. */
static void check_gone(struct weir_conn *conn)
{
    int error = 0;
    socklen_t len = sizeof(error);

    if (getsockopt(weir__conn_fd(conn), SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error != 0) {
        weir__conn_abort(conn, weir__conn_reason_of(error), error);
    } else if (conn->state == WEIR__LINGERING) {
        if (conn->input_ended && !weir__stream_out_is_on_its_way(conn))
            weir__conn_abort(conn, (enum weir_reason)conn->reason, conn->error);
    } else if (conn->end_told && !conn->output_ended && has_hung_up(conn)) {
        weir__conn_abort(conn, conn->state == WEIR__OPEN ? WEIR_REASON_PEER_CLOSED : (enum weir_reason)conn->reason, 0);
    }
}

static void on_open_event(struct weir_conn *conn, short what)
{
    const bool write_goes_on = conn->blocked && (what & (conn->write_needs_read ? EV_READ : EV_WRITE)) != 0;
    const bool read_goes_on = (what & (conn->read_needs_write ? EV_WRITE : EV_READ)) != 0;

    if (conn->interest == WEIR__WANT_GONE) {
        check_gone(conn);
        return;
    }
    if (write_goes_on) weir__conn_flush(conn);
    if (conn->runnable) return; /* it has had its turn, and has bytes in hand that come first */
    if (read_goes_on && conn->state == WEIR__OPEN && !conn->input_ended && !conn->pauses &&
        !weir__conn_output_stops_input(conn))
        read_and_deliver(conn);
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    struct weir_conn *conn = arg;
    struct weir__worker *worker = weir__conn_worker(conn);

    (void)fd;
    weir__worker_wakes(worker);
    switch ((enum weir__conn_state)conn->state) {
    case WEIR__CONNECTING:
        conn->work->dial->on_ready(conn);
        break;
    case WEIR__ARRIVING:
        arrive(conn);
        break;
    case WEIR__OPEN:
    case WEIR__DRAINING:
        on_open_event(conn, what);
        break;
    case WEIR__LINGERING:
        if (conn->had_enough) {
            check_gone(conn);
        } else {
            linger(conn);
        }
        break;
    case WEIR__UNUSED:
    case WEIR__CLOSED:
        break;
    }
    /* The turn ends here: each socket that is ready may bring more. The next turn begins with those. */
    if (atomic_load_explicit(&worker->memory_over, memory_order_relaxed)) event_base_loopbreak(worker->base);
}

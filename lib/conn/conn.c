/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A connection's life: one table of states, one function that enters a state, one way out. Whatever has changed, what a
 * connection asks of its socket is computed anew by one function, and so is its next deadline. A closed connection is
 * freed at the end of the turn, never under its caller's feet. */
#include "conn_internal.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "engine/engine.h"
#include "engine/worker.h"
#include "memory.h"
#include "portable.h"
#include "stream_in.h"
#include "stream_out.h"

_Static_assert(sizeof(struct weir_conn) <= 240, "an idle connection costs its event and little more");

/* ---- States ---- */

#define STATE_ROW(name, text, next) [WEIR__##name] = { text, next },
static const struct {
    const char *name;
    unsigned next; /* a bit for each state that may follow */
} states[] = { [WEIR__UNUSED] = { "unused", 0 }, WEIR__CONN_STATES(STATE_ROW) };

void weir__conn_enter(struct weir_conn *conn, enum weir__conn_state state)
{
    struct weir__worker *worker = weir__conn_worker(conn);

    assert(states[conn->state].next >> state & 1);
    if (weir__log_wants(worker, WEIR_LOG_DEBUG))
        weir__log(worker, WEIR_LOG_DEBUG, WEIR_LOG_STATE, "#%" PRIu64 " %s -> %s", conn->id, states[conn->state].name,
                  states[state].name);
    conn->state = (uint8_t)state;
    if (conn->work) conn->work->since_ms = weir__worker_now(worker);
}

enum weir_reason weir__conn_reason_of(int error)
{
    switch (error) {
    case ECONNRESET:
    case ECONNABORTED:
    case EPIPE:
    case ENOTCONN: /* shutdown(2), when the reset came first */
        return WEIR_REASON_RESET;
    case ETIMEDOUT:
    case EHOSTUNREACH:
    case ENETUNREACH:
        return WEIR_REASON_LOST;
    case ENOMEM:
    case ENOBUFS:
        return WEIR_REASON_MEMORY;
    default:
        return WEIR_REASON_FAILED;
    }
}

/* ---- What it asks of its socket ---- */

static const short interest_events[] = {
    [WEIR__WANT_NOTHING] = 0,
    [WEIR__WANT_READ] = EV_READ | EV_PERSIST,
    [WEIR__WANT_WRITE] = EV_WRITE | EV_PERSIST,
    [WEIR__WANT_READ_WRITE] = EV_READ | EV_WRITE | EV_PERSIST,
    /* Edge-triggered, because what is not read would be reported for ever. EV_READ is in it because libevent reports a
     * reset (EPOLLERR) as readable and writable, and would not report it to an event that asks for EV_CLOSED alone. */
    [WEIR__WANT_GONE] = EV_READ | EV_CLOSED | EV_ET | EV_PERSIST,
};

static enum weir__interest wanted_while_open(const struct weir_conn *conn)
{
    const bool reads = conn->state == WEIR__OPEN && !conn->input_ended && !conn->pauses &&
                       !weir__conn_output_stops_input(conn) && !conn->held;
    const bool read_event = (reads && !conn->read_needs_write) || (conn->blocked && conn->write_needs_read);
    const bool write_event = (conn->blocked && !conn->write_needs_read) || (reads && conn->read_needs_write);

    if (read_event) return write_event ? WEIR__WANT_READ_WRITE : WEIR__WANT_READ;
    return write_event ? WEIR__WANT_WRITE : WEIR__WANT_GONE;
}

static enum weir__interest wanted_interest(const struct weir_conn *conn)
{
    switch ((enum weir__conn_state)conn->state) {
    case WEIR__CONNECTING:
        return WEIR__WANT_WRITE;
    case WEIR__LINGERING:
        if (conn->had_enough) return WEIR__WANT_GONE;
        WEIR__FALLTHROUGH;
    case WEIR__ARRIVING:
        return conn->read_needs_write ? WEIR__WANT_WRITE : WEIR__WANT_READ;
    case WEIR__OPEN:
    case WEIR__DRAINING:
        return wanted_while_open(conn);
    case WEIR__UNUSED:
    case WEIR__CLOSED:
        break;
    }
    return WEIR__WANT_NOTHING;
}

/* A forked process that goes on where only weir_free may be called: its socket and its epoll set are another's. */
static bool is_copy(const struct weir_conn *conn)
{
    return weir__is_foreign(weir__conn_worker(conn)->weir);
}

static void stop_listening(struct weir_conn *conn)
{
    if (conn->interest != WEIR__WANT_NOTHING) event_del(&conn->event);
    conn->interest = WEIR__WANT_NOTHING;
}

/* Out of the way of those, the most, whose interest is as it was. */
static WEIR__NOINLINE void change_interest(struct weir_conn *conn, enum weir__interest wanted)
{
    const int fd = weir__conn_fd(conn);

    if (is_copy(conn)) return;
    stop_listening(conn);
    event_assign(&conn->event, weir__conn_worker(conn)->base, fd, interest_events[wanted],
                 event_get_callback(&conn->event), conn);
    if (event_add(&conn->event, NULL) != 0) {
        weir__conn_abort(conn, WEIR_REASON_MEMORY, ENOMEM);
        return;
    }
    conn->interest = wanted;
}

void weir__conn_update_interest(struct weir_conn *conn)
{
    const enum weir__interest wanted = wanted_interest(conn);

    if (wanted != conn->interest && conn->state != WEIR__CLOSED) change_interest(conn, wanted);
}

/* ---- Deadlines ---- */

static void sooner(struct weir__deadline *deadline, int64_t from_ms, int64_t timeout_ms, enum weir_reason reason)
{
    if (timeout_ms == INT64_MAX || from_ms + timeout_ms >= deadline->at_ms) return;
    deadline->at_ms = from_ms + timeout_ms;
    deadline->reason = reason;
}

struct weir__deadline weir__conn_next_deadline(const struct weir_conn *conn)
{
    const struct weir__service *service = conn->service;
    const struct weir__work *work = conn->work;
    struct weir__deadline next = { INT64_MAX, WEIR_REASON_NONE };

    switch ((enum weir__conn_state)conn->state) {
    case WEIR__CONNECTING:
        sooner(&next, work->since_ms, service->connect_timeout_ms, WEIR_REASON_CONNECT_TIMEOUT);
        break;
    case WEIR__ARRIVING:
        sooner(&next, work->since_ms, service->arrive_timeout_ms, WEIR_REASON_ARRIVE_TIMEOUT);
        break;
    case WEIR__OPEN:
        sooner(&next, work->active_ms, service->idle_timeout_ms, WEIR_REASON_IDLE);
        if (conn->in_frame) sooner(&next, work->frame_since_ms, service->frame_timeout_ms, WEIR_REASON_FRAME_TIMEOUT);
        /* weir__conn_resume arms it again. */
        if (conn->waits && !conn->pauses) sooner(&next, work->silence_since_ms, work->silence_ms, WEIR_REASON_NONE);
        break;
    case WEIR__DRAINING:
        sooner(&next, work->since_ms, service->drain_timeout_ms, WEIR_REASON_DRAIN_TIMEOUT);
        break;
    case WEIR__LINGERING:
        sooner(&next, work->since_ms, service->linger_timeout_ms, (enum weir_reason)conn->reason);
        break;
    case WEIR__UNUSED:
    case WEIR__CLOSED:
        break;
    }
    if (conn->blocked) sooner(&next, work->write_since_ms, service->write_timeout_ms, WEIR_REASON_WRITE_TIMEOUT);
    return next;
}

void weir__conn_arm(struct weir_conn *conn)
{
    struct weir__worker *worker = weir__conn_worker(conn);

    if (!conn->work || conn->state == WEIR__CLOSED) return;
    weir__timeouts_arm(&worker->timeouts, conn->work, weir__conn_next_deadline(conn).at_ms, weir__worker_now(worker));
}

/* Input goes on after a time in which we did not read: the peer, and the message in progress, have their whole time
 * again. */
void weir__conn_restart_clocks(struct weir_conn *conn)
{
    struct weir__worker *worker = weir__conn_worker(conn);

    if (conn->in_frame) conn->work->frame_since_ms = weir__worker_now(worker);
    if (conn->waits) conn->work->silence_since_ms = weir__worker_now(worker);
    if (conn->service->idle_timeout_ms != INT64_MAX && conn->work) conn->work->active_ms = weir__worker_now(worker);
}

/* ---- What it has in hand ---- */

/* An idle timeout is the one thing for which an idle connection must keep its work: somewhere the deadline has to
 * stand. */
bool weir__conn_is_never_idle(const struct weir_conn *conn)
{
    return conn->service->idle_timeout_ms != INT64_MAX || (conn->work && conn->work->transport_state);
}

/* Nothing in hand: the work goes back, and the connection is as small as it was when it came. */
void weir__conn_settle(struct weir_conn *conn)
{
    const struct weir__work *work = conn->work;

    if (!work || conn->state != WEIR__OPEN || work->out_bytes > 0 || work->rest_end > work->rest_begin) return;
    if (conn->in_frame || conn->undecoded || conn->blocked || conn->held || conn->runnable) return;
    if (weir__conn_is_never_idle(conn)) return;
    weir__work_drop(conn);
}

/* Bytes that the transport holds have left the socket. */
bool weir__conn_transport_has_bytes(const struct weir_conn *conn)
{
    const struct weir__transport *transport = conn->service->transport;

    return transport->pending && conn->state == WEIR__OPEN && !conn->input_ended &&
           transport->pending(weir__conn_link(conn)) > 0;
}

/* What is in hand, undecoded or in the transport, and kept back by nothing, is delivered in the next turn: no event
 * would come for it. */
void weir__conn_go_on_with_rest(struct weir_conn *conn)
{
    struct weir__worker *worker = weir__conn_worker(conn);

    if (conn->held || conn->state != WEIR__OPEN || !(conn->undecoded || weir__conn_transport_has_bytes(conn))) return;
    if (!weir__work_get(conn)) {
        weir__conn_abort(conn, WEIR_REASON_MEMORY, ENOMEM);
        return;
    }
    if (weir__stream_in_may_go_on(conn)) {
        weir__work_list_runnable(worker, conn->work);
    } else if (!conn->pauses && !weir__conn_output_stops_input(conn)) {
        conn->held = true; /* weir_input_pause */
        TAILQ_INSERT_TAIL(&worker->held, conn->work, held_entry);
    }
}

void weir__conn_unhold(struct weir_conn *conn)
{
    struct weir__worker *worker = weir__conn_worker(conn);

    assert(conn->held && conn->work);
    TAILQ_REMOVE(&worker->held, conn->work, held_entry);
    conn->held = false;
    if (conn->state == WEIR__CLOSED) return;
    weir__conn_restart_clocks(conn);
    weir__conn_go_on_with_rest(conn);
    weir__conn_settle(conn);
    weir__conn_update_interest(conn);
}

void weir__conn_pause(struct weir_conn *conn, unsigned owner)
{
    conn->pauses |= 1U << owner & UINT8_MAX;
    if (weir__conn_worker(conn)->reading != conn) weir__conn_update_interest(conn);
}

void weir__conn_resume(struct weir_conn *conn, unsigned owner)
{
    if (!(conn->pauses >> owner & 1)) return;
    conn->pauses &= ~(1U << owner) & UINT8_MAX;
    if (conn->pauses) return;
    if (weir__conn_worker(conn)->reading == conn) return;
    weir__conn_restart_clocks(conn);
    if (conn->waits) weir__conn_arm(conn);
    weir__conn_go_on_with_rest(conn);
    weir__conn_update_interest(conn);
}

/* ---- Getting out ---- */

void weir__conn_close_socket(struct weir_conn *conn)
{
    stop_listening(conn);
    if (weir__conn_fd(conn) >= 0) conn->service->transport->close(weir__conn_link(conn));
    if (conn->work) conn->work->transport_state = NULL;
    conn->event.ev_fd = -1;
}

void weir__conn_drop_dial(struct weir_conn *conn)
{
    struct weir__dial *dial = conn->work ? conn->work->dial : NULL;

    if (!dial) return;
    conn->work->dial = NULL;
    dial->free(dial);
}

/* A peer that takes nothing will not take the megabytes either that the kernel holds for it, and the FIN stands behind
 * them: it would not be told, and they would stay for minutes. A reset (SO_LINGER 0, socket(7)) does away with both. */
static void reset_if_stuck(const struct weir_conn *conn, enum weir_reason reason)
{
    const struct linger none = { .l_onoff = 1, .l_linger = 0 };

    switch ((int)reason) {
    case WEIR_REASON_WRITE_TIMEOUT:
    case WEIR_REASON_SLOW_READER:
    case WEIR_REASON_DRAIN_TIMEOUT:
    case WEIR_REASON_MEMORY:
        if (weir__conn_fd(conn) >= 0) setsockopt(weir__conn_fd(conn), SOL_SOCKET, SO_LINGER, &none, sizeof(none));
        break;
    default:
        break;
    }
}

void weir__conn_abort(struct weir_conn *conn, enum weir_reason reason, int error)
{
    struct weir__worker *worker = weir__conn_worker(conn);

    if (conn->state == WEIR__CLOSED || is_copy(conn)) return;
    weir__conn_enter(conn, WEIR__CLOSED);
    conn->reason = (uint8_t)reason;
    conn->error = (uint16_t)error;
    reset_if_stuck(conn, reason);
    weir__conn_close_socket(conn);
    if (conn->service->state_bytes > WEIR__CODEC_STATE_BYTES) weir__free(conn->codec_state.large);
    if (conn->admitted) weir__admission_leave(&worker->weir->admission, &conn->peer);
    weir__admission_return_place(&worker->weir->admission);
    weir__count(&conn->service->tally->closed[reason], 1);
    conn->codec_state.next_dead = worker->dead;
    worker->dead = conn;
}

/* Our FIN, once everything has left. True: it is out; false: not yet, or the connection broke. */
static bool end_output(struct weir_conn *conn)
{
    int error = 0;

    if (conn->output_ended) return true;
    if (is_copy(conn)) return false;
    conn->write_needs_read = false;
    switch (conn->service->transport->finish(weir__conn_link(conn), &error)) {
    case WEIR__IO_BYTES:
        conn->output_ended = true;
        conn->blocked = false;
        return true;
    case WEIR__IO_AGAIN_READ:
        conn->write_needs_read = true;
        break;
    case WEIR__IO_AGAIN_WRITE:
        break;
    case WEIR__IO_END:
    case WEIR__IO_TRUNCATED:
        error = ECONNRESET;
        WEIR__FALLTHROUGH;
    case WEIR__IO_ERROR:
        weir__conn_abort(conn, conn->state == WEIR__OPEN ? weir__conn_reason_of(error) : (enum weir_reason)conn->reason,
                         error);
        return false;
    }
    if (!weir__work_get(conn)) {
        weir__conn_abort(conn, WEIR_REASON_MEMORY, ENOMEM);
        return false;
    }
    if (!conn->blocked) weir__stream_out_begin_wait(conn);
    conn->blocked = true;
    weir__conn_arm(conn);
    weir__conn_update_interest(conn);
    return false;
}

/* Closing while the peer's bytes lie unread makes the kernel send a reset, which destroys what was sent and not yet
 * read there. So after our FIN the rest is read and thrown away, for a while (RFC 9112, section 9.6, tells the same
 * story of HTTP). */
static void start_lingering(struct weir_conn *conn)
{
    if (conn->service->linger_timeout_ms == 0 || !weir__work_get(conn)) {
        weir__conn_abort(conn, (enum weir_reason)conn->reason, conn->error);
        return;
    }
    weir__conn_enter(conn, WEIR__LINGERING);
    weir__conn_arm(conn);
    weir__conn_update_interest(conn);
}

/* We have sent our last to a peer that had ended its side. It may have closed altogether, which only its reset tells:
 * the end is in order once its machine has taken everything. */
static bool may_still_be_refused(const struct weir_conn *conn)
{
    return conn->end_told && conn->end_asked && weir__stream_out_is_on_its_way(conn);
}

void weir__conn_advance(struct weir_conn *conn)
{
    if (conn->state != WEIR__DRAINING || conn->holds > 0 || weir__conn_output_bytes(conn) > 0) return;
    if (conn->input_ended && !conn->output_ended && conn->service->transport->is_plain) {
        weir__conn_abort(conn, (enum weir_reason)conn->reason, conn->error); /* close(2) sends the FIN */
        return;
    }
    if (!end_output(conn)) return;
    if (conn->input_ended && !may_still_be_refused(conn)) {
        weir__conn_abort(conn, (enum weir_reason)conn->reason, conn->error);
        return;
    }
    conn->had_enough = conn->input_ended;
    start_lingering(conn);
}

void weir__conn_finish(struct weir_conn *conn, enum weir_reason reason)
{
    if (conn->state == WEIR__CONNECTING || conn->state == WEIR__ARRIVING) {
        weir__conn_abort(conn, reason, 0);
        return;
    }
    if (conn->state != WEIR__OPEN || is_copy(conn)) return;
    if (!weir__work_get(conn)) {
        weir__conn_abort(conn, WEIR_REASON_MEMORY, ENOMEM);
        return;
    }
    conn->reason = (uint8_t)reason;
    weir__conn_enter(conn, WEIR__DRAINING);
    weir__conn_advance(conn);
    weir__conn_arm(conn);
    weir__conn_update_interest(conn);
}

/* Our side ends, all output having left. If the peer's has ended before, there is nothing left to be open for. */
void weir__conn_end_side(struct weir_conn *conn)
{
    if (end_output(conn) && conn->end_told) weir__conn_finish(conn, WEIR_REASON_PEER_CLOSED);
}

void weir__conn_end(struct weir_conn *conn)
{
    if (conn->state != WEIR__OPEN || conn->end_asked) return;
    conn->end_asked = true;
    if (weir__conn_output_bytes(conn) > 0) return;
    weir__conn_end_side(conn);
    weir__conn_update_interest(conn);
}

void weir__conn_bury_all(struct weir__worker *worker)
{
    while (worker->dead) {
        struct weir_conn *conn = worker->dead;
        struct weir__service *service = conn->service;

        assert(conn->state == WEIR__CLOSED && conn->interest == WEIR__WANT_NOTHING && weir__conn_fd(conn) < 0);
        worker->dead = conn->codec_state.next_dead;
        if (conn->announced && service->on_close) {
            weir__worker_wakes(worker);
            service->on_close(conn, (enum weir_reason)conn->reason, conn->user);
        }
        weir__conn_drop_dial(conn);
        weir__work_drop(conn);
        weir__conn_table_remove(&worker->conns, conn);
        weir__service_release(service);
    }
}

void weir__conn_forget_all(struct weir__worker *worker)
{
    uint32_t place = 0;

    worker->dead = NULL;
    for (struct weir_conn *conn; (conn = weir__conn_table_next(&worker->conns, &place));) {
        struct weir__service *service = conn->service;

        weir__conn_close_socket(conn);
        if (conn->state != WEIR__CLOSED && service->state_bytes > WEIR__CODEC_STATE_BYTES)
            weir__free(conn->codec_state.large);
        weir__conn_drop_dial(conn);
        weir__work_drop(conn);
        weir__conn_table_remove(&worker->conns, conn);
        weir__service_release(service);
    }
}

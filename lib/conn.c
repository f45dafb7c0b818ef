/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A connection's life: one table of states, one function that enters a state, one way out. Everything that happens to a
 * connection comes through here, and whatever has changed, what it asks of its socket is computed anew by one function.
 * A closed connection is freed at the end of the turn, never under its caller's feet. */
#include "conn.h"

#include "engine.h"
#include "memory.h"
#include "portable.h"
#include "stream_in.h"
#include "stream_out.h"
#include "worker.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

_Static_assert(sizeof(struct weir_conn) <= 240, "an idle connection costs its event and little more");

/* ---- States ---- */

#define STATE_ROW(name, text, next) [WEIR__##name] = { text, next },
static const struct {
    const char *name;
    unsigned next; /* a bit for each state that may follow */
} states[] = { [WEIR__UNUSED] = { "unused", 0 }, WEIR__CONN_STATES(STATE_ROW) };

const char *weir__conn_state_name(enum weir__conn_state state)
{
    return states[state].name;
}

static void enter(struct weir_conn *conn, enum weir__conn_state state)
{
    struct weir__worker *worker = weir__conn_worker(conn);

    assert(states[conn->state].next >> state & 1);
    if (weir__log_wants(worker, WEIR_LOG_DEBUG))
        weir__log(worker, WEIR_LOG_DEBUG, WEIR_LOG_STATE, "#%" PRIu64 " %s -> %s", conn->id, states[conn->state].name,
                  states[state].name);
    conn->state = (uint8_t)state;
    if (conn->work != NULL) conn->work->since_ms = weir__worker_now(worker);
}

static enum weir_reason reason_of(int error)
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
    const int reads = conn->state == WEIR__OPEN && !conn->input_ended && !conn->paused &&
                      !weir__conn_output_stops_input(conn) && !conn->held;
    const int read_event = (reads && !conn->read_needs_write) || (conn->blocked && conn->write_needs_read);
    const int write_event = (conn->blocked && !conn->write_needs_read) || (reads && conn->read_needs_write);

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

static void on_event(evutil_socket_t fd, short what, void *arg);

static void stop_listening(struct weir_conn *conn)
{
    if (conn->interest != WEIR__WANT_NOTHING) event_del(&conn->event);
    conn->interest = WEIR__WANT_NOTHING;
}

static void update_interest(struct weir_conn *conn)
{
    const enum weir__interest wanted = wanted_interest(conn);
    const int fd = weir__conn_fd(conn);

    if (wanted == conn->interest || conn->state == WEIR__CLOSED) return;
    stop_listening(conn);
    event_assign(&conn->event, weir__conn_worker(conn)->base, fd, interest_events[wanted], on_event, conn);
    if (event_add(&conn->event, NULL) != 0) {
        weir__conn_abort(conn, WEIR_REASON_MEMORY, ENOMEM);
        return;
    }
    conn->interest = wanted;
}

/* ---- Deadlines ---- */

struct deadline {
    int64_t at_ms;
    enum weir_reason reason;
};

static void sooner(struct deadline *deadline, int64_t from_ms, int64_t timeout_ms, enum weir_reason reason)
{
    if (timeout_ms == INT64_MAX || from_ms + timeout_ms >= deadline->at_ms) return;
    deadline->at_ms = from_ms + timeout_ms;
    deadline->reason = reason;
}

static struct deadline next_deadline(const struct weir_conn *conn)
{
    const struct weir__service *service = conn->service;
    const struct weir__work *work = conn->work;
    struct deadline next = { INT64_MAX, WEIR_REASON_NONE };

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

static void arm(struct weir_conn *conn)
{
    struct weir__worker *worker = weir__conn_worker(conn);

    if (conn->work == NULL || conn->state == WEIR__CLOSED) return;
    weir__timeouts_arm(&worker->timeouts, conn->work, next_deadline(conn).at_ms, weir__worker_now(worker));
}

int64_t weir__conn_check_deadlines(struct weir__work *work, int64_t now_ms)
{
    struct weir_conn *conn = work->conn;
    struct deadline next;

    if (conn->state == WEIR__CLOSED) return INT64_MAX;
    /* While it is we who do not read, a message in progress is not late. Nor is the peer idle, unless what keeps us
     * from reading is that it does not read. */
    if (conn->in_frame && !weir__stream_in_may_go_on(conn)) work->frame_since_ms = now_ms;
    if (conn->paused || weir__conn_worker(conn)->input_paused) work->active_ms = now_ms;
    next = next_deadline(conn);
    if (next.at_ms <= now_ms && next.reason == WEIR_REASON_WRITE_TIMEOUT && weir__stream_out_moves(conn))
        next = next_deadline(conn);
    if (next.at_ms > now_ms) return next.at_ms;
    if (conn->state == WEIR__CONNECTING) {
        work->dial->on_timeout(conn);
    } else {
        weir__conn_abort(conn, next.reason, conn->state == WEIR__LINGERING ? conn->error : ETIMEDOUT);
    }
    return INT64_MAX;
}

/* Input goes on after a time in which we did not read: the peer, and the message in progress, have their whole time
 * again. */
static void restart_clocks(struct weir_conn *conn)
{
    struct weir__worker *worker = weir__conn_worker(conn);

    if (conn->in_frame) conn->work->frame_since_ms = weir__worker_now(worker);
    if (conn->service->idle_timeout_ms != INT64_MAX && conn->work != NULL)
        conn->work->active_ms = weir__worker_now(worker);
}

/* ---- Getting in ---- */

static int make_codec_state(struct weir_conn *conn)
{
    if (conn->service->state_bytes <= weir__codec_state_bytes) return 1;
    conn->codec_state.large = weir__zalloc(conn->service->state_bytes);
    return conn->codec_state.large != NULL;
}

/* An idle timeout is the one thing for which an idle connection must keep its work: somewhere the deadline has to
 * stand. */
static int is_never_idle(const struct weir_conn *conn)
{
    return conn->service->idle_timeout_ms != INT64_MAX || (conn->work != NULL && conn->work->transport_state != NULL);
}

static void go_on_with_rest(struct weir_conn *conn);

/* Nothing in hand: the work goes back, and the connection is as small as it was when it came. */
static void settle(struct weir_conn *conn)
{
    const struct weir__work *work = conn->work;

    if (work == NULL || conn->state != WEIR__OPEN || work->out_bytes > 0 || work->rest_end > work->rest_begin) return;
    if (conn->in_frame || conn->undecoded || conn->blocked || conn->held || conn->runnable) return;
    if (is_never_idle(conn)) return;
    weir__work_drop(conn);
}

static void open_up(struct weir_conn *conn)
{
    struct weir__worker *worker = weir__conn_worker(conn);

    enter(conn, WEIR__OPEN);
    if (is_never_idle(conn)) {
        if (weir__work_get(conn) == NULL) {
            weir__conn_abort(conn, WEIR_REASON_MEMORY, ENOMEM);
            return;
        }
        conn->work->active_ms = weir__worker_now(worker);
    }
    conn->announced = 1;
    if (conn->service->on_open != NULL) conn->service->on_open(conn, conn->user);
    go_on_with_rest(conn); /* what came behind the handshake */
    arm(conn);
    settle(conn);
    update_interest(conn);
}

/* Admission and the handshake stand between a socket and OPEN; a PROXY header will too. */
static void arrive(struct weir_conn *conn)
{
    const struct weir__transport *transport = conn->service->transport;
    int error = 0;

    switch (transport->handshake == NULL ? WEIR__IO_BYTES : transport->handshake(conn, &error)) {
    case WEIR__IO_BYTES:
        conn->read_needs_write = 0;
        open_up(conn);
        return;
    case WEIR__IO_AGAIN_READ:
        conn->read_needs_write = 0;
        break;
    case WEIR__IO_AGAIN_WRITE:
        conn->read_needs_write = 1;
        break;
    case WEIR__IO_END:
        weir__conn_abort(conn, WEIR_REASON_PEER_CLOSED, 0);
        return;
    case WEIR__IO_TRUNCATED:
        weir__conn_abort(conn, WEIR_REASON_RESET, ECONNRESET);
        return;
    case WEIR__IO_ERROR:
        weir__conn_abort(conn, reason_of(error), error);
        return;
    }
    if (weir__work_get(conn) == NULL) {
        weir__conn_abort(conn, WEIR_REASON_MEMORY, ENOMEM);
        return;
    }
    if (conn->work->since_ms == 0) conn->work->since_ms = weir__worker_now(weir__conn_worker(conn));
    arm(conn);
    update_interest(conn);
}

static struct weir_conn *new_conn(struct weir__service *service, uint64_t id, void *user)
{
    struct weir__worker *worker = service->worker;
    struct weir_conn *conn = weir__conn_table_add(&worker->conns, id);

    if (conn == NULL) return NULL;
    conn->service = service;
    conn->user = user;
    conn->event.ev_fd = -1;
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

    if (conn == NULL) {
        close(fd);
        weir__admission_leave(&worker->weir->admission);
        weir__count(&worker->counters.closed[WEIR_REASON_MEMORY], 1);
        return;
    }
    weir__count(&worker->counters.accepted, 1);
    conn->state = WEIR__ARRIVING;
    conn->peer = *peer;
    conn->event.ev_fd = fd;
    arrive(conn);
}

struct weir_conn *weir__conn_dialled(struct weir__service *service, uint64_t id, void *user, struct weir__dial *dial)
{
    struct weir__worker *worker = service->worker;
    struct weir_conn *conn = new_conn(service, id, user);

    if (conn == NULL) return NULL;
    if (weir__work_get(conn) == NULL) {
        if (service->state_bytes > weir__codec_state_bytes) weir__free(conn->codec_state.large);
        weir__conn_table_remove(&worker->conns, conn);
        service->users--;
        return NULL;
    }
    weir__count(&worker->counters.dialled, 1);
    weir__admission_force(&worker->weir->admission);
    conn->state = WEIR__CONNECTING;
    conn->announced = 1;
    conn->work->dial = dial;
    return conn;
}

static void close_socket(struct weir_conn *conn)
{
    stop_listening(conn);
    if (weir__conn_fd(conn) >= 0) conn->service->transport->close(conn);
    conn->event.ev_fd = -1;
}

void weir__conn_try(struct weir_conn *conn, int fd, const struct weir__peer *peer)
{
    close_socket(conn);
    conn->event.ev_fd = fd;
    conn->peer = *peer;
    conn->work->since_ms = weir__worker_now(weir__conn_worker(conn));
    arm(conn);
    update_interest(conn);
}

static void drop_dial(struct weir_conn *conn)
{
    struct weir__dial *dial = conn->work != NULL ? conn->work->dial : NULL;

    if (dial == NULL) return;
    conn->work->dial = NULL;
    dial->free(dial);
}

void weir__conn_connected(struct weir_conn *conn)
{
    drop_dial(conn);
    enter(conn, WEIR__ARRIVING);
    arrive(conn);
}

/* ---- Getting out ---- */

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
        if (weir__conn_fd(conn) >= 0) setsockopt(weir__conn_fd(conn), SOL_SOCKET, SO_LINGER, &none, sizeof none);
        break;
    default:
        break;
    }
}

void weir__conn_abort(struct weir_conn *conn, enum weir_reason reason, int error)
{
    struct weir__worker *worker = weir__conn_worker(conn);

    if (conn->state == WEIR__CLOSED) return;
    enter(conn, WEIR__CLOSED);
    conn->reason = (uint8_t)reason;
    conn->error = (uint16_t)error;
    reset_if_stuck(conn, reason);
    close_socket(conn);
    if (conn->service->state_bytes > weir__codec_state_bytes) weir__free(conn->codec_state.large);
    weir__admission_leave(&worker->weir->admission);
    weir__count(&worker->counters.closed[reason], 1);
    conn->codec_state.next_dead = worker->dead;
    worker->dead = conn;
}

/* Our FIN, once everything has left. 1: it is out; 0: not yet, or the connection broke. */
static int end_output(struct weir_conn *conn)
{
    int error = 0;

    if (conn->output_ended) return 1;
    conn->write_needs_read = 0;
    switch (conn->service->transport->finish(conn, &error)) {
    case WEIR__IO_BYTES:
        conn->output_ended = 1;
        conn->blocked = 0;
        return 1;
    case WEIR__IO_AGAIN_READ:
        conn->write_needs_read = 1;
        break;
    case WEIR__IO_AGAIN_WRITE:
        break;
    case WEIR__IO_END:
    case WEIR__IO_TRUNCATED:
        error = ECONNRESET;
        WEIR__FALLTHROUGH;
    case WEIR__IO_ERROR:
        weir__conn_abort(conn, conn->state == WEIR__OPEN ? reason_of(error) : (enum weir_reason)conn->reason, error);
        return 0;
    }
    if (weir__work_get(conn) == NULL) {
        weir__conn_abort(conn, WEIR_REASON_MEMORY, ENOMEM);
        return 0;
    }
    if (!conn->blocked) weir__stream_out_begin_wait(conn);
    conn->blocked = 1;
    arm(conn);
    update_interest(conn);
    return 0;
}

/* Closing while the peer's bytes lie unread makes the kernel send a reset, which destroys what was sent and not yet
 * read there. So after our FIN the rest is read and thrown away, for a while (RFC 9112, section 9.6, tells the same
 * story of HTTP). */
static void start_lingering(struct weir_conn *conn)
{
    if (conn->service->linger_timeout_ms == 0 || weir__work_get(conn) == NULL) {
        weir__conn_abort(conn, (enum weir_reason)conn->reason, conn->error);
        return;
    }
    enter(conn, WEIR__LINGERING);
    arm(conn);
    update_interest(conn);
}

void weir__conn_advance(struct weir_conn *conn)
{
    if (conn->state != WEIR__DRAINING || conn->holds > 0 || weir__conn_output_bytes(conn) > 0) return;
    if (conn->input_ended && conn->service->transport->handshake == NULL) {
        weir__conn_abort(conn, (enum weir_reason)conn->reason, conn->error); /* close(2) sends the FIN */
        return;
    }
    if (!end_output(conn)) return;
    if (conn->input_ended) {
        weir__conn_abort(conn, (enum weir_reason)conn->reason, conn->error);
        return;
    }
    start_lingering(conn);
}

void weir__conn_finish(struct weir_conn *conn, enum weir_reason reason)
{
    if (conn->state == WEIR__CONNECTING || conn->state == WEIR__ARRIVING) {
        weir__conn_abort(conn, reason, 0);
        return;
    }
    if (conn->state != WEIR__OPEN) return;
    if (weir__work_get(conn) == NULL) {
        weir__conn_abort(conn, WEIR_REASON_MEMORY, ENOMEM);
        return;
    }
    conn->reason = (uint8_t)reason;
    enter(conn, WEIR__DRAINING);
    weir__conn_advance(conn);
    arm(conn);
    update_interest(conn);
}

void weir__conn_end(struct weir_conn *conn)
{
    if (conn->state != WEIR__OPEN || conn->end_asked) return;
    conn->end_asked = 1;
    if (weir__conn_output_bytes(conn) > 0) return;
    end_output(conn);
    update_interest(conn);
}

void weir__conn_bury_all(struct weir__worker *worker)
{
    while (worker->dead != NULL) {
        struct weir_conn *conn = worker->dead;
        struct weir__service *service = conn->service;

        worker->dead = conn->codec_state.next_dead;
        if (conn->announced && service->on_close != NULL) {
            weir__worker_wakes(worker);
            service->on_close(conn, (enum weir_reason)conn->reason, conn->user);
        }
        drop_dial(conn);
        weir__work_drop(conn);
        weir__conn_table_remove(&worker->conns, conn);
        weir__service_release(service);
    }
}

/* ---- Input and output ---- */

/* Bytes that the transport holds have left the socket. */
static int transport_has_bytes(const struct weir_conn *conn)
{
    const struct weir__transport *transport = conn->service->transport;

    return transport->pending != NULL && conn->state == WEIR__OPEN && !conn->input_ended &&
           transport->pending(conn) > 0;
}

/* What is in hand, undecoded or in the transport, and kept back by nothing, is delivered in the next turn: no event
 * would come for it. */
static void go_on_with_rest(struct weir_conn *conn)
{
    struct weir__worker *worker = weir__conn_worker(conn);

    if (conn->held || conn->state != WEIR__OPEN || !(conn->undecoded || transport_has_bytes(conn))) return;
    if (weir__work_get(conn) == NULL) {
        weir__conn_abort(conn, WEIR_REASON_MEMORY, ENOMEM);
        return;
    }
    if (weir__stream_in_may_go_on(conn)) {
        weir__work_list_runnable(worker, conn->work);
    } else if (!conn->paused && !weir__conn_output_stops_input(conn)) {
        conn->held = 1; /* weir_input_pause */
        TAILQ_INSERT_TAIL(&worker->held, conn->work, held_entry);
    }
}

static void after_output(struct weir_conn *conn)
{
    if (conn->writable_due) {
        conn->writable_due = 0;
        restart_clocks(conn);
        if (conn->state == WEIR__OPEN && conn->service->on_writable != NULL) {
            weir__conn_worker(conn)->busy = 1; /* the end of a turn may be what has sent it */
            conn->service->on_writable(conn, conn->user);
        }
    }
    if (conn->state == WEIR__OPEN && conn->end_asked && weir__conn_output_bytes(conn) == 0) end_output(conn);
    weir__conn_advance(conn);
    if (conn->state == WEIR__CLOSED) return;
    go_on_with_rest(conn);
    if (conn->blocked) arm(conn);
    settle(conn);
    update_interest(conn);
}

void weir__conn_flush(struct weir_conn *conn)
{
    if (conn->state != WEIR__OPEN && conn->state != WEIR__DRAINING) return;
    switch (weir__stream_out_flush(conn)) {
    case WEIR__OUTPUT_BROKEN:
        weir__conn_abort(conn, reason_of(conn->error), conn->error);
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

static void after_input(struct weir_conn *conn, enum weir__input input)
{
    if (conn->state == WEIR__CLOSED) return;
    switch (input) {
    case WEIR__INPUT_GOES_ON:
        break;
    case WEIR__INPUT_ENDED:
        weir__conn_finish(conn, WEIR_REASON_PEER_CLOSED);
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
        weir__conn_abort(conn, reason_of(conn->error), conn->error);
        return;
    }
    if (conn->state == WEIR__CLOSED) return;
    if (conn->in_frame) arm(conn);
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
    const int reads = transport_has_bytes(conn);
    enum weir__input input;

    if (conn->state != WEIR__OPEN || !(conn->undecoded || reads)) return;
    worker->reading = conn;
    input = reads ? weir__stream_in_read(conn) : weir__stream_in_deliver(conn);
    worker->reading = NULL;
    after_input(conn, input);
}

static void read_and_deliver(struct weir_conn *conn)
{
    struct weir__worker *worker = weir__conn_worker(conn);
    enum weir__input input;

    if (worker->input_paused && !conn->held) {
        if (weir__work_get(conn) == NULL) {
            weir__conn_abort(conn, WEIR_REASON_MEMORY, ENOMEM);
            return;
        }
        conn->held = 1;
        TAILQ_INSERT_TAIL(&worker->held, conn->work, held_entry);
        update_interest(conn);
        return;
    }
    worker->reading = conn;
    input = weir__stream_in_read(conn);
    worker->reading = NULL;
    after_input(conn, input);
}

void weir__conn_unhold(struct weir_conn *conn)
{
    struct weir__worker *worker = weir__conn_worker(conn);

    TAILQ_REMOVE(&worker->held, conn->work, held_entry);
    conn->held = 0;
    if (conn->state == WEIR__CLOSED) return;
    restart_clocks(conn);
    go_on_with_rest(conn);
    settle(conn);
    update_interest(conn);
}

void weir__conn_pause(struct weir_conn *conn)
{
    conn->paused = 1;
    if (weir__conn_worker(conn)->reading != conn) update_interest(conn);
}

void weir__conn_resume(struct weir_conn *conn)
{
    if (!conn->paused) return;
    conn->paused = 0;
    if (weir__conn_worker(conn)->reading == conn) return;
    restart_clocks(conn);
    go_on_with_rest(conn);
    update_interest(conn);
}

static int may_send(const struct weir_conn *conn)
{
    if (conn->state == WEIR__CONNECTING || conn->state == WEIR__ARRIVING) return -ENOTCONN;
    if ((conn->state != WEIR__OPEN && conn->state != WEIR__DRAINING) || conn->end_asked) return WEIR_ECLOSING;
    return 0;
}

/* Whoever is being read is flushed when its read is done; the others stand in line for the end of the turn. */
static void leave_later(struct weir_conn *conn)
{
    struct weir__worker *worker = weir__conn_worker(conn);

    if (worker->reading != conn && conn->work != NULL && !conn->blocked) weir__work_list_dirty(worker, conn->work);
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
    conn->had_enough = 1;
    update_interest(conn);
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
        const enum weir__io io = service->transport->read(conn, worker->scratch, weir__scratch_bytes, &len, &error);

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
    update_interest(conn);
}

/* Something happened on a socket that we do not want to read: is the peer gone? Unread bytes and a FIN are no reason to
 * close. */
static void check_gone(struct weir_conn *conn)
{
    int error = 0;
    socklen_t len = sizeof error;

    if (getsockopt(weir__conn_fd(conn), SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error != 0)
        weir__conn_abort(conn, reason_of(error), error);
}

static void on_open_event(struct weir_conn *conn, short what)
{
    const int write_goes_on = conn->blocked && (what & (conn->write_needs_read ? EV_READ : EV_WRITE)) != 0;
    const int read_goes_on = (what & (conn->read_needs_write ? EV_WRITE : EV_READ)) != 0;

    if (conn->interest == WEIR__WANT_GONE) {
        check_gone(conn);
        return;
    }
    if (write_goes_on) weir__conn_flush(conn);
    if (conn->runnable) return; /* it has had its turn, and has bytes in hand that come first */
    if (read_goes_on && conn->state == WEIR__OPEN && !conn->input_ended && !conn->paused &&
        !weir__conn_output_stops_input(conn))
        read_and_deliver(conn);
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    struct weir_conn *conn = arg;

    (void)fd;
    weir__worker_wakes(weir__conn_worker(conn));
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
}

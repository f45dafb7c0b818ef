/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Socket to messages. Bytes land in the worker's scratch buffer, the codec finds messages there, and on_message sees
 * them in place. Only what is left over is kept, in a buffer of the connection's own (the rest). Here nothing is closed
 * and no state is entered: the caller is told what the input came to. */
#include "stream_in.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "conn.h"
#include "engine/engine.h"
#include "engine/worker.h"
#include "portable.h"
#include "stream_out.h"

enum {
    REST_IN_SCRATCH_MAX =
        WEIR__SCRATCH_BYTES / 4, /* a longer rest is not copied to the scratch buffer; reads go behind it */
    REST_GRAIN = 256,
    REST_READ_LEAST = 16 * 1024,    /* room to read into behind a long rest */
    REST_DOUBLES_MAX = 1024 * 1024, /* a longer rest grows by a quarter: nobody else can use what is empty */
    FIRST_BYTES_MAX = 32 /* of a client, that it may be known by, as long as no message has been made of them */
};

/* The bytes under decode: in the scratch buffer, or in the rest. */
struct window {
    unsigned char *bytes;
    size_t begin, end;
    size_t room; /* bytes that a read may add behind end */
};

/* One connection's turn of work. */
struct turn {
    size_t messages_left;
    size_t bytes_left;
    bool is_late; /* the codec has asked to be called again without bytes */
};

bool weir__stream_in_may_go_on(const struct weir_conn *conn)
{
    return conn->state == WEIR__OPEN && !conn->pauses && !weir__conn_output_stops_input(conn) &&
           !weir__conn_worker(conn)->input_paused;
}

static void *codec_state(struct weir_conn *conn)
{
    return conn->service->state_bytes <= WEIR__CODEC_STATE_BYTES ? conn->codec_state.bytes : conn->codec_state.large;
}

/* A codec of the caller's may be wrong here too: no more is skipped than is consumed. */
static WEIR__NOINLINE void count_between(struct weir__tally *tally, const struct weir_decode *decode)
{
    const size_t most = decode->consumed < decode->len ? decode->consumed : decode->len;

    weir__count(&tally->skipped_bytes, decode->skipped_bytes < most ? decode->skipped_bytes : most);
}

static WEIR__NOINLINE void count_unusual(struct weir__tally *tally, const struct weir_decode *decode)
{
    if (decode->flags & WEIR_MESSAGE_TRUNCATED) weir__count(&tally->messages_truncated, 1);
    count_between(tally, decode);
}

static void deliver_message(struct weir_conn *conn, const struct weir_decode *decode)
{
    struct weir__worker *worker = weir__conn_worker(conn);
    const struct weir__service *service = conn->service;

    conn->in_frame = false;
    conn->messages_in++;
    if (decode->flags | decode->skipped_bytes) count_unusual(service->tally, decode);
    if (!service->on_message) return;
    worker->delivering = decode;
    service->on_message(conn, decode->message, conn->user);
    worker->delivering = NULL;
}

static void count_skipped(struct weir_conn *conn, const struct weir_decode *decode)
{
    struct weir__tally *tally = conn->service->tally;

    conn->in_frame = false;
    conn->messages_in++;
    weir__count(&tally->messages_skipped, 1);
    count_between(tally, decode);
}

/* A codec of the caller's may be wrong: a message that consumes nothing would never end, one that consumes more than
 * there is, or lies elsewhere, would be worse. */
static bool is_sane(const struct weir_decode *decode)
{
    const size_t offset = (size_t)((uintptr_t)decode->message.data - (uintptr_t)decode->bytes);

    if (decode->consumed == 0 || decode->consumed > decode->len) return false;
    return decode->message.len == 0 || (offset < decode->len && decode->message.len <= decode->len - offset);
}

/* As good as never, and far from where a sum of times would overflow. */
static const int64_t WAIT_MAX_MS = INT64_MAX / 2;

/* The codec wants to be called when nothing comes, while bytes are kept for it. */
static enum weir__input begin_wait(struct weir_conn *conn, int64_t wait_ms)
{
    struct weir__work *work = weir__work_get(conn);

    if (!work) return WEIR__INPUT_NO_MEMORY;
    work->silence_ms = wait_ms > 0 && wait_ms < WAIT_MAX_MS ? wait_ms : INT64_MAX;
    work->silence_since_ms = weir__worker_now(weir__conn_worker(conn));
    conn->waits = true;
    return WEIR__INPUT_GOES_ON;
}

/* The codec wants more bytes. What it is done with leaves the window at both ends. */
static enum weir__input take_more(struct weir_conn *conn, struct window *window, const struct weir_decode *decode)
{
    if (decode->consumed > decode->len || decode->dropped > decode->len - decode->consumed)
        return WEIR__INPUT_MALFORMED;
    window->begin += decode->consumed;
    window->end -= decode->dropped;
    if (decode->outside) {
        conn->in_frame = false;
    } else if (!conn->in_frame) {
        struct weir__work *work = weir__work_get(conn);
        if (!work) return WEIR__INPUT_NO_MEMORY;
        work->frame_since_ms = weir__worker_now(weir__conn_worker(conn));
        conn->in_frame = true;
    }
    if (decode->skipped_bytes > 0) count_between(conn->service->tally, decode);
    if (decode->wait_ms != 0 && window->begin < window->end) return begin_wait(conn, decode->wait_ms);
    return WEIR__INPUT_GOES_ON;
}

/* What has gathered leaves now and then within one read too: it is still in the cache, and a full output would stop the
 * input. */
static enum weir__input relieve_output(struct weir_conn *conn)
{
    const size_t waits = weir__conn_output_bytes(conn);

    if (waits < WEIR__GATHER_BYTES && !conn->above_high) return WEIR__INPUT_GOES_ON;
    if (conn->blocked || conn->state == WEIR__CLOSED) return WEIR__INPUT_GOES_ON;
    switch (weir__stream_out_flush(conn)) {
    case WEIR__OUTPUT_BROKEN:
        return WEIR__INPUT_BROKEN;
    case WEIR__OUTPUT_NO_MEMORY:
        return WEIR__INPUT_NO_MEMORY;
    case WEIR__OUTPUT_LEFT:
    case WEIR__OUTPUT_WAITS:
        break;
    }
    return WEIR__INPUT_GOES_ON;
}

/* Delivers the window's messages one after the other. Between any two of them the connection may have been paused,
 * closed or filled, or have had its turn: then what is left stays in the window, marked as undecoded. */
static enum weir__input deliver(struct weir_conn *conn, struct window *window, struct turn *turn)
{
    const struct weir__service *service = conn->service;
    WEIR__UNINITIALIZED struct weir_decode decode; /* each member is written, for the service or for each message */
    enum weir__input input = WEIR__INPUT_GOES_ON;

    WEIR__DEBUG_ASSERT(weir__conn_worker(conn)->reading == conn && window->begin <= window->end);
    decode.size = sizeof(decode);
    decode.message_bytes_max = service->message_bytes_max;
    decode.too_long = service->too_long;
    decode.ended = false;
    decode.late = turn->is_late;
    conn->undecoded = conn->waits = false;
    while (window->begin < window->end && input == WEIR__INPUT_GOES_ON) {
        if (turn->messages_left == 0 || !weir__stream_in_may_go_on(conn)) {
            conn->undecoded = true;
            break;
        }
        decode.bytes = window->bytes + window->begin;
        decode.len = window->end - window->begin;
        decode.consumed = decode.dropped = decode.skipped_bytes = 0;
        decode.wait_ms = 0;
        decode.outside = false;
        decode.message = (struct weir_bytes){ NULL, 0 };
        decode.original_len = 0;
        decode.flags = 0;
        switch (service->decode(service->decode_config, codec_state(conn), &decode)) {
        case WEIR_DECODED_MORE:
            return take_more(conn, window, &decode);
        case WEIR_DECODED_TOO_LONG:
            return WEIR__INPUT_TOO_LONG;
        case WEIR_DECODED_MALFORMED:
        default: /* also an answer that there is not: it would be asked for ever */
            return WEIR__INPUT_MALFORMED;
        case WEIR_DECODED_MESSAGE:
            if (!is_sane(&decode)) return WEIR__INPUT_MALFORMED;
            window->begin += decode.consumed;
            turn->messages_left--;
            deliver_message(conn, &decode);
            input = relieve_output(conn);
            break;
        case WEIR_DECODED_SKIPPED:
            if (!is_sane(&decode)) return WEIR__INPUT_MALFORMED;
            window->begin += decode.consumed;
            turn->messages_left--;
            count_skipped(conn, &decode);
            break;
        }
    }
    return input;
}

/* The peer's end, behind everything it sent: the codec may make a last, unfinished message of what is left. */
static enum weir__input deliver_end(struct weir_conn *conn)
{
    const struct weir__service *service = conn->service;
    struct weir__work *work = conn->work;

    conn->waits = false; /* nothing more can come: silence is over */
    while (weir__conn_rest_bytes(conn) > 0) {
        struct weir_decode decode =
            WEIR_DECODE(.bytes = work->rest + work->rest_begin, .len = work->rest_end - work->rest_begin,
                        .message_bytes_max = service->message_bytes_max, .too_long = service->too_long, .ended = true);

        if (!weir__stream_in_may_go_on(conn)) {
            conn->undecoded = true;
            return WEIR__INPUT_GOES_ON;
        }
        switch (service->decode(service->decode_config, codec_state(conn), &decode)) {
        case WEIR_DECODED_MORE:
            count_between(service->tally, &decode);
            return WEIR__INPUT_ENDED;
        case WEIR_DECODED_TOO_LONG:
            return WEIR__INPUT_TOO_LONG;
        case WEIR_DECODED_MALFORMED:
        default: /* also an answer that there is not: it would be asked for ever */
            return WEIR__INPUT_MALFORMED;
        case WEIR_DECODED_MESSAGE:
            if (!is_sane(&decode)) return WEIR__INPUT_MALFORMED;
            work->rest_begin += decode.consumed;
            deliver_message(conn, &decode);
            break;
        case WEIR_DECODED_SKIPPED:
            if (!is_sane(&decode)) return WEIR__INPUT_MALFORMED;
            work->rest_begin += decode.consumed;
            count_skipped(conn, &decode);
            break;
        }
    }
    /* on_end waits as a message does; where there is none, the end waits for nothing. */
    if (!service->on_end || weir__stream_in_may_go_on(conn)) return WEIR__INPUT_ENDED;
    conn->undecoded = true;
    return WEIR__INPUT_GOES_ON;
}

static void free_rest(struct weir_conn *conn)
{
    struct weir__work *work = conn->work;

    weir__buffer_free(weir__conn_worker(conn), work->rest, work->rest_room);
    work->rest = NULL;
    work->rest_begin = work->rest_end = work->rest_room = 0;
}

/* Moves the rest into a buffer with that much room, which holds it. */
static bool move_rest(struct weir_conn *conn, size_t room)
{
    struct weir__work *work = conn->work;
    const size_t len = work->rest_end - work->rest_begin;
    unsigned char *moved = weir__buffer_alloc(weir__conn_worker(conn), room);

    if (!moved) return false;
    if (len > 0) memcpy(moved, work->rest + work->rest_begin, len);
    free_rest(conn);
    work->rest = moved;
    work->rest_end = len;
    work->rest_room = room;
    return true;
}

static size_t rounded(size_t len)
{
    return (len + REST_GRAIN - 1) / REST_GRAIN * REST_GRAIN;
}

/* A very long rest is not copied to grow: its pages are mapped elsewhere, or a second buffer would have to be there for
 * as long as the copy takes. */
static bool grow_rest(struct weir_conn *conn)
{
    struct weir__work *work = conn->work;
    const size_t len = work->rest_end - work->rest_begin;
    const size_t room = rounded(len + len / 4 + REST_READ_LEAST);
    unsigned char *grown;

    if (work->rest_begin > 0) memmove(work->rest, work->rest + work->rest_begin, len);
    work->rest_begin = 0;
    work->rest_end = len;
    grown = weir__buffer_resize(weir__conn_worker(conn), work->rest, work->rest_room, room);
    if (!grown) return false;
    work->rest = grown;
    work->rest_room = room;
    return true;
}

/* Room behind a long rest: first by moving it to the front of its buffer, then by growing. So memory follows the bytes
 * that came, and never a length that somebody claimed. */
static bool make_room(struct weir_conn *conn)
{
    struct weir__work *work = conn->work;
    const size_t len = work->rest_end - work->rest_begin;

    if (work->rest_room - work->rest_end >= REST_READ_LEAST) return true;
    if (work->rest_begin >= len && work->rest_room - len >= REST_READ_LEAST) {
        memcpy(work->rest, work->rest + work->rest_begin, len);
        work->rest_begin = 0;
        work->rest_end = len;
        return true;
    }
    if (len > REST_DOUBLES_MAX) return grow_rest(conn);
    return move_rest(conn, rounded(len * 2 + REST_READ_LEAST));
}

/* A short rest is copied in front of where the read lands, so that the usual case has one buffer. */
static bool open_window(struct weir_conn *conn, struct window *ret)
{
    struct weir__worker *worker = weir__conn_worker(conn);
    const size_t len = weir__conn_rest_bytes(conn);
    struct weir__work *work = conn->work;

    if (len > REST_IN_SCRATCH_MAX) {
        if (!make_room(conn)) return false;
        *ret = (struct window){ work->rest, work->rest_begin, work->rest_end, work->rest_room - work->rest_end };
        return true;
    }
    if (len > 0) {
        memcpy(worker->scratch, work->rest + work->rest_begin, len);
        work->rest_begin = work->rest_end = 0; /* the buffer stays, for what will be left over this time */
    }
    *ret = (struct window){ worker->scratch, 0, len, WEIR__SCRATCH_BYTES - len };
    return true;
}

static bool keep_from_scratch(struct weir_conn *conn, const struct window *window)
{
    const size_t len = window->end - window->begin;
    struct weir__work *work = weir__work_get(conn);

    if (!work) return false;
    if (work->rest_room < len && !move_rest(conn, rounded(len))) return false;
    memcpy(work->rest, window->bytes + window->begin, len);
    work->rest_begin = 0;
    work->rest_end = len;
    return true;
}

/* What is left of the window becomes the rest; a buffer far larger than that is given back. */
static WEIR__NOINLINE bool keep_window(struct weir_conn *conn, const struct window *window)
{
    const size_t len = window->end - window->begin;
    struct weir__work *work = conn->work;

    if (window->bytes == weir__conn_worker(conn)->scratch) return keep_from_scratch(conn, window);
    work->rest_begin = window->begin;
    work->rest_end = window->end;
    return work->rest_room <= REST_READ_LEAST || work->rest_room / 4 <= len || move_rest(conn, rounded(len));
}

static bool close_window(struct weir_conn *conn, const struct window *window)
{
    if (conn->state == WEIR__OPEN && window->begin < window->end) return keep_window(conn, window);
    if (conn->work && conn->work->rest) free_rest(conn);
    return true;
}

/* Each address is named once a minute, whichever worker it comes to. told: it is named now. */
static bool is_news(struct weir_conn *conn, bool told)
{
    struct weir__worker *worker = weir__conn_worker(conn);
    struct weir *weir = worker->weir;
    bool news;

    pthread_mutex_lock(&weir->lock);
    news = weir__stranger_is_news(&weir->strangers, &conn->peer, (uint64_t)weir__worker_now(worker), told);
    pthread_mutex_unlock(&weir->lock);
    return news;
}

/* On its first bytes a client is looked at: does it speak what it should? People point browsers, TLS and proxies at raw
 * ports, and wonder. They may come in pieces: `before` of them are known from earlier reads, and named nothing. An
 * address whose line is swallowed has not been named, and is when it comes again. */
static void name_stranger(struct weir_conn *conn, struct weir_bytes first, size_t before)
{
    struct weir__worker *worker = weir__conn_worker(conn);
    const char *name = conn->service->listener ? weir__stranger_name(first) : NULL;

    if (!name || (before > 0 && weir__stranger_name((struct weir_bytes){ first.data, before }))) return;
    weir__count(&conn->service->tally->strangers, 1);
    if (!is_news(conn, weir__log_has_room(worker, WEIR_LOG_STRANGER))) return;
    weir__log(worker, WEIR_LOG_WARNING, WEIR_LOG_STRANGER, "#%" PRIu64 " speaks %s", conn->id, name);
}

static void received(struct weir_conn *conn, const struct window *window, size_t len)
{
    struct weir__worker *worker = weir__conn_worker(conn);

    if (conn->bytes_in < FIRST_BYTES_MAX && conn->bytes_in == window->end - window->begin)
        name_stranger(conn, (struct weir_bytes){ window->bytes + window->begin, (size_t)conn->bytes_in + len },
                      (size_t)conn->bytes_in);
    conn->bytes_in += len;
    weir__count(&conn->service->tally->bytes_in, len);
    if (conn->service->idle_timeout_ms != INT64_MAX && conn->work) conn->work->active_ms = weir__worker_now(worker);
}

/* One read and what it brings. *ret_again: the read was full, and there may be more. */
static enum weir__input read_once(struct weir_conn *conn, struct turn *turn, bool *ret_again)
{
    const struct weir__transport *transport = conn->service->transport;
    struct window window;
    size_t len = 0;
    int error = 0;
    enum weir__input input = WEIR__INPUT_GOES_ON;

    *ret_again = false;
    if (!open_window(conn, &window)) return WEIR__INPUT_NO_MEMORY;
    conn->read_needs_write = false;
    switch (transport->read(weir__conn_link(conn), window.bytes + window.end, window.room, &len, &error)) {
    case WEIR__IO_BYTES:
        received(conn, &window, len);
        window.end += len;
        turn->bytes_left -= len < turn->bytes_left ? len : turn->bytes_left;
        input = deliver(conn, &window, turn);
        if (conn->state == WEIR__CLOSED) break; /* by a callback, and its transport with it */
        *ret_again = len == window.room || (transport->pending && transport->pending(weir__conn_link(conn)) > 0);
        break;
    case WEIR__IO_END:
        conn->input_ended = true;
        break;
    case WEIR__IO_AGAIN_READ:
        break;
    case WEIR__IO_AGAIN_WRITE:
        conn->read_needs_write = true;
        break;
    case WEIR__IO_TRUNCATED:
        error = ECONNRESET;
        WEIR__FALLTHROUGH;
    case WEIR__IO_ERROR:
        conn->error = (uint16_t)error;
        input = WEIR__INPUT_BROKEN;
        break;
    }
    if (!close_window(conn, &window)) return WEIR__INPUT_NO_MEMORY;
    return input;
}

/* In the rest, in place. */
static enum weir__input deliver_rest(struct weir_conn *conn, struct turn *turn)
{
    struct weir__work *work = conn->work;
    struct window window = { work->rest, work->rest_begin, work->rest_end, 0 };
    const enum weir__input input = deliver(conn, &window, turn);

    return close_window(conn, &window) ? input : WEIR__INPUT_NO_MEMORY;
}

static struct turn new_turn(const struct weir_conn *conn)
{
    return (struct turn){ conn->service->wake_messages_max, conn->service->wake_bytes_max, false };
}

static enum weir__input work_off(struct weir_conn *conn, struct turn *turn)
{
    if (conn->undecoded && weir__conn_rest_bytes(conn) > 0) {
        const enum weir__input input = deliver_rest(conn, turn);
        if (input != WEIR__INPUT_GOES_ON || conn->undecoded) return input;
    }
    return conn->input_ended && conn->state == WEIR__OPEN ? deliver_end(conn) : WEIR__INPUT_GOES_ON;
}

/* The messages of a whole turn are counted together: what other threads may read need not be written for each. */
static enum weir__input counted(struct weir_conn *conn, uint64_t before, enum weir__input input)
{
    weir__count(&conn->service->tally->messages_in, conn->messages_in - before);
    return input;
}

enum weir__input weir__stream_in_deliver(struct weir_conn *conn)
{
    const uint64_t before = conn->messages_in;
    struct turn turn = new_turn(conn);

    return counted(conn, before, work_off(conn, &turn));
}

enum weir__input weir__stream_in_read(struct weir_conn *conn)
{
    const uint64_t before = conn->messages_in;
    struct turn turn = new_turn(conn);
    enum weir__input input = WEIR__INPUT_GOES_ON;
    bool again = true;

    if (conn->undecoded) input = work_off(conn, &turn);
    while (input == WEIR__INPUT_GOES_ON && again && !conn->undecoded && turn.bytes_left > 0 &&
           weir__stream_in_may_go_on(conn))
        input = read_once(conn, &turn, &again);
    if (input == WEIR__INPUT_GOES_ON && conn->input_ended) input = work_off(conn, &turn);
    return counted(conn, before, input);
}

enum weir__input weir__stream_in_be_late(struct weir_conn *conn)
{
    const uint64_t before = conn->messages_in;
    struct turn turn = new_turn(conn);

    WEIR__DEBUG_ASSERT(conn->waits && !conn->undecoded && weir__conn_rest_bytes(conn) > 0);
    turn.is_late = true;
    return counted(conn, before, deliver_rest(conn, &turn));
}

enum weir__input weir__stream_in_be_silent(struct weir_conn *conn)
{
    const uint64_t bytes = conn->bytes_in;
    const enum weir__input input = weir__stream_in_read(conn);

    if (input != WEIR__INPUT_GOES_ON || conn->bytes_in != bytes || !conn->waits) return input;
    return weir__stream_in_be_late(conn);
}

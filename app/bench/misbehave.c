/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The lives of clients that do one thing wrong: dialled, counted, dialled again. Must never say
 * of a server what it did not do: a life that our own end cut short is told apart from one that the server ended. */
#include "misbehave_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "cli/values.h"

enum {
    BURST_BYTES_MAX = 1 << 20, /* of whole messages sent at once, unless one alone is longer */
    PAUSE_MS_MIN = 100,        /* between two lives of one client */
    DIALS_A_MS = 1             /* of all of them, by making the pause longer */
};

/* A life that the end of the run finds younger than this says nothing about the server. */
static const int64_t YOUNG_NS = 1000000000;

/* ---- What was asked for ---- */

static const char fault_names[] =
#define MISBEHAVE_FAULT_NAME(name, key) key "|"
    MISBEHAVE_FAULTS(MISBEHAVE_FAULT_NAME)
#undef MISBEHAVE_FAULT_NAME
    ;

const char *misbehave_fault_name(enum misbehave_fault fault)
{
    static const char *const names[MISBEHAVE_FAULT_COUNT] = {
#define MISBEHAVE_FAULT_NAME(name, key) key,
        MISBEHAVE_FAULTS(MISBEHAVE_FAULT_NAME)
#undef MISBEHAVE_FAULT_NAME
    };

    return names[fault];
}

static int parse_percent(const char *text, unsigned *ret)
{
    int64_t percent = 0;

    if (value_parse_count(text, &percent) || percent < 1 || percent > 100) return -EINVAL;
    *ret = (unsigned)percent;
    return 0;
}

int misbehave_parse(const char *text, struct misbehave_spec *ret, char error[MISBEHAVE_ERROR_BYTES_MAX])
{
    struct misbehave_spec parsed = { .percent = 100 };
    const size_t len = strcspn(text, "=");
    char name[16] = "";
    int fault = 0;

    if (len < sizeof(name)) memcpy(name, text, len);
    if (!name[0] || value_parse_choice(fault_names, name, &fault)) {
        snprintf(error, MISBEHAVE_ERROR_BYTES_MAX,
                 "'%.40s' is not one of split, half, reset, silent, slow-read, garbage", text);
        return -EINVAL;
    }
    parsed.fault = (enum misbehave_fault)fault;
    if (text[len] && parse_percent(text + len + 1, &parsed.percent)) {
        snprintf(error, MISBEHAVE_ERROR_BYTES_MAX, "'%.40s' is not a share of 1 to 100 percent", text + len + 1);
        return -EINVAL;
    }
    *ret = parsed;
    return 0;
}

size_t misbehave_count(const struct misbehave_spec *spec, size_t connections)
{
    const size_t count = connections / 100 * spec->percent + connections % 100 * spec->percent / 100;

    return count ? count : 1;
}

/* ---- One life ---- */

static void run_step(struct weir_conn *conn, void *arg)
{
    struct culprit *culprit = arg;

    if (conn && !atomic_load(&culprit->misbehave->stopped_ns)) culprit->misbehave->fault->step(culprit, conn);
}

void misbehave_step_later(struct culprit *culprit, struct weir_conn *conn)
{
    if (weir_post_conn(culprit->misbehave->weir, weir_conn_id(conn), run_step, culprit))
        weir_conn_abort(conn, WEIR_REASON_MEMORY);
}

static void on_open(struct weir_conn *conn, void *user)
{
    struct culprit *culprit = user;

    culprit->was_open = true;
    culprit->has_connected = true;
    culprit->since_ns = clock_ns();
    culprit->life.lives = 1;
    if (culprit->misbehave->fault->begin) culprit->misbehave->fault->begin(culprit, conn);
}

/* Answers beyond the whole messages are to what was no message. */
static void count_answer(struct culprit *culprit, struct weir_conn *conn, bool is_as_sent)
{
    const struct misbehave *misbehave = culprit->misbehave;

    if (culprit->life.answers == culprit->life.messages) {
        culprit->life.answered_half = 1;
        return;
    }
    culprit->life.answers++;
    culprit->life.answers_as_sent += is_as_sent;
    if (misbehave->fault->answer && !culprit->is_ours && !atomic_load(&misbehave->stopped_ns))
        misbehave->fault->answer(culprit, conn);
}

/* Over raw an answer is as many bytes as were sent, however they come. */
static void count_answer_bytes(struct culprit *culprit, struct weir_conn *conn, struct weir_bytes bytes)
{
    const struct weir_bytes sent = culprit->misbehave->config.message;

    while (bytes.len) {
        const size_t left = sent.len - culprit->answer_at;
        const size_t len = bytes.len < left ? bytes.len : left;

        if (culprit->life.answers == culprit->life.messages) {
            culprit->life.answered_half = 1;
            return;
        }
        if (memcmp(bytes.data, sent.data + culprit->answer_at, len) != 0) culprit->is_answer_other = true;
        culprit->answer_at += len;
        bytes.data += len;
        bytes.len -= len;
        if (culprit->answer_at < sent.len) return;
        count_answer(culprit, conn, !culprit->is_answer_other);
        culprit->answer_at = 0;
        culprit->is_answer_other = false;
    }
}

static void on_message(struct weir_conn *conn, struct weir_bytes message, void *user)
{
    struct culprit *culprit = user;
    const struct misbehave *misbehave = culprit->misbehave;
    const struct weir_bytes sent = misbehave->config.message;

    if (misbehave->fault->is_raw) return; /* what garbage is answered with is counted in bytes */
    if (misbehave->is_raw)
        count_answer_bytes(culprit, conn, message);
    else
        count_answer(culprit, conn, message.len == sent.len && memcmp(message.data, sent.data, sent.len) == 0);
}

/* The server takes on; those that have more to send do. */
static void on_writable(struct weir_conn *conn, void *user)
{
    struct culprit *culprit = user;
    const struct misbehave *misbehave = culprit->misbehave;

    if (misbehave->fault->output_bytes_max && !atomic_load(&misbehave->stopped_ns))
        misbehave->fault->step(culprit, conn);
}

/* ---- Its end ---- */

static void add_ends(struct misbehave_ends *ends, const struct misbehave_ends *other)
{
    if (!other->count) return;
    if (!ends->count || other->least_ns < ends->least_ns) ends->least_ns = other->least_ns;
    if (other->most_ns > ends->most_ns) ends->most_ns = other->most_ns;
    ends->count += other->count;
}

void misbehave_totals_add(struct misbehave_totals *totals, const struct misbehave_totals *other)
{
    if (other->lives && (!totals->lives || other->taken_least < totals->taken_least))
        totals->taken_least = other->taken_least;
    if (other->taken_most > totals->taken_most) totals->taken_most = other->taken_most;
    totals->lives += other->lives;
    totals->connects_failed += other->connects_failed;
    totals->messages += other->messages;
    totals->pieces += other->pieces;
    totals->answers += other->answers;
    totals->answers_as_sent += other->answers_as_sent;
    totals->answered += other->answered;
    totals->answered_half += other->answered_half;
    totals->sent_all += other->sent_all;
    totals->bytes_out += other->bytes_out;
    totals->bytes_in += other->bytes_in;
    totals->reset_by_us += other->reset_by_us;
    add_ends(&totals->closed, &other->closed);
    add_ends(&totals->reset, &other->reset);
    add_ends(&totals->open, &other->open);
    for (size_t i = 0; i < WEIR_REASON_COUNT; i++)
        totals->failed[i] += other->failed[i];
}

static bool is_stopped(const struct misbehave *misbehave)
{
    return atomic_load(&misbehave->stopped_ns) != 0;
}

/* What ended it. The drain timeout, where nobody has stopped, follows the server's end: there was output left. */
static void count_end(struct culprit *culprit, enum weir_reason reason)
{
    const int64_t lasted_ns = clock_ns() - culprit->since_ns;
    const struct misbehave_ends end = { .count = 1, .least_ns = lasted_ns, .most_ns = lasted_ns };
    struct misbehave_totals *life = &culprit->life;

    if (culprit->is_ours)
        life->reset_by_us = 1;
    else if (reason == WEIR_REASON_PEER_CLOSED ||
             (reason == WEIR_REASON_DRAIN_TIMEOUT && !is_stopped(culprit->misbehave)))
        life->closed = end;
    else if (reason == WEIR_REASON_RESET)
        life->reset = end;
    else if (reason == WEIR_REASON_DRAIN || reason == WEIR_REASON_DRAIN_TIMEOUT)
        life->open = end;
    else
        life->failed[reason] = 1;
}

static bool is_too_young(const struct culprit *culprit)
{
    const struct misbehave *misbehave = culprit->misbehave;
    const int64_t run_ns = atomic_load(&misbehave->stopped_ns) - misbehave->began_ns;
    const int64_t young_ns = run_ns / 2 < YOUNG_NS ? run_ns / 2 : YOUNG_NS;

    return misbehave->fault->is_repeated && misbehave->config.spec.fault != MISBEHAVE_SPLIT &&
           culprit->life.open.count && culprit->life.open.most_ns < young_ns;
}

static void finish_life(struct culprit *culprit, const struct weir_conn *conn, enum weir_reason reason)
{
    struct misbehave_totals *life = &culprit->life;
    struct weir_conn_counters counters;

    weir_conn_counters(conn, &counters);
    life->bytes_out = life->taken_least = life->taken_most = counters.bytes_out;
    life->bytes_in = counters.bytes_in;
    if (culprit->is_within) life->messages--;
    life->answered = life->messages && life->answers == life->messages;
    life->sent_all = culprit->is_all_sent && counters.output_bytes == 0;
    count_end(culprit, reason);
    if (!is_too_young(culprit)) misbehave_totals_add(&culprit->totals, life);
}

static int dial(struct culprit *culprit)
{
    struct misbehave *misbehave = culprit->misbehave;
    const uint64_t seed = culprit->seed++;

    memset(&culprit->life, 0, sizeof(culprit->life));
    culprit->random = seed;
    culprit->sent = 0;
    culprit->answer_at = 0;
    culprit->was_open = false;
    culprit->is_within = false;
    culprit->is_all_sent = false;
    culprit->is_answer_other = false;
    culprit->is_ours = false;
    return weir_dial(misbehave->weir, misbehave->config.url, &misbehave->service, culprit, NULL);
}

static void dial_again(struct weir_timer *timer, void *arg)
{
    struct culprit *culprit = arg;

    (void)timer;
    if (!is_stopped(culprit->misbehave) && dial(culprit)) culprit->totals.connects_failed++;
}

static void on_close(struct weir_conn *conn, enum weir_reason reason, void *user)
{
    struct culprit *culprit = user;
    struct misbehave *misbehave = culprit->misbehave;
    const int64_t pause_ms = (int64_t)misbehave->config.connections / DIALS_A_MS;

    weir_timer_stop(culprit->timer);
    culprit->timer = NULL;
    if (culprit->was_open)
        finish_life(culprit, conn, reason);
    else if (!is_stopped(misbehave)) {
        culprit->totals.connects_failed++;
        culprit->connect_reason = reason;
        culprit->connect_error = weir_conn_error(conn);
    }
    if (is_stopped(misbehave) || (culprit->was_open && !misbehave->fault->is_repeated)) return;
    /* Without memory for a timer this client has had its last life; the others go on. */
    weir_timer_start(misbehave->weir, weir_conn_worker(conn), pause_ms > PAUSE_MS_MIN ? pause_ms : PAUSE_MS_MIN, 0,
                     dial_again, culprit, NULL);
}

/* ---- All of them ---- */

/* The message as it goes over the wire, so many times as are sent at once, and half of it. */
static int make_burst(struct misbehave *misbehave, struct weir_frame *frame)
{
    const struct weir_codec *codec = frame ? weir_frame_codec(frame) : NULL;
    const void *config = frame ? weir_frame_config(frame) : NULL;
    const struct weir_bytes message = misbehave->config.message;
    const size_t room = codec ? codec->encoded_bytes_max(config, message.len) : message.len;
    const size_t most = room < BURST_BYTES_MAX ? BURST_BYTES_MAX / room : 1;
    const uint64_t whole = misbehave->config.depth < most ? misbehave->config.depth : most;
    ssize_t len = (ssize_t)message.len;

    misbehave->whole = whole ? (size_t)whole : 1;
    misbehave->burst = malloc(room * (misbehave->whole + 1));
    if (!misbehave->burst) return -ENOMEM;
    if (codec)
        len = codec->encode(config, message, misbehave->burst, room);
    else
        memcpy(misbehave->burst, message.data, message.len);
    if (len < 0) return (int)len;
    misbehave->wire_len = (size_t)len;
    for (size_t i = 1; i <= misbehave->whole; i++)
        memcpy(misbehave->burst + i * misbehave->wire_len, misbehave->burst, misbehave->wire_len);
    misbehave->burst_len = misbehave->whole * misbehave->wire_len + misbehave->wire_len / 2;
    return 0;
}

/* Nothing of ours ends a life: what a server does about the fault is not to be hidden by our own timeouts. */
static void make_service(struct misbehave *misbehave, const struct weir_service *given)
{
    struct weir_service *service = &misbehave->service;

    *service = *given;
    service->send_frame = "raw";
    if (misbehave->fault->is_raw) service->frame = "raw";
    service->on_open = on_open;
    service->on_message = on_message;
    service->on_writable = on_writable;
    service->on_close = on_close;
    service->output_bytes_max = misbehave->fault->output_bytes_max;
    service->idle_timeout_ms = WEIR_OFF;
    service->frame_timeout_ms = WEIR_OFF;
    service->write_timeout_ms = WEIR_OFF;
    service->linger_timeout_ms = WEIR_OFF;
    service->drain_timeout_ms = 1;
}

static int make(struct misbehave *misbehave, const struct misbehave_config *config)
{
    const char *spec = config->service->frame;
    struct weir_frame *frame = NULL;
    int err = weir_service_send_frame(config->service, &frame, NULL, 0);

    if (!err) err = make_burst(misbehave, weir_frame_is_sendable(frame) ? frame : NULL);
    weir_frame_free(frame);
    if (err) return err;
    misbehave->is_raw = !spec || strcmp(spec, "raw") == 0;
    misbehave->culprits = calloc(config->connections, sizeof(*misbehave->culprits));
    if (!misbehave->culprits) return -ENOMEM;
    /* Lives have seeds that no other has, so that one can be had again. */
    for (size_t i = 0; i < config->connections; i++) {
        misbehave->culprits[i].misbehave = misbehave;
        misbehave->culprits[i].seed = misbehave->config.seed + ((uint64_t)i << 32);
    }
    make_service(misbehave, config->service);
    return 0;
}

/* One that --seed takes. */
static uint64_t make_up_seed(void)
{
    uint32_t random = 0;

    if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0) random = (uint32_t)clock_ns();
    return 1 + random % (1U << 30);
}

int misbehave_new(struct weir *weir, const struct misbehave_config *config, struct misbehave **ret,
                  char error[MISBEHAVE_ERROR_BYTES_MAX])
{
    struct misbehave *misbehave = calloc(1, sizeof(*misbehave));
    int err = -ENOMEM;

    if (misbehave) {
        misbehave->weir = weir;
        misbehave->config = *config;
        if (!config->seed) misbehave->config.seed = make_up_seed();
        misbehave->fault = &misbehave_faults[config->spec.fault];
        misbehave->began_ns = clock_ns();
        err = make(misbehave, config);
    }
    if (!err) {
        *ret = misbehave;
        return 0;
    }
    snprintf(error, MISBEHAVE_ERROR_BYTES_MAX, "a message cannot be sent: %s", weir_strerror(err));
    misbehave_free(misbehave);
    return err;
}

int misbehave_dial(struct misbehave *misbehave, size_t index)
{
    return dial(&misbehave->culprits[index]);
}

void misbehave_stop(struct misbehave *misbehave)
{
    int64_t not_yet = 0;

    atomic_compare_exchange_strong(&misbehave->stopped_ns, &not_yet, clock_ns());
}

enum weir_reason misbehave_why_nobody(const struct misbehave *misbehave, int *ret_error)
{
    enum weir_reason reason = WEIR_REASON_NONE;

    for (size_t i = 0; i < misbehave->config.connections; i++) {
        const struct culprit *culprit = &misbehave->culprits[i];

        if (culprit->has_connected) return WEIR_REASON_NONE;
        if (culprit->connect_reason == WEIR_REASON_NONE) continue;
        reason = culprit->connect_reason;
        *ret_error = culprit->connect_error;
    }
    return reason;
}

void misbehave_free(struct misbehave *misbehave)
{
    if (!misbehave) return;
    free(misbehave->culprits);
    free(misbehave->burst);
    free(misbehave);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the server did about the faulty clients, for people and as JSON. Must never judge:
 * what is right depends on the server.
 */
#include <string.h>

#include "misbehave_internal.h"
#include "results.h"

static void sum_up(const struct misbehave *misbehave, struct misbehave_totals *ret)
{
    *ret = (struct misbehave_totals){ 0 };
    for (size_t i = 0; i < misbehave->config.connections; i++)
        misbehave_totals_add(ret, &misbehave->culprits[i].totals);
}

/* ---- For people ---- */

/* "            4,958 closed by the server, after 85.2 us to 3.10 ms": nothing where there is none. */
static void add_ends(struct line *line, const struct misbehave_ends *ends, const char *what, const char *when)
{
    if (!ends->count) return;
    line_add_text(line, "            ");
    line_add_count(line, ends->count, "connection");
    line_addf(line, " %s, %s ", what, when);
    bench_add_time(line, (double)ends->least_ns);
    if (ends->most_ns - ends->least_ns > ends->most_ns / 50) { /* else they would read the same, nearly */
        line_add_text(line, " to ");
        bench_add_time(line, (double)ends->most_ns);
    }
    line_add_text(line, "\n");
}

static void add_number_of(struct line *line, uint64_t count, const char *noun, const char *what)
{
    line_add_text(line, "            ");
    line_add_count(line, count, noun);
    line_addf(line, " %s\n", what);
}

static void add_split(struct line *line, const struct misbehave_totals *totals)
{
    line_add_text(line, ", ");
    line_add_count(line, totals->messages, "message");
    line_add_text(line, " in ");
    line_add_count(line, totals->pieces, "piece");
    line_add_text(line, ": ");
    line_add_count(line, totals->answers, "answer");
    if (totals->answers && totals->answers_as_sent == totals->answers) line_add_text(line, ", all as sent");
    if (totals->answers && totals->answers_as_sent == 0) line_add_text(line, ", none as sent");
    line_add_text(line, "\n");
    if (totals->answers_as_sent && totals->answers_as_sent < totals->answers)
        add_number_of(line, totals->answers - totals->answers_as_sent, "answer", "not as sent");
}

static void add_cut(struct line *line, const struct misbehave *misbehave, const struct misbehave_totals *totals,
                    const char *then)
{
    line_add_text(line, ", each ");
    line_add_count(line, misbehave->whole, "message");
    line_addf(line, " and half of another, then %s\n", then);
    if (misbehave->config.one_way) return;
    add_number_of(line, totals->answered, "connection",
                  misbehave->whole == 1 ? "had the whole message answered" : "had every whole message answered");
    if (totals->answered_half)
        add_number_of(line, totals->answered_half, "connection", "had the half one answered too");
}

static void add_silent(struct line *line, const struct misbehave_totals *totals)
{
    line_add_text(line, " that sent nothing\n");
    if (totals->bytes_in) add_number_of(line, totals->bytes_in, "byte", "came all the same");
}

static void add_slow_read(struct line *line, const struct misbehave_totals *totals)
{
    line_add_text(line, " that read nothing: the server and the kernels took ");
    bench_add_size(line, (double)totals->taken_least);
    if (totals->taken_least != totals->taken_most) {
        line_add_text(line, " to ");
        bench_add_size(line, (double)totals->taken_most);
    }
    line_add_text(line, " of each\n");
    if (totals->sent_all)
        add_number_of(line, totals->sent_all, "connection", "never held back: all there was to send was taken");
}

static void add_garbage(struct line *line, const struct misbehave *misbehave, const struct misbehave_totals *totals)
{
    line_add_text(line, ", ");
    bench_add_size(line, (double)totals->bytes_out);
    line_addf(line, " of random bytes, seed %llu\n", (unsigned long long)misbehave->config.seed);
    add_number_of(line, totals->sent_all, "connection", "had all of it taken");
    line_add_text(line, "            ");
    bench_add_size(line, (double)totals->bytes_in);
    line_add_text(line, " came back\n");
}

static void add_fault(struct line *line, const struct misbehave *misbehave, const struct misbehave_totals *totals)
{
    switch (misbehave->config.spec.fault) {
    case MISBEHAVE_SPLIT:
        add_split(line, totals);
        break;
    case MISBEHAVE_HALF:
        add_cut(line, misbehave, totals, "the end of our side");
        break;
    case MISBEHAVE_RESET:
        add_cut(line, misbehave, totals, "a reset");
        break;
    case MISBEHAVE_SILENT:
        add_silent(line, totals);
        break;
    case MISBEHAVE_SLOW_READ:
        add_slow_read(line, totals);
        break;
    case MISBEHAVE_GARBAGE:
        add_garbage(line, misbehave, totals);
        break;
    case MISBEHAVE_FAULT_COUNT:
        break;
    }
}

void misbehave_add_text(struct line *line, const struct misbehave *misbehave)
{
    const enum misbehave_fault fault = misbehave->config.spec.fault;
    struct misbehave_totals totals;

    sum_up(misbehave, &totals);
    line_addf(line, "%-12s", misbehave_fault_name(fault));
    line_add_count(line, totals.lives, "connection");
    add_fault(line, misbehave, &totals);
    if (totals.reset_by_us) add_number_of(line, totals.reset_by_us, "connection", "reset by us");
    add_ends(line, &totals.closed, "closed by the server", "after");
    add_ends(line, &totals.reset, "reset by the server", "after");
    /* While nobody reads, an orderly end of the server's is not seen behind its answers; a reset is. */
    add_ends(line, &totals.open, fault == MISBEHAVE_SLOW_READ ? "not reset by the end" : "still open at the end",
             "after");
    for (size_t i = 0; i < WEIR_REASON_COUNT; i++)
        if (totals.failed[i])
            add_number_of(line, totals.failed[i], "connection", weir_reason_text((enum weir_reason)i));
    if (totals.connects_failed) add_number_of(line, totals.connects_failed, "connect", "failed");
}

/* ---- JSON ---- */

static void add_member(struct line *line, const char *name, uint64_t value)
{
    line_addf(line, ",\"%s\":%llu", name, (unsigned long long)value);
}

static void add_ends_json(struct line *line, const char *name, const struct misbehave_ends *ends)
{
    line_addf(line, ",\"%s\":{\"count\":%llu", name, (unsigned long long)ends->count);
    if (ends->count)
        line_addf(line, ",\"least_ms\":%.3f,\"most_ms\":%.3f}", (double)ends->least_ns / 1e6,
                  (double)ends->most_ns / 1e6);
    else
        line_add_text(line, ",\"least_ms\":null,\"most_ms\":null}");
}

void misbehave_add_json(struct line *line, const struct misbehave *misbehave)
{
    struct misbehave_totals totals;
    uint64_t failed = 0;

    sum_up(misbehave, &totals);
    for (size_t i = 0; i < WEIR_REASON_COUNT; i++)
        failed += totals.failed[i];
    line_addf(line, "\"misbehave\":{\"fault\":\"%s\"", misbehave_fault_name(misbehave->config.spec.fault));
    add_member(line, "clients", misbehave->config.connections);
    add_member(line, "seed", misbehave->config.seed);
    add_member(line, "connections", totals.lives);
    add_member(line, "connects_failed", totals.connects_failed);
    add_member(line, "messages", totals.messages);
    add_member(line, "pieces", totals.pieces);
    add_member(line, "answers", totals.answers);
    add_member(line, "answers_as_sent", totals.answers_as_sent);
    add_member(line, "answered", totals.answered);
    add_member(line, "answered_half", totals.answered_half);
    add_member(line, "taken_whole", totals.sent_all);
    add_member(line, "bytes_out", totals.bytes_out);
    add_member(line, "bytes_out_least", totals.taken_least);
    add_member(line, "bytes_out_most", totals.taken_most);
    add_member(line, "bytes_in", totals.bytes_in);
    add_ends_json(line, "closed", &totals.closed);
    add_ends_json(line, "reset", &totals.reset);
    add_ends_json(line, "open", &totals.open);
    add_member(line, "reset_by_us", totals.reset_by_us);
    add_member(line, "failed", failed);
    line_add_text(line, "}");
}

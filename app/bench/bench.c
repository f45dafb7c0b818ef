/* SPDX-License-Identifier: BSD-3-Clause
 *
 * From the options of `weir bench` to its exit status: makes the plan, checks that it makes sense
 * and that there is room for it, runs it, and tells what came of it. */
#include "bench.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/descriptors.h"
#include "dial/verdict.h"
#include "limits.h"
#include "load.h"
#include "misbehave.h"
#include "results.h"
#include "run.h"
#include "text/line.h"

enum {
    DEFAULT_CONNECTIONS = 50,
    DEFAULT_DURATION_MS = 10000,
    DEFAULT_MESSAGE_BYTES = 128,
    DEFAULT_RAMP = 1000,
    DEFAULT_MESSAGE_BYTES_MAX = 1024 * 1024, /* the engine's */
    SENTENCE_BYTES_MAX = 1024,
    SEED_MAX = 1000 * 1000 * 1000
};

/* The engine's bound on what may wait on a connection. */
#define OUTPUT_BYTES_MAX (INT64_C(64) << 30)

struct bench {
    const struct options *options;
    const char *url_text;
    struct weir_url url;
    size_t connections; /* misbehaving ones too */
    struct load_plan plan;
    struct limits limits;
    struct misbehave_spec misbehave_spec;
    struct misbehave *misbehave; /* NULL: nobody does */
    struct bench_asked asked;
    char target[TARGET_BYTES_MAX];
    struct weir *weir;
    struct load load;
    struct run run;
    struct bench_results *results;
};

/* ---- The plan ---- */

static enum status __attribute__((format(printf, 1, 2))) fail_usage(const char *format, ...)
{
    char sentence[SENTENCE_BYTES_MAX];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(sentence, sizeof(sentence), format, arguments);
    va_end(arguments);
    return status_usage(COMMAND_BENCH, sentence);
}

static enum status fail(int err, const char *sentence)
{
    return status_error(COMMAND_BENCH, err, sentence);
}

/* What the options ask for together, or that they cannot be together. */
static enum status check(const struct bench *bench)
{
    const struct bench_options *asked = &bench->options->bench;

    if (bench->url.kind == WEIR_URL_TCP && !bench->url.port)
        return fail_usage("connect to which port? 0 is only for listening, and takes a free one");
    if (asked->one_way && asked->depth)
        return fail_usage("-p counts messages that wait for an answer, and with --one-way none does: leave one out");
    if (asked->file && asked->message_bytes)
        return fail_usage("-s and --file exclude each other: the lines of a file have lengths of their own");
    if (asked->from && bench->url.kind == WEIR_URL_UNIX)
        return fail_usage("--from: a unix socket is not connected to from an address");
    return STATUS_DONE;
}

static enum status read_words(struct bench *bench)
{
    const struct bench_options *asked = &bench->options->bench;
    char limits_error[LIMITS_ERROR_BYTES_MAX];
    char misbehave_error[MISBEHAVE_ERROR_BYTES_MAX];
    char sources_error[SOURCES_ERROR_BYTES_MAX];

    if (limits_parse(asked->fail_if, &bench->limits, limits_error)) return fail_usage("--fail-if %s", limits_error);
    if (asked->misbehave && misbehave_parse(asked->misbehave, &bench->misbehave_spec, misbehave_error))
        return fail_usage("--misbehave %s", misbehave_error);
    if (asked->from && sources_parse(asked->from, &bench->plan.sources, sources_error))
        return fail_usage("--from %s", sources_error);
    return STATUS_DONE;
}

/* A framing of one length leaves no choice. */
static size_t usual_bytes(const struct weir_service *given)
{
    static const char fixed[] = "fixed:";

    if (!given->frame || strncmp(given->frame, fixed, strlen(fixed)) != 0) return DEFAULT_MESSAGE_BYTES;
    return strtoul(given->frame + strlen(fixed), NULL, 10);
}

/* Messages are framed beforehand, so the engine sends their bytes as they are. */
static enum status plan_messages(struct bench *bench, const struct weir_service *given)
{
    const struct bench_options *asked = &bench->options->bench;
    struct load_plan *plan = &bench->plan;
    const size_t bytes = asked->message_bytes ? (size_t)asked->message_bytes : usual_bytes(given);
    size_t longest = 0;
    int64_t in_flight_bytes = 0;
    char error[MESSAGES_ERROR_BYTES_MAX];
    const int err = asked->file ? messages_read(&plan->messages, given, asked->file, error)
                                : messages_make(&plan->messages, given, bytes, error);

    if (err == -EINVAL || err == -EMSGSIZE || err == -ENODATA) return fail_usage("%s", error);
    if (err) return fail(err, error);
    for (size_t i = 0; i < plan->messages.count; i++)
        if (messages_bytes(&plan->messages, i) > longest) longest = messages_bytes(&plan->messages, i);
    /* A full output would stop the input, and two that wait for each other wait for ever. */
    in_flight_bytes = (int64_t)longest * plan->depth + 1;
    plan->service.output_bytes_max = in_flight_bytes < OUTPUT_BYTES_MAX ? in_flight_bytes : OUTPUT_BYTES_MAX;
    plan->service.send_frame = "raw";
    if (!given->message_bytes_max && longest > DEFAULT_MESSAGE_BYTES_MAX)
        plan->service.message_bytes_max = (int64_t)longest;
    return STATUS_DONE;
}

static int64_t duration_ms(const struct bench_options *asked)
{
    if (asked->duration_ms) return asked->duration_ms;
    return asked->messages ? 0 : DEFAULT_DURATION_MS;
}

static enum status make_plan(struct bench *bench)
{
    const struct weir_service *given = &bench->options->endpoints[0].service;
    const struct bench_options *asked = &bench->options->bench;
    struct load_plan *plan = &bench->plan;

    plan->service = *given;
    plan->service.linger_timeout_ms = WEIR_OFF; /* all that was to come has come */
    plan->service.keepalive_idle_ms = WEIR_OFF; /* who does not answer is noticed without */
    plan->by_bytes = !given->frame || strcmp(given->frame, "raw") == 0;
    plan->one_way = asked->one_way;
    plan->depth = asked->depth ? (uint32_t)asked->depth : 1;
    plan->messages_max = (uint64_t)asked->messages;
    plan->lifetime_messages = asked->lifetime_messages > 0 ? (uint64_t)asked->lifetime_messages : UINT64_MAX;
    plan->lifetime_ns = asked->lifetime_ms > 0 ? asked->lifetime_ms * 1000000 : 0;
    plan->interval_ns = asked->rate > 0 ? 1e9 / (double)asked->rate : 0;
    plan->duration_ns = duration_ms(asked) * 1000000;
    bench->connections = asked->connections ? (size_t)asked->connections : DEFAULT_CONNECTIONS;
    plan->clients = bench->connections;
    if (asked->misbehave) plan->clients -= misbehave_count(&bench->misbehave_spec, bench->connections);
    if (!plan->clients && asked->messages && !asked->duration_ms)
        return fail_usage("-n counts what is sent by those that behave, and none does: how long is it to last? As in "
                          "-d 10s");
    return plan_messages(bench, given);
}

static void plan_run(struct bench *bench)
{
    const struct bench_options *asked = &bench->options->bench;
    const struct load_plan *plan = &bench->plan;
    const struct weir_service *given = &bench->options->endpoints[0].service;

    bench->asked = (struct bench_asked){ .url = bench->target,
                                         .frame = given->frame ? given->frame : "raw",
                                         .connections = bench->connections,
                                         .depth = plan->depth,
                                         .message_bytes = plan->messages.unframed_bytes / plan->messages.count,
                                         .rate = asked->rate > 0 ? (double)asked->rate : 0,
                                         .seconds = (double)duration_ms(asked) / 1000,
                                         .messages = plan->messages_max,
                                         .one_way = plan->one_way };
    bench->run = (struct run){ .load = &bench->load,
                               .asked = &bench->asked,
                               .duration_ns = plan->duration_ns,
                               .ramp = asked->ramp == WEIR_OFF ? 0
                                       : asked->ramp           ? asked->ramp
                                                               : DEFAULT_RAMP };
}

/* ---- Running it ---- */

static enum status check_room(const struct bench *bench)
{
    struct weir_counters counters = { .size = sizeof(counters) };

    weir_counters(bench->weir, &counters);
    if (bench->connections <= counters.clients_max) return STATUS_DONE;
    return fail_usage("-c %zu: there is room for %llu connections (descriptor limit %llu; ulimit -n raises it)",
                      bench->connections, (unsigned long long)counters.clients_max, descriptors_limit());
}

static enum status start_misbehaving(struct bench *bench)
{
    const struct load_plan *plan = &bench->plan;
    const size_t count = bench->connections - plan->clients;
    const int64_t given_seed = bench->options->bench.seed;
    const uint64_t seed = given_seed ? (uint64_t)given_seed : 1 + (uint64_t)clock_ns() % SEED_MAX;
    const struct misbehave_config config = { .spec = bench->misbehave_spec,
                                             .url = bench->url_text,
                                             .service = &bench->options->endpoints[0].service,
                                             .message = { plan->messages.sample, plan->messages.sample_len },
                                             .connections = count,
                                             .depth = plan->depth,
                                             .seed = seed,
                                             .one_way = plan->one_way };
    char error[MISBEHAVE_ERROR_BYTES_MAX];
    int err = 0;

    if (!count) return STATUS_DONE;
    err = misbehave_new(bench->weir, &config, &bench->misbehave, error);
    if (err) return fail(err == -EINVAL ? WEIR_ECONFIG : err, err == -EINVAL ? error : weir_strerror(err));
    bench->run.misbehave = bench->misbehave;
    bench->run.misbehaving = count;
    return STATUS_DONE;
}

static enum status start(struct bench *bench)
{
    const int64_t workers = bench->options->workers ? bench->options->workers : 1;
    const struct weir_config config =
        WEIR_CONFIG(.workers =
                        (unsigned)workers <= bench->connections ? (unsigned)workers : (unsigned)bench->connections);
    enum status status = STATUS_DONE;
    int err = weir_new(&config, &bench->weir);

    if (err) return fail(err, weir_error_text(NULL));
    status = check_room(bench);
    if (status == STATUS_DONE) status = start_misbehaving(bench);
    if (status != STATUS_DONE) return status;
    bench->results = calloc(1, sizeof(*bench->results));
    err = bench->results ? load_init(&bench->load, &bench->plan, bench->weir, bench->url_text) : -ENOMEM;
    if (err) return fail(err, weir_strerror(err));
    err = run_start(&bench->run);
    if (!err) return STATUS_DONE;
    status = fail(err, weir_error_text(bench->weir));
    return err == WEIR_ERESOLVE ? STATUS_NO_ROUTE : status;
}

/* ---- What came of it ---- */

/* Nothing was answered. Something may have come: then it was less than was sent. */
static enum status say_unanswered(const struct bench *bench)
{
    if (bench->results->bytes_in && bench->plan.by_bytes)
        return verdict_say_text(
            STATUS_TIMED_OUT, bench->target,
            "no answers as long as the messages; --frame says where a shorter one ends, or use --one-way");
    return verdict_say_text(STATUS_TIMED_OUT, bench->target,
                            bench->plan.by_bytes
                                ? "no answers; use --one-way, or --frame if it waits for the end of a message"
                                : "no answers; use --one-way");
}

/* Why not one message was answered, or sent where no answers are awaited. */
static enum status say_why_nothing(const struct bench *bench)
{
    int error = 0;
    const enum weir_reason reason = load_reason(&bench->load, &error);

    if (reason == WEIR_REASON_NONE)
        return bench->results->sent && !bench->plan.one_way ? say_unanswered(bench) : STATUS_DONE;
    if (!weir_reason_is_error(reason))
        return verdict_say_text(STATUS_FAILED, bench->target,
                                "closed each connection before it had answered a message");
    return verdict_say(reason, error, &bench->url);
}

/* The same where all misbehave: they get answers or not, but for that they must have been connected. */
static enum status say_why_nobody(const struct bench *bench)
{
    int error = 0;
    const enum weir_reason reason = misbehave_why_nobody(bench->misbehave, &error);

    return reason == WEIR_REASON_NONE ? STATUS_DONE : verdict_say(reason, error, &bench->url);
}

static enum status judge(const struct bench *bench)
{
    const struct run *run = &bench->run;
    const uint64_t done = bench->plan.one_way ? bench->results->sent : bench->results->answered;
    struct line line = { 0 };
    size_t met = 0;

    if (run->end == RUN_BROKEN) return fail(run->error, weir_strerror(run->error));
    if (!done && run->end != RUN_INTERRUPTED && bench->plan.clients) {
        const enum status status = say_why_nothing(bench);
        if (status != STATUS_DONE) return status;
    }
    if (!bench->plan.clients && run->end != RUN_INTERRUPTED) {
        const enum status status = say_why_nobody(bench);
        if (status != STATUS_DONE) return status;
    }
    if (run->end == RUN_STALLED)
        return verdict_say_text(STATUS_TIMED_OUT, bench->target, "nothing was answered any more");
    met = limits_judge(&bench->limits, &bench->asked, bench->results, &line);
    if (met) fprintf(stderr, "weir: --fail-if %.*s", (int)line.len, line.bytes);
    line_fini(&line);
    return met ? STATUS_FAILED : STATUS_DONE;
}

static enum status print(const struct bench *bench)
{
    struct line line = { 0 };
    bool is_written = false;

    if (bench->options->bench.json) {
        line_add_text(&line, "{");
        bench_results_add_json(&line, &bench->asked, bench->results);
        if (bench->misbehave) line_add_text(&line, ",");
        if (bench->misbehave) misbehave_add_json(&line, bench->misbehave);
        line_add_text(&line, "}\n");
    } else if (bench->load.start_ns || bench->results->connects_done || bench->misbehave) {
        if (bench->plan.clients) bench_results_add_text(&line, &bench->asked, bench->results);
        if (bench->plan.clients && bench->misbehave) line_add_text(&line, "\n");
        if (bench->misbehave) misbehave_add_text(&line, bench->misbehave);
    }
    is_written = !line.failed;
    if (is_written && line.len) fwrite(line.bytes, 1, line.len, stdout);
    line_fini(&line);
    return is_written ? status_stdout() : fail(-ENOMEM, weir_strerror(-ENOMEM));
}

static enum status run(struct bench *bench)
{
    const int err = weir_run(bench->weir);
    enum status printed = STATUS_DONE;
    enum status judged = STATUS_DONE;

    run_fini(&bench->run);
    /* -ETIMEDOUT: what was sent one-way had not left at the deadline; it is not counted. */
    if (err && err != -ETIMEDOUT) return fail(err, weir_error_text(bench->weir));
    load_results(&bench->load, bench->results);
    printed = print(bench);
    judged = judge(bench);
    return judged != STATUS_DONE ? judged : printed;
}

static void end(struct bench *bench)
{
    run_fini(&bench->run);
    weir_free(bench->weir);
    misbehave_free(bench->misbehave);
    load_fini(&bench->load);
    messages_fini(&bench->plan.messages);
    free(bench->results);
}

enum status bench_run(const struct options *options)
{
    struct bench bench = { .options = options };
    enum status status = STATUS_DONE;

    if (!options->endpoint_count) return fail_usage("bench what? As in: weir bench 8000");
    bench.url_text = options->endpoints[0].url;
    weir_url_parse(bench.url_text, &bench.url, NULL, 0);
    verdict_target(&bench.url, bench.target);
    descriptors_raise_limit();
    signal(SIGPIPE, SIG_IGN);
    status = check(&bench);
    if (status == STATUS_DONE) status = read_words(&bench);
    if (status == STATUS_DONE) status = make_plan(&bench);
    if (status == STATUS_DONE) {
        plan_run(&bench);
        status = start(&bench);
    }
    if (status == STATUS_DONE) status = run(&bench);
    end(&bench);
    return status;
}

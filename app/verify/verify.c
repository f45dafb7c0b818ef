/* SPDX-License-Identifier: BSD-3-Clause
 *
 * From the options of `weir verify` to its exit status: checks that they make sense together and
 * that messages can be sent in the framing, sends, and tells what came of it. */
#include "verify.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "audit.h"
#include "base/descriptors.h"
#include "dial/verdict.h"
#include "numbered.h"
#include "sender.h"
#include "text/line.h"
#include "text/render.h"

enum {
    DEFAULT_CONNECTIONS = 10,
    DEFAULT_MESSAGES = 10000,
    DEFAULT_MESSAGE_BYTES = 128,
    DEFAULT_DEPTH = 64,
    DEFAULT_GIVE_UP_MS = 30000,
    SENTENCE_BYTES_MAX = 1024,
    MESSAGE_BYTES_MAX = 1 << 30
};

struct verify {
    const struct options *options;
    struct weir_url url;
    char target[TARGET_BYTES_MAX];
    struct sender_plan plan;
    struct ledger *ledger;
    struct weir *weir;
    struct sender sender;
};

static enum status __attribute__((format(printf, 1, 2))) fail_usage(const char *format, ...)
{
    char sentence[SENTENCE_BYTES_MAX];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(sentence, sizeof(sentence), format, arguments);
    va_end(arguments);
    return status_usage(COMMAND_VERIFY, sentence);
}

static enum status fail(int err, const char *sentence)
{
    return status_error(COMMAND_VERIFY, err, sentence);
}

/* ---- The framing ---- */

/* What a server with that framing finds in these bytes: one message, and these? */
static bool is_one_message(const struct weir_frame *frame, unsigned char *framed, size_t len, struct weir_bytes message)
{
    const struct weir_codec *codec = weir_frame_codec(frame);
    void *state = calloc(1, codec->state_bytes + 1);
    struct weir_decode decode = WEIR_DECODE(.bytes = framed, .len = len, .message_bytes_max = MESSAGE_BYTES_MAX);
    bool is_one = false;

    if (state && codec->decode(weir_frame_config(frame), state, &decode) == WEIR_DECODED_MESSAGE)
        is_one = decode.consumed == len && decode.message.len == message.len &&
                 memcmp(decode.message.data, message.data, message.len) == 0;
    free(state);
    return is_one;
}

/* Frames a message as it is sent, and looks at it as the server will. *ret_bytes: what it takes on the wire. */
static bool survives(const struct weir_frame *frame, struct weir_bytes message, size_t *ret_bytes)
{
    const struct weir_codec *codec = weir_frame_codec(frame);
    const void *config = weir_frame_config(frame);
    const bool is_encoded = codec->encode && weir_frame_is_sendable(frame);
    const size_t bytes_max = is_encoded ? codec->encoded_bytes_max(config, message.len) : message.len;
    unsigned char *framed = malloc(bytes_max);
    ssize_t len = (ssize_t)message.len;
    bool is_good = false;

    if (!framed) return false;
    if (is_encoded)
        len = codec->encode(config, message, framed, bytes_max);
    else
        memcpy(framed, message.data, message.len);
    is_good = len > 0 && is_one_message(frame, framed, (size_t)len, message);
    *ret_bytes = bytes_max;
    free(framed);
    return is_good;
}

/* All letters, digits and the blank; and one as they are sent. */
static enum status check_framing(struct verify *verify, struct weir_frame *frame)
{
    static const char alphabet[] = "0123456789 abcdefghijklmnop";
    struct sender_plan *plan = &verify->plan;
    const struct numbered numbered = { plan->run, plan->connections, 1 + plan->messages / plan->connections };
    unsigned char *message = malloc(plan->message_bytes);
    size_t wire_bytes = 0;
    bool is_good = false;

    if (!message) return fail(-ENOMEM, weir_strerror(-ENOMEM));
    for (size_t i = 0; i < plan->message_bytes; i++)
        message[i] = (unsigned char)alphabet[i % strlen(alphabet)];
    is_good = survives(frame, (struct weir_bytes){ message, plan->message_bytes }, &wire_bytes);
    numbered_write(&numbered, message, plan->message_bytes);
    is_good = is_good && survives(frame, (struct weir_bytes){ message, plan->message_bytes }, &wire_bytes);
    free(message);
    if (!is_good)
        return fail_usage(
            "messages of %zu bytes, letters, digits and blanks, do not arrive as they are in this framing: "
            "%s",
            plan->message_bytes, plan->service.send_frame ? plan->service.send_frame : plan->service.frame);
    /* A full output would stop the input, and two that wait for each other wait for ever. */
    plan->service.output_bytes_max = (int64_t)(wire_bytes * plan->depth) + 1;
    return STATUS_DONE;
}

static enum status plan_framing(struct verify *verify)
{
    struct weir_service *service = &verify->plan.service;
    struct weir_frame *frame = NULL;
    enum status status = STATUS_DONE;
    char error[256];

    if (!service->frame) service->frame = "line";
    if (weir_service_send_frame(service, &frame, error, sizeof(error))) return fail_usage("%s", error);
    if (!frame || strcmp(service->frame, "raw") == 0)
        return fail_usage("over raw a read is not a message; which framing has the server? As in: --frame line");
    status = check_framing(verify, frame);
    weir_frame_free(frame);
    return status;
}

/* ---- The plan ---- */

/* A framing of one length leaves no choice. */
static size_t usual_bytes(const struct weir_service *service)
{
    static const char fixed[] = "fixed:";
    const char *frame = service->send_frame ? service->send_frame : service->frame;

    if (!frame || strncmp(frame, fixed, strlen(fixed)) != 0) return DEFAULT_MESSAGE_BYTES;
    return strtoul(frame + strlen(fixed), NULL, 10);
}

static enum status check_size(const struct sender_plan *plan)
{
    const struct numbered longest = { plan->run, plan->connections, 1 + plan->messages / plan->connections };
    const size_t least = numbered_bytes_min(&longest);

    if (plan->message_bytes >= least) return STATUS_DONE;
    return fail_usage("%zu bytes are too few for the numbers in a message; at least %zu", plan->message_bytes, least);
}

static enum status make_plan(struct verify *verify)
{
    const struct verify_options *asked = &verify->options->verify;
    struct sender_plan *plan = &verify->plan;
    const int64_t connections = asked->connections ? asked->connections : DEFAULT_CONNECTIONS;
    enum status status = STATUS_DONE;

    plan->url = verify->options->endpoints[0].url;
    plan->service = verify->options->endpoints[0].service;
    plan->service.linger_timeout_ms = WEIR_OFF; /* all that was to come has come */
    plan->messages = asked->messages ? (uint64_t)asked->messages : DEFAULT_MESSAGES;
    plan->connections = (uint64_t)connections < plan->messages ? (uint32_t)connections : (uint32_t)plan->messages;
    plan->message_bytes = asked->message_bytes ? (size_t)asked->message_bytes : usual_bytes(&plan->service);
    plan->depth = asked->depth ? (uint64_t)asked->depth : DEFAULT_DEPTH;
    plan->interval_ns = asked->rate > 0 ? 1e9 / (double)asked->rate : 0;
    plan->give_up_ms = asked->give_up_ms == WEIR_OFF ? 0 : asked->give_up_ms ? asked->give_up_ms : DEFAULT_GIVE_UP_MS;
    if (getrandom(&plan->run, sizeof(plan->run), 0) != sizeof(plan->run)) return fail(-errno, weir_strerror(-errno));
    status = check_size(plan);
    return status == STATUS_DONE ? plan_framing(verify) : status;
}

/* What the options ask for together, or that they cannot be together. */
static enum status check(const struct verify *verify)
{
    const struct options *options = verify->options;
    const struct verify_options *asked = &options->verify;

    if (!asked->ledger) return fail_usage("write down where? As in: --ledger ledger.txt");
    if (asked->check && !asked->store) return fail_usage("check which store? As in: --store 8000.db");
    if (asked->check && options->endpoint_count)
        return fail_usage("--check sends nothing: leave %s out", options->endpoints[0].url);
    if (asked->check) return STATUS_DONE;
    if (asked->store) return fail_usage("--store is for --check: without it only the server touches its store");
    if (!options->endpoint_count) return fail_usage("verify what? As in: weir verify --ledger ledger.txt 8000");
    if (verify->url.kind == WEIR_URL_TCP && !verify->url.port)
        return fail_usage("connect to which port? 0 is only for listening, and takes a free one");
    return STATUS_DONE;
}

/* ---- Sending ---- */

static enum status check_room(const struct verify *verify)
{
    struct weir_counters counters = { .size = sizeof(counters) };

    weir_counters(verify->weir, &counters);
    if (verify->plan.connections <= counters.clients_max) return STATUS_DONE;
    return fail_usage("-c %" PRIu32 ": there is room for %llu connections (descriptor limit %llu; ulimit -n raises it)",
                      verify->plan.connections, (unsigned long long)counters.clients_max, descriptors_limit());
}

static enum status start(struct verify *verify)
{
    const struct weir_config config = WEIR_CONFIG(.on_turn = sender_on_turn, .user = &verify->sender);
    char error[LEDGER_ERROR_BYTES_MAX];
    enum status status = STATUS_DONE;
    int err = weir_new(&config, &verify->weir);

    if (err) return fail(err, weir_error_text(NULL));
    status = check_room(verify);
    if (status != STATUS_DONE) return status;
    err = ledger_open(verify->options->verify.ledger, &verify->ledger, error);
    if (err) return fail(err, error);
    err = sender_start(&verify->sender, &verify->plan, verify->ledger, verify->weir);
    if (!err) return STATUS_DONE;
    status = fail(err, weir_error_text(verify->weir));
    return err == WEIR_ERESOLVE ? STATUS_NO_ROUTE : status;
}

/* ---- What came of it ---- */

/* Why the last connection ended, or could not be made. */
static enum status say_reason(const struct verify *verify)
{
    const struct sender *sender = &verify->sender;

    if (!weir_reason_is_error(sender->reason))
        return verdict_say_text(STATUS_FAILED, verify->target,
                                "closed each connection, and has acknowledged nothing more");
    return verdict_say(sender->reason, sender->error, &verify->url);
}

static enum status judge(const struct verify *verify)
{
    const struct sender *sender = &verify->sender;
    char sentence[SENTENCE_BYTES_MAX];

    switch (sender->end) {
    case SENDER_DONE:
    case SENDER_INTERRUPTED:
        return STATUS_DONE;
    case SENDER_UNACKNOWLEDGED:
        return verdict_say_text(STATUS_FAILED, verify->target,
                                "the server does not acknowledge; start it with --ack {seq}");
    case SENDER_GAVE_UP:
        if (sender->was_open)
            return verdict_say_text(STATUS_TIMED_OUT, verify->target, "nothing was acknowledged any more");
        return say_reason(verify);
    case SENDER_NEVER_THERE:
        return say_reason(verify);
    case SENDER_WRONG:
        return verdict_say_text(STATUS_FAILED, verify->target, sender->sentence);
    case SENDER_BROKEN:
        break;
    }
    snprintf(sentence, sizeof(sentence), "ledger %.400s: %s", verify->options->verify.ledger,
             weir_strerror(sender->error));
    return fail(sender->error, sentence);
}

static void add_seconds(struct line *line, const struct sender *sender)
{
    const double seconds = (double)(sender->end_ns - sender->start_ns) / 1e9;

    line_addf(line, " in %.2f s, %.0f/s\n", seconds, seconds > 0 ? (double)sender->acknowledged / seconds : 0);
}

static enum status print(const struct verify *verify)
{
    const struct sender *sender = &verify->sender;
    const struct sender_plan *plan = &verify->plan;
    struct line line = { 0 };
    enum status status = STATUS_DONE;

    if (!sender->opened) return STATUS_DONE;
    line_addf(&line, "run %08" PRIx32 ": ", plan->run);
    line_add_count(&line, plan->connections, "connection");
    line_add_text(&line, " to ");
    render_sentence(&line, verify->target, strlen(verify->target));
    line_add_text(&line, ", ");
    line_add_count(&line, plan->message_bytes, "byte");
    line_addf(&line, " a message, framing %.100s\n\n", plan->service.frame);
    line_add_text(&line, "acknowledged  ");
    line_add_count(&line, sender->acknowledged, "message");
    add_seconds(&line, sender);
    line_add_text(&line, "sent          ");
    line_add_count(&line, sender->sent, "message");
    line_addf(&line, ", %" PRIu64 " of them again\n", sender->sent_again);
    line_add_text(&line, "connections   ");
    line_addf(&line, "%" PRIu64 " opened, %" PRIu64 " lost\n", sender->opened, sender->lost);
    status = line.failed ? fail(-ENOMEM, weir_strerror(-ENOMEM)) : STATUS_DONE;
    if (status == STATUS_DONE) fwrite(line.bytes, 1, line.len, stdout);
    line_fini(&line);
    return status == STATUS_DONE ? status_stdout() : status;
}

static enum status run(struct verify *verify)
{
    const int err = weir_run(verify->weir);
    enum status printed = STATUS_DONE;
    enum status judged = STATUS_DONE;

    sender_stop(&verify->sender);
    /* -ETIMEDOUT: at the end somebody did not take what it had been sent; it is not acknowledged. */
    if (err && err != -ETIMEDOUT) return fail(err, weir_error_text(verify->weir));
    printed = print(verify);
    judged = judge(verify);
    return judged != STATUS_DONE ? judged : printed;
}

static enum status send_messages(struct verify *verify)
{
    enum status status = make_plan(verify);

    if (status != STATUS_DONE) return status;
    descriptors_raise_limit();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a ledger over a quota is an error, and no end */
    status = start(verify);
    if (status == STATUS_DONE) status = run(verify);
    sender_stop(&verify->sender);
    weir_free(verify->weir);
    sender_fini(&verify->sender);
    ledger_close(verify->ledger);
    return status;
}

enum status verify_run(const struct options *options)
{
    struct verify verify = { .options = options };
    enum status status = STATUS_DONE;

    if (options->endpoint_count) {
        weir_url_parse(options->endpoints[0].url, &verify.url, NULL, 0);
        verdict_target(&verify.url, verify.target);
    }
    status = check(&verify);
    if (status != STATUS_DONE) return status;
    return options->verify.check ? audit_run(options) : send_messages(&verify);
}

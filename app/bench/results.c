/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Adds up what the workers found and tells it. Must never show a figure that was not measured:
 * what has no value is left out for people, and null in JSON. */
#include "results.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "text/encoding.h"
#include "text/json.h"
#include "text/render.h"

/* ---- Errors ---- */

static const char *const error_keys[BENCH_ERROR_COUNT] = {
#define BENCH_ERROR_KEY(name, key, text) key,
    BENCH_ERRORS(BENCH_ERROR_KEY)
#undef BENCH_ERROR_KEY
};

static const char *const error_texts[BENCH_ERROR_COUNT] = {
#define BENCH_ERROR_TEXT(name, key, text) text,
    BENCH_ERRORS(BENCH_ERROR_TEXT)
#undef BENCH_ERROR_TEXT
};

enum bench_error bench_error_of(enum weir_reason reason, bool was_open)
{
    switch ((int)reason) {
    case WEIR_REASON_REFUSED:
        return BENCH_ERROR_REFUSED;
    case WEIR_REASON_UNREACHABLE:
        return BENCH_ERROR_UNREACHABLE;
    case WEIR_REASON_CONNECT_TIMEOUT:
        return BENCH_ERROR_CONNECT_TIMEOUT;
    case WEIR_REASON_RESET:
        return was_open ? BENCH_ERROR_RESET : BENCH_ERROR_CONNECT;
    case WEIR_REASON_LOST:
        return BENCH_ERROR_LOST;
    case WEIR_REASON_IDLE:
    case WEIR_REASON_FRAME_TIMEOUT:
    case WEIR_REASON_WRITE_TIMEOUT:
        return BENCH_ERROR_TIMEOUT;
    case WEIR_REASON_TOO_LONG:
        return BENCH_ERROR_TOO_LONG;
    case WEIR_REASON_MALFORMED:
        return BENCH_ERROR_MALFORMED;
    case WEIR_REASON_PEER_CLOSED:
    case WEIR_REASON_CLOSED:
    case WEIR_REASON_KICKED:
    case WEIR_REASON_DRAIN:
        return BENCH_ERROR_CLOSED;
    default:
        return was_open ? BENCH_ERROR_OTHER : BENCH_ERROR_CONNECT;
    }
}

/* ---- Adding up ---- */

void bench_results_merge(struct bench_results *results, const struct bench_results *other)
{
    results->seconds = other->seconds > results->seconds ? other->seconds : results->seconds;
    results->connect_seconds =
        other->connect_seconds > results->connect_seconds ? other->connect_seconds : results->connect_seconds;
    results->sent += other->sent;
    results->answered += other->answered;
    results->bytes_out += other->bytes_out;
    results->bytes_in += other->bytes_in;
    results->connects_done += other->connects_done;
    results->connects_failed += other->connects_failed;
    for (size_t i = 0; i < BENCH_ERROR_COUNT; i++)
        results->errors[i] += other->errors[i];
    histogram_merge(&results->latency, &other->latency);
    histogram_merge(&results->connect, &other->connect);
}

uint64_t bench_results_errors(const struct bench_results *results)
{
    uint64_t total = 0;

    for (size_t i = 0; i < BENCH_ERROR_COUNT; i++)
        total += results->errors[i];
    return total;
}

static uint64_t messages_of(const struct bench_asked *asked, const struct bench_results *results)
{
    return asked->one_way ? results->sent : results->answered;
}

static double a_second(double amount, double seconds)
{
    return seconds > 0 ? amount / seconds : 0;
}

double bench_results_rate(const struct bench_asked *asked, const struct bench_results *results)
{
    return a_second((double)messages_of(asked, results), results->seconds);
}

/* ---- Numbers for people ---- */

struct scale {
    const char *unit;
    double size;
};

/* In the largest unit that leaves at least 1, with three digits. */
static void add_scaled(struct line *line, double amount, const struct scale *scales, size_t count)
{
    size_t i = 0;

    while (i + 1 < count && amount >= scales[i + 1].size * 0.9995)
        i++;
    amount /= scales[i].size;
    if (i == 0 || amount >= 99.95)
        line_addf(line, "%.0f %s", amount, scales[i].unit);
    else
        line_addf(line, amount < 9.995 ? "%.2f %s" : "%.1f %s", amount, scales[i].unit);
}

void bench_add_time(struct line *line, double ns)
{
    static const struct scale scales[] = { { "ns", 1 }, { "us", 1e3 }, { "ms", 1e6 }, { "s", 1e9 } };

    add_scaled(line, ns, scales, sizeof(scales) / sizeof(scales[0]));
}

void bench_add_size(struct line *line, double bytes)
{
    static const struct scale scales[] = {
        { "B", 1 }, { "KiB", 1024 }, { "MiB", 1024.0 * 1024 }, { "GiB", 1024.0 * 1024 * 1024 }
    };

    add_scaled(line, bytes, scales, sizeof(scales) / sizeof(scales[0]));
}

/* "1,234": a count without its noun. */
static void add_number(struct line *line, double number)
{
    char text[COUNT_TEXT_BYTES_MAX];

    count_text((uint64_t)(number + 0.5), "", text);
    line_add(line, text, strcspn(text, " "));
}

static void add_percentile(struct line *line, const char *name, const struct histogram *histogram, unsigned permille)
{
    line_add_text(line, name);
    bench_add_time(line, (double)histogram_percentile(histogram, permille));
}

/* ---- The live line ---- */

int bench_live_init(struct bench_live *live)
{
    *live = (struct bench_live){ .then_ns = clock_ns() };
    live_init(&live->line);
    if (!live->line.is_shown) return 0;
    live->before = calloc(1, sizeof(*live->before));
    live->window = calloc(1, sizeof(*live->window));
    if (live->before && live->window) return 0;
    bench_live_fini(live);
    return -ENOMEM;
}

void bench_live_show(struct bench_live *live, const struct bench_asked *asked, const struct bench_results *results,
                     uint64_t open)
{
    const int64_t now = clock_ns();
    double messages = 0;
    struct line *line = NULL;

    if (!live->line.is_shown) return;
    histogram_since(&results->latency, &live->before->latency, live->window);
    messages = (double)(messages_of(asked, results) - messages_of(asked, live->before));
    line = live_begin(&live->line);
    add_number(line, a_second(messages, (double)(now - live->then_ns) / 1e9));
    line_add_text(line, " messages/s");
    if (live->window->count) {
        add_percentile(line, "   p50 ", live->window, 500);
        add_percentile(line, "   p99 ", live->window, 990);
    }
    line_add_text(line, "   ");
    line_add_count(line, open, "connection");
    line_add_text(line, "   ");
    line_add_count(line, bench_results_errors(results), "error");
    live_show(&live->line);
    *live->before = *results;
    live->then_ns = now;
}

void bench_live_clear(struct bench_live *live)
{
    live_clear(&live->line);
}

void bench_live_fini(struct bench_live *live)
{
    free(live->before);
    free(live->window);
    live_fini(&live->line);
    *live = (struct bench_live){ 0 };
}

/* ---- The summary ---- */

static void add_asked(struct line *line, const struct bench_asked *asked)
{
    line_add_count(line, asked->connections, "connection");
    line_add_text(line, " to ");
    render_sentence(line, asked->url, strlen(asked->url));
    line_add_text(line, ", ");
    line_add_count(line, asked->message_bytes, "byte");
    line_add_text(line, " a message, framing ");
    line_add_text(line, asked->frame);
    if (asked->one_way) line_add_text(line, ", no answers awaited");
    if (!asked->one_way && asked->rate == 0) line_addf(line, ", %llu in flight", (unsigned long long)asked->depth);
    if (asked->rate > 0) {
        line_add_text(line, ", ");
        add_number(line, asked->rate);
        line_add_text(line, " messages/s asked");
    }
    line_add_text(line, "\n\n");
}

static void add_messages(struct line *line, const struct bench_asked *asked, const struct bench_results *results)
{
    line_add_text(line, "messages    ");
    add_number(line, bench_results_rate(asked, results));
    line_add_text(line, "/s   ");
    if (!asked->one_way) {
        line_add_count(line, results->answered, "answer");
        line_add_text(line, " to ");
    }
    line_add_count(line, results->sent, "message");
    line_add_text(line, " in ");
    bench_add_time(line, results->seconds * 1e9);
    line_add_text(line, "\nbytes       ");
    bench_add_size(line, a_second((double)results->bytes_out, results->seconds));
    line_add_text(line, "/s out   ");
    bench_add_size(line, a_second((double)results->bytes_in, results->seconds));
    line_add_text(line, "/s in\n");
}

static void add_latency(struct line *line, const struct histogram *latency)
{
    if (!latency->count) return;
    add_percentile(line, "latency     p50 ", latency, 500);
    add_percentile(line, "   p90 ", latency, 900);
    add_percentile(line, "   p99 ", latency, 990);
    add_percentile(line, "   p99.9 ", latency, 999);
    add_percentile(line, "   max ", latency, 1000);
    line_add_text(line, "\n");
}

static void add_connects(struct line *line, const struct bench_results *results)
{
    line_add_text(line, "connects    ");
    if (results->connect.count) {
        add_percentile(line, "p50 ", &results->connect, 500);
        add_percentile(line, "   p99 ", &results->connect, 990);
        add_percentile(line, "   max ", &results->connect, 1000);
        line_add_text(line, "   ");
    }
    add_number(line, (double)results->connects_done);
    if (results->connect_seconds > 0) {
        line_add_text(line, " at ");
        add_number(line, a_second((double)results->connects_done, results->connect_seconds));
        line_add_text(line, "/s");
    }
    if (results->connects_failed) {
        line_add_text(line, ", ");
        add_number(line, (double)results->connects_failed);
        line_add_text(line, " failed");
    }
    line_add_text(line, "\n");
}

static void add_errors(struct line *line, const struct bench_results *results)
{
    const char *label = "errors      ";

    if (!bench_results_errors(results)) {
        line_addf(line, "%snone\n", label);
        return;
    }
    for (size_t i = 0; i < BENCH_ERROR_COUNT; i++) {
        if (!results->errors[i]) continue;
        line_add_text(line, label);
        add_number(line, (double)results->errors[i]);
        line_addf(line, " x %s\n", error_texts[i]);
        label = "            ";
    }
}

void bench_results_add_text(struct line *line, const struct bench_asked *asked, const struct bench_results *results)
{
    add_asked(line, asked);
    add_messages(line, asked, results);
    add_latency(line, &results->latency);
    add_connects(line, results);
    add_errors(line, results);
}

/* ---- JSON ---- */

static void add_percentile_json(struct line *line, const char *name, const struct histogram *histogram,
                                unsigned permille)
{
    if (histogram->count)
        line_addf(line, "\"%s\":%.3f,", name, (double)histogram_percentile(histogram, permille) / 1e3);
    else
        line_addf(line, "\"%s\":null,", name);
}

static void add_histogram_json(struct line *line, const char *name, const struct histogram *histogram)
{
    line_addf(line, "\"%s\":{", name);
    add_percentile_json(line, "p50", histogram, 500);
    add_percentile_json(line, "p90", histogram, 900);
    add_percentile_json(line, "p99", histogram, 990);
    add_percentile_json(line, "p99_9", histogram, 999);
    add_percentile_json(line, "max", histogram, 1000);
    if (histogram->count)
        line_addf(line, "\"mean\":%.3f,", histogram_mean_ns(histogram) / 1e3);
    else
        line_add_text(line, "\"mean\":null,");
    line_addf(line, "\"count\":%llu}", (unsigned long long)histogram->count);
}

static void add_errors_json(struct line *line, const struct bench_results *results)
{
    line_add_text(line, "\"errors\":{");
    for (size_t i = 0; i < BENCH_ERROR_COUNT; i++)
        line_addf(line, "\"%s\":%llu,", error_keys[i], (unsigned long long)results->errors[i]);
    line_addf(line, "\"total\":%llu}", (unsigned long long)bench_results_errors(results));
}

static void add_text_json(struct line *line, const char *name, const char *text)
{
    line_addf(line, "\"%s\":", name);
    json_add_string(line, NULL, (struct weir_bytes){ (const unsigned char *)text, strlen(text) });
    line_add_text(line, ",");
}

static void add_asked_json(struct line *line, const struct bench_asked *asked)
{
    line_add_text(line, "\"asked\":{");
    add_text_json(line, "url", asked->url);
    add_text_json(line, "frame", asked->frame);
    line_addf(line, "\"connections\":%llu,\"depth\":%llu,\"message_bytes\":%llu,",
              (unsigned long long)asked->connections, (unsigned long long)asked->depth,
              (unsigned long long)asked->message_bytes);
    line_addf(line, "\"rate\":%.3f,\"seconds\":%.3f,\"messages\":%llu,\"one_way\":%s}", asked->rate, asked->seconds,
              (unsigned long long)asked->messages, asked->one_way ? "true" : "false");
}

void bench_results_add_json(struct line *line, const struct bench_asked *asked, const struct bench_results *results)
{
    const double bytes = (double)results->bytes_out + (double)results->bytes_in;

    line_addf(line, "\"messages_per_second\":%.3f,\"bytes_per_second\":%.3f,\"seconds\":%.6f,",
              bench_results_rate(asked, results), a_second(bytes, results->seconds), results->seconds);
    line_addf(line, "\"sent\":%llu,\"answered\":%llu,\"bytes_out\":%llu,\"bytes_in\":%llu,",
              (unsigned long long)results->sent, (unsigned long long)results->answered,
              (unsigned long long)results->bytes_out, (unsigned long long)results->bytes_in);
    add_histogram_json(line, "latency_us", &results->latency);
    line_addf(line, ",\"connects\":%llu,\"connects_failed\":%llu,", (unsigned long long)results->connects_done,
              (unsigned long long)results->connects_failed);
    add_histogram_json(line, "connect_us", &results->connect);
    line_add_text(line, ",");
    add_errors_json(line, results);
    line_add_text(line, ",");
    add_asked_json(line, asked);
}

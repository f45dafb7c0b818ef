/* SPDX-License-Identifier: BSD-3-Clause
 *
 * compare/weir_commit.c: the store alone, as the writer uses it: transactions of so many messages, one behind the other
 * or at fixed times, and the log moved to the database between two of them. What a commit takes, what moving the log
 * takes, and what a message costs in CPU time. */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/crc32c.h"
#include "load/histogram.h"
#include "store/folder.h"
#include "store/store.h"

enum { CONNECTIONS = 10 };

static struct {
    unsigned long messages, per_commit, message_bytes;
    double seconds;   /* 0: as long as `messages` say */
    double rate;      /* commits a second; 0: one behind the other */
    long log_bytes;   /* the log is moved when it is as long as this; 0: never */
    const char *path; /* of the store: a new one */
} options = { .messages = 1000000, .per_commit = 1000, .message_bytes = 128, .log_bytes = 16 * 1024 * 1024 };

static struct {
    struct histogram adding, commit, checkpoint;
    uint64_t messages;
} result;

static struct head heads[CONNECTIONS];

static void die(const char *what, const char *why)
{
    fprintf(stderr, "weir_commit: %s: %s\n", what, why);
    exit(1);
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec time;

    clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * 1000000000U + (uint64_t)time.tv_nsec;
}

static struct store *open_store(void)
{
    char error[STORE_ERROR_BYTES_MAX] = "";
    struct store *store = NULL;

    if (folder_make_file(options.path, error) || store_open(options.path, &store, error)) die("store", error);
    store_set_room(store, true);
    return store;
}

static struct batch *make_batch(void)
{
    struct batch *batch = batch_new(0, options.per_commit * record_bytes(options.message_bytes));

    if (!batch) die("batch", strerror(ENOMEM));
    for (unsigned long i = 0; i < options.per_commit; i++) {
        struct record *record = batch_add(batch, options.message_bytes);

        *record = (struct record){ .head = &heads[i % CONNECTIONS],
                                   .len = (uint32_t)options.message_bytes,
                                   .original_len = options.message_bytes,
                                   .kind = RECORD_MESSAGE,
                                   .flags = RECORD_TEXT };
        memset(record->bytes, 'a' + (int)(i % 26), options.message_bytes);
        record->crc32c = crc32c(record->bytes, options.message_bytes);
    }
    return batch;
}

static void check(struct store *store, enum store_outcome outcome)
{
    if (outcome != STORE_STORED) die("store", store_text(store));
}

static void commit_once(struct store *store, struct batch *batch)
{
    const int64_t time_us = (int64_t)(clock_ns(CLOCK_REALTIME) / 1000);
    const uint64_t begun_ns = clock_ns(CLOCK_MONOTONIC);
    uint64_t added_ns = 0;

    check(store, store_begin(store));
    for (struct record *record = batch_next(batch, NULL); record; record = batch_next(batch, record)) {
        record->time_us = time_us;
        record->seq = result.messages++ / CONNECTIONS + 1;
    }
    check(store, store_add(store, batch));
    added_ns = clock_ns(CLOCK_MONOTONIC);
    check(store, store_commit(store));
    histogram_add(&result.adding, added_ns - begun_ns);
    histogram_add(&result.commit, clock_ns(CLOCK_MONOTONIC) - added_ns);
}

static void move_log(struct store *store)
{
    const uint64_t start_ns = clock_ns(CLOCK_MONOTONIC);
    int64_t left = 0;

    if (options.log_bytes == 0 || store_log_bytes(store) < options.log_bytes) return;
    check(store, store_checkpoint(store, &left));
    histogram_add(&result.checkpoint, clock_ns(CLOCK_MONOTONIC) - start_ns);
}

static void wait_until(uint64_t due_ns)
{
    const struct timespec due = { .tv_sec = (time_t)(due_ns / 1000000000U), .tv_nsec = (long)(due_ns % 1000000000U) };

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) == EINTR) {
    }
}

static void run(struct store *store, struct batch *batch)
{
    const uint64_t start_ns = clock_ns(CLOCK_MONOTONIC);
    const uint64_t end_ns = start_ns + (uint64_t)(options.seconds * 1e9);

    for (unsigned long i = 0;
         options.seconds > 0 ? clock_ns(CLOCK_MONOTONIC) < end_ns : result.messages < options.messages; i++) {
        if (options.rate > 0) wait_until(start_ns + (uint64_t)((double)i * 1e9 / options.rate));
        commit_once(store, batch);
        move_log(store);
    }
}

static void print_quantiles(const char *name, const struct histogram *histogram)
{
    printf(",\"%s\":{\"count\":%llu,\"p50\":%.3f,\"p99\":%.3f,\"p99.9\":%.3f,\"max\":%.3f}", name,
           (unsigned long long)histogram->count, (double)histogram_quantile(histogram, 0.5) / 1e6,
           (double)histogram_quantile(histogram, 0.99) / 1e6, (double)histogram_quantile(histogram, 0.999) / 1e6,
           (double)histogram->max_ns / 1e6);
}

static void print_result(double seconds, double cpu_seconds)
{
    printf("{\"messages\":%llu,\"messages_per_second\":%.0f,\"cpu_us\":%.3f", (unsigned long long)result.messages,
           (double)result.messages / seconds, cpu_seconds / (double)result.messages * 1e6);
    print_quantiles("adding_ms", &result.adding);
    print_quantiles("commit_ms", &result.commit);
    print_quantiles("checkpoint_ms", &result.checkpoint);
    puts("}");
}

static const char usage[] =
    "usage: weir_commit [-n MESSAGES | -d SECONDS] [-b MESSAGES_A_COMMIT] [-s BYTES] [-r COMMITS_A_SECOND]\n"
    "                   [-l LOG_BYTES] PATH\n"
    "  -l  move the log to the database when it is as long as this; 0: never\n";

static void read_options(int argc, char **argv)
{
    int option = 0;

    while ((option = getopt(argc, argv, "n:d:b:s:r:l:")) != -1) {
        switch (option) {
        case 'n':
            options.messages = strtoul(optarg, NULL, 10);
            break;
        case 'd':
            options.seconds = strtod(optarg, NULL);
            break;
        case 'b':
            options.per_commit = strtoul(optarg, NULL, 10);
            break;
        case 's':
            options.message_bytes = strtoul(optarg, NULL, 10);
            break;
        case 'r':
            options.rate = strtod(optarg, NULL);
            break;
        case 'l':
            options.log_bytes = strtol(optarg, NULL, 10);
            break;
        default:
            die("options", usage);
        }
    }
    if (optind + 1 != argc || options.per_commit == 0) die("options", usage);
    options.path = argv[optind];
}

int main(int argc, char **argv)
{
    struct store *store = NULL;
    struct batch *batch = NULL;
    uint64_t start_ns = 0, cpu_ns = 0;

    read_options(argc, argv);
    for (unsigned i = 0; i < CONNECTIONS; i++)
        heads[i].connection = i + 1;
    store = open_store();
    batch = make_batch();
    start_ns = clock_ns(CLOCK_MONOTONIC);
    cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    run(store, batch);
    print_result((double)(clock_ns(CLOCK_MONOTONIC) - start_ns) / 1e9,
                 (double)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_ns) / 1e9);
    store_close(store);
    free(batch);
    return 0;
}

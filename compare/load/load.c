/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The load: a bare epoll client, one thread, that keeps a server busy in one of a few ways and says in JSON what came
 * of it. It runs on no engine, ours least of all, so that it measures every server alike. What returns is compared
 * byte for byte with what was sent: a server that loses, adds or changes a byte fails the run. It must never be the
 * bottleneck: pin it to a core of its own. */
#include "load.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct options options = { .connections = 100, .depth = 1, .message_bytes = 128, .seconds = 2 };

void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

uint64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000U + (uint64_t)time.tv_nsec;
}

static void print_quantiles(const char *name, const struct histogram *histogram)
{
    printf(",\"%s\":{\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"p99.9\":%.1f,\"max\":%.1f}", name,
           (double)histogram_quantile(histogram, 0.5) / 1e3, (double)histogram_quantile(histogram, 0.9) / 1e3,
           (double)histogram_quantile(histogram, 0.99) / 1e3, (double)histogram_quantile(histogram, 0.999) / 1e3,
           (double)histogram->max_ns / 1e3);
}

static void print_result(const struct result *result)
{
    printf("{\"connections\":%lu,\"depth\":%lu,\"message_bytes\":%zu,\"messages\":%llu,\"seconds\":%.6f,"
           "\"messages_per_second\":%.0f",
           options.connections, options.depth, options.message_bytes, (unsigned long long)result->messages,
           result->seconds, (double)result->messages / result->seconds);
    if (result->is_paced) {
        print_quantiles("latency_us", &result->latency);
        print_quantiles("late_us", &result->late);
    }
    puts("}");
    fflush(stdout);
}

static void run(double seconds, double rate)
{
    static struct result result; /* too large for a stack */

    memset(&result, 0, sizeof(result));
    switch (options.mode) {
    case MODE_ECHO:
        if (rate > 0)
            run_paced(seconds, rate, &result);
        else
            run_closed(seconds, &result);
        break;
    case MODE_ONE_WAY:
        run_one_way(seconds, &result);
        break;
    case MODE_FANOUT:
        run_fanout(seconds, &result);
        break;
    case MODE_CHURN:
        run_churn(seconds, &result);
        break;
    }
    print_result(&result);
}

static void serve_control(void)
{
    char line[64];
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin)) {
        char *rest;
        const double seconds = strtod(line, &rest);
        const double rate = strtod(rest, NULL);
        run(seconds, rate > 0 ? rate : options.rate);
    }
}

static const char usage[] =
    "usage: load [-c CONNECTIONS] [-p IN_FLIGHT] [-s BYTES] [-d SECONDS | -n MESSAGES] [--rate N]\n"
    "            [--rest US] [--one-way | --fanout | --churn | --answers KIND] [--control] PORT\n"
    "\n"
    "The server answers each message with the same bytes, unless:\n"
    "  --one-way  it answers nothing, and closes a connection once it has read it to the end\n"
    "  --fanout   it answers every connection\n"
    "  --churn    each connection is for one message only\n"
    "  --answers numbers   it answers the nth message of a connection with the line n\n"
    "  --answers redis     it is Redis; a message is added to the stream `weir`\n"
    "  --answers nats      it is NATS; a message goes to the subject `weir`, which a JetStream stream acknowledges\n"
    "\n"
    "  --rate N   N messages a second at fixed times, and their latency from then; without: as fast as they return\n"
    "  --rest US  at a rate, sleep so long when nothing has come back, and leave the core to the server; without: "
    "look\n"
    "             again at once while messages follow closely\n"
    "  --control  connect, print `ready`, then run once for each line of standard input, which says how many seconds\n"
    "             (0: one message a connection and place in flight) and may say a rate; hold the connections until it\n"
    "             ends\n";

__attribute__((noreturn)) static void die_of_usage(void)
{
    fputs(usage, stderr);
    exit(2);
}

static unsigned long number(const char *text, unsigned long max)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (end == text || *end != '\0' || value < 1 || value > max) die_of_usage();
    return value;
}

enum { OPTION_CONTROL = 256, OPTION_RATE, OPTION_ONE_WAY, OPTION_FANOUT, OPTION_CHURN, OPTION_ANSWERS, OPTION_REST };

static const struct option long_options[] = {
    { "control", no_argument, NULL, OPTION_CONTROL }, { "rate", required_argument, NULL, OPTION_RATE },
    { "one-way", no_argument, NULL, OPTION_ONE_WAY }, { "fanout", no_argument, NULL, OPTION_FANOUT },
    { "churn", no_argument, NULL, OPTION_CHURN },     { "answers", required_argument, NULL, OPTION_ANSWERS },
    { "rest", required_argument, NULL, OPTION_REST }, { NULL, 0, NULL, 0 },
};

static enum answers answers_named(const char *name)
{
    if (strcmp(name, "numbers") == 0) return ANSWERS_NUMBERS;
    if (strcmp(name, "redis") == 0) return ANSWERS_REDIS;
    if (strcmp(name, "nats") == 0) return ANSWERS_NATS;
    die_of_usage();
}

static void read_option(int option)
{
    switch (option) {
    case 'c':
        options.connections = number(optarg, 1000000);
        break;
    case 'p':
        options.depth = number(optarg, 65536);
        break;
    case 's':
        options.message_bytes = number(optarg, 1 << 20);
        break;
    case 'd':
        options.seconds = strtod(optarg, NULL);
        break;
    case 'n':
        options.messages = number(optarg, 1000000000000);
        break;
    case OPTION_RATE:
        options.rate = (double)number(optarg, 100000000);
        break;
    case OPTION_REST:
        options.rest_us = number(optarg, 100000);
        break;
    case OPTION_ONE_WAY:
        options.mode = MODE_ONE_WAY;
        break;
    case OPTION_FANOUT:
        options.mode = MODE_FANOUT;
        break;
    case OPTION_CHURN:
        options.mode = MODE_CHURN;
        break;
    case OPTION_ANSWERS:
        options.answers = answers_named(optarg);
        break;
    case OPTION_CONTROL:
        options.control = true;
        break;
    default:
        die_of_usage();
    }
}

static void read_options(int argc, char **argv)
{
    int option;
    while ((option = getopt_long(argc, argv, "c:p:s:d:n:", long_options, NULL)) != -1)
        read_option(option);
    if (optind + 1 != argc) die_of_usage();
    if (options.mode != MODE_ECHO && (options.rate > 0 || options.answers != ANSWERS_SAME)) die_of_usage();
    if (options.mode != MODE_ECHO && options.mode != MODE_ONE_WAY && options.messages > 0) die_of_usage();
    options.port = (in_port_t)number(argv[optind], 65535);
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    connections_init();
    if (options.mode == MODE_ECHO || options.mode == MODE_FANOUT) connections_open();
    if (options.control)
        serve_control();
    else
        run(options.seconds, options.rate);
    return 0;
}

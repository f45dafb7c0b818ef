/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The load: a bare epoll client that keeps a number of messages in flight on each of its connections and counts what
 * comes back. It runs on no engine, ours least of all, so that it measures every server alike. Each byte that returns
 * is compared with the byte that was sent, and a run ends only when everything sent has returned: a server that loses,
 * adds or changes a byte fails the run. It owns its connections and nothing else, and must never be the bottleneck:
 * pin it to a core of its own. */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { RECEIVE_BYTES = 256 * 1024, EVENTS_MAX = 512, STALLED_MS = 10000 };

struct connection {
    int fd;
    bool wants_write;  /* the socket refused bytes */
    uint64_t sent;     /* bytes */
    uint64_t received; /* bytes */
    uint64_t to_send;  /* bytes: what `sent` should reach */
};

static struct {
    unsigned long connections;
    unsigned long depth;
    size_t message_bytes;
    uint64_t messages; /* 0: as long as `seconds` say */
    double seconds;
    bool control;
    in_port_t port;
} options = { .connections = 100, .depth = 1, .message_bytes = 128, .seconds = 2 };

static int epoll_fd;
static struct connection *connections;
static unsigned char received[RECEIVE_BYTES];
static unsigned char *pattern; /* whole messages, one behind the other: any stretch of the stream lies in it */
static size_t pattern_bytes;
static uint64_t run_started;  /* messages */
static uint64_t run_returned; /* messages */
static bool stopping;

__attribute__((format(printf, 1, 2), noreturn)) static void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void make_pattern(void)
{
    size_t stretch = options.depth * options.message_bytes;
    if (stretch < RECEIVE_BYTES) stretch = RECEIVE_BYTES;
    pattern_bytes = stretch + options.message_bytes;
    pattern = malloc(pattern_bytes);
    if (pattern == NULL) die("out of memory");
    for (size_t i = 0; i < pattern_bytes; i++) {
        size_t at = i % options.message_bytes;
        pattern[i] = at + 1 == options.message_bytes ? '\n' : (unsigned char)('!' + at % 89);
    }
}

static void watch(int op, struct connection *connection, uint32_t events)
{
    struct epoll_event event = { .events = events, .data.ptr = connection };
    if (epoll_ctl(epoll_fd, op, connection->fd, &event) != 0) die("epoll_ctl: %s", strerror(errno));
}

/* An address of this machine's has some 28,000 ports, of which those just closed are not free for a minute: the
 * connections share several addresses. The port is chosen only by connect (ip(7)), or each could be taken but once. */
static void choose_source(int fd)
{
    static unsigned count;
    const struct sockaddr_in source = { .sin_family = AF_INET,
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + count++ % 16) };
    int on = 1;

    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    if (bind(fd, (const struct sockaddr *)&source, sizeof(source)) != 0) die("bind: %s", strerror(errno));
}

static void open_connection(struct connection *connection)
{
    const struct sockaddr_in address = { .sin_family = AF_INET,
                                         .sin_port = htons(options.port),
                                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int on = 1;

    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->fd < 0) die("socket: %s", strerror(errno));
    choose_source(connection->fd);
    if (connect(connection->fd, (const struct sockaddr *)&address, sizeof(address)) != 0)
        die("connect to 127.0.0.1:%d: %s", options.port, strerror(errno));
    if (setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0)
        die("TCP_NODELAY: %s", strerror(errno));
    watch(EPOLL_CTL_ADD, connection, EPOLLIN);
}

static void open_connections(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0) die("getrlimit: %s", strerror(errno));
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) != 0) die("setrlimit: %s", strerror(errno));
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    connections = calloc(options.connections, sizeof(*connections));
    if (epoll_fd < 0 || connections == NULL) die("cannot start: %s", strerror(errno));
    for (unsigned long i = 0; i < options.connections; i++)
        open_connection(&connections[i]);
}

static void send_more(struct connection *connection)
{
    while (connection->sent < connection->to_send) {
        const unsigned char *bytes = pattern + connection->sent % options.message_bytes;
        ssize_t len = send(connection->fd, bytes, connection->to_send - connection->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (len < 0 && errno != EAGAIN) die("send: %s", strerror(errno));
        if (len < 0) break;
        connection->sent += (uint64_t)len;
    }
    bool wants_write = connection->sent < connection->to_send;
    if (wants_write == connection->wants_write) return;
    connection->wants_write = wants_write;
    watch(EPOLL_CTL_MOD, connection, wants_write ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

/* Puts up to count further messages in flight, fewer when the run has a fixed number and that is reached. */
static void start_messages(struct connection *connection, uint64_t count)
{
    if (options.messages > 0 && count > options.messages - run_started) count = options.messages - run_started;
    run_started += count;
    connection->to_send += count * options.message_bytes;
    send_more(connection);
}

static void on_readable(struct connection *connection)
{
    ssize_t len = recv(connection->fd, received, sizeof(received), MSG_DONTWAIT);
    if (len < 0 && errno == EAGAIN) return;
    if (len < 0) die("recv: %s", strerror(errno));
    if (len == 0) die("the server closed a connection");
    if (memcmp(received, pattern + connection->received % options.message_bytes, (size_t)len) != 0)
        die("what came back is not what was sent");

    uint64_t messages_before = connection->received / options.message_bytes;
    connection->received += (uint64_t)len;
    if (connection->received > connection->sent) die("more came back than was sent");
    uint64_t messages = connection->received / options.message_bytes - messages_before;
    run_returned += messages;
    if (!stopping && messages > 0) start_messages(connection, messages);
}

static void wait_once(int timeout_ms)
{
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(epoll_fd, events, EVENTS_MAX, timeout_ms);
    if (count < 0 && errno != EINTR) die("epoll_wait: %s", strerror(errno));
    if (count == 0) die("%llu messages did not come back", (unsigned long long)(run_started - run_returned));
    for (int i = 0; i < count; i++) {
        struct connection *connection = events[i].data.ptr;
        if (events[i].events & EPOLLOUT) send_more(connection);
        if (events[i].events & ~(uint32_t)EPOLLOUT) on_readable(connection);
    }
}

static void print_result(double took)
{
    printf("{\"connections\":%lu,\"depth\":%lu,\"message_bytes\":%zu,\"messages\":%llu,\"seconds\":%.6f,"
           "\"messages_per_second\":%.0f}\n",
           options.connections, options.depth, options.message_bytes, (unsigned long long)run_returned, took,
           (double)run_returned / took);
    fflush(stdout);
}

/* One run: keeps the connections busy until its time or its number of messages is reached, then until all of it has
 * returned. */
static void run(double seconds)
{
    double start = now();
    stopping = options.messages == 0 && seconds <= 0;
    run_started = 0;
    run_returned = 0;
    for (unsigned long i = 0; i < options.connections; i++)
        start_messages(&connections[i], options.depth);
    while (!stopping || run_returned < run_started) {
        wait_once(STALLED_MS);
        if (options.messages > 0)
            stopping = run_started == options.messages;
        else if (!stopping)
            stopping = now() - start >= seconds;
    }
    print_result(now() - start);
}

/* One run for each line of standard input, which says how many seconds; holds the connections until its end. */
static void serve_control(void)
{
    char line[64];
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin) != NULL)
        run(strtod(line, NULL));
}

static const char usage[] =
    "usage: load [-c CONNECTIONS] [-p IN_FLIGHT] [-s BYTES] [-d SECONDS | -n MESSAGES] [--control] PORT\n"
    "\n"
    "  --control  connect, print `ready`, then run once for each line of standard input, which says how many seconds\n"
    "             (0: one message a connection and place in flight); hold the connections until it ends\n";

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

static void read_options(int argc, char **argv)
{
    static const struct option long_options[] = { { "control", no_argument, NULL, 'C' }, { NULL, 0, NULL, 0 } };
    int option;
    while ((option = getopt_long(argc, argv, "c:p:s:d:n:", long_options, NULL)) != -1) {
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
        case 'C':
            options.control = true;
            break;
        default:
            die_of_usage();
        }
    }
    if (optind + 1 != argc) die_of_usage();
    options.port = (in_port_t)number(argv[optind], 65535);
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    make_pattern();
    open_connections();
    if (options.control)
        serve_control();
    else
        run(options.seconds);
    return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the helper programs of the flow tests share. Nothing here decides what a test is about. */
#include "service_kit.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

void kit_fail(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    flockfile(stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    funlockfile(stderr);
    va_end(arguments);
    exit(1);
}

void kit_event(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    flockfile(stdout);
    vprintf(format, arguments);
    putchar('\n');
    fflush(stdout);
    funlockfile(stdout);
    va_end(arguments);
}

const char *kit_text(struct weir_bytes bytes, char ret[KIT_TEXT_BYTES])
{
    size_t len = bytes.len < KIT_TEXT_BYTES ? bytes.len : KIT_TEXT_BYTES - 1;

    for (size_t i = 0; i < len; i++) {
        const unsigned char byte = bytes.data[i];
        ret[i] = byte < ' ' || byte > '~' || byte == '"' || byte == '\\' ? '.' : (char)byte;
    }
    ret[len] = '\0';
    return ret;
}

int64_t kit_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void kit_wait_ms(int64_t ms)
{
    struct timespec left = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        continue;
}

void kit_announce(const struct weir_listener *listener)
{
    char address[WEIR_ADDRESS_BYTES_MAX];

    for (unsigned i = 0; weir_listener_address(listener, i, address) == 0; i++)
        fprintf(stderr, "listening on %s\n", address);
}

/* ---- Signals ---- */

enum { STOP_WITHIN_MS = 8000 };

static struct event *signal_events[2];

static void on_signal(evutil_socket_t number, short what, void *arg)
{
    (void)number;
    (void)what;
    weir_stop(arg, STOP_WITHIN_MS);
}

void kit_signals_start(struct weir *weir)
{
    static const int numbers[] = { SIGTERM, SIGINT };

    for (unsigned i = 0; i < 2; i++) {
        signal_events[i] = evsignal_new(weir_worker_base(weir, 0), numbers[i], on_signal, weir);
        KIT_CHECK(signal_events[i] && event_add(signal_events[i], NULL) == 0);
    }
}

void kit_signals_stop(void)
{
    for (unsigned i = 0; i < 2; i++)
        event_free(signal_events[i]);
}

/* ---- Standard input ---- */

static struct {
    pthread_t thread;
    int end_fd; /* readable: the thread is to end */
    void (*on_line)(char *line);
    char buffer[8192];
    size_t len;
} input;

static void take_lines(void)
{
    char *begin = input.buffer;
    char *newline;

    while ((newline = memchr(begin, '\n', (size_t)(input.buffer + input.len - begin)))) {
        *newline = '\0';
        input.on_line(begin);
        begin = newline + 1;
    }
    input.len -= (size_t)(begin - input.buffer);
    memmove(input.buffer, begin, input.len);
    KIT_CHECK(input.len < sizeof(input.buffer));
}

static void *read_input(void *arg)
{
    struct pollfd waits[] = { { .fd = STDIN_FILENO, .events = POLLIN }, { .fd = input.end_fd, .events = POLLIN } };

    (void)arg;
    while (poll(waits, 2, -1) >= 0 || errno == EINTR) {
        ssize_t n;

        if (waits[1].revents != 0) break;
        if (waits[0].revents == 0) continue;
        n = read(STDIN_FILENO, input.buffer + input.len, sizeof(input.buffer) - input.len);
        if (n <= 0) break;
        input.len += (size_t)n;
        take_lines();
    }
    return NULL;
}

void kit_input_start(void (*on_line)(char *line))
{
    input.on_line = on_line;
    input.end_fd = eventfd(0, EFD_CLOEXEC);
    KIT_CHECK(input.end_fd >= 0);
    KIT_CHECK(pthread_create(&input.thread, NULL, read_input, NULL) == 0);
}

void kit_input_stop(void)
{
    const uint64_t one = 1;

    KIT_CHECK(write(input.end_fd, &one, sizeof(one)) == sizeof(one));
    pthread_join(input.thread, NULL);
    close(input.end_fd);
}

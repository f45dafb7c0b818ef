/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The tutorial's client, made right: it prompts `Input:`, sends what is typed to 127.0.0.1:8000 and shows what comes
 * back. A comment that begins with "Was:" stands where the original had a fault, and says what it was and how it
 * showed.
 *
 * Build it with `cc examples/tutorial_client.c -levent -o tutorial_client`, and run `./tutorial_client [PORT]`. */
#include <arpa/inet.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

enum { OUTPUT_HIGH = 64 * 1024, WRITE_SECONDS = 30 };

struct session {
    struct event_base *base;
    struct bufferevent *bev;
    struct event *input; /* standard input has something for us; pending while we want it */
    int port;
    bool is_typed; /* standard input is a terminal: somebody wants a prompt */
    bool is_connected;
    bool input_ended;
    int status;
};

static void prompt(const struct session *session)
{
    if (session->is_typed && !session->input_ended) fputs("Input: ", stdout);
    fflush(stdout);
}

static void finish(struct session *session, int status, const char *why)
{
    if (why) fprintf(stderr, "127.0.0.1:%d: %s\n", session->port, why);
    session->status |= status;
    event_base_loopbreak(session->base);
}

static size_t unsent(const struct session *session)
{
    return evbuffer_get_length(bufferevent_get_output(session->bev));
}

/* At the end of input and once all of it has left: say so to the server (a FIN), and go on listening. To close in place
 * of that would lose the answers that are still on their way. */
static void end_when_sent(const struct session *session)
{
    if (session->input_ended && unsent(session) == 0) shutdown(bufferevent_getfd(session->bev), SHUT_WR);
}

/* Was: scanf("%s", buf) into 128 bytes, in a loop that did not look at its result. 128 bytes or more without a space
 * overran the buffer; "hello world" became two words; at the end of input (Ctrl-D) nothing was read, and the loop sent
 * the last word again and again. read says how many bytes there are, and 0 is the end.
 *
 * Was: send(fd, buf, 128, 0). "hi" was sent as 2 letters, a NUL and 125 bytes of whatever the stack held. What was
 * typed is sent, newline included: by that the server sees where a line ends. */
static void on_input(evutil_socket_t fd, short what, void *arg)
{
    struct session *session = arg;
    char buf[4096];
    const ssize_t n = read((int)fd, buf, sizeof(buf));

    if (n > 0) {
        if (bufferevent_write(session->bev, buf, (size_t)n) != 0) finish(session, 1, "out of memory");
        /* A server that does not read must not make us hold a file of any size in memory; on_write goes on. */
        if (unsent(session) >= OUTPUT_HIGH) event_del(session->input);
        prompt(session);
        return;
    }
    if (n < 0) perror("standard input");
    session->status = n < 0;
    session->input_ended = true;
    event_del(session->input);
    end_when_sent(session);
}

/* All that was written has left. */
static void on_write(struct bufferevent *bev, void *arg)
{
    struct session *session = arg;

    end_when_sent(session);
    if (!session->input_ended && event_add(session->input, NULL) != 0) finish(session, 1, "out of memory");
}

/* Answers come when they come, also while somebody types: both wait in one loop, and neither makes the other wait. */
static void on_read(struct bufferevent *bev, void *arg)
{
    struct session *session = arg;
    char buf[4096];
    size_t n;

    if (session->is_typed) fputs("\r\033[K", stdout); /* the prompt makes room */
    while ((n = bufferevent_read(bev, buf, sizeof(buf))) > 0) {
        if (fwrite(buf, 1, n, stdout) == n) continue;
        finish(session, 1, "standard output is closed");
        return;
    }
    prompt(session);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
    struct session *session = arg;

    if (what & BEV_EVENT_CONNECTED) {
        session->is_connected = true;
        if (event_add(session->input, NULL) != 0) perror("standard input");
        prompt(session);
    } else if (what & BEV_EVENT_TIMEOUT) {
        finish(session, 1, session->is_connected ? "it takes nothing any more" : "no answer");
    } else if (what & BEV_EVENT_ERROR) {
        finish(session, 1, evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR()));
    } else if (what & BEV_EVENT_EOF) {
        if (!session->input_ended || unsent(session) > 0) finish(session, 1, "the server closed");
        finish(session, session->status, NULL);
    }
}

static struct event_base *new_base(void)
{
    struct event_config *config = event_config_new();
    struct event_base *base;

    if (!config) return NULL;
    /* epoll, the usual choice on Linux, cannot wait for an ordinary file: `tutorial_client <file` would fail. */
    event_config_require_features(config, EV_FEATURE_FDS);
    base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

static int start(struct session *session)
{
    const struct timeval write_timeout = { WRITE_SECONDS, 0 }; /* for connecting too */
    struct sockaddr_in address = { .sin_family = AF_INET };

    session->base = new_base();
    if (!session->base) return -1;
    session->bev = bufferevent_socket_new(session->base, -1, BEV_OPT_CLOSE_ON_FREE);
    session->input = event_new(session->base, STDIN_FILENO, EV_READ | EV_PERSIST, on_input, session);
    if (!session->bev || !session->input) return -1;
    bufferevent_setcb(session->bev, on_read, on_write, on_event, session);
    bufferevent_set_timeouts(session->bev, NULL, &write_timeout);
    address.sin_port = htons((unsigned short)session->port); /* as in the server; swapped on both sides it "works" */
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bufferevent_enable(session->bev, EV_READ | EV_WRITE) != 0) return -1;
    return bufferevent_socket_connect(session->bev, (const struct sockaddr *)&address, sizeof(address));
}

int main(int argc, char **argv)
{
    const long port = argc > 1 ? strtol(argv[1], NULL, 10) : 8000;
    struct session session = { .port = (int)port, .is_typed = isatty(STDIN_FILENO), .status = 1 };

    if (port < 1 || port > 65535) {
        fprintf(stderr, "usage: %s [PORT]\n", argv[0]);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN); /* a write to a server that is gone shall fail, not end us without a word */
    if (start(&session) != 0)
        perror("tutorial_client");
    else
        event_base_dispatch(session.base);
    if (session.input) event_free(session.input);
    if (session.bev) bufferevent_free(session.bev);
    if (session.base) event_base_free(session.base);
    return session.status;
}

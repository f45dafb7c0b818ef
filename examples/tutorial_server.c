/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The tutorial's server, made right: libevent's listener and bufferevents on 127.0.0.1:8000. It shows what each client
 * sends and sends it back. A comment that begins with "Was:" stands where the original had a fault, and says what it
 * was and how it showed; docs/from-libevent.md has the commands that show it, and what weir does in its place.
 *
 * Build it with `cc examples/tutorial_server.c -levent -o tutorial_server`, and run `./tutorial_server [PORT
 * [IDLE_SECONDS]]`; port 0 takes a free one. */
#include <arpa/inet.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

enum {
    INPUT_MAX = 16 * 1024,   /* bytes of one client that are read and not yet handled */
    OUTPUT_HIGH = 64 * 1024, /* bytes that wait for one client: at this mark we stop reading from it */
    OUTPUT_LOW = 16 * 1024,  /* at this mark we go on */
    WRITE_SECONDS = 30,
    ACCEPT_PAUSE_SECONDS = 1
};

/* Lives in main, longer than every callback that is handed its address. */
struct server {
    struct event_base *base;
    struct evconnlistener *listener;
    struct event *accept_again;
    struct event *on_signal[2];
    struct timeval idle_timeout;
    unsigned long accepted;
    LIST_HEAD(clients, client) clients;
};

/* Was: the callbacks were handed `&fd`, the address of the accept callback's own argument. Once that callback had
 * returned, it pointed at whatever stood on the stack next, and the callbacks showed numbers that no client had. What
 * a callback is handed must live as long as the callback can run: here from on_accept to close_client. */
struct client {
    LIST_ENTRY(client) entry; /* among the server's clients */
    struct bufferevent *bev;
    unsigned long number; /* counts up; a descriptor is used again for the next client, and names nobody */
    bool has_ended;       /* it has sent its last byte; it may still want our answers */
};

/* Was: only EOF freed the bufferevent. A client that reset the connection or fell silent stayed for ever: its
 * descriptor in /proc/PID/fd, until there was none left and nobody could connect. Everyone leaves through here. */
static void close_client(struct client *client, const char *why)
{
    printf("#%lu closed: %s\n", client->number, why);
    LIST_REMOVE(client, entry);
    bufferevent_free(client->bev); /* closes the socket: BEV_OPT_CLOSE_ON_FREE. Drops what has not been sent */
    free(client);
}

/* Was: printf("%s", buf). 128 bytes fill a char[128] and leave no room for a NUL, so a message of 128 bytes was printed
 * with whatever lay behind it. Received bytes are a pointer and a length. They are also not ours: an escape code in
 * them would be obeyed by the terminal. */
static void print_bytes(const struct client *client, const char *bytes, size_t len)
{
    printf("#%lu %zu bytes: ", client->number, len);
    for (size_t i = 0; i < len; i++) {
        const unsigned char byte = (unsigned char)bytes[i];
        putchar(byte < 0x20 || byte == 0x7f ? '.' : byte);
    }
    putchar('\n');
}

/* Was: one bufferevent_read of up to 128 bytes. The rest stayed in the buffer until the client sent again, because it
 * is new bytes that cause a read event, not old ones. Read until nothing is left.
 *
 * What comes out is still not messages: TCP is a stream, and one send at the client may arrive in two reads, or two in
 * one. An echo does not care. Whoever does looks for the message's end: evbuffer_readln for lines, or weir's --frame.
 *
 * Was: no write path; the server could only listen. */
static void on_read(struct bufferevent *bev, void *arg)
{
    struct client *client = arg;
    char buf[128];
    /* Was: size_t n, and `if (0 > n)`, which no size_t is: an error looked like 18446744073709551615 bytes. libevent's
     * function has that type, and -1 comes through it all the same; a signed variable has it back. */
    ev_ssize_t n;

    while ((n = (ev_ssize_t)bufferevent_read(bev, buf, sizeof(buf))) > 0) {
        print_bytes(client, buf, (size_t)n);
        if (bufferevent_write(bev, buf, (size_t)n) != 0) n = -1;
        if (n < 0) break;
    }
    if (n < 0) {
        close_client(client, "out of memory");
        return; /* client is gone: touch it no more */
    }
    /* Was: no limit. A client that sends and never reads made the output grow until the machine had no memory. */
    if (evbuffer_get_length(bufferevent_get_output(bev)) >= OUTPUT_HIGH) bufferevent_disable(bev, EV_READ);
}

/* Called whenever the output has fallen to OUTPUT_LOW or below. */
static void on_write(struct bufferevent *bev, void *arg)
{
    struct client *client = arg;

    if (!client->has_ended) {
        if (bufferevent_enable(bev, EV_READ) != 0) close_client(client, "out of memory");
    } else if (evbuffer_get_length(bufferevent_get_output(bev)) == 0) {
        close_client(client, "it had sent all, and was sent all");
    }
}

/* Was: no timeouts; a machine that lost its power stayed connected for ever. */
static void on_event(struct bufferevent *bev, short what, void *arg)
{
    struct client *client = arg;

    if (what & BEV_EVENT_TIMEOUT) {
        close_client(client,
                     what & BEV_EVENT_READING ? "it sent nothing for too long" : "it took nothing for too long");
    } else if (what & BEV_EVENT_ERROR) {
        close_client(client, evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR()));
    } else if (what & BEV_EVENT_EOF) {
        /* The end of what the client sends (its FIN) is not the end of what it wants to hear: bufferevent_free at once
         * would drop the answers that still wait. */
        client->has_ended = true;
        on_write(bev, client);
    }
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *peer, int peer_len,
                      void *arg)
{
    const struct timeval write_timeout = { WRITE_SECONDS, 0 };
    struct server *server = arg;
    struct client *client = calloc(1, sizeof(*client));

    if (client) client->bev = bufferevent_socket_new(server->base, fd, BEV_OPT_CLOSE_ON_FREE);
    if (!client || !client->bev) {
        /* Was: exit(1). One client that could not be served ended the service for all of them. */
        fprintf(stderr, "a client was turned away: out of memory\n");
        evutil_closesocket(fd);
        free(client);
        return;
    }
    client->number = ++server->accepted;
    LIST_INSERT_HEAD(&server->clients, client, entry);
    printf("#%lu connected\n", client->number);
    bufferevent_setcb(client->bev, on_read, on_write, on_event, client);
    bufferevent_setwatermark(client->bev, EV_READ, 0, INPUT_MAX);
    bufferevent_setwatermark(client->bev, EV_WRITE, OUTPUT_LOW, 0);
    bufferevent_set_timeouts(client->bev, &server->idle_timeout, &write_timeout);
    if (bufferevent_enable(client->bev, EV_READ | EV_WRITE) != 0) close_client(client, "out of memory");
}

/* Was: no error callback. Without a free descriptor (EMFILE) accept fails, the client stays in the queue, and the
 * listener is ready again at once: a core was busy with nothing but this, and the log grew by a line each time. Stop,
 * and try again when a client may have left. */
static void on_accept_error(struct evconnlistener *listener, void *arg)
{
    const struct timeval pause = { ACCEPT_PAUSE_SECONDS, 0 };
    struct server *server = arg;

    fprintf(stderr, "accept: %s; again in %d s\n", evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR()),
            ACCEPT_PAUSE_SECONDS);
    if (event_add(server->accept_again, &pause) == 0) evconnlistener_disable(listener);
}

static void on_accept_again(evutil_socket_t fd, short what, void *arg)
{
    const struct server *server = arg;

    evconnlistener_enable(server->listener);
}

static void on_stop_signal(evutil_socket_t number, short what, void *arg)
{
    const struct server *server = arg;

    event_base_loopbreak(server->base);
}

static int start(struct server *server, unsigned short port)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    ev_socklen_t len = sizeof(address);

    /* Was: sin_port = 8000. The network wants the high byte first; without htons this listens on 16415, which is 8000
     * with its bytes swapped, and every client gets "Connection refused". `ss -ltn` shows it. */
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server->listener = evconnlistener_new_bind(server->base, on_accept, server,
                                               LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE, -1,
                                               (const struct sockaddr *)&address, sizeof(address));
    if (!server->listener) return -1;
    evconnlistener_set_error_cb(server->listener, on_accept_error);
    /* What was bound, not what was asked for: this line would have told. */
    if (getsockname(evconnlistener_get_fd(server->listener), (struct sockaddr *)&address, &len) != 0) return -1;
    fprintf(stderr, "listening on tcp://127.0.0.1:%u\n", ntohs(address.sin_port));
    return 0;
}

static int prepare(struct server *server)
{
    static const int numbers[2] = { SIGINT, SIGTERM };

    /* Was: nothing. Writing to a client that has reset the connection raises SIGPIPE, and that ends the process without
     * a word; the shell says 141. Ignored, the write fails with EPIPE, and that client alone leaves. */
    signal(SIGPIPE, SIG_IGN);
    server->base = event_base_new();
    if (!server->base) return -1;
    server->accept_again = evtimer_new(server->base, on_accept_again, server);
    if (!server->accept_again) return -1;
    for (int i = 0; i < 2; i++) {
        server->on_signal[i] = evsignal_new(server->base, numbers[i], on_stop_signal, server);
        if (!server->on_signal[i] || event_add(server->on_signal[i], NULL) != 0) return -1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    const long port = argc > 1 ? strtol(argv[1], NULL, 10) : 8000;
    const long idle_seconds = argc > 2 ? strtol(argv[2], NULL, 10) : 300;
    struct server server = { .idle_timeout = { idle_seconds, 0 } };
    int status = 1;

    if (port < 0 || port > 65535 || idle_seconds < 1) {
        fprintf(stderr, "usage: %s [PORT [IDLE_SECONDS]]\n", argv[0]);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (prepare(&server) != 0 || start(&server, (unsigned short)port) != 0)
        perror("tutorial_server");
    else
        status = event_base_dispatch(server.base) < 0;
    for (struct client *client = LIST_FIRST(&server.clients), *next = NULL; client; client = next) {
        next = LIST_NEXT(client, entry);
        close_client(client, "the server stops");
    }
    if (server.listener) evconnlistener_free(server.listener);
    for (int i = 0; i < 2; i++)
        if (server.on_signal[i]) event_free(server.on_signal[i]);
    if (server.accept_again) event_free(server.accept_again);
    if (server.base) event_base_free(server.base);
    return status;
}

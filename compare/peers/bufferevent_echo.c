/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The same echo server the way libevent's manual teaches it, at its best: evconnlistener, one bufferevent a connection,
 * and input moved to the output without a copy. A client that does not read is not read either while much waits for it,
 * and one that has ended is still sent what waits, as in libevent's sample le-proxy.c. A comparison, kept free of
 * everything that weir adds. */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

#include "listen.h"

enum { OUTPUT_BYTES_MAX = 512 * 1024 };

static void on_read(struct bufferevent *bev, void *user);
static void on_event(struct bufferevent *bev, short what, void *user);

static size_t output_bytes(struct bufferevent *bev)
{
    return evbuffer_get_length(bufferevent_get_output(bev));
}

static void on_drained(struct bufferevent *bev, void *user)
{
    (void)user;
    bufferevent_setcb(bev, on_read, NULL, on_event, NULL);
    bufferevent_enable(bev, EV_READ);
}

static void on_read(struct bufferevent *bev, void *user)
{
    (void)user;
    if (bufferevent_write_buffer(bev, bufferevent_get_input(bev)) != 0) bench_die("bufferevent_write_buffer");
    if (output_bytes(bev) < OUTPUT_BYTES_MAX) return;
    bufferevent_disable(bev, EV_READ);
    bufferevent_setcb(bev, NULL, on_drained, on_event, NULL);
}

static void on_all_sent(struct bufferevent *bev, void *user)
{
    (void)user;
    bufferevent_free(bev);
}

static void on_event(struct bufferevent *bev, short what, void *user)
{
    (void)user;
    if ((what & BEV_EVENT_ERROR) || output_bytes(bev) == 0)
        bufferevent_free(bev);
    else
        bufferevent_setcb(bev, NULL, on_all_sent, on_event, NULL);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *peer, int peer_len,
                      void *user)
{
    (void)peer;
    (void)peer_len;
    (void)user;
    struct bufferevent *bev = bufferevent_socket_new(evconnlistener_get_base(listener), fd, BEV_OPT_CLOSE_ON_FREE);
    if (!bev) bench_die("bufferevent_socket_new");
    bench_nodelay(fd);
    bufferevent_setcb(bev, on_read, NULL, on_event, NULL);
    bufferevent_enable(bev, EV_READ | EV_WRITE);
}

int main(int argc, char **argv)
{
    struct event_config *config = event_config_new();
    if (!config || event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) != 0) bench_die("event_config_new");
    struct event_base *base = event_base_new_with_config(config);
    event_config_free(config);
    if (!base) bench_die("event_base_new");
    /* backlog 0: it listens already, with the backlog that all the servers have. */
    struct evconnlistener *listener =
        evconnlistener_new(base, on_accept, NULL, LEV_OPT_CLOSE_ON_FREE, 0, bench_listen(argc, argv));
    if (!listener) bench_die("evconnlistener_new");
    event_base_dispatch(base);
    evconnlistener_free(listener);
    event_base_free(base);
    return 0;
}

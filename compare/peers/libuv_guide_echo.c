/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The same echo server as libuv's guide has it ("Networking", its TCP echo server), which is what most people who write
 * one begin with: a buffer allocated for each read, and handed on to a uv_write request for each answer. Only what the
 * guide leaves out is added: TCP_NODELAY, and a connection that is not read while its answers wait. libuv_echo.c has
 * the library at its best. */
#include <uv.h>

#include "listen.h"

struct answer {
    uv_write_t write; /* first: a request is its answer */
    uv_buf_t bytes;
};

static void check(int err, const char *what)
{
    if (err == 0) return;
    fprintf(stderr, "%s: %s\n", what, uv_strerror(err));
    exit(1);
}

static void allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    (void)handle;
    *ret = uv_buf_init(malloc(suggested), (unsigned)suggested);
}

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

static void drop(uv_stream_t *stream)
{
    if (!uv_is_closing((uv_handle_t *)stream)) uv_close((uv_handle_t *)stream, on_closed);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buffer);

static void on_written(uv_write_t *write, int status)
{
    struct answer *answer = (struct answer *)write;
    uv_stream_t *stream = write->handle;

    free(answer->bytes.base);
    free(answer);
    if (status < 0)
        drop(stream);
    else if (!uv_is_closing((uv_handle_t *)stream) && uv_stream_get_write_queue_size(stream) == 0)
        uv_read_start(stream, allocate, on_read); /* UV_EALREADY when it never stopped */
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buffer)
{
    struct answer *answer;

    if (len <= 0) {
        free(buffer->base);
        if (len < 0) drop(stream);
        return;
    }
    answer = malloc(sizeof(*answer));
    if (!answer) bench_die("malloc");
    answer->bytes = uv_buf_init(buffer->base, (unsigned)len);
    check(uv_write(&answer->write, stream, &answer->bytes, 1, on_written), "uv_write");
    if (uv_stream_get_write_queue_size(stream) > 0) uv_read_stop(stream);
}

static void on_connection(uv_stream_t *listener, int status)
{
    uv_tcp_t *client = malloc(sizeof(*client));

    check(status, "listen");
    if (!client) bench_die("malloc");
    check(uv_tcp_init(listener->loop, client), "uv_tcp_init");
    check(uv_accept(listener, (uv_stream_t *)client), "uv_accept");
    check(uv_tcp_nodelay(client, 1), "uv_tcp_nodelay");
    check(uv_read_start((uv_stream_t *)client, allocate, on_read), "uv_read_start");
}

int main(int argc, char **argv)
{
    uv_loop_t *loop = uv_default_loop();
    uv_tcp_t listener;

    check(uv_tcp_init(loop, &listener), "uv_tcp_init");
    check(uv_tcp_open(&listener, bench_listen(argc, argv)), "uv_tcp_open");
    check(uv_listen((uv_stream_t *)&listener, BENCH_BACKLOG, on_connection), "uv_listen");
    return uv_run(loop, UV_RUN_DEFAULT);
}

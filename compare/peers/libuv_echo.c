/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The same echo server on libuv at its best: one uv_tcp_t a connection, all reads into one buffer, and uv_try_write,
 * which sends at once and queues nothing. Only what the socket refuses becomes a uv_write request with bytes of its
 * own; until that has left, the connection is not read. The guide's own example allocates a buffer a read and a request
 * a write in place of this, and is slower for it. */
#include <string.h>
#include <uv.h>

#include "listen.h"

struct connection {
    uv_tcp_t tcp; /* first: a handle is its connection */
    uv_write_t write;
    char *rest; /* while a write is under way */
};

static char scratch[BENCH_READ_BYTES];

static void check(int err, const char *what)
{
    if (err == 0) return;
    fprintf(stderr, "%s: %s\n", what, uv_strerror(err));
    exit(1);
}

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

static void drop(struct connection *connection)
{
    uv_close((uv_handle_t *)&connection->tcp, on_closed);
}

static void lend_scratch(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    (void)handle;
    (void)suggested;
    *ret = uv_buf_init(scratch, sizeof(scratch));
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buffer);

static void on_written(uv_write_t *write, int status)
{
    struct connection *connection = write->data;
    free(connection->rest);
    if (status < 0 || uv_read_start((uv_stream_t *)&connection->tcp, lend_scratch, on_read) != 0) drop(connection);
}

static void write_rest(struct connection *connection, const char *bytes, size_t len)
{
    uv_stream_t *stream = (uv_stream_t *)&connection->tcp;
    connection->rest = malloc(len);
    if (!connection->rest) bench_die("malloc");
    memcpy(connection->rest, bytes, len);
    connection->write.data = connection;
    uv_read_stop(stream);
    uv_buf_t rest = uv_buf_init(connection->rest, (unsigned)len);
    check(uv_write(&connection->write, stream, &rest, 1, on_written), "uv_write");
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buffer)
{
    struct connection *connection = (struct connection *)stream;
    if (len == 0) return; /* libuv's EAGAIN */
    uv_buf_t echo = uv_buf_init(buffer->base, len < 0 ? 0 : (unsigned)len);
    int sent = len < 0 ? (int)len : uv_try_write(stream, &echo, 1);
    if (sent == UV_EAGAIN) sent = 0;
    if (sent < 0)
        drop(connection);
    else if (sent < len)
        write_rest(connection, buffer->base + sent, (size_t)(len - sent));
}

static void on_connection(uv_stream_t *listener, int status)
{
    check(status, "accept");
    struct connection *connection = calloc(1, sizeof(*connection));
    if (!connection) bench_die("calloc");
    check(uv_tcp_init(listener->loop, &connection->tcp), "uv_tcp_init");
    check(uv_accept(listener, (uv_stream_t *)&connection->tcp), "uv_accept");
    check(uv_tcp_nodelay(&connection->tcp, 1), "uv_tcp_nodelay");
    check(uv_read_start((uv_stream_t *)&connection->tcp, lend_scratch, on_read), "uv_read_start");
}

int main(int argc, char **argv)
{
    uv_loop_t *loop = uv_default_loop();
    uv_tcp_t listener;

    if (!loop) bench_die("uv_default_loop");
    check(uv_tcp_init(loop, &listener), "uv_tcp_init");
    check(uv_tcp_open(&listener, bench_listen(argc, argv)), "uv_tcp_open");
    check(uv_listen((uv_stream_t *)&listener, BENCH_BACKLOG, on_connection), "uv_listen");
    return uv_run(loop, UV_RUN_DEFAULT);
}

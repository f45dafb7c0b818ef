/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A client: sends each of its arguments as a line, ends its side, and shows the answers until the server ends too.
 * Build it from the clone with `cc examples/dial.c $(./dev flags) -o dial`, start a server with
 * `./dev run serve --frame line --reply echo`, and call it: `./dial 8000 hello 'how are you'`. */
#include <stdio.h>
#include <string.h>

#include <weir/weir.h>

/* What the callbacks are handed. In main, which outlives them all. */
struct call {
    struct weir *weir;
    char **lines; /* left to be sent; ends with NULL */
    enum weir_reason reason;
};

/* Sends until the connection has enough (1: its output has reached the high mark) and is called again once there is
 * room. Then ends our side, and only ours: the server reads all of it, answers, and ends its own. */
static void send_lines(struct weir_conn *conn, void *user)
{
    struct call *call = user;
    int result = 0;

    while (result == 0 && *call->lines) {
        const char *line = *call->lines++;
        result = weir_conn_send(conn, (struct weir_bytes){ (const unsigned char *)line, strlen(line) });
    }
    if (result < 0) {
        fprintf(stderr, "dial: cannot send: %s\n", weir_strerror(result));
        weir_conn_abort(conn, WEIR_REASON_FAILED);
    } else if (result == 0) {
        weir_conn_end(conn);
    }
}

static void on_message(struct weir_conn *conn, struct weir_bytes message, void *user)
{
    fwrite(message.data, 1, message.len, stdout);
    putchar('\n');
}

/* Once, last, and also when there was never a connection: then the reason says why. */
static void on_close(struct weir_conn *conn, enum weir_reason reason, void *user)
{
    struct call *call = user;

    call->reason = reason;
    weir_stop(call->weir, 0);
}

int main(int argc, char **argv)
{
    struct call call = { .lines = argv + 2 };
    const struct weir_service service = WEIR_SERVICE(.frame = "line", .on_open = send_lines, .on_writable = send_lines,
                                                     .on_message = on_message, .on_close = on_close, .user = &call);
    int err;

    if (argc < 2) {
        fprintf(stderr, "usage: %s URL [LINE]...\n", argv[0]);
        return 2;
    }
    err = weir_new(NULL, &call.weir);
    if (!err) err = weir_dial(call.weir, argv[1], &service, NULL, NULL);
    if (!err) err = weir_run(call.weir);
    if (err)
        fprintf(stderr, "dial: %s\n", weir_error_text(call.weir));
    else if (weir_reason_is_error(call.reason))
        fprintf(stderr, "dial: %s: %s\n", argv[1], weir_reason_text(call.reason));
    weir_free(call.weir);
    return err || weir_reason_is_error(call.reason);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * An echo server: what a client sends as a line comes back as a line. Build it from the clone with
 * `cc examples/echo.c $(./dev flags) -o echo`. */
#include <stdio.h>
#include <weir/weir.h>

static void on_message(struct weir_conn *conn, struct weir_bytes message, void *user)
{
    weir_conn_send(conn, message);
}

int main(void)
{
    struct weir *weir = NULL;
    const struct weir_service echo = WEIR_SERVICE(.frame = "line", .on_message = on_message);
    int err = weir_new(NULL, &weir);
    if (!err) err = weir_listen(weir, "tcp://127.0.0.1:8000", &echo, NULL);
    if (!err) err = weir_run(weir);
    if (err) fprintf(stderr, "%s\n", weir_error_text(weir));
    weir_free(weir);
    return err != 0;
}

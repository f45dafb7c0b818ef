/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The fan-out of peers/epoll_fanout.c on libweir: each message of 1,024 bytes that anybody sends goes to every
 * connection, its sender included. */
#include <weir/weir.h>

#include "peers/listen.h"

static void on_message(struct weir_conn *conn, struct weir_bytes message, void *user)
{
    (void)user;
    /* Refused only when more waits for the worker than its mailbox holds. A stream with a hole helps nobody. */
    if (weir_broadcast(weir_conn_weir(conn), NULL, message) != 0) weir_conn_abort(conn, WEIR_REASON_NONE);
}

int main(int argc, char **argv)
{
    const struct weir_service fanout = WEIR_SERVICE(.frame = "fixed:1024", .on_message = on_message);
    struct weir *weir = NULL;
    char url[32];

    /* Before weir_new, which counts the descriptors that there are. */
    snprintf(url, sizeof(url), "fd:%d", bench_listen(argc, argv));
    int err = weir_new(NULL, &weir);
    if (!err) err = weir_listen(weir, url, &fanout, NULL);
    if (!err) err = weir_run(weir);
    if (err) fprintf(stderr, "weir_fanout: %s\n", weir_error_text(weir));
    weir_free(weir);
    return err != 0;
}

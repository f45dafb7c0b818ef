/* SPDX-License-Identifier: BSD-3-Clause
 *
 * An engine with one client, a plain socket of this process, and a timer that goes through the steps of a test. */
#ifndef ONE_CLIENT_H
#define ONE_CLIENT_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include <weir/weir.h>

enum { STEP_MS = 20 };

static struct {
    struct weir *weir;
    struct weir_conn *conn;
    void (*on_step)(void); /* every STEP_MS, and until the engine is stopped */
    unsigned steps, messages, closed;
    enum weir_reason reason; /* of the close */
    int client;
    char url[64];
    struct weir_listener *listener;
} test;

static void (*before_run)(void); /* once the listener is there; may be NULL */

static inline void on_open(struct weir_conn *conn, void *user)
{
    (void)user;
    test.conn = conn;
}

static inline void on_close(struct weir_conn *conn, enum weir_reason reason, void *user)
{
    (void)conn;
    (void)user;
    test.conn = NULL;
    test.reason = reason;
    test.closed++;
}

static void step(struct weir_timer *timer, void *arg)
{
    (void)timer;
    (void)arg;
    test.steps++;
    assert_in_range(test.steps, 1, 500);
    test.on_step();
}

static inline int connect_to(const char *url)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(strlen(url) - strlen("unix:") < sizeof(address.sun_path));
    strcpy(address.sun_path, url + strlen("unix:"));
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* Runs until on_step stops the engine. The client has sent `sends` before. */
static inline void run_with(const struct weir_config *config, const struct weir_service *service, const char *sends,
                            void (*on_step)(void))
{
    char folder[] = "/tmp/weir-conn-XXXXXX";
    int err;

    assert_non_null(mkdtemp(folder));
    memset(&test, 0, sizeof(test));
    snprintf(test.url, sizeof(test.url), "unix:%s/s", folder);
    test.on_step = on_step;
    assert_int_equal(weir_new(config, &test.weir), 0);
    assert_int_equal(weir_listen(test.weir, test.url, service, &test.listener), 0);
    if (before_run) before_run();
    assert_int_equal(weir_timer_start(test.weir, 0, STEP_MS, STEP_MS, step, NULL, NULL), 0);
    test.client = connect_to(test.url);
    assert_int_equal(write(test.client, sends, strlen(sends)), strlen(sends));
    err = weir_run(test.weir);
    assert_true(err == 0 || err == -ETIMEDOUT); /* the client stays, and the stop does not wait for it */
    weir_free(test.weir);
    close(test.client);
    rmdir(folder);
}

static inline void run(const struct weir_service *service, const char *sends, void (*on_step)(void))
{
    run_with(NULL, service, sends, on_step);
}

#endif

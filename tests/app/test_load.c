/* SPDX-License-Identifier: BSD-3-Clause
 *
 * How a bounded number of messages is shared by workers that send at once. The engine is played here, in one thread, so
 * that one worker can be asked, or can go on, while another is in the middle of a send. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bench/load.h"

enum { CLIENTS = 2, WORKERS = CLIENTS, MESSAGES = 5000, MESSAGE_BYTES = 100 };

/* Client i is on worker i. */
struct end {
    unsigned index;
    int result; /* of its sends */
};

static struct {
    struct load_plan plan;
    struct load load;
    struct end ends[CLIENTS];
    void (*looks[WORKERS])(struct weir_timer *timer, void *arg);
    void *look_args[WORKERS];
    uint64_t handed_over;
    void (*meanwhile)(void); /* during the next send */
} scene;

static struct weir_conn *conn_of(unsigned index)
{
    return (struct weir_conn *)&scene.ends[index];
}

/* As worker 0 sees it once all workers have told what they know. */
static bool is_all_begun(void)
{
    for (unsigned i = 0; i < WORKERS; i++)
        scene.looks[i](NULL, scene.look_args[i]);
    return load_look(&scene.load).is_all_begun;
}

/* ---- The engine. The linker leads the calls here (--wrap, ld(1)); the underscores are its ---- */

unsigned __wrap_weir_workers(const struct weir *weir);
int __wrap_weir_timer_start(struct weir *weir, unsigned worker, int64_t after_ms, int64_t every_ms,
                            void (*fn)(struct weir_timer *timer, void *arg), void *arg, struct weir_timer **ret);
int __wrap_weir_post(struct weir *weir, unsigned worker, void (*fn)(struct weir *weir, void *arg), void *arg);
int __wrap_weir_dial(struct weir *weir, const char *url, const struct weir_service *service, void *user,
                     uint64_t *ret_id);
unsigned __wrap_weir_conn_worker(const struct weir_conn *conn);
int __wrap_weir_conn_send(struct weir_conn *conn, struct weir_bytes message);
int __wrap_weir_conn_error(const struct weir_conn *conn);
void __wrap_weir_conn_counters(const struct weir_conn *conn, struct weir_conn_counters *ret);

unsigned __wrap_weir_workers(const struct weir *weir)
{
    (void)weir;
    return WORKERS;
}

int __wrap_weir_timer_start(struct weir *weir, unsigned worker, int64_t after_ms, int64_t every_ms,
                            void (*fn)(struct weir_timer *timer, void *arg), void *arg, struct weir_timer **ret)
{
    (void)weir;
    (void)after_ms;
    (void)every_ms;
    (void)ret;
    scene.looks[worker] = fn;
    scene.look_args[worker] = arg;
    return 0;
}

int __wrap_weir_post(struct weir *weir, unsigned worker, void (*fn)(struct weir *weir, void *arg), void *arg)
{
    (void)worker;
    fn(weir, arg);
    return 0;
}

int __wrap_weir_dial(struct weir *weir, const char *url, const struct weir_service *service, void *user,
                     uint64_t *ret_id)
{
    (void)weir;
    (void)url;
    (void)service;
    (void)user;
    (void)ret_id;
    return 0;
}

unsigned __wrap_weir_conn_worker(const struct weir_conn *conn)
{
    return ((const struct end *)conn)->index;
}

int __wrap_weir_conn_send(struct weir_conn *conn, struct weir_bytes message)
{
    void (*meanwhile)(void) = scene.meanwhile;
    const int result = ((const struct end *)conn)->result;

    assert_false(is_all_begun()); /* these are not sent yet */
    scene.meanwhile = NULL;
    if (meanwhile) meanwhile();
    if (result >= 0) scene.handed_over += message.len / MESSAGE_BYTES;
    assert_true(scene.handed_over <= MESSAGES);
    return result;
}

int __wrap_weir_conn_error(const struct weir_conn *conn)
{
    (void)conn;
    return 0;
}

void __wrap_weir_conn_counters(const struct weir_conn *conn, struct weir_conn_counters *ret)
{
    (void)conn;
    memset(ret, 0, sizeof(*ret));
}

/* ---- A run that sends one-way ---- */

static void begin(void)
{
    const struct weir_service raw = WEIR_SERVICE(.frame = NULL);
    char error[MESSAGES_ERROR_BYTES_MAX];

    memset(&scene, 0, sizeof(scene));
    scene.plan = (struct load_plan){ .service = raw,
                                     .clients = CLIENTS,
                                     .depth = 1,
                                     .messages_max = MESSAGES,
                                     .lifetime_messages = UINT64_MAX,
                                     .one_way = true };
    for (unsigned i = 0; i < CLIENTS; i++)
        scene.ends[i].index = i;
    assert_int_equal(messages_make(&scene.plan.messages, &raw, MESSAGE_BYTES, error), 0);
    assert_int_equal(load_init(&scene.load, &scene.plan, NULL, "unix:/nowhere"), 0);
    assert_int_equal(load_prepare(&scene.load), 0);
    assert_int_equal(load_begin_sending(&scene.load), 0);
}

static void open_client(unsigned index)
{
    scene.load.service.on_open(conn_of(index), &scene.load.clients[index]);
}

static void finish(void)
{
    struct bench_results *results = test_calloc(1, sizeof(*results));

    assert_int_equal(scene.handed_over, MESSAGES);
    assert_true(is_all_begun());
    load_results(&scene.load, results);
    assert_int_equal(results->sent, MESSAGES);
    test_free(results);
    load_fini(&scene.load);
    messages_fini(&scene.plan.messages);
}

static void all_are_begun_once_all_are_handed_over(void **state)
{
    (void)state;
    begin();
    scene.ends[0].result = 1; /* full after each piece */
    open_client(0);
    while (scene.handed_over < MESSAGES) {
        assert_false(is_all_begun());
        scene.load.service.on_writable(conn_of(0), &scene.load.clients[0]);
    }
    finish();
}

static void what_a_closing_connection_did_not_take_is_not_begun(void **state)
{
    (void)state;
    begin();
    scene.ends[0].result = WEIR_ECLOSING;
    open_client(0);
    assert_false(is_all_begun());
    scene.load.service.on_close(conn_of(0), WEIR_REASON_RESET, &scene.load.clients[0]);
    assert_false(is_all_begun());
    open_client(1);
    finish();
}

static void open_the_other(void)
{
    open_client(1);
}

/* It is told nothing when the first gives up what it cannot send. */
static void what_one_has_no_room_for_another_sends(void **state)
{
    (void)state;
    begin();
    scene.ends[0].result = 1;
    scene.meanwhile = open_the_other;
    open_client(0);
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_are_begun_once_all_are_handed_over),
        cmocka_unit_test(what_a_closing_connection_did_not_take_is_not_begun),
        cmocka_unit_test(what_one_has_no_room_for_another_sends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

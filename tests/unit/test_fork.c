/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A process that is forked has a copy of the engine. Whenever it was forked, weir_free lets go of the copy: no
 * descriptor and no memory stays, nobody is called, and the parent never notices: it accepts on TCP and at the unix
 * socket, answers, and ends by weir_stop of another thread. All other calls are refused. */
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

#include <weir/weir.h>

enum { PATIENCE_S = 60, TEXT_MAX = 16 };

static struct {
    struct weir *weir;
    struct weir_listener *tcp, *unix_socket;
    pid_t parent;
    int is_alone;            /* this thread */
    int descriptors_before;  /* weir_new */
    _Atomic int clients;     /* whose sockets are this process's too */
    _Atomic int failures;    /* children that ended with anything but 0, and clients without an answer */
    _Atomic int calls;       /* of the program's functions */
    _Atomic int answered;    /* clients, at the end */
    struct event *own_event; /* of the program, on the loop of worker 0 */
} now;

static char folder[] = "/tmp/weir-fork-XXXXXX";
static char socket_path[sizeof(folder) + 8];

static int count_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int count = 0;

    if (!dir) abort();
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

/* In a child none may run. */
static void called(void)
{
    if (getpid() != now.parent) _exit(9);
    now.calls++;
}

/* ---- The child ---- */

/* 0 when nothing of the engine is left. */
static int let_go(void)
{
    weir_free(now.weir);
    now.weir = NULL;
    if (count_descriptors() != now.descriptors_before + now.clients) return 2;
    return access(socket_path, F_OK) == 0 ? 0 : 3;
}

/* A child is looked at for leaks at exit; not one with threads of its parent's, which the sanitizer would look for. */
static void fork_and(int (*act)(void), int is_alone)
{
    int status = 0;
    pid_t child;

    fflush(NULL);
    child = fork();
    if (child == 0) {
        alarm(PATIENCE_S);
        status = act();
        if (!is_alone) _exit(status);
        exit(status);
    }
    now.failures += child < 0 || waitpid(child, &status, 0) != child || status != 0;
}

/* ---- The server ---- */

static void on_open(struct weir_conn *conn, void *user)
{
    (void)conn;
    (void)user;
    called();
}

/* "f": forks here, in the middle of a read; "p": so that something is held, paused, and waits to leave. */
static void on_message(struct weir_conn *conn, struct weir_bytes message, void *user)
{
    (void)user;
    called();
    weir_conn_send(conn, message);
    if (message.len > 0 && message.data[0] == 'p') {
        if (now.is_alone) weir_conn_hold(conn);
        weir_conn_pause(conn, 0);
    }
    if (message.len == 0 || message.data[0] != 'f') return;
    fork_and(let_go, now.is_alone);
    if (now.is_alone) weir_stop(now.weir, 1);
}

static void on_close(struct weir_conn *conn, enum weir_reason reason, void *user)
{
    (void)conn;
    (void)reason;
    (void)user;
    called();
}

static void on_post(struct weir *weir, void *arg)
{
    (void)weir;
    (void)arg;
    called();
}

static void on_post_conn(struct weir_conn *conn, void *arg)
{
    (void)conn;
    (void)arg;
    called();
}

static void on_sent(int result, void *arg)
{
    (void)result;
    (void)arg;
    called();
}

static void on_broadcast(uint64_t sent, void *user)
{
    (void)sent;
    (void)user;
    called();
}

static void on_timer(struct weir_timer *timer, void *arg)
{
    (void)timer;
    (void)arg;
    called();
}

static void on_log(enum weir_log_level level, enum weir_log_kind kind, const char *text, void *user)
{
    (void)level;
    (void)kind;
    (void)text;
    (void)user;
    called();
}

/* Something of each kind is on its way when the process is forked. */
static void ask_for_everything(void)
{
    const struct weir_bytes text = { (const unsigned char *)"x", 1 };
    const struct weir_filter filter = WEIR_FILTER(.done = on_broadcast);
    const struct weir_service service = WEIR_SERVICE(.frame = "line", .on_open = on_open, .on_close = on_close);
    static struct weir_timer *timer;

    for (unsigned i = 0; i < weir_workers(now.weir); i++) {
        assert_int_equal(weir_post(now.weir, i, on_post, NULL), 0);
        assert_int_equal(weir_post_conn(now.weir, 1000 + i, on_post_conn, NULL), 0);
        assert_int_equal(weir_send(now.weir, 1000 + i, text, on_sent, NULL), 0);
        assert_int_equal(weir_dial(now.weir, "unix:/nobody/listens/here", &service, NULL, NULL), 0);
        assert_int_equal(weir_timer_start(now.weir, i, 0, 0, on_timer, NULL, &timer), 0);
        assert_int_equal(weir_timer_start(now.weir, i, 3600000, 5, on_timer, NULL, NULL), 0);
    }
    assert_int_equal(weir_broadcast(now.weir, &filter, text), 0);
}

static void open_server(unsigned workers)
{
    const struct weir_config config = WEIR_CONFIG(.workers = workers, .on_log = on_log, .log_level = WEIR_LOG_DEBUG);
    const struct weir_service service =
        WEIR_SERVICE(.frame = "line", .on_open = on_open, .on_message = on_message, .on_close = on_close);
    char url[sizeof(socket_path) + 8];

    memset(&now, 0, sizeof(now));
    now.parent = getpid();
    now.descriptors_before = count_descriptors();
    snprintf(url, sizeof(url), "unix:%s", socket_path);
    assert_int_equal(weir_new(&config, &now.weir), 0);
    assert_int_equal(weir_listen(now.weir, "127.0.0.1:0", &service, &now.tcp), 0);
    assert_int_equal(weir_listen(now.weir, url, &service, &now.unix_socket), 0);
    ask_for_everything();
}

/* ---- Clients ---- */

static int connect_to(const struct weir_listener *listener)
{
    const struct timeval patience = { .tv_sec = PATIENCE_S };
    struct sockaddr_in tcp_name = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct sockaddr_un unix_name = { .sun_family = AF_UNIX };
    char url[WEIR_ADDRESS_BYTES_MAX];
    const int is_tcp = listener == now.tcp;
    const int fd = socket(is_tcp ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int result;

    weir_listener_address(listener, 0, url);
    if (is_tcp) tcp_name.sin_port = htons((uint16_t)strtoul(strrchr(url, ':') + 1, NULL, 10));
    memcpy(unix_name.sun_path, socket_path, sizeof(socket_path));
    result = is_tcp ? connect(fd, (const struct sockaddr *)&tcp_name, sizeof(tcp_name))
                    : connect(fd, (const struct sockaddr *)&unix_name, sizeof(unix_name));
    if (result != 0) abort();
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    now.clients++;
    return fd;
}

static void disconnect(int fd)
{
    now.clients--;
    close(fd);
}

/* Sends a line and awaits it back. */
static int is_answered(int fd, const char *line)
{
    char text[TEXT_MAX];
    size_t len = 0;

    if (send(fd, line, strlen(line), MSG_NOSIGNAL) != (ssize_t)strlen(line)) return 0;
    while (len < strlen(line)) {
        const ssize_t n = recv(fd, text + len, sizeof(text) - len, 0);

        if (n <= 0) return 0;
        len += (size_t)n;
    }
    return memcmp(text, line, len) == 0;
}

static void ask(const struct weir_listener *listener)
{
    const int fd = connect_to(listener);

    now.answered += is_answered(fd, "hello\n");
    disconnect(fd);
}

/* The proof that the parent is as it was, and its end. */
static void *ask_both_and_stop(void *arg)
{
    (void)arg;
    ask(now.tcp);
    ask(now.unix_socket);
    weir_stop(now.weir, 10000);
    return NULL;
}

static void check_that_it_goes_on(void)
{
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, ask_both_and_stop, NULL), 0);
    assert_int_equal(weir_run(now.weir), 0);
    pthread_join(thread, NULL);
}

static void close_server(void)
{
    weir_free(now.weir);
    assert_int_equal(now.failures, 0);
    assert_int_equal(now.answered, 2);
    assert_true(now.calls > 0);
    assert_int_equal(access(socket_path, F_OK), -1);
    assert_int_equal(count_descriptors(), now.descriptors_before);
}

/* ---- When it is forked ---- */

static void before_it_runs(void **state)
{
    (void)state;
    for (unsigned workers = 1; workers <= 3; workers++) {
        open_server(workers);
        fork_and(let_go, 1);
        fork_and(let_go, 1);
        check_that_it_goes_on();
        close_server();
    }
}

static int let_grandchild_go(void)
{
    const int failed_before = now.failures;

    fork_and(let_go, 1);
    return now.failures == failed_before ? let_go() : 1;
}

static void by_a_child(void **state)
{
    (void)state;
    open_server(2);
    fork_and(let_grandchild_go, 1);
    check_that_it_goes_on();
    close_server();
}

static void *disturb_and_stop(void *arg)
{
    int fds[6];

    (void)arg;
    for (int i = 0; i < 6; i++) { /* of two workers each has some */
        fds[i] = connect_to(i % 3 == 0 ? now.unix_socket : now.tcp);
        now.failures += !is_answered(fds[i], i < 2 ? "pause\n" : "hello\n");
    }
    for (int i = 2; i < 6; i++)
        now.failures += !is_answered(fds[i], "fork\n");
    for (int i = 2; i < 6; i++)
        now.failures += !is_answered(fds[i], "again\n");
    for (int i = 0; i < 6; i++)
        disconnect(fds[i]);
    return ask_both_and_stop(NULL);
}

static void never(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
}

/* Clients that are there already are served on, too. */
static void inside_a_callback(void **state)
{
    pthread_t thread;

    (void)state;
    for (unsigned workers = 1; workers <= 2; workers++) {
        open_server(workers);
        now.own_event = event_new(weir_worker_base(now.weir, 0), SIGUSR1, EV_SIGNAL | EV_PERSIST, never, NULL);
        event_add(now.own_event, NULL);
        assert_int_equal(pthread_create(&thread, NULL, disturb_and_stop, NULL), 0);
        assert_int_equal(weir_run(now.weir), 0);
        pthread_join(thread, NULL);
        event_free(now.own_event);
        close_server();
    }
}

static int connect_and_send(const struct weir_listener *listener, const char *text)
{
    const int fd = connect_to(listener);

    now.failures += send(fd, text, strlen(text), MSG_NOSIGNAL) != (ssize_t)strlen(text);
    return fd;
}

/* Beside connections that are paused, held and in the middle of a message. */
static void inside_a_callback_without_threads(void **state)
{
    int fds[4];

    (void)state;
    open_server(1);
    now.is_alone = 1;
    fds[0] = connect_and_send(now.tcp, "pause\nmore\n");
    fds[1] = connect_and_send(now.tcp, "half of a li");
    fds[2] = connect_and_send(now.unix_socket, "pause\nmore\n");
    fds[3] = connect_and_send(now.tcp, "fork\n");
    assert_int_equal(weir_run(now.weir), -ETIMEDOUT); /* the two that hold */
    for (int i = 0; i < 4; i++)
        disconnect(fds[i]);
    now.answered = 2; /* nobody asks here */
    close_server();
}

static void *run_engine(void *arg)
{
    (void)arg;
    weir_run(now.weir);
    return NULL;
}

static void while_another_thread_runs_it(void **state)
{
    pthread_t thread;
    int idle[2];

    (void)state;
    for (unsigned workers = 1; workers <= 3; workers++) {
        open_server(workers);
        assert_int_equal(pthread_create(&thread, NULL, run_engine, NULL), 0);
        idle[0] = connect_to(now.tcp);
        idle[1] = connect_to(now.unix_socket);
        now.failures += !is_answered(idle[0], "hello\n") + !is_answered(idle[1], "hello\n");
        for (int i = 0; i < 20; i++)
            fork_and(let_go, 0);
        now.failures += !is_answered(idle[0], "hello\n") + !is_answered(idle[1], "hello\n");
        disconnect(idle[0]);
        disconnect(idle[1]);
        ask_both_and_stop(NULL);
        pthread_join(thread, NULL);
        close_server();
    }
}

static void after_it_has_run(void **state)
{
    (void)state;
    open_server(2);
    check_that_it_goes_on();
    assert_int_equal(access(socket_path, F_OK), 0);
    fork_and(let_go, 1);
    close_server();
}

/* ---- What else a child may ---- */

static int try_everything(void)
{
    const struct weir_bytes text = { (const unsigned char *)"x", 1 };
    struct weir_counters counters = { .size = sizeof(counters) };
    int wrong = 0;

    wrong += weir_run(now.weir) != WEIR_EFORKED;
    wrong += !strstr(weir_error_text(now.weir), "fork before weir_new");
    wrong += weir_set_first_id(now.weir, 5) != WEIR_EFORKED;
    wrong += weir_listen(now.weir, "127.0.0.1:0", NULL, NULL) != WEIR_EFORKED;
    wrong += weir_dial(now.weir, "127.0.0.1:1", NULL, NULL, NULL) != WEIR_EFORKED;
    wrong += weir_listener_enable(now.tcp) != WEIR_EFORKED;
    wrong += weir_listener_disable(now.tcp) != WEIR_EFORKED;
    wrong += weir_timer_start(now.weir, 0, 0, 0, on_timer, NULL, NULL) != WEIR_EFORKED;
    wrong += weir_post(now.weir, 0, on_post, NULL) != WEIR_EFORKED;
    wrong += weir_post_conn(now.weir, 1, on_post_conn, NULL) != WEIR_EFORKED;
    wrong += weir_send(now.weir, 1, text, NULL, NULL) != WEIR_EFORKED;
    wrong += weir_broadcast(now.weir, NULL, text) != WEIR_EFORKED;
    wrong += weir_worker_base(now.weir, 0) != NULL;
    weir_input_pause(now.weir);
    weir_input_resume(now.weir);
    weir_input_resume(now.weir);
    weir_conn_each(now.weir, 0, on_post_conn, NULL);
    weir_counters(now.weir, &counters);
    wrong += counters.clients_max != 0;
    weir_stop(now.weir, 1);
    return wrong != 0 ? 4 : let_go();
}

static void other_calls_are_refused(void **state)
{
    (void)state;
    open_server(1);
    fork_and(try_everything, 1);
    check_that_it_goes_on();
    close_server();
}

/* A connection's functions have no code to say it with, and reach no socket. */
static int touch(struct weir_conn *conn)
{
    weir_conn_pause(conn, 0);
    weir_conn_resume(conn, 0);
    weir_conn_hold(conn);
    weir_conn_close(conn);
    weir_conn_end(conn);
    weir_conn_abort(conn, WEIR_REASON_KICKED);
    weir_conn_release(conn);
    return weir_conn_base(conn) ? 5 : let_go();
}

static struct weir_conn *touched;

static int touch_it(void)
{
    return touch(touched);
}

static void touch_in_child(struct weir_conn *conn, struct weir_bytes message, void *user)
{
    (void)user;
    touched = conn;
    fork_and(touch_it, 0);
    weir_conn_send(conn, message);
}

static void *ask_for_a_touch(void *arg)
{
    const int fd = connect_to(arg);

    for (int i = 0; i < 3; i++)
        now.failures += !is_answered(fd, "hello\n");
    disconnect(fd);
    return ask_both_and_stop(NULL);
}

static void connections_are_not_touched(void **state)
{
    const struct weir_service service = WEIR_SERVICE(.frame = "line", .on_message = touch_in_child);
    struct weir_listener *touching = NULL;
    struct weir_listener *tcp;
    pthread_t thread;

    (void)state;
    open_server(1);
    tcp = now.tcp;
    assert_int_equal(weir_listen(now.weir, "127.0.0.1:0", &service, &touching), 0);
    now.tcp = touching;
    assert_int_equal(pthread_create(&thread, NULL, ask_for_a_touch, touching), 0);
    assert_int_equal(weir_run(now.weir), 0);
    pthread_join(thread, NULL);
    now.tcp = tcp;
    close_server();
}

static void stop_engine(struct weir *weir, void *arg)
{
    (void)arg;
    weir_stop(weir, 1);
}

/* What a child makes is its own. */
static int make_its_own(void)
{
    struct weir *weir = NULL;

    if (weir_new(NULL, &weir) != 0 || weir_listen(weir, "127.0.0.1:0", NULL, NULL) != 0) return 6;
    if (weir_post(weir, 0, stop_engine, NULL) != 0 || weir_run(weir) != 0) return 7;
    weir_free(weir);
    return let_go();
}

static void a_child_may_have_an_engine_of_its_own(void **state)
{
    (void)state;
    open_server(1);
    fork_and(make_its_own, 1);
    check_that_it_goes_on();
    close_server();
}

static int set_up(void **state)
{
    (void)state;
    alarm(10 * PATIENCE_S);
    if (!mkdtemp(folder)) return -1;
    snprintf(socket_path, sizeof(socket_path), "%s/socket", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(before_it_runs),
        cmocka_unit_test(by_a_child),
        cmocka_unit_test(inside_a_callback),
        cmocka_unit_test(inside_a_callback_without_threads),
        cmocka_unit_test(while_another_thread_runs_it),
        cmocka_unit_test(after_it_has_run),
        cmocka_unit_test(other_calls_are_refused),
        cmocka_unit_test(connections_are_not_touched),
        cmocka_unit_test(a_child_may_have_an_engine_of_its_own),
    };

    return cmocka_run_group_tests_name("fork", tests, set_up, tear_down);
}

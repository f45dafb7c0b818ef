/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The life of an engine and of its timers, seen from inside: scenes that need no client. Each checks itself; the exit
 * status says whether all that must hold held.
 *
 *   service_life SCENE */
#include "service_kit.h"

#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/single_threaded.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

/* ---- The clocks ---- */

/* The wall clock as an administrator might set it, again and again: each look finds it hours away from the last. The
 * library's calls and libevent's come here, for a program's own symbols go first. Other clocks are left alone. */
static _Atomic int jumps;

static void jump(struct timespec *ret)
{
    static _Atomic int64_t looks;
    const int64_t look = atomic_fetch_add(&looks, 1);

    ret->tv_sec += (look % 2 == 0 ? 1 : -1) * look % 1000 * 3600;
}

int clock_gettime(clockid_t clock, struct timespec *ret)
{
    const long result = syscall(SYS_clock_gettime, clock, ret);

    if (result == 0 && atomic_load(&jumps) && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) jump(ret);
    return (int)result;
}

int gettimeofday(struct timeval *restrict ret, void *restrict zone)
{
    struct timespec now;

    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    *ret = (struct timeval){ .tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000 };
    return 0;
}

/* ---- What the scenes share ---- */

static struct weir *new_weir(unsigned workers)
{
    const struct weir_config config = WEIR_CONFIG(.workers = workers);
    struct weir *weir = NULL;

    KIT_CHECK(weir_new(&config, &weir) == 0);
    return weir;
}

static int closes;

static void stop_engine(struct weir *weir, void *arg)
{
    (void)arg;
    weir_stop(weir, 1000);
}

struct ticks {
    struct weir *weir;
    struct weir_timer *timer;
    int64_t start_ms, after_ms, every_ms;
    int count, count_max;
};

static void on_tick(struct weir_timer *timer, void *arg)
{
    struct ticks *ticks = arg;
    const int64_t due_ms = ticks->start_ms + ticks->after_ms + ticks->count * ticks->every_ms;

    KIT_CHECK(timer == ticks->timer);
    KIT_CHECK(kit_now_ms() >= due_ms); /* never early */
    if (++ticks->count < ticks->count_max) return;
    KIT_CHECK(kit_now_ms() < due_ms + 1500);
    if (ticks->every_ms > 0) weir_timer_stop(timer); /* in its own callback */
    weir_stop(ticks->weir, 1000);
}

static void run_ticks(int64_t after_ms, int64_t every_ms, int count)
{
    struct ticks ticks = { .weir = new_weir(1), .after_ms = after_ms, .every_ms = every_ms, .count_max = count };

    ticks.start_ms = kit_now_ms();
    KIT_CHECK(weir_timer_start(ticks.weir, 0, after_ms, every_ms, on_tick, &ticks, &ticks.timer) == 0);
    KIT_CHECK(weir_run(ticks.weir) == 0);
    KIT_CHECK(ticks.count == count);
    weir_free(ticks.weir);
}

/* ---- Timers ---- */

static void scene_timer_once(void)
{
    run_ticks(0, 0, 1);
    run_ticks(1, 0, 1);
    run_ticks(150, 0, 1);
}

static void scene_timer_repeating(void)
{
    run_ticks(30, 7, 20);
    run_ticks(0, 1, 50);
}

static void scene_timer_wall_clock_jumps(void)
{
    atomic_store(&jumps, 1);
    run_ticks(200, 0, 1);
    run_ticks(20, 20, 10);
}

/* A callback that takes long must not make what is started after it early: the loop's clock is older than ours. */
static void start_in_slow_callback(struct weir_timer *timer, void *arg)
{
    struct ticks *ticks = arg;

    (void)timer;
    kit_wait_ms(120);
    ticks->start_ms = kit_now_ms();
    KIT_CHECK(weir_timer_start(ticks->weir, 0, ticks->after_ms, 0, on_tick, ticks, &ticks->timer) == 0);
}

static void scene_timer_started_late_in_a_turn(void)
{
    struct ticks ticks = { .weir = new_weir(1), .after_ms = 100, .count_max = 1 };

    KIT_CHECK(weir_timer_start(ticks.weir, 0, 0, 0, start_in_slow_callback, &ticks, NULL) == 0);
    KIT_CHECK(weir_run(ticks.weir) == 0);
    KIT_CHECK(ticks.count == 1);
    weir_free(ticks.weir);
}

static void never(struct weir_timer *timer, void *arg)
{
    (void)timer;
    (void)arg;
    kit_fail("a timer ran that had been stopped, or whose time had not come");
}

static void stop_other(struct weir_timer *timer, void *arg)
{
    (void)timer;
    weir_timer_stop(*(struct weir_timer **)arg);
}

static void end_scene(struct weir_timer *timer, void *arg)
{
    (void)timer;
    weir_stop(arg, 1000);
}

/* The two are due at once, so that the second waits behind the first in the loop's own queue. */
static void scene_timer_stopped_by_another(void)
{
    struct weir *weir = new_weir(1);
    struct weir_timer *victim = NULL;

    KIT_CHECK(weir_timer_start(weir, 0, 10, 0, stop_other, &victim, NULL) == 0);
    KIT_CHECK(weir_timer_start(weir, 0, 10, 5, never, NULL, &victim) == 0);
    KIT_CHECK(weir_timer_start(weir, 0, 60, 0, end_scene, weir, NULL) == 0);
    KIT_CHECK(weir_run(weir) == 0);
    weir_free(weir);
}

static void scene_timer_freed_while_it_waits(void)
{
    struct weir *weir = new_weir(2);

    KIT_CHECK(weir_timer_start(weir, 0, 60000, 0, never, NULL, NULL) == 0);
    KIT_CHECK(weir_timer_start(weir, 1, 60000, 1000, never, NULL, NULL) == 0);
    KIT_CHECK(weir_timer_start(weir, 0, 20, 0, end_scene, weir, NULL) == 0);
    KIT_CHECK(weir_run(weir) == 0);
    weir_free(weir);
}

static void scene_timer_bad_times(void)
{
    struct weir *weir = new_weir(1);

    KIT_CHECK(weir_timer_start(weir, 0, -1, 0, never, NULL, NULL) == -EINVAL);
    KIT_CHECK(weir_timer_start(weir, 0, 0, -1, never, NULL, NULL) == -EINVAL);
    KIT_CHECK(weir_timer_start(weir, 1, 0, 0, never, NULL, NULL) == -EINVAL);
    weir_timer_stop(NULL);
    weir_free(weir);
}

/* For ever is a time too, and is not now. */
static void scene_timer_for_ever(void)
{
    struct weir *weir = new_weir(1);

    KIT_CHECK(weir_timer_start(weir, 0, INT64_MAX, 0, never, NULL, NULL) == 0);
    KIT_CHECK(weir_timer_start(weir, 0, INT64_MAX, INT64_MAX, never, NULL, NULL) == 0);
    KIT_CHECK(weir_timer_start(weir, 0, 50, 0, end_scene, weir, NULL) == 0);
    KIT_CHECK(weir_run(weir) == 0);
    weir_free(weir);
}

static void on_first_of_two(struct weir_timer *timer, void *arg)
{
    struct ticks *ticks = arg;

    (void)timer;
    KIT_CHECK(++ticks->count == 1);
}

static void scene_timer_every_for_ever(void)
{
    struct ticks ticks = { .weir = new_weir(1) };

    KIT_CHECK(weir_timer_start(ticks.weir, 0, 1, INT64_MAX, on_first_of_two, &ticks, NULL) == 0);
    KIT_CHECK(weir_timer_start(ticks.weir, 0, 50, 0, end_scene, ticks.weir, NULL) == 0);
    KIT_CHECK(weir_run(ticks.weir) == 0);
    KIT_CHECK(ticks.count == 1);
    weir_free(ticks.weir);
}

/* ---- A timer that has run its only time, and whose handle is still there ---- */

struct once {
    struct weir *weir;
    struct weir_timer *timer;
    int runs;
    int stops_itself;
};

static void run_once(struct weir_timer *timer, void *arg)
{
    struct once *once = arg;

    KIT_CHECK(timer == once->timer);
    KIT_CHECK(++once->runs == 1);
    if (once->stops_itself) weir_timer_stop(timer);
}

static struct once *start_once(struct weir *weir, unsigned worker, struct once *ret)
{
    *ret = (struct once){ .weir = weir };
    KIT_CHECK(weir_timer_start(weir, worker, 0, 0, run_once, ret, &ret->timer) == 0);
    return ret;
}

static void stop_once_and_engine(struct weir_timer *timer, void *arg)
{
    struct once *once = arg;

    (void)timer;
    KIT_CHECK(once->runs == 1);
    weir_timer_stop(once->timer);
    weir_stop(once->weir, 1000);
}

/* By another timer's fn; by itself; once weir_run has returned, also another worker's; and by weir_free alone. */
static void scene_timer_stopped_after_it_ran(void)
{
    struct weir *weir = new_weir(2);
    struct once by_another, by_itself, after_the_end, never_stopped;

    start_once(weir, 0, &by_another);
    start_once(weir, 0, &by_itself)->stops_itself = 1;
    start_once(weir, 1, &after_the_end);
    start_once(weir, 0, &never_stopped);
    KIT_CHECK(weir_timer_start(weir, 0, 50, 0, stop_once_and_engine, &by_another, NULL) == 0);
    KIT_CHECK(weir_run(weir) == 0);
    weir_timer_stop(after_the_end.timer);
    weir_free(weir);
    KIT_CHECK(by_itself.runs == 1 && after_the_end.runs <= 1 && never_stopped.runs == 1);
}

static void stop_once_on_close(struct weir_conn *conn, enum weir_reason reason, void *user)
{
    struct once *once = user;

    (void)reason;
    closes++;
    weir_timer_stop(once->timer);
    weir_stop(weir_conn_weir(conn), 1000);
}

static void dial_nobody(struct weir_timer *timer, void *arg)
{
    struct once *once = arg;
    const struct weir_service service = WEIR_SERVICE(.on_close = stop_once_on_close, .user = once);

    run_once(timer, once);
    KIT_CHECK(weir_dial(once->weir, "unix:/nobody/listens/here", &service, NULL, NULL) == 0);
}

/* The usual place: a client's timer ends with the client, whether it has run, or will, and inside weir_free too. */
static void scene_timer_stopped_on_close(void)
{
    struct once once = { .weir = new_weir(1) };
    const struct weir_service service = WEIR_SERVICE(.on_close = stop_once_on_close, .user = &once);

    closes = 0;
    KIT_CHECK(weir_timer_start(once.weir, 0, 0, 0, dial_nobody, &once, &once.timer) == 0);
    KIT_CHECK(weir_run(once.weir) == 0);
    weir_free(once.weir);
    KIT_CHECK(once.runs == 1 && closes == 1);

    once = (struct once){ .weir = new_weir(1) };
    KIT_CHECK(weir_timer_start(once.weir, 0, 0, 0, never, NULL, &once.timer) == 0);
    KIT_CHECK(weir_dial(once.weir, "unix:/nobody/listens/here", &service, NULL, NULL) == 0);
    weir_free(once.weir);
    KIT_CHECK(closes == 2);
}

/* What was allocated for a timer is the program's, and still there when nothing will run any more. */
static void scene_timer_argument_stays_the_callers(void)
{
    struct weir *weir = new_weir(1);
    int *freed = malloc(sizeof(*freed));
    int *stopped = malloc(sizeof(*stopped));
    struct weir_timer *timer = NULL;

    KIT_CHECK(freed && stopped);
    KIT_CHECK(weir_timer_start(weir, 0, 0, 0, never, freed, NULL) == 0);
    KIT_CHECK(weir_timer_start(weir, 0, 0, 5, never, stopped, &timer) == 0);
    weir_timer_stop(timer);
    free(stopped);
    weir_free(weir);
    free(freed);
}

/* ---- Posting ---- */

static int posts_ran, posts_gone, letters_gone;

static void count_post(struct weir *weir, void *arg)
{
    KIT_CHECK(weir && arg == &posts_ran);
    posts_ran++;
}

static void count_gone(struct weir_conn *conn, void *arg)
{
    KIT_CHECK(!conn && arg == &posts_gone);
    posts_gone++;
}

static void count_letter(int result, void *arg)
{
    KIT_CHECK(result == -ENOENT && arg == &letters_gone);
    letters_gone++;
}

static void count_nobody(uint64_t sent, void *user)
{
    KIT_CHECK(sent == 0);
    ++*(int *)user;
}

static void on_close_drained(struct weir_conn *conn, enum weir_reason reason, void *user)
{
    KIT_CHECK(reason == WEIR_REASON_DRAIN && user == &closes);
    KIT_CHECK(weir_conn_send(conn, (struct weir_bytes){ (const unsigned char *)"late", 4 }) < 0);
    closes++;
}

static void post_one_of_each(struct weir *weir, int *broadcasts)
{
    const struct weir_bytes text = { (const unsigned char *)"hello", 5 };
    const struct weir_filter filter = WEIR_FILTER(.done = count_nobody, .user = broadcasts);

    posts_ran = posts_gone = letters_gone = 0;
    for (unsigned i = 0; i < weir_workers(weir); i++) {
        KIT_CHECK(weir_post(weir, i, count_post, &posts_ran) == 0);
        KIT_CHECK(weir_post_conn(weir, i + 1, count_gone, &posts_gone) == 0);
        KIT_CHECK(weir_send(weir, i + 1, text, count_letter, &letters_gone) == 0);
    }
    KIT_CHECK(weir_broadcast(weir, &filter, text) == 0);
}

static void check_each_ran(unsigned workers, int broadcasts)
{
    KIT_CHECK(posts_ran == (int)workers && posts_gone == (int)workers && letters_gone == (int)workers);
    KIT_CHECK(broadcasts == 1);
}

/* What was posted and never ran runs in weir_free, once, and finds nobody. */
static void scene_free_without_run(void)
{
    for (unsigned workers = 1; workers <= 3; workers++) {
        struct weir *weir = new_weir(workers);
        const struct weir_service service = WEIR_SERVICE(.on_close = on_close_drained, .user = &closes);
        struct weir_listener *listener;
        char address[WEIR_ADDRESS_BYTES_MAX];
        int broadcasts = 0;

        closes = 0;
        post_one_of_each(weir, &broadcasts);
        KIT_CHECK(weir_listen(weir, "127.0.0.1:0", NULL, &listener) == 0);
        KIT_CHECK(weir_listener_address(listener, 0, address) == 0);
        KIT_CHECK(weir_listener_disable(listener) == 0);
        KIT_CHECK(weir_dial(weir, address, &service, NULL, NULL) == 0);
        KIT_CHECK(weir_timer_start(weir, 0, 0, 0, never, NULL, NULL) == 0);
        weir_input_pause(weir);
        weir_free(weir);
        check_each_ran(workers, broadcasts);
        KIT_CHECK(closes == 1);
    }
}

static void scene_posted_after_the_end(void)
{
    for (unsigned workers = 1; workers <= 3; workers++) {
        struct weir *weir = new_weir(workers);
        int broadcasts = 0;

        KIT_CHECK(weir_post(weir, 0, stop_engine, NULL) == 0);
        KIT_CHECK(weir_run(weir) == 0);
        post_one_of_each(weir, &broadcasts);
        weir_free(weir);
        check_each_ran(workers, broadcasts);
    }
}

static void refuse(struct weir *weir, void *arg)
{
    struct weir *expected = arg;

    KIT_CHECK(weir == expected);
    KIT_CHECK(weir_post(weir, 0, refuse, arg) == WEIR_ESTOPPED); /* or it would never end */
    posts_ran++;
}

static void scene_post_from_a_post_inside_free(void)
{
    struct weir *weir = new_weir(1);

    posts_ran = 0;
    KIT_CHECK(weir_post(weir, 0, refuse, weir) == 0);
    weir_free(weir);
    KIT_CHECK(posts_ran == 1);
}

static void post_again(struct weir *weir, void *arg)
{
    int *left = arg;

    posts_ran++;
    if (--*left > 0) {
        KIT_CHECK(weir_post(weir, 0, post_again, arg) == 0);
    } else {
        weir_stop(weir, 1000);
    }
}

/* A function that posts itself again runs in a later turn, and the loop's other work has its turn in between. */
static void scene_post_from_a_post(void)
{
    struct weir *weir = new_weir(1);
    int left = 1000;

    posts_ran = 0;
    KIT_CHECK(weir_post(weir, 0, post_again, &left) == 0);
    KIT_CHECK(weir_run(weir) == 0);
    KIT_CHECK(posts_ran == 1000);
    weir_free(weir);
}

enum { ORDER_POSTS = 5000, ORDER_THREADS = 3 };

struct order {
    struct weir *weir;
    int number;
    int next;
    pthread_t thread;
};

struct numbered {
    struct order *order;
    int number;
};

static void check_order(struct weir *weir, void *arg)
{
    struct numbered *numbered = arg;
    static int done;

    KIT_CHECK(numbered->number == numbered->order->next);
    numbered->order->next++;
    free(numbered);
    if (++done == ORDER_POSTS * ORDER_THREADS) weir_stop(weir, 1000);
}

static void *post_in_order(void *arg)
{
    struct order *order = arg;

    for (int i = 0; i < ORDER_POSTS; i++) {
        struct numbered *numbered = malloc(sizeof(*numbered));
        KIT_CHECK(numbered);
        *numbered = (struct numbered){ order, i };
        KIT_CHECK(weir_post(order->weir, 1, check_order, numbered) == 0);
    }
    return NULL;
}

static void scene_posts_of_each_thread_run_in_their_order(void)
{
    struct weir *weir = new_weir(2);
    struct order orders[ORDER_THREADS];

    for (int i = 0; i < ORDER_THREADS; i++) {
        orders[i] = (struct order){ .weir = weir, .number = i };
        KIT_CHECK(pthread_create(&orders[i].thread, NULL, post_in_order, &orders[i]) == 0);
    }
    KIT_CHECK(weir_run(weir) == 0);
    for (int i = 0; i < ORDER_THREADS; i++)
        pthread_join(orders[i].thread, NULL);
    weir_free(weir);
}

/* ---- Starting and stopping ---- */

static void scene_stop_before_run(void)
{
    for (unsigned workers = 1; workers <= 3; workers++) {
        struct weir *weir = new_weir(workers);
        const struct weir_service service = WEIR_SERVICE(.on_close = on_close_drained, .user = &closes);
        struct weir_listener *listener;
        char address[WEIR_ADDRESS_BYTES_MAX];

        closes = 0;
        KIT_CHECK(weir_listen(weir, "127.0.0.1:0", NULL, &listener) == 0);
        KIT_CHECK(weir_listener_address(listener, 0, address) == 0);
        KIT_CHECK(weir_dial(weir, address, &service, NULL, NULL) == 0);
        weir_stop(weir, 0);
        weir_stop(weir, INT64_MAX); /* an absurd deadline is a far one */
        KIT_CHECK(weir_run(weir) == 0);
        weir_free(weir);
        KIT_CHECK(closes == 1);
    }
}

/* Nobody could ever bring it something to do. ThreadSanitizer has a thread of its own, so that this cannot be known. */
static void scene_run_with_nothing_to_do(void)
{
    for (unsigned workers = 1; workers <= 3 && __libc_single_threaded; workers++) {
        struct weir *weir = new_weir(workers);

        KIT_CHECK(weir_run(weir) == -EDEADLK);
        KIT_CHECK(strstr(weir_error_text(weir), "run: it would wait for ever"));
        KIT_CHECK(weir_post(weir, workers - 1, stop_engine, NULL) == 0);
        KIT_CHECK(weir_run(weir) == 0); /* it is not too late */
        weir_free(weir);
    } /* the second has had a thread, and this cannot be known any more */
}

static void stop_by_event(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    weir_stop(arg, 1000);
}

/* An event of the program's own is something to do. */
static void scene_run_for_an_event_of_its_own(void)
{
    const struct timeval soon = { .tv_usec = 1000 };
    struct weir *weir = new_weir(1);
    struct event *event = evtimer_new(weir_worker_base(weir, 0), stop_by_event, weir);

    KIT_CHECK(event && evtimer_add(event, &soon) == 0);
    KIT_CHECK(weir_run(weir) == 0);
    event_free(event);
    weir_free(weir);
}

static void wait_for_threads(int wanted)
{
    const int64_t end_ms = kit_now_ms() + 20000;
    int count = 0;

    while (count < wanted) {
        DIR *tasks = opendir("/proc/self/task");

        KIT_CHECK(tasks && kit_now_ms() < end_ms);
        for (count = -2; readdir(tasks); count++) /* less . and .. */
            continue;
        closedir(tasks);
        kit_wait_ms(1);
    }
}

/* The two threads meet only in the engine, which runs before it has anything to do. */
static void *listen_dial_and_stop(void *arg)
{
    struct weir *weir = arg;
    struct weir_listener *listener;
    char address[WEIR_ADDRESS_BYTES_MAX];

    wait_for_threads(3); /* with the second worker's: it runs */
    KIT_CHECK(weir_listen(weir, "127.0.0.1:0", NULL, &listener) == 0);
    KIT_CHECK(weir_listener_address(listener, 0, address) == 0);
    KIT_CHECK(weir_dial(weir, address, NULL, NULL, NULL) == 0);
    KIT_CHECK(weir_post(weir, 0, stop_engine, NULL) == 0);
    return NULL;
}

static void scene_run_before_another_thread_listens(void)
{
    struct weir *weir = new_weir(2);
    pthread_t thread;

    KIT_CHECK(pthread_create(&thread, NULL, listen_dial_and_stop, weir) == 0);
    KIT_CHECK(weir_run(weir) == 0);
    KIT_CHECK(pthread_join(thread, NULL) == 0);
    weir_free(weir);
}

static void scene_stop_twice_and_after_the_end(void)
{
    struct weir *weir = new_weir(2);

    KIT_CHECK(weir_post(weir, 1, stop_engine, NULL) == 0);
    KIT_CHECK(weir_post(weir, 0, stop_engine, NULL) == 0);
    KIT_CHECK(weir_run(weir) == 0);
    weir_stop(weir, 5);
    weir_stop(weir, WEIR_OFF);
    weir_free(weir);
}

enum { EARLY_CLIENTS = 3 };

/* Where the system lists the second worker's thread, for as long as it lives. */
static char other_worker[64];

static void note_thread(struct weir *weir, void *arg)
{
    _Atomic int *noted = arg;

    (void)weir;
    snprintf(other_worker, sizeof(other_worker), "/proc/self/task/%ld", (long)syscall(SYS_gettid));
    atomic_store(noted, 1);
}

/* Stops within the wake-up that accepts, and goes on accepting when the other worker has gone. */
static void stop_and_outlive_the_other(struct weir_conn *conn, void *user)
{
    const int64_t end_ms = kit_now_ms() + 20000;
    _Atomic int *noted = user;

    if (weir_conn_worker(conn) != 0) return;
    while (!atomic_load(noted))
        kit_wait_ms(1);
    weir_stop(weir_conn_weir(conn), 60000);
    while (access(other_worker, F_OK) == 0) {
        KIT_CHECK(kit_now_ms() < end_ms);
        kit_wait_ms(1);
    }
}

/* They have come, said nothing, and ended their side, before anybody accepts them. */
static void come_early(const struct weir_listener *listener, int ret[EARLY_CLIENTS])
{
    struct sockaddr_in peer = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    char address[WEIR_ADDRESS_BYTES_MAX];

    KIT_CHECK(weir_listener_address(listener, 0, address) == 0);
    peer.sin_port = htons((uint16_t)strtoul(strrchr(address, ':') + 1, NULL, 10));
    for (int i = 0; i < EARLY_CLIENTS; i++) {
        ret[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        KIT_CHECK(ret[i] >= 0 && connect(ret[i], (const struct sockaddr *)&peer, sizeof(peer)) == 0);
        KIT_CHECK(shutdown(ret[i], SHUT_WR) == 0);
    }
}

/* A client that is accepted for a worker that has ended already hears so, and not only from weir_free. Clients 1 and 3
 * are the second worker's. */
static void scene_client_for_a_worker_that_has_ended(void)
{
    struct weir *weir = new_weir(2);
    _Atomic int noted = 0;
    const struct weir_service service = WEIR_SERVICE(.on_open = stop_and_outlive_the_other, .user = &noted);
    struct weir_listener *listener;
    int clients[EARLY_CLIENTS];

    KIT_CHECK(weir_post(weir, 1, note_thread, &noted) == 0);
    KIT_CHECK(weir_listen(weir, "127.0.0.1:0", &service, &listener) == 0);
    come_early(listener, clients);
    KIT_CHECK(weir_run(weir) == 0);
    for (int i = 0; i < EARLY_CLIENTS; i++) {
        struct pollfd ends = { .fd = clients[i], .events = POLLIN };

        KIT_CHECK(poll(&ends, 1, 5000) == 1);
        close(clients[i]);
    }
    weir_free(weir);
}

static void scene_what_comes_after_the_end_is_told_so(void)
{
    struct weir *weir = new_weir(2);
    struct weir_listener *listener;

    KIT_CHECK(weir_listen(weir, "127.0.0.1:0", NULL, &listener) == 0);
    KIT_CHECK(weir_post(weir, 0, stop_engine, NULL) == 0);
    KIT_CHECK(weir_run(weir) == 0);
    KIT_CHECK(weir_listen(weir, "127.0.0.1:0", NULL, NULL) == WEIR_ESTOPPED);
    KIT_CHECK(strstr(weir_error_text(weir), "has been stopped"));
    KIT_CHECK(weir_listener_enable(listener) == WEIR_ESTOPPED);
    KIT_CHECK(strstr(weir_error_text(weir), "has been stopped"));
    KIT_CHECK(weir_listener_disable(listener) == 0);
    KIT_CHECK(weir_run(weir) == WEIR_ESTOPPED);
    KIT_CHECK(strstr(weir_error_text(weir), "has run already"));
    weir_free(weir);
}

static void stop_by_timer(struct weir_timer *timer, void *arg)
{
    (void)timer;
    weir_stop(arg, 1000);
}

static void *listen_for_ever(void *arg)
{
    struct weir *weir = arg;
    struct weir_listener *listener;
    int err = 0;

    while (err == 0) {
        err = weir_listen(weir, "127.0.0.1:0", NULL, &listener);
        for (int i = 0; i < 3 && err == 0; i++) {
            KIT_CHECK(weir_listener_disable(listener) == 0);
            err = weir_listener_enable(listener);
        }
    }
    KIT_CHECK(err == WEIR_ESTOPPED);
    return NULL;
}

/* The workers close a listener's sockets as they see the stop, whoever else has them in hand. */
static void scene_listen_while_stopping(void)
{
    for (int i = 0; i < 100; i++) {
        struct weir *weir = new_weir(2);
        pthread_t thread;

        KIT_CHECK(weir_timer_start(weir, 0, i % 3, 0, stop_by_timer, weir, NULL) == 0);
        KIT_CHECK(pthread_create(&thread, NULL, listen_for_ever, weir) == 0);
        KIT_CHECK(weir_run(weir) == 0);
        KIT_CHECK(pthread_join(thread, NULL) == 0);
        weir_free(weir);
    }
}

static void scene_bad_configs(void)
{
    struct weir *weir = NULL;
    const struct weir_config configs[] = {
        WEIR_CONFIG(.workers = 257),
        WEIR_CONFIG(.first_id = UINT64_C(1) << 53),
        WEIR_CONFIG(.clients_max = -2),
        WEIR_CONFIG(.memory_bytes_max = -2),
        WEIR_CONFIG(.mailbox_items_max = -2),
        WEIR_CONFIG(.mailbox_bytes_max = -2),
        WEIR_CONFIG(.log_level = (enum weir_log_level)99),
        { .size = 0 },
    };

    for (size_t i = 0; i < sizeof(configs) / sizeof(*configs); i++) {
        KIT_CHECK(weir_new(&configs[i], &weir) == WEIR_ECONFIG && !weir);
        KIT_CHECK(strlen(weir_error_text(NULL)) > 10);
    }
    weir_free(NULL);
}

/* The count would wrap, and nothing would ever be read again. */
static void scene_resume_without_a_pause(void)
{
    struct weir *weir = new_weir(1);

    weir_input_resume(weir);
    kit_fail("a resume that nobody owes a pause for goes by unseen");
}

static void scene_many_engines(void)
{
    for (int i = 0; i < 50; i++) {
        struct weir *weir = new_weir((unsigned)(i % 4 + 1));

        KIT_CHECK(weir_listen(weir, "127.0.0.1:0", NULL, NULL) == 0);
        KIT_CHECK(weir_post(weir, 0, stop_engine, NULL) == 0);
        if (i % 5 != 0) KIT_CHECK(weir_run(weir) == 0);
        weir_free(weir);
    }
}

/* Nothing is announced to weir_free, nor forbidden: a connection that is still open when weir_run has failed to end it
 * closes there. The dial waits in the mailbox until then. */
static void dial_again(struct weir_conn *conn, enum weir_reason reason, void *user)
{
    const struct weir_service service = WEIR_SERVICE(.on_close = dial_again, .user = &closes);

    (void)reason;
    (void)user;
    closes++;
    KIT_CHECK(weir_dial(weir_conn_weir(conn), "127.0.0.1:1", &service, NULL, NULL) == WEIR_ESTOPPED);
}

static void scene_dial_inside_free(void)
{
    struct weir *weir = new_weir(1);
    const struct weir_service service = WEIR_SERVICE(.on_close = dial_again, .user = &closes);

    closes = 0;
    KIT_CHECK(weir_dial(weir, "127.0.0.1:1", &service, NULL, NULL) == 0);
    weir_free(weir);
    KIT_CHECK(closes == 1);
}

#define SCENE(name)         \
    {                       \
#name, scene_##name \
    }

static const struct {
    const char *name;
    void (*play)(void);
} scenes[] = {
    SCENE(timer_once),
    SCENE(timer_repeating),
    SCENE(timer_wall_clock_jumps),
    SCENE(timer_started_late_in_a_turn),
    SCENE(timer_stopped_by_another),
    SCENE(timer_freed_while_it_waits),
    SCENE(timer_bad_times),
    SCENE(timer_for_ever),
    SCENE(timer_every_for_ever),
    SCENE(timer_stopped_after_it_ran),
    SCENE(timer_stopped_on_close),
    SCENE(timer_argument_stays_the_callers),
    SCENE(free_without_run),
    SCENE(posted_after_the_end),
    SCENE(post_from_a_post),
    SCENE(post_from_a_post_inside_free),
    SCENE(posts_of_each_thread_run_in_their_order),
    SCENE(stop_before_run),
    SCENE(run_with_nothing_to_do),
    SCENE(run_for_an_event_of_its_own),
    SCENE(run_before_another_thread_listens),
    SCENE(stop_twice_and_after_the_end),
    SCENE(client_for_a_worker_that_has_ended),
    SCENE(what_comes_after_the_end_is_told_so),
    SCENE(listen_while_stopping),
    SCENE(bad_configs),
    SCENE(resume_without_a_pause),
    SCENE(many_engines),
    SCENE(dial_inside_free),
};

int main(int argc, char **argv)
{
    KIT_CHECK(argc == 2);
    for (size_t i = 0; i < sizeof(scenes) / sizeof(*scenes); i++) {
        if (strcmp(scenes[i].name, argv[1]) != 0) continue;
        scenes[i].play();
        kit_event("{\"event\":\"scene\",\"name\":\"%s\"}", argv[1]);
        return 0;
    }
    kit_fail("there is no scene %s", argv[1]);
}

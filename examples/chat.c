/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A chat server: the first line that a client sends is its name, and every further line goes to everybody. Build it
 * from the clone with `cc examples/chat.c $(./dev flags) -o chat`, start it with `./chat [PORT [WORKERS]]`, and join
 * with `weir connect 8000`, in as many terminals as you like.
 *
 * What changes with two workers. Not much, and it is worth knowing why:
 *  - A connection and its `user` are still touched by one thread only, its worker's: a member needs no lock.
 *  - Callbacks of two connections may run at the same time: what members share, here the room, needs a lock.
 *  - Somebody else's connection is reached by weir_broadcast, weir_send or weir_post_conn, which any thread may call.
 *    A struct weir_conn kept from one callback and used in another connection's would be a race, and dangle at last.
 *  - There is no order between two threads unless somebody makes it. A broadcast is put into one worker's mailbox
 *    after the other; two of them at once could arrive in one order here and in the other there, and somebody would
 *    read the answer before the question. Under the lock each is in all mailboxes before the next is in any. */
#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>
#include <weir/weir.h>

enum { NAME_BYTES_MAX = 24, LINE_BYTES_MAX = 1000 };

/* One for each connection that has said its name: its `user`, from join to on_close. */
struct member {
    char name[NAME_BYTES_MAX + 1];
};

static struct weir *weir;
static pthread_mutex_t room_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned members; /* under room_lock */

/* Runs on each connection's own worker, which is why it may ask for the connection's user. */
static bool is_member(struct weir_conn *conn, void *user)
{
    return weir_conn_user(conn) != NULL;
}

/* Says something to all members. Under room_lock: weir_broadcast runs no callback, so this cannot lock itself out. */
static int __attribute__((format(printf, 1, 2))) say(const char *format, ...)
{
    static const struct weir_filter to_members = WEIR_FILTER(.match = is_member);
    char text[NAME_BYTES_MAX + LINE_BYTES_MAX + 64];
    va_list arguments;
    int len;

    va_start(arguments, format);
    len = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (len < 0) return -EINVAL;
    return weir_broadcast(weir, &to_members, (struct weir_bytes){ (unsigned char *)text, (size_t)len });
}

static void tell(struct weir_conn *conn, const char *text)
{
    weir_conn_send(conn, (struct weir_bytes){ (const unsigned char *)text, strlen(text) });
}

/* What one member sends is shown on the terminals of the others, where an escape code would be obeyed. ret has room for
 * message.len + 1 bytes. */
static void to_text(struct weir_bytes message, char *ret)
{
    for (size_t i = 0; i < message.len; i++)
        ret[i] = iscntrl(message.data[i]) ? '.' : (char)message.data[i];
    ret[message.len] = '\0';
}

static void join(struct weir_conn *conn, struct weir_bytes name)
{
    struct member *member = NULL;

    if (name.len == 0 || name.len > NAME_BYTES_MAX) {
        tell(conn, "* a name has 1 to 24 bytes; yours?");
        return;
    }
    member = malloc(sizeof(*member));
    if (!member) {
        weir_conn_abort(conn, WEIR_REASON_MEMORY);
        return;
    }
    to_text(name, member->name);
    weir_conn_set_user(conn, member);
    pthread_mutex_lock(&room_lock);
    members++;
    say("* %s is here, and that makes %u", member->name, members);
    pthread_mutex_unlock(&room_lock);
}

static void on_open(struct weir_conn *conn, void *user)
{
    tell(conn, "* your name?");
}

static void on_message(struct weir_conn *conn, struct weir_bytes message, void *user)
{
    const struct member *member = user;
    char text[LINE_BYTES_MAX + 1];
    int err;

    if (!member) {
        join(conn, message);
        return;
    }
    to_text(message, text);
    pthread_mutex_lock(&room_lock);
    err = say("%s: %s", member->name, text);
    pthread_mutex_unlock(&room_lock);
    /* The mailboxes are bounded. Everybody gets a line or nobody does, and whoever sent it must know. */
    if (err != 0) tell(conn, "* too much at once; your last line was not sent");
}

static void on_close(struct weir_conn *conn, enum weir_reason reason, void *user)
{
    struct member *member = user;

    if (!member) return; /* it never said its name */
    pthread_mutex_lock(&room_lock);
    members--;
    say("* %s is gone (%s), and that leaves %u", member->name, weir_reason_text(reason), members);
    pthread_mutex_unlock(&room_lock);
    free(member);
}

static void on_stop_signal(evutil_socket_t number, short what, void *arg)
{
    weir_stop(weir, 0);
}

/* Serves until Ctrl-C. An event of libevent's own in worker 0's loop, because a signal handler may not call
 * weir_stop. */
static int run(void)
{
    struct event *on_interrupt = evsignal_new(weir_worker_base(weir, 0), SIGINT, on_stop_signal, NULL);
    struct event *on_terminate = evsignal_new(weir_worker_base(weir, 0), SIGTERM, on_stop_signal, NULL);
    int err = -ENOMEM;

    if (on_interrupt && on_terminate && event_add(on_interrupt, NULL) == 0 && event_add(on_terminate, NULL) == 0)
        err = weir_run(weir);
    if (on_interrupt) event_free(on_interrupt);
    if (on_terminate) event_free(on_terminate);
    return err;
}

int main(int argc, char **argv)
{
    const struct weir_config config = WEIR_CONFIG(.workers = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 1);
    const struct weir_service chat =
        WEIR_SERVICE(.frame = "line", .message_bytes_max = LINE_BYTES_MAX, .too_long = WEIR_TOO_LONG_TRUNCATE,
                     .on_open = on_open, .on_message = on_message, .on_close = on_close);
    struct weir_listener *listener = NULL;
    char address[WEIR_ADDRESS_BYTES_MAX];
    int err = weir_new(&config, &weir);

    if (!err) err = weir_listen(weir, argc > 1 ? argv[1] : "8000", &chat, &listener);
    if (!err) err = weir_listener_address(listener, 0, address);
    if (!err) {
        fprintf(stderr, "listening on %s\n", address);
        err = run();
    }
    if (err) fprintf(stderr, "chat: %s\n", weir_error_text(weir));
    weir_free(weir);
    return err != 0;
}

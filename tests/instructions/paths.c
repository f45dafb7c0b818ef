/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The main paths of the engine, each lived through by a real engine in this one thread, for callgrind to count the
 * instructions of; instructions.py runs it. What weir_run executes is counted, less everything that is named script_*:
 * the transport is one that knows its bytes by heart and stands for the kernel, whose work is no instruction of ours.
 *
 *     paths [PATH...]
 *
 * says what it was compiled with and runs with, in a line; then runs each path, or those that are named, with N
 * messages and again with 2 N, and says so, as PATH<tab>N. The difference of the two runs is what N messages cost, and
 * nothing of starting and ending is in it. For a PATH that is none it says the line and no more.
 *
 * Whatever depends on time, place or chance would make the counts differ from run to run and must not be here. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <event2/event.h>
#include <gnu/libc-version.h>
#include <netinet/in.h>

#include <weir/weir.h>

#include "conn/conn.h"
#include "engine/engine.h"
#include "engine/listener.h"
#include "engine/worker.h"

enum {
    FRAME_BYTES = 128,     /* a message as it is on the wire */
    FULL_READ = 64 * 1024, /* what a read brings when the client is ahead of us */
    FDS_MAX = 512,
    BROADCAST_CLIENTS = 100,
    HOUR_MS = 60 * 60 * 1000
};

enum kind {
    DROP,      /* messages come in and are counted */
    ECHO,      /* and are sent back */
    BROADCAST, /* to all clients; a delivery is a message */
    POST,      /* a function to the connection's worker, and from there the next */
    VISIT      /* a client connects, says one message, hears it back, and leaves: all of that is a message */
};

struct path {
    const char *name;
    const char *frame;
    enum kind kind;
    size_t read_bytes; /* what a read brings */
    unsigned messages; /* N: whole reads of it, whole wake-ups, and the same for every client */
    unsigned clients;
    int64_t idle_timeout_ms;
};

/* A name says it all, because it stands in a table and in sentences. */
static const struct path paths[] = {
    { "raw, echo", "raw", ECHO, FRAME_BYTES, 1024, 1, 0 },
    { "raw, echo, 64 clients in a turn", "raw", ECHO, FRAME_BYTES, 1024, 64, 0 },
    { "raw, echo, idle timeout", "raw", ECHO, FRAME_BYTES, 1024, 1, HOUR_MS },
    { "line, echo", "line", ECHO, FRAME_BYTES, 1024, 1, 0 },
    { "line, echo, 16 a read", "line", ECHO, 16 * FRAME_BYTES, 2048, 1, 0 },
    { "line, echo, each in two reads", "line", ECHO, FRAME_BYTES / 2, 1024, 1, 0 },
    { "length:u16be, echo", "length:u16be", ECHO, FRAME_BYTES, 1024, 1, 0 },
    { "raw, dropped", "raw", DROP, FRAME_BYTES, 1024, 1, 0 },
    { "line, dropped", "line", DROP, FULL_READ, 4096, 1, 0 },
    { "delimiter:\\x03, dropped", "delimiter:\\x03", DROP, FULL_READ, 4096, 1, 0 },
    { "delimiter:\\r\\n, dropped", "delimiter:\\r\\n", DROP, FULL_READ, 4096, 1, 0 },
    { "fixed:128, dropped", "fixed:128", DROP, FULL_READ, 4096, 1, 0 },
    { "length:u16be, dropped", "length:u16be", DROP, FULL_READ, 4096, 1, 0 },
    { "varint, dropped", "varint", DROP, FULL_READ, 4096, 1, 0 },
    { "octet-count, dropped", "octet-count", DROP, FULL_READ, 4096, 1, 0 },
    { "netstring, dropped", "netstring", DROP, FULL_READ, 4096, 1, 0 },
    { "between:\\x02,\\x03, dropped", "between:\\x02,\\x03", DROP, FULL_READ, 4096, 1, 0 },
    { "slip, dropped", "slip", DROP, FULL_READ, 4096, 1, 0 },
    { "line, broadcast to 100", "line", BROADCAST, 0, 40 * BROADCAST_CLIENTS, BROADCAST_CLIENTS, 0 },
    { "weir_post_conn", "raw", POST, 0, 1024, 1, 0 },
    { "line, connect, echo, close", "line", VISIT, FRAME_BYTES, 128, 1, 0 },
};

enum { PATHS_COUNT = sizeof(paths) / sizeof(*paths) };

/* A run of a path. */
static struct {
    const struct path *path;
    unsigned wanted; /* messages */
    struct weir *weir;
    struct weir_listener *listener; /* VISIT: where the client goes */
    int client;                     /* and its socket */
    unsigned messages;
    uint64_t written;
    uint64_t opened; /* the last id */
    unsigned char frame[FRAME_BYTES];
    unsigned char script[FULL_READ]; /* the frame over and over */
    size_t at[FDS_MAX];              /* how far each client has come in the script, by its descriptor */
    unsigned visit_reads;            /* VISIT: of the present client; all but the first find its end */
} run;

static void die(const char *what, int err)
{
    fprintf(stderr, "paths: %s: %s: %s\n", run.path ? run.path->name : "start", what, weir_strerror(err));
    exit(EXIT_FAILURE);
}

/* ---- The script: what is here is not counted ---- */

/* Being counted is turned off when a function of that name begins and on again when it ends: none may call another. */

static enum weir__io script_read(struct weir__link link, unsigned char *ret, size_t room, size_t *ret_len,
                                 int *ret_error)
{
    size_t *at = &run.at[run.path->kind == VISIT ? 0 : link.fd];
    const size_t len = run.path->read_bytes;

    (void)ret_error;
    if (run.path->kind == VISIT && run.visit_reads++ > 0) return WEIR__IO_END;
    if (room < len) die("a read has no room", -ENOBUFS);
    if (*at + len > FULL_READ) *at = 0;
    memcpy(ret, run.script + *at, len);
    *at = run.path->kind == VISIT ? 0 : *at + len;
    *ret_len = len;
    return WEIR__IO_BYTES;
}

static enum weir__io script_write(struct weir__link link, const struct iovec *parts, int count, size_t *ret_len,
                                  int *ret_error)
{
    (void)link;
    (void)ret_error;
    for (int i = 0; i < count; i++)
        *ret_len += parts[i].iov_len;
    run.written += *ret_len;
    return WEIR__IO_BYTES;
}

static enum weir__io script_finish(struct weir__link link, int *ret_error)
{
    (void)link;
    (void)ret_error;
    return WEIR__IO_BYTES;
}

/* A client with one byte to say: what it says besides is in the script, and the byte stays where it is. It leaves with
 * a reset (SO_LINGER 0, socket(7)), so that no port stays behind it. */
static void visit(void)
{
    const struct linger none = { .l_onoff = 1, .l_linger = 0 };
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    char url[WEIR_ADDRESS_BYTES_MAX];

    run.visit_reads = 0;
    if (run.client >= 0) close(run.client);
    weir_listener_address(run.listener, 0, url);
    address.sin_port = htons((in_port_t)strtoul(strrchr(url, ':') + 1, NULL, 10));
    run.client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (run.client < 0 || setsockopt(run.client, SOL_SOCKET, SO_LINGER, &none, sizeof(none)) != 0 ||
        connect(run.client, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
        send(run.client, "x", 1, MSG_NOSIGNAL) != 1)
        die("connect", -errno);
}

static void script_close(struct weir__link link)
{
    close(link.fd);
    if (run.path->kind == VISIT && run.messages < run.wanted) visit();
}

static const struct weir__transport script = {
    .name = "script",
    .is_plain = true,
    .read = script_read,
    .write = script_write,
    .finish = script_finish,
    .close = script_close,
};

/* Time stands still, for us and for libevent, which calls this too: what is done with a time depends on which it is. */
int clock_gettime(clockid_t clock, struct timespec *ret)
{
    (void)clock;
    *ret = (struct timespec){ .tv_sec = 1000, .tv_nsec = 500 * 1000 * 1000 };
    return 0;
}

/* ---- What the engine's user does: counted ---- */

static void count_message(void)
{
    if (++run.messages == run.wanted) weir_stop(run.weir, 0);
}

static void on_dropped(struct weir_conn *conn, struct weir_bytes message, void *user)
{
    (void)conn;
    (void)message;
    (void)user;
    count_message();
}

static void on_echoed(struct weir_conn *conn, struct weir_bytes message, void *user)
{
    (void)user;
    weir_conn_send(conn, message);
    count_message();
}

static void on_posted(struct weir_conn *conn, void *arg)
{
    (void)arg;
    count_message();
    if (run.messages < run.wanted) weir_post_conn(run.weir, weir_conn_id(conn), on_posted, NULL);
}

/* The message as the codec hands it out: a frame less its framing. */
static struct weir_bytes message;

static void broadcast(struct weir *weir, void *arg);

static void on_broadcast(uint64_t sent, void *user)
{
    (void)user;
    run.messages += (unsigned)sent;
    if (run.messages < run.wanted) {
        weir_post(run.weir, 0, broadcast, NULL);
    } else {
        weir_stop(run.weir, 0);
    }
}

static void broadcast(struct weir *weir, void *arg)
{
    struct weir_filter filter = WEIR_FILTER(.done = on_broadcast);

    (void)arg;
    weir_broadcast(weir, &filter, message);
}

static void on_close(struct weir_conn *conn, enum weir_reason reason, void *user)
{
    (void)conn;
    (void)user;
    if (reason != WEIR_REASON_DRAIN && !(run.path->kind == VISIT && reason == WEIR_REASON_PEER_CLOSED))
        die(weir_reason_text(reason), 0);
}

/* ---- A run ---- */

/* A frame of FRAME_BYTES, made by the codec itself around a message as long as then fits. */
static void write_script(const char *spec)
{
    static unsigned char text[FRAME_BYTES];
    struct weir_frame *frame = NULL;
    const struct weir_codec *codec;
    ssize_t len = 0;

    if (weir_frame_new(spec, &frame, NULL, 0) != 0) die(spec, WEIR_EFRAME);
    codec = weir_frame_codec(frame);
    memset(text, 'm', sizeof(text));
    message = (struct weir_bytes){ text, sizeof(text) };
    memcpy(run.frame, text, sizeof(text));
    while (codec->encode && weir_frame_is_sendable(frame) && message.len > 0) {
        unsigned char framed[4 * FRAME_BYTES];

        len = codec->encode(weir_frame_config(frame), message, framed, sizeof(framed));
        if (len == FRAME_BYTES) {
            memcpy(run.frame, framed, FRAME_BYTES);
            break;
        }
        message.len--;
    }
    if (message.len == 0) die("no frame has the length", WEIR_EFRAME);
    weir_frame_free(frame);
    for (size_t at = 0; at < FULL_READ; at += FRAME_BYTES)
        memcpy(run.script + at, run.frame, FRAME_BYTES);
}

/* A connection as a listener makes it, but for its socket: a descriptor that can always be read, or never, and always
 * be written, in its place. */
static void open_conn(struct weir__service *service)
{
    const struct weir__peer peer = { 0 };
    const int fd = eventfd(run.path->read_bytes > 0, EFD_NONBLOCK | EFD_CLOEXEC);

    if (fd < 0 || fd >= FDS_MAX) die("eventfd", -errno);
    weir__admission_force_place(&run.weir->admission);
    run.opened = weir__take_id(run.weir);
    weir__conn_accepted(service, fd, &peer, run.opened);
}

static struct weir__service *open_service(const struct path *path)
{
    const struct weir_service wanted =
        WEIR_SERVICE(.frame = path->frame, .on_message = path->kind == DROP ? on_dropped : on_echoed,
                     .on_close = on_close, .idle_timeout_ms = path->idle_timeout_ms,
                     .linger_timeout_ms = WEIR_OFF /* some of these peers never end */);
    struct weir__service *service = NULL;

    if (path->kind == VISIT) {
        const int err = weir_listen(run.weir, "127.0.0.1:0", &wanted, &run.listener);

        if (err != 0) die(weir_error_text(run.weir), err);
        weir__listener_set_transport(run.listener, &script, NULL);
        visit();
        return NULL;
    }
    if (weir__service_new(run.weir->workers[0], &wanted, &service) != 0) die(weir_error_text(run.weir), -ENOMEM);
    service->transport = &script;
    for (unsigned i = 0; i < path->clients; i++)
        open_conn(service);
    return service;
}

/* What was measured is what it says it is, or the count is worthless. */
static void check_run(const struct path *path)
{
    const uint64_t wanted = run.wanted * (uint64_t)FRAME_BYTES;

    if (run.messages < run.wanted || run.messages >= 2 * run.wanted) die("other messages came", -EPROTO);
    if (path->kind != DROP && path->kind != POST && run.written != run.messages * wanted / run.wanted)
        die("other bytes left", -EPROTO);
}

static void live(const struct path *path, unsigned messages)
{
    struct weir__service *service;
    int err;

    memset(&run, 0, sizeof(run));
    run.path = path;
    run.wanted = messages;
    run.client = -1;
    write_script(path->frame);
    err = weir_new(NULL, &run.weir);
    if (err != 0) die(weir_error_text(NULL), err);
    service = open_service(path);
    if (path->kind == POST) weir_post_conn(run.weir, run.opened, on_posted, NULL);
    if (path->kind == BROADCAST) weir_post(run.weir, 0, broadcast, NULL);
    err = weir_run(run.weir);
    if (err != 0) die(weir_error_text(run.weir), err);
    check_run(path);
    weir__service_release(service);
    weir_free(run.weir);
    if (run.client >= 0) close(run.client);
}

static void print_key(void)
{
#ifdef __clang__
    const char *name = "clang";
    const int major = __clang_major__, minor = __clang_minor__, patch = __clang_patchlevel__;
#else
    const char *name = "gcc";
    const int major = __GNUC__, minor = __GNUC_MINOR__, patch = __GNUC_PATCHLEVEL__;
#endif

    printf("%s %d.%d.%d, libevent %s, glibc %s\n", name, major, minor, patch, event_get_version(),
           gnu_get_libc_version());
}

static int is_wanted(const char *name, char **wanted)
{
    if (!*wanted) return 1;
    while (*wanted && strcmp(name, *wanted) != 0)
        wanted++;
    return *wanted != NULL;
}

int main(int argc, char **argv)
{
    (void)argc;
    print_key();
    for (int i = 0; i < PATHS_COUNT; i++) {
        if (!is_wanted(paths[i].name, argv + 1)) continue;
        live(&paths[i], paths[i].messages);
        live(&paths[i], 2 * paths[i].messages);
        printf("%s\t%u\n", paths[i].name, paths[i].messages);
    }
    return 0;
}

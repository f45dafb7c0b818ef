/* SPDX-License-Identifier: BSD-3-Clause
 *
 * weir/weir.h: the engine. Listeners accept TCP and unix-socket clients, worker threads serve them, codecs cut what
 * they send into messages, callbacks answer.
 *
 * Threads. A connection lives and dies on one worker, a thread with its own event loop: all callbacks about it run
 * there, one at a time. A function marked "own thread" may be called only there: from a callback about any connection
 * or timer of that worker, or from a function posted to it; before weir_run and after it has returned, from the thread
 * that calls it. A function marked "any thread" may be called from anywhere, at any time between weir_new and
 * weir_free.
 *
 * Callbacks. A callback may call anything on its own connection, closing included: the connection stays valid until its
 * on_close returns. No callback runs inside weir_conn_send or any other function here, but for weir_run and, where it
 * says so, weir_free.
 *
 * Values. In every config struct a member left 0 means its default; WEIR_OFF means off or without limit, where that
 * makes sense. Times are in milliseconds, sizes in bytes; a name says so.
 *
 * Errors. 0 or a positive result, or a negative code (weir/error.h). For what a person may have to mend (weir_new,
 * weir_run, weir_listen, weir_listener_enable, weir_dial), and where -EINVAL means NULL, weir_error_text has a sentence
 * that names it.
 *
 * NULL. Where no comment accepts it, NULL for an engine, a listener, a connection, an address, a function or the place
 * of a result is refused: a function with a code returns -EINVAL, one without does nothing and returns 0 or NULL.
 *
 * Fork. An engine belongs to the process that called weir_new; a daemon calls daemon(3) first. A process forked from
 * that one has a copy, and may call weir_free for it, and nothing else: its descriptors and memory go, nobody is called
 * back, and clients, listeners and unix sockets stay as they are. Forked in a callback, it must not return from there.
 * Memory stays when other threads ran the engine at the fork, which may have left it in the middle of a change, and so
 * do events of the program's own. Other calls return WEIR_EFORKED there or do nothing; weir_conn_send alone does not
 * look. Until it calls weir_free or ends, such a process holds the sockets open: clients that the owner closes hear of
 * it late, and addresses stay in use. fork(2) is noticed, _Fork(3) and a bare clone(2) are not. */
#ifndef WEIR_WEIR_H
#define WEIR_WEIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/error.h>
#include <weir/frame.h>
#include <weir/version.h>

#ifdef __cplusplus
extern "C" {
#endif

struct event_base;
struct weir;
struct weir_conn;
struct weir_listener;
struct weir_timer;

#define WEIR_OFF (-1)

/* Room for the text of any address, with its closing NUL. */
#define WEIR_ADDRESS_BYTES_MAX 128

/* Why a connection closed: name, text for people, and whether it is an error. The order is part of the ABI: new ones go
 * to the end. */
/* clang-format off */
#define WEIR_REASONS(X)                                                                                                        \
    X(NONE, "open", false)                                                                                                     \
    X(PEER_CLOSED, "peer closed", false)                                                                                       \
    X(CLOSED, "closed", false)                  /* weir_conn_close */                                                          \
    X(KICKED, "kicked", false)                  /* weir_conn_abort's usual reason */                                           \
    X(DRAIN, "drain", false)                    /* weir_stop */                                                                \
    X(RESET, "reset by peer", true)                                                                                            \
    X(LOST, "peer lost", true)                  /* keepalive or user timeout: nothing was heard from its machine */            \
    X(IDLE, "idle timeout", true)                                                                                              \
    X(FRAME_TIMEOUT, "frame timeout", true)     /* a message was begun and not ended in time */                                \
    X(WRITE_TIMEOUT, "write timeout", true)     /* the peer took nothing of what waits for it in time */                       \
    X(SLOW_READER, "slow reader", true)         /* more waits for it than its output limit */                                  \
    X(TOO_LONG, "message too long", true)                                                                                      \
    X(MALFORMED, "malformed message", true)                                                                                    \
    X(LIMIT, "too many clients", true)          /* never opened: clients_max was reached */                                    \
    X(MEMORY, "out of memory", true)            /* memory_bytes_max, or the system has none */                                 \
    X(DRAIN_TIMEOUT, "drain timeout", true)     /* owed answers did not leave within the deadline */                           \
    X(ARRIVE_TIMEOUT, "arrival timeout", true)  /* it did not become ready (handshake, admission) in time */                   \
    X(REFUSED, "connection refused", true)      /* dialled: nothing listens there */                                           \
    X(UNREACHABLE, "unreachable", true)         /* dialled: no way to that host or network */                                  \
    X(CONNECT_TIMEOUT, "connect timeout", true) /* dialled: no answer in time */                                               \
    X(FAILED, "failed", true)                   /* any other error of the system: weir_conn_error has it */                    \
    X(DENIED, "not admitted", true)             /* never opened: its address may not come in */
/* clang-format on */

enum weir_reason {
#define WEIR_REASON_ENUM(name, text, is_error) WEIR_REASON_##name,
    WEIR_REASONS(WEIR_REASON_ENUM)
#undef WEIR_REASON_ENUM
        WEIR_REASON_COUNT
};

/* The reason's text ("idle timeout"), and whether it is an error rather than an ordinary end. Any thread. */
WEIR_PUBLIC const char *weir_reason_text(enum weir_reason reason);
WEIR_PUBLIC bool weir_reason_is_error(enum weir_reason reason);

enum weir_log_level { WEIR_LOG_ERROR = 1, WEIR_LOG_WARNING, WEIR_LOG_INFO, WEIR_LOG_DEBUG };

/* What a log line is about; each kind has at most one line a second a worker. How many were swallowed the next line
 * says, or a line of its own a second later, or at the end. */
enum weir_log_kind {
    WEIR_LOG_ACCEPT,   /* accepting failed, paused or resumed */
    WEIR_LOG_LIMIT,    /* a client was refused for a limit */
    WEIR_LOG_MEMORY,   /* a connection was closed for memory */
    WEIR_LOG_STRANGER, /* a client speaks another protocol: HTTP, TLS, SSH, PROXY. At most once a minute an address */
    WEIR_LOG_STATE,    /* a connection's change of state; debug */
    WEIR_LOG_KIND_COUNT
};

/* ---- The engine ---- */

struct weir_config {
    /* sizeof(struct weir_config), set by WEIR_CONFIG */
    size_t size;

    /* threads that serve connections, 1 to 256; default 1. The first is the thread in weir_run */
    unsigned workers;
    /* the first connection's id; default 1 */
    uint64_t first_id;

    /* connections at once; default: the soft descriptor limit less what is open and a reserve of 64 or a quarter of
     * the limit, whichever is less. Further clients are closed at once and counted */
    int64_t clients_max;
    /* all that waits in buffers, in and out; default 1 GiB. Over it, the connections that hold the most close with
     * the reason WEIR_REASON_MEMORY */
    int64_t memory_bytes_max;
    /* calls from other threads that wait for one worker; default 65,536 */
    int64_t mailbox_items_max;
    /* bytes that wait in one worker's mailbox; default 64 MiB */
    int64_t mailbox_bytes_max;

    /* Once after each turn of a worker's loop in which anything ran, on that worker's thread. The place to hand a batch
     * of messages on. Answers to the connection whose message is being delivered have left by then; what was sent to
     * others, and what is sent here, leaves right after it. Each callback of a connection is followed by an on_turn of
     * its worker: those that run behind it (on_close, and on_writable for what leaves right after it) by the next
     * turn's, which then waits for no event. Only what runs inside weir_free is followed by none. */
    void (*on_turn)(struct weir *weir, unsigned worker, void *user);
    /* A line for the log, without a newline, safe to print: what came from clients is escaped. Any worker's thread,
     * also several at once; must not call into weir. Default: lines are dropped. */
    void (*on_log)(enum weir_log_level level, enum weir_log_kind kind, const char *text, void *user);
    /* the least urgent level that on_log is called for; default WEIR_LOG_INFO */
    enum weir_log_level log_level;
    /* of the two callbacks above */
    void *user;
};

#ifdef __cplusplus
#define WEIR_CONFIG() weir__sized<struct weir_config>()
#else
#define WEIR_CONFIG(...)                                \
    {                                                   \
        .size = sizeof(struct weir_config), __VA_ARGS__ \
    }
#endif

/* What happens on a listener's connections, or on a dialled one. It and its strings are copied by weir_listen and
 * weir_dial. A codec of one's own, and its config, must live until weir_free. */
struct weir_service {
    /* sizeof(struct weir_service), set by WEIR_SERVICE */
    size_t size;

    /* framing SPEC (weir_frame_new); default "raw": what one read returned */
    const char *frame;
    /* framing of what is sent: "same" (default; raw where frame is not sendable), "raw" or a SPEC that is sendable
     * (weir_frame_is_sendable) */
    const char *send_frame;
    /* a codec of one's own, in place of frame; send_frame "same" uses its encode */
    const struct weir_codec *codec;
    /* handed to that codec */
    const void *codec_config;

    /* All run on the connection's worker. user is the service's until weir_conn_set_user. */
    void (*on_open)(struct weir_conn *conn, void *user);
    /* message is valid until the callback returns. weir_conn_message says more about it. */
    void (*on_message)(struct weir_conn *conn, struct weir_bytes message, void *user);
    /* What waits to be sent has fallen to half of output_bytes_max after having reached it. */
    void (*on_writable)(struct weir_conn *conn, void *user);
    /* Exactly once for each connection that was opened or dialled, last: conn is invalid once it returns. */
    void (*on_close)(struct weir_conn *conn, enum weir_reason reason, void *user);
    void *user;

    /* the longest message delivered; default 1 MiB, at most 1 GiB */
    int64_t message_bytes_max;
    /* what happens to a longer one; default WEIR_TOO_LONG_CLOSE */
    enum weir_too_long too_long;
    /* the high mark: at it no further message is delivered, so that one answer a message never fails; default 1 MiB.
     * Below it one message of any length may be sent; sending fails above it and one largest message more */
    int64_t output_bytes_max;
    /* bytes read from one connection before others have their turn; default 256 KiB */
    int64_t wake_bytes_max;
    /* messages delivered of one connection before others have their turn; default 4,096 */
    int64_t wake_messages_max;

    /* nothing received and nothing sent for so long, while we read; default off */
    int64_t idle_timeout_ms;
    /* from a message's first byte to its last; default 30 s. Not for raw */
    int64_t frame_timeout_ms;
    /* the peer takes nothing of what waits for it; default 30 s */
    int64_t write_timeout_ms;
    /* after the peer's end (without on_end) or weir_conn_close, for owed answers to leave; default 10 s */
    int64_t drain_timeout_ms;
    /* after our FIN, for the peer's; default 2 s; off: do not wait */
    int64_t linger_timeout_ms;
    /* bytes discarded meanwhile; default 1 MiB */
    int64_t linger_bytes_max;
    /* for a new connection to become ready (handshake, admission); default 10 s */
    int64_t arrive_timeout_ms;
    /* dialling, each address; default 10 s */
    int64_t connect_timeout_ms;
    /* TCP keepalive after so long without a byte; default 60 s; off: no keepalive. Whole seconds */
    int64_t keepalive_idle_ms;
    /* between probes; default 10 s */
    int64_t keepalive_interval_ms;
    /* unanswered probes until the peer is lost; default 5. The user timeout (RFC 5482, tcp(7)) follows */
    int64_t keepalive_count;

    /* Listeners only. */
    /* connections accepted in one wake-up; default 64 */
    int64_t accepts_max;
    /* connections the kernel queues (listen(2)); default 1,024 */
    int64_t backlog;
    /* TCP_DEFER_ACCEPT (tcp(7)): accept once bytes have come, or after so long; default off. Whole seconds */
    int64_t defer_accept_ms;
    /* permissions of a unix socket's file; default 0600; 0 cannot be asked for */
    int64_t unix_mode;
    /* one socket a worker (SO_REUSEPORT, socket(7)); a second server on the port still fails */
    bool reuseport;
    /* bound, so that nobody else takes the address, but not accepting until weir_listener_enable; over TCP not
     * listening either */
    bool disabled;

    /* Dialling only. */
    /* the local address to connect from, an IPv4 or IPv6 address without a port; NULL: the system's choice. Addresses
     * of the other family, and unix sockets, cannot be reached from it, and are unreachable then */
    const char *source;

    /* Added later, so behind all others. */
    /* The peer has ended its side (a FIN), and all that it sent before has been delivered, a message that it did not
     * finish included. On the connection's worker, once at most, as a message would be: not while delivering is paused
     * or the output is full, and not once the connection closes. NULL (default): the end begins the closing, with the
     * reason WEIR_REASON_PEER_CLOSED. Set: the connection stays open for sending, to a peer that still listens, until
     * weir_conn_close, weir_conn_end (then both sides have ended, and it closes with WEIR_REASON_PEER_CLOSED),
     * weir_conn_abort, weir_stop, an idle or write timeout, or a reset. What made no message is in on_close, too;
     * frame_timeout_ms no longer counts. A TCP peer that has gone altogether looks the same until something is sent to
     * it, or keepalive finds out, and is then reset or lost; a unix-socket peer that has gone is noticed at once, and
     * closes with WEIR_REASON_PEER_CLOSED. */
    void (*on_end)(struct weir_conn *conn, void *user);

    /* Listeners only: a client did not get in, and neither on_open nor on_close runs for it. reason is
     * WEIR_REASON_LIMIT, WEIR_REASON_MEMORY or WEIR_REASON_DENIED; peer is as weir_conn_peer writes it, and valid until
     * the callback returns. On the thread of the worker that refuses it, at most 10 times a second for each listener
     * and worker; weir_counters has all of them, by reason. */
    void (*on_refused)(struct weir_listener *listener, const char *peer, enum weir_reason reason, void *user);
};

#ifdef __cplusplus
#define WEIR_SERVICE() weir__sized<struct weir_service>()
#else
#define WEIR_SERVICE(...)                                \
    {                                                    \
        .size = sizeof(struct weir_service), __VA_ARGS__ \
    }
#endif

/* Whether weir_listen and weir_dial take the service: its framings can receive and send, every number is in its range.
 * NULL is the defaults. Opens nothing. Returns 0; or WEIR_EFRAME, WEIR_ECONFIG, WEIR_EADDRESS (source) or -ENOMEM, with
 * a sentence in error (of error_size bytes, always ended with NUL; may be NULL). Any thread. */
WEIR_PUBLIC int weir_service_check(const struct weir_service *service, char *error, size_t error_size);

/* The framing that a service asks for what it sends, for those who have to know before it does: *ret is the caller's,
 * for weir_frame_free; NULL where that is raw or a codec of one's own. Where it is not sendable
 * (weir_frame_is_sendable) bytes leave as given. Returns what weir_frame_new does, or WEIR_ECONFIG for a service
 * without its size. Any thread. */
WEIR_PUBLIC int weir_service_send_frame(const struct weir_service *service, struct weir_frame **ret, char *error,
                                        size_t error_size);

/* Makes an engine; config NULL means the defaults. On success *ret is the caller's, for weir_free. Returns -ENOMEM,
 * -EMFILE and other codes of the system, or WEIR_ECONFIG; weir_error_text(NULL) has the sentence. Any thread. */
WEIR_PUBLIC int weir_new(const struct weir_config *config, struct weir **ret);

/* Lets ids begin at first_id, as weir_config.first_id does, for those who learn only after weir_listen what it is to
 * be. Before weir_run and weir_dial. Returns 0, or WEIR_ECONFIG when it is 0 or not under 2^53. */
WEIR_PUBLIC int weir_set_first_id(struct weir *weir, uint64_t first_id);

/* Lets no connection have an id of limit or above, until a higher limit is set: for those who write down which ids are
 * given before any is. Clients wait in the kernel's queue then, and weir_dial fails with -EAGAIN; accepting may stop as
 * many ids before the limit as there are workers. A limit that ids have passed already stops what comes next. Without a
 * call there is none. Never fails. Any thread. */
WEIR_PUBLIC void weir_set_id_limit(struct weir *weir, uint64_t limit);

/* The id that the next connection will have; none below it will be given any more. Any thread. */
WEIR_PUBLIC uint64_t weir_next_id(const struct weir *weir);

/* Serves until weir_stop, in the calling thread (worker 0) and in threads of its own (the others). All callbacks run
 * inside it. Returns 0 when everything had drained, -ETIMEDOUT when weir_stop's deadline cut connections off, or
 * another code when a worker could not start; WEIR_ESTOPPED when it has run already: once in a weir's life. -EDEADLK
 * when it would wait for ever: at the call there is no listener, connection, dial, timer, post or event of the
 * program's, and the process has never had another thread, so that nobody can bring one; it may be called again then.
 * With threads it waits, for one of them may listen, dial or post later. */
WEIR_PUBLIC int weir_run(struct weir *weir);

/* Stops: listeners close; connections deliver no further message, keep their owed answers' time (weir_conn_hold) until
 * the deadline, and close with the reason WEIR_REASON_DRAIN; then weir_run returns. deadline_ms 0 means the default, 10
 * s; WEIR_OFF waits as long as it takes. A second call can only bring the deadline nearer. Never fails. Any thread; not
 * a signal handler. */
WEIR_PUBLIC void weir_stop(struct weir *weir, int64_t deadline_ms);

/* Frees the engine after weir_run has returned or without it having been called. What was posted and has not run runs
 * now, with its connection gone; what is still open closes, on_close included; timers do not run any more. NULL is
 * accepted. In a forked process see "Fork" above. */
WEIR_PUBLIC void weir_free(struct weir *weir);

/* The sentence of the last call with this engine that failed in this thread ("listen tcp://127.0.0.1:8000: address
 * already in use"), or "no error". weir may be NULL, for weir_new. Valid until the thread's next failing call. Any
 * thread. */
WEIR_PUBLIC const char *weir_error_text(const struct weir *weir);

/* The number of workers. Any thread. */
WEIR_PUBLIC unsigned weir_workers(const struct weir *weir);

/* A worker's event_base, for those who mix events of their own into its loop; it is not locked. Own thread (that
 * worker's). NULL when there is no such worker. */
WEIR_PUBLIC struct event_base *weir_worker_base(struct weir *weir, unsigned worker);

/* ---- Listeners ---- */

/* Binds and listens. url is `tcp://HOST:PORT`, `unix:PATH`, `fd:N` (a listening socket that the process was given;
 * taken over), or short `[HOST]:PORT` or `PORT`: a bare port means 127.0.0.1, an empty host or `*` every address, IPv4
 * and IPv6; `0.0.0.0` every IPv4 and `[::]` every IPv6 address. Port 0 takes a free one. A name with several addresses
 * listens on each. A stale unix socket (nobody answers on it) is replaced; a live one, or a file of another kind, never
 * is. service NULL means the defaults; ret may be NULL. The listener is the engine's and lives until weir_free, closed
 * or not. Clients can connect once this returns 0, and are served by weir_run. Names are resolved in the calling
 * thread. Any thread. Returns WEIR_EADDRESS, WEIR_ERESOLVE, WEIR_EFRAME, WEIR_ECONFIG, WEIR_ESTOPPED, -EADDRINUSE (also
 * for a descriptor that is listened on already), -EACCES, -EADDRNOTAVAIL, -ENOMEM ... */
WEIR_PUBLIC int weir_listen(struct weir *weir, const char *url, const struct weir_service *service,
                            struct weir_listener **ret);

/* Writes the bound address number index (0 first; a name can have several) as a URL, "tcp://127.0.0.1:8000", to ret, of
 * WEIR_ADDRESS_BYTES_MAX bytes; port 0 is replaced by the port taken. Returns 0, or -ENOENT when there are not so many.
 * Any thread. */
WEIR_PUBLIC int weir_listener_address(const struct weir_listener *listener, unsigned index,
                                      char ret[WEIR_ADDRESS_BYTES_MAX]);

/* Starts and stops accepting; open connections are not touched. A disabled listener stays bound; clients that connect
 * meanwhile wait in the kernel's queue, up to the backlog (of a TCP listener that was never enabled they are refused).
 * The change takes effect on the worker's next turn. Returns 0, a code of listen(2), WEIR_ESTOPPED or WEIR_ECLOSED. Any
 * thread. */
WEIR_PUBLIC int weir_listener_enable(struct weir_listener *listener);
WEIR_PUBLIC int weir_listener_disable(struct weir_listener *listener);

/* Gives the connections that come from now on another service, copied as by weir_listen; NULL means the defaults. Open
 * connections keep the one that they came with. What belongs to the listener and not to its connections stays as it was
 * (accepts_max, backlog, defer_accept_ms, unix_mode, reuseport, disabled). Takes effect on each worker's next turn,
 * before weir_run at once. Returns what weir_service_check does, -ENOMEM or WEIR_ECLOSED, and then nothing has changed.
 * Any thread. */
WEIR_PUBLIC int weir_listener_update(struct weir_listener *listener, const struct weir_service *service);

/* Closes it for good: nobody is accepted any more, clients in the kernel's queue see a reset, its sockets close (on
 * their workers' next turn; before weir_run at once), and a unix socket's file is removed. Open connections stay, with
 * their service, and the listener itself until weir_free: its address and counters can be read. Closing twice is
 * closing once. Returns 0. Any thread. */
WEIR_PUBLIC int weir_listener_close(struct weir_listener *listener);

/* What was counted of a listener's connections. */
struct weir_listener_counters {
    /* sizeof(struct weir_listener_counters), set by the caller */
    size_t size;
    /* connections now */
    uint64_t clients;
    uint64_t accepted;
    /* clients that did not get in (on_refused) */
    uint64_t refused;
    uint64_t messages_in;
    uint64_t messages_out;
    uint64_t messages_skipped;
    uint64_t messages_truncated;
    uint64_t bytes_in;
    uint64_t bytes_out;
    /* received between messages, and part of none (struct weir_decode) */
    uint64_t skipped_bytes;
    /* clients that spoke HTTP, TLS, SSH or PROXY */
    uint64_t strangers;
    /* by reason, the refused included */
    uint64_t closed[WEIR_REASON_COUNT];
};

/* The counters of all workers, added up; each is read at its own instant. Writes at most ret->size bytes. Any thread.
 */
WEIR_PUBLIC void weir_listener_counters(const struct weir_listener *listener, struct weir_listener_counters *ret);

/* ---- Dialling ---- */

/* Opens a connection outward; url is as for weir_listen (a bare port means 127.0.0.1), without fd. The service's
 * callbacks run as for an accepted connection, with `user` in place of the service's when it is not NULL. Names are
 * resolved in the calling thread, before this returns; the addresses are tried in turn, each for connect_timeout_ms.
 * service NULL means the defaults.
 * When none answers, on_close runs once, without on_open, with the reason of the last. *ret_id (may be NULL) is the
 * connection's id. Any thread. Returns 0, WEIR_EADDRESS, WEIR_ERESOLVE, WEIR_EFRAME, WEIR_ECONFIG, WEIR_ESTOPPED
 * inside weir_free, -EAGAIN when the worker's mailbox is full or the limit of ids is reached, -ENOMEM. */
WEIR_PUBLIC int weir_dial(struct weir *weir, const char *url, const struct weir_service *service, void *user,
                          uint64_t *ret_id);

/* ---- A connection: own thread ---- */

/* Sends one message in the connection's framing; the bytes are copied. What is sent during one turn leaves together at
 * its end. Returns 0; 1 when accepted and the output has reached its high mark (stop until on_writable); -ENOBUFS when
 * it would go over the hard cap; WEIR_ECLOSING; -ENOTCONN before on_open; -EMSGSIZE or -EINVAL when the framing cannot
 * carry it; -ENOMEM. On an error nothing of it was sent. */
WEIR_PUBLIC int weir_conn_send(struct weir_conn *conn, struct weir_bytes message);

/* Closes politely: no further message is delivered; once nothing is held (weir_conn_hold) and all output has left, a
 * FIN is sent, and the peer's end is awaited for linger_timeout_ms, so that nothing sent is lost to a reset. The reason
 * is WEIR_REASON_CLOSED. */
WEIR_PUBLIC void weir_conn_close(struct weir_conn *conn);

/* Ends our side only: once all output has left, a FIN is sent; messages are delivered on until the peer ends its side
 * too, or resets. Nothing more can be sent. What a client does that has asked everything and waits for the answers.
 * When the peer has ended its side before (on_end), the connection closes behind the FIN with the reason
 * WEIR_REASON_PEER_CLOSED, once the peer's machine has taken everything, or linger_timeout_ms have passed. */
WEIR_PUBLIC void weir_conn_end(struct weir_conn *conn);

/* Closes at once; output that has not left is dropped, on_close runs at the end of the turn. reason is mostly
 * WEIR_REASON_KICKED; WEIR_REASON_NONE is taken for that. The peer sees an end in order, unless bytes of its own lie
 * unread here; with the reasons of a peer that takes nothing (WEIR_REASON_WRITE_TIMEOUT, WEIR_REASON_SLOW_READER,
 * WEIR_REASON_DRAIN_TIMEOUT, WEIR_REASON_MEMORY) it sees a reset. */
WEIR_PUBLIC void weir_conn_abort(struct weir_conn *conn, enum weir_reason reason);

enum { WEIR_PAUSE_OWNERS_MAX = 8 };

/* Stops and resumes delivering messages, also between two messages of one read; what was received stays. While paused
 * nothing more is read; a peer that goes away is noticed all the same. A pause has an owner, a number below
 * WEIR_PAUSE_OWNERS_MAX that the program gives each of its parts (another number is a fault of the program and
 * asserted): input goes on when no owner's pause is left. An owner that pauses twice pauses once; to resume what it has
 * not paused changes nothing. */
WEIR_PUBLIC void weir_conn_pause(struct weir_conn *conn, unsigned owner);
WEIR_PUBLIC void weir_conn_resume(struct weir_conn *conn, unsigned owner);

/* Answers can be owed: hold counts one, release takes one back. After the peer's end (without on_end), weir_conn_close
 * or weir_stop the connection stays open for sending until nothing is held and its output is empty, or drain_timeout_ms
 * or the stop's deadline have passed. A release without a hold is a fault of the program and asserted. */
WEIR_PUBLIC void weir_conn_hold(struct weir_conn *conn);
WEIR_PUBLIC void weir_conn_release(struct weir_conn *conn);

/* The id: 1, 2, 3 in the order of accepting and dialling, never reused; its worker is id % workers. */
WEIR_PUBLIC uint64_t weir_conn_id(const struct weir_conn *conn);
/* Writes the peer's address ("127.0.0.1:53412", "[2001:db8::1]:53412", "unix") to ret, and returns ret. "unknown" for a
 * dialled connection none of whose addresses could even be tried. */
WEIR_PUBLIC const char *weir_conn_peer(const struct weir_conn *conn, char ret[WEIR_ADDRESS_BYTES_MAX]);
/* Who is at the other end of a unix socket, as the kernel noted it when the peer connected (SO_PEERCRED, unix(7)). */
struct weir_credentials {
    pid_t pid; /* 0: of another pid namespace */
    uid_t uid;
    gid_t gid;
};
/* One system call. Returns 0, -ENOTSUP when it is no unix socket, -ENOTCONN when its socket is closed, or another code
 * of getsockopt(2). */
WEIR_PUBLIC int weir_conn_credentials(const struct weir_conn *conn, struct weir_credentials *ret);
/* Writes to *ret how many bytes were handed to the kernel and not yet acknowledged by the peer's kernel, over a unix
 * socket not yet read by the peer (SIOCOUTQ, tcp(7)); what weir still holds is weir_conn_counters' output_bytes. One
 * system call. Returns 0, -ENOTCONN when its socket is closed, or another code of ioctl(2). */
WEIR_PUBLIC int weir_conn_unacknowledged(const struct weir_conn *conn, uint64_t *ret);
WEIR_PUBLIC unsigned weir_conn_worker(const struct weir_conn *conn);
WEIR_PUBLIC struct weir *weir_conn_weir(const struct weir_conn *conn);
/* The listener that accepted it; NULL for a dialled one. */
WEIR_PUBLIC struct weir_listener *weir_conn_listener(const struct weir_conn *conn);
WEIR_PUBLIC void *weir_conn_user(const struct weir_conn *conn);
WEIR_PUBLIC void weir_conn_set_user(struct weir_conn *conn, void *user);
/* The errno behind the reason, or 0; for on_close. */
WEIR_PUBLIC int weir_conn_error(const struct weir_conn *conn);
WEIR_PUBLIC struct event_base *weir_conn_base(const struct weir_conn *conn);

/* About the message in delivery; inside on_message only. */
struct weir_message_info {
    /* its number on this connection: 1, 2, 3, skipped ones counted too */
    uint64_t seq;
    /* its length on the wire in bytes, larger than the message's when truncated */
    uint64_t original_len;
    /* WEIR_MESSAGE_TRUNCATED, WEIR_MESSAGE_UNFINISHED, WEIR_MESSAGE_REFUSED */
    unsigned flags;
};
WEIR_PUBLIC void weir_conn_message(const struct weir_conn *conn, struct weir_message_info *ret);

struct weir_conn_counters {
    /* found on the wire, skipped ones included */
    uint64_t messages_in;
    /* accepted by weir_conn_send and its kin */
    uint64_t messages_out;
    /* received, framing included */
    uint64_t bytes_in;
    /* handed to the kernel, framing included */
    uint64_t bytes_out;
    /* received and not delivered; in on_close: the left-over that made no message */
    uint64_t input_bytes;
    /* accepted and not handed to the kernel */
    uint64_t output_bytes;
    /* answers owed */
    uint64_t holds;
};
WEIR_PUBLIC void weir_conn_counters(const struct weir_conn *conn, struct weir_conn_counters *ret);

/* What was received of the message in progress, as the framing has left it so far: with the framing in front of it,
 * unescaped where that is done in place, and of a message that is too long only what is kept. No bytes when none has
 * begun, in the connection's own on_message, while whole messages may wait before it (a pause, a full output), and
 * from on_end on. In on_close it is what made no message. Valid until the callback returns. */
WEIR_PUBLIC struct weir_bytes weir_conn_unfinished(const struct weir_conn *conn);

/* Calls fn for each open connection of the worker, in no order. fn may close the connection it is given. Own thread
 * (that worker's; to reach another, weir_post). */
WEIR_PUBLIC void weir_conn_each(struct weir *weir, unsigned worker, void (*fn)(struct weir_conn *conn, void *arg),
                                void *arg);

/* ---- Timers: own thread ---- */

/* Calls fn after after_ms, and then every every_ms (0: only once), by the monotonic clock, on the given worker. The
 * timer in *ret lives until weir_timer_stop or weir_free, also when it has run its only time. ret may be NULL: then a
 * timer that runs once is freed when its fn returns. arg stays the caller's: when the timer is stopped, or weir_free
 * comes first, fn does not run (any more), so what was allocated for it is to be freed by the program, as in on_close
 * or after weir_free. Returns -ENOMEM, -EINVAL for a negative time or a worker that does not exist. */
WEIR_PUBLIC int weir_timer_start(struct weir *weir, unsigned worker, int64_t after_ms, int64_t every_ms,
                                 void (*fn)(struct weir_timer *timer, void *arg), void *arg, struct weir_timer **ret);
/* Stops and frees a timer, at any time before weir_free returns: before and after it has run, from its own fn, from
 * on_close, after weir_run has returned. Once for each timer: a second stop is a use after free, as is one of a timer
 * whose handle was not asked for, but from its own fn. NULL is accepted. */
WEIR_PUBLIC void weir_timer_stop(struct weir_timer *timer);

/* ---- Any thread ---- */

/* Runs fn on the worker's thread, in the order of posting. Each fn that was accepted runs exactly once; after weir_run
 * has ended, inside weir_free: there fn may free what was allocated for arg. Returns -EAGAIN when the worker's mailbox
 * is full, -EINVAL when there is no such worker, -ENOMEM, or WEIR_ESTOPPED when called from within weir_free. */
WEIR_PUBLIC int weir_post(struct weir *weir, unsigned worker, void (*fn)(struct weir *weir, void *arg), void *arg);

/* Runs fn on the thread of the connection with that id, or with conn NULL when the id is gone (never with another
 * connection). For the rest like weir_post. */
WEIR_PUBLIC int weir_post_conn(struct weir *weir, uint64_t id, void (*fn)(struct weir_conn *conn, void *arg),
                               void *arg);

/* Sends a message to the connection with that id; the bytes are copied. done (may be NULL) runs exactly once on its
 * worker with what weir_conn_send returned there, or -ENOENT when the id is gone. Returns -EAGAIN when the mailbox is
 * full, -EMSGSIZE when even an empty one is too small for it, WEIR_ESTOPPED from within weir_free, or -ENOMEM; then
 * done does not run. */
WEIR_PUBLIC int weir_send(struct weir *weir, uint64_t id, struct weir_bytes message,
                          void (*done)(int result, void *arg), void *arg);

/* Whom a broadcast reaches, and what is told of it. */
struct weir_filter {
    /* sizeof(struct weir_filter), set by WEIR_FILTER */
    size_t size;
    /* only its connections; NULL: all */
    struct weir_listener *listener;
    /* not this one; 0: nobody is left out */
    uint64_t except_id;
    /* whether this one too; on each connection's worker; NULL: all */
    bool (*match)(struct weir_conn *conn, void *user);
    /* Once, after the last worker is done, on that worker's thread: how many connections it was sent to. May be NULL.
     */
    void (*done)(uint64_t sent, void *user);
    /* must live until done has run */
    void *user;
    /* for each connection that it was sent to, on its worker, once the message is on its way; may be NULL */
    void (*sent)(struct weir_conn *conn, void *user);
};

#ifdef __cplusplus
#define WEIR_FILTER() weir__sized<struct weir_filter>()
#else
#define WEIR_FILTER(...)                                \
    {                                                   \
        .size = sizeof(struct weir_filter), __VA_ARGS__ \
    }
#endif

/* Sends a message to each open connection that filter lets through (NULL: all). It is copied and encoded once a
 * framing, and shared by the queues. A connection over its output limit does not get a stream with a hole: it closes
 * with the reason WEIR_REASON_SLOW_READER. One whose framing cannot carry the message is left out. Returns 0, or
 * -EAGAIN when a worker's mailbox is full, or another code as weir_send does: then nobody gets it and done does not
 * run.
 */
WEIR_PUBLIC int weir_broadcast(struct weir *weir, const struct weir_filter *filter, struct weir_bytes message);

/* Stops and resumes the input of all connections, as weir_conn_pause does for one; they are counted apart, and a pause
 * needs as many resumes as there were pauses; one resume too many is a fault of the program and asserted. Never fails;
 * takes effect on each worker's next turn. */
WEIR_PUBLIC void weir_input_pause(struct weir *weir);
WEIR_PUBLIC void weir_input_resume(struct weir *weir);

struct weir_counters {
    /* sizeof(struct weir_counters), set by the caller */
    size_t size;
    /* connections now, dialled ones included */
    uint64_t clients;
    /* as configured or found out */
    uint64_t clients_max;
    uint64_t accepted;
    uint64_t dialled;
    /* accept(2) failed, but for an empty queue */
    uint64_t accept_errors;
    /* accepting paused for want of descriptors or memory */
    uint64_t accept_pauses;
    uint64_t messages_in;
    uint64_t messages_out;
    uint64_t messages_skipped;
    uint64_t messages_truncated;
    uint64_t bytes_in;
    uint64_t bytes_out;
    /* in buffers now */
    uint64_t memory_bytes;
    uint64_t memory_bytes_max;
    /* calls refused with -EAGAIN */
    uint64_t mailbox_full;
    /* clients that spoke HTTP, TLS, SSH or PROXY */
    uint64_t strangers;
    /* of the workers' loops */
    uint64_t turns;
    /* by reason */
    uint64_t closed[WEIR_REASON_COUNT];
    /* received between messages, and part of none (struct weir_decode) */
    uint64_t skipped_bytes;
};

/* The counters of all workers, added up; each is read at its own instant. Writes at most ret->size bytes. Any thread.
 */
WEIR_PUBLIC void weir_counters(struct weir *weir, struct weir_counters *ret);

/* ---- Addresses ---- */

/* An address as written in a URL. */
struct weir_url {
    /* WEIR_URL_TCP, WEIR_URL_UNIX, WEIR_URL_FD, WEIR_URL_TLS */
    int kind;
    /* without brackets; "*" for every address, IPv4 and IPv6 */
    char host[256];
    /* tcp, tls; fd: the descriptor */
    unsigned port;
    /* unix */
    char path[108];
};

enum { WEIR_URL_TCP = 1, WEIR_URL_UNIX, WEIR_URL_FD, WEIR_URL_TLS };

/* Reads any of the forms of weir_listen, and `tls://HOST:PORT`. Resolves nothing. Returns 0, or WEIR_EADDRESS with a
 * sentence in error (of error_size bytes; may be NULL). Any thread. */
WEIR_PUBLIC int weir_url_parse(const char *text, struct weir_url *ret, char *error, size_t error_size);

#ifdef __cplusplus
}
#endif

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A server on libweir that does what a test tells it: every field of the configuration and of the service is an option,
 * what happens on a message is one of a few modes, and each public function can be called by a line of standard input,
 * from a thread that is no worker. What it sees it prints, an event a line.
 *
 *   service_lab [--FIELD VALUE]... --listen URL [[--FIELD VALUE]... --listen URL]...
 *
 * FIELD is a member of struct weir_config or struct weir_service with dashes for underscores, or one of the lab's own
 * (lab_numbers, modes). A service's fields count for the --listen behind them, and for what is dialled later. */
#include "service_kit.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum { LISTENERS_MAX = 8, WORKERS_MAX = 256, LINE_MAX = 4096 };

/* A connection, as the lab knows it: its user. */
struct client {
    struct weir_timer *resume_timer;
    int64_t since_ms;
    uint64_t messages;
    int opened;
};

/* An answer that is owed: the message itself, to the connection that sent it. */
struct debt {
    struct debt *next;
    uint64_t id;
    size_t len;
    unsigned char bytes[];
};

static struct {
    struct weir *weir;
    struct weir_config config;
    struct weir_service service; /* of the next listener, and of what is dialled */
    struct weir_listener *listeners[LISTENERS_MAX];
    unsigned listeners_count;

    int64_t pause_every, resume_after_ms; /* mode pause */
    int64_t quiet;                        /* not 0: no event for a message, an opening */
    int64_t end_output;                   /* not 0: what is dialled ends its side at once */

    pthread_mutex_t lock; /* of all below, but for the turns */
    pthread_cond_t changed;
    struct debt *debts;
    int64_t blocks;                       /* workers that wait for `unblock` */
    int64_t redials;                      /* times that on_close dials again what could not be reached */
    char dialled[WEIR_ADDRESS_BYTES_MAX]; /* the URL dialled last */

    /* The most that one turn of a worker brought; the two counts are the worker's own. */
    struct {
        uint64_t messages, opens;
    } turns[WORKERS_MAX];
    _Atomic uint64_t turn_messages_max, turn_opens_max;
} lab = { .config = WEIR_CONFIG(), .service = WEIR_SERVICE(), .resume_after_ms = 100 };

static struct weir_bytes bytes_of(const char *text)
{
    return (struct weir_bytes){ (const unsigned char *)text, strlen(text) };
}

/* The next word of a line: ended with NUL, and *rest behind it. "" when there is none. */
static char *next_word(char **rest)
{
    char *word = *rest + strspn(*rest, " ");
    const size_t len = strcspn(word, " ");

    *rest = word + len + (word[len] != '\0');
    word[len] = '\0';
    return word;
}

/* ---- What can be asked of a connection: on its own thread ---- */

/* What weir_error_text says of a call that failed, or nothing. */
static const char *sentence(int result, char ret[KIT_TEXT_BYTES])
{
    return kit_text(bytes_of(result == 0 ? "" : weir_error_text(lab.weir)), ret);
}

static void dial(char *url)
{
    char text[KIT_TEXT_BYTES];
    uint64_t id = 0;
    int result;

    pthread_mutex_lock(&lab.lock);
    snprintf(lab.dialled, sizeof(lab.dialled), "%s", url);
    pthread_mutex_unlock(&lab.lock);
    result = weir_dial(lab.weir, url, &lab.service, NULL, &id);
    kit_event("{\"event\":\"dial\",\"conn\":%" PRIu64 ",\"result\":%d,\"error\":\"%s\"}", id, result,
              sentence(result, text));
}

/* Dials the same again, as often as was asked for. */
static void dial_again(void)
{
    char url[sizeof(lab.dialled)];
    int again;

    pthread_mutex_lock(&lab.lock);
    again = lab.redials > 0;
    lab.redials -= again;
    memcpy(url, lab.dialled, sizeof(url));
    pthread_mutex_unlock(&lab.lock);
    if (again) dial(url);
}

static int verb_send(struct weir_conn *conn, char *args)
{
    return weir_conn_send(conn, bytes_of(args));
}

static int verb_big(struct weir_conn *conn, char *args)
{
    const size_t len = (size_t)strtoull(args, NULL, 10);
    unsigned char *bytes = malloc(len);
    int result;

    KIT_CHECK(bytes);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (unsigned char)('a' + i % 26);
    result = weir_conn_send(conn, (struct weir_bytes){ bytes, len });
    free(bytes);
    return result;
}

static int verb_hold(struct weir_conn *conn, char *args)
{
    (void)args;
    weir_conn_hold(conn);
    return 0;
}

static int verb_release(struct weir_conn *conn, char *args)
{
    (void)args;
    weir_conn_release(conn);
    return 0;
}

static int verb_pause(struct weir_conn *conn, char *args)
{
    (void)args;
    weir_conn_pause(conn, 0);
    return 0;
}

static int verb_resume(struct weir_conn *conn, char *args)
{
    (void)args;
    weir_conn_resume(conn, 0);
    return 0;
}

static int verb_close(struct weir_conn *conn, char *args)
{
    (void)args;
    weir_conn_close(conn);
    return 0;
}

static int verb_end(struct weir_conn *conn, char *args)
{
    (void)args;
    weir_conn_end(conn);
    return 0;
}

static int verb_abort(struct weir_conn *conn, char *args)
{
    (void)args;
    weir_conn_abort(conn, WEIR_REASON_KICKED);
    return 0;
}

static int verb_dial(struct weir_conn *conn, char *args)
{
    (void)conn;
    dial(args);
    return 0;
}

static int verb_counters(struct weir_conn *conn, char *args)
{
    struct weir_conn_counters counters;

    (void)args;
    weir_conn_counters(conn, &counters);
    kit_event("{\"event\":\"conn_counters\",\"conn\":%" PRIu64 ",\"messages_in\":%" PRIu64 ",\"messages_out\":%" PRIu64
              ",\"bytes_in\":%" PRIu64 ",\"bytes_out\":%" PRIu64 ",\"input_bytes\":%" PRIu64
              ",\"output_bytes\":%" PRIu64 ",\"holds\":%" PRIu64 "}",
              weir_conn_id(conn), counters.messages_in, counters.messages_out, counters.bytes_in, counters.bytes_out,
              counters.input_bytes, counters.output_bytes, counters.holds);
    return 0;
}

static const struct {
    const char *name;
    int (*run)(struct weir_conn *conn, char *args);
} verbs[] = {
    { "send", verb_send },   { "big", verb_big },           { "hold", verb_hold }, { "release", verb_release },
    { "pause", verb_pause }, { "resume", verb_resume },     { "end", verb_end },   { "close", verb_close },
    { "abort", verb_abort }, { "counters", verb_counters }, { "dial", verb_dial },
};

static void run_verb(struct weir_conn *conn, char *line)
{
    const uint64_t id = weir_conn_id(conn);
    char *args = line;
    const char *name = next_word(&args);

    for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++) {
        if (strcmp(verbs[i].name, name) != 0) continue;
        kit_event("{\"event\":\"did\",\"conn\":%" PRIu64 ",\"verb\":\"%s\",\"result\":%d}", id, name,
                  verbs[i].run(conn, args));
        return;
    }
    kit_fail("there is no verb %s", name);
}

/* ---- Callbacks ---- */

static struct client *new_client(struct weir_conn *conn)
{
    struct client *client = calloc(1, sizeof(*client));

    KIT_CHECK(client);
    client->since_ms = kit_now_ms();
    weir_conn_set_user(conn, client);
    return client;
}

static void on_open(struct weir_conn *conn, void *user)
{
    char peer[WEIR_ADDRESS_BYTES_MAX];
    struct client *client = new_client(conn);

    (void)user;
    client->opened = 1;
    lab.turns[weir_conn_worker(conn)].opens++;
    if (!lab.quiet)
        kit_event("{\"event\":\"open\",\"conn\":%" PRIu64 ",\"worker\":%u,\"peer\":\"%s\",\"dialled\":%d}",
                  weir_conn_id(conn), weir_conn_worker(conn), weir_conn_peer(conn, peer), !weir_conn_listener(conn));
    if (lab.end_output && !weir_conn_listener(conn)) weir_conn_end(conn);
}

/* Only with --keep-ended. */
static void on_end(struct weir_conn *conn, void *user)
{
    struct weir_conn_counters counters;

    (void)user;
    weir_conn_counters(conn, &counters);
    kit_event("{\"event\":\"end\",\"conn\":%" PRIu64 ",\"input_bytes\":%" PRIu64 "}", weir_conn_id(conn),
              counters.input_bytes);
}

/* A dialled connection that never opened has no client. */
static void on_close(struct weir_conn *conn, enum weir_reason reason, void *user)
{
    struct client *client = user;
    const int64_t lived_ms = client ? kit_now_ms() - client->since_ms : -1;

    kit_event("{\"event\":\"close\",\"conn\":%" PRIu64
              ",\"reason\":\"%s\",\"error\":%d,\"opened\":%d,\"lived_ms\":%" PRId64 "}",
              weir_conn_id(conn), weir_reason_text(reason), weir_conn_error(conn), client != NULL, lived_ms);
    if (client) weir_timer_stop(client->resume_timer);
    if (!client) dial_again();
    free(client);
}

static void on_writable(struct weir_conn *conn, void *user)
{
    (void)user;
    kit_event("{\"event\":\"writable\",\"conn\":%" PRIu64 "}", weir_conn_id(conn));
}

static void note_message(struct weir_conn *conn, struct weir_bytes message)
{
    struct weir_message_info info;
    char text[KIT_TEXT_BYTES];

    lab.turns[weir_conn_worker(conn)].messages++;
    if (lab.quiet) return;
    weir_conn_message(conn, &info);
    kit_event("{\"event\":\"message\",\"conn\":%" PRIu64 ",\"seq\":%" PRIu64 ",\"len\":%zu,\"original_len\":%" PRIu64
              ",\"flags\":%u,\"text\":\"%s\"}",
              weir_conn_id(conn), info.seq, message.len, info.original_len, info.flags, kit_text(message, text));
}

static void message_none(struct weir_conn *conn, struct weir_bytes message, void *user)
{
    (void)user;
    note_message(conn, message);
}

static void message_echo(struct weir_conn *conn, struct weir_bytes message, void *user)
{
    (void)user;
    note_message(conn, message);
    weir_conn_send(conn, message);
}

static void message_verb(struct weir_conn *conn, struct weir_bytes message, void *user)
{
    char line[LINE_MAX];

    (void)user;
    note_message(conn, message);
    KIT_CHECK(message.len < sizeof(line));
    memcpy(line, message.data, message.len);
    line[message.len] = '\0';
    run_verb(conn, line);
}

static void message_hold(struct weir_conn *conn, struct weir_bytes message, void *user)
{
    struct debt *debt = malloc(sizeof(*debt) + message.len);
    struct debt **last = &lab.debts;

    (void)user;
    KIT_CHECK(debt);
    note_message(conn, message);
    *debt = (struct debt){ .id = weir_conn_id(conn), .len = message.len };
    memcpy(debt->bytes, message.data, message.len);
    weir_conn_hold(conn);
    pthread_mutex_lock(&lab.lock);
    while (*last)
        last = &(*last)->next;
    *last = debt;
    pthread_mutex_unlock(&lab.lock);
}

/* A timer outlives no connection: on_close stops it. So its argument is the connection itself. */
static void resume_later(struct weir_timer *timer, void *arg)
{
    struct weir_conn *conn = arg;
    struct client *client = weir_conn_user(conn);

    weir_timer_stop(timer);
    client->resume_timer = NULL;
    weir_conn_resume(conn, 0);
}

static void message_pause(struct weir_conn *conn, struct weir_bytes message, void *user)
{
    struct client *client = user;

    message_echo(conn, message, user);
    if (++client->messages % (uint64_t)lab.pause_every != 0) return;
    weir_conn_pause(conn, 0);
    KIT_CHECK(weir_timer_start(lab.weir, weir_conn_worker(conn), lab.resume_after_ms, 0, resume_later, conn,
                               &client->resume_timer) == 0);
}

static const struct {
    const char *name;
    void (*on_message)(struct weir_conn *conn, struct weir_bytes message, void *user);
} modes[] = {
    { "none", message_none }, { "echo", message_echo },   { "verbs", message_verb },
    { "hold", message_hold }, { "pause", message_pause },
};

static void raise_to(_Atomic uint64_t *most, uint64_t value)
{
    if (value > atomic_load(most)) atomic_store(most, value); /* two workers at once may lose the lesser: enough here */
}

static void on_turn(struct weir *weir, unsigned worker, void *user)
{
    (void)weir;
    (void)user;
    raise_to(&lab.turn_messages_max, lab.turns[worker].messages);
    raise_to(&lab.turn_opens_max, lab.turns[worker].opens);
    lab.turns[worker].messages = lab.turns[worker].opens = 0;
}

static void on_log(enum weir_log_level level, enum weir_log_kind kind, const char *text, void *user)
{
    (void)level;
    (void)user;
    fprintf(stderr, "log %d: %s\n", (int)kind, text);
}

/* ---- Commands: on the thread of standard input ---- */

static void on_sent(int result, void *arg)
{
    const uint64_t *id = arg;

    kit_event("{\"event\":\"sent\",\"conn\":%" PRIu64 ",\"result\":%d}", *id, result);
    free(arg);
}

static uint64_t *new_number(uint64_t value)
{
    uint64_t *number = malloc(sizeof(*number));

    KIT_CHECK(number);
    *number = value;
    return number;
}

static void command_send(char *args)
{
    uint64_t *id = new_number(strtoull(next_word(&args), NULL, 10));
    const int result = weir_send(lab.weir, *id, bytes_of(args), on_sent, id);

    if (result == 0) return;
    kit_event("{\"event\":\"refused\",\"conn\":%" PRIu64 ",\"result\":%d}", *id, result);
    free(id);
}

struct order {
    uint64_t id;
    char line[LINE_MAX];
};

static void run_order(struct weir_conn *conn, void *arg)
{
    struct order *order = arg;

    if (!conn) {
        kit_event("{\"event\":\"gone\",\"conn\":%" PRIu64 "}", order->id);
    } else {
        KIT_CHECK(weir_conn_id(conn) == order->id);
        run_verb(conn, order->line);
    }
    free(order);
}

static void command_conn(char *args)
{
    struct order *order = calloc(1, sizeof(*order));

    KIT_CHECK(order);
    order->id = strtoull(next_word(&args), NULL, 10);
    snprintf(order->line, sizeof(order->line), "%s", args);
    KIT_CHECK(weir_post_conn(lab.weir, order->id, run_order, order) == 0);
}

/* So many messages of so many bytes; what was accepted, and what not. */
static void command_burst(char *args)
{
    const uint64_t id = strtoull(next_word(&args), NULL, 10);
    const uint64_t count = strtoull(next_word(&args), NULL, 10);
    const size_t len = (size_t)strtoull(next_word(&args), NULL, 10);
    uint64_t accepted = 0, full = 0, too_long = 0;
    unsigned char *bytes = malloc(len + 1);

    KIT_CHECK(bytes);
    memset(bytes, 'b', len);
    for (uint64_t i = 0; i < count; i++) {
        const int result = weir_send(lab.weir, id, (struct weir_bytes){ bytes, len }, NULL, NULL);
        accepted += result == 0;
        full += result == -EAGAIN;
        too_long += result == -EMSGSIZE;
    }
    free(bytes);
    kit_event("{\"event\":\"burst\",\"accepted\":%" PRIu64 ",\"full\":%" PRIu64 ",\"too_long\":%" PRIu64 "}", accepted,
              full, too_long);
}

static void count_post(struct weir *weir, void *arg)
{
    _Atomic uint64_t *ran = arg;

    (void)weir;
    atomic_fetch_add(ran, 1);
}

static _Atomic uint64_t posts_ran;

static void command_post(char *args)
{
    const unsigned worker = (unsigned)strtoul(next_word(&args), NULL, 10);
    const uint64_t count = strtoull(next_word(&args), NULL, 10);
    uint64_t accepted = 0, full = 0;

    for (uint64_t i = 0; i < count; i++) {
        const int result = weir_post(lab.weir, worker, count_post, &posts_ran);
        accepted += result == 0;
        full += result == -EAGAIN;
    }
    kit_event("{\"event\":\"posted\",\"accepted\":%" PRIu64 ",\"full\":%" PRIu64 "}", accepted, full);
}

static _Atomic unsigned turns_left;

static void end_turn(struct weir *weir, void *arg)
{
    (void)weir;
    (void)arg;
    if (atomic_fetch_sub(&turns_left, 1) == 1) kit_event("{\"event\":\"turn\"}");
}

/* Every worker has taken out its mail once more. */
static void command_turn(char *args)
{
    (void)args;
    atomic_store(&turns_left, weir_workers(lab.weir));
    for (unsigned i = 0; i < weir_workers(lab.weir); i++)
        KIT_CHECK(weir_post(lab.weir, i, end_turn, NULL) == 0);
}

/* Runs on a worker, and keeps it until `unblock`. */
static void block(struct weir *weir, void *arg)
{
    (void)weir;
    (void)arg;
    pthread_mutex_lock(&lab.lock);
    lab.blocks++;
    kit_event("{\"event\":\"blocked\"}");
    while (lab.blocks > 0)
        pthread_cond_wait(&lab.changed, &lab.lock);
    pthread_mutex_unlock(&lab.lock);
}

static void command_block(char *args)
{
    KIT_CHECK(weir_post(lab.weir, (unsigned)strtoul(args, NULL, 10), block, NULL) == 0);
}

static void command_unblock(char *args)
{
    (void)args;
    pthread_mutex_lock(&lab.lock);
    lab.blocks = 0;
    pthread_cond_broadcast(&lab.changed);
    pthread_mutex_unlock(&lab.lock);
}

static void pay(struct weir_conn *conn, void *arg)
{
    struct debt *debt = arg;

    if (!conn) {
        kit_event("{\"event\":\"gone\",\"conn\":%" PRIu64 "}", debt->id);
    } else {
        const int result = weir_conn_send(conn, (struct weir_bytes){ debt->bytes, debt->len });
        if (result < 0) kit_event("{\"event\":\"unpaid\",\"conn\":%" PRIu64 ",\"result\":%d}", debt->id, result);
        weir_conn_release(conn);
    }
    free(debt);
}

static struct debt *take_debts(void)
{
    struct debt *debts;

    pthread_mutex_lock(&lab.lock);
    debts = lab.debts;
    lab.debts = NULL;
    pthread_mutex_unlock(&lab.lock);
    return debts;
}

/* Pays all that is owed, after so many milliseconds. */
static void command_pay(char *args)
{
    struct debt *debt, *next;

    kit_wait_ms(strtoll(args, NULL, 10));
    for (debt = take_debts(); debt; debt = next) {
        next = debt->next;
        KIT_CHECK(weir_post_conn(lab.weir, debt->id, pay, debt) == 0);
    }
}

static bool match_odd(struct weir_conn *conn, void *user)
{
    (void)user;
    return weir_conn_id(conn) % 2 == 1;
}

/* The user counts them. */
static void on_broadcast_sent(struct weir_conn *conn, void *user)
{
    KIT_CHECK(weir_conn_id(conn) != 0);
    __atomic_fetch_add((uint64_t *)user, 1, __ATOMIC_RELAXED);
}

static void on_broadcast_done(uint64_t sent, void *user)
{
    KIT_CHECK(__atomic_load_n((const uint64_t *)user, __ATOMIC_RELAXED) == sent);
    kit_event("{\"event\":\"broadcast\",\"sent\":%" PRIu64 "}", sent);
    free(user);
}

/* broadcast [listener=N] [except=ID] [match=odd] [len=N] TEXT */
static void command_broadcast(char *args)
{
    struct weir_filter filter =
        WEIR_FILTER(.done = on_broadcast_done, .user = new_number(0), .sent = on_broadcast_sent);
    char *word = next_word(&args);
    char *equals, *bytes = NULL;
    size_t len = 0;
    int result;

    for (; (equals = strchr(word, '=')); word = next_word(&args)) {
        const uint64_t value = strtoull(equals + 1, NULL, 10);
        if (strncmp(word, "listener=", 9) == 0) filter.listener = lab.listeners[value];
        if (strncmp(word, "except=", 7) == 0) filter.except_id = value;
        if (strncmp(word, "match=", 6) == 0) filter.match = match_odd;
        if (strncmp(word, "len=", 4) == 0) len = (size_t)value;
    }
    if (len == 0) len = strlen(word);
    bytes = malloc(len + 1);
    KIT_CHECK(bytes);
    for (size_t i = 0; i < len; i++)
        bytes[i] = word[i % strlen(word)];
    result = weir_broadcast(lab.weir, &filter, (struct weir_bytes){ (unsigned char *)bytes, len });
    if (result != 0) {
        kit_event("{\"event\":\"refused\",\"result\":%d}", result);
        free(filter.user);
    }
    free(bytes);
}

static void command_pause(char *args)
{
    (void)args;
    weir_input_pause(lab.weir);
}

static void command_resume(char *args)
{
    (void)args;
    weir_input_resume(lab.weir);
}

static void command_stop(char *args)
{
    weir_stop(lab.weir, strtoll(args, NULL, 10));
}

static void command_counters(char *args)
{
    struct weir_counters all = { .size = sizeof(all) };
    char closed[2048] = "";
    size_t len = 0;

    (void)args;
    weir_counters(lab.weir, &all);
    for (unsigned i = 0; i < WEIR_REASON_COUNT; i++)
        len += (size_t)snprintf(closed + len, sizeof(closed) - len, "%s\"%s\":%" PRIu64, i == 0 ? "" : ",",
                                weir_reason_text((enum weir_reason)i), all.closed[i]);
    kit_event("{\"event\":\"counters\",\"clients\":%" PRIu64 ",\"clients_max\":%" PRIu64 ",\"accepted\":%" PRIu64
              ",\"dialled\":%" PRIu64 ",\"messages_in\":%" PRIu64 ",\"messages_out\":%" PRIu64
              ",\"messages_skipped\":%" PRIu64 ",\"messages_truncated\":%" PRIu64 ",\"bytes_in\":%" PRIu64
              ",\"bytes_out\":%" PRIu64 ",\"memory_bytes\":%" PRIu64 ",\"mailbox_full\":%" PRIu64 ",\"turns\":%" PRIu64
              ",\"turn_messages_max\":%" PRIu64 ",\"turn_opens_max\":%" PRIu64 ",\"posts_ran\":%" PRIu64
              ",\"closed\":{%s}}",
              all.clients, all.clients_max, all.accepted, all.dialled, all.messages_in, all.messages_out,
              all.messages_skipped, all.messages_truncated, all.bytes_in, all.bytes_out, all.memory_bytes,
              all.mailbox_full, all.turns, atomic_load(&lab.turn_messages_max), atomic_load(&lab.turn_opens_max),
              atomic_load(&posts_ran), closed);
}

/* The id that comes next is told, too. */
static void command_id_limit(char *args)
{
    weir_set_id_limit(lab.weir, strtoull(args, NULL, 10));
    kit_event("{\"event\":\"id-limit\",\"next\":%" PRIu64 "}", weir_next_id(lab.weir));
}

static void command_enable(char *args)
{
    char text[KIT_TEXT_BYTES];
    const int result = weir_listener_enable(lab.listeners[strtoul(args, NULL, 10)]);

    kit_event("{\"event\":\"enable\",\"result\":%d,\"error\":\"%s\"}", result, sentence(result, text));
}

static void command_disable(char *args)
{
    kit_event("{\"event\":\"disable\",\"result\":%d}", weir_listener_disable(lab.listeners[strtoul(args, NULL, 10)]));
}

static int open_listener(const char *url)
{
    struct weir_listener **listener = &lab.listeners[lab.listeners_count];
    int result;

    KIT_CHECK(lab.listeners_count < LISTENERS_MAX);
    result = weir_listen(lab.weir, url, &lab.service, listener);
    if (result != 0) return result;
    lab.listeners_count++;
    kit_announce(*listener);
    return 0;
}

static void command_listen(char *args)
{
    char text[KIT_TEXT_BYTES];
    const int result = open_listener(args);

    kit_event("{\"event\":\"listen\",\"result\":%d,\"error\":\"%s\"}", result, sentence(result, text));
}

static const struct {
    const char *name;
    void (*run)(char *args);
} commands[] = {
    { "send", command_send },           { "conn", command_conn },
    { "burst", command_burst },         { "post", command_post },
    { "block", command_block },         { "unblock", command_unblock },
    { "turn", command_turn },           { "pay", command_pay },
    { "pause", command_pause },         { "resume", command_resume },
    { "broadcast", command_broadcast }, { "stop", command_stop },
    { "counters", command_counters },   { "id-limit", command_id_limit },
    { "enable", command_enable },       { "disable", command_disable },
    { "listen", command_listen },       { "dial", dial },
};

static void on_line(char *line)
{
    char *args = line;
    const char *name = next_word(&args);

    for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
        if (strcmp(commands[i].name, name) != 0) continue;
        commands[i].run(args);
        return;
    }
    kit_fail("there is no command %s", name);
}

/* ---- Options ---- */

static const struct {
    const char *name;
    int64_t *value;
} numbers[] = {
    { "clients-max", &lab.config.clients_max },
    { "memory-bytes-max", &lab.config.memory_bytes_max },
    { "mailbox-items-max", &lab.config.mailbox_items_max },
    { "mailbox-bytes-max", &lab.config.mailbox_bytes_max },
    { "message-bytes-max", &lab.service.message_bytes_max },
    { "output-bytes-max", &lab.service.output_bytes_max },
    { "wake-bytes-max", &lab.service.wake_bytes_max },
    { "wake-messages-max", &lab.service.wake_messages_max },
    { "idle-timeout-ms", &lab.service.idle_timeout_ms },
    { "frame-timeout-ms", &lab.service.frame_timeout_ms },
    { "write-timeout-ms", &lab.service.write_timeout_ms },
    { "drain-timeout-ms", &lab.service.drain_timeout_ms },
    { "linger-timeout-ms", &lab.service.linger_timeout_ms },
    { "linger-bytes-max", &lab.service.linger_bytes_max },
    { "connect-timeout-ms", &lab.service.connect_timeout_ms },
    { "accepts-max", &lab.service.accepts_max },
    { "backlog", &lab.service.backlog },
    { "defer-accept-ms", &lab.service.defer_accept_ms },
    { "unix-mode", &lab.service.unix_mode },
    { "pause-every", &lab.pause_every },
    { "resume-after-ms", &lab.resume_after_ms },
    { "quiet", &lab.quiet },
    { "end-output", &lab.end_output },
    { "redials", &lab.redials },
};

static void set_mode(const char *name)
{
    for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
        if (strcmp(modes[i].name, name) != 0) continue;
        lab.service.on_message = modes[i].on_message;
        return;
    }
    kit_fail("there is no mode %s", name);
}

/* The options that are not plain numbers. */
static int set_word(const char *name, const char *value)
{
    if (strcmp(name, "workers") == 0) {
        lab.config.workers = (unsigned)strtoul(value, NULL, 0);
    } else if (strcmp(name, "first-id") == 0) {
        lab.config.first_id = strtoull(value, NULL, 0);
    } else if (strcmp(name, "log-level") == 0) {
        lab.config.log_level = (enum weir_log_level)strtol(value, NULL, 0);
    } else if (strcmp(name, "frame") == 0) {
        lab.service.frame = value;
    } else if (strcmp(name, "send-frame") == 0) {
        lab.service.send_frame = value;
    } else if (strcmp(name, "source") == 0) {
        lab.service.source = value;
    } else if (strcmp(name, "too-long") == 0) {
        lab.service.too_long = (enum weir_too_long)strtol(value, NULL, 0);
    } else if (strcmp(name, "reuseport") == 0) {
        lab.service.reuseport = strtol(value, NULL, 0) != 0;
    } else if (strcmp(name, "disabled") == 0) {
        lab.service.disabled = strtol(value, NULL, 0) != 0;
    } else if (strcmp(name, "keep-ended") == 0) {
        lab.service.on_end = strtol(value, NULL, 0) != 0 ? on_end : NULL;
    } else if (strcmp(name, "mode") == 0) {
        set_mode(value);
    } else {
        return 0;
    }
    return 1;
}

static void set_option(const char *name, const char *value)
{
    if (set_word(name, value)) return;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
        if (strcmp(numbers[i].name, name) != 0) continue;
        *numbers[i].value = strtoll(value, NULL, 0);
        return;
    }
    kit_fail("there is no option --%s", name);
}

/* Twice over the same words: the engine's fields are wanted before there is an engine, a service's in their order. */
static int read_options(int argc, char **argv, int listens)
{
    KIT_CHECK(argc % 2 == 1);
    for (int i = 1; i < argc; i += 2) {
        const char *name = argv[i] + 2;
        int result = 0;

        KIT_CHECK(strncmp(argv[i], "--", 2) == 0);
        if (strcmp(name, "listen") != 0) {
            set_option(name, argv[i + 1]);
        } else if (listens) {
            result = open_listener(argv[i + 1]);
        }
        if (result != 0) {
            fprintf(stderr, "service_lab: %s\n", weir_error_text(lab.weir));
            return 0;
        }
    }
    return 1;
}

static const struct weir_service fresh_service =
    WEIR_SERVICE(.on_open = on_open, .on_message = message_none, .on_writable = on_writable, .on_close = on_close);

static int serve(void)
{
    char text[KIT_TEXT_BYTES];
    int result;

    kit_input_start(on_line);
    result = weir_run(lab.weir);
    command_unblock(NULL);
    kit_input_stop();
    kit_event("{\"event\":\"ran\",\"result\":%d,\"error\":\"%s\"}", result, sentence(result, text));
    return result == 0;
}

int main(int argc, char **argv)
{
    struct debt *debt, *next;
    int good;

    pthread_mutex_init(&lab.lock, NULL);
    pthread_cond_init(&lab.changed, NULL);
    lab.config.on_turn = on_turn;
    lab.config.on_log = on_log;
    lab.service = fresh_service;
    read_options(argc, argv, 0);
    if (weir_new(&lab.config, &lab.weir) != 0) kit_fail("service_lab: %s", weir_error_text(NULL));
    kit_signals_start(lab.weir); /* whoever reads `listening on` may send one at once */
    lab.service = fresh_service;
    good = read_options(argc, argv, 1) && serve();
    kit_signals_stop();
    for (debt = take_debts(); debt; debt = next) {
        next = debt->next;
        free(debt);
    }
    weir_free(lab.weir);
    return good ? 0 : 1;
}

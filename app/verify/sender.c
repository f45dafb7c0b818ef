/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The connections of weir verify, on the engine's one worker. In a turn acknowledgements are only
 * counted. At its end one piece goes to the ledger, with what was acknowledged and what is to be sent, and only then is
 * it sent. Must never send what is not in the ledger, nor take for acknowledged what an acknowledgement does not say.
 *
 * The server counts the messages of each of its connections from 1, and acknowledges them in that order. So on a
 * connection that was dialled again its first acknowledgement is for the first message that was sent on it, which is
 * the first that has none. */
#include "sender.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/clock.h"
#include "numbered.h"
#include "text/utf8.h"

#define MILLISECOND_NS INT64_C(1000000)
#define SECOND_NS INT64_C(1000000000)

enum {
    LOOK_EVERY_MS = 10,
    SHOW_EVERY_MS = 1000,
    DIALS_A_LOOK = 50,
    WAIT_FIRST_MS = 20, /* before a connection that ended is dialled again; doubles */
    WAIT_MAX_MS = 1000,
    LAST_ACKNOWLEDGEMENTS_MS = 2000, /* after Ctrl-C, for the next of them to come */
    STOP_MS = 1000
};

static bool is_past(int64_t since_ns, int64_t now_ns, int64_t limit_ms)
{
    return now_ns - since_ns >= limit_ms * MILLISECOND_NS;
}

static void end(struct sender *sender, enum sender_end why)
{
    if (sender->is_over) return;
    sender->is_over = true;
    sender->end = why;
    sender->was_open = sender->open > 0;
    sender->end_ns = clock_ns();
    weir_stop(sender->weir, STOP_MS);
}

static void __attribute__((format(printf, 2, 3))) end_wrong(struct sender *sender, const char *format, ...)
{
    va_list arguments;

    if (sender->is_over) return;
    va_start(arguments, format);
    vsnprintf(sender->sentence, sizeof(sender->sentence), format, arguments);
    va_end(arguments);
    end(sender, SENDER_WRONG);
}

static void end_broken(struct sender *sender, int err, bool is_ledger)
{
    if (sender->is_over) return;
    sender->error = err;
    sender->is_ledger = is_ledger;
    end(sender, SENDER_BROKEN);
}

/* ---- The end of a turn: write down, then send ---- */

static void touch(struct sender_client *client)
{
    if (client->is_touched) return;
    client->is_touched = true;
    TAILQ_INSERT_TAIL(&client->sender->touched, client, in_touched);
}

/* How many more may be sent. */
static uint64_t room(const struct sender_client *client)
{
    const uint64_t in_flight = client->planned - client->acknowledged;
    const uint64_t left = client->messages - client->planned;
    const uint64_t free = client->sender->plan->depth - in_flight;

    return left < free ? left : free;
}

static void set_able(struct sender_client *client, bool is_able)
{
    if (client->is_able == is_able) return;
    client->is_able = is_able;
    if (is_able)
        TAILQ_INSERT_TAIL(&client->sender->able, client, in_able);
    else
        TAILQ_REMOVE(&client->sender->able, client, in_able);
}

static void note_acknowledged(struct sender_client *client)
{
    struct sender *sender = client->sender;

    if (client->noted == client->acknowledged) return;
    ledger_add_acknowledged(sender->ledger, client->number, client->noted + 1, client->acknowledged);
    sender->acknowledged += client->acknowledged - client->noted;
    sender->progress_ns = clock_ns();
    client->noted = client->acknowledged;
    client->wait_ms = WAIT_FIRST_MS;
    if (client->acknowledged < client->messages) return;
    sender->done++;
    if (client->conn) weir_conn_close(client->conn);
}

static void go_through_touched(struct sender *sender)
{
    struct sender_client *client = NULL;

    while ((client = TAILQ_FIRST(&sender->touched))) {
        TAILQ_REMOVE(&sender->touched, client, in_touched);
        client->is_touched = false;
        note_acknowledged(client);
        if (client->conn && room(client) > 0) set_able(client, true);
    }
}

/* At a fixed rate one message each in turn, so that all connections are even. */
static void plan_messages(struct sender *sender, struct sender_clients *ret)
{
    const bool is_paced = sender->plan->interval_ns > 0;
    uint64_t due = is_paced ? timetable_due_count(&sender->timetable, clock_ns()) : UINT64_MAX;
    struct sender_client *client = NULL;

    if (sender->is_interrupted || sender->is_over) return;
    while (due > 0 && (client = TAILQ_FIRST(&sender->able))) {
        const uint64_t count = is_paced ? 1 : room(client);

        if (client->planned == client->sent) TAILQ_INSERT_TAIL(ret, client, in_list);
        client->planned += count;
        set_able(client, false);
        set_able(client, room(client) > 0);
        if (!is_paced) continue;
        sender->timetable.next++;
        due--;
    }
    if (is_paced && !TAILQ_EMPTY(&sender->able)) timetable_arm(&sender->timetable);
}

static void send_planned(struct sender_client *client)
{
    struct sender *sender = client->sender;
    const struct sender_plan *plan = sender->plan;

    while (client->sent < client->planned) {
        const struct numbered numbered = { plan->run, client->number, ++client->sent };
        int result = 0;

        numbered_write(&numbered, sender->message, plan->message_bytes);
        result = weir_conn_send(client->conn, (struct weir_bytes){ sender->message, plan->message_bytes });
        sender->sent++;
        sender->sent_again += client->sent <= client->highest;
        if (client->sent > client->highest) client->highest = client->sent;
        if (result >= 0) continue;
        if (result != WEIR_ECLOSING) weir_conn_abort(client->conn, WEIR_REASON_MEMORY);
        client->sent = client->planned; /* it is over with this connection: on_close goes on */
    }
}

static void work(struct sender *sender)
{
    struct sender_clients sending = TAILQ_HEAD_INITIALIZER(sending);
    struct sender_client *client = NULL;
    int err = 0;

    if (sender->is_over && sender->end == SENDER_BROKEN) return; /* part of the piece may be in the ledger */
    go_through_touched(sender);
    plan_messages(sender, &sending);
    for (client = TAILQ_FIRST(&sending); client; client = TAILQ_NEXT(client, in_list))
        ledger_add_sent(sender->ledger, client->number, client->sent + 1, client->planned);
    err = ledger_write(sender->ledger);
    if (err) {
        end_broken(sender, err, true);
        return;
    }
    while ((client = TAILQ_FIRST(&sending))) {
        TAILQ_REMOVE(&sending, client, in_list);
        send_planned(client);
    }
    if (sender->done == sender->plan->connections) end(sender, SENDER_DONE);
}

void sender_on_turn(struct weir *weir, unsigned worker, void *user)
{
    (void)weir;
    (void)worker;
    work(user);
}

static void on_due(void *user)
{
    work(user);
}

/* ---- Acknowledgements ---- */

static bool is_text(struct weir_bytes bytes)
{
    return utf8_plain_len(bytes) == bytes.len;
}

/* The first number in what is text. */
static bool find_number(struct weir_bytes message, uint64_t *ret)
{
    size_t at = 0;

    while (at < message.len && (message.data[at] < '0' || message.data[at] > '9'))
        at++;
    if (at == message.len) return false;
    for (*ret = 0; at < message.len && message.data[at] >= '0' && message.data[at] <= '9'; at++)
        *ret = *ret * 10 + (uint64_t)(message.data[at] - '0');
    return true;
}

/* Acknowledgement nth of this connection says something else. */
static void end_wrong_number(const struct sender_client *client, struct weir_bytes message, uint64_t nth)
{
    end_wrong(client->sender,
              "acknowledgement %" PRIu64 " of connection %" PRIu32
              " has another number in it: \"%.*s\"; start the server "
              "with --ack {seq}",
              nth, client->number, message.len < 80 ? (int)message.len : 80, (const char *)message.data);
}

static void on_acknowledgement(struct weir_conn *conn, struct weir_bytes message, void *user)
{
    struct sender_client *client = user;
    const uint64_t nth = client->acknowledged + 1 - client->before;
    struct weir_message_info info;
    uint64_t number = 0;

    weir_conn_message(conn, &info);
    if (info.flags & WEIR_MESSAGE_UNFINISHED) return; /* the server ended while it wrote this */
    if (nth == 1) client->has_text = is_text(message);
    if (client->acknowledged == client->sent)
        end_wrong(client->sender,
                  "on connection %" PRIu32 " more came than was sent: %" PRIu64 " messages; the server "
                  "must send one acknowledgement for each, and nothing else",
                  client->number, nth);
    else if (client->has_text && is_text(message) && find_number(message, &number) && number != nth)
        end_wrong_number(client, message, nth);
    if (client->sender->is_over) return;
    client->acknowledged++;
    touch(client);
}

/* ---- Connections ---- */

static void dial_later(struct sender_client *client, int64_t wait_ms)
{
    client->dial_ns = clock_ns() + wait_ms * MILLISECOND_NS;
    TAILQ_INSERT_TAIL(&client->sender->later, client, in_list);
}

static void dial_others(struct sender *sender)
{
    for (uint32_t i = 1; i < sender->plan->connections; i++)
        dial_later(&sender->clients[i], 0);
}

static void on_open(struct weir_conn *conn, void *user)
{
    struct sender_client *client = user;
    struct sender *sender = client->sender;

    if (!sender->opened++) {
        again_url(sender->url, conn);
        dial_others(sender);
    }
    sender->open++;
    sender->still_ns = clock_ns();
    client->conn = conn;
    client->before = client->sent = client->planned = client->acknowledged;
    touch(client);
}

/* What it has not acknowledged is sent again on the next one. */
static void on_close(struct weir_conn *conn, enum weir_reason reason, void *user)
{
    struct sender_client *client = user;
    struct sender *sender = client->sender;
    const bool was_open = client->conn != NULL;

    client->conn = NULL;
    sender->open -= was_open;
    set_able(client, false);
    if (sender->is_over || client->acknowledged == client->messages) return;
    sender->reason = reason;
    sender->error = weir_conn_error(conn);
    sender->lost += was_open;
    sender->still_ns = clock_ns();
    if (reason == WEIR_REASON_MALFORMED || reason == WEIR_REASON_TOO_LONG) {
        end_wrong(sender, "an acknowledgement is not in the framing %s", sender->service.frame);
    } else if (!sender->opened) {
        end(sender, SENDER_NEVER_THERE); /* a server that was never there is not asked again */
    } else {
        dial_later(client, client->wait_ms);
        client->wait_ms = client->wait_ms * 2 < WAIT_MAX_MS ? client->wait_ms * 2 : WAIT_MAX_MS;
    }
}

static int dial(struct sender_client *client)
{
    struct sender *sender = client->sender;

    return weir_dial(sender->weir, sender->url, &sender->service, client, NULL);
}

static void dial_again(struct sender *sender, int64_t now_ns)
{
    struct sender_client *client = TAILQ_FIRST(&sender->later);
    size_t dialled = 0;

    while (client && dialled < DIALS_A_LOOK) {
        struct sender_client *next = TAILQ_NEXT(client, in_list);

        if (client->dial_ns <= now_ns) {
            TAILQ_REMOVE(&sender->later, client, in_list);
            if (dial(client)) dial_later(client, WAIT_MAX_MS);
            dialled++;
        }
        client = next;
    }
}

/* ---- Now and then ---- */

static bool is_anything_in_flight(const struct sender *sender)
{
    for (uint32_t i = 0; i < sender->plan->connections; i++) {
        const struct sender_client *client = &sender->clients[i];
        if (client->conn && client->sent > client->acknowledged) return true;
    }
    return false;
}

static void look_for_the_end(struct sender *sender, int64_t now_ns)
{
    const int64_t give_up_ms = sender->plan->give_up_ms;
    const bool is_silent = !sender->acknowledged && sender->sent > 0 && sender->open > 0;

    if (sender->is_interrupted &&
        (is_past(sender->progress_ns, now_ns, LAST_ACKNOWLEDGEMENTS_MS) || !is_anything_in_flight(sender)))
        end(sender, SENDER_INTERRUPTED);
    else if (is_silent && is_past(sender->still_ns, now_ns, SENDER_UNACKNOWLEDGED_S * 1000))
        end(sender, SENDER_UNACKNOWLEDGED);
    else if (give_up_ms > 0 && is_past(sender->progress_ns, now_ns, give_up_ms))
        end(sender, is_silent ? SENDER_UNACKNOWLEDGED : SENDER_GAVE_UP);
}

static void show(struct sender *sender, int64_t now_ns)
{
    struct line *line = NULL;
    uint64_t rate = 0;

    if (!sender->live.is_shown || !is_past(sender->shown_ns, now_ns, SHOW_EVERY_MS)) return;
    rate = (uint64_t)((double)(sender->acknowledged - sender->shown_acknowledged) * (double)SECOND_NS /
                      (double)(now_ns - sender->shown_ns));
    line = live_begin(&sender->live);
    line_add_text(line, "acknowledged "); /* all of it fits into 80 columns */
    line_add_number(line, sender->acknowledged);
    line_add_text(line, " of ");
    line_add_number(line, sender->plan->messages);
    line_addf(line, "   %" PRIu64 "/s   %" PRIu32 " open   lost %" PRIu64 "   resent %" PRIu64, rate, sender->open,
              sender->lost, sender->sent_again);
    live_show(&sender->live);
    sender->shown_ns = now_ns;
    sender->shown_acknowledged = sender->acknowledged;
}

static void look(struct weir_timer *timer, void *arg)
{
    struct sender *sender = arg;
    const int64_t now_ns = clock_ns();

    (void)timer;
    if (sender->is_over) return;
    if (!sender->is_interrupted) dial_again(sender, now_ns);
    show(sender, now_ns);
    look_for_the_end(sender, now_ns);
}

/* ---- From start to end ---- */

static const int stop_signals[SENDER_SIGNALS] = { SIGINT, SIGTERM };

/* A second one ends the program at once, as it does any. */
static void on_signal(int number, short what, void *user)
{
    struct sender *sender = user;

    (void)number;
    (void)what;
    sender->is_interrupted = true;
    sender->progress_ns = clock_ns();
    for (size_t i = 0; i < SENDER_SIGNALS; i++)
        event_del(sender->signals[i]);
}

static int start_signals(struct sender *sender)
{
    for (size_t i = 0; i < SENDER_SIGNALS; i++) {
        sender->signals[i] = evsignal_new(weir_worker_base(sender->weir, 0), stop_signals[i], on_signal, sender);
        if (!sender->signals[i] || event_add(sender->signals[i], NULL)) return -ENOMEM;
    }
    return 0;
}

static int make_clients(struct sender *sender)
{
    const struct sender_plan *plan = sender->plan;

    sender->message = malloc(plan->message_bytes);
    sender->clients = calloc(plan->connections, sizeof(*sender->clients));
    if (!sender->message || !sender->clients) return -ENOMEM;
    for (uint32_t i = 0; i < plan->connections; i++)
        sender->clients[i] = (struct sender_client){ .sender = sender,
                                                     .number = i + 1,
                                                     .messages = plan->messages / plan->connections +
                                                                 (i < plan->messages % plan->connections),
                                                     .wait_ms = WAIT_FIRST_MS };
    return 0;
}

static int start_timetable(struct sender *sender)
{
    if (sender->plan->interval_ns <= 0) return 0;
    sender->timetable.interval_ns = sender->plan->interval_ns;
    sender->timetable.start_ns = sender->start_ns;
    return timetable_open(&sender->timetable, weir_worker_base(sender->weir, 0), on_due, sender);
}

int sender_start(struct sender *sender, const struct sender_plan *plan, struct ledger *ledger, struct weir *weir)
{
    int err = 0;

    *sender = (struct sender){ .plan = plan, .ledger = ledger, .weir = weir, .service = plan->service };
    sender->start_ns = sender->progress_ns = sender->still_ns = sender->shown_ns = clock_ns();
    snprintf(sender->url, sizeof(sender->url), "%s", plan->url);
    sender->service.on_open = on_open;
    sender->service.on_message = on_acknowledgement;
    sender->service.on_close = on_close;
    TAILQ_INIT(&sender->touched);
    TAILQ_INIT(&sender->able);
    TAILQ_INIT(&sender->later);
    live_init(&sender->live);
    err = make_clients(sender);
    if (!err) err = start_signals(sender);
    if (!err) err = start_timetable(sender);
    if (!err) err = weir_timer_start(weir, 0, LOOK_EVERY_MS, LOOK_EVERY_MS, look, sender, NULL);
    ledger_add_run(ledger, plan->run, plan->connections, plan->message_bytes);
    return err ? err : dial(&sender->clients[0]);
}

void sender_stop(struct sender *sender)
{
    for (size_t i = 0; i < SENDER_SIGNALS; i++)
        if (sender->signals[i]) event_free(sender->signals[i]);
    memset(sender->signals, 0, sizeof(sender->signals));
    timetable_close(&sender->timetable);
    live_clear(&sender->live);
}

void sender_fini(struct sender *sender)
{
    live_fini(&sender->live);
    free(sender->clients);
    free(sender->message);
}

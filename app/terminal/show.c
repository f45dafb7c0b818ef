/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Asks a connection what there is to say of it, has that put in words, and hands the line to the
 * printer. Runs on the workers: must never wait. */
#include "show.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "terminal.h"
#include "text/json.h"

enum {
    LONG_BYTES = 4096,        /* of a message: its line is made only when the printer has room for it */
    LINE_BYTES_PER_BYTE = 16, /* more than it ever has, as text, in hex and with what stands between them */
    HEAD_BYTES_MAX = 4096
};

struct show {
    struct printer *lines;
    bool json;
    struct render_style style; /* but for its columns: */
    atomic_uint columns;
    atomic_bool has_hinted;
    unsigned workers;
    struct line *line_of_worker; /* each used by one worker only */
};

/* The printer has left out so many events. */
static void add_missed(struct line *line, uint64_t lost)
{
    const struct timespec now = clock_wall();

    json_missed(line, &now, lost);
}

int show_new(struct printer *lines, bool json, enum render_form form, unsigned workers, struct show **ret)
{
    struct show *show = calloc(1, sizeof(*show));

    if (!show) return -ENOMEM;
    show->line_of_worker = calloc(workers, sizeof(*show->line_of_worker));
    if (!show->line_of_worker) {
        free(show);
        return -ENOMEM;
    }
    show->lines = lines;
    show->json = json;
    if (json) printer_set_gap(lines, add_missed);
    show->style.form = form;
    show->style.colour = terminal_has_colour(STDOUT_FILENO);
    show->style.utf8 = !isatty(STDOUT_FILENO) || terminal_has_utf8();
    show->workers = workers;
    atomic_init(&show->columns, isatty(STDOUT_FILENO) ? terminal_columns(STDOUT_FILENO) : 0);
    *ret = show;
    return 0;
}

void show_free(struct show *show)
{
    if (!show) return;
    for (unsigned i = 0; i < show->workers; i++)
        line_fini(&show->line_of_worker[i]);
    free(show->line_of_worker);
    free(show);
}

void show_set_columns(struct show *show, unsigned columns)
{
    atomic_store_explicit(&show->columns, columns, memory_order_relaxed);
}

void show_set_encoding(struct show *show, struct encoding *encoding)
{
    show->style.encoding = encoding;
}

struct encoding *show_encoding(const struct show *show)
{
    return show->style.encoding;
}

/* What a line is made with. */
struct making {
    struct line *line;
    struct render_style style;
    struct conn_event event;
    size_t reserved; /* of the printer's room, for a long line */
    char peer[WEIR_ADDRESS_BYTES_MAX];
};

static void begin(struct show *show, struct weir_conn *conn, const char *listener, struct making *ret)
{
    ret->line = &show->line_of_worker[weir_conn_worker(conn)];
    ret->style = show->style;
    ret->style.columns = atomic_load_explicit(&show->columns, memory_order_relaxed);
    ret->event.time = clock_wall();
    ret->event.conn = weir_conn_id(conn);
    ret->event.peer = weir_conn_peer(conn, ret->peer);
    ret->event.listener = listener;
    ret->reserved = 0;
}

/* Whether a line of that message is to be made. One that would only be thrown away is not, and none that memory is not
 * enough for. */
static bool has_room(const struct show *show, struct making *making, size_t len)
{
    if (len < LONG_BYTES) return true;
    making->reserved = printer_reserve(show->lines, len * LINE_BYTES_PER_BYTE + HEAD_BYTES_MAX);
    making->line->len_max = making->reserved;
    making->line->failed = !making->reserved;
    return !making->line->failed;
}

static void end(struct show *show, const struct making *making)
{
    if (making->reserved)
        printer_take(show->lines, making->line, making->reserved);
    else if (making->line->failed)
        printer_count_lost(show->lines);
    else
        printer_add(show->lines, making->line->bytes, making->line->len);
    line_clear(making->line);
}

static void add_message(const struct show *show, struct making *making, struct weir_bytes message,
                        const struct weir_message_info *info)
{
    if (show->json)
        json_message(making->line, &making->event, making->style.encoding, message, info);
    else
        render_message(making->line, &making->style, &making->event, message, info);
}

void show_open(struct show *show, struct weir_conn *conn, const char *listener)
{
    struct making making;

    begin(show, conn, listener, &making);
    if (show->json)
        json_open(making.line, &making.event);
    else
        render_open(making.line, &making.style, &making.event);
    end(show, &making);
}

void show_message(struct show *show, struct weir_conn *conn, const char *listener, struct weir_bytes message)
{
    struct weir_message_info info;
    struct making making;

    weir_conn_message(conn, &info);
    begin(show, conn, listener, &making);
    if (has_room(show, &making, message.len)) add_message(show, &making, message, &info);
    end(show, &making);
}

void show_sent(struct show *show, struct weir_conn *conn, const char *listener, struct weir_bytes message)
{
    struct making making;

    if (!show->json) return; /* people see their own answers at the client */
    begin(show, conn, listener, &making);
    if (has_room(show, &making, message.len)) json_sent(making.line, &making.event, making.style.encoding, message);
    end(show, &making);
}

void show_end(struct show *show, struct weir_conn *conn, const char *listener)
{
    struct making making;

    begin(show, conn, listener, &making);
    if (show->json)
        json_end(making.line, &making.event);
    else
        render_hint(making.line, &making.style, &making.event, "has ended its side, and may still listen");
    end(show, &making);
}

void show_close(struct show *show, struct weir_conn *conn, const char *listener, enum weir_reason reason)
{
    struct weir_conn_counters counters;
    struct making making;

    weir_conn_counters(conn, &counters);
    begin(show, conn, listener, &making);
    if (show->json)
        json_close(making.line, &making.event, reason, weir_conn_error(conn), &counters);
    else
        render_close(making.line, &making.style, &making.event, reason, weir_conn_error(conn), &counters);
    end(show, &making);
}

void show_unfinished(struct show *show, struct weir_conn *conn, struct weir_bytes bytes, const char *missing)
{
    struct making making;

    begin(show, conn, NULL, &making);
    render_unfinished(making.line, &making.style, &making.event, bytes, missing);
    end(show, &making);
}

void show_hint_if_lines(struct show *show, struct weir_conn *conn, struct weir_bytes message)
{
    struct making making;

    if (atomic_load_explicit(&show->has_hinted, memory_order_relaxed)) return;
    if (!memchr(message.data, '\n', message.len) || !render_is_text(show->style.encoding, message)) return;
    if (atomic_exchange(&show->has_hinted, true)) return; /* another worker was faster */
    begin(show, conn, NULL, &making);
    render_hint(making.line, &making.style, &making.event, "sends lines; to see each as a message: --frame line");
    end(show, &making);
}

/* ---- What is typed, and asked for: any thread ---- */

static void begin_typed(struct show *show, uint64_t conn, struct line *line, struct making *ret)
{
    *ret = (struct making){ .line = line, .style = show->style, .event.conn = conn };
    ret->style.columns = atomic_load_explicit(&show->columns, memory_order_relaxed);
    ret->event.time = clock_wall();
}

void show_typed(struct show *show, uint64_t conn, struct weir_bytes message, const char *note)
{
    struct line line = { 0 };
    struct making making;

    begin_typed(show, conn, &line, &making);
    render_sent(&line, &making.style, &making.event, message, note);
    end(show, &making);
    line_fini(&line);
}

void show_whole(struct show *show, uint64_t conn, struct timespec time, struct weir_bytes message,
                const struct weir_message_info *info)
{
    struct line line = { 0 };
    struct making making;

    begin_typed(show, conn, &line, &making);
    making.event.time = time;
    if (has_room(show, &making, message.len)) render_whole(&line, &making.style, &making.event, message, info);
    end(show, &making);
    line_fini(&line);
}

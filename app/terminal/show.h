/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Shows connections on standard output as they live: the tie between the engine's callbacks, the
 * two ways to put them in words, and the printer. */
#ifndef APP_TERMINAL_SHOW_H
#define APP_TERMINAL_SHOW_H

#include <stdbool.h>
#include <time.h>

#include <weir/weir.h>

#include "printer.h"
#include "text/render.h"

struct show;

/* How: as JSON, or for people in that form. What is shown goes to lines, which must live longer and have not started.
 * workers is the number of threads that will call. Returns 0 or -ENOMEM. */
int show_new(struct printer *lines, bool json, enum render_form form, unsigned workers, struct show **ret);
void show_free(struct show *show);

/* The terminal's width may have changed. Any thread. */
void show_set_columns(struct show *show, unsigned columns);

/* What messages are shown in; NULL, the default: UTF-8. It must live longer. Before anything is shown. */
void show_set_encoding(struct show *show, struct encoding *encoding);
struct encoding *show_encoding(const struct show *show);

/* Each from the callback of its name, on the connection's worker. listener is its URL; NULL leaves it out, which JSON
 * cannot. */
void show_open(struct show *show, struct weir_conn *conn, const char *listener);
void show_message(struct show *show, struct weir_conn *conn, const char *listener, struct weir_bytes message);
void show_sent(struct show *show, struct weir_conn *conn, const char *listener, struct weir_bytes message);
void show_end(struct show *show, struct weir_conn *conn, const char *listener);
void show_close(struct show *show, struct weir_conn *conn, const char *listener, enum weir_reason reason);

/* What has come of a message that does not end, and what it lacks. On the connection's worker; shown to people only. */
void show_unfinished(struct show *show, struct weir_conn *conn, struct weir_bytes bytes, const char *missing);
/* What came unframed: says once how to see lines as messages, if it looks like lines. In on_message; for people only.
 */
void show_hint_if_lines(struct show *show, struct weir_conn *conn, struct weir_bytes message);

/* What a person sent to a client, or to all when conn is 0; note is said behind it, NULL: nothing. Any thread; shown to
 * people only. */
void show_typed(struct show *show, uint64_t conn, struct weir_bytes message, const char *note);
/* A message whole, that came at that time. Any thread; shown to people only. */
void show_whole(struct show *show, uint64_t conn, struct timespec time, struct weir_bytes message,
                const struct weir_message_info *info);

#endif

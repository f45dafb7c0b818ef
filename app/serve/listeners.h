/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Where the server listens. */
#ifndef APP_SERVE_LISTENERS_H
#define APP_SERVE_LISTENERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include <weir/weir.h>

#include "answer/ack.h"
#include "answer/reply.h"
#include "desk/desk.h"
#include "journal/journal.h"
#include "log.h"
#include "parties.h"
#include "plan.h"
#include "terminal/show.h"

/* One listener. What the parties need to know of it is the same for all of its clients. */
struct listener {
    const struct party *parties[PARTY_COUNT]; /* that are wanted, in their order */
    unsigned party_count;
    /* Of what happens at each message: theirs without gaps, up to a NULL. */
    void (*on_message[PARTY_COUNT + 1])(struct session *session, struct weir_bytes message);
    void (*on_answered[PARTY_COUNT + 1])(struct session *session, struct weir_bytes message, enum answer answer);
    struct show *show; /* NULL: nothing is shown */
    struct desk *desk; /* NULL: nobody types */
    struct desk_listener for_desk;
    struct reply reply; /* like ack, of the plan */
    bool keeps;
    struct journal *journal; /* once it is open; only with keeps */
    struct journal_listener for_journal;
    struct ack ack;
    struct log *log;
    atomic_bool is_unsendable_told;
    const char *shown_url; /* as in show.h: NULL where it goes without saying */
    const char *missing;   /* of a message that has not ended: what */
    bool hints;            /* what comes may be lines that nobody has asked to see as messages */
    char url[WEIR_ADDRESS_BYTES_MAX];
};

struct listeners {
    struct listener *all;
    struct weir_listener **of_engine; /* of the same number */
    size_t count;
};

/* What all of them work with; each must live longer. */
struct listeners_config {
    const struct plan *plan;
    struct weir *weir;
    struct log *log;
    struct show *show; /* as in struct listener, like the desk */
    struct desk *desk;
    bool is_watched; /* see output_is_watched */
};

/* Binds them. Returns 0, or a negative code with a sentence; those that were bound are then to be ended too. */
int listeners_start(struct listeners *listeners, const struct listeners_config *config,
                    char error[OPTIONS_ERROR_BYTES_MAX]);

/* Before weir_run. */
void listeners_set_journal(struct listeners *listeners, struct journal *journal);

/* What a message that has not ended lacks, by the listener of its connection; user is the listeners. */
const char *listeners_missing(const struct weir_listener *of_engine, void *user);

/* After weir_free. */
void listeners_fini(struct listeners *listeners);

#endif

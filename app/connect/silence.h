/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Notices when nothing comes any more. */
#ifndef APP_CONNECT_SILENCE_H
#define APP_CONNECT_SILENCE_H

#include <weir/weir.h>

/* Starts zeroed. Of one worker. */
struct silence {
    int64_t limit_ms;
    struct weir_conn *conn; /* NULL: it is not there yet, and the connecting counts */
    uint64_t bytes_in;      /* of the connection, when they were looked at last */
    int64_t since_ms;       /* nothing has come since then */
    void (*on_silence)(void *user);
    void *user;
};

/* Calls on_silence once, on worker 0, when nothing has come for limit_ms from now on, or since something came last.
 * silence stays the caller's, and must live until weir_free. Before weir_run, or on worker 0. Returns 0 or -ENOMEM. */
int silence_start(struct silence *silence, struct weir *weir, int64_t limit_ms, void (*on_silence)(void *user),
                  void *user);

/* There is a connection; something has come, which may have taken long to be shown; the connection has ended, and
 * on_silence is not called any more. On worker 0. */
void silence_set_conn(struct silence *silence, struct weir_conn *conn);
void silence_break(struct silence *silence);
void silence_end(struct silence *silence);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the files of this room share. */
#ifndef APP_DESK_DESK_INTERNAL_H
#define APP_DESK_DESK_INTERNAL_H

#include <pthread.h>
#include <stdint.h>

#include "desk.h"
#include "terminal/editor.h"
#include "typing/command.h"

struct desk_file;
struct desk_last;

struct desk {
    struct weir *weir;
    const struct desk_host *host;
    struct show *show;
    struct printer *lines;
    struct editor *editor;
    struct desk_file *file;
    struct desk_last *last_of_worker; /* as many as workers */
    unsigned workers;

    pthread_mutex_t lock;
    struct roster roster; /* under lock */
};

/* ---- desk.c ---- */

/* Says something on the terminal: a line, without its newline. What cannot be shown in it is made question marks. Any
 * thread. */
void __attribute__((format(printf, 2, 3))) desk_tell(struct desk *desk, const char *format, ...);

/* Says why something was not sent, by the code. */
void desk_tell_unsent(struct desk *desk, uint64_t id, int err);

/* The listener of a client, or NULL when it is not there. Any thread. */
const struct desk_listener *desk_find(struct desk *desk, uint64_t id);

/* Sends to a client, and has its host know. Returns what weir_conn_send does, or -ENOSPC while the host has no room. On
 * the client's worker. */
int desk_pass(struct desk *desk, struct weir_conn *conn, struct weir_bytes message);

/* Has the prompt name that client. Returns whether it is there. On the editor's thread. */
bool desk_choose(struct desk *desk, uint64_t id);

/* ---- typed.c: lines, on the editor's thread ---- */

void desk_on_line(const char *text, uint64_t tag, void *user);

/* Sends a message, which is copied, and says so once it is on its way, or why not. note may be NULL. */
void desk_send(struct desk *desk, uint64_t id, struct weir_bytes message, const char *note);

/* ---- list.c ---- */

/* Shows who is connected. */
void desk_list(struct desk *desk);

/* ---- repeat.c ---- */

/* Begins to send the bytes of that line again and again. */
void desk_repeat_start(struct desk *desk, uint64_t id, const struct command_line *line);

/* Ends it for every client. */
void desk_repeat_stop_all(struct desk *desk);

/* Ends it for one that leaves. On its worker. */
void desk_repeat_close(struct desk_client *client);

/* ---- last.c: the last message ---- */

int desk_last_new(unsigned workers, size_t bytes_max, struct desk_last **ret);
void desk_last_free(struct desk_last *last_of_worker, unsigned workers);

/* Keeps a message. On the connection's worker. */
void desk_last_keep(struct desk *desk, struct weir_conn *conn, struct weir_bytes message);

/* Shows the last one whole. */
void desk_last_show(struct desk *desk);

/* ---- file.c ---- */

int desk_file_new(struct desk *desk, struct desk_file **ret);

/* Begins to send what is in a file. */
void desk_file_start(struct desk_file *file, uint64_t id, const struct desk_listener *listener, const char *name);

/* Whether a file's bytes are on their way to that client, between which nothing else may come. Only on its worker the
 * answer holds until what is sent there is on its way; elsewhere a file may begin behind it. */
bool desk_file_is_between(struct desk_file *file, uint64_t id);

/* News of a client. On its worker. */
void desk_file_writable(struct desk_file *file, uint64_t id);
void desk_file_close(struct desk_file *file, uint64_t id);

/* Gives up what is not sent yet, and waits at most wait_ms. Returns whether the thread has ended. */
void desk_file_stop(struct desk_file *file);
bool desk_file_finish(struct desk_file *file, int wait_ms);
void desk_file_free(struct desk_file *file);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a typed line means. A line is text to send, unless it begins with a slash: then it is a
 * command, and text that begins with a slash is typed with two. In text the escapes of weir_unescape are bytes. */
#ifndef APP_TYPING_COMMAND_H
#define APP_TYPING_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "text/encoding.h"
#include "text/line.h"

/* Where a line is typed: each has commands of its own. */
enum command_place { AT_SERVE = 1, AT_CONNECT = 2, AT_CONNECT_IN_HEX = 2 | 4 /* what would be text is hex */ };

enum command_kind {
    DO_SEND,       /* bytes; none for an empty line */
    DO_FILE,       /* name */
    DO_REPEAT,     /* bytes, count, interval_ms */
    DO_REPEAT_OFF, /* */
    DO_TARGET,     /* client */
    DO_ALL,        /* bytes, to every client */
    DO_LIST,
    DO_KICK, /* client; 0: the one that the prompt names */
    DO_SHOW,
    DO_HELP,
    DO_QUIT
};

/* A line that was read: its kind, and what belongs to that. Ended with command_fini. */
struct command_line {
    enum command_kind kind;
    unsigned char *bytes; /* owned, as name */
    size_t len;
    bool is_text; /* the bytes were typed as text, not by /hex; a NUL stands behind them */
    char *name;
    uint64_t client;
    int64_t count;
    int64_t interval_ms;
};

enum { COMMAND_ERROR_BYTES_MAX = 300 };

/* Reads a line, without its newline; characters to send are sent in that encoding. Returns 0, or -EINVAL or -ENOMEM
 * with a sentence in error, safe to print, and nothing to free. */
int command_parse(const char *text, enum command_place place, struct encoding *encoding, struct command_line *ret,
                  char error[COMMAND_ERROR_BYTES_MAX]);
void command_fini(struct command_line *command);

/* Adds what can be typed there, a line each. */
void command_add_help(struct line *line, enum command_place place);

#endif

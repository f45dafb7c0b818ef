/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Reads a typed line by one table of commands, from which /help is made as well. Pure: text in,
 * meaning out. Must never send a part of a line, nor take a line that it does not understand for text. */
#include "command.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/error.h>

#include "cli/values.h"
#include "text/hex.h"
#include "text/utf8.h"

#define BLANKS " \t"

static const int64_t repeat_count_max = 1000 * 1000 * 1000;
static const int64_t repeat_interval_max_ms = 30LL * 24 * 60 * 60 * 1000;

/* One reading of one line. */
struct reading {
    enum command_place place;
    struct encoding *encoding;
    struct command_line *line;
    char *error;
};

/* One thing that can be typed. Those without parse are here for /help. */
struct command_row {
    const char *name;     /* behind the slash; without parse all that is typed */
    const char *argument; /* NULL: none is taken */
    const char *help;
    unsigned places; /* of enum command_place */
    /* argument is what stands behind the name, without blanks before it */
    int (*parse)(struct reading *reading, const char *argument);
};

static int __attribute__((format(printf, 2, 3))) fail(struct reading *reading, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(reading->error, COMMAND_ERROR_BYTES_MAX, format, arguments);
    va_end(arguments);
    return -EINVAL;
}

/* ---- What is sent ---- */

static int take_room(struct reading *reading, size_t room)
{
    reading->line->bytes = malloc(room + 1);
    return reading->line->bytes ? 0 : -ENOMEM;
}

static int parse_text(struct reading *reading, const char *text)
{
    struct line sent = { 0 };
    size_t offset = 0;
    int err = encoding_add_typed(reading->encoding, text, &sent, &offset);

    line_add(&sent, "", 1); /* so that there are bytes to own */
    if (!err && sent.failed) err = -ENOMEM;
    if (!err) {
        reading->line->bytes = (unsigned char *)sent.bytes;
        reading->line->len = sent.len - 1;
        reading->line->is_text = true;
        return 0;
    }
    line_fini(&sent);
    if (err == -ENOMEM) return err;
    if (err == -EILSEQ) return fail(reading, "%.40s: not a character of the encoding", text + offset);
    return fail(reading, "not an escape: %.4s (there are \\n \\r \\t \\0 \\a \\b \\e \\f \\v \\\\ \\\" \\' \\xHH)",
                text + offset);
}

static int parse_hex(struct reading *reading, const char *argument)
{
    struct command_line *line = reading->line;
    char reason[HEX_ERROR_BYTES_MAX];

    if (take_room(reading, strlen(argument) / 2)) return -ENOMEM;
    if (hex_parse(argument, line->bytes, &line->len, reason)) return fail(reading, "%s; as in: 01 03 ff", reason);
    return line->len ? 0 : fail(reading, "which bytes? As in: 01 03 ff");
}

/* What is no command. */
static int parse_plain(struct reading *reading, const char *text)
{
    return reading->place == AT_CONNECT_IN_HEX ? parse_hex(reading, text) : parse_text(reading, text);
}

/* What /repeat and /all send: what could be typed by itself to be sent. */
static int parse_content(struct reading *reading, const char *text)
{
    if (text[0] != '/') return parse_plain(reading, text);
    if (text[1] == '/') return parse_plain(reading, text + 1);
    if (strncmp(text, "/hex", 4) == 0 && (!text[4] || strchr(BLANKS, text[4])))
        return parse_hex(reading, text + 4 + strspn(text + 4, BLANKS));
    return fail(reading, "%.40s: only text or /hex can be sent this way; text that begins with a slash has two: /%.40s",
                text, text);
}

/* ---- Commands ---- */

static int parse_send_hex(struct reading *reading, const char *argument)
{
    reading->line->kind = DO_SEND;
    return parse_hex(reading, argument);
}

static int parse_file(struct reading *reading, const char *argument)
{
    size_t len = strlen(argument);

    while (len && strchr(BLANKS, argument[len - 1]))
        len--;
    if (!len) return fail(reading, "/file which? As in: /file reading.bin");
    reading->line->kind = DO_FILE;
    reading->line->name = strndup(argument, len);
    return reading->line->name ? 0 : -ENOMEM;
}

/* Copies the word at the start of *text and moves *text behind it and the blanks after it. A longer one is cut, which
 * no value of ours is. */
static void take_word(const char **text, char *ret, size_t room)
{
    const size_t len = strcspn(*text, BLANKS);

    snprintf(ret, room, "%.*s", (int)(len < room ? len : room - 1), *text);
    *text += len;
    *text += strspn(*text, BLANKS);
}

static int parse_repeat(struct reading *reading, const char *argument)
{
    struct command_line *line = reading->line;
    char count[40];
    char interval[40];

    take_word(&argument, count, sizeof(count));
    line->kind = DO_REPEAT_OFF;
    if (strcmp(count, "off") == 0 && !*argument) return 0;
    line->kind = DO_REPEAT;
    take_word(&argument, interval, sizeof(interval));
    if (!*argument) return fail(reading, "/repeat needs a count, an interval and a text, as in: /repeat 10 500ms ping");
    if (value_parse_count(count, &line->count) || line->count < 1 || line->count > repeat_count_max)
        return fail(reading, "/repeat %s: not a count of 1 to 1,000,000,000", count);
    if (value_parse_time(interval, &line->interval_ms) || line->interval_ms < 1 ||
        line->interval_ms > repeat_interval_max_ms)
        return fail(reading, "/repeat %s %s: not an interval of 1ms to 30d; write 500ms, 10s, 5m", count, interval);
    return parse_content(reading, argument);
}

static int parse_client(struct reading *reading, const char *text)
{
    int64_t client = 0;

    if (value_parse_count(text, &client) || client < 1)
        return fail(reading, "%.40s: not a client's number; /list shows them", text);
    reading->line->client = (uint64_t)client;
    return 0;
}

static int parse_all(struct reading *reading, const char *argument)
{
    if (!*argument) return fail(reading, "/all what? As in: /all hello");
    reading->line->kind = DO_ALL;
    return parse_content(reading, argument);
}

static int parse_kick(struct reading *reading, const char *argument)
{
    char word[40];

    reading->line->kind = DO_KICK;
    if (!*argument) return 0;
    if (argument[0] == '#') argument++;
    take_word(&argument, word, sizeof(word));
    if (*argument) return fail(reading, "/kick one at a time");
    return parse_client(reading, word);
}

static int parse_list(struct reading *reading, const char *argument)
{
    (void)argument;
    reading->line->kind = DO_LIST;
    return 0;
}

static int parse_show(struct reading *reading, const char *argument)
{
    (void)argument;
    reading->line->kind = DO_SHOW;
    return 0;
}

static int parse_help(struct reading *reading, const char *argument)
{
    (void)argument;
    reading->line->kind = DO_HELP;
    return 0;
}

static int parse_quit(struct reading *reading, const char *argument)
{
    (void)argument;
    reading->line->kind = DO_QUIT;
    return 0;
}

/* clang-format off */
static const struct command_row rows[] = {
    { "TEXT", NULL, "send it; \\n \\r \\t \\0 \\xHH are bytes, \\\\ is a backslash", AT_SERVE | AT_CONNECT, NULL },
    { "//TEXT", NULL, "send text that begins with a slash", AT_SERVE | AT_CONNECT, NULL },
    { "hex", "BYTES", "send bytes: /hex 01 03 ff", AT_SERVE | AT_CONNECT, parse_send_hex },
    { "file", "NAME", "send what is in a file", AT_SERVE | AT_CONNECT, parse_file },
    { "repeat", "COUNT INTERVAL TEXT", "send it so many times: /repeat 10 500ms ping; /repeat off stops it",
      AT_SERVE | AT_CONNECT, parse_repeat },
    { "/3", NULL, "from now on type to client 3", AT_SERVE, NULL },
    { "all", "TEXT", "send it to every client", AT_SERVE, parse_all },
    { "list", NULL, "who is connected", AT_SERVE, parse_list },
    { "kick", "[N]", "close the connection of client N, or of the one that the prompt names", AT_SERVE, parse_kick },
    { "show", NULL, "the last message whole", AT_SERVE, parse_show },
    { "help", NULL, "this", AT_SERVE | AT_CONNECT, parse_help },
    { "quit", NULL, "end", AT_CONNECT, parse_quit },
};
/* clang-format on */

enum { ROW_COUNT = sizeof(rows) / sizeof(rows[0]) };

/* ---- The line ---- */

static int fail_unknown(struct reading *reading, const char *word)
{
    const char *nearest = NULL;
    size_t least = SIZE_MAX;

    for (size_t i = 0; i < ROW_COUNT; i++) {
        const size_t distance = rows[i].parse ? value_distance(word, rows[i].name) : SIZE_MAX;
        if (!(rows[i].places & reading->place) || distance >= least) continue;
        least = distance;
        nearest = rows[i].name;
    }
    if (value_is_near(word, least)) return fail(reading, "unknown command /%s; the nearest is /%s", word, nearest);
    return fail(reading, "unknown command /%s; /help lists them, and text that begins with a slash has two: //%s", word,
                word);
}

static int parse_command(struct reading *reading, const char *text)
{
    char word[40];
    const char *argument = text;

    take_word(&argument, word, sizeof(word));
    if (reading->place == AT_SERVE && word[0] && strspn(word, "0123456789") == strlen(word)) {
        reading->line->kind = DO_TARGET;
        if (*argument) return fail(reading, "/%s chooses whom you type to; the text comes in a line of its own", word);
        return parse_client(reading, word);
    }
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (!rows[i].parse || strcmp(word, rows[i].name) != 0) continue;
        if (!(rows[i].places & reading->place))
            return fail(reading, "/%s is a command of weir %s", word, rows[i].places & AT_SERVE ? "serve" : "connect");
        if (!rows[i].argument && *argument) return fail(reading, "/%s takes nothing behind it", word);
        return rows[i].parse(reading, argument);
    }
    return fail_unknown(reading, word);
}

int command_parse(const char *text, enum command_place place, struct encoding *encoding, struct command_line *ret,
                  char error[COMMAND_ERROR_BYTES_MAX])
{
    struct command_line line = { .kind = DO_SEND };
    struct reading reading = { .place = place, .encoding = encoding, .line = &line, .error = error };
    int err = 0;

    if (text[0] != '/')
        err = parse_plain(&reading, text);
    else if (text[1] == '/')
        err = parse_plain(&reading, text + 1);
    else
        err = parse_command(&reading, text + 1);
    if (!err) {
        *ret = line;
        return 0;
    }
    command_fini(&line);
    if (err == -ENOMEM) snprintf(error, COMMAND_ERROR_BYTES_MAX, "%s", weir_strerror(err));
    utf8_make_printable(error); /* it quotes what was typed, cut anywhere */
    return err;
}

void command_fini(struct command_line *command)
{
    free(command->bytes);
    free(command->name);
    *command = (struct command_line){ .kind = DO_SEND };
}

void command_add_help(struct line *line, enum command_place place)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        char typed[40];
        if (!(rows[i].places & place)) continue;
        snprintf(typed, sizeof(typed), "%s%s%s%s", rows[i].parse ? "/" : "", rows[i].name, rows[i].argument ? " " : "",
                 rows[i].argument ? rows[i].argument : "");
        line_addf(line, "  %-28s %s\n", typed, rows[i].help);
    }
}

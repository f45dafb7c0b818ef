/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app/options/options.h: the one table of options, and what comes out of reading a command line with it. Command line
 * and --help are made from the table; nothing else in the program names an option. */
#ifndef APP_OPTIONS_OPTIONS_H
#define APP_OPTIONS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <weir/weir.h>

/* ---- What was asked for ---- */

/* For one listener, or for the connection of `connect`. In the service 0 means the engine's default, as everywhere;
 * its callbacks are not an option's business and stay NULL. */
struct endpoint_options {
    const char *url;   /* NULL: the command's default */
    const char *reply; /* NULL: none */
    struct weir_service service;
};

enum print_mode { PRINT_AUTO, PRINT_OFF, PRINT_TEXT, PRINT_HEX, PRINT_BOTH, PRINT_JSON };

/* How connect shows what is answered; auto is text or hex on a terminal, and raw elsewhere. */
enum answer_mode { ANSWER_AUTO, ANSWER_RAW, ANSWER_TEXT, ANSWER_HEX, ANSWER_BOTH, ANSWER_OFF };

/* Everything of one command line. Strings are those of argv. */
struct options {
    struct endpoint_options common;     /* what was given before the first --listen */
    struct endpoint_options *endpoints; /* each begins as a copy of common; owned, see options_fini */
    size_t endpoint_count;

    int64_t workers;     /* 0: the processors available */
    int64_t clients_max; /* 0: what the descriptor limit allows */
    int64_t memory_bytes_max;
    int64_t drain_timeout_ms;
    int print;            /* enum print_mode */
    const char *encoding; /* NULL: UTF-8 */
    int log_level;        /* enum weir_log_level, less WEIR_LOG_ERROR */
    int crlf;
    int hex;
    int answers;        /* enum answer_mode */
    int64_t silence_ms; /* 0: as long as it takes */
    int help;
};

/* ---- The table ---- */

enum command { COMMAND_SERVE, COMMAND_CONNECT, COMMAND_COUNT };

struct command_spec {
    const char *name;
    const char *summary;  /* for the list of commands */
    const char *usage;    /* behind the name */
    const char *about;    /* paragraphs of its --help */
    const char *examples; /* of its --help; whole lines */
    size_t endpoints_max; /* bare arguments, and --listen */
};

extern const struct command_spec command_specs[COMMAND_COUNT];

enum option_type {
    OPTION_FLAG,      /* int: 1 when given */
    OPTION_TEXT,      /* const char * */
    OPTION_CHOICE,    /* int: the index in choices */
    OPTION_COUNT,     /* int64_t */
    OPTION_SIZE,      /* int64_t, bytes */
    OPTION_TIME,      /* int64_t, milliseconds */
    OPTION_MODE,      /* int64_t, permissions */
    OPTION_FRAME,     /* const char *, a framing SPEC that has been checked */
    OPTION_KEEPALIVE, /* the three keepalive members of a service */
    OPTION_ENDPOINT   /* begins a new endpoint with this URL */
};

enum option_scope {
    OPTION_PER_ENDPOINT, /* target is an offset in struct endpoint_options */
    OPTION_GLOBAL        /* target is an offset in struct options */
};

/* One option: nothing but data, so that the command line, --help and whatever comes later read the same. */
struct option_spec {
    const char *name;         /* "max-frame" */
    char letter;              /* of its short form; 0: it has none */
    const char *argument;     /* what --help calls its value; NULL: it takes none */
    const char *help;         /* one sentence, without a full stop */
    const char *default_text; /* for --help; NULL: none worth a word */
    const char *environment;  /* "WEIR_MAX_FRAME"; NULL: not settable there */
    unsigned commands;        /* 1 << COMMAND_...: which know it */
    enum option_scope scope;
    enum option_type type;
    size_t target;
    const char *choices; /* CHOICE: "close|skip|truncate"; FRAME: words taken besides a SPEC */
    int64_t min;         /* of a number; the least that may be given */
    int64_t max;         /* 0: no bound */
    int64_t step;        /* a number must be a multiple of it; 0: any */
    bool reversible;     /* FRAME: only one that can be read back, as what is sent must be */
    bool off;            /* `off` is accepted, and stands for WEIR_OFF */
};

extern const struct option_spec option_specs[];
extern const size_t option_count;

/* ---- Reading ---- */

enum { OPTIONS_ERROR_BYTES_MAX = 600 };

/* Reads the environment and then the arguments after the command's name. Options given before the first endpoint are
 * for all endpoints, those after one for that one. Returns 0, and *ret is to be given to options_fini; or -EINVAL or
 * -ENOMEM with a sentence in error and nothing to free. A command line with --help is read no further than that. */
int options_parse(enum command command, int argc, char *const *argv, struct options *ret,
                  char error[OPTIONS_ERROR_BYTES_MAX]);

void options_fini(struct options *options);

/* The option of that command with that name, or NULL. */
const struct option_spec *options_find(enum command command, const char *name, size_t name_len);

/* ---- Help ---- */

/* Writes the --help of a command, or of the program, to file. */
void help_print_command(FILE *file, enum command command);
void help_print_program(FILE *file);

#endif

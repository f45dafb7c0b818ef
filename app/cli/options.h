/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The one table of options, and what comes out of reading a configuration file, the environment
 * and a command line with it. These three, --help, the manual page and the completions are made from the table; nothing
 * else in the program names an option. */
#ifndef APP_CLI_OPTIONS_H
#define APP_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <weir/weir.h>

struct encoding;

/* Where `serve` listens when nobody says. */
#define SERVE_ADDRESS "tcp://127.0.0.1:8000"

/* ---- What was asked for ---- */

/* The rows that the table has room for. */
enum { OPTIONS_MAX = 96 };

/* Where a value comes from, in growing weight. */
enum option_source { SOURCE_DEFAULT, SOURCE_FILE, SOURCE_ENVIRONMENT, SOURCE_ARGUMENTS };

/* How one option was set. */
struct option_setting {
    const char *text; /* the value as it was written; NULL: by nobody */
    enum option_source source;
    unsigned line; /* FILE: where */
};

/* For one listener, or for the connection of `connect`. In the service 0 means the engine's default, as everywhere;
 * its callbacks are not an option's business and stay NULL. */
struct endpoint_options {
    const char *url;   /* NULL: the command's default */
    const char *reply; /* NULL: none */
    const char *ack;   /* a template, see journal/template.h; NULL: nothing is acknowledged */
    int ack_when;      /* enum ack_when */
    bool ack_truncated;
    bool store_replies;
    int half_close; /* enum half_close */
    struct weir_service service;
    struct option_setting settings[OPTIONS_MAX]; /* by row of the table */
};

/* What becomes of a client that ends its side: nothing more comes from it, and it may listen on. */
enum half_close { HALF_CLOSE_CLOSE, HALF_CLOSE_KEEP };

enum print_mode { PRINT_AUTO, PRINT_OFF, PRINT_TEXT, PRINT_HEX, PRINT_BOTH, PRINT_JSON };

enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/* How connect shows what is answered; auto is text or hex on a terminal, and raw elsewhere. */
enum answer_mode { ANSWER_AUTO, ANSWER_RAW, ANSWER_TEXT, ANSWER_HEX, ANSWER_BOTH, ANSWER_OFF };

/* What `bench` does. */
struct bench_options {
    int64_t connections;       /* 0: the default, as for all of these */
    int64_t duration_ms;       /* 0: 10 s, or with a number of messages as long as they take */
    int64_t messages;          /* in total; 0: as many as there is time for */
    int64_t message_bytes;     /* what each has, without framing */
    int64_t depth;             /* messages in flight on a connection */
    int64_t rate;              /* messages a second in total; 0 and WEIR_OFF: as fast as answers come */
    int64_t ramp;              /* connects a second; WEIR_OFF: all at once */
    int64_t lifetime_ms;       /* 0 and WEIR_OFF: connections stay */
    int64_t lifetime_messages; /* the same, counted in messages */
    const char *file;          /* of messages, one a line; NULL: they are made up */
    const char *from;          /* ADDR or ADDR-ADDR: local addresses, taken in turn; NULL: the system's choice */
    const char *fail_if;       /* conditions that make a run a failure; NULL: none */
    const char *misbehave;     /* the fault to commit, and its share; NULL: none */
    int64_t seed;              /* of what a fault does at random; 0: made up */
    bool one_way;
    bool json;
};

/* What `verify` does. */
struct verify_options {
    const char *ledger;
    bool check;        /* prove what the ledger says against a store, in place of sending */
    const char *store; /* with check: its path */
    int64_t connections;
    int64_t messages;
    int64_t message_bytes;
    int64_t depth;
    int64_t rate;
    int64_t give_up_ms;
};

/* What `log` shows. */
struct log_options {
    const char *client; /* a connection's number, a client's name or an address; NULL: all */
    const char *since;  /* a time, see log/when.h; NULL: from the first message */
    const char *until;  /* NULL: to the last */
    int64_t after;      /* an id; -1: none was given */
    int64_t last;       /* so many of the newest; 0: the default; WEIR_OFF: all */
    int format;         /* enum format_kind */
    bool follow;
};

/* Everything that was set. Strings are those of argv and of the environment, which must outlive it, or of the
 * configuration file, which it owns. */
struct options {
    struct endpoint_options common;     /* what was given before the first --listen */
    struct endpoint_options *endpoints; /* each begins as a copy of common; owned, see options_fini */
    size_t endpoint_count;
    size_t endpoint_room;
    bool listeners_are_of_file; /* the endpoints are those of the configuration file */
    struct option_text *texts;  /* the strings of the configuration file; owned */
    struct option_setting settings[OPTIONS_MAX];

    const char *config;  /* NULL: no configuration file */
    int64_t workers;     /* 0: the processors available */
    int64_t clients_max; /* 0: what the descriptor limit allows */
    int64_t memory_bytes_max;
    int64_t drain_timeout_ms;
    const char *store; /* a path, auto or none; NULL: auto */
    bool store_on_network;
    int64_t store_queue_bytes_max;
    int64_t keep_for_ms;       /* 0 and WEIR_OFF: messages may be of any age */
    int64_t keep_bytes_max;    /* 0: the default; WEIR_OFF: any number */
    int64_t keep_free_percent; /* 0: the default; WEIR_OFF: none */
    int print;                 /* enum print_mode */
    const char *encoding;      /* NULL: UTF-8 */
    int log_level;             /* enum weir_log_level, less WEIR_LOG_ERROR */
    int log_format;            /* enum log_format */
    bool crlf;
    bool hex;
    int answers;             /* enum answer_mode */
    int64_t silence_ms;      /* 0: as long as it takes */
    const char *sample_hex;  /* what `check` is to decode; NULL: nothing */
    const char *sample_file; /* the same, in a file */
    bool accept_loss;        /* `check` gives up what is damaged in a store */
    const char *backup;      /* the file that `check` copies a store to; NULL: none */
    bool new_id;             /* `check` gives the store, or its copy, an identity of its own */
    struct bench_options bench;
    struct verify_options verify;
    struct log_options log;
    bool help;
};

/* ---- The table ---- */

enum command {
    COMMAND_SERVE,
    COMMAND_CONNECT,
    COMMAND_BENCH,
    COMMAND_VERIFY,
    COMMAND_CHECK,
    COMMAND_LOG,
    COMMAND_COUNT
};

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
    OPTION_FLAG,      /* bool: given, or on */
    OPTION_TEXT,      /* const char *; with choices one of these, or what begins with escaped */
    OPTION_CONFIG,    /* const char *, the configuration file; not in one */
    OPTION_CHOICE,    /* int: the index in choices */
    OPTION_COUNT,     /* int64_t */
    OPTION_SIZE,      /* int64_t, bytes */
    OPTION_TIME,      /* int64_t, milliseconds */
    OPTION_PERCENT,   /* int64_t */
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
    const char *choices; /* CHOICE: "close|skip|truncate"; TEXT: words taken; FRAME: words taken besides a SPEC */
    const char *escaped; /* TEXT: what else is taken, "text:", before bytes with escapes */
    int64_t min;         /* of a number; the least that may be given */
    int64_t max;         /* 0: no bound */
    int64_t step;        /* a number must be a multiple of it; 0: any */
    bool sendable;       /* FRAME: only one in which messages can be sent */
    bool off;            /* `off` is accepted, and stands for WEIR_OFF */
};

extern const struct option_spec option_specs[];
extern const size_t option_count;

/* ---- Reading ---- */

enum { OPTIONS_ERROR_BYTES_MAX = 600 };

/* Reads the configuration file, when the environment or the arguments name one, then the environment, and then the
 * arguments after the command's name; each outweighs what was read before it. Options given before the first endpoint
 * are for all endpoints, those after one for that one. Listeners of the file are as if each began with the file's own
 * values for it: what the environment, or the arguments before the first endpoint, say outweighs these; endpoints among
 * the arguments take the place of all of the file's.
 *
 * Returns 0, and *ret is to be given to options_fini; or, with a sentence in error and nothing to free, -EINVAL for
 * what is wrong in the words, -ENOMEM, or another code when the file cannot be read. A command line with --help is read
 * no further than that. */
int options_parse(enum command command, int argc, char *const *argv, struct options *ret,
                  char error[OPTIONS_ERROR_BYTES_MAX]);

/* Reads a configuration file's text alone; name is what errors call it. Otherwise like options_parse. */
int options_parse_config(enum command command, const char *name, struct weir_bytes text, struct options *ret,
                         char error[OPTIONS_ERROR_BYTES_MAX]);

void options_fini(struct options *options);

/* The option of that command with that name, or NULL. */
const struct option_spec *options_find(enum command command, const char *name, size_t name_len);

/* How an option was set, for that endpoint; NULL will do for one that is not an endpoint's. */
const struct option_setting *options_setting(const struct options *options, const struct endpoint_options *endpoint,
                                             const struct option_spec *option);

/* Opens the encoding that --encoding names; *ret is NULL for UTF-8, else the caller's, for encoding_close. Returns 0,
 * or WEIR_ECONFIG or -ENOMEM with a sentence in error. */
int options_open_encoding(const struct options *options, struct encoding **ret, char error[OPTIONS_ERROR_BYTES_MAX]);

/* ---- Help ---- */

/* Writes the --help of a command, or of the program, to file. */
void help_print_command(FILE *file, enum command command);
void help_print_program(FILE *file);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What parse.c and config.c share: one reading, from whichever source. Private to this folder. */
#ifndef APP_CLI_PARSER_H
#define APP_CLI_PARSER_H

#include "options.h"

struct parser {
    enum command command;
    struct options *options;
    struct endpoint_options *endpoint; /* that options are for now: the common one, then the last */
    enum option_source source;         /* that is being read, and the line of a file */
    unsigned line;
    char *error;
};

/* Writes the sentence. Returns -EINVAL. */
int parser_fail(struct parser *parser, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The option of the command with the name nearest to what was typed, or NULL when none is near. */
const struct option_spec *parser_find_nearest(enum command command, const char *name);

/* The same option's place in the settings: those of the endpoint in hand, or of all. */
struct option_setting *parser_setting(struct parser *parser, const struct option_spec *option);

/* Sets one, and remembers where it came from. value must live as long as the options. label is how the option was
 * written, for errors: "--max-frame" or "WEIR_MAX_FRAME". */
int parser_set(struct parser *parser, const struct option_spec *option, const char *label, const char *value);

/* Whether an endpoint can have that address. The sentence of a wrong one begins with place ("weir.yaml:3: "). */
int parser_check_url(struct parser *parser, const char *place, const char *url);

/* Begins an endpoint with a copy of what it is given, which options are for from now on. */
int parser_begin_endpoint(struct parser *parser, const struct endpoint_options *from);

/* Reads the configuration file's text. Its listeners begin as a copy of `blank`. */
int config_read(struct parser *parser, const char *name, struct weir_bytes text, const struct endpoint_options *blank);

/* Frees the strings that the options own; NULL is accepted. */
void config_free_texts(struct option_text *texts);

/* Reads the configuration file. label is how it was named: "--config". */
int config_load(struct parser *parser, const char *label, const char *path, const struct endpoint_options *blank);

#endif

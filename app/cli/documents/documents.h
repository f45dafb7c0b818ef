/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What is made of the option table for the shells and for man(1). */
#ifndef APP_CLI_DOCUMENTS_DOCUMENTS_H
#define APP_CLI_DOCUMENTS_DOCUMENTS_H

#include <stdbool.h>
#include <stdio.h>

#include "cli/options.h"

/* Each writes the whole of one file. */
void write_manual(FILE *file);
void write_bash(FILE *file);
void write_zsh(FILE *file);

/* Whether a command has the option. */
bool command_has(enum command command, const struct option_spec *option);

/* Calls fn for each word that an option's value can be, or begin with; "delimiter:" wants more behind it. */
void each_word(const struct option_spec *option, void (*fn)(FILE *file, const char *word, size_t len), FILE *file);
bool has_words(const struct option_spec *option);

/* Whether its value is a file. */
bool takes_file(const struct option_spec *option);

#endif

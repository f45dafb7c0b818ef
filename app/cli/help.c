/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What --help says, made from the table. Must never name an option itself. */
#include <string.h>

#include "options.h"

enum { HELP_COLUMN = 30, HELP_WIDTH = 100 };

/* Writes words from column `first` on, broken between words; the cursor is at `column`. */
static void print_wrapped(FILE *file, const char *text, size_t first, size_t *column)
{
    while (*text) {
        const size_t len = strcspn(text, " ");
        if (*column > first && *column + 1 + len > HELP_WIDTH) {
            fprintf(file, "\n%*s", (int)first, "");
            *column = first;
        } else if (*column > first) {
            fputc(' ', file);
            (*column)++;
        }
        fprintf(file, "%.*s", (int)len, text);
        *column += len;
        text += len + (text[len] == ' ');
    }
}

static void print_option(FILE *file, const struct option_spec *option)
{
    char head[80];
    char tail[120] = "";
    char letter[8] = "";
    size_t column = HELP_COLUMN;
    int head_len = 0;

    if (option->letter) snprintf(letter, sizeof(letter), "-%c, ", option->letter);
    head_len = snprintf(head, sizeof(head), "  %s--%s%s%s", letter, option->name, option->argument ? " " : "",
                        option->argument ? option->argument : "");
    fputs(head, file);
    if (head_len + 2 > HELP_COLUMN)
        fprintf(file, "\n%*s", HELP_COLUMN, "");
    else
        fprintf(file, "%*s", HELP_COLUMN - head_len, "");

    print_wrapped(file, option->help, HELP_COLUMN, &column);
    if (option->type == OPTION_CHOICE) {
        snprintf(tail, sizeof(tail), "(%s)", option->choices);
        print_wrapped(file, tail, HELP_COLUMN, &column);
    }
    if (option->default_text) {
        snprintf(tail, sizeof(tail), "[%s]", option->default_text);
        print_wrapped(file, tail, HELP_COLUMN, &column);
    }
    fputc('\n', file);
}

/* Those of the command that another one has as well, or those that only it has. */
enum whose { WHOSE_ALL, WHOSE_SHARED, WHOSE_OWN };

static void print_options(FILE *file, enum command command, enum option_scope scope, enum whose whose)
{
    for (size_t i = 0; i < option_count; i++) {
        const struct option_spec *option = &option_specs[i];
        const bool is_own = option->commands == 1U << command;
        if (option->scope != scope || !(option->commands & 1U << command)) continue;
        if (whose == WHOSE_ALL || is_own == (whose == WHOSE_OWN)) print_option(file, option);
    }
}

/* How a SPEC is written, for a command that takes one. */
static void print_framings(FILE *file, enum command command)
{
    const struct weir_framing *framing = NULL;
    size_t column = 0;

    if (!options_find(command, "frame", strlen("frame"))) return;
    fputc('\n', file);
    print_wrapped(file, "SPEC:", 0, &column);
    for (size_t i = 0; (framing = weir_framing_get(i)); i++) {
        char word[120];
        snprintf(word, sizeof(word), "%s%s", framing->syntax, weir_framing_get(i + 1) ? "," : ".");
        print_wrapped(file, word, 0, &column);
    }
    fputc('\n', file);
}

void help_print_command(FILE *file, enum command command)
{
    const struct command_spec *spec = &command_specs[command];

    fprintf(file, "usage: weir %s %s\n\n%s\n\nexamples:\n%s\n", spec->name, spec->usage, spec->about, spec->examples);
    if (spec->endpoints_max <= 1) {
        fputs("options:\n", file);
        print_options(file, command, OPTION_PER_ENDPOINT, WHOSE_ALL);
        print_options(file, command, OPTION_GLOBAL, WHOSE_ALL);
    } else {
        if (command != COMMAND_SERVE) fputs("options of its own:\n", file);
        if (command != COMMAND_SERVE) print_options(file, command, OPTION_GLOBAL, WHOSE_OWN);
        fprintf(file, "%slistener options; after a URL for that listener, before the first for all:\n",
                command == COMMAND_SERVE ? "" : "\n");
        print_options(file, command, OPTION_PER_ENDPOINT, WHOSE_ALL);
        fputs("\noptions of the server:\n", file);
        print_options(file, command, OPTION_GLOBAL, command == COMMAND_SERVE ? WHOSE_ALL : WHOSE_SHARED);
    }
    print_framings(file, command);
    fputs("\nSIZE: 4096, 64KiB, 1MiB, 2GiB; a bare number is bytes.  TIME: 500ms, 10s, 5m, 2h, 30d, off; a bare\n"
          "number is seconds.  An option can also be set as an environment variable, as WEIR_FRAME=line for\n"
          "--frame line; the command line wins.\n",
          file);
    if (spec->endpoints_max > 1)
        fputs("\nThe file of --config is YAML, and both outweigh it. There --frame line is frame: line, and listeners\n"
              "are a list:\n\n"
              "  idle-timeout: 5m\n"
              "  listeners:\n"
              "    - { listen: \":5023\", frame: \"length:u16be\" }\n"
              "    - { listen: \":7001\", frame: line }\n\n"
              "Addresses on the command line take the place of that list. An option before the first of them, or\n"
              "in the environment, counts for every listener, whatever the file says for it.\n",
              file);
}

void help_print_program(FILE *file)
{
    fputs("usage: weir COMMAND [options]\n\n"
          "weir receives messages from devices over TCP, and lets you see and answer them.\n\n"
          "commands:\n",
          file);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(file, "  %-10s %s\n", command_specs[i].name, command_specs[i].summary);
    fputs("\ntry it, in two terminals:\n"
          "  weir serve --frame line --reply echo\n"
          "  weir connect 8000\n\n"
          "`weir COMMAND --help` says more about one; `weir --version` says which weir this is.\n",
          file);
}

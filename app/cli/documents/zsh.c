/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The completions for zsh, as specs of its _arguments. */
#include <string.h>

#include "documents.h"

/* Text inside single quotes, where _arguments and _describe read colons and brackets. */
static void write_quoted(FILE *file, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (strchr("[]:\\", text[i])) fputc('\\', file);
        if (text[i] == '\'')
            fputs("'\\''", file);
        else
            fputc(text[i], file);
    }
}

static void write_word(FILE *file, const char *word, size_t len)
{
    fputc(' ', file);
    write_quoted(file, word, len);
}

/* `[help]:SPEC:(raw line )'` and the end of the line. */
static void write_rest(FILE *file, const struct option_spec *option)
{
    fputc('[', file);
    write_quoted(file, option->help, strlen(option->help));
    fputc(']', file);
    if (option->argument) {
        fputc(':', file);
        write_quoted(file, option->argument, strlen(option->argument));
        if (takes_file(option)) {
            fputs(":_files", file);
        } else if (has_words(option)) {
            fputs(":(", file);
            each_word(option, write_word, file);
            fputs(" )", file);
        } else {
            fputs(": ", file);
        }
    }
    fputs("' \\\n", file);
}

static void write_option(FILE *file, const struct option_spec *option)
{
    if (option->letter) {
        fprintf(file, "                '(-%c --%s)-%c%s", option->letter, option->name, option->letter,
                option->argument ? "+" : "");
        write_rest(file, option);
        fprintf(file, "                '(-%c --%s)--%s%s", option->letter, option->name, option->name,
                option->argument ? "=" : "");
    } else {
        fprintf(file, "                '%s--%s%s", option->scope == OPTION_PER_ENDPOINT ? "*" : "", option->name,
                option->argument ? "=" : "");
    }
    write_rest(file, option);
}

static void write_command(FILE *file, enum command command)
{
    fprintf(file, "        %s)\n            _arguments -s \\\n", command_specs[command].name);
    for (size_t i = 0; i < option_count; i++)
        if (command_has(command, &option_specs[i])) write_option(file, &option_specs[i]);
    fprintf(file, "                '%s:URL: '\n            ;;\n", command_specs[command].endpoints_max > 1 ? "*" : "1");
}

void write_zsh(FILE *file)
{
    fputs("#compdef weir\n"
          "# SPDX-License-Identifier: BSD-3-Clause\n"
          "#\n"
          "# Completions of weir for zsh, made from its option table: change that, not this.\n"
          "\n"
          "_weir() {\n"
          "    local curcontext=$curcontext state line ret=1\n"
          "    local -a commands\n"
          "    typeset -A opt_args\n"
          "    commands=(\n",
          file);
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        fprintf(file, "        '%s:", command_specs[i].name);
        write_quoted(file, command_specs[i].summary, strlen(command_specs[i].summary));
        fputs("'\n", file);
    }
    fputs("    )\n"
          "    _arguments -C \\\n"
          "        '(- *)'{-h,--help}'[show help]' \\\n"
          "        '(- *)--version[show which weir this is]' \\\n"
          "        '1:command:->command' \\\n"
          "        '*::argument:->arguments' && ret=0\n"
          "    case $state in\n"
          "    command) _describe -t commands command commands && ret=0 ;;\n"
          "    arguments)\n"
          "        case $words[1] in\n",
          file);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        write_command(file, (enum command)i);
    fputs("        esac && ret=0\n"
          "        ;;\n"
          "    esac\n"
          "    return ret\n"
          "}\n"
          "\n"
          "_weir \"$@\"\n",
          file);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The completions for bash: one function, and a case for each option. */
#include "documents.h"

static void write_word(FILE *file, const char *word, size_t len)
{
    fprintf(file, " %.*s", (int)len, word);
}

/* What can follow the option. */
static void write_case(FILE *file, const struct option_spec *option)
{
    fputs("        ", file);
    if (option->letter) fprintf(file, "-%c | ", option->letter);
    fprintf(file, "--%s) ", option->name);
    if (takes_file(option)) {
        fputs("is_file=yes ;;\n", file);
    } else if (has_words(option)) {
        fputs("words='", file);
        each_word(option, write_word, file);
        fputs("' ;;\n", file);
    } else {
        fputs(";;\n", file);
    }
}

static void write_command(FILE *file, enum command command)
{
    fprintf(file, "    %s)\n        case $prev in\n", command_specs[command].name);
    for (size_t i = 0; i < option_count; i++)
        if (command_has(command, &option_specs[i]) && option_specs[i].argument) write_case(file, &option_specs[i]);
    fputs("        *) words='", file);
    for (size_t i = 0; i < option_count; i++) {
        if (!command_has(command, &option_specs[i])) continue;
        fprintf(file, " --%s", option_specs[i].name);
        if (option_specs[i].letter) fprintf(file, " -%c", option_specs[i].letter);
    }
    fputs("' ;;\n        esac\n        ;;\n", file);
}

void write_bash(FILE *file)
{
    fputs("# shellcheck shell=bash\n"
          "# SPDX-License-Identifier: BSD-3-Clause\n"
          "#\n"
          "# Completions of weir for bash, made from its option table: change that, not this.\n"
          "\n"
          "_weir() {\n"
          "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} words='' is_file=''\n"
          "    COMPREPLY=()\n"
          "    # For bash the = of --name=VALUE is a word of its own.\n"
          "    if [[ $cur == = ]]; then\n"
          "        cur=\n"
          "    elif [[ $prev == = ]]; then\n"
          "        prev=${COMP_WORDS[COMP_CWORD - 2]}\n"
          "    fi\n"
          "    if ((COMP_CWORD == 1)); then\n"
          "        mapfile -t COMPREPLY < <(compgen -W '",
          file);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(file, "%s ", command_specs[i].name);
    fputs("--help --version' -- \"$cur\")\n"
          "        return\n"
          "    fi\n"
          "    case ${COMP_WORDS[1]} in\n",
          file);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        write_command(file, (enum command)i);
    fputs("    esac\n"
          "    if [[ $is_file ]]; then\n"
          "        mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
          "        compopt -o filenames 2>/dev/null\n"
          "    else\n"
          "        mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
          "        # More is to come behind a colon.\n"
          "        if [[ ${COMPREPLY[*]} == *: ]]; then compopt -o nospace 2>/dev/null; fi\n"
          "    fi\n"
          "    return 0\n"
          "}\n"
          "\n"
          "complete -F _weir weir\n",
          file);
}

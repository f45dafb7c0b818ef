/* SPDX-License-Identifier: BSD-3-Clause
 *
 * weir_documents man|bash|zsh: writes the manual page or the completions of a shell to standard output. A tool of the
 * build, not installed. */
#include "documents.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    void (*write)(FILE *file);
} documents[] = { { "man", write_manual }, { "bash", write_bash }, { "zsh", write_zsh } };

/* ---- What all of them ask of the table ---- */

bool command_has(enum command command, const struct option_spec *option)
{
    return (option->commands & 1U << command) != 0;
}

static void each_of(const char *words, void (*fn)(FILE *file, const char *word, size_t len), FILE *file)
{
    while (words && *words) {
        const size_t len = strcspn(words, "|");
        fn(file, words, len);
        words += len + (words[len] == '|');
    }
}

/* What a SPEC can be, or begin with. */
static void each_framing(void (*fn)(FILE *file, const char *word, size_t len), FILE *file)
{
    const struct weir_framing *framing = NULL;

    for (size_t i = 0; (framing = weir_framing_get(i)); i++) {
        const char *syntax = framing->syntax;
        const size_t len = strcspn(syntax, ":[");
        char word[40];
        fn(file, syntax, len + (syntax[len] == ':'));
        if (strncmp(syntax + len, "[:", 2) != 0) continue;
        snprintf(word, sizeof(word), "%.*s%.*s", (int)len, syntax, (int)strcspn(syntax + len + 1, "]"),
                 syntax + len + 1);
        fn(file, word, strlen(word));
    }
}

void each_word(const struct option_spec *option, void (*fn)(FILE *file, const char *word, size_t len), FILE *file)
{
    each_of(option->choices, fn, file);
    each_of(option->escaped, fn, file);
    if (option->type == OPTION_FRAME) each_framing(fn, file);
    if (option->off) fn(file, "off", 3);
}

bool has_words(const struct option_spec *option)
{
    return option->choices || option->escaped || option->type == OPTION_FRAME || option->off;
}

bool takes_file(const struct option_spec *option)
{
    return option->argument && strcmp(option->argument, "FILE") == 0;
}

int main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof(documents) / sizeof(documents[0]); i++) {
        if (argc != 2 || strcmp(argv[1], documents[i].name) != 0) continue;
        documents[i].write(stdout);
        return fflush(stdout) || ferror(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
    }
    fputs("usage: weir_documents man|bash|zsh\n", stderr);
    return 2;
}

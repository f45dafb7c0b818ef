/* SPDX-License-Identifier: BSD-3-Clause
 *
 * weir_documents man|bash|zsh: writes the manual page or the completions of a shell to standard output.
 * weir_documents --check man|bash|zsh FILE: says where FILE differs from that. A tool of the build, not installed: what
 * it makes is kept in the tree, and a test sees to it that it is still what the table gives. */
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

void each_word(const struct option_spec *option, void (*fn)(FILE *file, const char *word, size_t len), FILE *file)
{
    each_of(option->choices, fn, file);
    each_of(option->escaped, fn, file);
    if (option->type == OPTION_FRAME) each_of(option_framings, fn, file);
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

/* ---- Comparing ---- */

/* Reads a file whole, as a string; NULL: it cannot be. */
static char *read_file(const char *path)
{
    FILE *const file = fopen(path, "rb");
    FILE *copy = NULL;
    char *text = NULL;
    size_t len = 0;
    int byte = 0;

    if (!file) return NULL;
    copy = open_memstream(&text, &len);
    while (copy && (byte = getc(file)) != EOF)
        putc(byte, copy);
    fclose(file);
    if (copy) fclose(copy);
    return text;
}

/* Says where they part. */
static int compare(const char *path, const char *is, const char *should)
{
    size_t line = 1;
    size_t begin = 0;
    size_t at = 0;

    for (; is[at] && is[at] == should[at]; at++) {
        if (is[at] != '\n') continue;
        line++;
        begin = at + 1;
    }
    if (is[at] == should[at]) return EXIT_SUCCESS;
    printf("%s:%zu is not what the option table gives: run ./dev documents\n", path, line);
    printf("-%.*s\n", (int)strcspn(is + begin, "\n"), is + begin);
    printf("+%.*s\n", (int)strcspn(should + begin, "\n"), should + begin);
    return EXIT_FAILURE;
}

static int check(void (*write)(FILE *file), const char *path)
{
    char *const is = read_file(path);
    char *should = NULL;
    size_t len = 0;
    FILE *const file = open_memstream(&should, &len);
    int status = EXIT_FAILURE;

    if (!is) {
        perror(path);
    } else if (file) {
        write(file);
        if (!fflush(file)) status = compare(path, is, should);
    }
    if (file) fclose(file);
    free(should);
    free(is);
    return status;
}

int main(int argc, char **argv)
{
    const bool is_check = argc == 4 && strcmp(argv[1], "--check") == 0;

    for (size_t i = 0; i < sizeof(documents) / sizeof(documents[0]); i++) {
        if (is_check && strcmp(argv[2], documents[i].name) == 0) return check(documents[i].write, argv[3]);
        if (argc != 2 || strcmp(argv[1], documents[i].name) != 0) continue;
        documents[i].write(stdout);
        return fflush(stdout) || ferror(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
    }
    fputs("usage: weir_documents man|bash|zsh\n       weir_documents --check man|bash|zsh FILE\n", stderr);
    return 2;
}

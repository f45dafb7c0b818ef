/* SPDX-License-Identifier: BSD-3-Clause
 *
 * replay FOLDER: gives each file of the folder to the fuzz target that this is linked with, and says so in TAP. What
 * was found once is not to come back, whatever the compiler and wherever there is no libFuzzer. */
#include <dirent.h>
#include <string.h>

#include "fuzz.h"

static int is_input(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int replay(const char *folder, const char *name)
{
    char path[4096];
    FILE *file;
    unsigned char *data;
    long len = -1;
    int whole;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    file = fopen(path, "rb");
    if (file && fseek(file, 0, SEEK_END) == 0) len = ftell(file);
    if (len < 0) {
        perror(path);
        return 0;
    }
    rewind(file);
    data = fuzz_block((size_t)len);
    whole = fread(data, 1, (size_t)len, file) == (size_t)len;
    fclose(file);
    if (whole) LLVMFuzzerTestOneInput(data, (size_t)len);
    free(data);
    return whole;
}

int main(int argc, char **argv)
{
    struct dirent **entries = NULL;
    int count = argc == 2 ? scandir(argv[1], &entries, is_input, alphasort) : -1;
    int failed = count <= 0;

    if (failed) fprintf(stderr, "usage: replay FOLDER, with files in it\n");
    printf("1..%d\n", count);
    for (int i = 0; i < count; i++) {
        int replayed = replay(argv[1], entries[i]->d_name);
        failed |= !replayed;
        printf("%sok %d - %s\n", replayed ? "" : "not ", i + 1, entries[i]->d_name);
        fflush(stdout);
        free(entries[i]);
    }
    free(entries);
    return failed;
}

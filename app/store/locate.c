/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Looks for stores by their names. Must never open one. */
#include "locate.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int is_store_name(const struct dirent *entry)
{
    const size_t len = strlen(entry->d_name);

    return entry->d_name[0] != '.' && len > strlen(".db") && strcmp(entry->d_name + len - strlen(".db"), ".db") == 0;
}

/* "8000.db, 9000.db and 3 more", cut where there is no room. */
static void list_names(struct dirent *const *entries, int count, char *ret, size_t size)
{
    size_t len = 0;

    ret[0] = '\0';
    for (int i = 0; i < count; i++) {
        if (len + strlen(entries[i]->d_name) + 32 > size) {
            snprintf(ret + len, size - len, " and %d more", count - i);
            return;
        }
        len += (size_t)snprintf(ret + len, size - len, "%s%s", i ? ", " : "", entries[i]->d_name);
    }
}

static int choose(const char *folder, struct dirent *const *entries, int count, char ret[FOLDER_PATH_BYTES_MAX],
                  char error[LOCATE_ERROR_BYTES_MAX])
{
    char names[600];

    if (count == 1 && snprintf(ret, FOLDER_PATH_BYTES_MAX, "%s%s", folder, entries[0]->d_name) < FOLDER_PATH_BYTES_MAX)
        return 0;
    if (count == 0) {
        snprintf(error, LOCATE_ERROR_BYTES_MAX, "there is no store in %s; name one with --store PATH", folder);
        return -ENOENT;
    }
    list_names(entries, count, names, sizeof(names));
    snprintf(error, LOCATE_ERROR_BYTES_MAX,
             "there are several stores in %s: %s; name one with --store PATH or --store PORT", folder, names);
    return -EEXIST;
}

static int find_only_one(char ret[FOLDER_PATH_BYTES_MAX], char error[LOCATE_ERROR_BYTES_MAX])
{
    char folder[FOLDER_PATH_BYTES_MAX];
    struct dirent **entries = NULL;
    int count = 0;
    int err = folder_default("", folder, error);

    if (err) return err;
    count = scandir(folder, &entries, is_store_name, alphasort);
    if (count < 0 && errno != ENOENT) {
        err = -errno;
        snprintf(error, LOCATE_ERROR_BYTES_MAX, "folder %s: %s", folder, strerror(-err));
        return err;
    }
    err = choose(folder, entries, count < 0 ? 0 : count, ret, error);
    while (count > 0)
        free(entries[--count]);
    free(entries);
    return err;
}

int locate_store(const char *wanted, char ret[FOLDER_PATH_BYTES_MAX], char error[LOCATE_ERROR_BYTES_MAX])
{
    char name[64];

    if (!wanted || strcmp(wanted, "auto") == 0) return find_only_one(ret, error);
    if (strcmp(wanted, "none") == 0) {
        snprintf(error, LOCATE_ERROR_BYTES_MAX, "--store none: there is nothing to read then; name a store");
        return -EINVAL;
    }
    if (*wanted && strlen(wanted) <= 5 && wanted[strspn(wanted, "0123456789")] == '\0') {
        snprintf(name, sizeof(name), "%s.db", wanted);
        return folder_default(name, ret, error);
    }
    return folder_resolve(wanted, ret, error);
}

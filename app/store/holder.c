/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A reader holds a lock on a byte of the index (https://www.sqlite.org/walformat.html#wal_locks),
 * and the kernel says who has which (proc_locks(5)). Asking fcntl(2) would take a descriptor of that file, and closing
 * it would drop all of SQLite's own locks. */
#include "holder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* The bytes of the reading transactions' locks. */
enum { READ_LOCK_FIRST = 123, READ_LOCK_LAST = 127, LINE_BYTES_MAX = 256, READS_MAX = 64 };

/* "12: POSIX  ADVISORY  READ 1234 08:01:5678 124 124"; file is "08:01:5678". Returns the process, 0 when it is none. */
static pid_t reader_of(const char *line, const char *file)
{
    char pid[16], locked[64], first[24];
    long byte = 0;

    if (sscanf(line, "%*s POSIX %*s READ %15s %63s %23s", pid, locked, first) != 3 || strcmp(locked, file) != 0)
        return 0;
    byte = strtol(first, NULL, 10);
    return byte >= READ_LOCK_FIRST && byte <= READ_LOCK_LAST ? (pid_t)strtol(pid, NULL, 10) : 0;
}

static pid_t read_locks(const char *file)
{
    FILE *locks = fopen("/proc/locks", "re");
    char line[LINE_BYTES_MAX];
    pid_t found = 0;

    while (locks && found <= 0 && fgets(line, sizeof(line), locks)) {
        found = reader_of(line, file);
        if (found == getpid()) found = 0;
    }
    if (locks) fclose(locks);
    return found > 0 ? found : 0;
}

/* The kernel tells the locks a page at a time, and goes on by their number: when one of the first page goes meanwhile,
 * the second begins one too late. So a lock that is there can be missing, and is looked for again. */
pid_t holder_find(dev_t device, ino_t inode)
{
    char file[64];
    pid_t found = 0;

    snprintf(file, sizeof(file), "%02x:%02x:%llu", major(device), minor(device), (unsigned long long)inode);
    for (int i = 0; !found && i < READS_MAX; i++)
        found = read_locks(file);
    return found;
}

void holder_describe(pid_t pid, char *ret, size_t size)
{
    char path[64], name[64] = "?";
    FILE *file = NULL;

    if (!pid) {
        snprintf(ret, size, "a process that cannot be seen from here");
        return;
    }
    snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
    file = fopen(path, "re");
    if (file && fgets(name, sizeof(name), file)) name[strcspn(name, "\n")] = '\0';
    if (file) fclose(file);
    snprintf(ret, size, "process %d (%s)", (int)pid, name);
}

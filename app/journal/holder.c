/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app/journal/holder.c: a reader holds a lock on a byte of the index (https://www.sqlite.org/walformat.html#wal_locks),
 * and the kernel says who has which (proc_locks(5)). Asking fcntl(2) would take a descriptor of that file, and closing
 * it would drop all of SQLite's own locks. */
#include "holder.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* The bytes of the reading transactions' locks. */
enum { READ_LOCK_FIRST = 123, READ_LOCK_LAST = 127, LINE_BYTES_MAX = 256 };

/* "12: POSIX  ADVISORY  READ 1234 08:01:5678 124 124" */
static bool is_reader(const char *line, dev_t device, ino_t inode, int *ret_pid)
{
    unsigned major_number = 0, minor_number = 0;
    unsigned long long node = 0;
    long long first = 0;
    int pid = 0;

    if (sscanf(line, "%*s POSIX %*s READ %d %x:%x:%llu %lld", &pid, &major_number, &minor_number, &node, &first) != 5)
        return false;
    *ret_pid = pid;
    return major_number == major(device) && minor_number == minor(device) && node == inode &&
           first >= READ_LOCK_FIRST && first <= READ_LOCK_LAST && pid > 0 && pid != getpid();
}

pid_t holder_find(dev_t device, ino_t inode)
{
    FILE *const file = fopen("/proc/locks", "re");
    char line[LINE_BYTES_MAX];
    int pid = 0, found = 0;

    while (file && !found && fgets(line, sizeof(line), file))
        if (is_reader(line, device, inode, &pid)) found = pid;
    if (file) fclose(file);
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

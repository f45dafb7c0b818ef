/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Who reads standard error. Must never write to it. */
#include "journald.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* JOURNAL_STREAM names the file that is journald's (systemd.exec(5)). A server whose standard error was sent elsewhere
 * since must not write its marks there. */
bool journald_is_stderr(void)
{
    const char *name = getenv("JOURNAL_STREAM");
    unsigned long long device = 0;
    unsigned long long inode = 0;
    struct stat status;
    char *end = NULL;

    if (!name) return false;
    device = strtoull(name, &end, 10);
    if (end == name || *end != ':') return false;
    inode = strtoull(end + 1, &end, 10);
    return !*end && fstat(STDERR_FILENO, &status) == 0 && status.st_dev == device && status.st_ino == inode;
}

const char *journald_prefix(enum weir_log_level level)
{
    static const char *const prefixes[] = {
        [WEIR_LOG_ERROR] = "<3>", [WEIR_LOG_WARNING] = "<4>", [WEIR_LOG_INFO] = "<6>", [WEIR_LOG_DEBUG] = "<7>"
    };

    return prefixes[level];
}

const char *journald_stderr_prefix(enum weir_log_level level)
{
    return journald_is_stderr() ? journald_prefix(level) : "";
}

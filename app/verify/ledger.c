/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Adds lines to the ledger, and reads them. A piece that could not be written whole is an error,
 * and then nothing of what it tells may happen. Not synced: the ledger outlives a process, not the machine, which is
 * the server's that is to be killed, or another. */
#include "ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "text/line.h"

enum { LAST_LINE_BYTES_MAX = 256, RUN_DIGITS = 8 };

struct ledger {
    int fd;
    struct line waiting;
};

/* ---- Writing ---- */

/* Cuts off what is behind the last line's end. */
static int cut_unfinished(int fd)
{
    char end[LAST_LINE_BYTES_MAX];
    const off_t len = lseek(fd, 0, SEEK_END);
    const off_t from = len > LAST_LINE_BYTES_MAX ? len - LAST_LINE_BYTES_MAX : 0;
    ssize_t count = len < 0 ? -1 : pread(fd, end, sizeof(end), from);
    const char *newline = NULL;

    if (count < 0) return -errno;
    if (!len || end[count - 1] == '\n') return 0;
    newline = memrchr(end, '\n', (size_t)count);
    if (!newline && from > 0) return -EBADMSG;
    return ftruncate(fd, newline ? from + (newline - end) + 1 : 0) ? -errno : 0;
}

/* What is no ledger is not added to: it is somebody's file. */
static int check_first_line(int fd)
{
    static const char begin[] = "run ";
    char bytes[sizeof(begin) - 1];
    const ssize_t count = pread(fd, bytes, sizeof(bytes), 0);

    if (count < 0) return -errno;
    return memcmp(bytes, begin, (size_t)count) == 0 ? 0 : -EBADMSG;
}

static int say(int err, const char *path, char error[LEDGER_ERROR_BYTES_MAX])
{
    snprintf(error, LEDGER_ERROR_BYTES_MAX, "ledger %.400s: %s", path,
             err == -EBADMSG       ? "this is no ledger of weir verify"
             : err == -EWOULDBLOCK ? "another weir verify writes to it"
                                   : weir_strerror(err));
    return err;
}

int ledger_open(const char *path, struct ledger **ret, char error[LEDGER_ERROR_BYTES_MAX])
{
    const int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    struct ledger *ledger = NULL;
    int err = fd < 0 ? -errno : 0;

    if (!err && flock(fd, LOCK_EX | LOCK_NB)) err = -errno;
    if (!err) err = check_first_line(fd);
    if (!err) err = cut_unfinished(fd);
    if (!err) ledger = calloc(1, sizeof(*ledger));
    if (!err && !ledger) err = -ENOMEM;
    if (err) {
        if (fd >= 0) close(fd);
        return say(err, path, error);
    }
    ledger->fd = fd;
    *ret = ledger;
    return 0;
}

void ledger_close(struct ledger *ledger)
{
    if (!ledger) return;
    close(ledger->fd);
    line_fini(&ledger->waiting);
    free(ledger);
}

void ledger_add_run(struct ledger *ledger, uint32_t run, uint32_t connections, size_t message_bytes)
{
    const time_t now = time(NULL);
    struct tm utc;
    char text[32];

    gmtime_r(&now, &utc);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc);
    line_addf(&ledger->waiting, "run %08" PRIx32 " %" PRIu32 " %zu %s\n", run, connections, message_bytes, text);
}

void ledger_add_sent(struct ledger *ledger, uint32_t connection, uint64_t first, uint64_t last)
{
    line_addf(&ledger->waiting, "sent %" PRIu32 " %" PRIu64 "-%" PRIu64 "\n", connection, first, last);
}

void ledger_add_acknowledged(struct ledger *ledger, uint32_t connection, uint64_t first, uint64_t last)
{
    line_addf(&ledger->waiting, "acknowledged %" PRIu32 " %" PRIu64 "-%" PRIu64 "\n", connection, first, last);
}

int ledger_write(struct ledger *ledger)
{
    size_t written = 0;

    if (ledger->waiting.failed) return -ENOMEM;
    while (written < ledger->waiting.len) {
        const ssize_t count = write(ledger->fd, ledger->waiting.bytes + written, ledger->waiting.len - written);

        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return -errno;
        written += (size_t)count;
    }
    line_clear(&ledger->waiting);
    return 0;
}

/* ---- Reading ---- */

/* Takes a decimal number off the text, and what must be behind it; 0: the text's end. */
static int take_number(const char **text, char behind, uint64_t max, uint64_t *ret)
{
    char *end = NULL;
    unsigned long long number = 0;

    if (**text < '0' || **text > '9') return -EBADMSG;
    errno = 0;
    number = strtoull(*text, &end, 10);
    if (errno || number > max || *end != behind) return -EBADMSG;
    *ret = number;
    *text = behind ? end + 1 : end;
    return 0;
}

static int parse_run(const char *text, struct ledger_entry *entry)
{
    uint64_t connections = 0;
    int err = 0;

    if (strspn(text, "0123456789abcdef") != RUN_DIGITS || text[RUN_DIGITS] != ' ') return -EBADMSG;
    entry->run = (uint32_t)strtoul(text, NULL, 16);
    text += RUN_DIGITS + 1;
    err = take_number(&text, ' ', UINT32_MAX, &connections);
    if (!err) err = take_number(&text, ' ', SIZE_MAX, &entry->message_bytes);
    entry->connection = (uint32_t)connections;
    return err ? err : connections > 0 && entry->message_bytes > 0 ? 0 : -EBADMSG;
}

static int parse_messages(const char *text, struct ledger_entry *entry)
{
    uint64_t connection = 0;
    int err = take_number(&text, ' ', UINT32_MAX, &connection);

    if (!err) err = take_number(&text, '-', UINT64_MAX, &entry->first);
    if (!err) err = take_number(&text, 0, UINT64_MAX, &entry->last);
    entry->connection = (uint32_t)connection;
    return err ? err : connection > 0 && entry->first > 0 && entry->first <= entry->last ? 0 : -EBADMSG;
}

int ledger_parse(struct weir_bytes line, struct ledger_entry *ret)
{
    static const struct {
        const char *word;
        enum ledger_kind kind;
        int (*parse)(const char *text, struct ledger_entry *entry);
    } words[] = { { "run ", LEDGER_RUN, parse_run },
                  { "sent ", LEDGER_SENT, parse_messages },
                  { "acknowledged ", LEDGER_ACKNOWLEDGED, parse_messages } };
    char text[LAST_LINE_BYTES_MAX];

    if (line.len >= sizeof(text) || memchr(line.data, 0, line.len)) return -EBADMSG;
    memcpy(text, line.data, line.len);
    text[line.len] = 0;
    *ret = (struct ledger_entry){ .kind = LEDGER_RUN };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strncmp(text, words[i].word, strlen(words[i].word)) != 0) continue;
        ret->kind = words[i].kind;
        return words[i].parse(text + strlen(words[i].word), ret);
    }
    return -EBADMSG;
}

int ledger_read(const char *path, int (*fn)(const struct ledger_entry *entry, void *user), void *user,
                uint64_t *ret_line)
{
    FILE *file = fopen(path, "rbe");
    struct ledger_entry entry;
    char *text = NULL;
    size_t room = 0;
    ssize_t len = 0;
    int err = file ? 0 : -errno;

    *ret_line = 0;
    while (!err && (len = getline(&text, &room, file)) > 0 && text[len - 1] == '\n') {
        ++*ret_line;
        err = ledger_parse((struct weir_bytes){ (const unsigned char *)text, (size_t)len - 1 }, &entry);
        if (!err) err = fn(&entry, user);
    }
    if (!err && ferror(file)) err = -EIO;
    free(text);
    if (file) fclose(file);
    return err;
}

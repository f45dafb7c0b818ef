/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app/terminal/printer.c: a bounded queue of lines and the one thread that writes them to a terminal, a pipe or a file.
 * Whoever adds lines must never wait for that write: a stopped reader costs lines, which are counted, and nothing else.
 *
 * The queue is one buffer. The thread swaps it for its own empty one and writes it out in one go, so that a burst costs
 * few system calls and order needs no list. */
#include "printer.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir/error.h>

#include "line.h"
#include "thread.h"

/* Lines are taken until this much waits, so that at most one line more is held: even the longest message can be shown,
 * as long as somebody reads. */
enum { QUEUE_BYTES_MAX = 4 * 1024 * 1024 };

/* Between two notes of one kind. */
enum { NOTES_INTERVAL_MS = 1000 };

/* What is written at once while somebody types: his keys wait for it. */
enum { PIECE_BYTES_MAX = 16 * 1024 };

struct printer {
    int fd;
    const char *name;
    struct printer *notes;
    bool notes_only;
    void (*wrap)(struct line *line, const char *text, size_t len, void *user);
    void *wrap_user;
    struct printer_around around; /* zeroed: there is nothing to do */
    bool started;
    pthread_t thread;

    pthread_mutex_t lock;
    pthread_cond_t changed; /* something was added, or ending was set, or ended */
    struct line waiting;    /* under lock, as all below */
    uint64_t lost;          /* lines dropped behind those that wait */
    uint64_t unnoted;       /* lines dropped before, that notes have not been told of */
    bool ending;            /* no more lines will be added */
    bool ended;             /* the thread touches nothing any more */
    bool gone;              /* nobody reads fd any more: lines are dropped, uncounted */

    /* The thread's own. */
    struct line writing;
    bool cut;        /* what was written last did not end with a newline */
    bool complained; /* of an error that may pass */
    struct timespec complain_again;
    struct timespec note_again; /* not before then, so that notes are a few lines, whatever happens */
};

int printer_new(int fd, const char *name, struct printer *notes, struct printer **ret)
{
    struct printer *const printer = calloc(1, sizeof(*printer));

    if (!printer) return -ENOMEM;
    printer->fd = fd;
    printer->name = name;
    printer->notes = notes;
    pthread_mutex_init(&printer->lock, NULL);
    thread_cond_init(&printer->changed);
    *ret = printer;
    return 0;
}

void printer_set_notes_only(struct printer *printer)
{
    printer->notes_only = true;
}

void printer_set_wrap(struct printer *printer,
                      void (*wrap)(struct line *line, const char *text, size_t len, void *user), void *user)
{
    printer->wrap = wrap;
    printer->wrap_user = user;
}

void printer_set_around(struct printer *printer, const struct printer_around *around)
{
    printer->around = *around;
}

/* ---- Adding: any thread ---- */

void printer_add(struct printer *printer, const char *line, size_t len)
{
    pthread_mutex_lock(&printer->lock);
    if (!printer->gone) {
        /* Once a line is lost, so are those behind it until the thread takes over: the count stands where they did. */
        if (!printer->lost && printer->waiting.len < QUEUE_BYTES_MAX) {
            line_add(&printer->waiting, line, len);
            printer->lost += printer->waiting.failed;
        } else {
            printer->lost++;
        }
        pthread_cond_broadcast(&printer->changed);
    }
    pthread_mutex_unlock(&printer->lock);
}

void printer_count_lost(struct printer *printer)
{
    pthread_mutex_lock(&printer->lock);
    printer->lost++;
    pthread_cond_broadcast(&printer->changed);
    pthread_mutex_unlock(&printer->lock);
}

/* ---- Writing: the printer's thread ---- */

/* Makes a line of a sentence, as the lines of that printer are. */
static void wrap_sentence(const struct printer *printer, const struct line *text, struct line *ret)
{
    if (text->failed) {
        ret->failed = true;
    } else if (printer->wrap) {
        printer->wrap(ret, text->bytes, text->len, printer->wrap_user);
    } else {
        line_add(ret, text->bytes, text->len);
        line_add_text(ret, "\n");
    }
}

/* Says something about the printer itself. */
static void note(struct printer *printer, const struct line *text)
{
    struct line line = { 0 };

    if (!printer->notes) return;
    wrap_sentence(printer->notes, text, &line);
    if (!line.failed) printer_add(printer->notes, line.bytes, line.len);
    line_fini(&line);
}

static bool has_passed(const struct timespec *deadline)
{
    const struct timespec now = thread_deadline(0);

    return now.tv_sec != deadline->tv_sec ? now.tv_sec > deadline->tv_sec : now.tv_nsec >= deadline->tv_nsec;
}

/* A shared terminal may have been made non-blocking by another program: then write has to be waited for. */
static ssize_t write_waiting(int fd, const char *bytes, size_t len)
{
    for (;;) {
        const ssize_t written = write(fd, bytes, len);
        if (written >= 0) return written;
        if (errno == EAGAIN) {
            struct pollfd room = { .fd = fd, .events = POLLOUT };
            poll(&room, 1, -1);
        } else if (errno != EINTR) {
            return -errno;
        }
    }
}

static uint64_t count_lines(const char *bytes, size_t len)
{
    const char *const end = bytes + len;
    uint64_t count = 0;

    while (bytes < end && (bytes = memchr(bytes, '\n', (size_t)(end - bytes)))) {
        count++;
        bytes++;
    }
    return count;
}

/* Returns 0, or the code of the write that failed, with the number of lines it cost in *ret_lost. */
static int write_piece(struct printer *printer, const char *bytes, size_t len, uint64_t *ret_lost)
{
    size_t done = 0;
    ssize_t written = 1;

    if (!len) return 0;
    if (printer->cut) written = write_waiting(printer->fd, "\n", 1);
    while (written > 0 && done < len) {
        printer->cut = false;
        written = write_waiting(printer->fd, bytes + done, len - done);
        if (written > 0) done += (size_t)written;
    }
    if (done == len) return 0;
    if (done) printer->cut = bytes[done - 1] != '\n';
    *ret_lost = count_lines(bytes + done, len - done);
    return written < 0 ? (int)written : -EIO;
}

/* The length of the whole lines that are written at once. */
static size_t piece_len(const struct printer *printer, const char *bytes, size_t len)
{
    const char *newline = NULL;

    if (!printer->around.begin || len <= PIECE_BYTES_MAX) return len;
    assert(bytes);
    newline = memrchr(bytes, '\n', PIECE_BYTES_MAX);
    if (!newline) newline = memchr(bytes, '\n', len);
    return newline ? (size_t)(newline - bytes) + 1 : len;
}

/* Writes lines out. Returns as above. */
static int write_lines(struct printer *printer, const char *bytes, size_t len, uint64_t *ret_lost)
{
    while (len) {
        const size_t piece = piece_len(printer, bytes, len);
        int err = 0;
        if (printer->around.begin) printer->around.begin(printer->around.user);
        err = write_piece(printer, bytes, piece, ret_lost);
        if (printer->around.end) printer->around.end(printer->around.user);
        bytes += piece;
        len -= piece;
        if (err) {
            *ret_lost += count_lines(bytes, len);
            return err;
        }
    }
    return 0;
}

/* The reader of a pipe or the terminal is gone for good; a full disk or a reached quota may pass. */
static bool is_final(int err)
{
    return err == -EPIPE || err == -EIO || err == -EBADF;
}

static void complain(struct printer *printer, int err)
{
    struct line text = { 0 };

    if (!is_final(err) && (printer->complained || !has_passed(&printer->complain_again))) return;
    printer->complained = true;
    printer->complain_again = thread_deadline(NOTES_INTERVAL_MS);
    line_addf(&text, "weir: %s: %s%s", printer->name, err == -EPIPE ? "closed" : weir_strerror(err),
              is_final(err) ? "; nothing more is printed" : "");
    note(printer, &text);
    line_fini(&text);
}

static void say_lost(struct line *text, uint64_t lost)
{
    line_add_text(text, "(");
    line_add_count(text, lost, "line");
    line_add_text(text, " not shown: the output is too slow)");
}

/* Tells notes how many lines were not shown, when it is time to. */
static void note_lost(struct printer *printer, bool is_last)
{
    struct line text = { 0 };
    uint64_t lost = 0;

    if (!is_last && !has_passed(&printer->note_again)) return;
    pthread_mutex_lock(&printer->lock);
    lost = printer->unnoted;
    printer->unnoted = 0;
    pthread_mutex_unlock(&printer->lock);
    if (!lost) return;
    if (!is_last)
        printer->note_again = thread_deadline(NOTES_INTERVAL_MS); /* the thread's own: the last may be another's */
    say_lost(&text, lost);
    note(printer, &text);
    line_fini(&text);
}

static int write_lost(struct printer *printer, uint64_t lost)
{
    struct line text = { 0 };
    struct line line = { 0 };
    uint64_t uncounted = 0;
    int err = 0;

    if (printer->notes_only) {
        pthread_mutex_lock(&printer->lock);
        printer->unnoted += lost;
        pthread_mutex_unlock(&printer->lock);
        return 0;
    }
    say_lost(&text, lost);
    wrap_sentence(printer, &text, &line);
    if (!line.failed) err = write_lines(printer, line.bytes, line.len, &uncounted);
    line_fini(&text);
    line_fini(&line);
    return err;
}

/* Takes what waits; nothing, when it is time for a note. Returns false when nothing waits and nothing will. */
static bool take_waiting(struct printer *printer, uint64_t *ret_lost)
{
    struct line empty;
    bool go_on = false;
    int err = 0;

    line_clear(&printer->writing);
    pthread_mutex_lock(&printer->lock);
    while (!printer->waiting.len && !printer->lost && !printer->ending && !err) {
        if (printer->unnoted)
            err = pthread_cond_timedwait(&printer->changed, &printer->lock, &printer->note_again);
        else
            pthread_cond_wait(&printer->changed, &printer->lock);
    }
    empty = printer->writing;
    printer->writing = printer->waiting;
    printer->waiting = empty;
    *ret_lost = printer->lost;
    printer->lost = 0;
    go_on = printer->writing.len || *ret_lost || !printer->ending;
    pthread_mutex_unlock(&printer->lock);
    return go_on;
}

/* After a write has failed and cost so many lines. Returns false when it is not worth trying again. */
static bool may_go_on(struct printer *printer, int err, uint64_t lost)
{
    uint64_t lost_before = 0;
    bool go_on = false;

    pthread_mutex_lock(&printer->lock);
    printer->gone = is_final(err);
    printer->lost += lost;
    lost_before = printer->lost;
    pthread_mutex_unlock(&printer->lock);
    complain(printer, err);
    pthread_mutex_lock(&printer->lock);
    /* Lost lines alone are no reason to try again at once: the next line is, which is lost as well behind them. */
    while (!printer->gone && !printer->waiting.len && printer->lost == lost_before && !printer->ending)
        pthread_cond_wait(&printer->changed, &printer->lock);
    go_on = !printer->gone && !printer->ending;
    pthread_mutex_unlock(&printer->lock);
    return go_on;
}

static void *run(void *arg)
{
    struct printer *const printer = arg;
    uint64_t lost = 0;

    while (take_waiting(printer, &lost)) {
        uint64_t unwritten = 0;
        int err = write_lines(printer, printer->writing.bytes, printer->writing.len, &unwritten);
        if (!err && lost) err = write_lost(printer, lost);
        if (err && !may_go_on(printer, err, unwritten + lost)) break;
        if (!err && printer->writing.len) printer->complained = false;
        note_lost(printer, false);
    }
    note_lost(printer, true);
    pthread_mutex_lock(&printer->lock);
    printer->ended = true;
    pthread_cond_broadcast(&printer->changed);
    pthread_mutex_unlock(&printer->lock);
    return NULL;
}

/* ---- Its life ---- */

int printer_start(struct printer *printer)
{
    const int err = thread_start(&printer->thread, run, printer);

    printer->started = !err;
    return err;
}

bool printer_finish(struct printer *printer, int wait_ms)
{
    const struct timespec deadline = thread_deadline(wait_ms);
    bool ended = false;
    int err = 0;

    if (!printer->started) return true;
    pthread_mutex_lock(&printer->lock);
    printer->ending = true;
    pthread_cond_broadcast(&printer->changed);
    while (!printer->ended && !err)
        err = pthread_cond_timedwait(&printer->changed, &printer->lock, &deadline);
    ended = printer->ended;
    if (!ended) {
        /* What was still to be written when a write stood still for ever, as far as it can be known: the thread has the
         * rest. */
        printer->unnoted += printer->lost;
        if (printer->waiting.len) printer->unnoted += count_lines(printer->waiting.bytes, printer->waiting.len);
    }
    pthread_mutex_unlock(&printer->lock);
    if (!ended) {
        note_lost(printer, true);
        return false;
    }
    pthread_join(printer->thread, NULL);
    printer->started = false;
    return true;
}

void printer_free(struct printer *printer)
{
    if (!printer) return;
    assert(!printer->started);
    pthread_cond_destroy(&printer->changed);
    pthread_mutex_destroy(&printer->lock);
    line_fini(&printer->waiting);
    line_fini(&printer->writing);
    free(printer);
}

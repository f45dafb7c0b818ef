/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A bounded queue of lines and the one thread that writes them to a terminal, a pipe or a file.
 * Whoever adds lines must never wait for that write: a stopped reader costs lines, which are counted, and nothing else.
 * Lines are written whole: one that a failed write has cut is gone on with before anything else is written.
 *
 * The queue is one buffer. The thread swaps it for its own empty one and writes it out, so that a burst costs few
 * system calls and order needs no list. */
#include "printer.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <weir/error.h>

#include "base/thread.h"
#include "text/line.h"

/* Lines are taken until this much waits, so that at most one line more is held: even the longest message can be shown,
 * as long as somebody reads. */
enum { QUEUE_BYTES_MAX = 4 * 1024 * 1024 };

/* Between two notes of one kind. */
enum { NOTES_INTERVAL_MS = 1000 };

/* What is written at once while somebody types: his keys wait for it. */
enum { PIECE_BYTES_MAX = 16 * 1024 };

/* Room for the line that tells of a gap, which is made when memory may be out. */
enum { GAP_BYTES_MAX = 512 };

/* While there is no room to write in, whether to give up is looked at so often; at the end so long is waited for a
 * look, and for the last words behind it. */
enum { LOOK_EVERY_MS = 50, GIVE_UP_MS = 500, LAST_WORDS_MS = 5000 };

struct printer {
    int fd;
    const char *name;
    struct printer *notes;
    size_t write_bytes_max; /* by one call: of a pipe as much as a wait for room makes sure of */
    void (*add_gap)(struct line *line, uint64_t lost);
    void (*wrap)(struct line *line, const char *text, size_t len, void *user);
    void *wrap_user;
    bool (*on_failed)(int err, void *user);
    void *on_failed_user;
    struct printer_around around; /* zeroed: there is nothing to do */
    size_t queue_bytes_max, all_bytes_max;
    bool started;
    pthread_t thread;

    pthread_mutex_t lock;
    pthread_cond_t changed; /* something was added, or ending was set, or ended */
    struct line waiting;    /* under lock, as all below */
    size_t writing_bytes;   /* in writing */
    size_t promised_bytes;  /* to lines that are being made */
    uint64_t lost;          /* lines dropped behind those that wait */
    uint64_t unnoted;       /* lines dropped before, that notes have not been told of */
    bool ending;            /* no more lines will be added */
    bool must_give_up;      /* what waits is not waited for any longer */
    bool has_given_up;      /* and the thread knows: it waits for no room any more */
    bool ended;             /* the thread touches nothing any more */
    bool gone;              /* nobody reads fd any more: lines are dropped, uncounted */

    /* The thread's own. */
    struct line writing;
    struct line gap;   /* behind that: tells of the lines that were lost there */
    uint64_t gap_lost; /* how many */
    bool is_cut;       /* what is to be written next is the rest of a line */
    bool complained;   /* of an error that may pass */
    struct timespec complain_again;
    struct timespec note_again; /* not before then, so that notes are a few lines, whatever happens */
};

/* A pipe takes so much at once or not at all, and a socket with room for it does, too: that is how a reader that has
 * stopped stops nothing here, and sees no half lines when we end meanwhile. */
static size_t write_bytes_max_of(int fd)
{
    struct stat status;

    return fstat(fd, &status) == 0 && (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode)) ? PIPE_BUF : SSIZE_MAX;
}

/* Takes the memory for that many bytes. Returns whether it could. */
static bool reserve(struct line *line, size_t len)
{
    for (size_t i = 0; i < len; i++)
        line_add(line, "", 1);
    if (line->failed) return false;
    line_clear(line);
    return true;
}

int printer_new(int fd, const char *name, struct printer *notes, struct printer **ret)
{
    struct printer *printer = calloc(1, sizeof(*printer));

    if (!printer) return -ENOMEM;
    if (!reserve(&printer->gap, GAP_BYTES_MAX)) {
        line_fini(&printer->gap);
        free(printer);
        return -ENOMEM;
    }
    printer->fd = fd;
    printer->name = name;
    printer->notes = notes;
    printer->write_bytes_max = write_bytes_max_of(fd);
    printer_set_bounds(printer, QUEUE_BYTES_MAX, SIZE_MAX);
    pthread_mutex_init(&printer->lock, NULL);
    thread_cond_init(&printer->changed);
    *ret = printer;
    return 0;
}

void printer_set_gap(struct printer *printer, void (*add_gap)(struct line *line, uint64_t lost))
{
    printer->add_gap = add_gap;
}

void printer_set_on_failed(struct printer *printer, bool (*on_failed)(int err, void *user), void *user)
{
    printer->on_failed = on_failed;
    printer->on_failed_user = user;
}

void printer_set_bounds(struct printer *printer, size_t queue_bytes_max, size_t all_bytes_max)
{
    printer->queue_bytes_max = queue_bytes_max;
    printer->all_bytes_max = all_bytes_max;
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

/* Under the lock, as the next two. */
static bool takes_lines(const struct printer *printer)
{
    /* Once a line is lost, so are those behind it until the thread takes over: the count stands where they did. */
    return !printer->lost && printer->waiting.len < printer->queue_bytes_max;
}

/* How long a line may be. */
static size_t room(const struct printer *printer)
{
    const size_t held = printer->waiting.len + printer->writing_bytes + printer->promised_bytes;

    if (printer->gone || !takes_lines(printer)) return 0;
    return held < printer->all_bytes_max ? printer->all_bytes_max - held : 0;
}

/* A line that is not added is counted. */
static void add(struct printer *printer, const char *line, size_t len, bool is_to_be_added)
{
    if (printer->gone) return;
    if (is_to_be_added) {
        line_add(&printer->waiting, line, len);
        printer->lost += printer->waiting.failed;
    } else {
        printer->lost++;
    }
    pthread_cond_broadcast(&printer->changed);
}

void printer_add(struct printer *printer, const char *line, size_t len)
{
    pthread_mutex_lock(&printer->lock);
    add(printer, line, len, takes_lines(printer));
    pthread_mutex_unlock(&printer->lock);
}

size_t printer_reserve(struct printer *printer, size_t bytes)
{
    size_t reserved = 0;

    pthread_mutex_lock(&printer->lock);
    reserved = room(printer);
    if (reserved > bytes) reserved = bytes;
    printer->promised_bytes += reserved;
    pthread_mutex_unlock(&printer->lock);
    return reserved;
}

void printer_take(struct printer *printer, struct line *line, size_t reserved)
{
    pthread_mutex_lock(&printer->lock);
    printer->promised_bytes -= reserved;
    if (line->failed || !line->len || printer->lost || printer->waiting.len || printer->gone) {
        add(printer, line->bytes, line->len, !line->failed && !printer->lost);
    } else {
        const struct line empty = printer->waiting;
        printer->waiting = *line;
        printer->waiting.len_max = 0;
        *line = empty;
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

static bool must_give_up(struct printer *printer)
{
    bool must = false;

    pthread_mutex_lock(&printer->lock);
    must = printer->must_give_up;
    pthread_mutex_unlock(&printer->lock);
    return must;
}

/* Until something can be written; a terminal may still make the write itself wait, and be non-blocking besides, when
 * another program that shares it wants it so. Returns 0, or -ETIMEDOUT when nobody waits any longer. */
static int wait_for_room(struct printer *printer)
{
    struct pollfd room = { .fd = printer->fd, .events = POLLOUT };

    do {
        if (!printer->has_given_up && must_give_up(printer)) break;
        if (poll(&room, 1, printer->has_given_up ? 0 : LOOK_EVERY_MS) > 0) return 0;
    } while (!printer->has_given_up);
    return -ETIMEDOUT;
}

static uint64_t count_lines(const char *bytes, size_t len)
{
    const char *end = bytes + len;
    uint64_t count = 0;

    while (bytes < end && (bytes = memchr(bytes, '\n', (size_t)(end - bytes)))) {
        count++;
        bytes++;
    }
    return count;
}

/* Returns how many lines there were behind the first bytes; they are no more. */
static uint64_t drop_behind(struct line *lines, size_t kept)
{
    const uint64_t lost = count_lines(lines->bytes + kept, lines->len - kept);

    lines->len = kept;
    if (!kept) line_clear(lines);
    return lost;
}

/* Returns 0 or the code of the write that failed; *ret_done is how much was written in any case. */
static int write_piece(struct printer *printer, const char *bytes, size_t len, size_t *ret_done)
{
    size_t done = 0;
    int err = 0;

    while (!err && done < len) {
        const size_t left = len - done;
        ssize_t written = 0;
        err = wait_for_room(printer);
        if (err) break;
        written = write(printer->fd, bytes + done, left < printer->write_bytes_max ? left : printer->write_bytes_max);
        if (written > 0)
            done += (size_t)written;
        else if (written == 0)
            err = -EIO;
        else if (errno != EAGAIN && errno != EINTR)
            err = -errno;
    }
    *ret_done = done;
    return err;
}

/* The length of the whole lines that are written at once. */
static size_t piece_len(const struct printer *printer, const char *bytes, size_t len)
{
    const size_t most = printer->around.begin ? PIECE_BYTES_MAX : printer->write_bytes_max;
    const char *newline = NULL;

    if (len <= most) return len;
    assert(bytes);
    newline = memrchr(bytes, '\n', most);
    if (!newline) newline = memchr(bytes, '\n', len);
    return newline ? (size_t)(newline - bytes) + 1 : len;
}

/* Takes off the lines what has been written of them. */
static void take_off(struct printer *printer, struct line *lines, size_t done)
{
    if (!done) return;
    printer->is_cut = lines->bytes[done - 1] != '\n';
    memmove(lines->bytes, lines->bytes + done, lines->len - done);
    lines->len -= done;
    if (!lines->len) line_clear(lines);
}

/* Writes lines out. Returns 0, or the code of the write that failed: then those that it has not come to are left, and
 * the rest of one that it has cut. */
static int write_lines(struct printer *printer, struct line *lines)
{
    size_t done = 0;
    int err = 0;

    while (!err && done < lines->len) {
        const size_t piece = piece_len(printer, lines->bytes + done, lines->len - done);
        size_t written = 0;
        if (printer->around.begin) printer->around.begin(printer->around.user);
        err = write_piece(printer, lines->bytes + done, piece, &written);
        if (printer->around.end) printer->around.end(printer->around.user);
        done += written;
    }
    take_off(printer, lines, done);
    return err;
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

static void say_lost(const struct printer *printer, struct line *text, uint64_t lost)
{
    line_add_text(text, "(");
    line_add_count(text, lost, "line");
    line_add_text(text, printer->complained ? " not shown: the output could not be written)"
                                            : " not shown: the output is too slow)");
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
    say_lost(printer, &text, lost);
    note(printer, &text);
    line_fini(&text);
}

static void add_unnoted(struct printer *printer, uint64_t lost)
{
    pthread_mutex_lock(&printer->lock);
    printer->unnoted += lost;
    pthread_mutex_unlock(&printer->lock);
}

/* Makes the line that tells of lost ones, to be written behind what is in hand. */
static void make_gap(struct printer *printer, uint64_t lost)
{
    struct line text = { 0 };

    line_clear(&printer->gap);
    printer->gap_lost = lost;
    if (!lost) return;
    if (printer->add_gap) {
        printer->add_gap(&printer->gap, lost);
    } else {
        say_lost(printer, &text, lost);
        wrap_sentence(printer, &text, &printer->gap);
        line_fini(&text);
    }
    if (!printer->gap.failed) return;
    line_clear(&printer->gap);
    printer->gap_lost = 0;
    add_unnoted(printer, lost);
}

/* Writes what is in hand. Returns 0 or the code of the write that failed. */
static int write_out(struct printer *printer)
{
    int err = write_lines(printer, &printer->writing);

    if (!err) err = write_lines(printer, &printer->gap);
    if (err && !(printer->is_cut && !printer->writing.len)) return err;
    /* The line of the gap, if there was one, has been begun. */
    if (printer->add_gap && printer->gap_lost) add_unnoted(printer, printer->gap_lost);
    printer->gap_lost = 0;
    return err;
}

/* Takes what waits; nothing, when it is time for a note. Returns false when nothing waits and nothing will. */
static bool take_waiting(struct printer *printer)
{
    struct line empty;
    uint64_t lost = 0;
    bool go_on = false;
    int err = 0;

    pthread_mutex_lock(&printer->lock);
    printer->writing_bytes = 0;
    while (!printer->waiting.len && !printer->lost && !printer->ending && !err) {
        if (printer->unnoted)
            err = pthread_cond_timedwait(&printer->changed, &printer->lock, &printer->note_again);
        else
            pthread_cond_wait(&printer->changed, &printer->lock);
    }
    empty = printer->writing;
    printer->writing = printer->waiting;
    printer->waiting = empty;
    printer->writing_bytes = printer->writing.len;
    lost = printer->lost;
    printer->lost = 0;
    go_on = printer->writing.len || lost || !printer->ending;
    pthread_mutex_unlock(&printer->lock);
    make_gap(printer, lost);
    return go_on;
}

/* A full pipe whose reader reads only when we have ended is made larger: what it has to be told comes in any case. */
static void make_room(const struct printer *printer)
{
    const int size = fcntl(printer->fd, F_GETPIPE_SZ);

    if (size > 0) fcntl(printer->fd, F_SETPIPE_SZ, size + (int)(printer->writing.len + printer->gap.len));
}

/* Leaves nothing in hand but the rest of a line that was cut. Returns how many lines are lost by it. */
static uint64_t drop_lines(struct printer *printer)
{
    struct line *lines = printer->writing.len ? &printer->writing : &printer->gap;
    const char *newline = printer->is_cut ? memchr(lines->bytes, '\n', lines->len) : NULL;
    const size_t kept = newline ? (size_t)(newline - lines->bytes) + 1 : 0;
    const uint64_t lost = printer->gap_lost;

    if (lines == &printer->gap) line_add(&printer->writing, lines->bytes, kept);
    line_clear(&printer->gap);
    printer->gap_lost = 0;
    if (lines == &printer->gap) return lost;
    return lost + drop_behind(lines, kept);
}

/* The lines in hand and those that wait are left out, and told of with those that are lost already, if that can be
 * written at once. */
static void give_up(struct printer *printer)
{
    uint64_t lost = drop_lines(printer);

    pthread_mutex_lock(&printer->lock);
    printer->has_given_up = true;
    pthread_cond_broadcast(&printer->changed);
    lost += printer->lost + drop_behind(&printer->waiting, 0);
    printer->lost = 0;
    pthread_mutex_unlock(&printer->lock);
    make_gap(printer, lost);
    make_room(printer);
    if (write_out(printer)) add_unnoted(printer, printer->gap_lost);
}

static bool is_ending(struct printer *printer)
{
    bool ending = false;

    pthread_mutex_lock(&printer->lock);
    ending = printer->ending;
    pthread_mutex_unlock(&printer->lock);
    return ending;
}

/* Until a line comes, or the end, or it is time to try again anyway. */
static void wait_to_try_again(struct printer *printer)
{
    const struct timespec again = thread_deadline(NOTES_INTERVAL_MS);
    size_t len = 0;
    uint64_t lost = 0;
    int err = 0;

    pthread_mutex_lock(&printer->lock);
    len = printer->waiting.len;
    lost = printer->lost;
    while (!err && printer->waiting.len == len && printer->lost == lost && !printer->ending)
        err = pthread_cond_timedwait(&printer->changed, &printer->lock, &again);
    pthread_mutex_unlock(&printer->lock);
}

/* After a write has failed, the last one perhaps. Returns false when it is not worth trying again. */
static bool may_go_on(struct printer *printer, int err, bool is_last)
{
    bool is_gone = is_final(err);

    if (err != -ETIMEDOUT) {
        if (printer->on_failed && printer->on_failed(err, printer->on_failed_user))
            is_gone = true;
        else
            complain(printer, err);
    }
    if (!is_gone && !is_last && err != -ETIMEDOUT) {
        wait_to_try_again(printer);
        return true;
    }
    if (!is_gone) give_up(printer);
    pthread_mutex_lock(&printer->lock);
    printer->gone = is_gone;
    pthread_mutex_unlock(&printer->lock);
    return false;
}

static bool has_in_hand(const struct printer *printer)
{
    return printer->writing.len || printer->gap.len;
}

static void *run(void *arg)
{
    struct printer *printer = arg;

    while (has_in_hand(printer) || take_waiting(printer)) {
        const bool has_some = has_in_hand(printer);
        const bool is_last = is_ending(printer);
        const int err = write_out(printer);
        if (err && !may_go_on(printer, err, is_last)) break;
        if (!err && has_some) printer->complained = false;
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

/* Under the lock. */
static void wait_for_end(struct printer *printer, int wait_ms)
{
    const struct timespec deadline = thread_deadline(wait_ms);
    int err = 0;

    while (!printer->ended && !err)
        err = pthread_cond_timedwait(&printer->changed, &printer->lock, &deadline);
}

bool printer_finish(struct printer *printer, int wait_ms)
{
    bool ended = false;

    if (!printer->started) return true;
    pthread_mutex_lock(&printer->lock);
    printer->ending = true;
    pthread_cond_broadcast(&printer->changed);
    wait_for_end(printer, wait_ms);
    printer->must_give_up = true;
    wait_for_end(printer, GIVE_UP_MS);
    if (printer->has_given_up) wait_for_end(printer, LAST_WORDS_MS);
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
    line_fini(&printer->gap);
    free(printer);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Libedit in a thread of its own, on a terminal that others write to as well. Whoever uses
 * libedit or writes to the terminal has the turn; the editor's thread has it but for the time in which it waits for a
 * key, and goes first when it wants it back, so that a flood of output does not stop the typing. Must never read or
 * change a terminal that is in another's foreground, and never keep what was typed anywhere but in memory.
 *
 * What is on the screen is known by one flag, shown: the prompt and what was typed, from the row where the prompt
 * begins to the cursor. Only who has the turn draws, erases, or changes it. */
#include "editor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <histedit.h>

#include "base/thread.h"
#include "terminal.h"
#include "text/line.h"
#include "text/utf8.h"
#include "tty.h"
#include "wrap.h"

enum {
    HISTORY_LINES = 500,
    CTRL_C = 3,
    BACKGROUND_MS = 250, /* between looks whether the terminal is ours again: a shell's fg tells nobody */
    PLAIN_LINE_BYTES_MAX = 1024 * 1024
};

struct prompt {
    char text[EDITOR_PROMPT_BYTES_MAX];
    uint64_t tag;
};

struct editor {
    struct editor_config config;
    int wake_fd;
    pthread_t thread;
    bool started;
    atomic_bool resized;

    pthread_mutex_t lock;
    pthread_cond_t changed; /* the turn was given, or ended was set */
    bool taken;             /* under lock, as all below: somebody has the turn */
    bool typist_waits;      /* the editor's thread wants it */
    bool stopping;
    bool ended;            /* the thread touches nothing any more */
    struct prompt wanted;  /* the newest */
    struct prompt certain; /* the last one set from a callback */
    bool has_certain;      /* and not taken yet */

    /* Of whoever has the turn. */
    struct prompt prompt; /* of the line that is typed */
    bool shown;
    EditLine *el; /* NULL: no editing */
    History *history;
    FILE *out;
    FILE *complaints; /* libedit's, which nobody wants to read */
    int keys_fd;      /* the terminal, opened anew so that it need not block; -1: it could not be */

    /* The thread's own. */
    bool over; /* the line is given up: there is nothing more to come */
    int error; /* why */
    bool has_attributes;
    struct termios attributes; /* for editing */
    unsigned char partial[4];  /* of a character */
    size_t partial_len;
    struct line line;
};

static _Thread_local bool is_typist;

/* ---- Turns ---- */

static void take_turn(struct editor *editor)
{
    pthread_mutex_lock(&editor->lock);
    if (is_typist) editor->typist_waits = true;
    while (editor->taken || (!is_typist && editor->typist_waits))
        pthread_cond_wait(&editor->changed, &editor->lock);
    if (is_typist) editor->typist_waits = false;
    editor->taken = true;
    pthread_mutex_unlock(&editor->lock);
}

static void give_turn(struct editor *editor)
{
    pthread_mutex_lock(&editor->lock);
    editor->taken = false;
    pthread_cond_broadcast(&editor->changed);
    pthread_mutex_unlock(&editor->lock);
}

static void wake(struct editor *editor)
{
    const uint64_t one = 1;

    while (write(editor->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
}

static bool is_stopping(struct editor *editor)
{
    bool stopping = false;

    pthread_mutex_lock(&editor->lock);
    stopping = editor->stopping;
    pthread_mutex_unlock(&editor->lock);
    return stopping;
}

/* ---- The screen: whoever has the turn ---- */

/* Moves the place behind the prompt. */
static void wrap_prompt(const struct editor *editor, struct wrap *wrap, unsigned columns)
{
    wchar_t text[EDITOR_PROMPT_BYTES_MAX];
    const size_t len = mbstowcs(text, editor->prompt.text, EDITOR_PROMPT_BYTES_MAX);

    if (len != (size_t)-1) wrap_text(wrap, text, len, columns);
}

/* Erases from the row where the prompt begins, which is so many rows above the cursor. */
static void erase_rows(struct editor *editor, unsigned rows)
{
    struct winsize size = { 0 };

    /* What is taller than the screen has scrolled out of it. */
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row && rows >= size.ws_row) rows = size.ws_row - 1U;
    if (rows) fprintf(editor->out, "\033[%uA", rows);
    fputs("\r\033[J", editor->out);
    fflush(editor->out);
}

static void erase(struct editor *editor)
{
    const unsigned columns = terminal_columns(STDOUT_FILENO);
    const LineInfoW *typed = el_wline(editor->el);
    struct wrap wrap = { 0 };

    wrap_prompt(editor, &wrap, columns);
    wrap_text(&wrap, typed->buffer, (size_t)(typed->cursor - typed->buffer), columns);
    if (typed->cursor < typed->lastchar) wrap_before(&wrap, *typed->cursor, columns);
    erase_rows(editor, wrap.row);
}

/* A line that has just been entered: the cursor is in the row below it. */
static void erase_entered(struct editor *editor, const wchar_t *text, size_t len)
{
    const unsigned columns = terminal_columns(STDOUT_FILENO);
    struct wrap wrap = { 0 };

    wrap_prompt(editor, &wrap, columns);
    wrap_text(&wrap, text, len, columns);
    erase_rows(editor, wrap.row + 1);
}

/* In a row where nothing is yet. */
static void draw(struct editor *editor)
{
    el_resize(editor->el);
    el_set(editor->el, EL_REFRESH);
}

void editor_begin_output(struct editor *editor)
{
    take_turn(editor);
    if (editor->shown) erase(editor);
}

void editor_end_output(struct editor *editor)
{
    if (editor->shown) draw(editor);
    give_turn(editor);
}

/* ---- The prompt ---- */

void editor_set_prompt(struct editor *editor, const char *prompt, uint64_t tag)
{
    pthread_mutex_lock(&editor->lock);
    snprintf(editor->wanted.text, sizeof(editor->wanted.text), "%s", prompt);
    editor->wanted.tag = tag;
    if (is_typist) editor->certain = editor->wanted;
    editor->has_certain |= is_typist;
    pthread_mutex_unlock(&editor->lock);
    wake(editor);
}

/* Whether something was typed that has not been read: it was meant for the prompt that was there. */
static bool is_typed_ahead(void)
{
    struct pollfd ready = { .fd = STDIN_FILENO, .events = POLLIN };

    return poll(&ready, 1, 0) == 1;
}

/* Takes the wanted prompt, unless what is there to be read may be for another. Returns true when it is a new one. */
static bool adopt_prompt(struct editor *editor)
{
    const struct prompt old = editor->prompt;
    const bool ahead = is_typed_ahead();

    pthread_mutex_lock(&editor->lock);
    if (editor->has_certain) editor->prompt = editor->certain;
    editor->has_certain = false;
    if (!ahead) editor->prompt = editor->wanted;
    pthread_mutex_unlock(&editor->lock);
    return old.tag != editor->prompt.tag || strcmp(old.text, editor->prompt.text) != 0;
}

static char *get_prompt(EditLine *el)
{
    struct editor *editor = NULL;

    el_get(el, EL_CLIENTDATA, &editor);
    return editor->prompt.text;
}

/* ---- Keys: libedit asks for one, on the editor's thread, which has the turn ---- */

static void hide(struct editor *editor)
{
    if (editor->shown) erase(editor);
    editor->shown = false;
}

static void show(struct editor *editor)
{
    tty_will_change();
    tcsetattr(STDIN_FILENO, TCSADRAIN, &editor->attributes);
    draw(editor);
    editor->shown = true;
}

static void suspend(struct editor *editor)
{
    hide(editor);
    tty_restore();
    tty_stop();
}

static void give_up(struct editor *editor, int error)
{
    editor->over = true;
    editor->error = error;
    hide(editor);
}

static bool is_line_empty(struct editor *editor)
{
    const LineInfoW *typed = el_wline(editor->el);

    return typed->buffer == typed->lastchar;
}

/* Brings the screen to where it ought to be. */
static void settle(struct editor *editor)
{
    const bool resized = atomic_exchange(&editor->resized, false);
    int ours = 0;

    if (tty_take_stop()) suspend(editor);
    if (tty_take_continue() && editor->shown) {
        erase_rows(editor, 0); /* others have used the terminal since, and the cursor is where they left it */
        editor->shown = false;
    }
    ours = tty_is_ours();
    if (is_stopping(editor) || ours < 0) {
        give_up(editor, ours < 0 ? ours : 0);
        return;
    }
    if (!ours) {
        editor->shown = false;
        return;
    }
    if (editor->shown && (resized || (is_line_empty(editor) && adopt_prompt(editor)))) {
        erase(editor);
        draw(editor);
    }
    if (!editor->shown) show(editor);
}

/* Waits for a key, when keys are for us to read, or for news. Returns whether there is a key. */
static bool wait_for_key(struct editor *editor, bool may_read)
{
    struct pollfd ready[] = { { .fd = editor->wake_fd, .events = POLLIN }, { .fd = STDIN_FILENO, .events = POLLIN } };
    uint64_t count = 0;

    if (poll(ready, may_read ? 2 : 1, may_read ? -1 : BACKGROUND_MS) <= 0) return false;
    if (ready[0].revents && read(editor->wake_fd, &count, sizeof(count)) < 0) return false;
    return may_read && ready[1].revents;
}

/* Adds a byte of a character. Returns whether it is whole. What is no UTF-8 is dropped. */
static bool take_byte(struct editor *editor, unsigned char byte, wchar_t *ret)
{
    for (;;) {
        uint32_t character = 0;
        int len = 0;
        editor->partial[editor->partial_len++] = byte;
        len = utf8_decode((struct weir_bytes){ editor->partial, editor->partial_len }, &character);
        if (len == UTF8_CUT) return false;
        if (len > 0) {
            editor->partial_len = 0;
            *ret = (wchar_t)character;
            return true;
        }
        if (editor->partial_len == 1) {
            editor->partial_len = 0;
            return false;
        }
        editor->partial_len = 0; /* the byte may begin the next character */
    }
}

static int read_key(EditLine *el, wchar_t *ret)
{
    struct editor *editor = NULL;

    el_get(el, EL_CLIENTDATA, &editor);
    if (!editor->has_attributes) editor->has_attributes = tcgetattr(STDIN_FILENO, &editor->attributes) == 0;
    for (;;) {
        unsigned char byte = 0;
        bool is_key = false;
        ssize_t len = 0;
        int error = 0;

        settle(editor);
        if (editor->over) return 0;
        is_key = editor->shown;
        give_turn(editor);
        is_key = wait_for_key(editor, is_key);
        take_turn(editor);
        if (!is_key || tty_is_ours() != 1) continue;
        /* Ctrl-C throws away what was typed before it: a key that poll has seen may be gone. */
        len = read(editor->keys_fd < 0 ? STDIN_FILENO : editor->keys_fd, &byte, 1);
        error = len < 0 ? errno : 0;
        if (len > 0 && byte == CTRL_C && !tty_has_job_control())
            kill(getpid(), SIGINT);
        else if (len > 0 && take_byte(editor, byte, ret))
            return 1;
        if (len == 0 || (error && error != EAGAIN && error != EINTR && tty_is_ours() == 1)) give_up(editor, -error);
    }
}

/* ---- Lines ---- */

/* Hands a line on, unless typing has ended meanwhile. On the editor's thread, which does not have the turn. */
static void deliver(struct editor *editor, const char *text, uint64_t tag)
{
    if (!is_stopping(editor)) editor->config.on_line(text, tag, editor->config.user);
}

/* Makes the line a C string, and keeps it for the keys that go back to it. Returns NULL when there is no memory. */
static const char *keep_line(struct editor *editor, const wchar_t *text, size_t len)
{
    HistEvent event;

    line_clear(&editor->line);
    for (size_t i = 0; i < len; i++) {
        char bytes[MB_LEN_MAX];
        const int count = wctomb(bytes, text[i]);
        if (count > 0) line_add(&editor->line, bytes, (size_t)count);
    }
    line_add(&editor->line, "", 1);
    if (editor->line.failed) return NULL;
    if (len) history(editor->history, &event, H_ENTER, editor->line.bytes);
    return editor->line.bytes;
}

/* Has one line typed, with the turn. Returns false when that was the end. */
static bool type_line(struct editor *editor)
{
    const wchar_t *text = NULL;
    const char *line = NULL;
    int len = 0;

    adopt_prompt(editor);
    tty_will_change();
    editor->shown = true;
    text = el_wgets(editor->el, &len);
    if (!text || len < 1 || editor->over) {
        hide(editor); /* with the ^D that stands for Ctrl-D */
        return false;
    }
    if (text[len - 1] == L'\n') len--;
    if (!editor->config.keeps_lines) erase_entered(editor, text, (size_t)len);
    editor->shown = false;
    line = keep_line(editor, text, (size_t)len);
    give_turn(editor);
    if (line) deliver(editor, line, editor->prompt.tag);
    take_turn(editor);
    return true;
}

static bool has_capability(EditLine *el, const char *name)
{
    char *value = NULL;

    return el_get(el, EL_GETTC, name, &value) == 0 && value && value[0];
}

static void close_editing(struct editor *editor)
{
    if (editor->el) {
        el_set(editor->el, EL_EDITMODE, 0); /* the attributes are ours to restore, without waiting for the output */
        el_end(editor->el);
    }
    editor->el = NULL;
    if (editor->history) history_end(editor->history);
    if (editor->out) fclose(editor->out);
    if (editor->complaints) fclose(editor->complaints);
    if (editor->keys_fd >= 0) close(editor->keys_fd);
    editor->keys_fd = -1;
    editor->history = NULL;
    editor->out = editor->complaints = NULL;
}

static FILE *open_copy(int fd)
{
    const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    FILE *file = copy < 0 ? NULL : fdopen(copy, "w");

    if (!file && copy >= 0) close(copy);
    return file;
}

static void set_keys(EditLine *el)
{
    el_set(el, EL_EDITOR, "emacs");
    el_set(el, EL_BIND, "^I", "ed-insert", NULL); /* what is pasted may have tabs */
    el_set(el, EL_BIND, "\\e[1;5C", "em-next-word", NULL);
    el_set(el, EL_BIND, "\\e[1;5D", "ed-prev-word", NULL);
    /* Between two lines nothing is echoed either. */
    el_set(el, EL_SETTY, "-x", "-icanon", "-echo", NULL);
    if (tty_has_job_control()) return;
    /* Else the terminal would take Ctrl-C for a signal, have nobody to send it to, and throw it away. */
    el_set(el, EL_SETTY, "-x", "intr=", NULL);
    el_set(el, EL_SETTY, "-d", "intr=", NULL);
}

/* In the foreground: libedit sets attributes from its first call on. Returns false when lines cannot be edited here. */
static bool open_editing(struct editor *editor)
{
    HistEvent event;

    if (!terminal_is_capable(STDOUT_FILENO) || tty_remember()) return false;
    editor->out = open_copy(STDOUT_FILENO);
    editor->keys_fd = open("/proc/self/fd/0", O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    editor->complaints = fopen("/dev/null", "we");
    editor->history = history_init();
    tty_will_change();
    if (editor->out && editor->complaints && editor->history)
        editor->el = el_init("weir", stdin, editor->out, editor->complaints);
    if (!editor->el || !has_capability(editor->el, "up")) {
        close_editing(editor);
        tty_restore();
        return false;
    }
    el_set(editor->el, EL_CLIENTDATA, editor);
    el_set(editor->el, EL_GETCFN, read_key);
    el_set(editor->el, EL_PROMPT, get_prompt);
    history(editor->history, &event, H_SETSIZE, HISTORY_LINES);
    history(editor->history, &event, H_SETUNIQUE, 1);
    el_set(editor->el, EL_HIST, history, editor->history);
    set_keys(editor->el);
    return true;
}

static void type_lines(struct editor *editor)
{
    while (type_line(editor))
        ;
    tty_will_change();
    tty_restore();
    close_editing(editor);
}

/* ---- Lines without editing ---- */

/* Hands on the whole lines of what was read, and keeps the rest. */
static void take_plain(struct editor *editor, const char *bytes, size_t len, uint64_t tag)
{
    struct line *line = &editor->line;

    for (size_t i = 0; i < len; i++) {
        const char byte = bytes[i] == '\n' ? 0 : bytes[i];
        line_add(line, &byte, 1);
        if (byte && line->len < PLAIN_LINE_BYTES_MAX) continue;
        if (byte) line_add(line, "", 1);
        if (!line->failed) deliver(editor, line->bytes, tag);
        line_clear(line);
    }
}

static uint64_t wanted_tag(struct editor *editor)
{
    uint64_t tag = 0;

    pthread_mutex_lock(&editor->lock);
    tag = editor->wanted.tag;
    pthread_mutex_unlock(&editor->lock);
    return tag;
}

/* Waits until the process is in the foreground and, when asked to, something can be read. Returns false at the end. */
static bool wait_for_foreground(struct editor *editor, bool to_read)
{
    for (;;) {
        int ours = 0;
        if (tty_take_stop()) tty_stop();
        ours = tty_is_ours();
        if (ours < 0) editor->error = ours;
        if (ours < 0 || is_stopping(editor)) return false;
        if (ours && !to_read) return true;
        if (wait_for_key(editor, ours == 1) && tty_is_ours() == 1) return true;
    }
}

static void read_plain_lines(struct editor *editor)
{
    char bytes[4096];

    while (wait_for_foreground(editor, true)) {
        const uint64_t tag = wanted_tag(editor);
        const ssize_t len = read(STDIN_FILENO, bytes, sizeof(bytes));
        if (len > 0) take_plain(editor, bytes, (size_t)len, tag);
        if (len < 0 && (errno == EAGAIN || errno == EINTR || tty_is_ours() == 0)) continue;
        if (len < 0) editor->error = -errno;
        if (len <= 0) return;
    }
}

/* ---- The thread ---- */

static void *run(void *arg)
{
    struct editor *editor = arg;

    is_typist = true;
    if (wait_for_foreground(editor, false)) {
        take_turn(editor);
        if (open_editing(editor)) {
            type_lines(editor);
            give_turn(editor);
        } else {
            give_turn(editor);
            read_plain_lines(editor);
        }
    }
    tty_unguard();
    if (!is_stopping(editor)) editor->config.on_end(editor->error, editor->config.user);
    line_fini(&editor->line);
    pthread_mutex_lock(&editor->lock);
    editor->ended = true;
    pthread_cond_broadcast(&editor->changed);
    pthread_mutex_unlock(&editor->lock);
    return NULL;
}

/* ---- Its life ---- */

int editor_new(const struct editor_config *config, const char *prompt, uint64_t tag, struct editor **ret)
{
    struct editor *editor = calloc(1, sizeof(*editor));

    if (!editor) return -ENOMEM;
    editor->keys_fd = -1;
    editor->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (editor->wake_fd < 0) {
        const int err = -errno;
        free(editor);
        return err;
    }
    editor->config = *config;
    snprintf(editor->wanted.text, sizeof(editor->wanted.text), "%s", prompt);
    editor->wanted.tag = tag;
    editor->prompt = editor->wanted;
    pthread_mutex_init(&editor->lock, NULL);
    thread_cond_init(&editor->changed);
    *ret = editor;
    return 0;
}

int editor_start(struct editor *editor)
{
    int err = 0;

    tty_guard(editor->wake_fd);
    err = thread_start(&editor->thread, run, editor);
    editor->started = !err;
    if (err) tty_unguard();
    return err;
}

void editor_resize(struct editor *editor)
{
    atomic_store(&editor->resized, true);
    wake(editor);
}

void editor_stop(struct editor *editor)
{
    pthread_mutex_lock(&editor->lock);
    editor->stopping = true;
    pthread_mutex_unlock(&editor->lock);
    wake(editor);
    tty_restore(); /* the thread does so too, unless it is stuck in a write */
}

bool editor_finish(struct editor *editor, int wait_ms)
{
    const struct timespec deadline = thread_deadline(wait_ms);
    bool ended = false;
    int err = 0;

    if (!editor->started) return true;
    editor_stop(editor);
    pthread_mutex_lock(&editor->lock);
    while (!editor->ended && !err)
        err = pthread_cond_timedwait(&editor->changed, &editor->lock, &deadline);
    ended = editor->ended;
    pthread_mutex_unlock(&editor->lock);
    if (!ended) return false;
    pthread_join(editor->thread, NULL);
    editor->started = false;
    return true;
}

void editor_free(struct editor *editor)
{
    if (!editor) return;
    close(editor->wake_fd);
    pthread_cond_destroy(&editor->changed);
    pthread_mutex_destroy(&editor->lock);
    free(editor);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Lines that a person types on the terminal, with editing and history, while other threads print
 * on it. */
#ifndef APP_TERMINAL_EDITOR_H
#define APP_TERMINAL_EDITOR_H

#include <stdbool.h>
#include <stdint.h>

/* A thread, with all signals blocked, that owns the terminal of standard input and output. It reads only while the
 * process is in the foreground: in the background there is no prompt and nothing is read, and back in the foreground
 * the half-typed line is there again. Where there is no job control it always reads, and Ctrl-C, which the terminal
 * makes no signal of there, is made one. On a terminal that understands no escape codes lines are read as they come,
 * and there is no prompt. One in a process. */
struct editor;

struct editor_config {
    /* A line was typed, without its newline. tag is that of the prompt it was typed behind. */
    void (*on_line)(const char *line, uint64_t tag, void *user);
    /* Nothing more will be typed, of which the editor's owner is told once: Ctrl-D on an empty line; with an error the
     * terminal is gone. Not called when it is stopped. */
    void (*on_end)(int error, void *user);
    /* Both run on the editor's thread, and may call editor_set_prompt. */
    void *user;
    /* What was typed stays on the screen behind its prompt once it is entered. Else it is taken off, for whoever wants
     * it to be seen to print it. */
    bool keeps_lines;
};

enum { EDITOR_PROMPT_BYTES_MAX = 64 };

/* Makes one that reads nothing yet. Returns 0 or a negative code. */
int editor_new(const struct editor_config *config, const char *prompt, uint64_t tag, struct editor **ret);

/* Starts the thread. From here on Ctrl-Z, SIGINT, SIGTERM, SIGHUP and SIGQUIT put the terminal back in order before
 * they do what they always do, unless the program has taken them before. Returns 0 or a negative code. */
int editor_start(struct editor *editor);

/* Around what another thread writes to the terminal, whole lines: the prompt and what is being typed are taken off, and
 * drawn again behind it. Between the two the other thread owns the terminal. Begin waits for its turn, and the writing
 * may be blocked (Ctrl-S): not for a thread that must not wait. Before editor_start and after the end both do nothing
 * but keep writers apart. */
void editor_begin_output(struct editor *editor);
void editor_end_output(struct editor *editor);

/* Changes the prompt. A line that has been begun keeps the one it was begun behind: the new one is shown with the next
 * line, or once nothing is typed. From the callbacks it is that of the next line for sure; from elsewhere what was
 * typed ahead goes with the old one. Never waits. Any thread. */
void editor_set_prompt(struct editor *editor, const char *prompt, uint64_t tag);

/* The terminal's size may have changed. Never waits. Any thread. */
void editor_resize(struct editor *editor);

/* Ends typing: takes the prompt off and puts the terminal in order. Never waits. Any thread. */
void editor_stop(struct editor *editor);

/* Stops, and waits at most wait_ms for the thread's end. Returns false when it is stuck in a blocked terminal: then the
 * editor must not be freed, and the process must exit soon. */
bool editor_finish(struct editor *editor, int wait_ms);

/* Frees one that has finished or was never started. NULL is accepted. */
void editor_free(struct editor *editor);

#endif

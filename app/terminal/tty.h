/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Whose the terminal is, and how it is left. There is one in a process, that of standard input. */
#ifndef APP_TERMINAL_TTY_H
#define APP_TERMINAL_TTY_H

#include <stdbool.h>

/* 1 when the process may read the terminal and change it: it is in the foreground, or there is no job control that
 * could put it in the background. 0 when it is in the background, or a negative code when there is no terminal, or no
 * more. */
int tty_is_ours(void);

/* Whether the terminal is that of the process's session: only then do keys send signals, and groups of processes take
 * turns. It is not in a session that was given none, as by setsid(1), some inits of containers, and programs that run
 * others on a pseudo-terminal. */
bool tty_has_job_control(void);

/* Keeps what the terminal's attributes are, for tty_restore. Returns 0 or a negative code. */
int tty_remember(void);

/* To be called before each change of them: from now on they are to be restored. */
void tty_will_change(void);

/* Puts them back, unless that has been done or the terminal is another's now. Never waits, and may be called from a
 * signal handler. Any thread. */
void tty_restore(void);

/* Takes the signals that a terminal sends, as far as they have their default: those that end the process restore the
 * attributes first. Ctrl-Z and the going on after it are noted, and make wake_fd, an eventfd, readable. */
void tty_guard(int wake_fd);
/* Gives them back. */
void tty_unguard(void);

/* Whether Ctrl-Z was typed, or the process was made to go on, since this was last asked. */
bool tty_take_stop(void);
bool tty_take_continue(void);

/* Stops the process, as Ctrl-Z does; returns when it goes on. From a thread with all signals blocked. */
void tty_stop(void);

#endif

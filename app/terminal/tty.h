/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app/terminal/tty.h: whose the terminal is, and how it is left. There is one in a process, that of standard input. */
#ifndef APP_TERMINAL_TTY_H
#define APP_TERMINAL_TTY_H

#include <stdbool.h>

/* 1 when the process is in the foreground of its terminal, 0 when another has it, or a negative code: it is gone, or
 * was never the process's own. */
int tty_is_ours(void);

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

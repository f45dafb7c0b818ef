/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a descriptor can show, if it is a terminal. */
#ifndef APP_TERMINAL_TERMINAL_H
#define APP_TERMINAL_TERMINAL_H

#include <stdbool.h>

/* Its columns now; 80 when it does not say. */
unsigned terminal_columns(int fd);

/* Whether it understands escape codes: a terminal, and TERM is not "dumb". */
bool terminal_is_capable(int fd);

/* Whether colours are welcome there: capable, and no NO_COLOR (no-color.org). */
bool terminal_has_colour(int fd);

/* Whether it shows UTF-8. It does unless the environment names another character set (LC_ALL, LC_CTYPE, LANG): one that
 * names none, as in many containers, says nothing about the terminal outside. */
bool terminal_has_utf8(void);

#endif

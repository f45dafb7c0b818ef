/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Weir --version. */
#ifndef APP_CLI_VERSION_H
#define APP_CLI_VERSION_H

#include <stdio.h>

/* Writes what this program is made of: weir, libevent, libyaml, compiler; a line each. */
void version_print(FILE *file);

#endif

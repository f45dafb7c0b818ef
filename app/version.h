/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app/version.h: weir --version. */
#ifndef APP_VERSION_H
#define APP_VERSION_H

#include <stdio.h>

/* Writes what this program is made of: weir, libevent, libyaml, compiler; a line each. */
void version_print(FILE *file);

#endif

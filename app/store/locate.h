/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Which store is meant. */
#ifndef APP_STORE_LOCATE_H
#define APP_STORE_LOCATE_H

#include "folder.h"

enum { LOCATE_ERROR_BYTES_MAX = 2 * FOLDER_PATH_BYTES_MAX };

/* The absolute path of the store that was named: a path, or the port of a server whose store lies where weir serve
 * keeps it; NULL or auto: the only one that lies there. Returns 0, or a negative code with a sentence: -ENOENT when
 * there is none, and -EEXIST when there are several, which it lists. */
int locate_store(const char *wanted, char ret[FOLDER_PATH_BYTES_MAX], char error[LOCATE_ERROR_BYTES_MAX]);

#endif

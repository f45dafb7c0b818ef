/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Who reads the store, and so keeps its log from beginning anew? */
#ifndef APP_STORE_HOLDER_H
#define APP_STORE_HOLDER_H

#include <stddef.h>
#include <sys/types.h>

enum { HOLDER_TEXT_BYTES_MAX = 128 };

/* A process other than this one that is inside a reading transaction of the store whose index file (-shm) is this one;
 * 0: none is to be seen. */
pid_t holder_find(dev_t device, ino_t inode);

/* "process 123 (sqlite3)", or "a process that cannot be seen from here" for 0. */
void holder_describe(pid_t pid, char *ret, size_t size);

#endif

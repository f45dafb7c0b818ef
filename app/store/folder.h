/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Where a store lies, and that nobody else writes to it. */
#ifndef APP_STORE_FOLDER_H
#define APP_STORE_FOLDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { FOLDER_PATH_BYTES_MAX = 1024, FOLDER_ERROR_BYTES_MAX = 600 };

/* The path of a store that nobody has named: of that name ("8000.db") in $STATE_DIRECTORY (systemd.exec(5); the first
 * of several), else in weir/ below $XDG_STATE_HOME or ~/.local/state (XDG Base Directory Specification). Returns 0, or
 * -ENOENT with a sentence when there is no home to go to, or -ENAMETOOLONG. */
int folder_default(const char *name, char ret[FOLDER_PATH_BYTES_MAX], char error[FOLDER_ERROR_BYTES_MAX]);

/* The absolute path of a store that somebody has named, by the working directory of now. Returns 0, or a negative code
 * with a sentence. */
int folder_resolve(const char *named, char ret[FOLDER_PATH_BYTES_MAX], char error[FOLDER_ERROR_BYTES_MAX]);

/* Makes the folders on the way to path that do not exist, each with mode 0700, and syncs the one that each is in: what
 * is stored in a folder that a power cut takes away is not stored. Only for folder_default's path: in place of a volume
 * that is not mounted there would be a store else. Returns 0, or a negative code with a sentence. */
int folder_make(const char *path, char error[FOLDER_ERROR_BYTES_MAX]);

/* Refuses a path whose folder is not there, or on a network file system, where locks and syncs cannot be relied on,
 * unless allow_network. Returns 0, or a negative code with a sentence. */
int folder_check(const char *path, bool allow_network, char error[FOLDER_ERROR_BYTES_MAX]);

/* Puts the file that a symbolic link leads to in its place, as SQLite does when it opens it: the lock and the log are
 * those of that file. Before all else that is done with the path. Returns 0, or a negative code with a sentence when it
 * leads nowhere. */
int folder_follow(char path[FOLDER_PATH_BYTES_MAX], char error[FOLDER_ERROR_BYTES_MAX]);

/* Whether it is one: there a file's time of change is another machine's, and may be told late. */
bool folder_is_on_network(const char *path);

/* How long the file is whose name has this end behind the store's, as "-wal", or "" for the store; 0: there is none. */
enum { FOLDER_END_BYTES_MAX = 16 };
int64_t folder_bytes_beside(const char *path, const char *end);

/* Whether a path ends as that of a file which lies beside a store: "-wal" and so on. No store may have such a name. */
bool folder_is_beside_a_store(const char *path);

/* Refuses a file that no store may be in, before anything is made beside it: what is not a regular file or not a
 * database of SQLite, and what has several names, since SQLite names the log after the database, and two logs of one
 * database lose what is in them. One that is empty or not there yet is right. Nothing of the process may have the store
 * open, since the file is opened and closed. Returns 0, or a negative code with a sentence. */
int folder_check_file(const char *path, char error[FOLDER_ERROR_BYTES_MAX]);

/* Makes the file of a store that is not there yet, empty and with mode 0600, which SQLite then gives the files beside
 * it too. One that is there is not touched. After folder_lock and before anything opens the store. Returns 0, or a
 * negative code with a sentence. */
int folder_make_file(const char *path, char error[FOLDER_ERROR_BYTES_MAX]);

/* Syncs the folder that path lies in: what was made, renamed or deleted there stays so. */
int folder_sync_parent(const char *path);

/* How large the file system is that path lies on, and how much of it is free for whoever is not root. Returns 0 or a
 * code. */
int folder_space(const char *path, int64_t *ret_bytes, int64_t *ret_free_bytes);

/* Takes the lock of the store at path, which is a file of its own beside it, until folder_unlock or the process's end.
 * Returns its descriptor; -EBUSY, with a sentence that names the process that has it; or another negative code. */
int folder_lock(const char *path, char error[FOLDER_ERROR_BYTES_MAX]);

/* The same for whoever changes nothing: keeps servers away, and nobody else that looks. It makes no lock: -ENOENT when
 * there is none, and then no server has the store. */
int folder_lock_to_look(const char *path, char error[FOLDER_ERROR_BYTES_MAX]);
void folder_unlock(int lock);

/* Gives a file that root has just made beside the store at path to the owner of the store, whose server could not open
 * it else. */
void folder_give_to_owner(int fd, const char *path);

/* Whether somebody has the lock now. It is held for an instant to see, so this is for when there is a reason to ask. */
bool folder_is_locked(const char *path);

#endif

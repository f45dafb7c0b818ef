/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app/journal/damage.h: what of a store's files SQLite would silently do without, found before it opens them; and a
 * copy of them, before anything is given up. */
#ifndef APP_JOURNAL_DAMAGE_H
#define APP_JOURNAL_DAMAGE_H

#include "journal/folder.h"
#include "journal/wal.h"

enum damage_kind {
    DAMAGE_NONE,
    DAMAGE_LOG,     /* behind a part of the log that cannot be read lies what was stored: it would be dropped */
    DAMAGE_DATABASE /* there is a log and no database: a fresh one would be made, and the log deleted */
};

struct damage {
    enum damage_kind kind;
    struct wal_report log;
};

enum { DAMAGE_TEXT_BYTES_MAX = 300, DAMAGE_NAME_BYTES_MAX = FOLDER_PATH_BYTES_MAX + 64 };

/* Looks at the files of the store at path, which nothing may have open: see wal_walk. A store that is not there is
 * whole. Returns 0, or the code of a call that failed. */
int damage_find(const char *path, struct damage *ret);

/* Of a store that is not damaged: takes off the end of its log that a power cut tore, if one did: see wal_trim. */
int damage_trim(const char *path, const struct damage *damage);

/* What is lost, as the rest of a sentence that begins with the store's name. */
void damage_describe(const struct damage *damage, char ret[DAMAGE_TEXT_BYTES_MAX]);

/* Copies the database and its log, each that is there, to names beside them that say when; ret_name is that of the
 * database, and the log's ends in -wal. When it returns 0 the copies are on disk; else there are none, and nothing was
 * changed. */
int damage_set_aside(const char *path, char ret_name[DAMAGE_NAME_BYTES_MAX]);

#endif

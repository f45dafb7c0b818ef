/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What of a store's files SQLite would silently do without or take for whole, found before it
 * opens them; and a copy of them, before anything is given up. */
#ifndef APP_STORE_DAMAGE_H
#define APP_STORE_DAMAGE_H

#include <stdbool.h>

#include "folder.h"
#include "wal.h"

enum damage_kind {
    DAMAGE_NONE,
    DAMAGE_LOG,      /* behind a part of the log that cannot be read lies what was stored: it would be dropped */
    DAMAGE_DATABASE, /* there is a log and no database: a fresh one would be made, and the log deleted */
    DAMAGE_NO_LOG,   /* the database was copied or restored without its log, or that was deleted */
    DAMAGE_CUT_LOG,  /* a server had stored more in the log than there is, and has left word of it */
    DAMAGE_OTHER,    /* the log is of another state of the database: one of the two was replaced */
    DAMAGE_CUT       /* pages at the database's end are gone, and the log does not have them */
};

struct damage {
    enum damage_kind kind;
    struct wal_report log;
    uint32_t pages, pages_left; /* CUT: of the database */
};

enum { DAMAGE_TEXT_BYTES_MAX = 300, DAMAGE_NAME_BYTES_MAX = FOLDER_PATH_BYTES_MAX + 64 };

/* Looks at the files of the store at path, which nothing may have open: see wal_walk. A store that is not there is
 * whole. Returns 0, or the code of a call that failed. */
int damage_find(const char *path, struct damage *ret);

/* Of a store that is not damaged: takes off the end of its log that a power cut tore, if one did: see wal_trim. */
int damage_trim(const char *path, const struct damage *damage);

/* What to say when that has failed, with the reason. */
#define DAMAGE_TRIM_FAILED "the end of its log, which a power cut or a kill has torn, cannot be taken off: %s"

/* Whether a server can go on without what is lost, once somebody has accepted that. */
bool damage_can_be_accepted(const struct damage *damage);

/* What is lost, as the rest of a sentence that begins with the store's name. */
void damage_describe(const struct damage *damage, char ret[DAMAGE_TEXT_BYTES_MAX]);

/* Leaves word in the database that its log has been cut: a log that ends early looks like one that a power cut tore.
 * What moves the whole log to the database takes it off. Nothing may have the database open. Returns 0 or a code. */
int damage_mark_cut(const char *path);

/* Takes the mark off a database that it has a log (schema.h), once nothing of that log is wanted any more. Returns 0 or
 * a code. */
int damage_unmark(const char *path);

/* Copies the database and its log, each that is there, to names beside them that say when; ret_name is that of the
 * database, and the log's ends in -wal. When it returns 0 the copies are on disk; else there are none, and nothing was
 * changed. */
int damage_set_aside(const char *path, char ret_name[DAMAGE_NAME_BYTES_MAX]);

#endif

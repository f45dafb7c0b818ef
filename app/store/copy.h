/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A store copied whole, from under a running server or not. The server is not held up, and its log
 * is held only while a page is read. All functions are for one thread. */
#ifndef APP_STORE_COPY_H
#define APP_STORE_COPY_H

#include <stdbool.h>
#include <stdint.h>

#include "reader.h"

struct copy;

enum { COPY_ERROR_BYTES_MAX = READER_ERROR_BYTES_MAX };

struct copy_counts {
    uint64_t until;         /* the newest message as of the beginning; 0: there was none */
    uint64_t first, last;   /* message of the copy; 0: none yet */
    int64_t last_time_us;   /* of the last */
    uint64_t messages;      /* in the copy */
    uint64_t damaged;       /* of these: copied as they are, and their checksums with them */
    uint64_t first_damaged; /* id */
    uint64_t connections;   /* in the copy */
    int64_t bytes;          /* that the original takes up; the copy will take up no more */
};

/* Begins a copy in the empty file at path, which is nobody else's: as of this instant, and with all that is not a
 * message. The reader must outlive the copy. Returns 0, and *ret is the caller's, for copy_free; or a negative code
 * with a sentence, which does not name the copy: -ENOSPC when there is no room for it, -EINTR when reader_stop_when's
 * function said so, or another. The file is the caller's to remove. */
int copy_begin(struct reader *reader, const char *path, struct copy **ret, char error[COPY_ERROR_BYTES_MAX]);

/* Copies a page of messages, in one transaction, and syncs it. Returns 1 when there is more to copy, 0 when all is
 * there, or a negative code, after which the copy is only to be freed: -ESTALE when all that was there at the beginning
 * has been deleted meanwhile, else as of copy_begin. */
int copy_go_on(struct copy *copy);

/* After the end: gives the copy an identity of its own. Returns 0 or a negative code. */
int copy_give_id(struct copy *copy);

const struct copy_counts *copy_counts(const struct copy *copy);

/* The sentence of the last call that failed. */
const char *copy_text(const struct copy *copy);

/* Closes the file; it has no log. NULL is accepted. */
void copy_free(struct copy *copy);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The first bytes of a database (https://www.sqlite.org/fileformat2.html#the_database_header), as
 * they are in the file itself, whatever its log says. Nothing of the process may have the database open here: the file
 * is opened and closed. */
#ifndef APP_STORE_HEADER_H
#define APP_STORE_HEADER_H

#include <stdbool.h>
#include <stdint.h>

/* The stretch with the user version and the application id; what the journal makes of them is in schema.h. */
enum { HEADER_STAMP_OFFSET = 60, HEADER_STAMP_BYTES = 12 };

uint32_t header_user_version(const unsigned char stamp[HEADER_STAMP_BYTES]);
void header_set_stamp(unsigned char stamp[HEADER_STAMP_BYTES], uint32_t user_version, uint32_t application_id);

struct header {
    int64_t file_bytes; /* 0: it is empty, or not there */
    bool is_there;      /* it begins as SQLite's databases do; what follows counts for such a file only */
    uint32_t page_bytes;
    uint32_t pages; /* that the file should have without its log; 0: not known */
    uint32_t user_version;
    uint32_t application_id;
};

/* Returns 0 or a negative code; a file that is not there is an empty one. */
int header_read(const char *path, struct header *ret);

/* Writes another user version into a file, whose application id stays, and syncs it. Returns 0 or a negative code. */
int header_write_user_version(const char *path, uint32_t user_version);

#endif

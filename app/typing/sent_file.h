/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A file that /file sends. */
#ifndef APP_TYPING_SENT_FILE_H
#define APP_TYPING_SENT_FILE_H

#include <stddef.h>
#include <sys/types.h>

struct sent_file {
    int fd;
    size_t message_bytes_max; /* 0: it is sent as bytes, a piece after the other */
    size_t len;               /* of the piece in hand */
    size_t room;
    unsigned char bytes[];
};

/* Opens an ordinary file; with message_bytes_max the whole of it is one message, of so many bytes at most. Returns 0,
 * or a negative code, and why in *ret_reason. */
int sent_file_open(const char *name, size_t message_bytes_max, struct sent_file **ret, const char **ret_reason);

/* Reads the next piece. Returns its length, 0 at the end, or a negative code: -EMSGSIZE when it is longer than one
 * message. */
ssize_t sent_file_read(struct sent_file *file);

/* Lets go of the file; the piece in hand stays. */
void sent_file_close(struct sent_file *file);

/* NULL is accepted. */
void sent_file_free(struct sent_file *file);

#endif

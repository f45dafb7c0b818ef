/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What has to go. The rules only: numbers in, a verdict out; nothing here knows a file.
 *
 * What is deleted is the oldest, by the order in which it was stored. The size counts the database's pages with
 * something in them and the log, for which its whole bound is set aside. The disk counts what anybody has left free;
 * but others can fill a disk faster than it can be emptied for them, and would then have taken the whole history for
 * nothing. So for their sake, and for a log that somebody holds on to, no more than half of what may be kept is given
 * up: at that floor the store goes on until the disk is full, and then waits, as one does that keeps everything. */
#ifndef APP_JOURNAL_RETENTION_H
#define APP_JOURNAL_RETENTION_H

#include <stdbool.h>
#include <stdint.h>

/* As people ask for it: 0 is the default and WEIR_OFF no bound. */
struct retention_wish {
    int64_t age_ms_max;
    int64_t bytes_max;
    int64_t free_percent;
};

/* What follows from it on a file system of some size. */
struct retention_limits {
    int64_t age_us_max;            /* 0: none */
    int64_t bytes_max;             /* database and log; 0: none */
    int64_t free_percent;          /* of the file system; 0: none */
    int64_t floor_bytes;           /* of the database, that are left in any case but age */
    int64_t slack_bytes;           /* that go beyond what has to, so that it is not always time to delete */
    int64_t log_bytes_max;         /* to be moved to the database at this length */
    int64_t log_room_bytes;        /* set aside for it: one more transaction and its deletion may come before that */
    int64_t transaction_bytes_max; /* so that this is enough */
    int64_t reserve_bytes;         /* room for moving a whole log, when the disk is full */
};

/* How things stand. */
struct retention_numbers {
    int64_t used_bytes;           /* of the database: pages with something in them */
    int64_t file_bytes;           /* of the database: all pages */
    int64_t file_bytes_on_disk;   /* the same, as of the last checkpoint */
    int64_t file_bytes_allocated; /* of the file system's, for it: a file may have holes */
    int64_t log_bytes;
    bool can_shrink; /* free pages can be given back to the file system */
    bool lacks_reserve;
    int64_t disk_bytes;
    int64_t disk_free_bytes;
};

enum retention_reason { RETENTION_AGE, RETENTION_SIZE, RETENTION_DISK, RETENTION_REASON_COUNT };

struct retention_verdict {
    int64_t delete_bytes;         /* of the database have to be freed */
    enum retention_reason reason; /* SIZE or DISK; age is told by the messages */
    int64_t give_back_bytes;      /* of free pages have to be given back */
    bool is_at_floor;             /* the disk would need more than may be deleted for it */
    bool has_reserve_room;        /* a reserve can be made */
    bool is_room_ample;           /* with all of the log moved to the database, the disk will not be full soon */
};

void retention_limits_init(struct retention_limits *ret, const struct retention_wish *wish, int64_t disk_bytes);

/* is_deleting: the verdict before this one said to, and it goes on until the slack is free too. */
void retention_judge(const struct retention_limits *limits, const struct retention_numbers *numbers, bool is_deleting,
                     struct retention_verdict *ret);

/* How many bytes of messages may go in the next step: more than have come since the last one, so that a flood cannot
 * outrun it, and few enough not to be noticed by those who wait. */
int64_t retention_step_bytes(int64_t stored_bytes, bool is_waited_for);

#endif

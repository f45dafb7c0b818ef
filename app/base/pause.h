/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Who may pause a client (weir_conn_pause). Each part of the program that does has its number here, and takes back only
 * its own. */
#ifndef APP_BASE_PAUSE_H
#define APP_BASE_PAUSE_H

enum pause_owner {
    PAUSE_JOURNAL, /* the client has more than its share of the queue to disk */
    PAUSE_FAULT    /* weir bench: a client that reads nothing, on purpose */
};

#endif

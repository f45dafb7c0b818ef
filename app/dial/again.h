/* SPDX-License-Identifier: BSD-3-Clause
 *
 * How a server is dialled once more. */
#ifndef APP_DIAL_AGAIN_H
#define APP_DIAL_AGAIN_H

#include <weir/weir.h>

enum { AGAIN_URL_BYTES_MAX = 400 };

/* Replaces what was dialled by the address that has answered, so that a name is resolved once and all connections are
 * to the same machine. A unix socket, and an address whose scope would be lost, stay as they are. */
void again_url(char url[AGAIN_URL_BYTES_MAX], const struct weir_conn *conn);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The address behind a name, for those who dial it often. Must never resolve anything. */
#include "again.h"

#include <stdio.h>
#include <string.h>

void again_url(char url[AGAIN_URL_BYTES_MAX], const struct weir_conn *conn)
{
    char peer[WEIR_ADDRESS_BYTES_MAX];
    struct weir_url parsed;

    if (weir_url_parse(url, &parsed, NULL, 0) || parsed.kind != WEIR_URL_TCP) return;
    weir_conn_peer(conn, peer);
    if (strncmp(peer, "[fe80:", 6) == 0) return;
    snprintf(url, AGAIN_URL_BYTES_MAX, "tcp://%s", peer);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app/client/connect.h: weir connect. */
#ifndef APP_CLIENT_CONNECT_H
#define APP_CLIENT_CONNECT_H

#include "options/options.h"
#include "status.h"

/* Connects, sends what comes from standard input, shows what is answered, until the server ends. */
enum status connect_run(const struct options *options);

#endif

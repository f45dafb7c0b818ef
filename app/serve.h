/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app/serve.h: weir serve. */
#ifndef APP_SERVE_H
#define APP_SERVE_H

#include "options/options.h"
#include "status.h"

/* Serves until it is told to stop. */
enum status serve(const struct options *options);

#endif

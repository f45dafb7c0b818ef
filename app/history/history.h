/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app/history/history.h: `weir log`: what is in a store, and what comes. */
#ifndef APP_HISTORY_HISTORY_H
#define APP_HISTORY_HISTORY_H

#include "options/options.h"
#include "status.h"

enum status history_run(const struct options *options);

#endif

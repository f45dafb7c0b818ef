/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the start says about where clients can connect. */
#ifndef APP_SERVE_ANNOUNCE_H
#define APP_SERVE_ANNOUNCE_H

#include <stdbool.h>
#include <stddef.h>

#include <weir/weir.h>

#include "text/line.h"

/* Adds a line for each bound address of the listener: "listening on tcp://127.0.0.1:8000". */
void announce_addresses(struct line *line, const struct weir_listener *listener);

/* Adds what helps a person at a terminal: how to let devices in when only programs on this machine can connect, or the
 * addresses that devices connect to. Nothing when neither is the case. */
void announce_hints(struct line *line, struct weir_listener *const *listeners, size_t count);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Points in time, as people write them. */
#ifndef APP_LOG_WHEN_H
#define APP_LOG_WHEN_H

#include <stdint.h>

/* Reads how long ago (`10m`, `2h`; a bare number is seconds) or a date, with a time or without: `2026-11-23`,
 * `2026-11-23T10:00`, `2026-11-23 10:00:07.5`. It is local time, or with a Z at its end UTC; a date alone is its
 * beginning. *ret_us: since 1970, UTC. Returns 0; -EINVAL when it is not written that way; or -ERANGE. */
int when_parse(const char *text, int64_t now_us, int64_t *ret_us);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * How sizes, times and the like are written on the command line. */
#ifndef APP_CLI_VALUES_H
#define APP_CLI_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Each reads the whole of text and writes *ret only on success. Returns 0, -EINVAL when text is not written that way,
 * or -ERANGE when the number does not fit. */

/* A number of bytes: `4096`, `64KiB`, `1MiB`, `2GiB`, `1TiB`. */
int value_parse_size(const char *text, int64_t *ret_bytes);

/* A time: `500ms`, `10s`, `5m`, `2h`, `30d`; a bare number is seconds. */
int value_parse_time(const char *text, int64_t *ret_ms);

/* The same, for what may be short: `500us` and `800ns` too. */
int value_parse_short_time(const char *text, int64_t *ret_ns);

/* A share: `5%`. */
int value_parse_percent(const char *text, int64_t *ret);

/* A number without a unit. */
int value_parse_count(const char *text, int64_t *ret);

/* File permissions, octal: `660`, `0600`. */
int value_parse_mode(const char *text, int64_t *ret);

struct value_keepalive {
    int64_t idle_ms;
    int64_t interval_ms;
    int64_t count;
};

/* TCP keepalive: `60s,10s,5` (idle time, interval, count). */
int value_parse_keepalive(const char *text, struct value_keepalive *ret);

/* The index of `text` in choices, "close|skip|truncate": 0 for the first. -EINVAL when it is none of them. */
int value_parse_choice(const char *choices, const char *text, int *ret);

/* How many letters to insert, delete, change or swap with their neighbour to make one name of the other. */
size_t value_distance(const char *one, const char *other);

/* Whether a name is near enough to what was typed to be worth suggesting. */
bool value_is_near(const char *typed, size_t distance);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Reads the values that people write: sizes, times, counts, permissions, and finds the name they
 * meant. Pure functions of their text; must never print, and never accept a text they read only in part. */
#include "values.h"

#include <errno.h>
#include <string.h>

struct unit {
    const char *name;
    int64_t factor;
};

static const struct unit size_units[] = {
    { "", 1 }, { "B", 1 }, { "KiB", 1LL << 10 }, { "MiB", 1LL << 20 }, { "GiB", 1LL << 30 }, { "TiB", 1LL << 40 },
};

static const struct unit time_units[] = {
    { "", 1000 }, { "ms", 1 }, { "s", 1000 }, { "m", 60 * 1000 }, { "h", 60 * 60 * 1000 }, { "d", 24 * 60 * 60 * 1000 },
};

static const struct unit short_time_units[] = {
    { "", 1000000000LL },
    { "ns", 1 },
    { "us", 1000 },
    { "ms", 1000000 },
    { "s", 1000000000LL },
    { "m", 60 * 1000000000LL },
    { "h", 3600 * 1000000000LL },
    { "d", 24 * 3600 * 1000000000LL },
};

/* Reads the digits at the start of *text in the given base and moves *text behind them. */
static int take_number(const char **text, int base, int64_t *ret)
{
    const char *at = *text;
    int64_t number = 0;

    if (*at < '0' || *at >= '0' + base) return -EINVAL;
    for (; *at >= '0' && *at < '0' + base; at++)
        if (__builtin_mul_overflow(number, base, &number) || __builtin_add_overflow(number, *at - '0', &number))
            return -ERANGE;
    *text = at;
    *ret = number;
    return 0;
}

static int parse_with_unit(const char *text, const struct unit *units, size_t count, int64_t *ret)
{
    int64_t number = 0;
    int err = take_number(&text, 10, &number);

    if (err) return err;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(text, units[i].name) != 0) continue;
        return __builtin_mul_overflow(number, units[i].factor, ret) ? -ERANGE : 0;
    }
    return -EINVAL;
}

int value_parse_size(const char *text, int64_t *ret_bytes)
{
    int64_t bytes = 0;
    const int err = parse_with_unit(text, size_units, sizeof(size_units) / sizeof(size_units[0]), &bytes);

    if (!err) *ret_bytes = bytes;
    return err;
}

int value_parse_time(const char *text, int64_t *ret_ms)
{
    int64_t ms = 0;
    const int err = parse_with_unit(text, time_units, sizeof(time_units) / sizeof(time_units[0]), &ms);

    if (!err) *ret_ms = ms;
    return err;
}

int value_parse_short_time(const char *text, int64_t *ret_ns)
{
    const size_t count = sizeof(short_time_units) / sizeof(short_time_units[0]);
    int64_t ns = 0;
    const int err = parse_with_unit(text, short_time_units, count, &ns);

    if (!err) *ret_ns = ns;
    return err;
}

int value_parse_percent(const char *text, int64_t *ret)
{
    static const struct unit units[] = { { "%", 1 } };
    int64_t percent = 0;
    const int err = parse_with_unit(text, units, 1, &percent);

    if (!err) *ret = percent;
    return err;
}

int value_parse_count(const char *text, int64_t *ret)
{
    int64_t number = 0;
    const int err = take_number(&text, 10, &number);

    if (err) return err;
    if (*text) return -EINVAL;
    *ret = number;
    return 0;
}

int value_parse_mode(const char *text, int64_t *ret)
{
    int64_t number = 0;
    const int err = take_number(&text, 8, &number);

    if (err) return err;
    if (*text) return -EINVAL;
    *ret = number;
    return 0;
}

/* Copies the field up to the next comma, or to the end, and moves *text behind it. */
static int take_field(const char **text, char *ret, size_t room)
{
    const size_t len = strcspn(*text, ",");

    if (len >= room) return -EINVAL;
    memcpy(ret, *text, len);
    ret[len] = 0;
    *text += len;
    if (**text == ',') (*text)++;
    return 0;
}

int value_parse_keepalive(const char *text, struct value_keepalive *ret)
{
    struct value_keepalive parsed = { 0 };
    char field[3][32];
    int err = 0;

    /* Two commas, so that `60s,10s,5,` and `60s,10s` are not taken for the whole. */
    size_t commas = 0;
    for (const char *at = text; *at; at++)
        commas += *at == ',';
    if (commas != 2) return -EINVAL;

    for (size_t i = 0; i < 3 && !err; i++)
        err = take_field(&text, field[i], sizeof(field[i]));
    if (!err) err = value_parse_time(field[0], &parsed.idle_ms);
    if (!err) err = value_parse_time(field[1], &parsed.interval_ms);
    if (!err) err = value_parse_count(field[2], &parsed.count);
    if (err) return err;
    *ret = parsed;
    return 0;
}

int value_parse_choice(const char *choices, const char *text, int *ret)
{
    const size_t len = strlen(text);

    for (int index = 0;; index++) {
        const size_t choice_len = strcspn(choices, "|");
        if (len == choice_len && memcmp(choices, text, len) == 0) {
            *ret = index;
            return 0;
        }
        if (!choices[choice_len]) return -EINVAL;
        choices += choice_len + 1;
    }
}

/* Names longer than this are compared by their beginning: no name of ours is near as long. */
enum { NAME_LEN_MAX = 40 };

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t value_distance(const char *one, const char *other)
{
    size_t row[3][NAME_LEN_MAX + 1]; /* of the row being filled, the one before, and the one before that */
    size_t *now = row[0];
    size_t *before = row[1];
    size_t *earlier = row[2];
    const size_t one_len = strnlen(one, NAME_LEN_MAX);
    const size_t other_len = strnlen(other, NAME_LEN_MAX);

    memset(row, 0, sizeof(row));
    for (size_t j = 0; j <= other_len; j++)
        now[j] = j;
    for (size_t i = 1; i <= one_len; i++) {
        size_t *spare = earlier;
        earlier = before;
        before = now;
        now = spare;
        now[0] = i;
        for (size_t j = 1; j <= other_len; j++) {
            now[j] = least(least(before[j], now[j - 1]) + 1, before[j - 1] + (one[i - 1] != other[j - 1]));
            if (i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1])
                now[j] = least(now[j], earlier[j - 2] + 1);
        }
    }
    return now[other_len];
}

bool value_is_near(const char *typed, size_t distance)
{
    const size_t len = strlen(typed);

    return len > 1 && distance <= (len + 1) / 2;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Reads points in time. A pure function of its text, the time it is now and the time zone; must
 * never take what it read only in part. */
#include "when.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "cli/values.h"

enum { SECOND_US = 1000000 };

/* Takes exactly so many digits. */
static bool take_digits(const char **at, int count, int *ret)
{
    int number = 0;

    for (int i = 0; i < count; i++) {
        if ((*at)[i] < '0' || (*at)[i] > '9') return false;
        number = 10 * number + (*at)[i] - '0';
    }
    *at += count;
    *ret = number;
    return true;
}

/* Takes a mark and two digits. */
static bool take_part(const char **at, char mark, int *ret)
{
    const char *digits = *at + 1;

    if (**at != mark || !take_digits(&digits, 2, ret)) return false;
    *at = digits;
    return true;
}

/* What may stand behind the seconds: a point and up to six digits. */
static bool take_fraction(const char **at, int64_t *ret_us)
{
    int64_t us = 0;
    int64_t unit = SECOND_US;

    if (**at != '.') return true;
    for (++*at; **at >= '0' && **at <= '9' && unit > 1; ++*at) {
        unit /= 10;
        us += unit * (**at - '0');
    }
    *ret_us = us;
    return unit < SECOND_US;
}

static bool take_date(const char **at, struct tm *ret)
{
    if (!take_digits(at, 4, &ret->tm_year) || !take_part(at, '-', &ret->tm_mon) || !take_part(at, '-', &ret->tm_mday))
        return false;
    ret->tm_year -= 1900;
    ret->tm_mon -= 1;
    return true;
}

static bool take_time(const char **at, struct tm *ret, int64_t *ret_us)
{
    if ((**at != 'T' && **at != ' ') || !take_part(at, **at, &ret->tm_hour)) return false;
    if (!take_part(at, ':', &ret->tm_min)) return false;
    return **at != ':' || (take_part(at, ':', &ret->tm_sec) && take_fraction(at, ret_us));
}

/* Whether there is such a day and such a time of it: timegm makes another one of the 31st of April. */
static bool is_right(const struct tm *day)
{
    struct tm same = *day;

    timegm(&same);
    return same.tm_mon == day->tm_mon && same.tm_mday == day->tm_mday && same.tm_hour == day->tm_hour &&
           same.tm_min == day->tm_min && same.tm_sec == day->tm_sec;
}

static int parse_date(const char *text, int64_t *ret_us)
{
    struct tm day = { .tm_isdst = -1 };
    int64_t us = 0;
    bool is_utc = false;

    if (!take_date(&text, &day)) return -EINVAL;
    if (*text && *text != 'Z' && !take_time(&text, &day, &us)) return -EINVAL;
    is_utc = *text == 'Z';
    if (text[is_utc] || !is_right(&day)) return -EINVAL;
    *ret_us = (int64_t)(is_utc ? timegm(&day) : mktime(&day)) * SECOND_US + us;
    return 0;
}

int when_parse(const char *text, int64_t now_us, int64_t *ret_us)
{
    int64_t ago_ms = 0, ago_us = 0;
    const int err = value_parse_time(text, &ago_ms);

    if (err == -EINVAL) return parse_date(text, ret_us);
    if (err || __builtin_mul_overflow(ago_ms, 1000, &ago_us)) return -ERANGE;
    *ret_us = now_us - ago_us;
    return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * tests/app/scratch.h: a temporary folder for the tests of one program, and names in it. */
#ifndef TESTS_APP_SCRATCH_H
#define TESTS_APP_SCRATCH_H

#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum { SCRATCH_BYTES_MAX = 256 };

static char scratch[SCRATCH_BYTES_MAX / 2]; /* the folder */

/* For cmocka, before each test or before all of them. */
static inline int scratch_make(void **state)
{
    const char *parent = getenv("TMPDIR");

    (void)state;
    snprintf(scratch, sizeof(scratch), "%s/weir-test-XXXXXX", parent && *parent ? parent : "/tmp");
    return mkdtemp(scratch) ? 0 : -1;
}

static inline int scratch_remove_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status;
    (void)type;
    (void)where;
    return remove(path);
}

static inline int scratch_remove(void **state)
{
    (void)state;
    return nftw(scratch, scratch_remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* The path of that name in the folder. */
static inline const char *scratch_path(const char *name, char ret[SCRATCH_BYTES_MAX])
{
    snprintf(ret, SCRATCH_BYTES_MAX, "%s/%s", scratch, name);
    return ret;
}

/* No file grows beyond that any more: writing fails with EFBIG (setrlimit(2)). Returns the limit before. */
static inline rlim_t scratch_limit_files(rlim_t bytes)
{
    struct rlimit limit;
    rlim_t before = RLIM_INFINITY;

    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    before = limit.rlim_cur;
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    return before;
}

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The reserve: really takes up room, and gives it up. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "scratch.h"
#include "store/reserve.h"

enum { BYTES = 256 * 1024 };

static char path[SCRATCH_BYTES_MAX], name[SCRATCH_BYTES_MAX];

static int setup(void **state)
{
    if (scratch_make(state)) return -1;
    scratch_path("r.db", path);
    scratch_path("r.db.reserve", name);
    return 0;
}

static void expect_reserve(int64_t bytes)
{
    struct stat status;

    assert_int_equal(stat(name, &status), 0);
    assert_int_equal(status.st_size, bytes);
    assert_true(status.st_blocks * 512 >= bytes);
    assert_int_equal(status.st_mode & 07777, 0600);
}

static void it_takes_up_its_room_and_gives_it_up_once(void **state)
{
    (void)state;
    assert_false(reserve_give_up(path));
    assert_int_equal(reserve_make(path, BYTES), 0);
    expect_reserve(BYTES);
    assert_true(reserve_give_up(path));
    assert_int_equal(access(name, F_OK), -1);
    assert_false(reserve_give_up(path));
}

static void one_of_another_size_is_made_to_fit(void **state)
{
    (void)state;
    assert_int_equal(reserve_make(path, 4 * BYTES), 0);
    assert_int_equal(reserve_make(path, BYTES), 0);
    expect_reserve(BYTES);
    assert_int_equal(truncate(name, 0), 0);
    assert_int_equal(truncate(name, BYTES), 0); /* as long, and takes up nothing */
    assert_int_equal(reserve_make(path, BYTES), 0);
    expect_reserve(BYTES);
}

static void without_room_there_is_none_and_not_half_of_one(void **state)
{
    rlim_t before = 0;

    (void)state;
    before = scratch_limit_files(BYTES / 2);
    assert_int_equal(reserve_make(path, BYTES), -EFBIG);
    scratch_limit_files(before);
    assert_int_equal(access(name, F_OK), -1);
}

static void a_link_is_not_followed(void **state)
{
    char target[SCRATCH_BYTES_MAX];

    (void)state;
    assert_int_equal(symlink(scratch_path("target", target), name), 0);
    assert_int_equal(reserve_make(path, BYTES), -ELOOP);
    assert_int_equal(access(target, F_OK), -1);
}

#define RESERVE_TEST(test) cmocka_unit_test_setup_teardown(test, setup, scratch_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RESERVE_TEST(it_takes_up_its_room_and_gives_it_up_once),
        RESERVE_TEST(one_of_another_size_is_made_to_fit),
        RESERVE_TEST(without_room_there_is_none_and_not_half_of_one),
        RESERVE_TEST(a_link_is_not_followed),
    };
    return cmocka_run_group_tests_name("reserve", tests, NULL, NULL);
}

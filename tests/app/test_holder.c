/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The process that reads a store: found also while other locks of the machine come and go. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "scratch.h"
#include "store/holder.h"

/* A page of /proc/locks has some 70 lines: with so many of ours, the second page begins among them. */
enum { LOCKS_MIN = 20, LOCKS_MAX = 80, LOOKS = 200, READ_BYTE = 124 };

static char index_path[SCRATCH_BYTES_MAX], other_path[SCRATCH_BYTES_MAX];

static int setup(void **state)
{
    if (scratch_make(state)) return -1;
    scratch_path("r.db-shm", index_path);
    scratch_path("other", other_path);
    return 0;
}

static void lock(int fd, short type, off_t byte)
{
    struct flock asked = { .l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };

    if (fcntl(fd, F_SETLK, &asked)) _exit(1);
}

static int open_file(const char *path)
{
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0) _exit(1);
    return fd;
}

/* Returns the child's id once run has said that it is ready. */
static pid_t start(void (*run)(int count, int ready), int count)
{
    int ends[2];
    char byte;
    pid_t child;

    assert_int_equal(pipe(ends), 0);
    child = fork();
    assert_true(child >= 0);
    if (!child) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        run(count, ends[1]);
        _exit(0);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &byte, 1), 1);
    close(ends[0]);
    return child;
}

static void end(pid_t child)
{
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

static void read_store(int count, int ready)
{
    (void)count;
    lock(open_file(index_path), F_RDLCK, READ_BYTE);
    if (write(ready, "", 1) == 1) pause();
}

static void take_and_release(int count, int ready)
{
    const int fd = open_file(other_path);

    for (int i = 0; i < count; i++)
        lock(fd, F_RDLCK, 2 * i);
    if (write(ready, "", 1) != 1) return;
    for (int i = 0;; i = (i + 7) % count) {
        lock(fd, F_UNLCK, 2 * i);
        lock(fd, F_RDLCK, 2 * i);
    }
}

static void it_is_found_while_others_take_and_release_locks(void **state)
{
    const pid_t reader = start(read_store, 0);
    struct stat status;

    (void)state;
    assert_int_equal(stat(index_path, &status), 0);
    for (int count = LOCKS_MIN; count <= LOCKS_MAX; count += 4) {
        const pid_t other = start(take_and_release, count);

        for (int i = 0; i < LOOKS; i++)
            assert_int_equal(holder_find(status.st_dev, status.st_ino), reader);
        end(other);
    }
    end(reader);
    assert_int_equal(holder_find(status.st_dev, status.st_ino), 0);
}

static void it_is_described(void **state)
{
    char text[HOLDER_TEXT_BYTES_MAX], wanted[HOLDER_TEXT_BYTES_MAX];

    (void)state;
    holder_describe(0, text, sizeof(text));
    assert_string_equal(text, "a process that cannot be seen from here");
    prctl(PR_SET_NAME, "holder");
    snprintf(wanted, sizeof(wanted), "process %d (holder)", (int)getpid());
    holder_describe(getpid(), text, sizeof(text));
    assert_string_equal(text, wanted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_is_found_while_others_take_and_release_locks, setup, scratch_remove),
        cmocka_unit_test(it_is_described),
    };

    return cmocka_run_group_tests_name("holder", tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Where a store lies, with which modes, and that one process at a time has it. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "scratch.h"
#include "store/folder.h"

static void set_variables(const char *state_directory, const char *xdg_state_home, const char *home)
{
    const struct {
        const char *name, *value;
    } variables[] = { { "STATE_DIRECTORY", state_directory }, { "XDG_STATE_HOME", xdg_state_home }, { "HOME", home } };

    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
        if (variables[i].value)
            assert_int_equal(setenv(variables[i].name, variables[i].value, 1), 0);
        else
            assert_int_equal(unsetenv(variables[i].name), 0);
}

static void expect_default(const char *expected)
{
    char path[FOLDER_PATH_BYTES_MAX], error[FOLDER_ERROR_BYTES_MAX] = "";

    if (folder_default("8000.db", path, error)) fail_msg("%s", error);
    assert_string_equal(path, expected);
}

static void each_variable_has_its_turn(void **state)
{
    (void)state;
    set_variables("/var/lib/weir", "/x", "/home/u");
    expect_default("/var/lib/weir/8000.db");
    set_variables("/var/lib/weir:/var/lib/other", NULL, NULL);
    expect_default("/var/lib/weir/8000.db");
    set_variables(NULL, "/x", "/home/u");
    expect_default("/x/weir/8000.db");
    set_variables(NULL, NULL, "/home/u");
    expect_default("/home/u/.local/state/weir/8000.db");
}

/* "All paths set in these environment variables must be absolute. [...] a relative path [is] invalid and [to be]
 * ignored" (XDG Base Directory Specification). */
static void what_is_empty_or_relative_does_not_count(void **state)
{
    (void)state;
    set_variables("", "", "/home/u");
    expect_default("/home/u/.local/state/weir/8000.db");
    set_variables("lib", "state", "/home/u");
    expect_default("/home/u/.local/state/weir/8000.db");
}

static void without_a_home_there_is_a_sentence(void **state)
{
    char path[FOLDER_PATH_BYTES_MAX], error[FOLDER_ERROR_BYTES_MAX] = "";

    (void)state;
    set_variables(NULL, NULL, NULL);
    assert_int_equal(folder_default("8000.db", path, error), -ENOENT);
    assert_non_null(strstr(error, "HOME is not set"));
    set_variables(NULL, NULL, "");
    assert_int_equal(folder_default("8000.db", path, error), -ENOENT);
    assert_non_null(strstr(error, "HOME is empty"));
    set_variables(NULL, NULL, "some/home");
    assert_int_equal(folder_default("8000.db", path, error), -ENOENT);
    assert_non_null(strstr(error, "HOME is some/home, which is no absolute path"));
}

static void a_path_too_long_is_refused(void **state)
{
    char text[FOLDER_PATH_BYTES_MAX + 1], path[FOLDER_PATH_BYTES_MAX], error[FOLDER_ERROR_BYTES_MAX] = "";

    (void)state;
    memset(text, 'a', sizeof(text) - 1);
    text[0] = '/';
    text[sizeof(text) - 1] = '\0';
    set_variables(text, NULL, NULL);
    assert_int_equal(folder_default("8000.db", path, error), -ENAMETOOLONG);
    assert_non_null(strstr(error, "too long"));
    for (size_t i = 0; i < 2; i++) { /* an absolute one, and one that becomes too long */
        error[0] = '\0';
        assert_int_equal(folder_resolve(text + 2 * i, path, error), -ENAMETOOLONG);
        assert_non_null(strstr(error, "too long"));
    }
}

static void a_named_path_is_absolute(void **state)
{
    static const struct {
        const char *named, *expected;
    } cases[] = {
        { "s.db", "/s.db" },       { "./s.db", "/s.db" }, { ".//././s.db", "/s.db" },    { "a/b.db", "/a/b.db" },
        { "../s.db", "/../s.db" }, { ".s.db", "/.s.db" }, { "a/../s.db", "/a/../s.db" }, { "", "/" },
    };
    char here[FOLDER_PATH_BYTES_MAX], expected[2 * FOLDER_PATH_BYTES_MAX], path[FOLDER_PATH_BYTES_MAX];
    char error[FOLDER_ERROR_BYTES_MAX] = "";
    char *before = getcwd(NULL, 0);

    (void)state;
    assert_non_null(before);
    assert_int_equal(folder_resolve("/x/./s.db", path, error), 0);
    assert_string_equal(path, "/x/./s.db");
    assert_int_equal(chdir(scratch), 0);
    assert_non_null(getcwd(here, sizeof(here)));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(folder_resolve(cases[i].named, path, error), 0);
        snprintf(expected, sizeof(expected), "%s%s", here, cases[i].expected);
        assert_string_equal(path, expected);
    }
    assert_int_equal(chdir("/"), 0);
    assert_int_equal(folder_resolve("s.db", path, error), 0);
    assert_string_equal(path, "/s.db");
    assert_int_equal(chdir(before), 0);
    free(before);
}

static void without_a_working_directory_there_is_a_sentence(void **state)
{
    char gone[SCRATCH_BYTES_MAX], path[FOLDER_PATH_BYTES_MAX], error[FOLDER_ERROR_BYTES_MAX] = "";
    char *before = getcwd(NULL, 0);

    (void)state;
    assert_non_null(before);
    assert_int_equal(mkdir(scratch_path("gone", gone), 0700), 0);
    assert_int_equal(chdir(gone), 0);
    assert_int_equal(rmdir(gone), 0);
    assert_int_equal(folder_resolve("s.db", path, error), -ENOENT);
    assert_non_null(strstr(error, "store s.db: the working directory has no name"));
    assert_int_equal(folder_resolve("/s.db", path, error), 0);
    assert_int_equal(chdir(before), 0);
    free(before);
}

static unsigned mode_of(const char *path)
{
    struct stat status;

    if (stat(path, &status) != 0) fail_msg("%s: %s", path, strerror(errno));
    return status.st_mode & 07777;
}

static void folders_on_the_way_are_made_for_the_owner_alone(void **state)
{
    static const char *const made[] = { "a", "a/b", "a/b/c" };
    char path[SCRATCH_BYTES_MAX], error[FOLDER_ERROR_BYTES_MAX] = "";
    const mode_t before = umask(0);

    (void)state;
    for (int round = 0; round < 2; round++) { /* once made, and once found */
        assert_int_equal(folder_make(scratch_path("a/b/c/8000.db", path), error), 0);
        assert_int_equal(folder_check(path, true, error), 0);
        for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++)
            assert_int_equal(mode_of(scratch_path(made[i], path)), 0700);
        assert_int_equal(access(scratch_path("a/b/c/8000.db", path), F_OK), -1);
    }
    umask(before);
}

/* What is there belongs to somebody, who may have had a reason. */
static void a_folder_that_is_there_keeps_its_mode(void **state)
{
    char path[SCRATCH_BYTES_MAX], error[FOLDER_ERROR_BYTES_MAX] = "";

    (void)state;
    assert_int_equal(mkdir(scratch_path("wide", path), 0700), 0);
    assert_int_equal(chmod(path, 0755), 0);
    assert_int_equal(folder_make(scratch_path("wide/8000.db", path), error), 0);
    assert_int_equal(mode_of(scratch_path("wide", path)), 0755);
}

static void make_empty_file(const char *path)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fclose(file);
}

static void a_file_in_the_way_is_an_error(void **state)
{
    char path[SCRATCH_BYTES_MAX], error[FOLDER_ERROR_BYTES_MAX] = "";

    (void)state;
    make_empty_file(scratch_path("file", path));
    assert_int_equal(folder_make(scratch_path("file/8000.db", path), error), -ENOTDIR);
    assert_non_null(strstr(error, "/file: Not a directory"));
    error[0] = '\0';
    assert_int_equal(folder_check(path, true, error), -ENOTDIR);
    assert_non_null(strstr(error, "/file: Not a directory"));
    error[0] = '\0';
    assert_int_equal(folder_make(scratch_path("file/a/b/8000.db", path), error), -ENOTDIR);
    assert_non_null(strstr(error, "Not a directory"));
}

static void a_folder_that_is_not_there_is_refused_and_not_made(void **state)
{
    char path[SCRATCH_BYTES_MAX], folder[SCRATCH_BYTES_MAX], advice[2 * SCRATCH_BYTES_MAX];
    char error[FOLDER_ERROR_BYTES_MAX] = "";

    (void)state;
    scratch_path("missing/deep", folder);
    assert_int_equal(folder_check(scratch_path("missing/deep/8000.db", path), true, error), -ENOENT);
    snprintf(advice, sizeof(advice), "mkdir -p %s", folder);
    assert_memory_equal(error + strlen("folder "), folder, strlen(folder));
    assert_non_null(strstr(error, "it is not made, because"));
    assert_non_null(strstr(error, advice));
    assert_int_equal(access(scratch_path("missing", path), F_OK), -1);

    assert_int_equal(symlink("missing", scratch_path("link", folder)), 0);
    assert_int_equal(folder_check(scratch_path("link/8000.db", path), true, error), -ENOENT);
    assert_non_null(strstr(error, "it is a link"));
    assert_non_null(strstr(error, folder));
    assert_int_equal(access(scratch_path("missing", path), F_OK), -1);
}

static void the_file_is_made_for_the_owner_alone(void **state)
{
    char path[SCRATCH_BYTES_MAX], error[FOLDER_ERROR_BYTES_MAX] = "";
    const mode_t before = umask(0);

    (void)state;
    assert_int_equal(folder_make_file(scratch_path("mode.db", path), error), 0);
    assert_int_equal(mode_of(path), 0600);
    umask(before);
}

static void a_file_that_is_there_is_left_alone(void **state)
{
    char path[SCRATCH_BYTES_MAX], error[FOLDER_ERROR_BYTES_MAX] = "", text[8] = "";
    FILE *file = fopen(scratch_path("there.db", path), "w");

    (void)state;
    assert_non_null(file);
    assert_true(fputs("bytes", file) >= 0);
    fclose(file);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(folder_make_file(path, error), 0);
    assert_int_equal(mode_of(path), 0640);
    file = fopen(path, "r");
    assert_non_null(fgets(text, sizeof(text), file));
    fclose(file);
    assert_string_equal(text, "bytes");
}

static void a_file_that_cannot_be_made_is_named(void **state)
{
    char path[SCRATCH_BYTES_MAX], error[FOLDER_ERROR_BYTES_MAX] = "";

    (void)state;
    assert_int_equal(folder_make_file(scratch_path("nowhere/8000.db", path), error), -ENOENT);
    assert_non_null(strstr(error, path));
    assert_non_null(strstr(error, "No such file"));
}

/* A process that takes the lock, says whether it could, and keeps it until it is told to end by the end of its pipe. */
struct holder {
    pid_t pid;
    int says, told;
};

static void hold(const char *path, int says, int told)
{
    char error[FOLDER_ERROR_BYTES_MAX], byte = 0;
    const char result = folder_lock(path, error) >= 0 ? 'y' : 'n';

    _exit(write(says, &result, 1) == 1 && read(told, &byte, 1) == 0 ? 0 : 1);
}

static struct holder start_holder(const char *path)
{
    struct holder holder = { .pid = -1 };
    int says[2], told[2];
    char result = 'n';

    assert_int_equal(pipe(says), 0);
    assert_int_equal(pipe(told), 0);
    holder.pid = fork();
    assert_true(holder.pid >= 0);
    if (holder.pid == 0) {
        close(told[1]);
        alarm(60); /* should this program end before it */
        hold(path, says[1], told[0]);
    }
    close(says[1]);
    close(told[0]);
    holder.says = says[0];
    holder.told = told[1];
    assert_int_equal(read(holder.says, &result, 1), 1);
    assert_int_equal(result, 'y');
    return holder;
}

static void end_holder(struct holder *holder, bool is_killed)
{
    int status = 0;

    if (is_killed) assert_int_equal(kill(holder->pid, SIGKILL), 0);
    close(holder->told);
    close(holder->says);
    assert_int_equal(waitpid(holder->pid, &status, 0), holder->pid);
    assert_true(is_killed ? WIFSIGNALED(status) : WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void one_process_has_the_lock_and_is_named(void **state)
{
    char path[SCRATCH_BYTES_MAX], error[FOLDER_ERROR_BYTES_MAX] = "", name[32];
    struct holder holder = start_holder(scratch_path("locked.db", path));

    (void)state;
    snprintf(name, sizeof(name), "by process %ld", (long)holder.pid);
    assert_int_equal(folder_lock(path, error), -EBUSY);
    assert_non_null(strstr(error, name));
    assert_non_null(strstr(error, path));
    end_holder(&holder, false);
}

static void the_lock_goes_with_its_process_however_that_ends(void **state)
{
    char path[SCRATCH_BYTES_MAX], error[FOLDER_ERROR_BYTES_MAX] = "";

    (void)state;
    scratch_path("gone.db", path);
    for (int is_killed = 0; is_killed < 2; is_killed++) {
        struct holder holder = start_holder(path);
        int lock = -1;

        assert_int_equal(folder_lock(path, error), -EBUSY);
        end_holder(&holder, is_killed);
        lock = folder_lock(path, error);
        assert_true(lock >= 0);
        folder_unlock(lock);
    }
}

static void the_lock_is_given_back_and_its_file_stays(void **state)
{
    char path[SCRATCH_BYTES_MAX], lock_path[SCRATCH_BYTES_MAX], error[FOLDER_ERROR_BYTES_MAX] = "";
    int lock = folder_lock(scratch_path("back.db", path), error);

    (void)state;
    assert_true(lock >= 0);
    assert_int_equal(mode_of(scratch_path("back.db.lock", lock_path)), 0600);
    assert_int_equal(folder_lock(path, error), -EBUSY); /* nor twice in one process */
    folder_unlock(lock);
    assert_int_equal(mode_of(lock_path), 0600);
    lock = folder_lock(path, error);
    assert_true(lock >= 0);
    folder_unlock(lock);
    folder_unlock(-1);
}

/* A link that somebody has laid there would have another file written to. */
static void a_look_makes_no_lock_and_keeps_servers_away(void **state)
{
    char path[SCRATCH_BYTES_MAX], lock_path[SCRATCH_BYTES_MAX], error[FOLDER_ERROR_BYTES_MAX] = "";
    int first = -1, second = -1;

    (void)state;
    scratch_path("look.db", path);
    assert_int_equal(folder_lock_to_look(path, error), -ENOENT);
    assert_int_equal(access(scratch_path("look.db.lock", lock_path), F_OK), -1);
    folder_unlock(folder_lock(path, error));
    first = folder_lock_to_look(path, error);
    second = folder_lock_to_look(path, error);
    assert_true(first >= 0 && second >= 0);
    assert_int_equal(folder_lock(path, error), -EBUSY);
    folder_unlock(first);
    folder_unlock(second);
    first = folder_lock(path, error);
    assert_true(first >= 0);
    assert_int_equal(folder_lock_to_look(path, error), -EBUSY);
    folder_unlock(first);
}

static void a_link_is_no_lock(void **state)
{
    char path[SCRATCH_BYTES_MAX], target[SCRATCH_BYTES_MAX], error[FOLDER_ERROR_BYTES_MAX] = "";

    (void)state;
    make_empty_file(scratch_path("target", target));
    assert_int_equal(symlink(target, scratch_path("link.db.lock", path)), 0);
    assert_int_equal(folder_lock(scratch_path("link.db", path), error), -ELOOP);
    assert_non_null(strstr(error, path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_variable_has_its_turn),
        cmocka_unit_test(what_is_empty_or_relative_does_not_count),
        cmocka_unit_test(without_a_home_there_is_a_sentence),
        cmocka_unit_test(a_path_too_long_is_refused),
        cmocka_unit_test(folders_on_the_way_are_made_for_the_owner_alone),
        cmocka_unit_test(a_folder_that_is_there_keeps_its_mode),
        cmocka_unit_test(a_file_in_the_way_is_an_error),
        cmocka_unit_test(a_named_path_is_absolute),
        cmocka_unit_test(without_a_working_directory_there_is_a_sentence),
        cmocka_unit_test(a_folder_that_is_not_there_is_refused_and_not_made),
        cmocka_unit_test(the_file_is_made_for_the_owner_alone),
        cmocka_unit_test(a_file_that_is_there_is_left_alone),
        cmocka_unit_test(a_file_that_cannot_be_made_is_named),
        cmocka_unit_test(one_process_has_the_lock_and_is_named),
        cmocka_unit_test(the_lock_goes_with_its_process_however_that_ends),
        cmocka_unit_test(the_lock_is_given_back_and_its_file_stays),
        cmocka_unit_test(a_look_makes_no_lock_and_keeps_servers_away),
        cmocka_unit_test(a_link_is_no_lock),
    };
    return cmocka_run_group_tests_name("folder", tests, scratch_make, scratch_remove);
}

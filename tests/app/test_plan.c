/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a server's options make together: a plan, or the sentence that says what is wrong with them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "scratch.h"
#include "serve/plan.h"

enum { ARGUMENTS_MAX = 32, WORDS_BYTES_MAX = 512 };

/* A command line, and what came of it. */
struct made {
    char words[WORDS_BYTES_MAX];
    struct options options;
    struct plan *plan;
    int err;
    char error[OPTIONS_ERROR_BYTES_MAX];
};

static void make(struct made *made, const char *text)
{
    char *arguments[ARGUMENTS_MAX];
    char *position = NULL;
    int count = 0;

    memset(made, 0, sizeof(*made));
    assert_true(strlen(text) < sizeof(made->words));
    strcpy(made->words, text);
    for (char *word = strtok_r(made->words, " ", &position); word; word = strtok_r(NULL, " ", &position)) {
        assert_true(count < ARGUMENTS_MAX);
        arguments[count++] = word;
    }
    if (options_parse(COMMAND_SERVE, count, arguments, &made->options, made->error))
        fail_msg("'%s': %s", text, made->error);
    made->err = plan_new(&made->options, &made->plan, made->error);
}

static const struct plan *make_valid(struct made *made, const char *text)
{
    make(made, text);
    if (made->err) fail_msg("'%s': %d, %s", text, made->err, made->error);
    return made->plan;
}

static void unmake(struct made *made)
{
    plan_free(made->plan);
    options_fini(&made->options);
}

static void expect_error(const char *text, int err, const char *expected)
{
    struct made made;

    make(&made, text);
    if (made.err != err || !strstr(made.error, expected))
        fail_msg("'%s': %d, '%s' without '%s'", text, made.err, made.error, expected);
    assert_null(made.plan);
    unmake(&made);
}

static void without_an_endpoint_the_common_options_are_the_listener(void **state)
{
    struct made made;
    const struct plan *plan = make_valid(&made, "--frame line --ack OK --reply echo");

    (void)state;
    assert_int_equal(plan->listener_count, 1);
    assert_ptr_equal(plan->listeners[0].options, &made.options.common);
    assert_string_equal(plan->listeners[0].url, SERVE_ADDRESS);
    assert_string_equal(plan->listeners[0].frame, "line");
    assert_false(plan->listeners[0].sends_raw);
    assert_non_null(plan->listeners[0].ack.template);
    assert_int_equal(plan->listeners[0].reply.kind, REPLY_ECHO);
    unmake(&made);
}

static void each_endpoint_is_a_listener(void **state)
{
    struct made made;
    const struct plan *plan =
        make_valid(&made, "--reply text:a --listen tcp://127.0.0.1:1 --listen unix:/s --frame line --reply none");

    (void)state;
    assert_int_equal(plan->listener_count, 2);
    assert_string_equal(plan->listeners[0].url, "tcp://127.0.0.1:1");
    assert_string_equal(plan->listeners[0].frame, "raw");
    assert_true(plan->listeners[0].sends_raw);
    assert_null(plan->listeners[0].ack.template);
    assert_int_equal(plan->listeners[0].reply.kind, REPLY_TEXT);
    assert_string_equal(plan->listeners[1].url, "unix:/s");
    assert_int_equal(plan->listeners[1].reply.kind, REPLY_NONE);
    unmake(&made);
}

static void each_fault_has_its_sentence(void **state)
{
    static const struct {
        const char *text;
        const char *expected;
    } cases[] = {
        { "--max-memory 64MiB --store-queue 33MiB", "--store-queue 33MiB: it counts in --max-memory 64MiB" },
        { "--encoding nothing", "--encoding nothing: not an encoding that this system knows" },
        { "--encoding utf-7", "--encoding utf-7: in it a character's bytes depend on those before" },
        { "--send-frame fixed:4,pad=x --reply text:abcde", "--reply text:abcde: " },
        { "--max-frame 1GiB", "--max-frame 1073741824: a message of more than 999000000 bytes cannot be stored" },
        { "--frame line --ack {no}", "--ack {no}: there is no field {no}" },
        { "--frame line --ack OK --store none", "--ack OK: nothing is on disk that could be acknowledged" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect_error(cases[i].text, WEIR_ECONFIG, cases[i].expected);
    expect_error("--listen tcp://127.0.0.1:1 --listen tcp://127.0.0.1:2 --send-frame length:u8 --ack {no}",
                 WEIR_ECONFIG, "--ack {no}");
}

/* Each command line has one fault more than the last, of a check that comes before the others. */
static void the_first_fault_in_order_is_told(void **state)
{
    static const char *const faults[] = { "--ack {no}", "--max-frame 1GiB",
                                          "--reply text:abcde --send-frame fixed:4,pad=x", "--encoding nothing",
                                          "--store-queue 2GiB" };
    char text[WORDS_BYTES_MAX] = "--frame line";

    (void)state;
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        char begin[32];

        snprintf(begin, sizeof(begin), "%.*s ", (int)strcspn(faults[i], " "), faults[i]);
        snprintf(text + strlen(text), sizeof(text) - strlen(text), " %s", faults[i]);
        expect_error(text, WEIR_ECONFIG, begin);
    }
    setenv("HOME", "relative", 1);
    expect_error("--ack {no} --frame line", WEIR_ECONFIG, "--ack {no}");
    expect_error("", -ENOENT, "no place for the store: HOME is relative");
    setenv("HOME", scratch, 1);
}

static void expect_store(const char *text, enum plan_store store, const char *path)
{
    char expected[FOLDER_PATH_BYTES_MAX] = "";
    struct made made;
    const struct plan *plan = make_valid(&made, text);

    if (store == PLAN_STORE_AUTO) snprintf(expected, sizeof(expected), "%s/.local/state/weir/", scratch);
    strcat(expected, path);
    assert_int_equal(plan->store, store);
    assert_string_equal(plan->store_path, expected);
    assert_int_equal(plan->budget.store_queue > 0, store != PLAN_STORE_NONE);
    unmake(&made);
}

static void the_store_has_its_place(void **state)
{
    (void)state;
    expect_store("", PLAN_STORE_AUTO, "8000.db");
    expect_store("--store auto --listen tcp://127.0.0.1:7 --listen tcp://127.0.0.1:8", PLAN_STORE_AUTO, "7.db");
    expect_store("--listen tcp://127.0.0.1:0", PLAN_STORE_AUTO, "PORT.db");
    expect_store("--listen unix:/run/device.sock", PLAN_STORE_AUTO, "device.sock.db");
    expect_store("--store /a/b.db", PLAN_STORE_PATH, "/a/b.db");
    expect_store("--store none", PLAN_STORE_NONE, "");
}

/* What is bound in the end decides, not what was asked for. */
static void the_store_follows_the_address(void **state)
{
    char path[FOLDER_PATH_BYTES_MAX], error[FOLDER_ERROR_BYTES_MAX];
    struct made made;

    (void)state;
    assert_int_equal(
        plan_find_store(make_valid(&made, "--listen tcp://127.0.0.1:0"), "tcp://127.0.0.1:40000", path, error), 0);
    assert_string_equal(strrchr(path, '/'), "/40000.db");
    unmake(&made);
    assert_int_equal(plan_find_store(make_valid(&made, "--store /a/b.db"), "tcp://127.0.0.1:40000", path, error), 0);
    assert_string_equal(path, "/a/b.db");
    unmake(&made);
}

static void what_is_not_given_is_decided(void **state)
{
    struct made made;
    const struct plan *plan = make_valid(&made, "");

    (void)state;
    assert_in_range(plan->workers, 1, 256);
    assert_null(plan->encoding);
    assert_int_equal(plan->budget.all, 1024 * 1024 * 1024);
    unmake(&made);
    plan = make_valid(&made, "--workers 3 --encoding gbk --max-memory 64MiB --keep-for 2s --keep-bytes off");
    assert_int_equal(plan->workers, 3);
    assert_non_null(plan->encoding);
    assert_int_equal(plan->budget.all, 64 * 1024 * 1024);
    assert_int_equal(plan->retention.age_ms_max, 2000);
    assert_int_equal(plan->retention.bytes_max, WEIR_OFF);
    unmake(&made);
}

static void nothing_is_opened(void **state)
{
    const int next = dup(STDERR_FILENO);
    char path[SCRATCH_BYTES_MAX];
    struct made made;

    (void)state;
    close(next);
    make_valid(&made, "--listen tcp://127.0.0.1:0 --listen unix:s.sock --frame line --ack OK --encoding gbk");
    assert_int_equal(dup(STDERR_FILENO), next);
    close(next);
    assert_int_not_equal(access(scratch_path(".local", path), F_OK), 0);
    assert_int_not_equal(access("s.sock", F_OK), 0);
    unmake(&made);
}

static int begin(void **state)
{
    const int err = scratch_make(state);

    unsetenv("STATE_DIRECTORY");
    unsetenv("XDG_STATE_HOME");
    return err ? err : setenv("HOME", scratch, 1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_an_endpoint_the_common_options_are_the_listener),
        cmocka_unit_test(each_endpoint_is_a_listener),
        cmocka_unit_test(each_fault_has_its_sentence),
        cmocka_unit_test(the_first_fault_in_order_is_told),
        cmocka_unit_test(the_store_has_its_place),
        cmocka_unit_test(the_store_follows_the_address),
        cmocka_unit_test(what_is_not_given_is_decided),
        cmocka_unit_test(nothing_is_opened),
    };

    return cmocka_run_group_tests(tests, begin, scratch_remove);
}

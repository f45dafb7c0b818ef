/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The printer: lines arrive whole and in order, a reader that stops costs counted lines and nobody's time, a reader
 * that is gone is noticed. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "terminal/printer.h"

enum { DEADLINE_MS = 20000 };

/* The next line from fd, a socket, without its newline; fails when none comes in time. */
static void read_line(int fd, char *ret, size_t room)
{
    const char *end = NULL;

    for (size_t len = 0; !end;) {
        struct pollfd ready = { .fd = fd, .events = POLLIN };
        ssize_t more;

        assert_int_equal(poll(&ready, 1, DEADLINE_MS), 1);
        assert_true(len < room);
        more = recv(fd, ret + len, room - len, MSG_PEEK);
        assert_true(more > 0);
        end = memchr(ret + len, '\n', (size_t)more);
        if (end) more = end - (ret + len) + 1;
        assert_int_equal(recv(fd, ret + len, (size_t)more, 0), more);
        len += (size_t)more;
        ret[len - 1] = end ? 0 : ret[len - 1];
    }
}

static struct printer *start(int fd, struct printer *notes)
{
    struct printer *printer = NULL;

    assert_int_equal(printer_new(fd, "the output", notes, &printer), 0);
    assert_int_equal(printer_start(printer), 0);
    return printer;
}

static void lines_arrive_in_order(void **state)
{
    int ends[2];
    char line[64];
    struct printer *printer = NULL;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(printer_new(ends[1], "the output", NULL, &printer), 0);
    printer_add(printer, "0\n", 2); /* before the start: waits for it */
    assert_int_equal(printer_start(printer), 0);
    for (int i = 1; i < 1000; i++) {
        const int len = snprintf(line, sizeof(line), "%d\n", i);
        printer_add(printer, line, (size_t)len);
    }
    for (int i = 0; i < 1000; i++) {
        read_line(ends[0], line, sizeof(line));
        assert_int_equal(atoi(line), i);
    }
    assert_true(printer_finish(printer, DEADLINE_MS));
    printer_free(printer);
    close(ends[0]);
    close(ends[1]);
}

/* The digits of a text as one number: "(1,234 lines" is 1234. */
static long number_in(const char *text)
{
    long number = 0;

    for (; *text; text++)
        if (*text >= '0' && *text <= '9') number = number * 10 + (*text - '0');
    return number;
}

static void add_gap(struct line *line, uint64_t lost)
{
    line_addf(line, "gap %llu\n", (unsigned long long)lost);
}

/* More lines than socket and queue can hold are added while nobody reads. Then all are either read or counted, and the
 * count stands where the lines would: in a sentence, or in a line of its own kind, and then the notes have it too. */
static void lines_are_dropped_and_counted(bool has_gap)
{
    enum { LINES = 30000, LINE_BYTES = 512 };
    int ends[2];
    int note_ends[2];
    char line[LINE_BYTES * 2];
    struct printer *notes = NULL;
    struct printer *printer = NULL;
    long next = 0;
    long lost = 0;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, note_ends), 0);
    notes = start(note_ends[1], NULL);
    assert_int_equal(printer_new(ends[1], "the output", notes, &printer), 0);
    if (has_gap) printer_set_gap(printer, add_gap);
    assert_int_equal(printer_start(printer), 0);
    for (int i = 0; i < LINES; i++) {
        snprintf(line, sizeof(line), "%*d\n", LINE_BYTES - 1, i);
        printer_add(printer, line, LINE_BYTES);
    }
    while (next < LINES) {
        read_line(ends[0], line, sizeof(line));
        if (line[0] == ' ') {
            assert_int_equal(atoi(line), next++);
            continue;
        }
        assert_non_null(strstr(line, has_gap ? "gap " : " not shown: the output is too slow)"));
        lost += number_in(line);
        next += number_in(line);
    }
    assert_true(lost > 0);
    assert_int_equal(next, LINES);
    assert_true(printer_finish(printer, DEADLINE_MS));
    while (has_gap && lost > 0) {
        read_line(note_ends[0], line, sizeof(line));
        assert_non_null(strstr(line, " not shown: the output is too slow)"));
        lost -= number_in(line);
    }
    assert_true(!has_gap || lost == 0);
    assert_true(printer_finish(notes, DEADLINE_MS));
    printer_free(printer);
    printer_free(notes);
    for (size_t i = 0; i < 2; i++) {
        close(ends[i]);
        close(note_ends[i]);
    }
}

static void a_stopped_reader_costs_counted_lines(void **state)
{
    (void)state;
    lines_are_dropped_and_counted(false);
}

static void the_count_is_a_line_of_its_own_when_asked(void **state)
{
    (void)state;
    lines_are_dropped_and_counted(true);
}

/* What is called around each write: counts, and sees whether anything is written outside of it. */
struct around_check {
    int fd;
    int begun;
    int ended;
};

static void on_begin(void *user)
{
    struct around_check *check = user;

    assert_int_equal(check->begun, check->ended);
    check->begun++;
    assert_int_equal(write(check->fd, "(\n", 2), 2);
}

static void on_end(void *user)
{
    struct around_check *check = user;

    check->ended++;
    assert_int_equal(check->begun, check->ended);
    assert_int_equal(write(check->fd, ")\n", 2), 2);
}

static void writes_are_whole_lines_in_pieces(void **state)
{
    enum { LINES = 2000, LINE_BYTES = 100, LONG_BYTES = 100000 };
    int ends[2];
    char *text = malloc(LONG_BYTES + 1);
    struct around_check check = { 0 };
    const struct printer_around around = { .begin = on_begin, .end = on_end, .user = &check };
    struct printer *printer = NULL;
    bool is_inside = false;
    size_t piece_lines = 0;

    (void)state;
    assert_non_null(text);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    check.fd = ends[1];
    assert_int_equal(printer_new(ends[1], "the output", NULL, &printer), 0);
    printer_set_around(printer, &around);
    memset(text, 'x', LONG_BYTES);
    for (int i = 0; i < LINES; i++) {
        text[LINE_BYTES - 1] = '\n';
        printer_add(printer, text, LINE_BYTES);
    }
    text[LINE_BYTES - 1] = 'x';
    text[LONG_BYTES - 1] = '\n';
    printer_add(printer, text, LONG_BYTES);
    assert_int_equal(printer_start(printer), 0);
    for (int lines = 0; lines <= LINES || is_inside;) {
        read_line(ends[0], text, LONG_BYTES + 1);
        if (text[0] == 'x') {
            assert_true(is_inside);
            lines++;
            piece_lines++;
            assert_true(piece_lines * LINE_BYTES <= 16384);
            assert_int_equal(strlen(text) + 1, lines <= LINES ? LINE_BYTES : LONG_BYTES);
        } else {
            assert_true(is_inside == (text[0] == ')'));
            is_inside = !is_inside;
            piece_lines = 0;
        }
    }
    assert_true(printer_finish(printer, DEADLINE_MS));
    assert_int_equal(check.begun, check.ended);
    assert_true(check.begun >= LINES * LINE_BYTES / 16384);
    printer_free(printer);
    close(ends[0]);
    close(ends[1]);
    free(text);
}

static void a_line_longer_than_the_queue_is_whole(void **state)
{
    enum { LEN = 3 * 1024 * 1024 };
    int ends[2];
    char *text = malloc(LEN);
    char *back = malloc(LEN + 1);
    struct printer *printer = NULL;

    (void)state;
    assert_non_null(text);
    assert_non_null(back);
    memset(text, 'x', LEN);
    text[LEN - 1] = '\n';
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    printer = start(ends[1], NULL);
    printer_add(printer, text, LEN);
    read_line(ends[0], back, LEN + 1);
    assert_int_equal(strlen(back), LEN - 1);
    assert_true(printer_finish(printer, DEADLINE_MS));
    printer_free(printer);
    close(ends[0]);
    close(ends[1]);
    free(text);
    free(back);
}

/* A line of so many bytes, in the room that the printer had for it. */
static void take_long(struct printer *printer, char letter, size_t len, size_t reserved)
{
    struct line line = { .len_max = reserved };

    for (size_t i = 1; i < len; i++)
        line_add(&line, &letter, 1);
    line_add_text(&line, "\n");
    printer_take(printer, &line, reserved);
    line_fini(&line);
}

static void expect_line(int fd, char letter, size_t len)
{
    char line[8192];

    read_line(fd, line, sizeof(line));
    assert_int_equal(strlen(line), len - 1);
    assert_int_equal(line[0], letter);
}

static void long_lines_share_the_room(void **state)
{
    int ends[2];
    char line[128];
    struct printer *printer = NULL;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(printer_new(ends[1], "the output", NULL, &printer), 0);
    printer_set_bounds(printer, 4500, 5000);
    assert_int_equal(printer_reserve(printer, 3000), 3000);
    assert_int_equal(printer_reserve(printer, 3000), 2000); /* another's, at the same time */
    assert_int_equal(printer_reserve(printer, 3000), 0);
    take_long(printer, 'a', 2500, 3000); /* its memory is taken over */
    assert_int_equal(printer_reserve(printer, 3000), 500);
    take_long(printer, 'b', 2000, 2000); /* and this one is added to it, whatever the first was allowed to be */
    assert_int_equal(printer_reserve(printer, 3000), 0); /* the queue is full */
    take_long(printer, 'c', 501, 500);                   /* longer than there was room for */
    assert_int_equal(printer_start(printer), 0);
    expect_line(ends[0], 'a', 2500);
    expect_line(ends[0], 'b', 2000);
    read_line(ends[0], line, sizeof(line));
    assert_string_equal(line, "(1 line not shown: the output is too slow)");
    assert_true(printer_finish(printer, DEADLINE_MS));
    printer_free(printer);
    close(ends[0]);
    close(ends[1]);
}

static void the_queue_is_as_long_as_it_is_told(void **state)
{
    int ends[2];
    char line[128];
    struct printer *printer = NULL;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(printer_new(ends[1], "the output", NULL, &printer), 0);
    printer_set_bounds(printer, 3, SIZE_MAX);
    for (int i = 0; i < 5; i++)
        printer_add(printer, "x\n", 2); /* the second begins within it */
    assert_int_equal(printer_start(printer), 0);
    expect_line(ends[0], 'x', 2);
    expect_line(ends[0], 'x', 2);
    read_line(ends[0], line, sizeof(line));
    assert_string_equal(line, "(3 lines not shown: the output is too slow)");
    assert_true(printer_finish(printer, DEADLINE_MS));
    printer_free(printer);
    close(ends[0]);
    close(ends[1]);
}

static void a_reader_that_is_gone_is_said_once(void **state)
{
    int ends[2];
    int note_ends[2];
    char line[128];
    struct printer *notes = NULL;
    struct printer *printer = NULL;
    char rest = 0;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, note_ends), 0);
    notes = start(note_ends[1], NULL);
    printer = start(ends[1], notes);
    close(ends[0]);
    printer_add(printer, "one\n", 4);
    read_line(note_ends[0], line, sizeof(line));
    assert_string_equal(line, "weir: the output: closed; nothing more is printed");
    printer_add(printer, "two\n", 4);
    assert_true(printer_finish(printer, DEADLINE_MS));
    assert_true(printer_finish(notes, DEADLINE_MS));
    printer_free(printer);
    printer_free(notes);
    close(note_ends[1]);
    assert_int_equal(read(note_ends[0], &rest, 1), 0);
    close(note_ends[0]);
    close(ends[1]);
}

static void a_full_disk_is_said_and_tried_again(void **state)
{
    int note_ends[2];
    char line[128];
    const int full = open("/dev/full", O_WRONLY);
    struct printer *notes = NULL;
    struct printer *printer = NULL;

    (void)state;
    assert_true(full >= 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, note_ends), 0);
    notes = start(note_ends[1], NULL);
    printer = start(full, notes);
    printer_add(printer, "one\n", 4);
    read_line(note_ends[0], line, sizeof(line));
    assert_string_equal(line, "weir: the output: no space left on device");
    printer_add(printer, "two\n", 4);
    assert_true(printer_finish(printer, DEADLINE_MS));
    assert_true(printer_finish(notes, DEADLINE_MS));
    printer_free(printer);
    printer_free(notes);
    close(note_ends[0]);
    close(note_ends[1]);
    close(full);
}

/* A disk that is full for a while: what came meanwhile waits for it. */
static void a_disk_with_room_again_is_written_to(void **state)
{
    int ends[2];
    char line[128];
    const int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    const int output = dup(full);
    int note_ends[2];
    struct printer *notes = NULL;
    struct printer *printer = NULL;

    (void)state;
    assert_true(full >= 0 && output >= 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, note_ends), 0);
    notes = start(note_ends[1], NULL);
    printer = start(output, notes);
    printer_add(printer, "one\n", 4);
    read_line(note_ends[0], line, sizeof(line));
    assert_int_equal(dup2(ends[1], output), output);
    printer_add(printer, "two\n", 4);
    read_line(ends[0], line, sizeof(line));
    assert_string_equal(line, "one");
    read_line(ends[0], line, sizeof(line));
    assert_string_equal(line, "two");
    assert_true(printer_finish(printer, DEADLINE_MS));
    assert_true(printer_finish(notes, DEADLINE_MS));
    printer_free(printer);
    printer_free(notes);
    close(full);
    close(output);
    for (size_t i = 0; i < 2; i++) {
        close(ends[i]);
        close(note_ends[i]);
    }
}

static void in_brackets(struct line *line, const char *text, size_t len, void *user)
{
    line_add_text(line, user);
    line_addf(line, "[%.*s]\n", (int)len, text);
}

/* A full disk, and a reader that goes away behind it: two complaints, whatever the time between them. */
static void what_is_noted_is_a_line_like_the_others_there(void **state)
{
    char mark[] = "<4>";
    int ends[2];
    int note_ends[2];
    char line[128];
    struct printer *notes = NULL;
    struct printer *printer = NULL;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, note_ends), 0);
    assert_int_equal(printer_new(note_ends[1], "the notes", NULL, &notes), 0);
    printer_set_wrap(notes, in_brackets, mark);
    assert_int_equal(printer_start(notes), 0);
    assert_int_equal(dup2(open("/dev/full", O_WRONLY | O_CLOEXEC), ends[1]), ends[1]);
    printer = start(ends[1], notes);
    printer_add(printer, "one\n", 4);
    read_line(note_ends[0], line, sizeof(line));
    assert_string_equal(line, "<4>[weir: the output: no space left on device]");
    close(ends[1]);
    printer_add(printer, "two\n", 4);
    read_line(note_ends[0], line, sizeof(line));
    assert_string_equal(line, "<4>[weir: the output: bad file descriptor; nothing more is printed]");
    assert_true(printer_finish(printer, DEADLINE_MS));
    assert_true(printer_finish(notes, DEADLINE_MS));
    printer_free(printer);
    printer_free(notes);
    close(ends[0]);
    close(note_ends[0]);
    close(note_ends[1]);
}

/* A file may grow by so many bytes only, which is inside a line. */
static void a_line_that_was_cut_is_gone_on_with(void **state)
{
    enum { CUT_BYTES = 10 };
    FILE *file = tmpfile();
    int note_ends[2];
    char line[128];
    struct rlimit limit = { 0 };
    struct printer *notes = NULL;
    struct printer *printer = NULL;

    (void)state;
    assert_non_null(file);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, note_ends), 0);
    notes = start(note_ends[1], NULL);
    printer = start(fileno(file), notes);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){ CUT_BYTES, limit.rlim_max }), 0);
    printer_add(printer, "one\ntwo and a half\nthree\n", 25);
    read_line(note_ends[0], line, sizeof(line));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_string_equal(line, "weir: the output: file too large");
    printer_add(printer, "four\n", 5);
    assert_true(printer_finish(printer, DEADLINE_MS));
    assert_true(printer_finish(notes, DEADLINE_MS));
    rewind(file);
    assert_int_equal(fread(line, 1, sizeof(line), file), 30);
    assert_memory_equal(line, "one\ntwo and a half\nthree\nfour\n", 30);
    printer_free(printer);
    printer_free(notes);
    fclose(file);
    close(note_ends[0]);
    close(note_ends[1]);
}

/* Nobody reads before the end: then there are whole lines in the pipe, and how many more there were. */
static void a_gap_at_the_end_is_told(void **state)
{
    enum { LINES = 30000 };
    int ends[2];
    char line[64];
    struct printer *printer = NULL;
    FILE *file = NULL;
    long next = 0;
    bool is_told = false;

    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(printer_new(ends[1], "the output", NULL, &printer), 0);
    printer_set_gap(printer, add_gap);
    assert_int_equal(printer_start(printer), 0);
    for (int i = 0; i < LINES; i++) {
        const int len = snprintf(line, sizeof(line), "%*d\n", i % 40 + 5, i);
        printer_add(printer, line, (size_t)len);
    }
    assert_true(printer_finish(printer, 50));
    printer_free(printer);
    close(ends[1]);
    file = fdopen(ends[0], "r");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file)) {
        assert_false(is_told);
        assert_non_null(strchr(line, '\n'));
        is_told = strncmp(line, "gap ", 4) == 0;
        if (!is_told) assert_int_equal(atoi(line), next);
        next += is_told ? number_in(line) : 1;
    }
    assert_true(is_told);
    assert_int_equal(next, LINES);
    fclose(file);
}

static void finishing_does_not_wait_for_a_stopped_reader(void **state)
{
    int ends[2];
    char block[4096];
    struct printer *printer = NULL;

    (void)state;
    memset(block, 'x', sizeof(block));
    block[sizeof(block) - 1] = '\n';
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    printer = start(ends[1], NULL);
    for (size_t i = 0; i < 1024; i++)
        printer_add(printer, block, sizeof(block)); /* more than a socket holds */
    assert_true(printer_finish(printer, 50));
    printer_free(printer);
    close(ends[0]);
    close(ends[1]);
}

/* A terminal has room for a little, and then lets the write wait for more. */
static void finishing_does_not_wait_for_a_stopped_terminal(void **state)
{
    int ends[2];
    char block[4096];
    struct printer *printer = NULL;

    (void)state;
    memset(block, 'x', sizeof(block));
    block[sizeof(block) - 1] = '\n';
    assert_int_equal(openpty(&ends[0], &ends[1], NULL, NULL, NULL), 0);
    assert_int_equal(printer_new(ends[1], "the output", NULL, &printer), 0);
    for (size_t i = 0; i < 64; i++)
        printer_add(printer, block, sizeof(block));
    assert_int_equal(printer_start(printer), 0);
    assert_int_equal(poll(&(struct pollfd){ .fd = ends[0], .events = POLLIN }, 1, DEADLINE_MS), 1); /* it has begun */
    assert_false(printer_finish(printer, 50));
    close(ends[0]); /* lets the write fail, so that the test leaves no thread */
    assert_true(printer_finish(printer, DEADLINE_MS));
    printer_free(printer);
    close(ends[1]);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_arrive_in_order),
        cmocka_unit_test(a_stopped_reader_costs_counted_lines),
        cmocka_unit_test(the_count_is_a_line_of_its_own_when_asked),
        cmocka_unit_test(writes_are_whole_lines_in_pieces),
        cmocka_unit_test(a_line_longer_than_the_queue_is_whole),
        cmocka_unit_test(long_lines_share_the_room),
        cmocka_unit_test(the_queue_is_as_long_as_it_is_told),
        cmocka_unit_test(a_reader_that_is_gone_is_said_once),
        cmocka_unit_test(a_full_disk_is_said_and_tried_again),
        cmocka_unit_test(a_disk_with_room_again_is_written_to),
        cmocka_unit_test(what_is_noted_is_a_line_like_the_others_there),
        cmocka_unit_test(a_line_that_was_cut_is_gone_on_with),
        cmocka_unit_test(a_gap_at_the_end_is_told),
        cmocka_unit_test(finishing_does_not_wait_for_a_stopped_reader),
        cmocka_unit_test(finishing_does_not_wait_for_a_stopped_terminal),
    };

    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What is typed or piped in, cut into what is sent: the same however the input is cut into reads. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "connect/typed.h"

/* Feeds text in pieces of that many bytes. Returns what comes out: lines each in <>, or else the bytes. */
static void feed(enum typed_form form, const char *text, size_t piece_len, char *ret)
{
    struct typed typed = { .form = form };
    struct weir_bytes message;
    size_t len = strlen(text);
    char *at = ret;
    int result = 0;

    for (size_t offset = 0; offset < len; offset += piece_len) {
        /* A copy of its exact size, so that a checker sees any byte read past it. */
        const size_t size = len - offset < piece_len ? len - offset : piece_len;
        unsigned char *piece = malloc(size);
        struct weir_bytes bytes = { piece, size };
        assert_non_null(piece);
        memcpy(piece, text + offset, size);
        while ((result = typed_take(&typed, &bytes, &message)) > 0)
            at += sprintf(at, form == TYPED_LINES ? "<%.*s>" : "%.*s", (int)message.len, (const char *)message.data);
        assert_int_equal(result, 0);
        assert_int_equal(bytes.len, 0);
        free(piece);
    }
    result = typed_take_rest(&typed, &message);
    if (result > 0) at += sprintf(at, "<%.*s>", (int)message.len, (const char *)message.data);
    assert_true(result >= 0);
    *at = 0;
    typed_fini(&typed);
}

static void check(enum typed_form form, const char *text, const char *expected)
{
    char got[256];

    for (size_t piece_len = 1; piece_len <= strlen(text); piece_len++) {
        feed(form, text, piece_len, got);
        if (strcmp(got, expected) != 0) fail_msg("in pieces of %zu: '%s', not '%s'", piece_len, got, expected);
    }
}

static void bytes_stay_as_they_are(void **state)
{
    (void)state;
    check(TYPED_BYTES, "a\nb\r\n\n\rc", "a\nb\r\n\n\rc");
}

static void crlf_is_added_once(void **state)
{
    (void)state;
    check(TYPED_CRLF, "GET / HTTP/1.0\n\n", "GET / HTTP/1.0\r\n\r\n");
    check(TYPED_CRLF, "a\r\nb\n\rc", "a\r\nb\r\n\rc");
}

static void lines_lose_their_newline(void **state)
{
    (void)state;
    check(TYPED_LINES, "one\ntwo\r\n\nthree\n", "<one><two><><three>");
    check(TYPED_LINES, "one\nrest", "<one><rest>");
    check(TYPED_LINES, "rest\r", "<rest\r>");
    check(TYPED_LINES, "a\rb\n", "<a\rb>");
}

static void hex_lines_are_bytes(void **state)
{
    (void)state;
    check(TYPED_HEX, "41 42\n4344\r\n", "ABCD");
    check(TYPED_HEX, "\n \t\n0x41\n\n42", "A<B>");
    check(TYPED_HEX, "41\n  ", "A");
}

static void a_line_that_is_not_hex_is_refused(void **state)
{
    static const char *const lines[] = { "4x\n", "123\n", "41 hello\n", "/hex 41\n" };

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct typed typed = { .form = TYPED_HEX };
        struct weir_bytes bytes = { (const unsigned char *)"41\n", 3 };
        struct weir_bytes message;
        assert_int_equal(typed_take(&typed, &bytes, &message), 1);
        bytes = (struct weir_bytes){ (const unsigned char *)lines[i], strlen(lines[i]) };
        assert_int_equal(typed_take(&typed, &bytes, &message), -EBADMSG);
        assert_int_equal(typed.lines, 2);
        typed_fini(&typed);
    }
}

static void a_line_has_a_bound(void **state)
{
    struct typed typed = { .form = TYPED_LINES };
    unsigned char *block = malloc(65536);
    struct weir_bytes message;
    int result = 0;
    size_t fed = 0;

    (void)state;
    assert_non_null(block);
    memset(block, 'x', 65536);
    while (result == 0) {
        struct weir_bytes bytes = { block, 65536 };
        result = typed_take(&typed, &bytes, &message);
        fed += 65536;
        assert_true(fed <= 2 * (size_t)TYPED_LINE_BYTES_MAX);
    }
    assert_int_equal(result, -EMSGSIZE);
    typed_fini(&typed);
    free(block);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_stay_as_they_are),
        cmocka_unit_test(crlf_is_added_once),
        cmocka_unit_test(lines_lose_their_newline),
        cmocka_unit_test(hex_lines_are_bytes),
        cmocka_unit_test(a_line_that_is_not_hex_is_refused),
        cmocka_unit_test(a_line_has_a_bound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

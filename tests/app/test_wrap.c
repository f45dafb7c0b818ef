/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Where a typed line ends up: rows and columns, with wide characters and what cannot be drawn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "terminal/wrap.h"
#include "text/utf8.h"

static void expect_place(const wchar_t *text, unsigned columns, unsigned row, unsigned column)
{
    struct wrap wrap = { 0 };

    wrap_text(&wrap, text, wcslen(text), columns);
    if (wrap.row != row || wrap.column != column)
        fail_msg("%ls: row %u column %u, not %u %u", text, wrap.row, wrap.column, row, column);
}

static void text_that_fits_stays_in_its_row(void **state)
{
    (void)state;
    expect_place(L"", 10, 0, 0);
    expect_place(L"#3> hello", 10, 0, 9);
    expect_place(L"\u4f60\u597d", 10, 0, 4);
}

static void behind_the_last_column_is_the_next_row(void **state)
{
    (void)state;
    expect_place(L"#3> hello!", 10, 1, 0);
    expect_place(L"#3> hello!!", 10, 1, 1);
    expect_place(L"01234567890123456789", 10, 2, 0);
    expect_place(L"\u4f60\u597d\u4f60\u597d\u4f60", 10, 1, 0);
}

static void a_wide_character_is_not_cut(void **state)
{
    struct wrap wrap = { .row = 0, .column = 9 };

    (void)state;
    expect_place(L"012345678\u4f60", 10, 1, 2);
    expect_place(L"0\u4f60\u597d\u4f60\u597d\u4f60", 10, 1, 2);
    wrap_before(&wrap, L'x', 10);
    assert_int_equal(wrap.row, 0);
    wrap_before(&wrap, L'\u4f60', 10);
    assert_int_equal(wrap.row, 1);
    assert_int_equal(wrap.column, 0);
}

static void marks_take_no_column(void **state)
{
    (void)state;
    expect_place(L"e\u0301", 10, 0, 1);
}

static void what_cannot_be_drawn_has_a_name(void **state)
{
    (void)state;
    expect_place(L"\x01", 10, 0, 2);
    expect_place(L"012345678\x1b", 10, 1, 1);
    expect_place(L"\u0378", 10, 0, 7);
    expect_place(L"\U000e0fff", 10, 0, 8);
}

static void tabs_go_to_their_stops(void **state)
{
    (void)state;
    expect_place(L"\t", 80, 0, 8);
    expect_place(L"#3> \tx", 80, 0, 9);
    expect_place(L"01234567\t", 10, 1, 0);
}

static void newlines_begin_a_row(void **state)
{
    (void)state;
    expect_place(L"abc\nbck:", 10, 1, 4);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_that_fits_stays_in_its_row),
        cmocka_unit_test(behind_the_last_column_is_the_next_row),
        cmocka_unit_test(a_wide_character_is_not_cut),
        cmocka_unit_test(marks_take_no_column),
        cmocka_unit_test(what_cannot_be_drawn_has_a_name),
        cmocka_unit_test(tabs_go_to_their_stops),
        cmocka_unit_test(newlines_begin_a_row),
    };

    utf8_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

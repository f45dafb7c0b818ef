/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Counts rows and columns as libedit does (its re_addc and re_putc), which does not tell where its
 * cursor is. Pure. Must know no terminal: what is asked for here has been drawn already. */
#include "wrap.h"

#include <wctype.h>

enum { TAB_COLUMNS = 8 };

static void next_row(struct wrap *wrap)
{
    wrap->row++;
    wrap->column = 0;
}

static void add_columns(struct wrap *wrap, unsigned width, unsigned columns)
{
    if (width > 1 && wrap->column + width > columns) next_row(wrap);
    wrap->column += width;
    if (wrap->column >= columns) next_row(wrap);
}

/* Columns of what stands for a character that cannot be drawn: ^A, \U+200B, \U+E0041. They come one by one. */
static unsigned width_of_name(wchar_t character)
{
    if (character < 0x100 && iswcntrl((wint_t)character)) return 2;
    return character > 0xffff ? 8 : 7;
}

static void add_character(struct wrap *wrap, wchar_t character, unsigned columns)
{
    if (character == '\n') {
        next_row(wrap);
    } else if (character == '\t') {
        do
            add_columns(wrap, 1, columns);
        while (wrap->column % TAB_COLUMNS);
    } else if (iswprint((wint_t)character)) {
        const int width = wcwidth(character);
        if (width > 0) add_columns(wrap, (unsigned)width, columns);
    } else {
        for (unsigned i = width_of_name(character); i; i--)
            add_columns(wrap, 1, columns);
    }
}

void wrap_text(struct wrap *wrap, const wchar_t *text, size_t len, unsigned columns)
{
    for (size_t i = 0; i < len; i++)
        add_character(wrap, text[i], columns);
}

void wrap_before(struct wrap *wrap, wchar_t character, unsigned columns)
{
    const int width = wcwidth(character);

    if (width > 1 && wrap->column + (unsigned)width > columns) next_row(wrap);
}

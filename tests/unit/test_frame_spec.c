/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Framing SPECs: which are read, and what is said about those that are not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <weir/error.h>
#include <weir/frame.h>

#include "memory.h"

#define A16 "aaaaaaaaaaaaaaaa"
#define A64 A16 A16 A16 A16
#define ESCAPES "known: \\n \\r \\t \\0 \\a \\b \\e \\f \\v \\\\ \\\" \\' \\xHH"
#define FIELDS "known: u8, u16be, u16le, u24be, u24le, u32be, u32le, u64be, u64le"
#define FRAMINGS "known: raw, line, delimiter, length"

static const struct {
    const char *spec;
    const char *name;
    int reversible;
} good[] = {
    { "raw", "raw", 1 },
    { "line", "line", 1 },
    { "line:crlf", "line", 1 },
    { "delimiter:x", "delimiter", 1 },
    { "delimiter::", "delimiter", 1 },
    { "delimiter:,", "delimiter", 1 },
    { "delimiter:\\x03", "delimiter", 1 },
    { "delimiter:\\0", "delimiter", 1 },
    { "delimiter:\\r\\n", "delimiter", 1 },
    { "delimiter:" A64, "delimiter", 1 },
    { "length:u8", "length", 1 },
    { "length:u16be", "length", 1 },
    { "length:u16le", "length", 1 },
    { "length:u24be", "length", 1 },
    { "length:u24le", "length", 1 },
    { "length:u32be", "length", 1 },
    { "length:u32le", "length", 1 },
    { "length:u64be", "length", 1 },
    { "length:u64le", "length", 1 },
    { "length:u16be,offset=0", "length", 1 },
    { "length:u16be,strip=2", "length", 1 },
    { "length:u16be,strip=0", "length", 0 },
    { "length:u16be,offset=2", "length", 0 },
    { "length:u16be,offset=2,strip=2", "length", 0 },
    { "length:u16be,adjust=-2", "length", 1 },
    { "length:u8,strip=65535,adjust=65535,offset=65535", "length", 0 },
    { "length:u64be,adjust=65535,offset=65535", "length", 0 },
    { "length:u8,adjust=-255", "length", 1 },
};

static void good_specs(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct weir_frame *frame = NULL;
        char error[256] = "untouched";

        assert_int_equal(weir_frame_new(good[i].spec, &frame, error, sizeof error), 0);
        assert_string_equal(error, "untouched");
        assert_string_equal(weir_frame_codec(frame)->name, good[i].name);
        assert_int_equal(weir_frame_is_reversible(frame), good[i].reversible);
        weir_frame_free(frame);
    }
}

static const struct {
    const char *spec;
    const char *sentence; /* behind `frame "SPEC": ` */
} bad[] = {
    { "", "unknown framing \"\"; " FRAMINGS },
    { "lenght:u16be", "unknown framing \"lenght\"; did you mean \"length\"? " FRAMINGS },
    { "Line", "unknown framing \"Line\"; did you mean \"line\"? " FRAMINGS },
    { "lines", "unknown framing \"lines\"; did you mean \"line\"? " FRAMINGS },
    { "delim:x", "unknown framing \"delim\"; did you mean \"delimiter\"? " FRAMINGS },
    { "raw ", "unknown framing \"raw \"; did you mean \"raw\"? " FRAMINGS },
    { "json", "unknown framing \"json\"; " FRAMINGS },
    { A64, "unknown framing \"" A64 "\"; " FRAMINGS },
    { "raw:", "raw takes no options" },
    { "raw:64", "raw takes no options" },
    { "line:", "unknown option \"\"; known: crlf" },
    { "line:clrf", "unknown option \"clrf\"; did you mean \"crlf\"? known: crlf" },
    { "line:crlf,", "unknown option \"crlf,\"; did you mean \"crlf\"? known: crlf" },
    { "delimiter", "needs the bytes that end a message, as in delimiter:\\x03" },
    { "delimiter:", "needs the bytes that end a message, as in delimiter:\\x03" },
    { "delimiter:" A64 "a", "the delimiter has more than 64 bytes" },
    { "delimiter:\\x3", "bad escape at \"\\x3\"; " ESCAPES },
    { "delimiter:ab\\q", "bad escape at \"\\q\"; " ESCAPES },
    { "delimiter:\\", "bad escape at \"\\\"; " ESCAPES },
    { "length", "needs a length field, as in length:u16be" },
    { "length:", "needs a length field, as in length:u16be" },
    { "length:u16", "unknown length field \"u16\"; did you mean \"u16be\"? " FIELDS },
    { "length:u8be", "unknown length field \"u8be\"; did you mean \"u16be\"? " FIELDS },
    { "length:offset=2", "unknown length field \"offset=2\"; " FIELDS },
    { "length:u8,", "unknown option \"\"; known: offset, adjust, strip" },
    { "length:u8,,strip=1", "unknown option \"\"; known: offset, adjust, strip" },
    { "length:u8,ofset=2", "unknown option \"ofset\"; did you mean \"offset\"? known: offset, adjust, strip" },
    { "length:u8,strip", "strip needs a number, as in strip=2" },
    { "length:u8,strip=1,strip=2", "strip is given twice" },
    { "length:u8,strip=", "strip= is not a number from 0 to 65535" },
    { "length:u8,strip=1x", "strip=1x is not a number from 0 to 65535" },
    { "length:u8,strip=+1", "strip=+1 is not a number from 0 to 65535" },
    { "length:u8,strip= 1", "strip= 1 is not a number from 0 to 65535" },
    { "length:u8,strip=0x1", "strip=0x1 is not a number from 0 to 65535" },
    { "length:u8,strip=-1", "strip=-1 is not a number from 0 to 65535" },
    { "length:u8,offset=-1,strip=1", "offset=-1 is not a number from 0 to 65535" },
    { "length:u8,offset=65536", "offset=65536 is not a number from 0 to 65535" },
    { "length:u8,offset=18446744073709551616", "offset=18446744073709551616 is not a number from 0 to 65535" },
    { "length:u8,adjust=-", "adjust=- is not a number from -65535 to 65535" },
    { "length:u8,adjust=--1", "adjust=--1 is not a number from -65535 to 65535" },
    { "length:u8,adjust=-65536", "adjust=-65536 is not a number from -65535 to 65535" },
    { "length:u8,adjust=-256", "no frame is long enough for adjust=-256 and strip=1" },
    { "length:u8,strip=257", "no frame is long enough for adjust=0 and strip=257" },
};

static void bad_specs(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct weir_frame *frame = NULL;
        char error[512] = "", expected[512];

        snprintf(expected, sizeof expected, "frame \"%s\": %s", bad[i].spec, bad[i].sentence);
        assert_int_equal(weir_frame_new(bad[i].spec, &frame, error, sizeof error), WEIR_EFRAME);
        assert_string_equal(error, expected);
        assert_null(frame);
        assert_int_equal(weir_frame_new(bad[i].spec, &frame, NULL, 0), WEIR_EFRAME);
    }
}

/* A sentence that has no room is cut and ended, wherever that is. */
static void sentences_stay_in_their_room(void **state)
{
    char whole[512];
    struct weir_frame *frame = NULL;

    (void)state;
    assert_int_equal(weir_frame_new("lenght:u8", &frame, whole, sizeof whole), WEIR_EFRAME);
    for (size_t room = 1; room <= strlen(whole) + 1; room++) {
        char error[512];
        memset(error, '#', sizeof error);
        assert_int_equal(weir_frame_new("lenght:u8", &frame, error, room), WEIR_EFRAME);
        assert_int_equal(strlen(error), room - 1);
        assert_memory_equal(error, whole, room - 1);
        assert_int_equal(error[room], '#');
    }
}

static int refuse(size_t size)
{
    (void)size;
    return 0;
}

static void out_of_memory_is_an_error(void **state)
{
    struct weir_frame *frame = NULL;
    char error[64];
    int err;

    (void)state;
    weir__memory_set_gate(refuse);
    err = weir_frame_new("line", &frame, error, sizeof error);
    weir__memory_set_gate(NULL);
    assert_int_equal(err, -ENOMEM);
    assert_null(frame);
    assert_string_equal(error, "frame \"line\": out of memory");
}

static void freeing_nothing_is_allowed(void **state)
{
    (void)state;
    weir_frame_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_specs),
        cmocka_unit_test(bad_specs),
        cmocka_unit_test(sentences_stay_in_their_room),
        cmocka_unit_test(out_of_memory_is_an_error),
        cmocka_unit_test(freeing_nothing_is_allowed),
    };

    return cmocka_run_group_tests_name("frame_spec", tests, NULL, NULL);
}

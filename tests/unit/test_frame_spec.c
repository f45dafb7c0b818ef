/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Framing SPECs: which are read, and what is said about those that are not. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <weir/error.h>
#include <weir/frame.h>

#include "memory.h"

#define A16 "aaaaaaaaaaaaaaaa"
#define A64 A16 A16 A16 A16
#define ESCAPES "known: \\n \\r \\t \\0 \\a \\b \\e \\f \\v \\\\ \\\" \\' \\xHH"
#define MARKS "needs the bytes that begin and end a message, as in between:\\x02,\\x03"
#define A_BYTE "is not a byte: \\x7e, 0x7e, 126 or the character itself"
#define MAP_NEEDS "map needs two bytes, as in map=\\x7e:\\x02"
#define FIELDS "known: u8, u16be, u16le, u24be, u24le, u32be, u32le, u64be, u64le"
#define FRAMINGS "known: raw, line, delimiter, fixed, length, varint, octet-count, netstring, between, slip"

static const struct {
    const char *spec;
    const char *name;
    int reversible;
    int sendable; /* although it is not reversible */
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
    { "fixed:1", "fixed", 0 },
    { "fixed:1073741824", "fixed", 0 },
    { "fixed:128,pad=0", "fixed", 0, 1 },
    { "fixed:128,pad=255", "fixed", 0, 1 },
    { "fixed:128,pad=0xfF", "fixed", 0, 1 },
    { "fixed:128,pad=\\x00", "fixed", 0, 1 },
    { "fixed:128,pad= ", "fixed", 0, 1 },
    { "fixed:128,pad==", "fixed", 0, 1 },
    { "varint", "varint", 1 },
    { "octet-count", "octet-count", 1 },
    { "netstring", "netstring", 1 },
    { "between:\\x02,\\x03", "between", 1 },
    { "between:~,~", "between", 1 },
    { "between:aaaaaaaa,\\x2cbbbbbbb", "between", 1 },
    { "between::,=", "between", 1 },
    { "between:~,~,escape=}", "between", 1 },
    { "between:~,~,xor=0x20,escape=}", "between", 1 },
    { "between:~,~,escape=},map=~:^", "between", 1 },
    { "between:~,~,map=~:2,map=}:1,escape=}", "between", 1 },
    { "between:\\x10\\x02,\\x10\\x03,escape=\\x10", "between", 1 },
    { "slip", "slip", 1 },
};

static void good_specs(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct weir_frame *frame = NULL;
        char error[256] = "untouched";

        assert_int_equal(weir_frame_new(good[i].spec, &frame, error, sizeof(error)), 0);
        assert_string_equal(error, "untouched");
        assert_string_equal(weir_frame_codec(frame)->name, good[i].name);
        assert_int_equal(weir_frame_is_reversible(frame), good[i].reversible);
        assert_int_equal(weir_frame_is_sendable(frame), good[i].reversible || good[i].sendable);
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
    { "fixed", "needs the messages' length, as in fixed:128" },
    { "fixed:", "needs the messages' length, as in fixed:128" },
    { "fixed:0", "0 is not a number from 1 to 1073741824" },
    { "fixed:-1", "-1 is not a number from 1 to 1073741824" },
    { "fixed:1073741825", "1073741825 is not a number from 1 to 1073741824" },
    { "fixed:18446744073709551617", "18446744073709551617 is not a number from 1 to 1073741824" },
    { "fixed:8KiB", "8KiB is not a number from 1 to 1073741824" },
    { "fixed:,pad=0", " is not a number from 1 to 1073741824" },
    { "fixed:8,", "unknown option \"\"; known: pad" },
    { "fixed:8,padd=0", "unknown option \"padd\"; did you mean \"pad\"? known: pad" },
    { "fixed:8,pad", "pad needs a byte, as in pad=\\x00" },
    { "fixed:8,pad=", "pad= " A_BYTE },
    { "fixed:8,pad=0,pad=0", "pad is given twice" },
    { "fixed:8,pad=ab", "pad=ab " A_BYTE },
    { "fixed:8,pad=256", "pad=256 " A_BYTE },
    { "fixed:8,pad=0x100", "pad=0x100 " A_BYTE },
    { "fixed:8,pad=0x", "pad=0x " A_BYTE },
    { "fixed:8,pad=-1", "pad=-1 " A_BYTE },
    { "fixed:8,pad=\\x0", "pad=\\x0 " A_BYTE },
    { "fixed:8,pad=\\x00\\x00", "pad=\\x00\\x00 " A_BYTE },
    { "varint:32", "varint takes no options" },
    { "octet-count:", "octet-count takes no options" },
    { "octet_count", "unknown framing \"octet_count\"; did you mean \"octet-count\"? " FRAMINGS },
    { "netstring:9", "netstring takes no options" },
    { "slip:x", "slip takes no options" },
    { "between", MARKS },
    { "between:", MARKS },
    { "between:~", MARKS },
    { "between:~,", MARKS },
    { "between:,~", MARKS },
    { "between:~,,escape=}", MARKS },
    { "between:123456789,~", "START has more than 8 bytes" },
    { "between:~,123456789", "END has more than 8 bytes" },
    { "between:~," A64 A64 A64 A64 A64, "END has more than 8 bytes" },
    { "between:\\x0,~", "bad escape at \"\\x0\"; " ESCAPES },
    { "between:~,\\q,escape=}", "bad escape at \"\\q\"; " ESCAPES },
    { "between:~,~,", "unknown option \"\"; known: escape, map, xor" },
    { "between:~,~,esc=}", "unknown option \"esc\"; did you mean \"escape\"? known: escape, map, xor" },
    { "between:~,~,escape", "escape needs a byte, as in escape=\\x7d" },
    { "between:~,~,escape=", "escape= " A_BYTE },
    { "between:~,~,escape=},escape=}", "escape is given twice" },
    { "between:~,~,escape=},xor=1,xor=1", "xor is given twice" },
    { "between:~,~,escape=},xor=0", "xor=0 changes nothing; leave it out" },
    { "between:~,~,escape=},xor=256", "xor=256 " A_BYTE },
    { "between:~,~,xor=0x20", "xor needs an escape, as in escape=\\x7d" },
    { "between:~,~,map=~:2", "map needs an escape, as in escape=\\x7d" },
    { "between:~,~,escape=},map=~:2,xor=1", "map and xor exclude each other" },
    { "between:~,~,escape=},map", MAP_NEEDS },
    { "between:~,~,escape=},map=", MAP_NEEDS },
    { "between:~,~,escape=},map=~", MAP_NEEDS },
    { "between:~,~,escape=},map=~,2", MAP_NEEDS },
    { "between:~,~,escape=},map=:2", "map= " A_BYTE },
    { "between:~,~,escape=},map=~:", "map=FROM: " A_BYTE },
    { "between:~,~,escape=},map=~:2:3", "map=FROM:2:3 " A_BYTE },
    { "between:~,~,escape=},map=~:2,map=~:3", "map has \\x7e twice on its left" },
    { "between:~,~,escape=},map=~:2,map=a:2", "map has \\x02 twice on its right" },
    { "between:~,~,escape=~", "END has the escape byte in it; it can only be the first of two" },
    { "between:~,~},escape=}", "END has the escape byte in it; it can only be the first of two" },
    { "between:~,}~a,escape=}", "END has the escape byte in it; it can only be the first of two" },
    { "between:~,}},escape=}", "END has the escape byte in it; it can only be the first of two" },
    { "between:~,}~,escape=}", "\\x7e is sent escaped as what is END" },
    { "between:~,}2,escape=},map=a:0x32", "\\x61 is sent escaped as what is END" },
};

static void bad_specs(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct weir_frame *frame = NULL;
        char error[512] = "", expected[512];

        snprintf(expected, sizeof(expected), "frame \"%.100s\": %s", bad[i].spec, bad[i].sentence);
        assert_int_equal(weir_frame_new(bad[i].spec, &frame, error, sizeof(error)), WEIR_EFRAME);
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
    assert_int_equal(weir_frame_new("lenght:u8", &frame, whole, sizeof(whole)), WEIR_EFRAME);
    for (size_t room = 1; room <= strlen(whole) + 1; room++) {
        char error[512];
        memset(error, '#', sizeof(error));
        assert_int_equal(weir_frame_new("lenght:u8", &frame, error, room), WEIR_EFRAME);
        assert_int_equal(strlen(error), room - 1);
        assert_memory_equal(error, whole, room - 1);
        assert_int_equal(error[room], '#');
    }
}

static bool refuse(size_t size)
{
    (void)size;
    return false;
}

static void out_of_memory_is_an_error(void **state)
{
    struct weir_frame *frame = NULL;
    char error[64];
    int err;

    (void)state;
    weir__memory_set_gate(refuse);
    err = weir_frame_new("line", &frame, error, sizeof(error));
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

static void framings_are_told_in_their_order(void **state)
{
    const struct weir_framing *framing = NULL;
    struct weir_frame *frame = NULL;
    char known[512] = "frame \"?\": unknown framing \"?\"; known:";
    char error[512];
    size_t count = 0;

    (void)state;
    while ((framing = weir_framing_get(count))) {
        const size_t len = strlen(known);
        snprintf(known + len, sizeof(known) - len, "%s %.*s", count ? "," : "", (int)strcspn(framing->syntax, "[:"),
                 framing->syntax);
        assert_int_equal(framing->summary[strlen(framing->summary) - 1], '.');
        count++;
    }
    assert_int_equal(weir_frame_new("?", &frame, error, sizeof(error)), WEIR_EFRAME);
    assert_string_equal(error, known);
    assert_null(weir_framing_get(count + 1));
    assert_null(weir_framing_get(SIZE_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_specs),
        cmocka_unit_test(bad_specs),
        cmocka_unit_test(sentences_stay_in_their_room),
        cmocka_unit_test(out_of_memory_is_an_error),
        cmocka_unit_test(freeing_nothing_is_allowed),
        cmocka_unit_test(framings_are_told_in_their_order),
    };

    return cmocka_run_group_tests_name("frame_spec", tests, NULL, NULL);
}

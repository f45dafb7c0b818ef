/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Strangers: who is named, who is not, and how often. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gate/stranger.h"

#define BYTES(text)                                     \
    {                                                   \
        (const unsigned char *)(text), sizeof(text) - 1 \
    }

static const struct {
    const char *name; /* "" when it is nobody in particular */
    struct weir_bytes first;
} cases[] = {
    { "HTTP", BYTES("GET / HTTP/1.1\r\nHost: localhost:8000\r\n") },
    { "HTTP", BYTES("GET /") },
    { "HTTP", BYTES("HEAD /x HTTP/1.0\r\n") },
    { "HTTP", BYTES("POST /x?y HTTP/1.1\r\n") },
    { "HTTP", BYTES("PUT /x HTTP/1.1\r\n") },
    { "HTTP", BYTES("DELETE /x HTTP/1.1\r\n") },
    { "HTTP", BYTES("PATCH /x HTTP/1.1\r\n") },
    { "HTTP", BYTES("TRACE /x HTTP/1.1\r\n") },
    { "HTTP", BYTES("OPTIONS * HTTP/1.1\r\n") },
    { "HTTP", BYTES("GET http://example.org/ HTTP/1.1\r\n") },
    { "HTTP", BYTES("CONNECT example.org:443 HTTP/1.1\r\n") },
    { "HTTP", BYTES("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") },
    { "TLS", BYTES("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03") },
    { "TLS", BYTES("\x16\x03\x00\x00\x2a\x01") },
    { "TLS", BYTES("\x16\x03\x03\x40\x00\x01") },
    { "SSH", BYTES("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n") },
    { "PROXY", BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 53412 8000\r\n") },
    { "PROXY", BYTES("PROXY TCP6 ::1 ::1 53412 8000\r\n") },
    { "PROXY", BYTES("PROXY UNKNOWN\r\n") },
    { "PROXY", BYTES("\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c") },
    { "PROXY", BYTES("\r\n\r\n\0\r\nQUIT\n") },

    { "", BYTES("") },
    { "", BYTES("G") },
    { "", BYTES("GET") },
    { "", BYTES("GET ") },
    { "", BYTES("GETTING /there") },
    { "", BYTES("GET temperature") },
    { "", BYTES("GET 4 readings\n") },
    { "", BYTES("get / HTTP/1.1\r\n") },
    { "", BYTES(" GET / HTTP/1.1\r\n") },
    { "", BYTES("CONNECT unit 4\n") },
    { "", BYTES("PRI * HTTP/") },
    { "", BYTES("PRI 5\n") },
    { "", BYTES("hello\n") },
    { "", BYTES("\x16\x03\x01\x02\x00") },     /* no type yet */
    { "", BYTES("\x16\x03\x05\x02\x00\x01") }, /* no such version */
    { "", BYTES("\x16\x02\x01\x02\x00\x01") },
    { "", BYTES("\x17\x03\x03\x02\x00\x01") },         /* not a handshake */
    { "", BYTES("\x16\x03\x03\x02\x00\x02") },         /* a server's hello */
    { "", BYTES("\x16\x03\x03\x00\x29\x01") },         /* too short for a hello */
    { "", BYTES("\x16\x03\x03\x40\x01\x01") },         /* longer than a record */
    { "", BYTES("\x16\x16\x16\x16\x16\x16\x16\x16") }, /* SYN SYN SYN */
    { "", BYTES("SSH") },
    { "", BYTES("SSH 2.0") },
    { "", BYTES("PROXY") },
    { "", BYTES("PROXY server is down\n") },
    { "", BYTES("\r\n\r\n\0\r\nQUIT") },
    { "", BYTES("\r\n\r\n\r\n\r\n\r\n\r\n") },
};

/* The name, of a copy in memory of exactly that size. */
static const char *name_of(struct weir_bytes first)
{
    unsigned char *copy = malloc(first.len);
    const char *name;

    if (first.len > 0) memcpy(copy, first.data, first.len);
    name = weir__stranger_name((struct weir_bytes){ copy, first.len });
    free(copy);
    return name ? name : "";
}

static void strangers_are_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_string_equal(name_of(cases[i].first), cases[i].name);
}

/* Only what is too short to be known yet may lose its name, and none gets another one. */
static void every_prefix_is_safe(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int named = 0;
        for (size_t len = 0; len <= cases[i].first.len; len++) {
            const char *name = name_of((struct weir_bytes){ cases[i].first.data, len });
            if (named || name[0] != '\0') assert_string_equal(name, cases[i].name);
            named |= name[0] != '\0';
        }
    }
}

/* TLS asks for the least of them, and that is more than 31 bits: by chance it is not among 200,000. */
static void random_bytes_are_nobody(void **state)
{
    uint64_t random = 20261123;
    unsigned char bytes[16];

    (void)state;
    for (int i = 0; i < 200000; i++) {
        for (size_t j = 0; j < sizeof(bytes); j++) {
            random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            bytes[j] = (unsigned char)(random >> 56);
        }
        assert_null(weir__stranger_name((struct weir_bytes){ bytes, sizeof(bytes) }));
    }
}

static struct weir__peer peer(unsigned number, uint16_t port)
{
    struct weir__peer ret = { .family = WEIR__FAMILY_IPV4, .port = port };

    memcpy(ret.addr, &number, sizeof(number));
    return ret;
}

static void an_address_is_news_once_a_minute(void **state)
{
    struct weir__stranger_memory memory = { 0 };
    struct weir__peer one = peer(1, 1000), again = peer(1, 2000), other = peer(2, 1000);
    const uint64_t start = 5; /* a clock that began just now */

    (void)state;
    assert_true(weir__stranger_is_news(&memory, &one, start, false)); /* and was not told: it still is */
    assert_true(weir__stranger_is_news(&memory, &one, start, true));
    assert_false(weir__stranger_is_news(&memory, &one, start, true));
    assert_false(weir__stranger_is_news(&memory, &one, start, false));
    assert_false(weir__stranger_is_news(&memory, &again, start + 30000, true));
    assert_true(weir__stranger_is_news(&memory, &other, start + 30000, true));
    assert_false(weir__stranger_is_news(&memory, &one, start + 59999, true));
    assert_true(weir__stranger_is_news(&memory, &again, start + 60000, true));
    assert_false(weir__stranger_is_news(&memory, &one, start + 119999, true));
    assert_false(weir__stranger_is_news(&memory, &other, start + 89999, true));
    assert_true(weir__stranger_is_news(&memory, &other, start + 90000, true));
}

static void families_are_told_apart(void **state)
{
    struct weir__stranger_memory memory = { 0 };
    struct weir__peer ipv4 = peer(1, 1000), ipv6 = ipv4;

    (void)state;
    ipv6.family = WEIR__FAMILY_IPV6;
    assert_true(weir__stranger_is_news(&memory, &ipv4, 0, true));
    assert_true(weir__stranger_is_news(&memory, &ipv6, 0, true));
    assert_false(weir__stranger_is_news(&memory, &ipv4, 0, true));
}

/* Ten thousand addresses are as many lines a minute as the memory has places, and none has two. */
static void many_addresses_do_not_fill_the_log(void **state)
{
    struct weir__stranger_memory memory = { 0 };
    unsigned news = 0;

    (void)state;
    for (unsigned i = 0; i < 10000; i++) {
        struct weir__peer stranger = peer(i, 1000);
        news += weir__stranger_is_news(&memory, &stranger, i, true);
    }
    assert_int_equal(news, WEIR__STRANGERS_MAX);
    for (unsigned i = 0; i < WEIR__STRANGERS_MAX; i++) {
        struct weir__peer stranger = peer(i, 1000);
        assert_false(weir__stranger_is_news(&memory, &stranger, 10000, true));
    }

    /* Then the oldest makes room, and is forgotten. */
    struct weir__peer late = peer(20000, 1000), first = peer(0, 1000), second = peer(1, 1000);
    assert_true(weir__stranger_is_news(&memory, &late, 60000, true));
    assert_false(weir__stranger_is_news(&memory, &late, 60001, true));
    assert_true(weir__stranger_is_news(&memory, &first, 60001, true)); /* in the place of the second */
    assert_false(weir__stranger_is_news(&memory, &second, 60001, true));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strangers_are_named),     cmocka_unit_test(every_prefix_is_safe),
        cmocka_unit_test(random_bytes_are_nobody), cmocka_unit_test(an_address_is_news_once_a_minute),
        cmocka_unit_test(families_are_told_apart), cmocka_unit_test(many_addresses_do_not_fill_the_log),
    };

    return cmocka_run_group_tests_name("stranger", tests, NULL, NULL);
}

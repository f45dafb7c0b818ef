/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Addresses: what people write, what the resolver makes of it, and how it looks when shown. Asks no name server. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/address.h"

#define P50 "/2345678901234567890123456789012345678901234567890"
#define PATH_107 P50 P50 "/234567"
#define LABEL_64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HOST_256 LABEL_64 LABEL_64 LABEL_64 LABEL_64

/* ---- Reading ---- */

static const struct {
    const char *text;
    int kind;
    const char *host;
    unsigned port;
    const char *path;
} good[] = {
    { "9000", WEIR_URL_TCP, "127.0.0.1", 9000, "" },
    { "0", WEIR_URL_TCP, "127.0.0.1", 0, "" },
    { "65535", WEIR_URL_TCP, "127.0.0.1", 65535, "" },
    { ":9000", WEIR_URL_TCP, "*", 9000, "" },
    { "*:9000", WEIR_URL_TCP, "*", 9000, "" },
    { "localhost:0", WEIR_URL_TCP, "localhost", 0, "" },
    { "db-1.example_x.org:80", WEIR_URL_TCP, "db-1.example_x.org", 80, "" },
    { "0.0.0.0:80", WEIR_URL_TCP, "0.0.0.0", 80, "" },
    { "[::]:80", WEIR_URL_TCP, "::", 80, "" },
    { "[::1]:80", WEIR_URL_TCP, "::1", 80, "" },
    { "[fe80::1%lo]:80", WEIR_URL_TCP, "fe80::1%lo", 80, "" },
    { "[::ffff:10.0.0.1]:80", WEIR_URL_TCP, "::ffff:10.0.0.1", 80, "" },
    { "tcp://127.0.0.1:8000", WEIR_URL_TCP, "127.0.0.1", 8000, "" },
    { "tcp://[::1]:8000", WEIR_URL_TCP, "::1", 8000, "" },
    { "tcp://*:8000", WEIR_URL_TCP, "*", 8000, "" },
    { "tcp://:8000", WEIR_URL_TCP, "*", 8000, "" },
    { "tls://example.org:443", WEIR_URL_TLS, "example.org", 443, "" },
    { "unix:/run/weir.sock", WEIR_URL_UNIX, "", 0, "/run/weir.sock" },
    { "unix:weir.sock", WEIR_URL_UNIX, "", 0, "weir.sock" },
    { "unix:" PATH_107, WEIR_URL_UNIX, "", 0, PATH_107 },
    { "fd:0", WEIR_URL_FD, "", 0, "" },
    { "fd:3", WEIR_URL_FD, "", 3, "" },
    { "fd:2147483647", WEIR_URL_FD, "", 2147483647, "" },
};

static void good_urls(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        char error[256] = "untouched";
        struct weir_url url;

        memset(&url, '#', sizeof(url));
        assert_int_equal(weir_url_parse(good[i].text, &url, error, sizeof(error)), 0);
        assert_int_equal(url.kind, good[i].kind);
        assert_string_equal(url.host, good[i].host);
        assert_int_equal(url.port, good[i].port);
        assert_string_equal(url.path, good[i].path);
        assert_string_equal(error, "untouched");
    }
}

#define PORTS "is not a number from 0 to 65535"
#define NEITHER "neither a port, as in 8000, nor HOST:PORT, as in localhost:8000"

static const struct {
    const char *text;
    const char *sentence; /* behind `address "TEXT": ` */
} bad[] = {
    { "", NEITHER },
    { "localhost", NEITHER },
    { "9000x", NEITHER },
    { " 9000", NEITHER },
    { "+9000", NEITHER },
    { "-1", NEITHER },
    { "65536", "port \"65536\" " PORTS },
    { "99999999999999999999", "port \"99999999999999999999\" " PORTS },
    { ":", "port \"\" " PORTS },
    { ":-1", "port \"-1\" " PORTS },
    { ":+80", "port \"+80\" " PORTS },
    { ": 80", "port \" 80\" " PORTS },
    { ":80 ", "port \"80 \" " PORTS },
    { ":0x50", "port \"0x50\" " PORTS },
    { ":http", "port \"http\" " PORTS },
    { "localhost:80:90", "port \"80:90\" " PORTS },
    { "tcp://localhost:65536", "port \"65536\" " PORTS },
    { "tcp://localhost:80/", "port \"80/\" " PORTS },
    { "tcp://localhost", "needs a port, as in localhost:8000" },
    { "tcp://", "needs a port, as in localhost:8000" },
    { "tls://8000", "needs a port, as in localhost:8000" },
    { "::1:8000", "an IPv6 address stands in brackets, as in [::1]:8000" },
    { "tcp://fe80::1:8000", "an IPv6 address stands in brackets, as in [::1]:8000" },
    { "[::1", "\"[\" without \"]\"" },
    { "[::1]", "needs a port, as in [::1]:8000" },
    { "[::1]8000", "needs a port, as in [::1]:8000" },
    { "[::1]:", "port \"\" " PORTS },
    { "[]:80", "\"\" is not an IPv6 address; only those stand in brackets" },
    { "[localhost]:80", "\"localhost\" is not an IPv6 address; only those stand in brackets" },
    { "[127.0.0.1]:80", "\"127.0.0.1\" is not an IPv6 address; only those stand in brackets" },
    { "a b:80", "\"a b\" is not a host name" },
    { "**:80", "\"**\" is not a host name" },
    { "user@host:80", "\"user@host\" is not a host name" },
    { HOST_256 ":80", "the host has more than 255 bytes" },
    { "http://localhost:80", "unknown scheme \"http\"; known: tcp://HOST:PORT, tls://HOST:PORT, unix:PATH, fd:N" },
    { "TCP://localhost:80", "unknown scheme \"TCP\"; known: tcp://HOST:PORT, tls://HOST:PORT, unix:PATH, fd:N" },
    { "unix:", "needs a path, as in unix:/run/weir.sock" },
    { "unix:" PATH_107 "8", "the path has 108 bytes; at most 107" },
    { "fd:", "needs the number of a descriptor, as in fd:3" },
    { "fd:-1", "needs the number of a descriptor, as in fd:3" },
    { "fd:2147483648", "needs the number of a descriptor, as in fd:3" },
    { "fd:3x", "needs the number of a descriptor, as in fd:3" },
};

static void bad_urls(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char *text = strdup(bad[i].text); /* exactly as long as it is */
        char error[512], expected[512];
        struct weir_url url = { .kind = 77 };

        snprintf(expected, sizeof(expected), "address \"%.150s\": %s", bad[i].text, bad[i].sentence);
        assert_int_equal(weir_url_parse(text, &url, error, sizeof(error)), WEIR_EADDRESS);
        assert_string_equal(error, expected);
        assert_int_equal(url.kind, 77);
        assert_int_equal(weir_url_parse(text, &url, NULL, 0), WEIR_EADDRESS);
        assert_int_equal(weir_url_parse(text, &url, error, 20), WEIR_EADDRESS);
        assert_true(strlen(error) < 20);
        free(text);
    }
}

/* ---- Resolving ---- */

#define ROOM 8

static struct weir__address found[ROOM];
static unsigned found_count;

static int resolve(const char *text, bool passive, int *ret_gai_error)
{
    struct weir_url url;

    assert_int_equal(weir_url_parse(text, &url, NULL, 0), 0);
    memset(found, '#', sizeof(found));
    found_count = 77;
    return weir__url_resolve(&url, passive, found, ROOM, &found_count, ret_gai_error);
}

static const char *found_text(unsigned i)
{
    static char text[WEIR_ADDRESS_BYTES_MAX];

    assert_true(i < found_count);
    return weir__sockaddr_text((const struct sockaddr *)&found[i].addr, found[i].len, found[i].dual_stack, text);
}

static int is_found(const char *text)
{
    int times = 0;

    for (unsigned i = 0; i < found_count; i++)
        times += strcmp(found_text(i), text) == 0;
    return times;
}

/* Each resolves to one address, the same for binding and for connecting, and shows as the URL it was. */
static void numbers_resolve_to_themselves(void **state)
{
    static const char *const urls[][2] = {
        { "8000", "tcp://127.0.0.1:8000" },         { "tcp://127.0.0.1:0", "tcp://127.0.0.1:0" },
        { "0.0.0.0:65535", "tcp://0.0.0.0:65535" }, { "[::1]:16415", "tcp://[::1]:16415" },
        { "[::]:8000", "tcp://[::]:8000" },         { "tls://[2001:db8::1]:443", "tcp://[2001:db8::1]:443" },
        { "unix:/run/x", "unix:/run/x" },           { "unix:" PATH_107, "unix:" PATH_107 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        for (int passive = 0; passive <= 1; passive++) {
            int gai_error = 77;
            assert_int_equal(resolve(urls[i][0], passive != 0, &gai_error), 0);
            assert_int_equal(gai_error, 0);
            assert_int_equal(found_count, 1);
            assert_false(found[0].dual_stack);
            assert_string_equal(found_text(0), urls[i][1]);
        }
    }
}

static void every_address_is_one_socket(void **state)
{
    struct sockaddr_in6 any;
    int gai_error;

    (void)state;
    assert_int_equal(resolve(":8000", 1, &gai_error), 0);
    assert_int_equal(found_count, 1);
    assert_true(found[0].dual_stack);
    assert_int_equal(found[0].len, sizeof(any));
    memcpy(&any, &found[0].addr, sizeof(any));
    assert_int_equal(any.sin6_family, AF_INET6);
    assert_int_equal(any.sin6_port, htons(8000));
    assert_memory_equal(&any.sin6_addr, &in6addr_any, sizeof(any.sin6_addr));
    assert_string_equal(found_text(0), "tcp://*:8000");
}

static void connecting_to_every_address_means_this_machine(void **state)
{
    int gai_error;

    (void)state;
    assert_int_equal(resolve("*:8000", 0, &gai_error), 0);
    assert_int_equal(is_found("tcp://127.0.0.1:8000"), 1);
    assert_int_equal(is_found("tcp://[::1]:8000"), 1);
    assert_int_equal(found_count, 2);
}

/* /etc/hosts often names localhost twice. */
static void localhost_has_no_duplicates(void **state)
{
    int gai_error;

    (void)state;
    for (int passive = 0; passive <= 1; passive++) {
        assert_int_equal(resolve("localhost:8000", passive != 0, &gai_error), 0);
        assert_int_equal(is_found("tcp://127.0.0.1:8000"), 1);
        assert_true(is_found("tcp://[::1]:8000") <= 1);
        for (unsigned i = 0; i < found_count; i++)
            assert_false(found[i].dual_stack);
    }
}

static void no_more_than_there_is_room_for(void **state)
{
    struct weir_url url;
    int gai_error;

    (void)state;
    assert_int_equal(weir_url_parse("*:8000", &url, NULL, 0), 0);
    memset(found, '#', sizeof(found));
    assert_int_equal(weir__url_resolve(&url, false, found, 1, &found_count, &gai_error), 0);
    assert_int_equal(found_count, 1);
    assert_int_equal(found[1].len, 0x23232323);
}

/* A label of 64 letters is one too long to be asked for, so no name server is. */
static void a_name_that_cannot_be(void **state)
{
    int gai_error = 0;

    (void)state;
    assert_int_equal(resolve(LABEL_64 ":80", 0, &gai_error), WEIR_ERESOLVE);
    assert_int_not_equal(gai_error, 0);
    assert_non_null(gai_strerror(gai_error));
}

/* A text that weir__sockaddr_text wrote is a URL that leads to the same address. */
static void bound_addresses_read_back(void **state)
{
    static const char *const urls[] = { "tcp://127.0.0.1:8000", "tcp://[::1]:8000", "tcp://*:8000", "unix:/run/x" };
    struct weir__address before;
    int gai_error;

    (void)state;
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        assert_int_equal(resolve(urls[i], 1, &gai_error), 0);
        before = found[0];
        assert_int_equal(resolve(found_text(0), 1, &gai_error), 0);
        assert_memory_equal(&before, &found[0], sizeof(before));
    }
}

/* ---- Showing ---- */

/* A socket's own idea of its address: unnamed, then named by bind. */
static void unix_sockets_show_their_path(void **state)
{
    char folder[] = "/tmp/weir-address-XXXXXX";
    char text[WEIR_ADDRESS_BYTES_MAX], expected[WEIR_ADDRESS_BYTES_MAX];
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    socklen_t len = sizeof(name);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)state;
    assert_true(fd >= 0);
    assert_non_null(mkdtemp(folder));
    assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &len), 0);
    assert_string_equal(weir__sockaddr_text((const struct sockaddr *)&name, len, false, text), "unix:");

    snprintf(name.sun_path, sizeof(name.sun_path), "%s/s", folder);
    snprintf(expected, sizeof(expected), "unix:%s", name.sun_path);
    assert_int_equal(bind(fd, (const struct sockaddr *)&name, sizeof(name)), 0);
    len = sizeof(name);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &len), 0);
    assert_string_equal(weir__sockaddr_text((const struct sockaddr *)&name, len, false, text), expected);

    assert_int_equal(unlink(name.sun_path), 0);
    assert_int_equal(rmdir(folder), 0);
    close(fd);
}

/* 108 bytes of path without a NUL, in memory of exactly that size. */
static void a_path_without_end(void **state)
{
    struct sockaddr_un *name = malloc(sizeof(*name));
    char text[WEIR_ADDRESS_BYTES_MAX];

    (void)state;
    assert_non_null(name);
    name->sun_family = AF_UNIX;
    memset(name->sun_path, 'p', sizeof(name->sun_path));
    weir__sockaddr_text((const struct sockaddr *)name, sizeof(*name), false, text);
    assert_int_equal(strlen(text), strlen("unix:") + sizeof(name->sun_path));
    free(name);
}

static void families_that_are_unknown(void **state)
{
    const struct sockaddr strange = { .sa_family = AF_APPLETALK };
    char text[WEIR_ADDRESS_BYTES_MAX];
    struct weir__peer peer;

    (void)state;
    assert_string_equal(weir__sockaddr_text(&strange, sizeof(strange), false, text), "unknown");
    weir__peer_from_sockaddr(&strange, sizeof(strange), &peer);
    assert_int_equal(peer.family, WEIR__FAMILY_NONE);
    assert_string_equal(weir__peer_text(&peer, text), "unknown");
}

static const struct {
    int family;
    const char *host;
    uint16_t port;
    enum weir__family as;
    const char *text;
} peers[] = {
    { AF_INET, "127.0.0.1", 53412, WEIR__FAMILY_IPV4, "127.0.0.1:53412" },
    { AF_INET, "255.255.255.255", 65535, WEIR__FAMILY_IPV4, "255.255.255.255:65535" },
    { AF_INET6, "::1", 53412, WEIR__FAMILY_IPV6, "[::1]:53412" },
    { AF_INET6, "2001:db8::1", 1, WEIR__FAMILY_IPV6, "[2001:db8::1]:1" },
    { AF_INET6, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535, WEIR__FAMILY_IPV6,
      "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535" },
    { AF_INET6, "::ffff:192.0.2.23", 8000, WEIR__FAMILY_IPV4, "192.0.2.23:8000" },
};

static socklen_t make_sockaddr(int family, const char *host, uint16_t port, struct sockaddr_storage *ret)
{
    struct sockaddr_in ipv4 = { .sin_family = AF_INET, .sin_port = htons(port) };
    struct sockaddr_in6 ipv6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };

    if (family == AF_INET) {
        assert_int_equal(inet_pton(AF_INET, host, &ipv4.sin_addr), 1);
        memcpy(ret, &ipv4, sizeof(ipv4));
        return sizeof(ipv4);
    }
    assert_int_equal(inet_pton(AF_INET6, host, &ipv6.sin6_addr), 1);
    memcpy(ret, &ipv6, sizeof(ipv6));
    return sizeof(ipv6);
}

static void peers_show_as_people_write_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(peers) / sizeof(peers[0]); i++) {
        char text[WEIR_ADDRESS_BYTES_MAX];
        struct sockaddr_storage address;
        struct weir__peer peer;
        socklen_t len = make_sockaddr(peers[i].family, peers[i].host, peers[i].port, &address);

        weir__peer_from_sockaddr((const struct sockaddr *)&address, len, &peer);
        assert_int_equal(peer.family, peers[i].as);
        assert_int_equal(peer.port, peers[i].port);
        assert_ptr_equal(weir__peer_text(&peer, text), text);
        assert_string_equal(text, peers[i].text);

        /* An address that is cut short is not read past its end. */
        weir__peer_from_sockaddr((const struct sockaddr *)&address, len - 1, &peer);
        assert_int_equal(peer.family, WEIR__FAMILY_NONE);
    }
}

static void peers_of_unix_sockets(void **state)
{
    const struct sockaddr_un name = { .sun_family = AF_UNIX };
    char text[WEIR_ADDRESS_BYTES_MAX];
    struct weir__peer peer;

    (void)state;
    /* accept(2) gives an unnamed one, of the family alone. */
    weir__peer_from_sockaddr((const struct sockaddr *)&name, sizeof(name.sun_family), &peer);
    assert_string_equal(weir__peer_text(&peer, text), "unix");
    weir__peer_from_sockaddr((const struct sockaddr *)&name, 0, &peer);
    assert_string_equal(weir__peer_text(&peer, text), "unknown");
}

static void peers_are_small(void **state)
{
    (void)state;
    assert_true(sizeof(struct weir__peer) <= 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_urls),
        cmocka_unit_test(bad_urls),
        cmocka_unit_test(numbers_resolve_to_themselves),
        cmocka_unit_test(every_address_is_one_socket),
        cmocka_unit_test(connecting_to_every_address_means_this_machine),
        cmocka_unit_test(localhost_has_no_duplicates),
        cmocka_unit_test(no_more_than_there_is_room_for),
        cmocka_unit_test(a_name_that_cannot_be),
        cmocka_unit_test(bound_addresses_read_back),
        cmocka_unit_test(unix_sockets_show_their_path),
        cmocka_unit_test(a_path_without_end),
        cmocka_unit_test(families_that_are_unknown),
        cmocka_unit_test(peers_show_as_people_write_them),
        cmocka_unit_test(peers_of_unix_sockets),
        cmocka_unit_test(peers_are_small),
    };

    return cmocka_run_group_tests_name("address", tests, NULL, NULL);
}

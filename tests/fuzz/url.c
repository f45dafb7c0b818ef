/* SPDX-License-Identifier: BSD-3-Clause
 *
 * weir_url_parse: a URL is read or refused with a sentence that stays in its room, and one that has been read, written
 * out whole, is read as the same. */
#include <string.h>

#include <weir/error.h>
#include <weir/weir.h>

#include "net/address.h"
#include "text.h"

static void write_again(const struct weir_url *url)
{
    char text[WEIR__URL_BYTES_MAX], error[256];
    struct weir_url again;

    memset(&again, 0xa5, sizeof(again));
    weir__url_text(url, text);
    REQUIRE(strlen(text) + 1 < sizeof(text)); /* not cut */
    REQUIRE(weir_url_parse(text, &again, error, sizeof(error)) == 0);
    REQUIRE(again.kind == url->kind && again.port == url->port);
    REQUIRE(strcmp(again.host, url->host) == 0 && strcmp(again.path, url->path) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size);
    size_t room = 1 + strlen(text) % 300;
    char *error = (char *)fuzz_block(room);
    struct weir_url url, again;
    int err;

    memset(&url, 0xa5, sizeof(url));
    err = weir_url_parse(text, &url, error, room);
    REQUIRE(err == 0 || err == WEIR_EADDRESS);
    REQUIRE(weir_url_parse(text, &again, NULL, 0) == err);
    if (err) REQUIRE(memchr(error, '\0', room) && (room == 1 || error[0] != '\0'));
    if (!err) {
        REQUIRE(memchr(url.host, '\0', sizeof(url.host)) && memchr(url.path, '\0', sizeof(url.path)));
        REQUIRE(url.port <= 65535 || url.kind == WEIR_URL_FD);
        write_again(&url);
    }
    free(error);
    free(text);
    return 0;
}

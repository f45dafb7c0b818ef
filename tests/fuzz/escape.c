/* SPDX-License-Identifier: BSD-3-Clause
 *
 * weir_unescape: what a text stands for never depends on where it is written, never takes more room than it says, and
 * is what its bytes, written as \xHH, stand for. */
#include <errno.h>
#include <string.h>

#include <weir/frame.h>

#include "text.h"

/* In a block of exactly as many bytes as there are. */
static void write_again(const char *text, const unsigned char *bytes, size_t len)
{
    char *hex = (char *)fuzz_block(len * 4 + 1);
    unsigned char *again = fuzz_block(len);
    size_t again_len = 0;

    hex[0] = '\0';
    for (size_t i = 0; i < len; i++)
        snprintf(hex + i * 4, 5, "\\x%02x", bytes[i]);
    REQUIRE(weir_unescape(hex, again, len, &again_len) == 0);
    REQUIRE(again_len == len && memcmp(again, bytes, len) == 0);
    REQUIRE(weir_unescape(text, again, len, &again_len) == 0);
    REQUIRE(again_len == len && memcmp(again, bytes, len) == 0);
    if (len > 0) REQUIRE(weir_unescape(text, again, len - 1, &again_len) == -ENOBUFS);
    free(again);
    free(hex);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size);
    size_t text_len = strlen(text), len = SIZE_MAX, len_in_place = SIZE_MAX;
    unsigned char *bytes = fuzz_block(text_len);
    int err = weir_unescape(text, bytes, text_len, &len);

    REQUIRE(err == 0 || err == -EINVAL);
    if (err) REQUIRE(len < text_len && text[len] == '\\');
    if (!err) {
        REQUIRE(len <= text_len);
        write_again(text, bytes, len);
        REQUIRE(weir_unescape(text, (unsigned char *)text, text_len, &len_in_place) == 0);
        REQUIRE(len_in_place == len && memcmp(text, bytes, len) == 0);
    }
    free(bytes);
    free(text);
    return 0;
}

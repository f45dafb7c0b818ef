/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Cuts input into what is sent. Pure: bytes in, bytes out. Must never hold more than one line. */
#include "typed.h"

#include <errno.h>
#include <string.h>

#include "text/hex.h"

static int take_converted(struct typed *typed, struct weir_bytes *bytes, struct weir_bytes *ret)
{
    line_clear(&typed->converted);
    for (size_t i = 0; i < bytes->len; i++) {
        if (bytes->data[i] == '\n' && !typed->after_cr) line_add(&typed->converted, "\r", 1);
        line_add(&typed->converted, &bytes->data[i], 1);
        typed->after_cr = bytes->data[i] == '\r';
    }
    if (typed->converted.failed) return -ENOMEM;
    *ret = (struct weir_bytes){ (const unsigned char *)typed->converted.bytes, typed->converted.len };
    *bytes = (struct weir_bytes){ NULL, 0 };
    return 1;
}

static struct weir_bytes without_newline(struct weir_bytes line)
{
    if (line.len && line.data[line.len - 1] == '\n') line.len--;
    if (line.len && line.data[line.len - 1] == '\r') line.len--;
    return line;
}

static int take_line(struct typed *typed, struct weir_bytes *bytes, struct weir_bytes *ret)
{
    const unsigned char *newline = memchr(bytes->data, '\n', bytes->len);
    const size_t len = newline ? (size_t)(newline - bytes->data) + 1 : bytes->len;
    struct weir_bytes line = { bytes->data, len };

    if (typed->partial_is_taken) line_clear(&typed->partial);
    typed->partial_is_taken = false;
    if (typed->partial.len + len > TYPED_LINE_BYTES_MAX + 2) return -EMSGSIZE;
    if (!newline || typed->partial.len) {
        line_add(&typed->partial, line.data, line.len);
        if (typed->partial.failed) return -ENOMEM;
        line = (struct weir_bytes){ (const unsigned char *)typed->partial.bytes, typed->partial.len };
        typed->partial_is_taken = newline != NULL;
    }
    bytes->data += len;
    bytes->len -= len;
    if (!newline) return 0;
    typed->lines++;
    *ret = without_newline(line);
    return ret->len > TYPED_LINE_BYTES_MAX ? -EMSGSIZE : 1;
}

/* What a line of hex says. Returns 1, 0 for a line of blanks, or a negative code. */
static int convert_hex(struct typed *typed, struct weir_bytes line, struct weir_bytes *ret)
{
    struct line *converted = &typed->converted;
    char error[HEX_ERROR_BYTES_MAX];

    line_clear(converted);
    line_add(converted, line.data, line.len);
    line_add(converted, "", 1);
    if (converted->failed) return -ENOMEM;
    if (strlen(converted->bytes) != line.len) return -EBADMSG;
    if (hex_parse(converted->bytes, (unsigned char *)converted->bytes, &converted->len, error)) return -EBADMSG;
    *ret = (struct weir_bytes){ (const unsigned char *)converted->bytes, converted->len };
    return converted->len > 0;
}

static int take_hex(struct typed *typed, struct weir_bytes *bytes, struct weir_bytes *ret)
{
    struct weir_bytes line;
    int result = 0;

    while (bytes->len && (result = take_line(typed, bytes, &line)) > 0) {
        result = convert_hex(typed, line, ret);
        if (result) return result;
    }
    return result;
}

int typed_take(struct typed *typed, struct weir_bytes *bytes, struct weir_bytes *ret)
{
    if (!bytes->len) return 0;
    if (typed->form == TYPED_LINES) return take_line(typed, bytes, ret);
    if (typed->form == TYPED_HEX) return take_hex(typed, bytes, ret);
    if (typed->form == TYPED_CRLF) return take_converted(typed, bytes, ret);
    *ret = *bytes;
    *bytes = (struct weir_bytes){ NULL, 0 };
    return 1;
}

int typed_take_rest(struct typed *typed, struct weir_bytes *ret)
{
    if (typed->partial_is_taken || !typed->partial.len) return 0;
    typed->partial_is_taken = true;
    typed->lines++;
    *ret = (struct weir_bytes){ (const unsigned char *)typed->partial.bytes, typed->partial.len };
    if (ret->len > TYPED_LINE_BYTES_MAX) return -EMSGSIZE;
    return typed->form == TYPED_HEX ? convert_hex(typed, *ret, ret) : 1;
}

void typed_fini(struct typed *typed)
{
    line_fini(&typed->partial);
    line_fini(&typed->converted);
}

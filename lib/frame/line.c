/* SPDX-License-Identifier: BSD-3-Clause
 *
 * line: a message ends at LF, and one CR directly before it belongs to the line's end. Any other CR is a byte like
 * others. Sending adds LF, or CRLF, to text that has no line end yet; line ends inside it are sent as they are and
 * arrive as the ends of several messages. It must never look at a byte in two calls: whether the last one was a CR is
 * remembered, because its LF may come with the next read. */
#include <errno.h>
#include <string.h>

#include "frame_internal.h"
#include "until.h"

struct line_config {
    bool crlf; /* sent lines end with CR LF */
};

static enum weir_decoded line_decode(const void *config, void *state, struct weir_decode *decode)
{
    struct weir__until *until = state;
    const unsigned char *lf = NULL;
    size_t at, cr;

    (void)config;
    if (decode->len > until->scanned) lf = memchr(decode->bytes + until->scanned, '\n', decode->len - until->scanned);
    if (!lf) {
        if (decode->len > until->scanned) until->partial = decode->bytes[decode->len - 1] == '\r';
        return weir__until_more(until, decode);
    }
    at = (size_t)(lf - decode->bytes);
    cr = at > until->scanned ? decode->bytes[at - 1] == '\r' : until->partial;
    return weir__until_end(until, decode, at + 1, cr + 1, 0);
}

static size_t line_encoded_bytes_max(const void *config, size_t len)
{
    const struct line_config *line = config;

    return len + (line->crlf ? 2 : 1);
}

static ssize_t line_encode(const void *config, struct weir_bytes message, unsigned char *ret, size_t room)
{
    const struct line_config *line = config;
    size_t len = message.len;

    if (room < line_encoded_bytes_max(config, len)) return -ENOBUFS;
    if (len > 0) memcpy(ret, message.data, len);
    if (len > 0 && ret[len - 1] == '\n') {
        if (!line->crlf || (len > 1 && ret[len - 2] == '\r')) return (ssize_t)len;
        len--; /* a bare LF makes way for CR LF */
    }
    if (line->crlf) ret[len++] = '\r';
    ret[len++] = '\n';
    return (ssize_t)len;
}

static int line_parse(const struct weir__spec *spec, void *config)
{
    static const char *const known[] = { "crlf", NULL };
    struct line_config *line = config;

    if (!spec->options) return 0;
    if (strcmp(spec->options, "crlf") != 0) {
        return weir__spec_fail_unknown(
            spec, "option", (struct weir_bytes){ (const unsigned char *)spec->options, strlen(spec->options) }, known);
    }
    line->crlf = true;
    return 0;
}

const struct weir_codec weir__codec_line =
    WEIR_CODEC(.name = "line", .state_bytes = sizeof(struct weir__until), .decode = line_decode,
               .encoded_bytes_max = line_encoded_bytes_max, .encode = line_encode);

const struct weir__framing weir__framing_line = {
    .codec = &weir__codec_line,
    .about = { "line[:crlf]", "LF ends a message, and a CR before it goes with it. Sends LF, or with crlf CR LF." },
    .config_bytes = sizeof(struct line_config),
    .parse = line_parse
};

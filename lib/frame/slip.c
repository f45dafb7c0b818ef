/* SPDX-License-Identifier: BSD-3-Clause
 *
 * slip: RFC 1055. A case of between: END on both sides, and two bytes escaped. As there, a sender need not begin with
 * END, so what comes before the first one is a message. An ESC with any other byte behind it is malformed: the RFC
 * leaves that open, but over TCP no byte is lost, so whoever sends one speaks something else. It must never know how
 * frames are found. */
#include "between.h"
#include "frame_internal.h"

enum { END = 0xc0, ESC = 0xdb, ESC_END = 0xdc, ESC_ESC = 0xdd };

static int slip_parse(const struct weir__spec *spec, void *config)
{
    struct weir__between *between = config;

    if (spec->options) return weir__spec_fail(spec, "slip takes no options");
    between->start.bytes[0] = between->end.bytes[0] = END;
    between->start.len = between->end.len = 1;
    weir__between_init(between);
    between->starts_open = true;
    between->escape = ESC;
    weir__between_map(between, END, ESC_END);
    weir__between_map(between, ESC, ESC_ESC);
    return 0;
}

const struct weir_codec weir__codec_slip =
    WEIR_CODEC(.name = "slip", .state_bytes = sizeof(struct weir__between_state), .decode = weir__between_decode,
               .encoded_bytes_max = weir__between_encoded_bytes_max, .encode = weir__between_encode);

const struct weir__framing weir__framing_slip = { .codec = &weir__codec_slip,
                                                  .about = { "slip", "RFC 1055." },
                                                  .config_bytes = sizeof(struct weir__between),
                                                  .parse = slip_parse };

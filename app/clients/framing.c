/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app/clients/framing.c: reads a service's framing as the library does, for those who must know before it listens. */
#include "framing.h"

#include <stdbool.h>
#include <string.h>

struct weir_frame *framing_asked_for(const struct weir_service *service)
{
    const bool same = !service->send_frame || strcmp(service->send_frame, "same") == 0;
    const char *const spec = same ? service->frame : service->send_frame;
    struct weir_frame *frame = NULL;

    if (!spec || strcmp(spec, "raw") == 0 || weir_frame_new(spec, &frame, NULL, 0)) return NULL;
    return frame;
}

struct weir_frame *framing_of_sent(const struct weir_service *service)
{
    struct weir_frame *const frame = framing_asked_for(service);

    if (!frame) return NULL;
    if (weir_frame_is_sendable(frame) && weir_frame_codec(frame)->encode) return frame;
    weir_frame_free(frame);
    return NULL;
}

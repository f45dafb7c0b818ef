/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What this program is made of, for bug reports: the libraries that run, and what it was built with. The
 * build passes WEIR_COMPILER and WEIR_LIBEVENT_PACKAGE. */
#include "version.h"

#include <event2/event.h>
#include <yaml.h>

#include <weir/version.h>

void version_print(FILE *file)
{
    fprintf(file, "weir %s\nlibevent %s%s\nlibyaml %s\ncompiled with %s\n", weir_version(), event_get_version(),
            WEIR_LIBEVENT_PACKAGE, yaml_get_version_string(), WEIR_COMPILER);
}

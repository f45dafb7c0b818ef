/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The sentence for a call that the engine refuses whatever it was asked for. */
#include <errno.h>

#include "engine.h"
#include "fail.h"

int weir__misuse(const struct weir *weir, const char *call, const char *argument)
{
    if (weir && weir__is_foreign(weir))
        return weir__fail(weir, WEIR_EFORKED, "%s: %s; fork before weir_new", call, weir_strerror(WEIR_EFORKED));
    return weir__fail(weir, -EINVAL, "%s: the %s is NULL", call, weir ? argument : "engine");
}

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * How a function says what went wrong in a sentence. */
#ifndef WEIR__FAIL_H
#define WEIR__FAIL_H

#include "portable.h"

struct weir;

/* Remembers the sentence for weir_error_text in this thread, and returns code, so that a failure is one line:
 * `return weir__fail(weir, -EINVAL, "workers: %u is more than 256", n);` weir may be NULL. */
int weir__fail(const struct weir *weir, int code, const char *format, ...) WEIR__PRINTF(3, 4);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * weir/error.h: one error convention. Every function that can fail returns 0 or a positive result, or a negative
 * code: -errno where the system has a name for it (errno(3)), or one of the codes below. */
#ifndef WEIR_ERROR_H
#define WEIR_ERROR_H

#include <weir/version.h>

#ifdef __cplusplus
extern "C" {
#endif

enum weir_error {
    WEIR_EADDRESS = -5001, /* an address or URL that cannot be read */
    WEIR_EFRAME = -5002,   /* a framing SPEC that cannot be read */
    WEIR_ECONFIG = -5003,  /* a value of a config or service that is out of its range */
    WEIR_ECLOSING = -5004, /* the connection is closing: nothing more can be sent on it */
    WEIR_ERESOLVE = -5005, /* a host name that does not resolve; the sentence has the resolver's reason */
    WEIR_ESTOPPED = -5006, /* the engine has been stopped, or has run already */
    WEIR_EFORKED = -5007,  /* the engine belongs to the process that made it, and this one was forked from that */
    WEIR_ECLOSED = -5008   /* the listener has been closed */
};

/* A short text for any code this library returns: "address already in use", "the connection is closing". Takes the code
 * as returned, negative; 0 is "no error". Static or thread-local text, valid until the thread's next call. Any thread.
 */
WEIR_PUBLIC const char *weir_strerror(int code);

#ifdef __cplusplus
}
#endif

#endif

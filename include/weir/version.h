/* SPDX-License-Identifier: BSD-3-Clause
 *
 * weir/version.h: which weir this is. */
#ifndef WEIR_VERSION_H
#define WEIR_VERSION_H

#define WEIR_VERSION_MAJOR 0
#define WEIR_VERSION_MINOR 1
#define WEIR_VERSION_PATCH 0

#define WEIR_VERSION "0.1.0"

#if defined(__GNUC__) || defined(__clang__)
#define WEIR_PUBLIC __attribute__((visibility("default")))
#else
#define WEIR_PUBLIC
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The version of the library that is running, as "0.1.0"; WEIR_VERSION is the one compiled against.
 * Static text. Any thread. */
WEIR_PUBLIC const char *weir_version(void);

#ifdef __cplusplus
}
#endif

#endif

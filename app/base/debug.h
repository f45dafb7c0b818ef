/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Assertions on the way of each message. */
#ifndef APP_BASE_DEBUG_H
#define APP_BASE_DEBUG_H

#include <assert.h>

/* Asserted only in builds that look for faults (meson.build); elsewhere it is compiled and never evaluated. */
#ifdef WEIR_DEBUG
#define DEBUG_ASSERT(condition) assert(condition)
#else
#define DEBUG_ASSERT(condition) ((void)(0 && (condition)))
#endif

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The one place for what differs between compilers and their modes. */
#ifndef WEIR__PORTABLE_H
#define WEIR__PORTABLE_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h> /* glibc tells its version with it */

/* AddressSanitizer sees a use after free only of what malloc gave; memory that we hand out ourselves is marked by hand.
 */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEIR__ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define WEIR__ASAN 1
#endif

#if defined(WEIR__ASAN)
#include <sanitizer/asan_interface.h>
#define WEIR__POISON(address, len) ASAN_POISON_MEMORY_REGION(address, len)
#define WEIR__UNPOISON(address, len) ASAN_UNPOISON_MEMORY_REGION(address, len)
#else
#define WEIR__POISON(address, len) ((void)(address), (void)(len))
#define WEIR__UNPOISON(address, len) ((void)(address), (void)(len))
#endif

/* gcc and clang agree on the attribute, and not on the comment. */
#define WEIR__FALLTHROUGH __attribute__((fallthrough))

/* For what is rare: inlined it would cost those who do not need it a register. */
#define WEIR__NOINLINE __attribute__((noinline))

/* The build zeroes what has no initialiser (-ftrivial-auto-var-init), which for a large variable on the data path may
 * cost more than all that is done with it. Whoever says this writes every part that is read, here or by others. */
#if defined(__has_attribute)
#if __has_attribute(uninitialized)
#define WEIR__UNINITIALIZED __attribute__((uninitialized))
#endif
#endif
#if !defined(WEIR__UNINITIALIZED)
#define WEIR__UNINITIALIZED
#endif

#define WEIR__PRINTF(format_index, first) __attribute__((format(printf, format_index, first)))

/* Not 0: the process has one thread, and never had another; 0 also where the C library does not tell. */
#if defined(__GLIBC_PREREQ)
#if __GLIBC_PREREQ(2, 32)
#include <sys/single_threaded.h>
#define WEIR__SINGLE_THREADED __libc_single_threaded
#endif
#endif
#if !defined(WEIR__SINGLE_THREADED)
#define WEIR__SINGLE_THREADED 0
#endif

/* An assertion on the way of each message: only in builds that look for faults (meson.build). Elsewhere it is compiled
 * and never evaluated. */
#ifdef WEIR_DEBUG
#define WEIR__DEBUG_ASSERT(condition) assert(condition)
#else
#define WEIR__DEBUG_ASSERT(condition) ((void)(0 && (condition)))
#endif

/* The struct that a member is inside of. The detour through char keeps alignment warnings honest: the member was found
 * in such a struct in the first place. */
#define WEIR__CONTAINER(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#endif

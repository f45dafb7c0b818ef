/* SPDX-License-Identifier: BSD-3-Clause
 *
 * How many connections a process may have. */
#ifndef APP_BASE_DESCRIPTORS_H
#define APP_BASE_DESCRIPTORS_H

/* Raises the soft limit to the hard one: more descriptors are more connections. Where it cannot be raised, what is said
 * of the room says so. */
void descriptors_raise_limit(void);

/* The soft limit. */
unsigned long long descriptors_limit(void);

#endif

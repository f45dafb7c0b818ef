/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The checksum that each message is stored with (CRC-32C, RFC 3720 appendix B.4). */
#ifndef APP_BASE_CRC32C_H
#define APP_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

uint32_t crc32c(const unsigned char *bytes, size_t len);

#endif

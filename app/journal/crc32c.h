/* SPDX-License-Identifier: BSD-3-Clause
 *
 * app/journal/crc32c.h: the checksum that each message is stored with (CRC-32C, RFC 3720 appendix B.4). */
#ifndef APP_JOURNAL_CRC32C_H
#define APP_JOURNAL_CRC32C_H

#include <stddef.h>
#include <stdint.h>

uint32_t crc32c(const unsigned char *bytes, size_t len);

#endif

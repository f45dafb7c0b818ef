/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The text of an acknowledgement: bytes with fields in them. {seq} is the message's number on
 * its connection, {id} its number in the store, {conn} the connection's, {len} its bytes, {time} when it came (RFC
 * 3339, UTC) and {crc32} its checksum (8 hex digits; ISO 3309, as in zlib and PNG). A field is text, or with a form a
 * number for binary protocols: {seq:u32be}; forms are u8, u16be, u16le, u32be, u32le, u64be and u64le, and keep the low
 * bytes of what is too large for them. {time} as a number is seconds since 1970. Escapes are weir_unescape's; {{ and }}
 * are braces. */
#ifndef APP_ANSWER_TEMPLATE_H
#define APP_ANSWER_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/weir.h>

struct template;

struct template_values {
    uint64_t seq;
    uint64_t id;
    uint64_t conn;
    int64_t time_us;
    struct weir_bytes message; /* for len and crc32 */
};

/* Returns 0, and *ret is the caller's, for template_free; or -EINVAL, with a sentence in error that says what is wrong
 * and what there is, or -ENOMEM. */
int template_new(const char *text, struct template **ret, char *error, size_t error_size);
void template_free(struct template *template);

/* Whether it has {id}, which is known once the message is stored. */
bool template_needs_store(const struct template *template);

/* The most bytes that it can become. */
size_t template_bytes_max(const struct template *template);

/* Writes it to ret, which has room for template_bytes_max; returns the bytes written. */
size_t template_write(const struct template *template, const struct template_values *values, unsigned char *ret);

/* What a byte of a template's text can be, whatever the values are. */
enum template_byte { TEMPLATE_BYTE_GIVEN, TEMPLATE_BYTE_DIGIT, TEMPLATE_BYTE_HEX, TEMPLATE_BYTE_ANY };

bool template_byte_can_be(enum template_byte kind, unsigned char byte);

/* Its shape when numbers that are written as text have that many digits (1 to TEMPLATE_DIGITS_MAX), for trying what it
 * can be sent in: in ret what is given, with 0 for digits and bytes that vary, and in ret_kinds what each byte can be.
 * Both have room for template_bytes_max; returns the bytes written. */
enum { TEMPLATE_DIGITS_MAX = 20 };
size_t template_write_shape(const struct template *template, unsigned digits, unsigned char *ret,
                            unsigned char *ret_kinds);

#endif

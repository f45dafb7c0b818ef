/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A template is read once, into parts that are either bytes or a field. */
#include "template.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <zlib.h>

enum { TIME_BYTES_MAX = 32, CRC32_BYTES = 8, NUMBER_BYTES_MAX = TEMPLATE_DIGITS_MAX };

enum field { FIELD_NONE, FIELD_SEQ, FIELD_ID, FIELD_CONN, FIELD_LEN, FIELD_TIME, FIELD_CRC32, FIELD_COUNT };

static const char *const field_names[FIELD_COUNT] = {
    [FIELD_SEQ] = "seq", [FIELD_ID] = "id",     [FIELD_CONN] = "conn",
    [FIELD_LEN] = "len", [FIELD_TIME] = "time", [FIELD_CRC32] = "crc32",
};

/* How a field is written: as text, or as that many bytes. */
struct form {
    const char *name;
    uint8_t bytes; /* 0: text */
    bool is_little;
};

static const struct form forms[] = {
    { "u8", 1, false },   { "u16be", 2, false }, { "u16le", 2, true }, { "u32be", 4, false },
    { "u32le", 4, true }, { "u64be", 8, false }, { "u64le", 8, true },
};

static const struct form as_text = { "", 0, false };

struct part {
    enum field field;        /* NONE: bytes */
    const struct form *form; /* of a field */
    size_t begin, len;       /* of bytes: where in literal */
};

struct template
{
    size_t part_count;
    unsigned char *literal; /* all bytes that are no fields, one behind the other */
    size_t literal_len;
    size_t bytes_max;    /* that it can become */
    struct part parts[]; /* as many as the text has characters would do, so there is room */
};

/* ---- Reading ---- */

static enum field find_field(const char *name, size_t len)
{
    for (int field = FIELD_NONE + 1; field < FIELD_COUNT; field++)
        if (strlen(field_names[field]) == len && memcmp(field_names[field], name, len) == 0) return (enum field)field;
    return FIELD_NONE;
}

static const struct form *find_form(const char *name, size_t len)
{
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
        if (strlen(forms[i].name) == len && memcmp(forms[i].name, name, len) == 0) return &forms[i];
    return NULL;
}

/* Reads what stands between braces. */
static int read_field(const char *text, size_t len, struct part *ret, char *error, size_t error_size)
{
    const char *colon = memchr(text, ':', len);
    const size_t name_len = colon ? (size_t)(colon - text) : len;

    *ret = (struct part){ .field = find_field(text, name_len), .form = &as_text };
    if (ret->field == FIELD_NONE) {
        snprintf(error, error_size,
                 "there is no field {%.*s}; there are {seq} {id} {conn} {len} {time} {crc32}, and {{ for a brace",
                 (int)(len < 40 ? len : 40), text);
        return -EINVAL;
    }
    if (colon) ret->form = find_form(colon + 1, len - name_len - 1);
    if (ret->form) return 0;
    snprintf(error, error_size,
             "{%.*s}: there is no such form of a number; there are u8, u16be, u16le, u32be, u32le, u64be and u64le",
             (int)(len < 40 ? len : 40), text);
    return -EINVAL;
}

/* The bytes before the next field; {{ and }} are one brace each. Escapes are taken out of the whole, as they may not
 * stand across a field. */
static int read_literal(struct template *template, const char **text, char *error, size_t error_size)
{
    const size_t room = strlen(*text) + 1;
    char *plain = malloc(room);
    size_t len = 0, written = 0;
    int err = plain ? 0 : -ENOMEM;

    while (!err && **text && (**text != '{' || (*text)[1] == '{')) {
        if (**text == '}' && (*text)[1] != '}') {
            snprintf(error, error_size, "a } without its {; a brace is written }}");
            err = -EINVAL;
            break;
        }
        if (**text == '{' || **text == '}') (*text)++;
        plain[len++] = *(*text)++;
    }
    if (!err) {
        plain[len] = '\0';
        err = weir_unescape(plain, template->literal + template->literal_len, room, &written);
        if (err) snprintf(error, error_size, "not an escape: %.4s", plain + written);
    }
    free(plain);
    if (err) return err == -ENOMEM ? err : -EINVAL;
    if (written)
        template->parts[template->part_count++] =
            (struct part){ .field = FIELD_NONE, .begin = template->literal_len, .len = written };
    template->literal_len += written;
    return 0;
}

static int read_parts(struct template *template, const char *text, char *error, size_t error_size)
{
    int err = 0;

    while (*text && !err) {
        const char *end = NULL;

        if (*text != '{' || text[1] == '{') {
            err = read_literal(template, &text, error, error_size);
            continue;
        }
        end = strchr(text, '}');
        if (!end) {
            snprintf(error, error_size, "a { without its }; a brace is written {{");
            return -EINVAL;
        }
        err =
            read_field(text + 1, (size_t)(end - text - 1), &template->parts[template->part_count++], error, error_size);
        text = end + 1;
    }
    return err;
}

static size_t part_bytes_max(const struct part *part)
{
    if (part->field == FIELD_NONE) return part->len;
    if (part->form->bytes) return part->form->bytes;
    return part->field == FIELD_TIME ? TIME_BYTES_MAX : part->field == FIELD_CRC32 ? CRC32_BYTES : NUMBER_BYTES_MAX;
}

int template_new(const char *text, struct template **ret, char *error, size_t error_size)
{
    const size_t len = strlen(text);
    struct template *template = calloc(1, sizeof(*template) + (len + 1) * sizeof(template->parts[0]));
    int err = -ENOMEM;

    if (template) template->literal = malloc(len + 1);
    if (template && template->literal) err = read_parts(template, text, error, error_size);
    if (err == -ENOMEM) snprintf(error, error_size, "%s", weir_strerror(err));
    if (err) {
        template_free(template);
        return err;
    }
    for (size_t i = 0; i < template->part_count; i++)
        template->bytes_max += part_bytes_max(&template->parts[i]);
    *ret = template;
    return 0;
}

void template_free(struct template *template)
{
    if (!template) return;
    free(template->literal);
    free(template);
}

bool template_needs_store(const struct template *template)
{
    for (size_t i = 0; i < template->part_count; i++)
        if (template->parts[i].field == FIELD_ID) return true;
    return false;
}

size_t template_bytes_max(const struct template *template)
{
    return template->bytes_max;
}

/* ---- Writing ---- */

static size_t write_number(uint64_t value, unsigned char *ret)
{
    unsigned char digits[NUMBER_BYTES_MAX];
    size_t count = 0;

    do
        digits[count++] = (unsigned char)('0' + value % 10);
    while (value /= 10);
    for (size_t i = 0; i < count; i++)
        ret[i] = digits[count - 1 - i];
    return count;
}

static size_t write_time(int64_t time_us, unsigned char *ret)
{
    const time_t seconds = (time_t)(time_us / 1000000);
    struct tm tm;
    char text[TIME_BYTES_MAX + 1];
    size_t len = 0;

    gmtime_r(&seconds, &tm);
    len = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    len += (size_t)snprintf(text + len, sizeof(text) - len, ".%06dZ", (int)(time_us % 1000000));
    memcpy(ret, text, len);
    return len;
}

static uint32_t checksum(struct weir_bytes message)
{
    return (uint32_t)crc32_z(crc32_z(0, NULL, 0), message.data, message.len);
}

static uint64_t value_of(enum field field, const struct template_values *values)
{
    switch (field) {
    case FIELD_SEQ:
        return values->seq;
    case FIELD_ID:
        return values->id;
    case FIELD_CONN:
        return values->conn;
    case FIELD_LEN:
        return values->message.len;
    case FIELD_TIME:
        return (uint64_t)(values->time_us / 1000000);
    case FIELD_CRC32:
        return checksum(values->message);
    case FIELD_NONE:
    case FIELD_COUNT:
        break;
    }
    return 0;
}

static size_t write_binary(uint64_t value, const struct form *form, unsigned char *ret)
{
    for (unsigned i = 0; i < form->bytes; i++)
        ret[form->is_little ? i : form->bytes - 1U - i] = (unsigned char)(value >> (8 * i));
    return form->bytes;
}

static size_t write_hex(uint32_t value, unsigned char *ret)
{
    for (unsigned i = 0; i < CRC32_BYTES; i++)
        ret[i] = (unsigned char)"0123456789abcdef"[value >> (28 - 4 * i) & 15];
    return CRC32_BYTES;
}

static size_t write_field(const struct part *part, const struct template_values *values, unsigned char *ret)
{
    if (part->form->bytes) return write_binary(value_of(part->field, values), part->form, ret);
    if (part->field == FIELD_TIME) return write_time(values->time_us, ret);
    if (part->field == FIELD_CRC32) return write_hex(checksum(values->message), ret);
    return write_number(value_of(part->field, values), ret);
}

static size_t write_literal(const struct template *template, const struct part *part, unsigned char *ret)
{
    memcpy(ret, template->literal + part->begin, part->len);
    return part->len;
}

size_t template_write(const struct template *template, const struct template_values *values, unsigned char *ret)
{
    size_t len = 0;

    for (size_t i = 0; i < template->part_count; i++) {
        const struct part *part = &template->parts[i];

        len +=
            part->field == FIELD_NONE ? write_literal(template, part, ret + len) : write_field(part, values, ret + len);
    }
    return len;
}

/* ---- Its shape ---- */

bool template_byte_can_be(enum template_byte kind, unsigned char byte)
{
    const bool is_digit = byte >= '0' && byte <= '9';

    switch (kind) {
    case TEMPLATE_BYTE_ANY:
        return true;
    case TEMPLATE_BYTE_HEX:
        return is_digit || (byte >= 'a' && byte <= 'f');
    case TEMPLATE_BYTE_DIGIT:
        return is_digit;
    case TEMPLATE_BYTE_GIVEN:
        break;
    }
    return false;
}

static size_t write_time_shape(unsigned char *ret, unsigned char *ret_kinds)
{
    static const char time[] = "0000-00-00T00:00:00.000000Z";
    const size_t len = sizeof(time) - 1;

    memcpy(ret, time, len);
    for (size_t i = 0; i < len; i++)
        ret_kinds[i] = time[i] == '0' ? TEMPLATE_BYTE_DIGIT : TEMPLATE_BYTE_GIVEN;
    return len;
}

static size_t write_field_shape(const struct part *part, unsigned digits, unsigned char *ret, unsigned char *ret_kinds)
{
    const bool is_binary = part->form->bytes > 0;
    const bool is_hex = part->field == FIELD_CRC32;
    const size_t len = is_binary ? part->form->bytes : is_hex ? CRC32_BYTES : digits;

    if (!is_binary && part->field == FIELD_TIME) return write_time_shape(ret, ret_kinds);
    memset(ret, is_binary ? 0 : '0', len);
    memset(ret_kinds, is_binary ? TEMPLATE_BYTE_ANY : is_hex ? TEMPLATE_BYTE_HEX : TEMPLATE_BYTE_DIGIT, len);
    return len;
}

size_t template_write_shape(const struct template *template, unsigned digits, unsigned char *ret,
                            unsigned char *ret_kinds)
{
    size_t len = 0;

    for (size_t i = 0; i < template->part_count; i++) {
        const struct part *part = &template->parts[i];

        if (part->field != FIELD_NONE) {
            len += write_field_shape(part, digits, ret + len, ret_kinds + len);
            continue;
        }
        memset(ret_kinds + len, TEMPLATE_BYTE_GIVEN, part->len);
        len += write_literal(template, part, ret + len);
    }
    return len;
}

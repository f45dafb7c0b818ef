/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Error codes and their sentences. A sentence belongs to the thread whose call failed, so no thread reads what another
 * writes. */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <weir/weir.h>

#include "fail.h"

static _Thread_local struct {
    const struct weir *weir;
    char text[512];
} last;

static _Thread_local char lowered[128];

int weir__fail(const struct weir *weir, int code, const char *format, ...)
{
    va_list args;

    last.weir = weir;
    va_start(args, format);
    vsnprintf(last.text, sizeof(last.text), format, args);
    va_end(args);
    return code;
}

const char *weir_error_text(const struct weir *weir)
{
    return last.text[0] != '\0' && last.weir == weir ? last.text : "no error";
}

static const char *own_text(int code)
{
    switch (code) {
    case WEIR_EADDRESS:
        return "not an address";
    case WEIR_EFRAME:
        return "not a framing";
    case WEIR_ECONFIG:
        return "a setting is out of its range";
    case WEIR_ECLOSING:
        return "the connection is closing";
    case WEIR_ERESOLVE:
        return "the name does not resolve";
    case WEIR_ESTOPPED:
        return "the engine has been stopped";
    case WEIR_EFORKED:
        return "the engine belongs to another process";
    case WEIR_ECLOSED:
        return "the listener has been closed";
    default:
        return NULL;
    }
}

/* The C library's descriptions begin with a capital; ours stand inside a sentence. "RPC ..." and the like stay as they
 * are. */
static const char *system_text(int number)
{
    const char *text = strerrordesc_np(number);

    if (!text) {
        snprintf(lowered, sizeof(lowered), "unknown error %d", number);
        return lowered;
    }
    snprintf(lowered, sizeof(lowered), "%s", text);
    if (islower((unsigned char)lowered[1])) lowered[0] = (char)tolower((unsigned char)lowered[0]);
    return lowered;
}

const char *weir_strerror(int code)
{
    const char *own = own_text(code);

    if (own) return own;
    if (code == 0) return "no error";
    return system_text(code < 0 ? -code : code);
}

#define REASON_ROW(name, text, is_error) { text, is_error },
static const struct {
    const char *text;
    bool is_error;
} reasons[WEIR_REASON_COUNT] = { WEIR_REASONS(REASON_ROW) };

const char *weir_reason_text(enum weir_reason reason)
{
    return (unsigned)reason < WEIR_REASON_COUNT ? reasons[reason].text : "unknown reason";
}

bool weir_reason_is_error(enum weir_reason reason)
{
    return (unsigned)reason < WEIR_REASON_COUNT ? reasons[reason].is_error : true;
}

const char *weir_version(void)
{
    return WEIR_VERSION;
}

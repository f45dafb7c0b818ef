/* SPDX-License-Identifier: BSD-3-Clause
 *
 * service_kit.h: what the helper programs of the flow tests share: events on standard output, commands on standard
 * input, an orderly end. */
#ifndef SERVICE_KIT_H
#define SERVICE_KIT_H

#include <weir/weir.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Ends the program when what must hold does not: a helper that goes on would hide the fault. */
#define KIT_CHECK(condition)                                                                   \
    do {                                                                                       \
        if (!(condition)) kit_fail("%s:%d: %s does not hold", __FILE__, __LINE__, #condition); \
    } while (0)

void kit_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* One event: a line of JSON on standard output, whole however many threads write. The format has no newline. */
void kit_event(const char *format, ...) __attribute__((format(printf, 1, 2)));

enum { KIT_TEXT_BYTES = 256 };

/* Bytes as the inside of a JSON string: cut where there is no room, and a dot for what would need an escape. */
const char *kit_text(struct weir_bytes bytes, char ret[KIT_TEXT_BYTES]);

/* Milliseconds of the monotonic clock. */
int64_t kit_now_ms(void);

/* Waits so long, on a thread that has nothing else to do. */
void kit_wait_ms(int64_t ms);

/* `listening on URL` on standard error, for each address. */
void kit_announce(const struct weir_listener *listener);

/* SIGTERM and SIGINT stop the engine. To be begun before weir_run and ended before weir_free. */
void kit_signals_start(struct weir *weir);
void kit_signals_stop(void);

/* Calls on_line for each line of standard input, without its newline, on a thread of its own, until the input ends or
 * kit_input_stop. */
void kit_input_start(void (*on_line)(char *line));
void kit_input_stop(void);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 *
 * How the server is, for the service manager that started it (sd_notify(3)). */
#ifndef APP_SERVE_NOTIFY_H
#define APP_SERVE_NOTIFY_H

/* Tells it, in the manager's words: "READY=1", "STATUS=...", several with a newline between them. Does nothing when
 * nobody asked for it ($NOTIFY_SOCKET), and nothing comes of it when nobody listens. Never waits. Any thread. */
void __attribute__((format(printf, 1, 2))) notify(const char *format, ...);

#endif

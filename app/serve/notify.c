/* SPDX-License-Identifier: BSD-3-Clause
 *
 * One datagram to the service manager's socket, and no library for it. */
#include "notify.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "text/utf8.h"

/* A path, or with @ in front a name in the abstract namespace, where it begins with a zero (unix(7)). Returns the
 * address's length; 0: nobody asked, or in a way that is not known here. */
static socklen_t find_manager(struct sockaddr_un *address)
{
    const char *name = getenv("NOTIFY_SOCKET");
    const size_t len = name ? strlen(name) : 0;

    if (len < 2 || len >= sizeof(address->sun_path) || (*name != '/' && *name != '@')) return 0;
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, name, len);
    if (*name == '@') address->sun_path[0] = '\0';
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
}

void notify(const char *format, ...)
{
    struct sockaddr_un address = { 0 };
    const socklen_t address_len = find_manager(&address);
    char text[1024];
    va_list arguments;
    int fd = -1;

    if (!address_len) return;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    utf8_make_printable(text); /* a path with a newline would begin a variable of its own */
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return;
    sendto(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)&address, address_len);
    close(fd);
}

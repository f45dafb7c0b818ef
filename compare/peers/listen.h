/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the comparison servers share, so that they differ in nothing but the loop under test: one TCP socket on
 * 127.0.0.1, the same backlog and size of a read, and the line on standard error that says where it listens. For C and
 * C++. */
#ifndef COMPARE_LISTEN_H
#define COMPARE_LISTEN_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define BENCH_BACKLOG 1024
#define BENCH_FILES_MAX 1048576
#define BENCH_READ_BYTES (64 * 1024) /* what one read can take in, as in weir's workers */

static inline void bench_die(const char *what)
{
    perror(what);
    exit(1);
}

/* A listening, non-blocking socket on 127.0.0.1 and a free port, or the port in argv[1]. That may be shared by several
 * servers: the kernel gives each client to one of them. */
static inline int bench_listen(int argc, char **argv)
{
    struct sockaddr_in address;
    socklen_t address_len = sizeof(address);
    struct rlimit files;
    int on = 1;

    memset(&address, 0, sizeof(address));
    address.sin_family = AF_INET;
    address.sin_port = htons((in_port_t)(argc > 1 ? atoi(argv[1]) : 0));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    signal(SIGPIPE, SIG_IGN); /* not every library sends with MSG_NOSIGNAL */
    if (getrlimit(RLIMIT_NOFILE, &files) != 0) bench_die("getrlimit");
    files.rlim_cur = files.rlim_max < BENCH_FILES_MAX ? files.rlim_max : BENCH_FILES_MAX;
    if (setrlimit(RLIMIT_NOFILE, &files) != 0) bench_die("setrlimit");

    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) bench_die("socket");
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0) bench_die("setsockopt");
    if (argc > 1 && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0) bench_die("setsockopt");
    if (bind(fd, (struct sockaddr *)&address, address_len) != 0) bench_die("bind");
    if (listen(fd, BENCH_BACKLOG) != 0) bench_die("listen");
    if (getsockname(fd, (struct sockaddr *)&address, &address_len) != 0) bench_die("getsockname");
    fprintf(stderr, "listening on tcp://127.0.0.1:%d\n", ntohs(address.sin_port));
    return fd;
}

static inline void bench_nodelay(int fd)
{
    int on = 1;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0) bench_die("TCP_NODELAY");
}

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_BASE_SYS_H
#define PFS_BASE_SYS_H

/*
 * System calls with the results and errno of those of libc, whose own take two locked instructions
 * each to be cancellation points. Here nothing is one (thread.h).
 */
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static inline ssize_t sys_recv(int fd, void *buf, size_t cap, int flags)
{
    return syscall(SYS_recvfrom, fd, buf, cap, flags, NULL, NULL);
}

static inline ssize_t sys_send(int fd, const void *buf, size_t n, int flags)
{
    return syscall(SYS_sendto, fd, buf, n, flags, NULL, 0);
}

static inline ssize_t sys_write(int fd, const void *buf, size_t n)
{
    return syscall(SYS_write, fd, buf, n);
}

/* ms: 0 or more. */
static inline int sys_poll(struct pollfd *fds, unsigned n, int ms)
{
    struct timespec until = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

    return (int)syscall(SYS_ppoll, fds, n, &until, NULL, 0);
}

static inline int sys_epoll_wait(int fd, struct epoll_event *events, int cap, int ms)
{
    return (int)syscall(SYS_epoll_pwait, fd, events, cap, ms, NULL, 0);
}

#endif

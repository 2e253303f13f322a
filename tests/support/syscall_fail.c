/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Compiled without _FILE_OFFSET_BITS: there, open and open64 are two names, and both are wrapped.
 */
#include "syscall_fail.h"
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

static struct syscall_fail own;
static struct syscall_fail *told = &own; /* set before main */

/* The function that this one stands before. */
#define NEXT(name)                                                                                 \
    __extension__({                                                                                \
        static _Atomic(void *) next;                                                               \
        void *next_ = atomic_load(&next);                                                          \
        if (!next_) {                                                                              \
            next_ = dlsym(RTLD_NEXT, #name);                                                       \
            atomic_store(&next, next_);                                                            \
        }                                                                                          \
        (__typeof__(&name))next_;                                                                  \
    })

__attribute__((constructor)) static void map_file(void)
{
    const char *path = getenv(SYSCALL_FAIL_FILE);
    int fd = path ? NEXT(open)(path, O_RDWR | O_CLOEXEC) : -1;
    void *p = fd >= 0 ? mmap(NULL, sizeof own, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : NULL;

    if (fd >= 0) {
        close(fd);
    }
    if (p && p != MAP_FAILED) {
        told = p;
    }
}

void syscall_fail_nth(const char *call, int fault, unsigned long nth)
{
    atomic_store(&told->nth, 0);
    if (nth == 0) {
        return;
    }
    strncpy(told->call, call, sizeof told->call - 1);
    atomic_store(&told->fault, fault);
    atomic_store(&told->count, 0);
    atomic_store(&told->nth, nth);
}

unsigned long syscall_fail_count(void)
{
    return atomic_load(&told->count);
}

/* The fault that this call of `call` is to have; 0: none. */
static int fault_of(const char *call)
{
    uint64_t nth = atomic_load(&told->nth);

    if (nth == 0 || strcmp(call, told->call) != 0) {
        return 0;
    }
    uint64_t n = atomic_fetch_add(&told->count, 1) + 1;

    if (n != nth && !(n > nth && atomic_load(&told->lasting))) {
        return 0;
    }
    atomic_fetch_add(&told->hits, 1);
    return atomic_load(&told->fault);
}

/* True: the call fails, with errno set. */
static bool fails(const char *call)
{
    int fault = fault_of(call);

    if (fault > 0) {
        errno = fault;
    }
    return fault > 0;
}

/* A name, the one it counts as, its parameters and arguments, what it returns on failure. */
#define WRAP(type, name, as, params, args, failed)                                                 \
    type name params                                                                               \
    {                                                                                              \
        return fails(as) ? (type)(failed) : NEXT(name) args;                                       \
    }

WRAP(int, socket, "socket", (int d, int t, int p), (d, t, p), -1)
WRAP(int, accept4, "accept4", (int fd, struct sockaddr *a, socklen_t *n, int f), (fd, a, n, f), -1)
WRAP(int, connect, "connect", (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n), -1)
WRAP(int, getsockopt, "getsockopt", (int fd, int l, int o, void *p, socklen_t *n), (fd, l, o, p, n),
     -1)
WRAP(int, epoll_create1, "epoll_create1", (int flags), (flags), -1)
WRAP(int, epoll_wait, "epoll_wait", (int fd, struct epoll_event *e, int n, int ms), (fd, e, n, ms),
     -1)
WRAP(int, eventfd, "eventfd", (unsigned n, int flags), (n, flags), -1)
WRAP(int, timerfd_create, "timerfd_create", (clockid_t clock, int flags), (clock, flags), -1)
WRAP(int, fsync, "fsync", (int fd), (fd), -1)
WRAP(int, fdatasync, "fsync", (int fd), (fd), -1)
WRAP(int, linkat, "linkat", (int d, const char *o, int e, const char *n, int f), (d, o, e, n, f),
     -1)
WRAP(int, renameat, "renameat", (int d, const char *o, int e, const char *n), (d, o, e, n), -1)
WRAP(int, renameat2, "renameat", (int d, const char *o, int e, const char *n, unsigned f),
     (d, o, e, n, f), -1)
WRAP(int, mkdirat, "mkdirat", (int d, const char *p, mode_t m), (d, p, m), -1)
WRAP(int, unlinkat, "unlinkat", (int d, const char *p, int f), (d, p, f), -1)
WRAP(int, fchmod, "fchmod", (int fd, mode_t m), (fd, m), -1)
WRAP(int, ftruncate, "ftruncate", (int fd, off_t n), (fd, n), -1)
WRAP(int, ftruncate64, "ftruncate", (int fd, off64_t n), (fd, n), -1)
WRAP(int, fstatat, "fstatat", (int d, const char *p, struct stat *st, int f), (d, p, st, f), -1)
WRAP(int, fstatat64, "fstatat", (int d, const char *p, struct stat64 *st, int f), (d, p, st, f), -1)
WRAP(DIR *, fdopendir, "fdopendir", (int fd), (fd), NULL)
WRAP(struct dirent *, readdir, "readdir", (DIR * d), (d), NULL)
WRAP(struct dirent64 *, readdir64, "readdir", (DIR * d), (d), NULL)
WRAP(FILE *, fopen, "fopen", (const char *p, const char *m), (p, m), NULL)
WRAP(FILE *, fopen64, "fopen", (const char *p, const char *m), (p, m), NULL)
WRAP(void *, mmap64, "mmap", (void *a, size_t n, int p, int f, int fd, off64_t at),
     (a, n, p, f, fd, at), MAP_FAILED)

/* libuv asks whether a descriptor can be watched with data of -1, and aborts if it is wrong. */
int epoll_ctl(int epfd, int op, int fd, struct epoll_event *e)
{
    bool is_asked = op == EPOLL_CTL_ADD && e;

    return is_asked && fails(e->data.fd == -1 ? "epoll_ctl_probe" : "epoll_ctl")
               ? -1
               : NEXT(epoll_ctl)(epfd, op, fd, e);
}

/* ---- bytes ---- */

/* As WRAP for a call that moves n bytes; `n` is a parameter's name and may become 1. */
#define WRAP_IO(name, as, params, args)                                                            \
    ssize_t name params                                                                            \
    {                                                                                              \
        int fault = fault_of(as);                                                                  \
        if (fault > 0) {                                                                           \
            errno = fault;                                                                         \
            return -1;                                                                             \
        }                                                                                          \
        n = fault == FAULT_SHORT && n > 0 ? 1 : n;                                                 \
        return fault == FAULT_END ? 0 : NEXT(name) args;                                           \
    }

/* What wakes a thread up (eventfd, pipe) goes by another name than a file. */
static bool is_file(int fd)
{
    struct stat st;
    int eno = errno;
    bool yes = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);

    errno = eno;
    return yes;
}

WRAP_IO(read, is_file(fd) ? "read" : "wake_read", (int fd, void *p, size_t n), (fd, p, n))
WRAP_IO(write, is_file(fd) ? "write" : "wake_write", (int fd, const void *p, size_t n), (fd, p, n))
WRAP_IO(pread, "pread", (int fd, void *p, size_t n, off_t at), (fd, p, n, at))
WRAP_IO(pread64, "pread", (int fd, void *p, size_t n, off64_t at), (fd, p, n, at))
WRAP_IO(pwrite, "pwrite", (int fd, const void *p, size_t n, off_t at), (fd, p, n, at))
WRAP_IO(pwrite64, "pwrite", (int fd, const void *p, size_t n, off64_t at), (fd, p, n, at))
WRAP_IO(getrandom, "getrandom", (void *p, size_t n, unsigned flags), (p, n, flags))

/* ---- opening: with a mode or without ---- */

#define OPEN_MODE                                                                                  \
    va_list list;                                                                                  \
    va_start(list, flags);                                                                         \
    mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(list, mode_t) : 0;                      \
    va_end(list);

int open(const char *path, int flags, ...)
{
    OPEN_MODE
    return fails("open") ? -1 : NEXT(open)(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    OPEN_MODE
    return fails("open") ? -1 : NEXT(open64)(path, flags, mode);
}

int openat(int dir, const char *path, int flags, ...)
{
    OPEN_MODE
    return fails("openat") ? -1 : NEXT(openat)(dir, path, flags, mode);
}

int openat64(int dir, const char *path, int flags, ...)
{
    OPEN_MODE
    return fails("openat") ? -1 : NEXT(openat64)(dir, path, flags, mode);
}

/* ---- the others ---- */

/* Those that go by a number (lib/base/sys.h), under the names of libc's. */
static const char *name_of(long number)
{
    switch (number) {
    case SYS_openat2:
        return "openat2";
    case SYS_sendto:
        return "send";
    case SYS_recvfrom:
        return "recv";
    case SYS_write: /* to an eventfd only */
        return "wake_write";
    case SYS_epoll_pwait:
        return "epoll_wait";
    case SYS_ppoll:
        return "poll";
    default:
        return "";
    }
}

long syscall(long number, ...)
{
    va_list list;
    long a[6];
    int fault = fault_of(name_of(number));

    va_start(list, number);
    for (int i = 0; i < 6; i++) {
        a[i] = va_arg(list, long);
    }
    va_end(list);
    if (fault > 0) {
        errno = fault;
        return -1;
    }
    a[2] = fault == FAULT_SHORT && a[2] > 0 ? 1 : a[2]; /* bytes */
    return fault == FAULT_END ? 0 : NEXT(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

int pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
    return fails("pthread_create") ? errno : NEXT(pthread_create)(t, attr, fn, arg);
}

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                struct addrinfo **ret)
{
    return fails("getaddrinfo") ? EAI_SYSTEM : NEXT(getaddrinfo)(host, service, hints, ret);
}

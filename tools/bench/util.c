/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "util.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *xcheck(void *p)
{
    if (p == NULL) {
        fputs("agfs-bench: out of memory\n", stderr);
        exit(pfs_class_exit(PFS_NOMEM));
    }
    return p;
}

void *xcalloc(size_t n, size_t size)
{
    return xcheck(calloc(n ? n : 1, size ? size : 1));
}

void *xrealloc(void *p, size_t size)
{
    return xcheck(realloc(p, size ? size : 1));
}

char *xstrdup(const char *s)
{
    return xcheck(strdup(s));
}

char *xasprintf(const char *format, ...)
{
    va_list ap;
    char *s;

    va_start(ap, format);
    int n = vasprintf(&s, format, ap);
    va_end(ap);
    return xcheck(n < 0 ? NULL : s);
}

int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

struct timespec timespec_of(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};
}

int complain(int code, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    fputs("agfs-bench: ", stderr);
    vfprintf(stderr, format, ap);
    fputc('\n', stderr);
    va_end(ap);
    return code;
}

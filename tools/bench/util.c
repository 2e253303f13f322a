/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "util.h"
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

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

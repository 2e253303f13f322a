/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef BENCH_UTIL_H
#define BENCH_UTIL_H

/*
 * Memory, the clock and messages. A tool without memory can do nothing but say so: the x functions
 * end the process with exit code 12 then, and never return NULL.
 */
#include <proxyfs/error.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define EXIT_OTHER 1
#define EXIT_USAGE 2
#define EXIT_INTERRUPTED 130

#define NS_PER_S 1000000000LL
#define NS_PER_MS 1000000LL

/* p, which came of an allocation. */
void *xcheck(void *p);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t size);
char *xstrdup(const char *s);
/* Formatted text, to be freed by the caller. */
char *xasprintf(const char *format, ...) PFS_PRINTF(1, 2);

/* CLOCK_MONOTONIC. */
int64_t now_ns(void);
struct timespec timespec_of(int64_t ns);

/* Prints "agfs-bench: TEXT" on stderr and returns code. */
int complain(int code, const char *format, ...) PFS_PRINTF(2, 3);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef BENCH_UTIL_H
#define BENCH_UTIL_H

/* Memory (xalloc.h), the clock and messages. */
#include "xalloc.h"
#include <proxyfs/error.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define EXIT_OTHER 1
#define EXIT_USAGE 2
#define EXIT_INTERRUPTED 130

#define NS_PER_S 1000000000LL
#define NS_PER_MS 1000000LL

/* CLOCK_MONOTONIC. */
int64_t now_ns(void);
struct timespec timespec_of(int64_t ns);

/* Prints "agfs-bench: TEXT" on stderr and returns code. */
int complain(int code, const char *format, ...) PFS_PRINTF(2, 3);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "base/log.h"
#include "base/err.h"
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER; /* sink: one line at a time */
static pfs_log_fn *sink;
static void *sink_arg;
static atomic_int max_level = -1; /* nothing is wanted */

/* In a forked child: the lock may have been held by a thread that is not there. */
static void on_fork_child(void)
{
    pthread_mutex_init(&mu, NULL);
}

static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, on_fork_child);
}

void pfs_log_to(pfs_log_fn *fn, void *arg, enum pfs_log_level level)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, watch_forks);
    pthread_mutex_lock(&mu);
    sink = fn;
    sink_arg = arg;
    atomic_store(&max_level, fn ? (int)level : -1);
    pthread_mutex_unlock(&mu);
}

bool pfs_log_wants(enum pfs_log_level level)
{
    return (int)level <= atomic_load_explicit(&max_level, memory_order_relaxed);
}

void pfs_log(enum pfs_log_level level, const char *format, ...)
{
    char raw[1024], line[1024];
    va_list args;

    if (!pfs_log_wants(level)) {
        return;
    }
    va_start(args, format);
    int n = vsnprintf(raw, sizeof raw, format, args);
    va_end(args);
    if (n < 0) {
        return;
    }
    pfs_escape_line(line, sizeof line, raw, (size_t)n < sizeof raw ? (size_t)n : sizeof raw - 1);
    pthread_mutex_lock(&mu);
    if (sink) {
        sink(sink_arg, level, line);
    }
    pthread_mutex_unlock(&mu);
}

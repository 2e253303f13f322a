/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_BASE_MUTEX_H
#define PFS_BASE_MUTEX_H

/* Short locks, and waits that end by the monotonic clock. */
#include "base/clock.h"
#include <pthread.h>
#include <stdbool.h>
#include <time.h>

/*
 * A mutex that each call takes for some dozens of instructions: who finds it taken by another core
 * looks again for a moment before it sleeps, since a sleep and its wake-up cost a hundred times as
 * much as the wait.
 */
static inline void pfs_mutex_init_short(pthread_mutex_t *m)
{
    pthread_mutexattr_t attr;

    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
    pthread_mutex_init(m, &attr);
    pthread_mutexattr_destroy(&attr);
}

/*
 * Waits once on c, mu held; false: deadline_ns of pfs_now has passed. As any wait it may end for
 * nothing, so the caller looks again. The clock that c was made with does not matter.
 */
static inline bool pfs_cond_wait_until(pthread_cond_t *c, pthread_mutex_t *mu, int64_t deadline_ns)
{
    struct timespec until = {.tv_sec = deadline_ns / PFS_SEC, .tv_nsec = deadline_ns % PFS_SEC};

    return pthread_cond_clockwait(c, mu, CLOCK_MONOTONIC, &until) == 0;
}

#endif

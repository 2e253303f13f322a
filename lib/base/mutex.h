/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_BASE_MUTEX_H
#define PFS_BASE_MUTEX_H

#include <pthread.h>
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

/* A condition whose timed waits go by CLOCK_MONOTONIC, as pfs_now does. */
static inline void pfs_cond_init_timed(pthread_cond_t *c)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(c, &attr);
    pthread_condattr_destroy(&attr);
}

#endif

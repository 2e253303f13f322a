/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_BASE_THREAD_H
#define PFS_BASE_THREAD_H

/*
 * Threads of a library: they take no signals. Those are for the host's threads, whose masks and
 * handlers we know nothing of.
 */
#include <pthread.h>

typedef void *pfs_thread_fn(void *arg);

/*
 * Runs fn(arg) on a new thread with all signals blocked. ret: to be joined; NULL: it is detached.
 * Returns 0 or an errno value; fn is not called then.
 */
int pfs_thread_start(pfs_thread_fn *fn, void *arg, pthread_t *ret);

/*
 * From here to pfs_cancel_again, which gets what this returns, the calling thread is at no
 * cancellation point, whatever it calls, other libraries included. It works for others, too: were
 * it ended while it drives a connection, nobody would read that any more, and what it has locked
 * would stay so.
 */
static inline int pfs_cancel_not(void)
{
    int before;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    return before;
}

static inline void pfs_cancel_again(int before)
{
    pthread_setcancelstate(before, &before);
}

#endif

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

#endif

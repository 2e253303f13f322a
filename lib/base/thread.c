/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "base/thread.h"
#include <signal.h>
#include <stddef.h>

int pfs_thread_start(pfs_thread_fn *fn, void *arg, pthread_t *ret)
{
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all, before;
    int rc = pthread_attr_init(&attr);

    if (rc != 0) {
        return rc;
    }
    pthread_attr_setdetachstate(&attr, ret ? PTHREAD_CREATE_JOINABLE : PTHREAD_CREATE_DETACHED);
    sigfillset(&all); /* a new thread inherits its starter's mask: no moment without it */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&thread, &attr, fn, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    if (rc == 0 && ret) {
        *ret = thread;
    }
    return rc;
}

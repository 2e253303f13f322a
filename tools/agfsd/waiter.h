/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef AGFSD_WAITER_H
#define AGFSD_WAITER_H

/* A thread that may block waits for what ends on another one, or has ended already. */
#include <proxyfs/driver.h>
#include <pthread.h>

struct waiter {
    pthread_mutex_t mu;
    pthread_cond_t cond;
    bool done;
    size_t n;
    struct pfs_error err;
};

void waiter_init(struct waiter *w);
void waiter_fini(struct waiter *w);
/* It has ended. Any thread; w may be gone once this returns. */
void waiter_signal(struct waiter *w);
/* The same for a stream, arg is the waiter. */
void waiter_io(void *arg, size_t n, const struct pfs_error *err);
/* False: it has not ended by deadline_ns. True: it has, and w can be used again. */
bool waiter_until(struct waiter *w, int64_t deadline_ns);
/* Waits for what ends soon, since it was given up. */
void waiter_await(struct waiter *w);

#endif

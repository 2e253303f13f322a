/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "waiter.h"
#include "base/mutex.h"

void waiter_init(struct waiter *w)
{
    *w = (struct waiter){0};
    pthread_mutex_init(&w->mu, NULL);
    pthread_cond_init(&w->cond, NULL);
}

void waiter_fini(struct waiter *w)
{
    pthread_cond_destroy(&w->cond);
    pthread_mutex_destroy(&w->mu);
}

void waiter_signal(struct waiter *w)
{
    pthread_mutex_lock(&w->mu);
    w->done = true;
    pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->mu);
}

void waiter_io(void *arg, size_t n, const struct pfs_error *err)
{
    struct waiter *w = arg;

    w->n = n;
    w->err = *err;
    waiter_signal(w);
}

bool waiter_until(struct waiter *w, int64_t deadline_ns)
{
    pthread_mutex_lock(&w->mu);
    while (!w->done && pfs_cond_wait_until(&w->cond, &w->mu, deadline_ns)) {
    }
    bool done = w->done;

    w->done = false;
    pthread_mutex_unlock(&w->mu);
    return done;
}

void waiter_await(struct waiter *w)
{
    while (!waiter_until(w, pfs_after(pfs_now(), PFS_SEC))) {
    }
}

/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * Permits and the one queue for them. Equations, all under mu:
 *   running = permits given out <= workers;  n_waiting = length of `queue` <= queue_depth;
 *   an entry is granted in queue order; a granted job sits in `ready` until a pool thread takes it.
 */
#include "base/pool.h"
#include "base/alloc.h"
#include "base/err.h"
#include "base/list.h"
#include "base/mutex.h"
#include "base/thread.h"
#include <pthread.h>

struct entry {
    struct list node;
    pfs_job_fn *fn; /* NULL: a caller that waits for its permit */
    void *arg;
    bool granted;
    pthread_cond_t *cond;
};

struct pfs_pool {
    unsigned workers, queue_depth; /* fixed after create */
    pthread_mutex_t mu;
    pthread_cond_t work; /* `ready` grew, or stopping */
    unsigned running, n_waiting, n_threads;
    unsigned
        n_jobs; /* submitted and not finished: as many threads, at most `workers`, are wanted */
    struct list queue, ready;
    bool stopping;
    pthread_t threads[]; /* n_threads of `workers` */
};

struct pfs_pool *pfs_pool_new(unsigned workers, unsigned queue_depth)
{
    struct pfs_pool *p = pfs_calloc(1, sizeof *p + workers * sizeof(pthread_t));

    if (p) {
        p->workers = workers;
        p->queue_depth = queue_depth;
        pthread_mutex_init(&p->mu, NULL);
        pthread_cond_init(&p->work, NULL);
        list_init(&p->queue);
        list_init(&p->ready);
    }
    return p;
}

/* Gives free permits to the longest waiting. */
static void grant_locked(struct pfs_pool *p)
{
    while (p->running < p->workers) {
        struct list *n = list_take_first(&p->queue);

        if (!n) {
            return;
        }
        struct entry *e = list_entry(n, struct entry, node);

        p->n_waiting--;
        p->running++;
        e->granted = true;
        if (e->fn) {
            list_append(&p->ready, &e->node);
            pthread_cond_signal(&p->work);
        } else {
            pthread_cond_signal(e->cond);
        }
    }
}

static void *worker_main(void *arg)
{
    struct pfs_pool *p = arg;

    pthread_mutex_lock(&p->mu);
    for (;;) {
        struct list *n = list_take_first(&p->ready);

        if (n) {
            struct entry *e = list_entry(n, struct entry, node);

            pthread_mutex_unlock(&p->mu);
            e->fn(e->arg);
            pfs_free(e);
            pthread_mutex_lock(&p->mu);
            p->running--;
            p->n_jobs--;
            grant_locked(p);
        } else if (p->stopping && list_is_empty(&p->queue)) {
            break;
        } else {
            pthread_cond_wait(&p->work, &p->mu); /* ends with pfs_pool_free at the latest */
        }
    }
    pthread_mutex_unlock(&p->mu);
    return NULL;
}

void pfs_pool_free(struct pfs_pool *p)
{
    if (!p) {
        return;
    }
    pthread_mutex_lock(&p->mu);
    p->stopping = true;
    pthread_cond_broadcast(&p->work);
    unsigned n = p->n_threads;
    pthread_mutex_unlock(&p->mu);
    for (unsigned i = 0; i < n; i++) {
        pthread_join(p->threads[i], NULL);
    }
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->mu);
    pfs_free(p);
}

/* Class OK when one more may wait. */
static enum pfs_class admit_locked(struct pfs_pool *p, struct pfs_error *err)
{
    if (p->stopping) {
        return pfs_refuse(err, PFS_SHUTDOWN, "the worker pool is shutting down");
    }
    if (p->n_waiting >= p->queue_depth && p->running >= p->workers) {
        return pfs_refuse(err, PFS_OVERLOAD, "%u calls run and %u wait already; try again later",
                          p->running, p->n_waiting);
    }
    return PFS_OK;
}

static enum pfs_class wait_for_permit_locked(struct pfs_pool *p, int64_t deadline_ns,
                                             struct pfs_error *err)
{
    pthread_cond_t cond;
    struct entry e = {.cond = &cond};
    enum pfs_class cls = PFS_OK;

    pthread_cond_init(&cond, NULL);
    list_append(&p->queue, &e.node);
    p->n_waiting++;
    grant_locked(p);
    while (!e.granted && pfs_cond_wait_until(&cond, &p->mu, deadline_ns)) {
    }
    if (!e.granted) {
        list_remove(&e.node);
        p->n_waiting--;
        cls = pfs_fail(err, PFS_TIMEOUT, PFS_OUTCOME_NA, PFS_PHASE_QUEUE,
                       "the deadline passed while waiting for a worker");
    }
    pthread_cond_destroy(&cond);
    return cls;
}

enum pfs_class pfs_pool_run(struct pfs_pool *p, int64_t deadline_ns, pfs_job_fn *fn, void *arg,
                            struct pfs_error *err)
{
    pthread_mutex_lock(&p->mu);
    enum pfs_class cls = admit_locked(p, err);
    if (cls == PFS_OK && p->running < p->workers && list_is_empty(&p->queue)) {
        p->running++;
    } else if (cls == PFS_OK) {
        cls = wait_for_permit_locked(p, deadline_ns, err);
    }
    pthread_mutex_unlock(&p->mu);
    if (cls != PFS_OK) {
        return cls;
    }
    fn(arg);
    pthread_mutex_lock(&p->mu);
    p->running--;
    grant_locked(p);
    pthread_mutex_unlock(&p->mu);
    return PFS_OK;
}

/* True when a thread is there to take a job. */
static bool ensure_thread_locked(struct pfs_pool *p)
{
    if (p->n_threads <= p->n_jobs && p->n_threads < p->workers &&
        pfs_thread_start(worker_main, p, &p->threads[p->n_threads]) == 0) {
        p->n_threads++;
    }
    return p->n_threads > 0;
}

enum pfs_class pfs_pool_submit(struct pfs_pool *p, pfs_job_fn *fn, void *arg, struct pfs_error *err)
{
    struct entry *e = pfs_calloc(1, sizeof *e);

    if (!e) {
        return pfs_nomem(err, "a job");
    }
    e->fn = fn;
    e->arg = arg;
    pthread_mutex_lock(&p->mu);
    enum pfs_class cls = admit_locked(p, err);
    if (cls == PFS_OK && !ensure_thread_locked(p)) {
        cls = pfs_refuse(err, PFS_NOMEM, "no worker thread could be started");
    }
    if (cls == PFS_OK) {
        list_append(&p->queue, &e->node);
        p->n_waiting++;
        p->n_jobs++;
        grant_locked(p);
        e = NULL;
    }
    pthread_mutex_unlock(&p->mu);
    pfs_free(e);
    return cls;
}

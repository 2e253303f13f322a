/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef PFS_BASE_POOL_H
#define PFS_BASE_POOL_H

/*
 * A bounded pool of workers. A worker is a permit to run: a synchronous caller that gets one does
 * its work on its own thread (no hand-over), an asynchronous job runs on a pool thread. At most
 * `workers` jobs run at once and at most `queue_depth` wait; beyond that the answer is OVERLOAD at
 * once.
 */
#include <proxyfs/error.h>
#include <stdint.h>

struct pfs_pool;

typedef void pfs_job_fn(void *arg);

/* Threads are started when first needed and live until pfs_pool_free. NULL: out of memory. */
struct pfs_pool *pfs_pool_new(unsigned workers, unsigned queue_depth);
/* Runs what is queued, joins all threads, frees. No call is in flight or follows. NULL allowed. */
void pfs_pool_free(struct pfs_pool *p);

/*
 * Runs fn(arg) on the calling thread once a permit is free; waits in the queue until deadline_ns
 * (CLOCK_MONOTONIC). Errors, fn not called: OVERLOAD (queue full), TIMEOUT, SHUTDOWN (phase queue,
 * NA).
 */
enum pfs_class pfs_pool_run(struct pfs_pool *p, int64_t deadline_ns, pfs_job_fn *fn, void *arg,
                            struct pfs_error *err);
/* Queues fn(arg) for a pool thread, never waits. OVERLOAD, NOMEM, SHUTDOWN: fn is not called. */
enum pfs_class pfs_pool_submit(struct pfs_pool *p, pfs_job_fn *fn, void *arg,
                               struct pfs_error *err);

#endif

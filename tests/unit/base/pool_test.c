/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* The pool: permits, queue, OVERLOAD (row A092 of the fault table), the end. */
#include "base/clock.h"
#include "base/pool.h"
#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>

/* A job that holds its permit until it is let go. */
struct gate {
    pthread_mutex_t mu;
    pthread_cond_t cond;
    unsigned inside, most, done;
    bool open;
};

#define GATE_INIT                                                                                  \
    {                                                                                              \
        .mu = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER                          \
    }

static void pass(void *arg)
{
    struct gate *g = arg;

    pthread_mutex_lock(&g->mu);
    g->inside++;
    g->most = g->inside > g->most ? g->inside : g->most;
    pthread_cond_broadcast(&g->cond);
    while (!g->open) {
        pthread_cond_wait(&g->cond, &g->mu);
    }
    g->inside--;
    g->done++;
    pthread_cond_broadcast(&g->cond);
    pthread_mutex_unlock(&g->mu);
}

static void await(struct gate *g, unsigned inside)
{
    pthread_mutex_lock(&g->mu);
    while (g->inside < inside) {
        pthread_cond_wait(&g->cond, &g->mu);
    }
    pthread_mutex_unlock(&g->mu);
}

static void let_go(struct gate *g)
{
    pthread_mutex_lock(&g->mu);
    g->open = true;
    pthread_cond_broadcast(&g->cond);
    pthread_mutex_unlock(&g->mu);
}

Test(pool, A092_overload_at_once_when_full)
{
    struct pfs_pool *p = pfs_pool_new(2, 3);
    struct gate g = GATE_INIT;
    struct pfs_error err;

    for (unsigned i = 0; i < 5; i++) {
        cr_assert_eq(pfs_pool_submit(p, pass, &g, &err), PFS_OK, "%u: %s", i, err.text);
    }
    await(&g, 2);
    cr_assert_eq(pfs_pool_submit(p, pass, &g, &err), PFS_OVERLOAD);
    cr_assert_eq(err.outcome, PFS_OUTCOME_NA);
    cr_assert_eq(pfs_pool_run(p, PFS_NEVER, pass, &g, &err), PFS_OVERLOAD);
    let_go(&g);
    pfs_pool_free(p); /* runs what is queued */
    cr_assert_eq(g.done, 5);
    cr_assert_eq(g.most, 2);
}

Test(pool, without_a_queue)
{
    struct pfs_pool *p = pfs_pool_new(1, 0);
    struct gate g = GATE_INIT, open = GATE_INIT;
    struct pfs_error err;

    open.open = true;
    cr_assert_eq(pfs_pool_run(p, PFS_NEVER, pass, &open, &err), PFS_OK);
    cr_assert_eq(pfs_pool_submit(p, pass, &g, &err), PFS_OK, "%s", err.text);
    await(&g, 1);
    cr_assert_eq(pfs_pool_run(p, PFS_NEVER, pass, &open, &err), PFS_OVERLOAD);
    let_go(&g);
    pfs_pool_free(p);
    cr_assert_eq(g.done, 1);
    cr_assert_eq(open.done, 1);
}

Test(pool, a_waiting_caller_times_out_unrun)
{
    struct pfs_pool *p = pfs_pool_new(1, 10);
    struct gate g = GATE_INIT, never = GATE_INIT;
    struct pfs_error err;

    cr_assert_eq(pfs_pool_submit(p, pass, &g, &err), PFS_OK);
    await(&g, 1);
    cr_assert_eq(pfs_pool_run(p, pfs_now() + 20 * PFS_MS, pass, &never, &err), PFS_TIMEOUT);
    cr_assert_eq(err.outcome, PFS_OUTCOME_NA);
    cr_assert_eq(err.phase, PFS_PHASE_QUEUE);
    cr_assert_eq(pfs_pool_run(p, 1, pass, &never, &err), PFS_TIMEOUT, "a deadline long past");
    let_go(&g);
    pfs_pool_free(p);
    cr_assert_eq(never.done, 0);
}

/* Counts the signals that its thread would take, of those that may be blocked at all. */
static void count_signals(void *arg)
{
    unsigned *n_taken = arg;
    sigset_t all, blocked;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    for (int sig = 1; sig <= SIGRTMAX; sig++) {
        *n_taken += sigismember(&all, sig) == 1 && sig != SIGKILL && sig != SIGSTOP &&
                    sigismember(&blocked, sig) == 0;
    }
}

Test(pool, a_worker_takes_no_signals_and_its_starter_goes_on_as_before)
{
    struct pfs_pool *p = pfs_pool_new(1, 1);
    struct pfs_error err;
    unsigned of_worker = 0, before = 0, after = 0;

    count_signals(&before);
    cr_assert_eq(pfs_pool_submit(p, count_signals, &of_worker, &err), PFS_OK);
    count_signals(&after);
    pfs_pool_free(p); /* joins the worker */
    cr_assert_eq(of_worker, 0);
    cr_assert_gt(before, 0);
    cr_assert_eq(after, before);
}

struct runner {
    struct pfs_pool *p;
    struct gate *g;
    unsigned n, ok;
};

static void *run_many(void *arg)
{
    struct runner *r = arg;

    for (unsigned i = 0; i < r->n; i++) {
        struct pfs_error err;

        r->ok += pfs_pool_run(r->p, PFS_NEVER, pass, r->g, &err) == PFS_OK;
    }
    return NULL;
}

Test(pool, callers_and_jobs_share_the_permits)
{
    struct pfs_pool *p = pfs_pool_new(3, 1000);
    struct gate g = GATE_INIT;
    struct runner runners[6];
    pthread_t threads[6];

    g.open = true;
    for (unsigned i = 0; i < 6; i++) {
        runners[i] = (struct runner){p, &g, 200, 0};
        pthread_create(&threads[i], NULL, run_many, &runners[i]);
    }
    for (unsigned i = 0; i < 500; i++) {
        struct pfs_error err;

        cr_assert_eq(pfs_pool_submit(p, pass, &g, &err), PFS_OK, "%s", err.text);
    }
    for (unsigned i = 0; i < 6; i++) {
        pthread_join(threads[i], NULL);
        cr_assert_eq(runners[i].ok, 200);
    }
    pfs_pool_free(p);
    cr_assert_eq(g.done, 1700);
    cr_assert_leq(g.most, 3);
    pfs_pool_free(NULL);
}

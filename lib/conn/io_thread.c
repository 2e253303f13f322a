/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* The process's I/O threads: they run I/O loops as long as somebody uses the first. */
#include "base/alloc.h"
#include "base/cores.h"
#include "base/err.h"
#include "base/thread.h"
#include "conn/io.h"
#include <pthread.h>
#include <string.h>

struct io_thread {
    struct io *io;
    pthread_t thread;
    struct io_task end;
    bool ended; /* its own */
};

/* More find no work: a thread serves some 200,000 small calls a second. */
#define THREADS_MAX 4

/* The process's I/O threads, how many use the first, how many there may be. */
static pthread_mutex_t shared_mu = PTHREAD_MUTEX_INITIALIZER;
static struct io_thread *threads[THREADS_MAX];
static unsigned n_users, n_cores;
static atomic_uint n_forks;

/* In a forked child the threads are not there, and one of them may have held the lock. */
static void on_fork_child(void)
{
    pthread_mutex_init(&shared_mu, NULL);
    memset(threads, 0, sizeof threads);
    n_users = 0;
    atomic_fetch_add(&n_forks, 1);
}

static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, on_fork_child);
}

unsigned io_n_forks(void)
{
    return atomic_load_explicit(&n_forks, memory_order_relaxed);
}

static void on_end(struct io_task *t)
{
    struct io_thread *own = container_of(t, struct io_thread, end);

    own->ended = true;
}

static void *io_main(void *arg)
{
    struct io_thread *t = arg;

    io_enter(t->io);
    while (!t->ended) {
        io_turn(t->io, -1);
    }
    io_turn(t->io, 0); /* what the last tasks have posted */
    return NULL;
}

static void io_thread_free(struct io_thread *t)
{
    if (t) {
        io_free(t->io);
        pfs_free(t);
    }
}

static int start(struct io_thread *t)
{
    int rc = pfs_thread_start(io_main, t, &t->thread);

    if (rc == 0) {
        pthread_setname_np(t->thread, "proxyfs-io");
    }
    return rc;
}

static enum pfs_class io_thread_new(struct io_thread **ret, struct pfs_error *err)
{
    struct io_thread *t = pfs_calloc(1, sizeof *t);
    enum pfs_class cls = t ? io_new(&t->io, err) : pfs_nomem(err, "the I/O thread");

    if (cls == PFS_OK) {
        int rc = start(t);

        cls = rc ? pfs_refuse(err, PFS_NOMEM, "the I/O thread cannot be started: %s", strerror(rc))
                 : PFS_OK;
    }
    if (cls != PFS_OK) {
        io_thread_free(t);
        return cls;
    }
    *ret = t;
    return PFS_OK;
}

enum pfs_class io_get(struct io **ret, struct pfs_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    enum pfs_class cls = PFS_OK;

    pthread_once(&once, watch_forks);
    pthread_mutex_lock(&shared_mu);
    if (!threads[0]) {
        unsigned n = pfs_n_cores();

        n_cores = n < THREADS_MAX ? n : THREADS_MAX;
        cls = io_thread_new(&threads[0], err);
    }
    if (cls == PFS_OK) {
        n_users++;
        *ret = threads[0]->io;
    }
    pthread_mutex_unlock(&shared_mu);
    return cls;
}

/* All end before any is freed: one may still look at another's timers. */
static void end_all(struct io_thread *const *ending)
{
    for (unsigned i = 0; i < THREADS_MAX; i++) {
        if (ending[i]) {
            ending[i]->end.run = on_end;
            io_post(ending[i]->io, &ending[i]->end);
        }
    }
    for (unsigned i = 0; i < THREADS_MAX; i++) {
        if (ending[i]) {
            pthread_join(ending[i]->thread, NULL);
        }
    }
    for (unsigned i = 0; i < THREADS_MAX; i++) {
        io_thread_free(ending[i]);
    }
}

void io_put(void)
{
    struct io_thread *ending[THREADS_MAX] = {NULL};

    pthread_mutex_lock(&shared_mu);
    if (--n_users == 0) {
        memcpy(ending, threads, sizeof ending);
        memset(threads, 0, sizeof threads);
    }
    pthread_mutex_unlock(&shared_mu);
    end_all(ending);
}

unsigned io_n_parallel(const struct io *home)
{
    pthread_mutex_lock(&shared_mu);
    unsigned n = threads[0] && threads[0]->io == home ? n_cores : 1;
    pthread_mutex_unlock(&shared_mu);
    return n;
}

struct io *io_beside(const struct io *home, unsigned i)
{
    struct io *io = NULL;
    struct pfs_error err;

    pthread_mutex_lock(&shared_mu);
    if (threads[0] && threads[0]->io == home && i < n_cores &&
        (threads[i] || io_thread_new(&threads[i], &err) == PFS_OK)) {
        io = threads[i]->io;
    }
    pthread_mutex_unlock(&shared_mu);
    return io;
}

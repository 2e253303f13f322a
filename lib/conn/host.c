/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* I/O loops whose turns an event loop of the program takes. */
#include "base/alloc.h"
#include "base/err.h"
#include "conn/io.h"
#include <proxyfs/host.h>
#include <stddef.h>

/* More calls than that at a time are rare, and malloc serves them. */
#define KEPT_MAX 32

struct pfs_host {
    struct io *io;
    unsigned n_forks; /* when its thread entered: a forked child's is another one */
    struct io_task stop;
    /* the host's thread */
    bool stopped;
    void *kept[KEPT_MAX]; /* n_kept, for io_hosted_take; all of kept_size */
    unsigned n_kept;
    size_t kept_size;
};

static _Thread_local struct pfs_host *here;

static struct pfs_host *host_here(void)
{
    return here && here->n_forks == io_n_forks() ? here : NULL;
}

struct io *io_hosted_here(void)
{
    struct pfs_host *h = host_here();

    return h ? h->io : NULL;
}

void *io_hosted_take(size_t n)
{
    struct pfs_host *h = host_here();

    return h && h->n_kept > 0 && h->kept_size == n ? h->kept[--h->n_kept] : pfs_malloc(n);
}

void io_hosted_give(void *p, size_t n)
{
    struct pfs_host *h = host_here();

    if (!PFS_KEEPS_FREED || !h || h->n_kept == KEPT_MAX || (h->n_kept > 0 && h->kept_size != n)) {
        pfs_free(p);
        return;
    }
    h->kept_size = n;
    h->kept[h->n_kept++] = p;
}

enum pfs_class pfs_host_new(struct pfs_host **ret, struct pfs_error *err)
{
    struct pfs_host *h = pfs_calloc(1, sizeof *h);
    enum pfs_class cls = h ? io_new(&h->io, err) : pfs_nomem(err, "a host of connections");

    if (cls != PFS_OK) {
        pfs_free(h);
        return cls;
    }
    *ret = h;
    return PFS_OK;
}

void pfs_host_enter(struct pfs_host *h)
{
    h->n_forks = io_n_forks();
    here = h;
    io_enter(h->io);
}

int pfs_host_fd(const struct pfs_host *h)
{
    return io_fd(h->io);
}

void pfs_host_turn(struct pfs_host *h)
{
    io_turn(h->io, 0);
}

void pfs_host_work(struct pfs_host *h)
{
    io_run_posted(h->io);
}

int64_t pfs_host_before_sleep(struct pfs_host *h)
{
    return io_before_sleep(h->io);
}

static void on_stop(struct io_task *t)
{
    struct pfs_host *h = container_of(t, struct pfs_host, stop);

    h->stopped = true;
}

void pfs_host_run(struct pfs_host *h)
{
    while (!h->stopped) {
        io_turn(h->io, -1);
    }
    here = NULL;
}

void pfs_host_stop(struct pfs_host *h)
{
    h->stop.run = on_stop;
    io_post(h->io, &h->stop);
}

void pfs_host_free(struct pfs_host *h)
{
    if (h) {
        while (h->n_kept > 0) {
            pfs_free(h->kept[--h->n_kept]);
        }
        io_free(h->io);
        pfs_free(h);
    }
}
